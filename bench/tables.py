"""How many cells of real tables arrive: tables.py --vellum BINARY FILE... [--worst N]

The true cells come from a second reader of the format: python-docx, openpyxl, and lxml with the rules of HTML for merged
cells; for a PDF from NAME-str.xml beside it, the ground truth of the ICDAR 2013 table competition. Prints, for each format,
the tables, their cells that hold something, and the share of them that `vellum convert --json` writes in the right row and
column. Needs `python-docx`, `openpyxl` and `lxml`.

A true table is laid over the rows that follow each other best (an alignment of rows, in order), columns and rows without
text left out on both sides; what blank rows or columns part in a sheet are two tables. A cell counts when its words are the same; of numbers and dates of a spreadsheet, the value.
Merged cells count in every place they cover where the second reader says so, and once in PDFs.

What the second readers leave out is read here from the same markup: in Word files the columns before the first cell of a row
(`gridBefore`), content controls and tables in cells, in sheets the places that a merged cell covers (but not where it is alone
in its row), in HTML the text of
pictures and what is not displayed. Two things that Vellum adds do not make a cell wrong: the label of a list item, where the
markup says that the paragraph has one, and the address behind a link, where the markup has a link to just that address in the cell.
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


def letters(text):
    """Letters and digits of a cell, so that quotes, dashes and blanks may differ."""
    text = unicodedata.normalize("NFKC", str(text)).casefold()
    return "".join(c for c in text if c.isalnum() or c in "%$€+-.")


def normal(text):
    return letters(text) or unicodedata.normalize("NFKC", str(text)).casefold().strip()


class Cell(str):
    """The text of a cell with what may stand beside it: labels of list items, addresses of links."""

    def __new__(cls, paragraphs, addresses=()):
        """Takes the text of each paragraph and whether it has a label."""
        cell = super().__new__(cls, " ".join(text for text, _ in paragraphs))
        parts = [LABEL * has_label + re.escape(letters(text)) for text, has_label in paragraphs]
        cell.pattern = re.compile("".join(parts))
        cell.addresses = {address.removeprefix("mailto:") for address in addresses}
        return cell

    def is_in(self, ours):
        for address in self.addresses:
            ours = ours.replace(f"({address})", "")
        return self.pattern.fullmatch(letters(ours)) is not None


# A bullet, a number or a letter, also of several levels.
LABEL = r"(?:-|(?:\d+|[a-z]|[ivxlc]+)(?:\.(?:\d+|[a-z]|[ivxlc]+))*\.?)?"


def docx_tables(path):
    import docx
    from docx.oxml.ns import qn
    document = docx.Document(path)

    def within(element, tag):
        """The nearest elements of a kind, inside of content controls and insertions too."""
        for child in element:
            if child.tag == qn(tag):
                yield child
            elif child.tag in map(qn, ("w:sdt", "w:sdtContent", "w:ins", "w:customXml", "w:smartTag")):
                yield from within(child, tag)

    def value(element, path, default=None):
        for found in element.findall("/".join(map(qn, path.split("/")))):
            return found.get(qn("w:val"), "")
        return default

    def is_listed(paragraph):
        """Whether the paragraph or a style that it has is numbered."""
        number = value(paragraph, "w:pPr/w:numPr/w:numId")
        name = value(paragraph, "w:pPr/w:pStyle")
        for _ in range(20):
            style = next((s for s in document.styles.element if s.get(qn("w:styleId")) == name), None)
            if number is not None or style is None:
                break
            number, name = value(style, "w:pPr/w:numPr/w:numId"), value(style, "w:basedOn")
        return number not in (None, "0")

    def cell(tc):
        paragraphs, addresses = [], set()
        for p in tc.iter(qn("w:p")):
            if any(parent.tag.endswith("}Fallback") for parent in p.iterancestors()):
                continue
            text = ""
            for run in p.iter(qn("w:t"), qn("m:t"), qn("w:tab"), qn("w:br"), qn("w:noBreakHyphen")):
                parents = list(run.iterancestors())
                if next(parent for parent in parents if parent.tag == qn("w:p")) is p:
                    if not any(parent.tag in (qn("w:del"), qn("w:tabs")) for parent in parents):
                        text += "-" if run.tag == qn("w:noBreakHyphen") else run.text or " "
            paragraphs.append((text, is_listed(p)))
        for link in tc.iter(qn("w:hyperlink")):
            relation = document.part.rels.get(link.get(qn("r:id"), ""))
            if relation is not None and relation.is_external:
                addresses.add(relation.target_ref)
        return Cell(paragraphs, addresses)

    for table in document.element.body.iter(qn("w:tbl")):
        # A table inside a table is a part of a cell.
        if any(parent.tag == qn("w:tbl") for parent in table.iterancestors()):
            continue
        rows = []
        for tr in within(table, "w:tr"):
            row = [""] * int(value(tr, "w:trPr/w:gridBefore", 0))
            for tc in within(tr, "w:tc"):
                text = cell(tc)
                if value(tc, "w:tcPr/w:vMerge", "restart") != "restart":
                    above = rows[-1] if rows else []
                    text = above[len(row)] if len(row) < len(above) else ""
                elif value(tc, "w:tcPr/w:hMerge", "restart") != "restart" and row:
                    text = row[-1]
                row += [text] * int(value(tc, "w:tcPr/w:gridSpan", 1))
            rows.append(row)
        yield rows


def xlsx_tables(path):
    import openpyxl
    for sheet in openpyxl.load_workbook(path, data_only=True).worksheets:
        if sheet.sheet_state == "visible" and sheet.max_row <= MAX_ROWS and sheet.max_column <= MAX_COLUMNS:
            rows = [["" if value is None else value for value in row] for row in sheet.iter_rows(values_only=True)]
            own = [sum(str(value).strip() != "" for value in row) for row in rows]
            for area in sheet.merged_cells.ranges:
                value = rows[area.min_row - 1][area.min_col - 1]
                is_alone = own[area.min_row - 1] == 1
                for row in rows[area.min_row - 1:area.max_row]:
                    # A cell alone in its row counts once.
                    if not is_alone:
                        row[area.min_col - 1:area.max_col] = [value] * (area.max_col - area.min_col + 1)
            hidden = {row for row, about in sheet.row_dimensions.items() if about.hidden}
            # A row in which no cell begins, and which merged cells cover, says nothing of its own.
            rows = [row for n, (row, n_own) in enumerate(zip(rows, own), 1)
                    if n not in hidden and (n_own or not any(str(value).strip() for value in row))]
            yield from islands(rows)


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
                for junk in list(cell.iter("style", "script", "*")):
                    is_hidden = "display:none" in junk.get("style", "").replace(" ", "")
                    if junk.tag in ("style", "script") or (is_hidden and junk is not cell):
                        junk.drop_tree()
                for picture in cell.iter("img"):
                    picture.text = picture.get("alt")
                links = [link.get("href") for link in cell.iter("a") if link.get("href")]
                text = Cell([(" ".join(" ".join(cell.itertext()).split()), False)], links)
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
    if isinstance(true, Cell) and letters(true):
        return true.is_in(ours)
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
