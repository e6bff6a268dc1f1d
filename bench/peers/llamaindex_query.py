"""P5, peer side: latency of the LlamaIndex retriever (embed the question, search, top 10) over an existing store.

Questions arrive open-loop at `--rate` and latency counts from the moment a question was due. Where the retriever is
slower than the rate the queue would grow without end and the figure would depend on the length of the run, so it is
then measured closed-loop, one question after the other: the peer's best case. Prints one JSON document.
"""

import argparse
import itertools
import json
import statistics
import sys
import time

from common import load_embedder, open_retriever, open_store, peak_rss_mb, percentile, source_of

WARM_UP = 10
# A closed loop ends after this many seconds even when questions are left; the report says how many were asked.
CLOSED_LOOP_S = 60


def closed_loop(retrieve, questions):
    latencies, hits = [], []
    end = time.perf_counter() + CLOSED_LOOP_S
    for question in questions:
        began = time.perf_counter()
        if began > end:
            break
        hits.append(retrieve(question))
        latencies.append(time.perf_counter() - began)
    return latencies, hits


def open_loop(retrieve, questions, rate):
    latencies, hits = [], []
    began = time.perf_counter()
    for i, question in enumerate(questions):
        due = began + i / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        hits.append(retrieve(question))
        latencies.append(time.perf_counter() - due)
    return latencies, hits


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--queries", required=True, help="JSONL with id and question")
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    rows = [json.loads(line) for line in open(args.queries, encoding="utf-8")]
    questions = [row["question"] for row in itertools.islice(itertools.cycle(rows), args.n)]
    retrieve = open_retriever(open_store(args.store), load_embedder(args.threads)).retrieve
    warm, _ = closed_loop(retrieve, questions[:WARM_UP])
    holds_rate = statistics.mean(warm[WARM_UP // 2 :]) < 0.9 / args.rate

    began = time.perf_counter()
    if holds_rate:
        latencies, hits = open_loop(retrieve, questions, args.rate)
    else:
        latencies, hits = closed_loop(retrieve, questions)
    seconds = time.perf_counter() - began
    report = {
        "loop": "open" if holds_rate else "closed",
        "n": len(latencies),
        "p50_ms": 1000 * percentile(latencies, 50),
        "p99_ms": 1000 * percentile(latencies, 99),
        "achieved_rate": len(latencies) / seconds,
        "peak_rss_mb": peak_rss_mb(),
        "top_sources": {row["id"]: [source_of(h) for h in top][:1] for row, top in zip(rows, hits)},
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
