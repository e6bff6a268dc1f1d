"""Fetches PDFs for P3 from source distributions on PyPI: fetch_pdfs.py DIR

Scientific papers, forms, invoices, reports and slides that other PDF libraries test themselves with, PyMuPDF's own among
them. Versions are pinned. Files that are encrypted, hold no page, or more than MAX_BYTES are left out. Needs pypdfium2.
"""

import io
import json
import pathlib
import sys
import tarfile
import urllib.parse
import urllib.request

import pypdfium2

SOURCES = {"pymupdf": "2.0", "pdf2docx": "0.5.13", "pdfx": "1.4.1", "pypdf": "7.1.0", "tabula-py": "2.10.0"}
MAX_BYTES = 8 << 20
# Mirrors of PyPI give addresses relative to a page two levels deep.
FILES = "https://files.pythonhosted.org/simple/project/"


def pdfs_of(project, version):
    with urllib.request.urlopen(f"https://pypi.org/pypi/{project}/json") as reply:
        files = json.load(reply)["releases"][version]
    source = next(file for file in files if file["packagetype"] == "sdist")
    with urllib.request.urlopen(urllib.parse.urljoin(FILES, source["url"])) as reply:
        archive = tarfile.open(fileobj=io.BytesIO(reply.read()))
    for member in archive:
        if member.isfile() and member.name.lower().endswith(".pdf") and member.size <= MAX_BYTES:
            yield member.name.rsplit("/", 1)[-1], archive.extractfile(member).read()


def opens(content):
    try:
        return len(pypdfium2.PdfDocument(content)) > 0
    except pypdfium2.PdfiumError:
        return False


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for project, version in SOURCES.items():
        taken = 0
        for name, content in pdfs_of(project, version):
            if opens(content):
                (directory / f"{project}-{name}").write_bytes(content)
                taken += 1
        print(f"{project} {version}: {taken} PDFs", file=sys.stderr)


if __name__ == "__main__":
    main()
