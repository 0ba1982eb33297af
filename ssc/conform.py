"""Between data frames and typed tables: nothing is lost, rounded or guessed on the way.

A missing value is null in the table, NaN or NaT in a data frame; a table never holds NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ssc.errors import ResultError

Bools = NDArray[np.bool_]
Positions = NDArray[np.int64]
_SEPARATOR = "\x1f"
"""ASCII unit separator: joins the texts of a list, and is in none of them."""


def to_table(rows: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """A frame as a table of exactly that schema; columns may come in any order.

    Integers of any width are taken when they fit, times in any zone and unit when they lose nothing; float64 is not
    taken for float32, because rounding is a decision of whoever made the numbers.

    Raises:
        ResultError: A column is missing, unknown, of another type, or null where it must not be.
    """
    wanted, found = set(schema.names), {str(name) for name in rows.columns}
    if wanted != found:
        missing, extra = (" ".join(sorted(names)) or "none" for names in (wanted - found, found - wanted))
        raise ResultError(f"not a table of results: found missing columns: {missing}; unknown columns: {extra}")
    return pa.table([_to_array(rows[field.name], field) for field in schema], schema=schema)


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A table as a frame: NaN and NaT for null, lists of text as Python lists."""
    lists = [field.name for field in table.schema if pa.types.is_list(field.type)]
    frame: pd.DataFrame = table.drop_columns(lists).to_pandas(ignore_metadata=True)
    for name in lists:
        frame[name] = pd.Series(table[name].to_pylist(), index=frame.index, dtype=object)
    return frame[table.column_names]


def _to_array(values: pd.Series, field: pa.Field) -> pa.Array:
    if not _is_of_kind(values, field.type):
        raise _wrong(field, f"found {values.dtype}, wanted {field.type}")
    try:
        array = pa.array(values, type=field.type, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise _wrong(field, f"found {str(error).splitlines()[0]}, wanted {field.type}") from error
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if array.null_count and not field.nullable:
        raise _wrong(field, f"found {array.null_count} of {len(array)} values missing, wanted a value in each row")
    return array


def _wrong(field: pa.Field, what: str) -> ResultError:
    return ResultError(f"cannot store column {field.name}: {what}")


def _is_of_kind(values: pd.Series, wanted: pa.DataType) -> bool:
    dtype = values.dtype
    if pa.types.is_integer(wanted):
        return pd.api.types.is_integer_dtype(dtype)
    if pa.types.is_floating(wanted):
        return isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize * 8 <= wanted.bit_width
    if pa.types.is_timestamp(wanted):
        return isinstance(dtype, pd.DatetimeTZDtype)
    if pa.types.is_string(wanted):
        return bool(pd.api.types.is_string_dtype(values))
    return bool(pd.api.types.is_object_dtype(dtype))


def require_unique(table: pa.Table, key: Sequence[str]) -> None:
    """Refuse a table that says two things of one key.

    Raises:
        ResultError: Rows with the same key.
    """
    counts = table.group_by(list(key)).aggregate([([], "count_all")])
    several = counts.filter(pc.greater(counts["count_all"], 1))
    if several.num_rows:
        first = several.sort_by([(name, "ascending") for name in key]).slice(0, 1).to_pylist()[0]
        raise ResultError(
            f"{several.num_rows} keys twice in a table of results: found {first.pop('count_all')} rows of "
            f"{' '.join(str(value) for value in first.values())}, wanted one"
        )


def match(left: pa.Table, right: pa.Table, key: Sequence[str]) -> tuple[Positions, Positions]:
    """Positions (n,), (n,) of the rows of two tables that have the same key, in the order of the left one."""
    ours = left.select(key).append_column("_left", pa.array(np.arange(left.num_rows)))
    theirs = right.select(key).append_column("_right", pa.array(np.arange(right.num_rows)))
    pairs = ours.join(theirs, list(key), join_type="inner").sort_by([("_left", "ascending"), ("_right", "ascending")])
    return pairs["_left"].to_numpy(), pairs["_right"].to_numpy()


def same_rows(left: pa.Table, right: pa.Table) -> Bools:
    """(n,) True where two tables of one schema hold the same row: null equals null, floats are equal bit by bit."""
    same = np.ones(left.num_rows, dtype=bool)
    for name in left.column_names:
        same &= _same_values(left[name].combine_chunks(), right[name].combine_chunks())
    return same


def _same_values(left: pa.Array, right: pa.Array) -> Bools:
    if pa.types.is_list(left.type):
        left, right = (pc.binary_join(values, _SEPARATOR) for values in (left, right))
    nulls = left.is_null().to_numpy(zero_copy_only=False), right.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(left.type):
        equal = _bits(left) == _bits(right)
    else:
        equal = pc.equal(left, right).fill_null(False).to_numpy(zero_copy_only=False)
    return np.where(nulls[0] | nulls[1], nulls[0] & nulls[1], equal)


def _bits(values: pa.Array) -> NDArray[np.uint32]:
    return values.cast(pa.float32()).fill_null(0.0).to_numpy().view(np.uint32)
