"""The budget for people: one page of Markdown, every table of which says that it is simulated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from tasks.experiments.budget_tables import ALL, METRICS, OWN, PAIRED, SHOWN

DASH: Final = "-"
_TITLES: Final = {
    "mdsa_percent": "MdSA %",
    "rmse_mg_l": "RMSE mg/L",
    "rms_ln": "RMS ln",
    "bias_ln": "bias ln",
    "coverage_percent": "coverage %",
}
_DEFINITIONS: Final = """\
In ln space, 0.1 is about 10 %. Row by row error = mask + aggregation + regression, and aggregation = light + choice.
mask: estimate under the masker's masks against the one under the true masks.
aggregation: estimate under the true masks against the one from the own colour of all the reach's water.
light: land in the pixel, light from beside it, haze, glint, shade, noise, calibration. choice: which water is used.
regression: estimate from that own colour against the truth, the median over the same water: no sky and no masks in it.
Parts are of reach-days that the masker and the true masks both estimate; what is missing is counted under coverage.
Biases add up; medians and RMS do not, because parts of opposite sign cancel.
Half of the overpasses carry the simulator's own sediment, the others a tenth to twenty times as much: read the classes.
All rivers share one optical model and two kinds of sediment; real ones differ more, which only regression would show.
Intervals are 90 %, basins drawn with replacement; none (-) for fewer than three basins.""".splitlines()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tables:
    """What `tasks.experiments.budget_tables` makes of the rows."""

    parts: pd.DataFrame
    coverage: pd.DataFrame
    skill: pd.DataFrame
    differences: pd.DataFrame
    without_water: pd.Series
    """By masker: estimates of reaches without water in view."""


def label_of(seeds: Sequence[int]) -> str:
    """What every table and figure says of its data.

    >>> label_of(range(9300, 9310))
    'SIMULATED, seeds 9300-9309'
    """
    return f"SIMULATED, seeds {seeds[0]}-{seeds[-1]}"


def markdown(tables: Tables, facts: Mapping[str, Any], label: str) -> str:
    """The whole page.

    Args:
        tables: All of them.
        facts: What `tasks.experiments.budget.run` gives.
        label: That the data are simulated, and the seeds.
    """
    parts = [f"# Error budget of SSC estimates ({label})", _list(_about(facts)), _list(_DEFINITIONS)]
    parts += [f"## Parts, all classes: median of the absolute value / RMS / bias ({label})"]
    parts += [_parts_table(tables.parts[tables.parts["ssc_class"] == ALL], "masker")]
    for masker, rows in tables.parts.groupby("masker", sort=False):
        parts += [f"## Parts by true SSC, masker {masker} ({label})", _parts_table(rows, "ssc_class")]
    parts += [f"## Coverage: share of the reach-days with water that get an estimate, % ({label})"]
    parts += [_coverage_table(tables.coverage), _list(_without_water(tables.without_water))]
    parts += [f"## Error of each masker on all it estimates ({label})", _skill_table(tables.skill)]
    for reach_days, what in ((PAIRED, "reach-days that both estimate"), (OWN, "each on all it estimates, no penalty")):
        if len(tables.differences):
            of = tables.differences[tables.differences["reach_days"] == reach_days]
            parts += [f"## Differences, {what} ({label})", _difference_table(of)]
    return "\n\n".join(parts) + "\n"


def _about(facts: Mapping[str, Any]) -> list[str]:
    return [
        f"Regressor {facts['regressor']}; maskers {', '.join(facts['maskers'])}; version {facts['code_version']}.",
        f"Simulated basins, seeds {facts['seeds'][0]} to {facts['seeds'][1]}, on tiles {' '.join(facts['tiles'])}.",
        f"{facts['size']} px a side, {facts['granules']} overpasses each: {facts['reach_days']} reach-days with water.",
        *([f"Made by: {facts['command']}"] if facts["command"] else []),
    ]


def _parts_table(rows: pd.DataFrame, first: str) -> str:
    head = [first.replace("_", " "), "n", "basins", *SHOWN]
    lines = [
        [row[first], row["n"], row["basins"], *(_three(row, part) for part in SHOWN)] for row in rows.to_dict("records")
    ]
    return _grid(head, lines)


def _three(row: Mapping[Any, Any], part: str) -> str:
    median, rms, bias = (row[f"{part}_{what}"] for what in ("median_abs", "rms", "bias"))
    return f"{median:.3f} / {rms:.3f} / {bias:+.3f}"


def _coverage_table(coverage: pd.DataFrame) -> str:
    head = ["masker", "true SSC", "reach-days", "covered", "by true masks", "lost", "extra", "error of extra, ln"]
    lines = [
        [
            row["masker"],
            row["ssc_class"],
            row["reach_days"],
            *(f"{100 * row[name]:.1f}" for name in ("covered", "covered_by_truth", "lost", "extra")),
            _number(row["extra_error"]),
        ]
        for row in coverage.to_dict("records")
    ]
    return _grid(head, lines)


def _without_water(counts: pd.Series) -> list[str]:
    told = ", ".join(f"{masker} {count}" for masker, count in counts.items())
    return [
        "lost: the true masks give an estimate and the masker does not; extra: the reverse, water that cannot be seen.",
        f"Estimates for reaches without any water in view (not counted above): {told}.",
    ]


def _skill_table(skill: pd.DataFrame) -> str:
    head = ["masker", "true SSC", "n", *_TITLES.values()]
    lines = [
        [masker, name, rows["n"].iloc[0], *_cells(rows)]
        for (masker, name), rows in skill.groupby(["masker", "ssc_class"], sort=False)
    ]
    return _grid(head, lines)


def _difference_table(rows: pd.DataFrame) -> str:
    metrics = [metric for metric in METRICS if metric in set(rows["metric"])]
    head = ["difference", "true SSC", "n", *(_TITLES[metric] for metric in metrics)]
    groups = rows.groupby(["masker", "minus", "ssc_class"], sort=False)
    lines = [[f"{a} minus {b}", name, _counts(of), *_cells(of, signed=True)] for (a, b, name), of in groups]
    return _grid(head, lines)


def _counts(rows: pd.DataFrame) -> str:
    ours, theirs = rows["n"].iloc[0], rows["n_minus"].iloc[0]
    return f"{ours}" if ours == theirs else f"{ours}, {theirs}"


def _cells(rows: pd.DataFrame, *, signed: bool = False) -> list[str]:
    """Value and interval of each metric; an interval of a difference that excludes zero has a star."""
    cells = []
    for row in rows.to_dict("records"):
        clear = signed and (row["low"] > 0 or row["high"] < 0)
        cells.append(f"{_number(row['value'], signed=signed)} ({_ends(row)}){'*' if clear else ''}")
    return cells


def _ends(row: Mapping[Any, Any]) -> str:
    return DASH if pd.isna(row["low"]) else f"{_number(row['low'])} to {_number(row['high'])}"


def _number(value: float, *, signed: bool = False) -> str:
    if math.isnan(value):
        return DASH
    digits = 3 if abs(value) < 10 else 1
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _grid(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    texts = [[str(cell) for cell in line] for line in lines]
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (list(head), rule, *texts))
