"""Writes a deterministic English corpus with planted questions: the same arguments give the same bytes.

    make_corpus.py OUT --docs N --pages-per-doc P --seed S      PDFs with a text layer, in two paper-like styles
    make_corpus.py OUT --docs N --words W --plain               small text files
    make_corpus.py OUT --docs N --words W --jsonl               passages in BEIR layout
    make_corpus.py OUT --bytes B                                one text file of B bytes

Documents go to OUT/docs; --plain and --jsonl together write the same texts both ways, and `_id` is then the file name.
OUT/questions.jsonl holds at most 200 questions, {id, question, source, answer}, each answered by one sentence that
stands in one document. With `--text-from DIR` the sentences of the Markdown files there are recombined; without it they
come from templates over a fixed vocabulary. Only the PDFs need a package (reportlab).
"""

import argparse
import itertools
import json
import pathlib
import random
import re

MAX_QUESTIONS = 200
FILES_PER_DIRECTORY = 1000
WORDS_PER_PAGE = 520

ADJECTIVES = """amber arctic brisk cobalt copper crimson distant eastern emerald gentle golden granite hidden hollow
indigo ivory jade lunar marble mellow misty northern opal pale quiet rapid rustic scarlet silent silver solar southern
steep tidal velvet violet western winter wooden young""".split()
ANIMALS = """badger bison condor coyote crane dolphin eagle egret falcon ferret finch gazelle gecko heron ibex jackal
kestrel lemur lynx magpie marmot marten mole newt ocelot osprey otter owl panther pelican plover puffin raven salmon
sparrow stork swift tapir walrus wren""".split()
WORKS = """reservoir survey|turbine registry|harvest ledger|tram timetable|vaccine archive|pension scheme|bridge
inspection|orchid catalogue|payroll system|seabird census|tunnel project|library exchange|crop insurance|ferry service|
glacier study|school lunch programme|noise map|textile collection|water tariff|radio network""".replace("\n", " ").split("|")
FIRST = """Ingrid Tomas Amina Pavel Lucia Henrik Yusuf Mirela Oskar Priya Andrei Salma Bruno Keiko Dario Freya Mateo
Nadia Ruben Sofia Emil Leila Viktor Hana Jonas Carmen Arto Zofia Idris Marta""".split()
LAST = """Halvorsen Novak Okafor Lindqvist Moretti Sandoval Petrov Haddad Kovacs Tanaka Brandt Ferreira Nilsen Costa
Dimitrov Farouk Jansen Keller Larsen Mendes Oliveira Peeters Quist Rossi Schreiber Takala Urban Vega Weber Zielinski""".split()
CITIES = """Trondheim Porto Gdansk Ljubljana Tampere Ghent Bergen Zaragoza Brno Lille Malmo Trieste Graz Aarhus Kaunas
Split Turku Leipzig Cork Bilbao Utrecht Varna Basel Tartu Palermo""".split()

SUBJECTS = """the committee|the regional office|a recent review|the survey team|our second experiment|the supplier|the
model|this procedure|the field trial|each district|the revised budget|the early design|the monitoring station|an
independent audit|the control group|the maintenance crew|the draft standard|a smaller sample|the archive|the operator""".replace("\n", " ").split("|")
VERBS = """reported|compared|postponed|confirmed|measured|reduced|documented|replaced|extended|questioned|described|
estimated|improved|recorded|rejected|combined|examined|supported|delayed|simplified""".replace("\n", "").split("|")
OBJECTS = """the seasonal averages|two earlier proposals|the cost of transport|a set of water samples|the error rate|
several contracts|the storage requirements|the distribution of income|most of the complaints|the calibration of the
sensors|the training schedule|the quality of the translations|a shortage of qualified staff|the delivery times|the
voltage limits|the visitor numbers|the soil temperature|three years of invoices|the safety margin|the response to
treatment""".replace("\n", " ").split("|")
ENDINGS = """before the end of the quarter|without any change in staffing|under the conditions described above|in four of
the seven regions|because the older figures were incomplete|which had not been expected|and published the result in the
annual summary|although the difference was small|after a delay of several weeks|with an uncertainty of about five
per cent|as long as the temperature stayed above freezing|so that later teams could repeat the work|at roughly half of
the original price|when the demand exceeded the forecast|despite repeated warnings from the inspectors|for reasons that
remain unclear""".replace("\n", " ").split("|")
OPENINGS = """In addition,|By contrast,|In practice,|According to the minutes,|Over the following year,|As a result,|At
the same time,|In most cases,|For the larger sites,|During the winter months,""".replace("\n", " ").split("|")
HEADINGS = """Introduction|Background|Related work|Materials and methods|Data|Results|Discussion|Limitations|Costs|
Recommendations|Conclusions""".replace("\n", "").split("|")


