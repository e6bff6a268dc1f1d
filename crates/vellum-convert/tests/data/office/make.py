"""Makes the files of this folder: pandoc and python-docx (Word), python-pptx, openpyxl, then LibreOffice from those.

Run in this folder with pandoc and soffice on the path. `tables.json` keeps the true cells of every table.
"""
import datetime, json, pathlib, subprocess, zipfile
from docx import Document
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from openpyxl import Workbook
from openpyxl.styles import Font
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

REPORT = """---
title: Field report
author: Mara Lindqvist
lang: en-GB
---

# Harbour

The *northern* harbour silted up.[^depth] See [the survey](https://example.org/survey).

[^depth]: Soundings of 3 May; 4.2 m at the mole.

## Measures

1. Dredge the basin
    a. North side
    b. South side
2. Mark the channel

- buoys
- lights
    - red
    - green

| Berth | Depth (m) | Ships |
|-------|-----------|-------|
| A1    | 4.2       | 12    |
| A2    | 3.9       | 7     |
| B1    | 6.0       | 31    |

Line one\\
line two with $x^2$.

# Budget

| Item     | 2023   | 2024    |
|----------|--------|---------|
| Dredging | 12,500 | 14,000  |
| Buoys    | 900    | 1,150   |
| Total    | 13,400 | 15,150  |
"""

tables = {}

def words():
    pathlib.Path("report.md").write_text(REPORT)
    subprocess.run(["pandoc", "report.md", "-o", "report.docx"], check=True)
    pathlib.Path("report.md").unlink()
    berths = [["Berth", "Depth (m)", "Ships"], ["A1", "4.2", "12"], ["A2", "3.9", "7"], ["B1", "6.0", "31"]]
    budget = [["Item", "2023", "2024"], ["Dredging", "12,500", "14,000"], ["Buoys", "900", "1,150"],
              ["Total", "13,400", "15,150"]]
    for file in ["report.docx", "report.odt", "report-libreoffice.docx", "report.doc"]:
        tables[file] = [berths, budget]

    document = Document()
    document.core_properties.title = "Contract"
    document.core_properties.author = "Jo Adler"
    document.core_properties.language = "en"
    document.sections[0].header.paragraphs[0].text = "page header"
    document.sections[0].footer.paragraphs[0].text = "page footer"
    document.add_heading("Contract", 0)
    document.add_heading("Parties", 1)
    paragraph = document.add_paragraph("The fee is ")
    for xml in [
        '<w:del %s w:id="1" w:author="x"><w:r><w:delText>100</w:delText></w:r></w:del>',
        '<w:ins %s w:id="2" w:author="x"><w:r><w:t>200</w:t></w:r></w:ins>',
        '<w:r %s><w:t xml:space="preserve"> euro, page </w:t></w:r>',
        '<w:r %s><w:fldChar w:fldCharType="begin"/></w:r>',
        '<w:r %s><w:instrText> PAGEREF a </w:instrText></w:r>',
        '<w:r %s><w:fldChar w:fldCharType="separate"/></w:r>',
        '<w:r %s><w:t>7</w:t></w:r>',
        '<w:r %s><w:fldChar w:fldCharType="end"/></w:r>',
        '<w:r %s><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>',
    ]:
        paragraph._p.append(parse_xml(xml % nsdecls("w")))
    document.add_paragraph("first", "List Number")
    document.add_paragraph("second", "List Number")
    document.add_heading("Deadlines", 2)
    document.add_paragraph("soon", "List Bullet")
    merged = document.add_table(4, 4)
    cells = [["Region", "2023", "", "Note"], ["", "Q1", "Q2", ""], ["North", "1.5", "2.5", "up"],
             ["South", "3.5", "4.5", "down"]]
    for row, texts in zip(merged.rows, cells):
        for cell, text in zip(row.cells, texts):
            cell.text = text
    merged.cell(0, 1).merge(merged.cell(0, 2))
    merged.cell(0, 0).merge(merged.cell(1, 0))
    nested = document.add_table(2, 2)
    nested.cell(0, 0).text, nested.cell(0, 1).text, nested.cell(1, 0).text = "Key", "Values", "k"
    inner = nested.cell(1, 1).add_table(1, 2)
    inner.cell(0, 0).text, inner.cell(0, 1).text = "v1", "v2"
    document.save("contract.docx")
    tables["contract.docx"] = [
        [["Region", "2023", "2023", "Note"], ["Region", "Q1", "Q2", ""], ["North", "1.5", "2.5", "up"],
         ["South", "3.5", "4.5", "down"]],
        [["Key", "Values"], ["k", "v1, v2"]],
    ]

