"""Scores a run as trec_eval does: reads {"qrels", "run"} on stdin, writes the measures of each query."""
import json
import sys

import pytrec_eval

data = json.load(sys.stdin)
measures = {f"{name}.1,3,5,10,100" for name in ("ndcg_cut", "recall", "P", "map_cut", "success")}
evaluator = pytrec_eval.RelevanceEvaluator(data["qrels"], measures | {"recip_rank"})
json.dump(evaluator.evaluate(data["run"]), sys.stdout)
