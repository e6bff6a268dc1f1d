"""Compares what is read of Office files before 2007 with what other programs read: words that arrive, files read.

Run: python3 bench/before_2007.py FOLDER CONVERT [CONVERT ...]

FOLDER holds .doc, .ppt and .xls files (figures in ARCHITECTURE.md: test-data of Apache POI, all of them); CONVERT is
`target/release/examples/convert`, or several builds of it to compare. Needs soffice, antiword and catdoc on the path, and
python-pptx and xlrd (PyPI). The independent reader of .doc is LibreOffice, of .ppt python-pptx on what LibreOffice makes of
them, of .xls xlrd (its texts). A file counts when that reader finds five words; one that is not read counts as no words.
"""
import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile

WORD = re.compile(r"\w+")
FURNITURE = {13, 14, 15, 16}  # Numbers, headers, footers and dates of slides, left out on purpose.


def words(text):
    return collections.Counter(word.lower() for word in WORD.findall(text))


def printed(*command):
    try:
        return subprocess.run(command, capture_output=True, timeout=60).stdout.decode("utf8", "replace")
    except subprocess.TimeoutExpired:
        return ""


def converted(program, file):
    """Returns the text that `convert` prints, without its first line about the file."""
    return printed(program, str(file)).partition("\n")[2]


def by_libreoffice(files, kind, folder):
    subprocess.run(
        ["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless", "--convert-to", kind, "--outdir", folder, *files],
        capture_output=True, timeout=1800, check=True,
    )
    ending = kind.split(":")[0]
    made = {file: pathlib.Path(folder) / f"{file.stem}.{ending}" for file in files}
    return {file: path for file, path in made.items() if path.exists()}


def shown(shapes):
    for shape in shapes:
        if shape.shape_type == 6:
            yield from shown(shape.shapes)
            continue
        if shape.is_placeholder and shape.placeholder_format.type in FURNITURE:
            continue
        if shape.has_text_frame:
            yield shape.text_frame.text
        if getattr(shape, "has_table", False) and shape.has_table:
            yield from (cell.text for row in shape.table.rows for cell in row.cells)


def slides(path):
    from pptx import Presentation

    texts = []
    for slide in Presentation(path).slides:
        texts += shown(slide.shapes)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame:
            texts.append(slide.notes_slide.notes_text_frame.text)
    return "\n".join(texts)


def cells(path):
    import xlrd

    with open(os.devnull, "w") as log:
        book = xlrd.open_workbook(path, logfile=log)
    texts = (sheet.cell(row, column) for sheet in book.sheets() for row in range(sheet.nrows) for column in range(sheet.ncols))
    return "\n".join(cell.value for cell in texts if cell.ctype == xlrd.XL_CELL_TEXT)


def truths(kind, files, folder):
    """Yields each file with the independent reader's text; those that it cannot read are left out."""
    if kind == "doc":
        for file, made in by_libreoffice(files, "txt:Text", folder).items():
            yield file, made.read_text("utf8", "replace")
        return
    made = by_libreoffice(files, "pptx", folder) if kind == "ppt" else {file: file for file in files}
    for file, path in made.items():
        try:
            yield file, slides(path) if kind == "ppt" else cells(path)
        except Exception as error:  # Any damage to the reader's taste.
            print(f"  {file.name}: the independent reader fails: {type(error).__name__}", file=sys.stderr)


def main():
    folder, programs = pathlib.Path(sys.argv[1]), sys.argv[2:]
    for kind in ["doc", "ppt", "xls"]:
        files = sorted(folder.rglob(f"*.{kind}"))
        readers = {program: lambda file, program=program: converted(program, file) for program in programs}
        if kind == "doc":
            readers["antiword"] = lambda file: printed("antiword", "-m", "UTF-8.txt", str(file))
            readers["catdoc"] = lambda file: printed("catdoc", "-d", "utf-8", str(file))
        shares = {reader: [] for reader in readers}
        with tempfile.TemporaryDirectory() as made:
            for file, truth in truths(kind, files, made):
                truth = words(truth)
                n_words = sum(truth.values())
                if n_words < 5:
                    continue
                for reader, read in readers.items():
                    found = words(read(file))
                    shares[reader].append(sum(min(n, found[word]) for word, n in truth.items()) / n_words)
        for reader, own in shares.items():
            n_read = sum(share > 0 for share in own)
            of_read = sum(own) / max(n_read, 1)
            print(f"{kind}: {len(own)} files, {reader}: {n_read} read, {sum(own) / max(len(own), 1):.2%} of words, {of_read:.2%} of those read")


if __name__ == "__main__":
    main()
