"""Measures Vellum beside its peers and prints, for each goal, both figures, their ratio and whether the floor is met.

    run.py --vellum BINARY --encode-bench BINARY --pages BINARY --worker BINARY --peer-python VENV/bin/python --out results.json
           [--only P1,P2,P3,P5,P7,P8,P9,P11] [--quick] [--work DIR] [--markdown FILE] [--pdfs DIR]

Every goal is a ratio within one run: ours and the peer's alternate (A B A B), the figure is the median over the rounds
(5, with --quick 3 on smaller corpora), both see the same bytes on the same CPUs, and the output of both is checked in
the same rounds. A failed check makes the figure invalid, whatever the ratio. What each goal means and what is left out
is in README.md. Exit code: 0 all floors met, 1 some not, 2 something could not be measured.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from fidelity import fidelity, is_language, words
from harness import (Failure, Server, free_port, fresh, interleave, machine, median, open_loop, percentile, read_f32,
                     read_npy, run)

HERE = pathlib.Path(__file__).resolve().parent
MODEL_DIR = HERE.parent / "crates/vellum-inference/model/all-MiniLM-L6-v2"
SEARCH_PATH = "/api/v1/search"
READY_PATH = "/readyz"
SEED = 7


class Bench:
    """What every measurement needs: the two sides' programs, the work directory and the size of the run."""

    def __init__(self, args):
        self.vellum, self.encode_bench = args.vellum, args.encode_bench
        self.pages, self.worker = args.pages, args.worker
        self.python, self.threads = args.peer_python, args.threads
        self.rounds = 3 if args.quick else 5
        self.quick, self.work, self.pdfs, self.batch_size = args.quick, args.work, args.pdfs, args.peer_batch
        self.peer_env = {"OMP_NUM_THREADS": str(args.threads), "HF_HUB_OFFLINE": "1"}

    def corpus(self, name, *options):
        """Makes a corpus once and returns its directory."""
        directory = self.work / "corpora" / name
        if not (directory / ".complete").exists():
            fresh(directory)
            command = [self.python, HERE / "make_corpus.py", directory, "--seed", SEED, *options]
            subprocess.run([str(part) for part in command], check=True)
            (directory / ".complete").touch()
        return directory

    def pdf_corpus(self):
        docs, pages = (6, 8) if self.quick else (12, 16)
        return self.corpus(f"pdf-{docs}x{pages}", "--docs", docs, "--pages-per-doc", pages)

    def ours(self, data_dir, *arguments, sample=True, limit_s=None):
        return run([self.vellum, *arguments], {"VELLUM_DATA_DIR": str(data_dir)}, sample, limit_s)

    def peer(self, script, *arguments, sample=True):
        result = run([self.python, HERE / "peers" / script, *arguments, "--threads", self.threads], self.peer_env, sample)
        return result, result.json()


def row(goal, what, unit, ours, peer, ratio, target, floor, checks, detail):
    """One line of the result. `ratio` is how many times better ours is; `checks` maps a claim to whether it held."""
    broken = [claim for claim, held in checks.items() if not held]
    verdict = "invalid" if broken else "met" if ratio >= floor else "below"
    return {"goal": goal, "what": what, "unit": unit, "ours": ours, "peer": peer, "ratio": ratio, "target": target,
            "floor": floor, "verdict": verdict, "checks": checks, "detail": detail}


def questions_of(corpus):
    path = corpus / "questions.jsonl"
    return [json.loads(line) for line in open(path, encoding="utf-8")] if path.exists() else []


def share_right(questions, top_sources):
    """The share of planted questions whose top hit comes from the document that answers it."""
    asked = [q for q in questions if q["id"] in top_sources]
    right = sum(1 for q in asked if top_sources[q["id"]][:1] == [q["source"]])
    return right / len(asked) if asked else 0.0


def sources(hits):
    return [hit["source"] for hit in hits]


# P1: PDFs from reading to searchable.


