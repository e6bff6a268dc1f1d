"""How many cells of real tables arrive: tables.py --vellum BINARY FILE... [--worst N]

The true cells come from a second reader of the format: python-docx, openpyxl, and lxml with the rules of HTML for merged
cells; for a PDF from NAME-str.xml beside it, the ground truth of the ICDAR 2013 table competition. Prints, for each format,
the tables, their cells that hold something, and the share of them that `vellum convert --json` writes in the right row and
column. Needs `python-docx`, `openpyxl` and `lxml`.

A true table is laid over the rows that follow each other best (an alignment of rows, in order), columns and rows without
text left out on both sides; what blank rows or columns part in a sheet are two tables. A cell counts when its words are the same; of numbers and dates of a spreadsheet, the value.
Merged cells count in every place they cover where the second reader says so, and once in PDFs.
"""

import argparse
import collections
import datetime
import json
import pathlib
import re
import subprocess
import sys
import unicodedata

MAX_ROWS = 400
MAX_COLUMNS = 60


def normal(text):
    """Letters and digits of a cell, so that quotes, dashes and blanks may differ."""
    text = unicodedata.normalize("NFKC", str(text)).casefold()
    return "".join(c for c in text if c.isalnum() or c in "%$€+-.") or text.strip()


def docx_tables(path):
    import docx
    from docx.oxml.ns import qn
    from docx.table import Table
    for table in docx.Document(path).element.body.iter(qn("w:tbl")):
        # A table inside a table is a part of a cell.
        if not any(parent.tag == qn("w:tbl") for parent in table.iterancestors()):
            table = Table(table, None)
            yield [[cell.text for cell in row.cells] for row in table.rows]


def xlsx_tables(path):
    import openpyxl
    for sheet in openpyxl.load_workbook(path, data_only=True).worksheets:
        if sheet.sheet_state == "visible" and sheet.max_row <= MAX_ROWS and sheet.max_column <= MAX_COLUMNS:
            hidden = {row for row, about in sheet.row_dimensions.items() if about.hidden}
            yield from islands([["" if value is None else value for value in row]
                                for n, row in enumerate(sheet.iter_rows(values_only=True), 1) if n not in hidden])


def islands(rows):
    """The tables of a sheet: what blank rows and columns part."""
    for axis in (0, 1):
        lines = rows if axis == 0 else [list(column) for column in zip(*rows)]
        blank = [not any(str(cell).strip() for cell in line) for line in lines]
        if any(blank):
            part = []
            for line, is_blank in zip(lines + [[]], blank + [True]):
                if not is_blank:
                    part.append(line)
                elif part:
                    yield from islands(part if axis == 0 else [list(row) for row in zip(*part)])
                    part = []
            return
    yield rows


def html_tables(path):
    import lxml.html
    document = lxml.html.parse(str(path), lxml.html.HTMLParser(encoding="utf-8")).getroot()
    for table in document.iter("table"):
        if list(table.iterancestors("table")) or table.findall(".//table"):
            continue
        rows, hanging = [], {}
        for tr in table.iter("tr"):
            row, cells = [], [cell for cell in tr if cell.tag in ("td", "th")]
            while cells or hanging.get(len(row), ("", 0))[1] > 0:
                text, left = hanging.get(len(row), ("", 0))
                if left > 0:
                    hanging[len(row)] = (text, left - 1)
                    row.append(text)
                    continue
                cell = cells.pop(0)
                for junk in cell.iter("style", "script"):
                    junk.text = ""
                text = " ".join(" ".join(cell.itertext()).split())
                for _ in range(int(cell.get("colspan") or 1)):
                    hanging[len(row)] = (text, int(cell.get("rowspan") or 1) - 1)
                    row.append(text)
            rows.append(row)
        yield rows


def pdf_tables(path):
    import lxml.etree
    truth = path.with_name(path.stem + "-str.xml")
    for table in lxml.etree.parse(str(truth)).getroot().iter("table"):
        for region in table.iter("region"):
            cells = {}
            for cell in region.iter("cell"):
                text = " ".join(cell.findtext("content", "").split())
                cells[int(cell.get("start-row")), int(cell.get("start-col"))] = text
            if cells:
                height, width = (max(at[n] for at in cells) + 1 for n in (0, 1))
                yield [[cells.get((row, column), "") for column in range(width)] for row in range(height)]


