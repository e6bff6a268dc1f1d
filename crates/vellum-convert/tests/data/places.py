"""Makes places.pdf, turned.pdf and scanned.pdf: text in columns, a table, bookmarks, a turned page, a scan.

Run in this folder with reportlab, pymupdf and pypdf installed.
"""

import io

import pymupdf
from pypdf import PdfReader, PdfWriter
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen import canvas
from reportlab.platypus import Paragraph

SENTENCES = [
    "Annual leave is counted in working days.",
    "Every employee receives thirty days in each calendar year, and days that were not taken by March expire.",
    "Requests are sent to the head of the department at least two weeks before the first day of absence.",
    "An answer comes within five working days.",
]
STYLES = getSampleStyleSheet()


def page(c, number, heading, key, level):
    body = " ".join(SENTENCES[number:] + SENTENCES[:number])
    width, height = A4
    c.bookmarkPage(key, fit="XYZ", left=0, top=height - 60, zoom=0)
    c.addOutlineEntry(heading, key, level)
    c.setFont("Helvetica-Bold", 18)
    c.drawString(72, height - 80, heading)
    for x in (72, 310):
        block = Paragraph(" ".join([body] * 3), STYLES["BodyText"])
        _, used = block.wrap(210, 400)
        block.drawOn(c, x, height - 110 - used)
    c.setFont("Times-Roman", 11)
    for row, cells in enumerate([("Country", "Days"), ("Denmark", "30"), ("Poland", "26")]):
        c.drawString(80, 220 - 20 * row, cells[0])
        c.drawString(300, 220 - 20 * row, cells[1])
    c.showPage()


def main():
    out = io.BytesIO()
    c = canvas.Canvas(out, pagesize=A4, invariant=True)
    page(c, 0, "Annual leave", "a", 0)
    page(c, 1, "Parental leave", "b", 1)
    page(c, 2, "Travel", "c", 0)
    c.save()
    open("places.pdf", "wb").write(out.getvalue())

    writer = PdfWriter()
    turned = writer.add_page(PdfReader(out).pages[0])
    turned.rotate(90)
    writer.write("turned.pdf")

    source = pymupdf.open(stream=out.getvalue())
    scanned = pymupdf.open()
    scanned.insert_pdf(source, from_page=0, to_page=0)
    for number in (1, 2):
        picture = source[number].get_pixmap(dpi=130, colorspace=pymupdf.csGRAY)
        sheet = scanned.new_page(width=A4[0], height=A4[1])
        sheet.insert_image(sheet.rect, stream=picture.tobytes("jpg", jpg_quality=40))
    scanned.save("scanned.pdf", garbage=4, deflate=True)


main()
