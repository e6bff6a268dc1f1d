"""Makes datasets for `vellum eval` of Chroma's chunking evaluation: chunking.py SOURCE OUT

SOURCE is the folder with the five corpora (NAME.md) and `questions.csv`, whose references are characters of a corpus; it is
`chunking_evaluation/evaluation_framework/general_evaluation_data` of github.com/brandonstarxel/chunking_evaluation (MIT).
Written are OUT/NAME, one dataset a corpus, and OUT/all, where each question is asked of all five, as in the report (Smith and
Troynikov, "Evaluating Chunking Strategies for Retrieval", Chroma 2024); and of the latter both halves of the questions,
OUT/tune (every other one) and OUT/confirm, so that what is chosen on one is confirmed on the other.

Then, for instance:

    vellum eval --dataset OUT/confirm --splitter recursive --max-tokens 128 --json

Lines between signs of equality (`= = Gameplay = =`) become headings, as a converter would tell them.
"""

import argparse
import csv
import json
import pathlib
import re

HEADING = re.compile(r"^ ?(=(?: ?=)*) ?([^=\n]*[^=\s])(?: ?=)* *$", re.MULTILINE)


def sections(text):
    """Returns the headings as `vellum_core::document::Section`, spans in bytes."""
    found = [(m.start(), m.group(1).count("="), m.group(2).strip()) for m in HEADING.finditer(text)]
    made = []
    for index, (start, level, title) in enumerate(found):
        later = (at for at, other, _ in found[index + 1 :] if other <= level)
        span = [len(text[:at].encode()) for at in (start, next(later, len(text)))]
        kind = {"heading": {"level": min(level, 6), "title": title}}
        made.append({"kind": kind, "span": {"start": span[0], "end": span[1]}})
    return made


def questions(source, corpora):
    """Returns (id, corpus, question, references) and checks that each reference is what stands at its characters."""
    csv.field_size_limit(2**30)
    with open(source / "questions.csv", encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), 1):
            references = json.loads(row["references"])
            text = corpora[row["corpus_id"]]
            for reference in references:
                span = text[reference["start_index"] : reference["end_index"]]
                assert span == reference["content"], f"question {number}: {span!r}"
            yield f"q{number}", row["corpus_id"], row["question"], references


def write(folder, corpora, asked):
    (folder / "qrels").mkdir(parents=True, exist_ok=True)

    def lines(name, values):
        text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
        (folder / name).write_text(text, encoding="utf-8")

    lines(
        "corpus.jsonl",
        ({"_id": name, "text": text, "sections": sections(text)} for name, text in corpora.items()),
    )
    lines("queries.jsonl", ({"_id": number, "text": question} for number, _, question, _ in asked))
    lines(
        "spans.jsonl",
        (
            {"query-id": number, "corpus-id": name, "start": it["start_index"], "end": it["end_index"]}
            for number, name, _, references in asked
            for it in references
        ),
    )
    rows = "".join(f"{number}\t{name}\t1\n" for number, name, _, _ in asked)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}", encoding="utf-8")
    print(f"{folder}: {len(corpora)} documents, {len(asked)} questions")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    texts = sorted(args.source.glob("*.md"))
    corpora = {path.stem: path.read_bytes().decode() for path in texts}
    asked = list(questions(args.source, corpora))
    for name, text in corpora.items():
        write(args.out / name, {name: text}, [it for it in asked if it[1] == name])
    write(args.out / "all", corpora, asked)
    write(args.out / "tune", corpora, asked[::2])
    write(args.out / "confirm", corpora, asked[1::2])


if __name__ == "__main__":
    main()
