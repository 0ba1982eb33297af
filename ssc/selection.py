"""Which rows of the results are wanted, as an expression that prunes partitions and files."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from operator import and_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ssc.delta import text
from ssc.errors import InputError
from ssc.schema import basin_of

Time = str | date
"""A day or a moment: ISO text, date or datetime; UTC unless it says otherwise."""

_A_DAY = timedelta(days=1)


def where(
    reach_ids: Collection[int] | None = None,
    *,
    start: Time | None = None,
    end: Time | None = None,
    masker: str | None = None,
    regressor: str | None = None,
    quality_max: int | None = None,
) -> pc.Expression | None:
    """The conditions of `Store.query` as one expression, None when there are none.

    Raises:
        InputError: Not a date or not reach ids.
    """
    parts = [*_of_reaches(reach_ids), *_between(start, end)]
    parts += [text(name) == value for name, value in (("masker", masker), ("regressor", regressor)) if value]
    if quality_max is not None:
        parts.append(pc.field("ssc_quality") <= quality_max)
    return reduce(and_, parts) if parts else None


def moment(value: Time, *, last: bool = False) -> datetime:
    """A moment, aware UTC: of a day its first microsecond, or its last.

    Raises:
        InputError: No date.

    >>> moment("2021-09-07", last=True).isoformat()
    '2021-09-07T23:59:59.999999+00:00'
    """
    if isinstance(value, str):
        value = _parse(value)
    if not isinstance(value, datetime):
        value = datetime.combine(value, time.max if last else time.min)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _parse(text: str) -> date:
    try:
        return date.fromisoformat(text) if "T" not in text and ":" not in text else datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"not a date: found {text!r}, wanted YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS (UTC)") from None


def _of_reaches(reach_ids: Collection[int] | None) -> list[pc.Expression]:
    if reach_ids is None:
        return []
    ids = _integers(reach_ids)
    basins = pa.array(np.unique(basin_of(ids)), pa.int32())
    return [pc.field("basin").isin(basins), pc.field("reach_id").isin(pa.array(ids, pa.int64()))]


def _integers(reach_ids: Collection[int]) -> NDArray[np.int64]:
    ids = np.array(list(reach_ids)) if len(reach_ids) else np.array([], dtype=np.int64)
    if not np.issubdtype(ids.dtype, np.integer) or (ids < 1).any():
        raise InputError(f"not reach ids: found {ids[:3].tolist()} ({ids.dtype}), wanted whole positive numbers")
    return ids.astype(np.int64)


def _between(start: Time | None, end: Time | None) -> list[pc.Expression]:
    """Conditions on time, and on year: the year is that of the acquisition, minutes before the time."""
    parts = []
    if start is not None:
        first = moment(start)
        parts += [pc.field("time") >= first, pc.field("year") >= (first - _A_DAY).year]
    if end is not None:
        final = moment(end, last=True)
        parts += [pc.field("time") <= final, pc.field("year") <= (final + _A_DAY).year]
    return parts