def p1(bench):
    corpus = bench.pdfs or bench.pdf_corpus()
    docs = corpus / "docs" if (corpus / "docs").is_dir() else corpus
    n_docs = sum(1 for _ in docs.rglob("*.pdf"))
    questions = questions_of(corpus)
    data_dir, store = bench.work / "p1-vellum", bench.work / "p1-peer"

    def ours():
        result = bench.ours(fresh(data_dir), "ingest", docs, "--json")
        report = result.json()
        top = {q["id"]: sources(bench.ours(data_dir, "search", q["question"], "--json", sample=False).json()["hits"])
               for q in questions}
        return {"seconds": result.wall_s, "chunks_per_s": report["chunks"] / result.wall_s, "rss": result.peak_rss_mb,
                "report": report, "right": share_right(questions, top)}

    def peer():
        arguments = ["--questions", corpus / "questions.jsonl"] if questions else []
        result, report = bench.peer("llamaindex_ingest.py", docs, "--store", fresh(store), "--batch-size",
                                    bench.batch_size, *arguments)
        return {"seconds": report["seconds"], "chunks_per_s": report["chunks_per_s"], "rss": report["peak_rss_mb"],
                "report": report, "right": share_right(questions, report.get("top_sources", {}))}

    a, b = interleave(bench.rounds, ours, peer)
    checks = {
        f"ours took in all {n_docs} documents": all(r["report"]["added"] == n_docs for r in a),
        f"the peer took in all {n_docs} documents": all(r["report"]["documents"] == n_docs for r in b),
        "both read the same number of pages": all(r["report"]["pages"] == b[0]["report"]["pages"] for r in a + b),
    }
    if questions:
        checks["ours finds the right document at least as often"] = min(r["right"] for r in a) >= max(r["right"] for r in b)
    speed = median(a, "chunks_per_s") / median(b, "chunks_per_s")
    time_ratio = median(b, "seconds") / median(a, "seconds")
    detail = {"ours": a, "peer": b, "ratio_of_chunks_per_s": speed, "ratio_of_seconds": time_ratio}
    # Smaller chunks would inflate chunks/s and larger ones the time, so the worse of the two counts.
    return [
        row("P1", "ingest PDFs, speed", "chunks/s", median(a, "chunks_per_s"), median(b, "chunks_per_s"),
            min(speed, time_ratio), 10, 3, checks, detail),
        row("P1", "ingest PDFs, peak memory", "MB", median(a, "rss"), median(b, "rss"),
            median(b, "rss") / median(a, "rss"), 10, 4, checks, {}),
    ]


# P2: the encoder alone.


def p2(bench):
    corpus = bench.corpus("texts-150" if bench.quick else "texts-600", "--jsonl", "--words", 130,
                          "--docs", 150 if bench.quick else 600)
    texts = corpus / "texts.txt"
    lines = [json.loads(line)["text"] for line in open(corpus / "corpus.jsonl", encoding="utf-8")]
    texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    out_ours, out_peer = bench.work / "p2-ours.f32", bench.work / "p2-peer.npy"

    def ours():
        result = run([bench.encode_bench, texts, "--vectors", out_ours])
        return result.json() | {"rss": result.peak_rss_mb}

    def peer():
        result, report = bench.peer("ort_encode.py", "--model", MODEL_DIR / "model.onnx", "--tokenizer",
                                    MODEL_DIR / "tokenizer.json", "--texts", texts, "--out", out_peer)
        return report | {"rss": result.peak_rss_mb}

    a, b = interleave(bench.rounds, ours, peer)
    peer_vectors = read_npy(out_peer)
    our_vectors = read_f32(out_ours, dim=len(peer_vectors[0]))
    cosines = [sum(x * y for x, y in zip(u, v)) for u, v in zip(our_vectors, peer_vectors, strict=True)]
    checks = {
        "both encoded every text": all(r["texts"] == len(lines) for r in a + b),
        "every vector agrees with the peer's, cosine 0.98 or more": min(cosines) >= 0.98,
    }
    ours_speed, peer_speed = median(a, "texts_per_s"), median(b, "texts_per_s")
    return [row("P2", "encoder, same int8 model", "texts/s", ours_speed, peer_speed, ours_speed / peer_speed, 1.5, 0.95,
                checks, {"ours": a, "peer": b, "least_cosine": min(cosines)})]


# P3: the text of PDFs, one core each.