def slides():
    deck = Presentation()
    deck.core_properties.title, deck.core_properties.author = "Town plan", "Ines Roy"
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Town plan"
    body = slide.placeholders[1].text_frame
    body.text = "Housing"
    for level, text in [(1, "120 flats"), (0, "Traffic")]:
        paragraph = body.add_paragraph()
        paragraph.text, paragraph.level = text, level
    slide.notes_slide.notes_text_frame.text = "Ask the council first."
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Figures"
    for text, x, y in [("lower", 1, 6.5), ("right", 5, 5.5), ("left", 1, 5.55)]:
        slide.shapes.add_textbox(Inches(x), Inches(y), Inches(2), Inches(0.5)).text_frame.text = text
    table = slide.shapes.add_table(3, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    rows = [["Year", "Flats"], ["2023", "80"], ["2024", "120"]]
    for row, texts in zip(table.rows, rows):
        for cell, text in zip(row.cells, texts):
            cell.text = text
    tables["deck.pptx"] = tables["deck.odp"] = [rows]
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    chart = CategoryChartData()
    chart.categories = ["North", "South"]
    chart.add_series("Rent", (10.5, 9.25))
    slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(1), Inches(4), Inches(3), chart)
    # The third slide is shown second.
    order = deck.slides._sldIdLst
    order.insert(1, order[2])
    deck.save("deck.pptx")

def sheets():
    book = Workbook()
    book.properties.title, book.properties.creator = "Stock", "Kim Oh"
    sheet = book.active
    sheet.title = "Stock"
    sheet["A1"] = "Stock of spare parts"
    sheet["A1"].font = Font(bold=True)
    parts = [["Part", "Price", "Since", "Margin"], ["Bolt", 0.1 + 0.2, datetime.date(2024, 3, 1), 0.256],
             ["Nut, \u00fc", 1234.5, datetime.datetime(2024, 3, 2, 14, 30), 0.5], ["Washer", 7, None, None]]
    for row in parts:
        sheet.append(row)
    for row in range(3, 6):
        sheet.cell(row, 2).number_format = "#,##0.00"
        sheet.cell(row, 4).number_format = "0.0%"
    sheet["A8"], sheet["B8"], sheet["A9"], sheet["B9"] = "Depot", "Open", "East", True
    hidden = book.create_sheet("Rates")
    hidden.sheet_state = "hidden"
    for row in [["Zone", "2023", None], [None, "net", "gross"], ["I", 10, 11.9], ["II", 20, 23.8]]:
        hidden.append(row)
    hidden.merge_cells("B1:C1")
    hidden.merge_cells("A1:A2")
    long = book.create_sheet("Log")
    long.append(["Number", "Square"])
    for n in range(1, 121):
        long.append([n, n * n])
    book.save("book.xlsx")
    true = [
        [["Part", "Price", "Since", "Margin"], ["Bolt", "0.30", "2024-03-01", "25.6%"],
         ["Nut, \u00fc", "1,234.50", "2024-03-02 14:30", "50.0%"], ["Washer", "7.00", "", ""]],
        [["Depot", "Open"], ["East", "TRUE"]],
        [["Zone", "2023", "2023"], ["Zone", "net", "gross"], ["I", "10", "11.9"], ["II", "20", "23.8"]],
        [["Number", "Square"]] + [[str(n), str(n * n)] for n in range(1, 121)],
    ]
    tables["book.xlsx"] = tables["book.ods"] = tables["book.xls"] = true

def before_2007():
    """Sources of files that only LibreOffice writes: a deck without the chart, and formats."""
    deck = Presentation("deck.pptx")
    deck.part.drop_rel(deck.slides._sldIdLst[1].rId)
    del deck.slides._sldIdLst[1]
    deck.save("deck-97.pptx")
    book = Workbook()
    sheet = book.active
    sheet.title = "Times"
    for row, (label, value, code) in enumerate([
        ("overtime", 1.5, "[h]:mm:ss"), ("opens", 0.25, "hh:mm"), ("half", 0.5, "# ?/?"), ("day", 45352, "d mmm yy"),
        ("weight", 12.5, '0.0" kg"'), ("hidden", 7, ";;;"), ("plain", 0.1 + 0.2, "General"), ("loss", -1234.5, "#,##0.00"),
    ], 1):
        sheet.cell(row, 1, label)
        sheet.cell(row, 2, value).number_format = code
    sheet["IV65536"] = "last corner"
    book.save("times.xlsx")

def office(source, kind, name=None):
    subprocess.run(["soffice", "--headless", "--convert-to", kind, "--outdir", "made", source], check=True)
    made = pathlib.Path("made") / (pathlib.Path(source).stem + "." + kind)
    made.rename(name or made.name)

words()
slides()
sheets()
office("report.docx", "odt")
office("report.odt", "docx", "report-libreoffice.docx")
office("deck.pptx", "odp")
office("book.xlsx", "ods")
office("book.xlsx", "xls")
before_2007()
office("report.docx", "doc")
office("contract.docx", "doc")
office("deck-97.pptx", "ppt", "deck.ppt")
office("times.xlsx", "xls")
# LibreOffice puts a thumbnail of 588 KiB into it.
with zipfile.ZipFile("deck.ppt.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr(zipfile.ZipInfo("deck.ppt", (2024, 3, 1, 9, 30, 0)), pathlib.Path("deck.ppt").read_bytes(), zipfile.ZIP_DEFLATED)
for made in ["deck.ppt", "deck-97.pptx", "times.xlsx"]:
    pathlib.Path(made).unlink()
pathlib.Path("made").rmdir()
pathlib.Path("tables.json").write_text(json.dumps(tables, ensure_ascii=False, indent=0) + "\n")
