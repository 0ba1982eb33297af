"""The files of the sensor experiment that hold numbers: CSV to compute with, Markdown to read, JSON to keep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from ssc.drafts import drafted
from tasks.experiments.sensor_scores import METRICS

SLIDES_EXAM: Final = "S30"
"""What the published experiment tested on."""
HEAD: Final = ("Accuracy %", "F1 %", "90 %", "Precision %", "Recall %")
DASH: Final = "-"


def write_csv(path: Path, table: pd.DataFrame, kind: str) -> Path:
    """A table, every row of which says whether its data are simulated."""
    with drafted(path) as draft:
        table.assign(data=kind).to_csv(draft, index=False, float_format="%.6g")
    return path


def write_json(path: Path, facts: Mapping[str, Any]) -> Path:
    """Plain values."""
    return write_text(path, json.dumps(facts, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> Path:
    """Whole or not at all."""
    with drafted(path) as draft:
        draft.write_text(text)
    return path


def markdown(scores: pd.DataFrame, *, kind: str, about: Sequence[str], real: pd.DataFrame | None = None) -> str:
    """The tables for people, the published one first.

    Args:
        scores: Of `sensor_scores.score_table`.
        kind: "simulated", or what else the test chips are.
        about: Sentences on how it was done.
        real: Scores on real river chips.
    """
    cloud = scores[(scores["mask"] == "cloud") & (scores["tested_on"] == SLIDES_EXAM)]
    parts = [f"# One network, trained on some sensors, tested on others ({kind})", "\n".join(f"- {a}" for a in about)]
    parts += [f"## Clouds, tested on {SLIDES_EXAM} ({kind})", _grid(("trained on", *HEAD), _lines(cloud, 1))]
    for mask, rows in scores.groupby("mask", sort=False):
        title = f"## {str(mask).replace('_', ' ').capitalize()}, every test ({kind})"
        parts += [title, _grid(("tested on", "trained on", *HEAD), _lines(rows, 2))]
    if real is not None:
        title = "## Water on real HLS L30 river chips kept for tests (real, noisy labels)"
        parts += [title, _grid(("tested on", "trained on", *HEAD), _lines(real, 2))]
    return "\n\n".join(parts) + "\n"


def _lines(rows: pd.DataFrame, names: int) -> list[list[str]]:
    """Cells of each row; the last so many names first."""
    return [
        [*(str(row[name]) for name in ("tested_on", "trained_on")[-names:]), *_cells(row)]
        for row in rows.to_dict("records")
    ]


def _cells(row: Mapping[Any, Any]) -> list[str]:
    accuracy, f1, precision, recall = (_percent(row[name]) for name in METRICS)
    low, high = _percent(row["f1_lo"]), _percent(row["f1_hi"])
    return [accuracy, f1, DASH if low == DASH else f"{low} to {high}", precision, recall]


def _percent(value: float) -> str:
    return DASH if pd.isna(value) else f"{100 * value:.1f}"


def _grid(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * (len(head) - len(HEAD)) + ["---:"] * len(HEAD)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *cells))