def p3(bench):
    folder = bench.work / "corpora" / "p3"
    if not any(folder.glob("*.pdf")):
        subprocess.run([str(bench.python), str(HERE / "fetch_pdfs.py"), str(folder)], check=True)
    files = sorted(folder.glob("*.pdf"))[:: 5 if bench.quick else 1]
    out = bench.work / "p3"
    one_core = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    engines = {engine: [bench.python, HERE / "peers/pdf_text.py", engine] for engine in ("pypdfium2", "pymupdf", "pdf_oxide")}
    engines["vellum"] = [bench.pages, "--worker", bench.worker]

    def measure(engine):
        result = run([*one_core, *engines[engine], fresh(out / engine), *files], sample=False)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        if len(lines) != len(files):
            raise Failure(f"{engine} told of {len(lines)} files of {len(files)}; stderr ends: {result.stderr[-600:]}")
        return {line["name"]: line for line in lines}

    rounds = [{engine: measure(engine) for engine in engines} for _ in range(bench.rounds)]
    last = rounds[-1]
    common = [file.name for file in files if all("error" not in last[engine][file.name] for engine in engines)]
    n_pages = sum(last["pypdfium2"][name]["pages"] for name in common)
    speed = {engine: n_pages / statistics.median(sum(r[engine][name]["seconds"] for name in common) for r in rounds)
             for engine in engines}

    scores = {engine: [] for engine in engines if engine != "pypdfium2"}
    for file in files:
        texts = {engine: pages_of(out / engine / f"{file.name}.txt") for engine in engines}
        reference = "\n".join(texts["pypdfium2"])
        if len(words(reference)) < 20 or not is_language(reference):
            continue
        for engine in scores:
            scores[engine].append(fidelity(reference, "\n".join(texts[engine])))
    f1 = {engine: [statistics.mean(values) for values in zip(*pairs)] for engine, pairs in scores.items()}
    checks = {
        f"{what} F1 is {f1['vellum'][n]:.4f}, at least PyMuPDF's {f1['pymupdf'][n]:.4f} less 0.005":
            f1["vellum"][n] >= f1["pymupdf"][n] - 0.005
        for n, what in enumerate(("word", "bigram"))
    }
    detail = {"files": len(files), "common": len(common), "pages": n_pages, "pages_per_s": speed,
              "f1_words_bigrams": f1,
              "refused": {engine: sum("error" in line for line in last[engine].values()) for engine in engines}}
    print(json.dumps(detail, indent=1), file=sys.stderr)
    return [row("P3", f"PDF text of {n_pages} pages, one core", "pages/s", speed["vellum"], speed["pymupdf"],
                speed["vellum"] / speed["pymupdf"], 2, 0.3, checks, detail)]


def pages_of(path):
    return path.read_text(encoding="utf-8", errors="replace").split("\f") if path.exists() else []


# P5: retrieval latency under a steady load.


def p5(bench):
    n_docs, n_requests = (5_000, 200) if bench.quick else (50_000, 500)
    corpus = bench.corpus(f"passages-{n_docs}", "--plain", "--jsonl", "--words", 110, "--docs", n_docs)
    questions = questions_of(corpus)
    data_dir, ingested = once(bench.work / f"p5-vellum-{n_docs}", lambda directory: bench.ours(
        directory, "ingest", corpus / "docs", "--json").json())
    model = MODEL_DIR / "model.onnx"
    with_model = ["--model", model, "--tokenizer", MODEL_DIR / "tokenizer.json"] if model.exists() else []
    store, filled = once(bench.work / f"p5-peer-{n_docs}", lambda directory: bench.peer(
        "llamaindex_fill.py", corpus, "--store", directory / "store", "--vectors", corpus / "vectors.npy", *with_model)[1])
    bodies = [{"query": questions[i % len(questions)]["question"], "collection": "default", "top_k": 10, "mode": "hybrid"}
              for i in range(n_requests)]
    port = free_port()

    def ours():
        latencies, answers = open_loop(port, SEARCH_PATH, bodies, rate=50)
        top = {q["id"]: sources(answer["hits"]) for q, answer in zip(questions, answers)}
        return {"p50_ms": 1000 * percentile(latencies, 50), "p99_ms": 1000 * percentile(latencies, 99),
                "right": share_right(questions, top)}

    def peer():
        _, report = bench.peer("llamaindex_query.py", "--store", store / "store", "--queries",
                               corpus / "questions.jsonl", "--n", n_requests, "--rate", 50)
        return report | {"right": share_right(questions, report["top_sources"])}

    command = [bench.vellum, "serve", "--bind", f"127.0.0.1:{port}"]
    with Server(command, port, READY_PATH, {"VELLUM_DATA_DIR": str(data_dir)}):
        open_loop(port, SEARCH_PATH, bodies[:20], rate=20)
        a, b = interleave(bench.rounds, ours, peer)
    exact = filled["vectors"] != "random"
    right_ours, right_peer = median(a, "right"), median(b, "right")
    checks = {
        f"ours holds {n_docs} chunks or more": ingested["chunks"] >= n_docs and ingested["added"] == n_docs,
        f"the peer holds {n_docs} chunks": filled["chunks"] == n_docs,
        # Random vectors are easy to tell apart from real ones, so the peer's share says nothing then.
        "ours finds the right passage as often, within 0.02": right_ours >= (right_peer - 0.02 if exact else 0.9),
    }
    detail = {"ours": a, "peer": b, "ours_ingest": ingested, "peer_fill": filled}
    return [
        row("P5", f"retrieve, {n_docs} chunks, {name}", "ms", median(a, key), median(b, key),
            median(b, key) / median(a, key), 20, 5, checks, detail if name == "p50" else {})
        for name, key in (("p50", "p50_ms"), ("p99", "p99_ms"))
    ]


