"""The results schema: every column says what it is, in units that mean something."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from ssc.bands import SIX
from ssc.quality import Quality, Summary
from ssc.schema import COLUMNS, ESTIMATE, FLAG_MASKS, KEY, PARTITIONS, SAMPLE, arrow_schema, basin_of

UNITS = {"", "1", "mg L-1", "degree", "percent"}


def test_names_are_unique_and_key_and_partitions_are_among_them():
    names = [column.name for column in COLUMNS]
    assert len(names) == len(set(names))
    assert {*KEY, *PARTITIONS} <= set(names)
    assert {column.name for column in (*SAMPLE, *ESTIMATE)} <= set(names)


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_each_column_has_a_meaning_and_a_known_unit(column):
    assert column.meaning
    assert column.unit in UNITS
    number = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    assert bool(column.unit) == (number and column.name not in {"reach_id", "basin", "year"})
    assert number or not column.nullable, "only numbers may be missing"


def test_key_is_never_missing_and_partitions_are_integers():
    """Pruning needs integer partitions (delta-io/delta-rs#3786, #4301)."""
    schema = arrow_schema()
    assert not any(schema.field(name).nullable for name in (*KEY, *PARTITIONS))
    assert {schema.field(name).type for name in PARTITIONS} == {pa.int32()}
    assert schema.field("reach_id").type == pa.int64()


def test_six_bands_have_six_statistics_each():
    names = {column.name for column in SAMPLE}
    assert {f"{band.value}_{name}" for band in SIX for name in ("med", "mad", "p10", "p25", "p75", "p90")} <= names


def test_arrow_fields_carry_unit_and_meaning():
    for column in COLUMNS:
        metadata = arrow_schema().field(column.name).metadata
        assert metadata == {b"units": column.unit.encode(), b"long_name": column.meaning.encode()}


def test_flags_fit_their_columns():
    schema = arrow_schema()
    assert {"ssc_qual": Quality, "ssc_quality": Summary} == FLAG_MASKS
    for name, flags in FLAG_MASKS.items():
        limit = np.iinfo(schema.field(name).type.to_pandas_dtype()).max
        assert 0 <= min(flags) <= max(flags) <= limit


def test_basin_is_the_beginning_of_the_id():
    assert basin_of(np.array([74299900011, 11, 62270000143, 9])).tolist() == [74, 11, 62, 9]
    assert basin_of(np.array([], dtype=np.int64)).dtype == np.int32
