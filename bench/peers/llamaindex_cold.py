"""P7, peer side: from process start to the first retrieved passage on an index that exists already.

Nothing is generated: the peer is given the cheaper task. Prints one JSON document.
"""

import argparse
import json
import sys

from common import load_embedder, open_retriever, open_store, peak_rss_mb, seconds_since_process_start, source_of


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--question", required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    hits = open_retriever(open_store(args.store), load_embedder(args.threads)).retrieve(args.question)
    report = {
        "seconds": seconds_since_process_start(),
        "peak_rss_mb": peak_rss_mb(),
        "sources": [source_of(hit) for hit in hits],
        "text": hits[0].node.get_content()[:200] if hits else None,
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
