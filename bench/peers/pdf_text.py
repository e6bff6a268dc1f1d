"""P3, peer side: the text of PDFs by one library, page by page: pdf_text.py ENGINE OUT_DIR FILE...

Writes OUT_DIR/NAME.txt with a form feed between pages and prints one JSON line a file: name, pages, seconds (opening the
file and reading all pages; importing the library left out). One thread. A file that fails has `error` instead.
"""

import json
import pathlib
import sys
import time


def pymupdf_pages(path):
    import pymupdf
    with pymupdf.open(path) as document:
        return [page.get_text(sort=False) for page in document]


def pypdfium2_pages(path):
    import pypdfium2
    document = pypdfium2.PdfDocument(path)
    return [page.get_textpage().get_text_range() for page in document]


def pdf_oxide_pages(path):
    import pdf_oxide
    document = pdf_oxide.PdfDocument(str(path))
    return [document.extract_text(n) for n in range(document.page_count())]


ENGINES = {"pymupdf": pymupdf_pages, "pypdfium2": pypdfium2_pages, "pdf_oxide": pdf_oxide_pages}


def main():
    engine, out, *files = sys.argv[1:]
    read, out = ENGINES[engine], pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    __import__(engine)
    for file in map(pathlib.Path, files):
        began = time.perf_counter()
        try:
            pages = read(file)
        except Exception as error:  # Each library has errors of its own, and one bad file ends none of the others.
            print(json.dumps({"name": file.name, "error": f"{type(error).__name__}: {error}"[:200]}))
            continue
        seconds = time.perf_counter() - began
        (out / f"{file.name}.txt").write_text("\f".join(pages), encoding="utf-8", errors="replace")
        print(json.dumps({"name": file.name, "pages": len(pages), "seconds": seconds}))


if __name__ == "__main__":
    main()