def template_sentence(rng):
    words = f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS).strip()} {rng.choice(ENDINGS).strip()}"
    if rng.random() < 0.3:
        words += f", and {rng.choice(SUBJECTS).strip()} {rng.choice(VERBS)} {rng.choice(OBJECTS).strip()}"
    if rng.random() < 0.3:
        return f"{rng.choice(OPENINGS)} {words.strip()}."
    return f"{words[0].upper()}{words[1:]}."


def sentences_of(directory):
    """Returns the prose sentences of the Markdown files below `directory`, markup and fragments left out."""
    found = set()
    for path in sorted(pathlib.Path(directory).rglob("*.md")):
        text = re.sub(r"`[^`]*`|[*_#>|\[\]]|\(http[^)]*\)", " ", path.read_text(encoding="utf-8", errors="ignore"))
        for sentence in re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", text)):
            if 8 <= len(sentence.split()) <= 40 and re.fullmatch(r"[A-Z][\x20-\x7e]*[.!?]", sentence):
                found.add(sentence)
    if len(found) < 100:
        raise SystemExit(f"{directory} has {len(found)} usable sentences, 100 are needed")
    return sorted(found)


def facts(seed):
    """Yields an endless series of (sentence, question, answer); no two share a project name."""
    rng = random.Random(f"facts {seed}")
    names = list(itertools.product(ADJECTIVES, ANIMALS))
    rng.shuffle(names)
    for adjective, animal in names:
        name = f"{adjective.title()} {animal.title()} {rng.choice(WORKS).strip()}"
        person, city = f"{rng.choice(FIRST)} {rng.choice(LAST)}", rng.choice(CITIES)
        yield f"The {name} is managed by {person} from the office in {city}.", f"Who manages the {name}?", person


def prose(rng, n_words, pool):
    """Returns sentences with `n_words` words or slightly more in all."""
    sentences, count = [], 0
    while count < n_words:
        sentence = rng.choice(pool) if pool else template_sentence(rng)
        sentences.append(sentence)
        count += len(sentence.split())
    return sentences


def small_texts(args, pool):
    """Yields (name, text, fact or None); `MAX_QUESTIONS` facts at most, spread evenly."""
    known = facts(args.seed)
    step = max(1, args.docs // MAX_QUESTIONS)
    for i in range(args.docs):
        rng = random.Random(f"{args.seed} {i}")
        sentences = prose(rng, args.words, pool)
        fact = next(known) if i % step == 0 and i // step < MAX_QUESTIONS else None
        if fact:
            sentences[rng.randrange(len(sentences))] = fact[0]
        yield f"note-{i:06}.txt", " ".join(sentences), fact


def write_small(args, pool, out):
    corpus = open(out / "corpus.jsonl", "w", encoding="utf-8") if args.jsonl else None
    questions = []
    for i, (name, text, fact) in enumerate(small_texts(args, pool)):
        if corpus:
            corpus.write(json.dumps({"_id": name, "title": "", "text": text}) + "\n")
        if args.plain:
            directory = out / "docs" / f"{i // FILES_PER_DIRECTORY:03}"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text + "\n", encoding="utf-8")
        if fact:
            questions.append((name, fact))
    write_questions(out, questions)
    if corpus:
        corpus.close()
        (out / "qrels").mkdir(exist_ok=True)
        with open(out / "queries.jsonl", "w", encoding="utf-8") as queries, open(out / "qrels/test.tsv", "w") as qrels:
            qrels.write("query-id\tcorpus-id\tscore\n")
            for i, (name, (_, question, _)) in enumerate(questions):
                queries.write(json.dumps({"_id": f"q{i}", "text": question}) + "\n")
                qrels.write(f"q{i}\t{name}\t1\n")