def once(directory, make):
    """Fills `directory` by `make` once; returns it and what `make` reported, from this run or an earlier one."""
    report = directory / "bench-report.json"
    if not report.exists():
        made = make(fresh(directory))
        report.write_text(json.dumps(made))
    return directory, json.loads(report.read_text())


# P7: a fresh process, an index that exists, the first correct answer.


def p7(bench):
    corpus = bench.pdf_corpus()
    question = questions_of(corpus)[0]
    data_dir, _ = once(bench.work / "p7-vellum", lambda directory: bench.ours(
        directory, "ingest", corpus / "docs", "--json").json())
    store, _ = once(bench.work / "p7-peer", lambda directory: bench.peer(
        "llamaindex_ingest.py", corpus / "docs", "--store", directory / "store")[1])

    def ours():
        ask = bench.ours(data_dir, "ask", question["question"], "--json", sample=False)
        search = bench.ours(data_dir, "search", question["question"], "--json", sample=False)
        return {"ask_ms": 1000 * ask.wall_s, "search_ms": 1000 * search.wall_s,
                "ask_right": question["source"] in sources(ask.json()["citations"])
                and question["answer"] in ask.json()["answer"],
                "search_right": sources(search.json()["hits"])[:1] == [question["source"]]}

    def peer():
        result, report = bench.peer("llamaindex_cold.py", "--store", store / "store", "--question",
                                    question["question"], sample=False)
        return {"ms": 1000 * result.wall_s, "right": report["sources"][:1] == [question["source"]]}

    bench.ours(data_dir, "ask", question["question"], "--json", sample=False)
    bench.peer("llamaindex_cold.py", "--store", store / "store", "--question", question["question"], sample=False)
    a, b = interleave(bench.rounds, ours, peer)
    peer_right = {"the peer's first passage is from the right document": all(r["right"] for r in b)}
    return [
        row("P7", f"process start to first {what}", "ms", median(a, key), median(b, "ms"),
            median(b, "ms") / median(a, key), 100, 20,
            {f"our {what} is right every time": all(r[right] for r in a)} | peer_right,
            {"ours": a, "peer": b} if what == "answer" else {})
        for what, key, right in (("answer", "ask_ms", "ask_right"), ("passage", "search_ms", "search_right"))
    ]


# P9: memory does not grow with the corpus or with one object.


