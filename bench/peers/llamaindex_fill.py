"""P5, peer side: fills a Qdrant local-mode store with a corpus in BEIR layout, quickly and once.

Running 50,000 passages through sentence-transformers takes about an hour here, and only the latency over the full store
is measured. So passages get their vectors from the int8 model on ONNX Runtime (`--model`, cached in `--vectors`), or,
without a model, seeded random unit vectors. Passages that a question is planted in always get the vector of the peer's
own fp32 model, so that its answers can be checked. Latency does not depend on the values: local mode scans every vector.
"""

import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import time

import numpy as np
from common import load_embedder, open_store
from llama_index.core.schema import TextNode

DIM = 384


def corpus_vectors(args, texts):
    cache = pathlib.Path(args.vectors) if args.vectors else None
    if cache and cache.exists():
        vectors = np.load(cache)
        if len(vectors) == len(texts):
            return vectors, "cached"
    if args.model:
        from ort_encode import encode_parallel

        vectors = encode_parallel(args.model, args.tokenizer, texts, args.threads)
    else:
        vectors = np.random.default_rng(args.seed).standard_normal((len(texts), DIM)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if cache:
        np.save(cache, vectors)
    return vectors, "onnxruntime int8" if args.model else "random"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", help="directory with corpus.jsonl and questions.jsonl, from make_corpus.py --jsonl")
    parser.add_argument("--store", required=True, help="directory to create")
    parser.add_argument("--vectors", help=".npy cache of the corpus vectors")
    parser.add_argument("--model", help="int8 model.onnx")
    parser.add_argument("--tokenizer", help="tokenizer.json")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()

    if pathlib.Path(args.store).exists():
        parser.error(f"{args.store} exists")
    corpus = pathlib.Path(args.corpus)
    rows = [json.loads(line) for line in open(corpus / "corpus.jsonl", encoding="utf-8")]
    planted = {json.loads(line)["source"] for line in open(corpus / "questions.jsonl", encoding="utf-8")}
    began = time.perf_counter()
    vectors, origin = corpus_vectors(args, [row["text"] for row in rows])
    embedded = time.perf_counter()

    embedder = load_embedder(args.threads)
    exact = [i for i, row in enumerate(rows) if row["_id"] in planted]
    vectors = np.array(vectors)
    vectors[exact] = embedder.get_text_embedding_batch([rows[i]["text"] for i in exact])
    nodes = [
        TextNode(text=row["text"], embedding=vector.tolist(), metadata={"source": row["_id"]})
        for row, vector in zip(rows, vectors)
    ]
    # Local mode commits to disk point by point, a quarter of an hour for 50,000: fill it in memory and move it.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        store = open_store(pathlib.Path(memory) / "store")
        for start in range(0, len(nodes), 1000):
            store.add(nodes[start : start + 1000])
        store.client.close()
        shutil.move(pathlib.Path(memory) / "store", args.store)
    report = {
        "chunks": len(nodes),
        "vectors": origin,
        "exact_vectors": len(exact),
        "embed_seconds": embedded - began,
        "fill_seconds": time.perf_counter() - embedded,
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
