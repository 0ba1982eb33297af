"""New rows against stored ones: the order and the batches in which granules come do not count."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssc.conform import to_frame, to_table
from ssc.errors import ResultError
from ssc.overlaps import resolve
from ssc.overpasses import scope_of, settle
from ssc.schema import KEY, arrow_schema
from tables import REACHES, make_rows, on_tile

NOTHING = arrow_schema().empty_table()


def looks(tiles, share, second=0, reaches=REACHES[:2], days=2, **given_):
    """Rows of one granule made from some tiles, a few seconds into the overpass."""
    rows = make_rows(reaches, days=days, first=f"2021-09-05T16:39:{second:02d}Z", n_px_used=np.int32(50))
    parts = [on_tile(rows, tile, share) for tile in tiles]
    names = [list(chain(*ids)) for ids in zip(*(part["granule_ids"] for part in parts), strict=True)]
    return parts[0].assign(**{"granule_ids": names, "tile_ids": [list(tiles)] * len(rows)} | given_)


def store_after(*batches):
    """What a store holds after these writes, without a store."""
    held = NOTHING
    for batch in batches:
        swap = settle(to_table(batch, arrow_schema()), held, resolve)
        before = {tuple(row[name] for name in KEY) for row in swap.before.to_pylist()}
        stays = [tuple(row[name] for name in KEY) not in before for row in held.select(KEY).to_pylist()]
        held = pa.concat_tables([held.filter(pa.array(stays, pa.bool_())), swap.after])
    return to_frame(held).sort_values(list(KEY), ignore_index=True)


TILES = ("15SXR", "15SXS", "15SWR", "16SBA")


@settings(deadline=None, max_examples=15)
@given(
    shares=st.lists(st.sampled_from([0.25, 0.5, 0.75]), min_size=4, max_size=4),
    seconds=st.lists(st.sampled_from([0, 0, 24, 48]), min_size=4, max_size=4),
    order=st.permutations(range(4)),
    cuts=st.sets(st.integers(1, 3)),
    again=st.integers(0, 3),
)
def test_any_order_any_batches_any_repetition_end_alike(shares, seconds, order, cuts, again):
    granules = [looks([tile], share, second) for tile, share, second in zip(TILES, shares, seconds, strict=True)]
    edges = [0, *sorted(cuts), 4]
    batches = [
        pd.concat([granules[index] for index in order[first:last]], ignore_index=True)
        for first, last in pairwise(edges)
    ]
    expected = resolve(pd.concat(granules, ignore_index=True)).sort_values(list(KEY), ignore_index=True)
    pd.testing.assert_frame_equal(store_after(*batches, granules[again]), expected)


def test_the_same_granules_again_replace_whatever_their_rank_or_key():
    old = looks(["15SXR", "15SXS"], 0.9)
    new = looks(["15SXS", "15SXR"], 0.2, second=24, granule_ids=[ids[::-1] for ids in old["granule_ids"]])
    pd.testing.assert_frame_equal(store_after(old, new), store_after(new))


def test_rows_of_fewer_granules_give_way_to_rows_of_more():
    one = looks(["15SXS"], 0.9, second=24)
    both = looks(["15SXR"], 0.1)
    both["granule_ids"] += one["granule_ids"]
    pd.testing.assert_frame_equal(store_after(one, both), store_after(both))


def test_rows_of_more_granules_compete_with_rows_of_fewer():
    """One of two granules seen again says nothing of what both together show."""
    pooled = looks(["15SXR", "15SXS"], 0.9)
    pd.testing.assert_frame_equal(store_after(pooled, looks(["15SXS"], 0.3)), store_after(pooled))


def test_shares_of_another_reach_file_do_not_compete():
    new = looks(["15SXS"], 0.5, second=24, sword_version="v18")
    pd.testing.assert_frame_equal(store_after(looks(["15SXR"], 0.9), new), store_after(new))


def test_other_overpasses_reaches_and_maskers_are_left_alone():
    old = looks(["15SXR"], 0.9)
    later = old.assign(
        acquisition=old["acquisition"] + pd.Timedelta(minutes=31), granule_ids=[["HLS.L30.later"]] * len(old)
    )
    others = [later, looks(["15SXS"], 0.5, reaches=REACHES[2:]), looks(["15SXR"], 0.1, masker="fmask")]
    assert len(store_after(old, *others)) == len(old) + sum(map(len, others))


def test_scope_reaches_half_an_hour_beyond_new_year():
    rows = to_table(make_rows(REACHES, days=1, first="2020-12-31T23:45:00Z"), arrow_schema())
    assert scope_of(rows) == {"basin": [62, 74], "year": [2020, 2021]}


@pytest.mark.parametrize(("name", "wanted"), [("basin", "wanted 74"), ("year", "wanted 2021")])
def test_rows_in_a_wrong_partition_are_refused(name, wanted):
    rows = make_rows(REACHES[:1], days=1).assign(**{name: np.int32(7)})
    with pytest.raises(ResultError, match=f"wrong {name}: found .*74299900011.*{wanted}"):
        scope_of(to_table(rows, arrow_schema()))