READERS = {".docx": docx_tables, ".xlsx": xlsx_tables, ".html": html_tables, ".pdf": pdf_tables}


def our_rows(vellum, path):
    """All rows of all tables, an empty row between two tables."""
    run = subprocess.run([vellum, "convert", path, "--json"], capture_output=True, text=True)
    rows = []
    for page in json.loads(run.stdout or "{}").get("pages", []):
        for line in page["text"].split("\n"):
            if line.startswith("| ") and line.endswith(" |"):
                cells = re.split(r"(?<!\\)\|", line[1:-1])
                rows.append([cell.strip().replace("\\|", "|") for cell in cells])
            elif rows and rows[-1]:
                rows.append([])
        rows.append([])
    return rows


def same(true, ours):
    if isinstance(true, (datetime.datetime, datetime.date)):
        digits = re.findall(r"\d+", ours)
        return str(true.year) in digits or f"{true.year % 100:02}" in digits
    if isinstance(true, (datetime.time, datetime.timedelta)):
        return ours != ""
    if isinstance(true, bool):
        return ours.casefold() in (str(true).casefold(), str(int(true)))
    if isinstance(true, (int, float)):
        text = re.sub(r"[^\d.eE+-]", "", ours)
        try:
            shown = float(text) / (100 if "%" in ours else 1)
        except ValueError:
            return False
        decimals = len(text.partition(".")[2]) + (2 if "%" in ours else 0)
        return abs(abs(shown) - abs(true)) <= 0.51 * 10 ** -decimals
    return normal(true) == normal(ours)


def dense(rows):
    """Leaves out rows and columns without text."""
    rows = [row for row in rows if any(str(cell).strip() for cell in row)]
    width = max(map(len, rows), default=0)
    rows = [row + [""] * (width - len(row)) for row in rows]
    kept = [n for n in range(width) if any(str(row[n]).strip() for row in rows)]
    return [[row[n] for n in kept] for row in rows]


def matched(true, ours):
    """The most cells of `true` that an alignment of its rows with consecutive rows of `ours` gets right."""
    best = [0] * (len(ours) + 1)
    for row in true:
        cells = [(n, cell) for n, cell in enumerate(row) if str(cell).strip()]
        scores = [sum(n < len(other) and same(cell, other[n]) for n, cell in cells) for other in ours]
        line = [0]
        for n, score in enumerate(scores):
            line.append(max(best[n] + score, best[n + 1], line[n]))
        best = line
    return best[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--vellum", required=True)
    parser.add_argument("--worst", type=int, default=0)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    tables = collections.defaultdict(list)
    for path in args.files:
        try:
            true = [dense(table) for table in READERS[path.suffix](path)]
        except Exception as error:  # What the second reader cannot read has no truth.
            print(f"{path.name}: no truth: {type(error).__name__}: {error}"[:160], file=sys.stderr)
            continue
        true = [rows for rows in true if 2 <= len(rows) <= MAX_ROWS and len(rows[0]) >= 2]
        if not true:
            continue
        ours = our_rows(args.vellum, path)
        groups, group = [], []
        for row in ours + [[]]:
            if row:
                group.append(row)
            elif group:
                groups.append(dense(group))
                group = []
        # A table that a page's end or a caption divides counts as one.
        candidates = groups + [a + b for a, b in zip(groups, groups[1:])]
        if sum(map(len, groups)) <= MAX_ROWS:
            candidates.append([row for group in groups for row in group])
        for n, rows in enumerate(true, 1):
            cells = sum(bool(str(cell).strip()) for row in rows for cell in row)
            right = 0
            for candidate in candidates:
                if right < cells and len(candidate) <= 4 * MAX_ROWS:
                    right = max(right, matched(rows, candidate))
            tables[path.suffix].append((right / cells, right, cells, f"{path.name} table {n}"))
    for suffix, found in sorted(tables.items()):
        right, cells = sum(t[1] for t in found), sum(t[2] for t in found)
        whole = sum(t[0] == 1.0 for t in found)
        print(f"{suffix[1:]:5} {len(found):4} tables {cells:6} cells  {right / cells:7.2%} right  {whole} tables whole")
        for share, right, cells, name in sorted(found)[:args.worst]:
            print(f"      {share:6.1%} of {cells:5}  {name}")


if __name__ == "__main__":
    main()
