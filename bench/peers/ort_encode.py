"""P2, peer side: ONNX Runtime on the same int8 model file, with mean pooling and unit norm.

Three ways of using the threads are tried on a sample, and the fastest then encodes all texts and is reported:
`parallel` (one session with one thread per core, one text a run), `batch8` (batches of 8 sorted by length, all threads)
and `single` (one text a run, all threads). Tokenising is inside the timing, loading the model is not. Texts are cut at
256 tokens, the length the model was trained for. Vectors go to `--out` as .npy, float32, [texts, dim], in input order.
Needs only onnxruntime, tokenizers and numpy.
"""

import argparse
import json
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

MAX_TOKENS = 256
SAMPLE = 48


def open_session(model, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def open_tokenizer(path):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return tokenizer


def run(session, encodings):
    """Returns unit-norm vectors [len(encodings), dim] of one batch, padded to its longest text."""
    width = max(len(e.ids) for e in encodings)
    ids, mask = (np.zeros((len(encodings), width), dtype=np.int64) for _ in range(2))
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding.ids)] = encoding.ids
        mask[row, : len(encoding.ids)] = 1
    known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    output = session.run(None, {i.name: known[i.name] for i in session.get_inputs()})[0]
    if output.ndim == 3:
        weights = mask[:, :, None].astype(np.float32)
        output = (output * weights).sum(axis=1) / weights.sum(axis=1)
    return output / np.linalg.norm(output, axis=1, keepdims=True)


def one_by_one(session, tokenizer, texts):
    return [run(session, [tokenizer.encode(text)])[0] for text in texts]


def parallel(sessions, tokenizer, texts):
    with ThreadPoolExecutor(len(sessions)) as pool:
        # Long texts first, so that no thread is left with one when the others are done.
        free = list(sessions)

        def encode(i):
            session = free.pop()
            try:
                return i, run(session, [tokenizer.encode(texts[i])])[0]
            finally:
                free.append(session)

        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        vectors = [None] * len(texts)
        for i, vector in pool.map(encode, order):
            vectors[i] = vector
    return vectors


def batched(session, tokenizer, texts, size=8):
    encodings = tokenizer.encode_batch(texts)
    order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
    vectors = [None] * len(texts)
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        for i, vector in zip(batch, run(session, [encodings[i] for i in batch])):
            vectors[i] = vector
    return vectors


def encode_parallel(model, tokenizer, texts, threads):
    """Returns float32 [len(texts), dim]; for callers that want vectors, not a measurement."""
    sessions = [open_session(model, 1) for _ in range(threads)]
    return np.stack(parallel(sessions, open_tokenizer(tokenizer), texts)).astype(np.float32)


def read_texts(path):
    lines = [line for line in open(path, encoding="utf-8").read().split("\n") if line.strip()]
    return [json.loads(line)["text"] for line in lines] if path.endswith(".jsonl") else lines


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--texts", required=True, help="one text a line, or .jsonl with a field `text`")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", help="where the vectors go, .npy")
    args = parser.parse_args()

    texts = read_texts(args.texts)
    tokenizer = open_tokenizer(args.tokenizer)
    wide = open_session(args.model, args.threads)
    narrow = [open_session(args.model, 1) for _ in range(args.threads)]
    variants = {
        "parallel": lambda sample: parallel(narrow, tokenizer, sample),
        "batch8": lambda sample: batched(wide, tokenizer, sample),
        "single": lambda sample: one_by_one(wide, tokenizer, sample),
    }
    sample = texts[:SAMPLE]
    speeds = {}
    for name, encode in variants.items():
        encode(sample[:4])
        began = time.perf_counter()
        encode(sample)
        speeds[name] = len(sample) / (time.perf_counter() - began)
    best = max(speeds, key=speeds.get)

    began = time.perf_counter()
    vectors = variants[best](texts)
    seconds = time.perf_counter() - began
    if args.out:
        np.save(args.out, np.stack(vectors).astype(np.float32))
    report = {
        "texts": len(texts),
        "seconds": seconds,
        "texts_per_s": len(texts) / seconds,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "variant": best,
        "sample_texts_per_s": speeds,
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
