"""The files of an evaluation that hold numbers: CSV to compute with, JSON to keep, Markdown to read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from ssc.drafts import drafted
from tasks.turbid_loss import CAUSES, CLASSES

SCORE_HEAD: Final = (
    *("masker", "threshold", "F1", "90 %", "precision", "recall", "IoU", "accuracy", "balanced accuracy"),
    *("F1 of everywhere", "pixels"),
)
LOSS_HEAD: Final = ("masker", "class", "clear water px", "lost", "90 %", *(c.replace("_", " ") for c in CAUSES))
DASH: Final = "-"
_CLASS_ORDER: Final = {name: place for place, (_, name) in enumerate(CLASSES)}


def write_tables(
    out: Path, *, scores: pd.DataFrame, losses: pd.DataFrame, reliability: pd.DataFrame, facts: Mapping[str, Any]
) -> dict[str, Path]:
    """Write `scores.csv`, `turbid_loss.csv`, `reliability.csv`, `scores.json`, `scores.md`; each whole or not at all.

    Returns:
        The files by what they are.
    """
    tables = {"scores": scores, "turbid_loss": losses, "reliability": reliability}
    files = {f"{name}_csv": out / f"{name}.csv" for name in tables}
    for name, table in tables.items():
        with drafted(files[f"{name}_csv"]) as draft:
            table.to_csv(draft, index=False, float_format="%.6g")
    record = {**facts, "scores": _records(scores), "turbid_loss": _records(losses)}
    files["json"] = _write(out / "scores.json", json.dumps(_plain(record), indent=1, allow_nan=False) + "\n")
    files["markdown"] = _write(out / "scores.md", markdown(scores, losses, facts))
    return files


def markdown(scores: pd.DataFrame, losses: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """The tables for people: F1 at a glance, losses of clear water, then every score; a dash where none is."""
    only = len(facts["sources"]) == 1  # then "all" says the same again
    scores, losses = (table[(table["source"] != "all") | (not only)] for table in (scores, losses))
    parts = ["# Maskers on the same chips", _preamble(facts), *_gaps(scores, facts)]
    for source, rows in scores.groupby("source", sort=False):
        parts += [f"## F1, {_source(source, facts)}", _overview(rows)]
    for (place, by), rows in losses.groupby(["source", "by"], sort=False):
        ordered = rows.sort_values("class", key=lambda column: column.map(_CLASS_ORDER), kind="stable")
        title = f"## Clear water lost, by {_words(by)}, {_source(place, facts)}"
        parts += [title, _grid(LOSS_HEAD, [_loss_cells(row) for row in _records(ordered)])]
    for (place, mask), rows in scores.groupby(["source", "mask"], sort=False):
        telling = rows[rows["support"] > 0]
        if len(telling):
            cells = [_score_cells(row) for row in _records(telling)]
            parts += [f"## {_words(mask)}, {_source(place, facts)}", _grid(SCORE_HEAD, cells)]
    return "\n\n".join(parts) + "\n"


def _overview(rows: pd.DataFrame) -> str:
    """F1 and its interval, a row per masker, a column per mask."""
    masks = list(dict.fromkeys(rows["mask"]))
    lines = []
    for masker, of in rows.groupby("masker", sort=False):
        by_mask = {row["mask"]: row for row in _records(of)}
        lines.append([str(masker), *(_with_range(by_mask[mask]) for mask in masks)])
    return _grid(("masker", *(_words(mask) for mask in masks)), lines, texts=1)


def _preamble(facts: Mapping[str, Any]) -> str:
    what = f"{facts['chips']} chips of {facts['scenes']} scenes, seed {facts['seed']}."
    how = f"Percent, pooled over known pixels; intervals are 90 % of {facts['resamples']} resamples of scenes."
    lines = [f"{what} {how} Sources:", ""]
    for source, of in facts["sources"].items():
        kind = "simulated" if of["simulated"] else "real"
        lines.append(f"- {source}: {kind}, {of['chips']} chips, {of['scenes']} scenes, {of['regions']} regions")
    return "\n".join(lines)


def _gaps(scores: pd.DataFrame, facts: Mapping[str, Any]) -> list[str]:
    """Says so where a data set tells nothing of clear water, rather than leave its tables out in silence."""
    clear = scores[scores["mask"] == "clear_water"].groupby("source")["pixels"].max()
    wanted = {source: ", ".join(of["needed_for_clear_water"]) for source, of in facts["sources"].items()}
    return [
        f"No clear water is counted in {source}: no pixel has labels of {masks} at once."
        for source, masks in wanted.items()
        if clear.get(source, 0) == 0
    ]


def _source(source: object, facts: Mapping[str, Any]) -> str:
    if source == "all":
        return "all sources"
    if source == "common":
        return "chips that every masker judged"
    return f"{source}{' (simulated)' if facts['sources'][source]['simulated'] else ''}"


def _grid(head: Sequence[str], cells: Sequence[Sequence[str]], texts: int = 2) -> str:
    """A table whose first columns are text and the others numbers."""
    rule = ["---"] * texts + ["---:"] * (len(head) - texts)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *cells))


def _score_cells(row: Mapping[str, Any]) -> list[str]:
    metrics = ("precision", "recall", "iou", "accuracy", "balanced_accuracy", "base_rate_f1")
    threshold = DASH if math.isnan(row["threshold"]) else f"{row['threshold']:.3f}"
    percents = [_percent(row[name]) for name in metrics]
    return [row["masker"], threshold, _percent(row["f1"]), _range(row, "f1"), *percents, f"{row['pixels']:,}"]


def _loss_cells(row: Mapping[str, Any]) -> list[str]:
    shares = [_percent(row[cause]) for cause in CAUSES]
    clear = f"{row['clear_px']:,}"
    return [row["masker"], row["class"], clear, _percent(row["lost"]), _range(row, "lost"), *shares]


def _percent(value: float) -> str:
    return DASH if math.isnan(value) else f"{100 * value:.1f}"


def _range(row: Mapping[str, Any], name: str) -> str:
    low, high = row[f"{name}_lo"], row[f"{name}_hi"]
    return DASH if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"


def _with_range(row: Mapping[str, Any]) -> str:
    value, ends = _percent(row["f1"]), _range(row, "f1")
    return value if ends == DASH else f"{value} ({ends})"


def _words(name: object) -> str:
    return {"ssc_mg_l": "SSC (mg/L)", "red": "red reflectance", "all": "all classes"}.get(
        str(name), str(name).replace("_", " ")
    )


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _plain(value: Any) -> Any:
    """As JSON holds it: NaN is null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(path: Path, text: str) -> Path:
    with drafted(path) as draft:
        draft.write_text(text)
    return path