def p9(bench):
    n_many, large_bytes, limit_s = (1_000, 2**26, 30) if bench.quick else (10_000, 2**30, 90)
    few = bench.corpus("notes-10", "--plain", "--words", 40, "--docs", 10) / "docs"
    many = bench.corpus(f"notes-{n_many}", "--plain", "--words", 40, "--docs", n_many) / "docs"
    large = bench.corpus(f"large-{large_bytes}", "--bytes", large_bytes) / "docs"
    data_dir = bench.work / "p9-vellum"

    def measure(docs, limit=None):
        result = bench.ours(fresh(data_dir), "ingest", docs, "--json", limit_s=limit)
        report = None if result.stopped else result.json()
        return {"rss": result.peak_rss_mb, "seconds": result.wall_s, "stopped": result.stopped, "report": report}

    runs = [(measure(few), measure(many), measure(large, limit_s)) for _ in range(bench.rounds)]
    a, b, c = ([r[i] for r in runs] for i in range(3))
    # A program that turns the object away has not shown what it needs to take it in.
    taken = all(r["stopped"] or (r["report"]["added"] == 1 and not r["report"]["rejected"]) for r in c)
    stopped = f", stopped after {limit_s} s" if any(r["stopped"] for r in c) else ""
    base = median(a, "rss")
    return [
        row("P9", f"peak memory, {n_many} documents against 10", "MB", median(b, "rss"), base, base / median(b, "rss"),
            1 / 1.1, 1 / 1.5, {"every document was taken in": all(r["report"]["added"] == 10 for r in a)
                               and all(r["report"]["added"] == n_many for r in b)}, {"few": a, "many": b}),
        row("P9", f"peak memory, one object of {large_bytes >> 20} MiB against 10 documents{stopped}", "MB",
            median(c, "rss"), base, base / median(c, "rss"), 1 / 1.1, 1 / 1.5,
            {"the object was not turned away": taken}, {"large": c}),
    ]


# P8: a source that did not change costs a listing. The process starts anew both times, and its start is counted.


def p8(bench):
    n = 1_000 if bench.quick else 10_000
    docs = bench.corpus(f"notes-{n}", "--plain", "--words", 40, "--docs", n) / "docs"
    data_dir = bench.work / "p8-vellum"
    runs = []
    for index in range(bench.rounds):
        if index == 0:
            first = bench.ours(fresh(data_dir), "ingest", docs, "--json")
        again = bench.ours(data_dir, "ingest", docs, "--json")
        runs.append({"seconds": again.wall_s, "report": again.json()})
    unchanged = all(r["report"]["unchanged"] == n and r["report"]["chunks"] == 0 and r["report"]["embedded"] == 0
                    for r in runs)
    seconds = median(runs, "seconds")
    return [row("P8", f"ingest of {n} unchanged documents against the first ingest", "s", seconds, first.wall_s,
                first.wall_s / seconds, 1000, 100,
                {"every document was taken in": first.json()["added"] == n, "nothing was read or embedded": unchanged},
                {"again": runs})]


# P11: a trial of a study pays for what its settings change.


def p11(bench):
    dataset, data_dir = HERE.parent / "eval/handbook", bench.work / "p11-vellum"
    space = bench.work / "p11-space.toml"
    # With jobs = 1 every trial is timed alone. The first has the settings in force and ingests with nothing cached. Settings near
    # these, so that no trial falls behind the others and is stopped before its time is whole.
    space.write_text("[collection]\noverlap_tokens = { list = [0, 32] }\n"
                     "[retrieval]\ndense_weight = { list = [0.75, 0.7, 0.65] }\n")
    costs = []
    for _ in range(bench.rounds):
        result = bench.ours(fresh(data_dir), "tune", "--dataset", dataset, "--space", space, "--algorithm", "grid",
                            "--jobs", 1, "--json")
        costs.append(result.json()["trial_cost"])
    full, retrieval, chunking = (median(costs, key) for key in ("full_ingest_s", "retrieval_s", "chunking_s"))
    anew = median(costs, "chunking_embedded")
    checks = {"the full ingest embedded every chunk": all(c["full_ingest_embedded"] == 1 for c in costs),
              "trials of both kinds ended": all(c["retrieval_trials"] and c["chunking_trials"] for c in costs),
              "a trial that cuts anew embeds only what is new": all(c["chunking_embedded"] < 1 for c in costs)}
    what = "a trial that changes only how is searched against a full ingest"
    return [row("P11", f"{what} (one that cuts anew: {chunking:.2g} s, {anew:.0%} embedded)", "s", retrieval, full,
                full / retrieval, 100, 20, checks, {"costs": costs})]


