"""Validation: contenders on the same held-out rows, scores with intervals, and a locked test.

from ssc.validation import Contender, baselines, evaluate, read_pantanal

report = evaluate(read_pantanal(path), [Contender(name="ours", make=SSCRegressor), *baselines.baselines()],
                  split="site", seed=0, out=Path("report"))
"""

from __future__ import annotations

from ssc.validation import baselines
from ssc.validation.contest import Contender, Contest
from ssc.validation.evaluation import Options, Report, evaluate
from ssc.validation.locked import ledger_path
from ssc.validation.metrics import METRICS, Pairs, score
from ssc.validation.pantanal import PUBLISHED, read_pantanal
from ssc.validation.splits import Split

__all__ = [
    "METRICS",
    "PUBLISHED",
    "Contender",
    "Contest",
    "Options",
    "Pairs",
    "Report",
    "Split",
    "baselines",
    "evaluate",
    "ledger_path",
    "read_pantanal",
    "score",
]
