"""How the report writes numbers, names, flags and reasons."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import numpy as np

from ssc import quality
from ssc.quality import Quality

STATUSES: Final = {
    "estimated": ("estimated", "at least one reach got an SSC estimate"),
    "cloudy": ("cloudy", "no estimate: the channels were mostly hidden by cloud, shadow, snow or missing data"),
    "no_water": ("no water", "no estimate: the channels were seen, but too little of them was clear water"),
    "no_reach": ("no reach", "none of the reaches lies on the granule"),
    "set_aside": ("set aside", "the granule could not be read; the reasons stand below"),
}
"""Status of a granule: how it is written and what it means."""

REASONS: Final = {
    "DataError": "a file is missing, broken or not what it claims to be",
    "GridError": "layers do not share a grid",
    "GranuleNameError": "not an HLS granule name",
    "ResultError": "results broke the table's schema",
    "TransientError": "the service did not answer, after several tries",
    "AccessError": "the service refused access",
}
"""Kind of failure (first word of a reason) in words."""


def amount(value: float) -> str:
    """A concentration in mg/L (without the unit) to two or three figures.

    >>> [amount(v) for v in (0.042, 4.23, 42.3, 4230.0, float("nan"))]
    ['0.04', '4.2', '42', '4,230', 'n/a']
    """
    if not np.isfinite(value):
        return "n/a"
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def reason_kind(reason: str) -> str:
    """The kind of failure a reason tells of.

    >>> reason_kind("DataError: cut off"), reason_kind("something else: x")
    ('a file is missing, broken or not what it claims to be', 'something else')
    """
    head = reason.split(":", maxsplit=1)[0].strip()
    return REASONS.get(head, head or "no reason given")


def reach_name(reach_id: int, river_name: str) -> str:
    """River and reach.

    >>> reach_name(74269900011, "Ouachita"), reach_name(74269900011, "")
    ('Ouachita, reach 74269900011', 'Reach 74269900011')
    """
    return f"{river_name}, reach {reach_id}" if river_name else f"Reach {reach_id}"


def flag_names(bits: int) -> str:
    """Flags that are set, as words.

    >>> flag_names(1 | 64), flag_names(0)
    ('few pixels, cloud adjacent', 'none')
    """
    return ", ".join(_words(flag) for flag in Quality if flag & bits) or "none"


def _words(flag: Quality) -> str:
    return str(flag.name).replace("_", " ").lower()


def estimate_hint(row: Mapping[Any, Any]) -> str:
    """One estimate in one line; `row` is a results row."""
    return (
        f"{row['time']:%Y-%m-%d %H:%M} UTC, {row['platform']}: {amount(row['ssc'])} mg/L, 90 % interval "
        f"{amount(row['ssc_lo90'])} to {amount(row['ssc_hi90'])} mg/L; flags: {flag_names(int(row['ssc_qual']))}"
    )


@cache
def flag_meanings() -> dict[Quality, tuple[str, str]]:
    """Name and meaning of every quality flag; the meaning is the attribute's docstring, so it is written once."""
    body = next(node for node in ast.parse(inspect.getsource(quality)).body if _is_class(node, "Quality"))
    texts = [node.value.value for node in body.body[1:] if _is_text(node)]  # type: ignore[attr-defined]
    return {flag: (_words(flag), text) for flag, text in zip(Quality, texts, strict=True)}


def _is_class(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.ClassDef) and node.name == name


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
