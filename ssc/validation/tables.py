"""Scores as Markdown for readers and CSV for machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ssc.drafts import drafted
from ssc.validation.bootstrap import Interval
from ssc.validation.metrics import METRICS

MAIN: Final = (
    *("mdsa", "medae", "sspb", "mae", "rmse", "rmsle", "r_log10", "r2_log10", "r2", "spearman"),
    *("sum_ratio", "mean_sum_ratio", "coverage", "width"),
)
"""Columns of the main table; CSV has all."""
BY_GROUP: Final = ("mdsa", "sspb", "medae", "coverage", "width")
ABSENT: Final = "-"


def markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; the first column to the left, all others to the right.

    >>> print(markdown(["who", "MdSA %"], [["ours", "61.3"]]))
    | who | MdSA % |
    |:--|--:|
    | ours | 61.3 |
    """
    rule = "|:--" + "|--:" * (len(head) - 1) + "|"
    return "\n".join([_line(head), rule, *(_line(row) for row in rows)])


def number(value: float, digits: int = 1) -> str:
    """A number as it is printed; "-" where there is none.

    >>> number(1234.567), number(float("nan")), number(0.71474, 3)
    ('1234.6', '-', '0.715')
    """
    return f"{value:.{digits}f}" if np.isfinite(value) else ABSENT


def ranged(value: float, low: float, high: float, digits: int = 1) -> str:
    """A number with its interval, where it has one.

    >>> ranged(61.25, 50.0, 80.0), ranged(61.25, float("nan"), float("nan"))
    ('61.2 (50.0 to 80.0)', '61.2')
    """
    alone = number(value, digits)
    return f"{alone} ({number(low, digits)} to {number(high, digits)})" if np.isfinite([low, high]).all() else alone


def scores_table(scores: pd.DataFrame, group: str, metrics: Sequence[str] = MAIN) -> str:
    """Markdown of one group: a row per contender, intervals where the scores hold them."""
    chosen = scores[scores["group"] == group]
    shown = [name for name in metrics if chosen[name].notna().any()]
    head = ["contender", "rows", "sites", "no answer", *(METRICS[name].title for name in shown)]
    return markdown(head, [_scores_row(row, shown) for row in chosen.to_dict("records")])


def groups_table(scores: pd.DataFrame, groups: Sequence[str], metric: str) -> str:
    """Markdown of one metric: a row per group, a column per contender."""
    names = list(dict.fromkeys(scores["contender"]))
    wide = scores.pivot_table(index="group", columns="contender", values=[metric, "n"], dropna=False, sort=False)
    rows = [
        [group, f"{wide['n'].loc[group].max():.0f}"]
        + [number(wide[metric].loc[group, name], METRICS[metric].digits) for name in names]
        for group in groups
    ]
    return markdown([METRICS[metric].title, "rows", *names], rows)


def differences_table(found: pd.DataFrame) -> str:
    """Markdown of paired differences, in the columns of `difference_row`."""
    rows = [
        [
            *(row["contender"], row["minus"], row["metric_title"]),
            ranged(row["difference"], row["lo"], row["hi"], 2),
            "yes" if row["excludes_zero"] else "no",
        ]
        for row in found.to_dict("records")
    ]
    return markdown(["contender", "minus", "figure", "difference (95 % of site draws)", "0 excluded"], rows)


def difference_row(name: str, other: str, metric: str, n: int, found: Interval) -> dict[str, Any]:
    """One paired difference as a row of a table."""
    return {
        "contender": name,
        "minus": other,
        "metric": metric,
        "metric_title": METRICS[metric].title,
        "n": n,
        "difference": found.value,
        "lo": found.low,
        "hi": found.high,
        "excludes_zero": found.excludes_zero(),
    }


def curve_table(curve: pd.DataFrame, rows: str, metric: str = "mdsa") -> str:
    """Markdown of few-shot curves: a row per k, a column per contender, means with the range of the draws."""
    chosen = curve[curve["rows"] == rows]
    names = list(dict.fromkeys(chosen["contender"]))
    lines = []
    for k, part in chosen.groupby("k"):
        of = part.set_index("contender")
        first = of.iloc[0]
        cells = [ranged(*of.loc[name, [metric, f"{metric}_min", f"{metric}_max"]].astype(float)) for name in names]
        lines.append([k, first["n_sites"], first["n_left_out"], number(first["n_rows"], 0), *cells])
    return markdown(["local samples", "sites", "left out", "rows", *names], lines)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """The whole table, six significant digits."""
    with drafted(path) as draft:
        table.to_csv(draft, index=False, float_format="%.6g", lineterminator="\n")


def _scores_row(row: dict[Any, Any], metrics: Sequence[str]) -> list[Any]:
    cells = [
        ranged(row[name], row.get(f"{name}_lo", np.nan), row.get(f"{name}_hi", np.nan), METRICS[name].digits)
        for name in metrics
    ]
    return [row["contender"], row["n"], row["n_sites"], row["n_missing"], *cells]


def _line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
