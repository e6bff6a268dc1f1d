"""Makes the cross-encoder of the tests: a BERT with random weights that is as small as one can be, and its reference scores.

It has what real ones have (embeddings of words, positions and types, self-attention with two heads, GELU, layer norms, a pooler
and a classifier with one label), so it shows that pairs are tokenised, cut and run as they should be, in 24 kB. It is no use
for ranking. Scores come from onnxruntime. Requirements: onnx, onnxruntime, tokenizers, numpy.

    python make.py ../../crates/vellum-inference/tests/reranker
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

# An even number of positions beside the three special tokens: releases of `tokenizers` differ on which side gets an odd one.
HIDDEN, HEADS, INNER, POSITIONS = 16, 2, 32, 49
WORDS = """the of a is to in and pump pressure limit bar leave days year alarm door rings when twice water volcano erupt magma
 invoice payment due within thirty employees get annual manager first page never exceed question passage ready""".split()
LETTERS = list("abcdefghijklmnopqrstuvwxyz0123456789.,?!-'")
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *[l for l in LETTERS if l != "a"], *["##" + l for l in LETTERS]]

PAIRS = [
    ("pump pressure limit", "The pump pressure limit is 7 bar. Never exceed it."),
    ("pump pressure limit", "Employees get 25 days of annual leave."),
    ("When does the alarm ring?", "The alarm rings twice when the door is open."),
    ("When does the alarm ring?", ""),
    ("", "the payment is due within thirty days"),
    ("volcano", "日本語 and more"),
    ("water", "water " * 100),
    ("the alarm rings when the door " * 12, "never exceed the limit " * 12),
]


def tokenizer():
    made = Tokenizer(models.WordPiece({word: n for n, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [(token, VOCABULARY.index(token)) for token in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    return made


class Graph:
    """Collects nodes and weights."""

    def __init__(self):
        self.random = np.random.default_rng(7)
        self.nodes, self.weights, self.n = [], [], 0

    def add(self, kind, inputs, **attributes):
        self.n += 1
        name = f"v{self.n}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, value):
        self.n += 1
        name = f"w{self.n}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, *shape, scale=0.5):
        return self.constant(self.random.normal(0, scale, shape).astype(np.float32))

    def linear(self, x, rows, columns):
        return self.add("Add", [self.add("MatMul", [x, self.weight(rows, columns)]), self.weight(columns)])

    def norm(self, x):
        return self.add(
            "LayerNormalization", [x, self.constant(np.ones(HIDDEN, np.float32)), self.weight(HIDDEN)], axis=-1, epsilon=1e-12
        )

    def heads(self, x):
        split = self.add("Reshape", [x, self.constant(np.array([0, 0, HEADS, HIDDEN // HEADS]))])
        return self.add("Transpose", [split], perm=[0, 2, 1, 3])


def model():
    g = Graph()
    words = g.add("Gather", [g.weight(len(VOCABULARY), HIDDEN, scale=1), "input_ids"])
    types = g.add("Gather", [g.weight(2, HIDDEN, scale=1), "token_type_ids"])
    one = g.constant(np.array([1]))
    length = g.add("Shape", ["input_ids"], start=1, end=2)
    places = g.add("Slice", [g.weight(POSITIONS, HIDDEN, scale=1), g.constant(np.array([0])), length, g.constant(np.array([0]))])
    x = g.norm(g.add("Add", [g.add("Add", [words, types]), places]))
    # 0 where there is a token, -10000 where there is none.
    mask = g.add("Cast", [g.add("Unsqueeze", ["attention_mask", g.constant(np.array([1, 2]))])], to=TensorProto.FLOAT)
    mask = g.add("Mul", [g.add("Sub", [g.constant(np.float32(1)), mask]), g.constant(np.float32(-10000))])
    q, k, v = (g.heads(g.linear(x, HIDDEN, HIDDEN)) for _ in range(3))
    scores = g.add("MatMul", [q, g.add("Transpose", [k], perm=[0, 1, 3, 2])])
    scores = g.add("Div", [scores, g.constant(np.float32((HIDDEN // HEADS) ** 0.5))])
    attention = g.add("Softmax", [g.add("Add", [scores, mask])], axis=-1)
    mixed = g.add("Transpose", [g.add("MatMul", [attention, v])], perm=[0, 2, 1, 3])
    mixed = g.add("Reshape", [mixed, g.constant(np.array([0, 0, HIDDEN]))])
    x = g.norm(g.add("Add", [x, g.linear(mixed, HIDDEN, HIDDEN)]))
    inner = g.linear(x, HIDDEN, INNER)
    erf = g.add("Erf", [g.add("Div", [inner, g.constant(np.float32(2**0.5))])])
    gelu = g.add("Mul", [g.add("Mul", [inner, g.add("Add", [erf, g.constant(np.float32(1))])]), g.constant(np.float32(0.5))])
    x = g.norm(g.add("Add", [x, g.linear(gelu, INNER, HIDDEN)]))
    first = g.add("Squeeze", [g.add("Slice", [x, g.constant(np.array([0])), one, one]), one])
    pooled = g.add("Tanh", [g.linear(first, HIDDEN, HIDDEN)])
    logits = g.linear(pooled, HIDDEN, 1)
    g.nodes.append(helper.make_node("Identity", [logits], ["logits"]))
    names = ["input_ids", "attention_mask", "token_type_ids"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    graph = helper.make_graph(g.nodes, "cross-encoder", inputs, [output], g.weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    tokens = tokenizer()
    tokens.save(str(folder / "tokenizer.json"), pretty=False)
    made = model()
    onnx.save(made, folder / "model.onnx")
    config = {"model_type": "bert", "max_position_embeddings": POSITIONS, "id2label": {"0": "LABEL_0"}}
    (folder / "config.json").write_text(json.dumps(config) + "\n")
    tokens.enable_truncation(max_length=POSITIONS, strategy="longest_first")
    session = onnxruntime.InferenceSession(made.SerializeToString())
    reference = []
    for query, text in PAIRS:
        encoding = tokens.encode(query, text)
        feed = {
            "input_ids": [encoding.ids],
            "attention_mask": [encoding.attention_mask],
            "token_type_ids": [encoding.type_ids],
        }
        feed = {name: np.array(value, dtype=np.int64) for name, value in feed.items()}
        logit = float(session.run(None, feed)[0][0][0])
        reference.append({"query": query, "text": text, "score": 1 / (1 + np.exp(-logit))})
    lines = ",\n  ".join(json.dumps(pair, ensure_ascii=False) for pair in reference)
    (folder / "reference.json").write_text(f"[\n  {lines}\n]\n")


main(Path(sys.argv[1]))