def write_questions(out, questions):
    with open(out / "questions.jsonl", "w", encoding="utf-8") as file:
        for i, (source, (_, question, answer)) in enumerate(questions):
            file.write(json.dumps({"id": f"q{i}", "question": question, "source": source, "answer": answer}) + "\n")


def write_pdfs(args, pool, out):
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.pdfgen.canvas import Canvas

    styles = [("Times-Roman", "Times-Bold", 9.5, 2), ("Helvetica", "Helvetica-Bold", 10.5, 1)]
    (out / "docs").mkdir(parents=True, exist_ok=True)
    known, questions = facts(args.seed), []
    width, height = A4
    margin, gap = 18 * mm, 7 * mm
    for i in range(args.docs):
        rng = random.Random(f"{args.seed} {i}")
        body, bold, size, n_columns = styles[i % len(styles)]
        name, fact = f"paper-{i:04}.pdf", next(known)
        canvas = Canvas(str(out / "docs" / name), pagesize=A4, invariant=1, pageCompression=1)
        canvas.setTitle(f"Report {i} on the {rng.choice(WORKS).strip()}")
        column_width = (width - 2 * margin - (n_columns - 1) * gap) / n_columns
        fact_page = rng.randrange(args.pages_per_doc)
        for page in range(args.pages_per_doc):
            sentences = prose(rng, WORDS_PER_PAGE, pool)
            if page == fact_page:
                sentences.insert(len(sentences) // 3, fact[0])
            canvas.setFont(body, 8)
            canvas.drawCentredString(width / 2, 10 * mm, str(page + 1))
            canvas.setFont(bold, size + 3)
            canvas.drawString(margin, height - margin, f"{page + 1}. {rng.choice(HEADINGS).strip()}")
            canvas.setFont(body, size)
            lines = wrap(canvas, sentences, body, size, column_width)
            x, y = margin, height - margin - 9 * mm
            for line in lines:
                if y < 18 * mm:
                    x, y = x + column_width + gap, height - margin - 9 * mm
                    if x > width - margin:
                        break
                canvas.drawString(x, y, line)
                y -= size * 1.25
            canvas.showPage()
        canvas.save()
        questions.append((name, fact))
    write_questions(out, questions[:MAX_QUESTIONS])


def wrap(canvas, sentences, font, size, width):
    """Breaks paragraphs of five sentences into lines no wider than `width`; an empty line ends a paragraph."""
    lines = []
    for start in range(0, len(sentences), 5):
        line = ""
        for word in " ".join(sentences[start : start + 5]).split():
            longer = f"{line} {word}" if line else word
            if canvas.stringWidth(longer, font, size) > width:
                lines.append(line)
                longer = word
            line = longer
        lines += [line, ""]
    return lines


def write_one_file(args, pool, out):
    """Writes one text file of `args.bytes` bytes, built from a block of 4 MB whose number is changed for each repeat."""
    (out / "docs").mkdir(parents=True, exist_ok=True)
    block = "\n\n".join(" ".join(prose(random.Random(f"{args.seed} {i}"), 90, pool)) for i in range(7000)).encode()
    written = 0
    with open(out / "docs/large.txt", "wb") as file:
        for number in itertools.count():
            if written >= args.bytes:
                break
            piece = b"Part %d of the record begins here.\n\n%s\n\n" % (number, block)
            written += file.write(piece[: args.bytes - written])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--docs", type=int, default=12)
    parser.add_argument("--pages-per-doc", type=int, default=16)
    parser.add_argument("--words", type=int, default=120)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--text-from", metavar="DIR")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--jsonl", action="store_true")
    parser.add_argument("--bytes", type=int)
    args = parser.parse_args()
    if args.plain or args.jsonl or not args.bytes:
        limit = len(ADJECTIVES) * len(ANIMALS)
        if not (args.plain or args.jsonl) and args.docs > limit:
            parser.error(f"at most {limit} PDFs: each has a project name of its own")
    args.out.mkdir(parents=True, exist_ok=True)
    pool = sentences_of(args.text_from) if args.text_from else None
    if args.bytes:
        write_one_file(args, pool, args.out)
    elif args.plain or args.jsonl:
        write_small(args, pool, args.out)
    else:
        write_pdfs(args, pool, args.out)


if __name__ == "__main__":
    main()