GOALS = {"P1": p1, "P2": p2, "P3": p3, "P5": p5, "P7": p7, "P8": p8, "P9": p9, "P11": p11}


def table(rows, markdown):
    head = ["goal", "what", "ours", "peer", "ratio", "target", "floor", "verdict"]
    cells = [[r["goal"], r["what"], f"{r['ours']:.4g} {r['unit']}", f"{r['peer']:.4g} {r['unit']}",
              f"{r['ratio']:.3g} x", f"{r['target']:.3g} x", f"{r['floor']:.3g} x", r["verdict"]] for r in rows]
    if markdown:
        lines = [head, ["---"] * len(head), *cells]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in [head, *cells])


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vellum", type=pathlib.Path, required=True, help="release binary")
    parser.add_argument("--encode-bench", type=pathlib.Path, help="the encode_bench example, for P2")
    parser.add_argument("--pages", type=pathlib.Path, help="the pages example of vellum-convert, for P3")
    parser.add_argument("--worker", type=pathlib.Path, help="vellum-convert-worker, for P3")
    parser.add_argument("--peer-python", type=pathlib.Path, default=HERE.parent / "target/bench/venv/bin/python")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="JSON with every round")
    parser.add_argument("--markdown", type=pathlib.Path, help="also write the table there")
    parser.add_argument("--only", default=",".join(GOALS), help="comma-separated goal ids")
    parser.add_argument("--quick", action="store_true", help="3 rounds on small corpora: a smoke test, not a result")
    parser.add_argument("--work", type=pathlib.Path, default=HERE.parent / "target/bench/work")
    parser.add_argument("--pdfs", type=pathlib.Path, help="PDFs for P1 instead of generated ones")
    parser.add_argument("--threads", type=int, default=2, help="CPUs both sides are confined to")
    parser.add_argument("--peer-batch", type=int, default=32, help="the peer's embedding batch")
    args = parser.parse_args()
    args.goals = args.only.split(",")
    if unknown := set(args.goals) - set(GOALS):
        parser.error(f"unknown goal {', '.join(sorted(unknown))}; known are {', '.join(GOALS)}")
    if "P2" in args.goals and not args.encode_bench:
        parser.error("P2 needs --encode-bench")
    if "P3" in args.goals and not (args.pages and args.worker):
        parser.error("P3 needs --pages and --worker")
    for path in filter(None, (args.vellum, args.peer_python, args.encode_bench, args.pages, args.worker)):
        if not path.exists():
            parser.error(f"{path} does not exist")
    # A relative path must survive the programs' own working directories; a venv's python must stay a link.
    args.vellum, args.peer_python, args.work = (p.absolute() for p in (args.vellum, args.peer_python, args.work))
    args.encode_bench, args.pages, args.worker = (p and p.absolute() for p in (args.encode_bench, args.pages, args.worker))
    return args


def main():
    args = parse()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    bench, where = Bench(args), machine()
    print(where, file=sys.stderr)
    rows, failures = [], {}
    for goal in args.goals:
        began = time.monotonic()
        try:
            rows += GOALS[goal](bench)
        except (Failure, KeyError, OSError, ValueError, subprocess.CalledProcessError) as error:
            failures[goal] = f"{type(error).__name__}: {error}"
        print(f"{goal}: {time.monotonic() - began:.0f} s", file=sys.stderr)

    notes = [f"{r['goal']} ({r['what']}): not so: {claim}" for r in rows for claim, held in r["checks"].items() if not held]
    notes += [f"{goal}: not measured: {why}" for goal, why in failures.items()]
    print(table(rows, markdown=False), *notes, where, sep="\n")
    mode = "quick" if args.quick else "full"
    document = {"machine": where, "mode": mode, "rounds": bench.rounds, "rows": rows, "failures": failures}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if args.markdown:
        args.markdown.parent.mkdir(parents=True, exist_ok=True)
        text = "\n\n".join([table(rows, markdown=True), *notes, f"{where}. {mode.title()} run, medians of {bench.rounds}."])
        args.markdown.write_text(text + "\n", encoding="utf-8")
    sys.exit(2 if failures else 1 if any(r["verdict"] != "met" for r in rows) else 0)


if __name__ == "__main__":
    main()
