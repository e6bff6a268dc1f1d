"""P1, peer side: the usual LlamaIndex ingestion of a folder, from reading to searchable.

SimpleDirectoryReader (pypdf) -> TokenTextSplitter 256/50 -> MiniLM on sentence-transformers -> Qdrant local mode.
`seconds` runs from before the first file is read to the last point stored, with imports and model load left out;
`seconds_with_start` also has those. Prints one JSON document.
"""

import argparse
import json
import sys
import time

from common import (load_embedder, n_tokens_of_minilm, open_retriever, open_store, peak_rss_mb,
                    seconds_since_process_start, source_of)
from llama_index.core import SimpleDirectoryReader
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import TokenTextSplitter


def read(directory):
    documents = SimpleDirectoryReader(directory, recursive=True).load_data()
    for document in documents:
        # Metadata in the embedded text would shorten the chunks and add work that the other side does not do.
        keys = list(document.metadata)
        document.excluded_embed_metadata_keys = keys
        document.excluded_llm_metadata_keys = keys
    return documents


def top_sources(store, embedder, questions_path):
    retriever = open_retriever(store, embedder)
    rows = [json.loads(line) for line in open(questions_path, encoding="utf-8")]
    return {row["id"]: [source_of(hit) for hit in retriever.retrieve(row["question"])][:1] for row in rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory")
    parser.add_argument("--store", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--questions", help="JSONL with id and question; the top source of each is printed")
    args = parser.parse_args()

    embedder = load_embedder(args.threads, args.batch_size)
    store = open_store(args.store)
    splitter = TokenTextSplitter(chunk_size=256, chunk_overlap=50, tokenizer=n_tokens_of_minilm())
    pipeline = IngestionPipeline(transformations=[splitter, embedder], vector_store=store, disable_cache=True)

    began = time.perf_counter()
    pages = read(args.directory)
    nodes = pipeline.run(documents=pages)
    seconds = time.perf_counter() - began
    report = {
        "chunks": len(nodes),
        "pages": len(pages),
        "documents": len({page.metadata["file_path"] for page in pages}),
        "seconds": seconds,
        "seconds_with_start": seconds_since_process_start(),
        "chunks_per_s": len(nodes) / seconds,
        "peak_rss_mb": peak_rss_mb(),
    }
    if args.questions:
        report["top_sources"] = top_sources(store, embedder, args.questions)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
