#!/usr/bin/env python3
"""Build the PDF documents of the example handbook.

    python3 -m venv .venv
    .venv/bin/pip install -r requirements.txt
    .venv/bin/python build.py            # writes ../handbook/*.pdf
    .venv/bin/python build.py --check    # builds in memory and compares bytes

The output is deterministic: dates come from the sources, only fonts that ship
with the two packages are used, and identifiers are derived from the content.
"""

import io
import pathlib
import sys
from xml.sax.saxutils import escape

import reportlab
import typst
from reportlab.lib import colors
from reportlab.lib.enums import TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent / "handbook"
TYPST = [
    "business-continuity-plan",
    "gateway-installation-guide",
    "reefer-trial-report",
    "tw-series-datasheet",
]


def from_typst(name):
    return typst.compile(
        str(HERE / f"{name}.typ"),
        root=str(HERE),
        font_paths=[],
        ignore_system_fonts=True,
        format="pdf",
    )


def calibration_manual():
    """A manual with running headers and footers, justified and hyphenated."""
    fonts = pathlib.Path(reportlab.__file__).parent / "fonts"
    for face, file in (("Body", "Vera.ttf"), ("Body-Bold", "VeraBd.ttf")):
        pdfmetrics.registerFont(TTFont(face, str(fonts / file)))

    body = ParagraphStyle(
        "body",
        fontName="Body",
        fontSize=9.8,
        leading=14.5,
        alignment=TA_JUSTIFY,
        spaceAfter=7,
        hyphenationLang="en_GB",
        uriWasteReduce=0.3,
        embeddedHyphenation=1,
    )
    left = ParagraphStyle("left", parent=body, alignment=0, hyphenationLang="")
    cell = ParagraphStyle("cell", parent=left, fontSize=9, leading=11.5, spaceAfter=0)
    cell_bold = ParagraphStyle("cellbold", parent=cell, fontName="Body-Bold")
    title = ParagraphStyle("title", parent=left, fontName="Body-Bold", fontSize=18, leading=23)
    head = ParagraphStyle(
        "head", parent=left, fontName="Body-Bold", fontSize=11.5, leading=15, spaceBefore=9, keepWithNext=1
    )

    def decorate(canvas, doc):
        canvas.saveState()
        canvas.setFont("Body", 8)
        canvas.drawString(24 * mm, 283 * mm, "Tarnwick Instruments B.V.")
        canvas.drawRightString(186 * mm, 283 * mm, "QM-031 Calibration manual, issue 12")
        canvas.line(24 * mm, 281 * mm, 186 * mm, 281 * mm)
        canvas.line(24 * mm, 16 * mm, 186 * mm, 16 * mm)
        canvas.drawString(24 * mm, 12 * mm, "Printed copies are not controlled")
        canvas.drawRightString(186 * mm, 12 * mm, f"Page {doc.page}")
        canvas.restoreState()

    story = []
    blocks = (HERE / "calibration-manual.md").read_text(encoding="utf-8").strip().split("\n\n")
    for block in blocks:
        if block.startswith("# "):
            first, _, rest = block.partition("\n")
            story.append(Paragraph(escape(first[2:]), title))
            if rest:
                story.append(Paragraph(escape(rest.lstrip("@ ")), left))
            story.append(Spacer(1, 4 * mm))
        elif block.startswith("## "):
            story.append(Paragraph(escape(block[3:]), head))
        elif block.startswith("|"):
            rows = [[c.strip() for c in line.strip().strip("|").split("|")] for line in block.splitlines()]
            data = [
                [Paragraph(escape(c), cell_bold if i == 0 else cell) for c in row] for i, row in enumerate(rows)
            ]
            widths = {2: [90 * mm, 55 * mm], 3: [38 * mm, 70 * mm, 52 * mm], 4: [48 * mm, 44 * mm, 38 * mm, 32 * mm]}
            table = Table(data, colWidths=widths[len(rows[0])], hAlign="LEFT", repeatRows=1)
            table.setStyle(
                TableStyle(
                    [
                        ("GRID", (0, 0), (-1, -1), 0.4, colors.HexColor("#9fb3bd")),
                        ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#e6eef2")),
                        ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ]
                )
            )
            story += [KeepTogether([table]), Spacer(1, 4 * mm)]
        else:
            story.append(Paragraph(escape(" ".join(block.split())), body))

    buffer = io.BytesIO()
    doc = BaseDocTemplate(
        buffer,
        pagesize=A4,
        title="Calibration manual for temperature loggers (QM-031, issue 12)",
        author="Esther Molenaar, Tarnwick Instruments B.V.",
        subject="Calibration of TW loggers and TP probes in the laboratory in Breda",
        creator="handbook-src/build.py",
        lang="en-GB",
        invariant=1,  # fixed dates and identifiers
        pageCompression=0,
    )
    frame = Frame(24 * mm, 20 * mm, 162 * mm, 258 * mm, leftPadding=0, rightPadding=0, id="f")
    doc.addPageTemplates([PageTemplate(id="p", frames=[frame], onPage=decorate)])
    doc.build(story)
    return buffer.getvalue()


def main():
    check = "--check" in sys.argv[1:]
    documents = {name: from_typst(name) for name in TYPST}
    documents["calibration-manual"] = calibration_manual()
    failed = False
    for name, data in sorted(documents.items()):
        path = OUT / f"{name}.pdf"
        if check:
            same = path.exists() and path.read_bytes() == data
            failed |= not same
            print(f"{'same   ' if same else 'DIFFERS'} {path.name}")
        else:
            path.write_bytes(data)
            print(f"wrote {path.name} ({len(data)} bytes)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
