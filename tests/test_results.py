"""The results store: what is written is what is read, once per key, whatever the order, whoever else writes."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake

import tables
from ssc import delta
from ssc.conform import to_table
from ssc.errors import InputError, ResultError
from ssc.overlaps import resolve
from ssc.results import ORDER, open_store
from ssc.schema import COLUMNS, KEY, arrow_schema
from tables import REACHES, make_reaches, make_rows, on_tile

NAMES = [column.name for column in COLUMNS]


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store", create=True)


def same(left, right):
    pd.testing.assert_frame_equal(left, right, check_exact=True)


def test_what_is_written_is_what_is_read(store):
    rows = make_rows()
    written = store.write(rows.sample(frac=1, random_state=1)[NAMES[::-1]])
    assert (written.inserted, written.updated, written.unchanged) == (12, 0, 0)
    same(store.query(), rows.sort_values(list(ORDER), ignore_index=True)[NAMES])


def test_missing_is_null_in_arrow_and_nan_in_pandas(store):
    rows = make_rows()
    store.write(rows)
    table = store.arrow(columns=["ssc"])
    assert table["ssc"].null_count == rows["ssc"].isna().sum() > 0
    assert store.query()["ssc"].isna().sum() == rows["ssc"].isna().sum()


def test_second_write_makes_no_version_and_changes_no_row(store):
    rows = make_rows()
    store.write(rows)
    version, before = store.results.version, store.query()
    written = store.write(rows.sample(frac=1, random_state=2))
    assert (written.inserted, written.updated, written.unchanged) == (0, 0, 12)
    assert store.results.version == version
    same(store.query(), before)


def test_only_rows_that_differ_are_replaced(store):
    rows = make_rows()
    store.write(rows)
    changed = rows.copy()
    changed.loc[0, "blue_med"] = np.nextafter(np.float32(1), np.float32(2))
    changed["granule_ids"] = [*rows["granule_ids"][:5], ["HLS.S30.T15SXS.x"], *rows["granule_ids"][6:]]
    written = store.write(changed)
    assert (written.inserted, written.updated, written.unchanged) == (0, 2, 10)
    same(store.query(), changed.sort_values(list(ORDER), ignore_index=True))


@pytest.mark.parametrize(("old", "new"), [(0.0, -0.0), (np.nan, 1.0), (1.0, np.nan)])
def test_a_difference_in_one_bit_or_in_missing_counts(store, old, new):
    rows = make_rows(days=1)
    store.write(rows.assign(ssc=np.float32(old)))
    assert store.write(rows.assign(ssc=np.float32(new))).updated == 3
    assert store.write(rows.assign(ssc=np.float32(new))).unchanged == 3


def test_other_masker_or_regressor_is_another_row(store):
    """Both maskers in one file, each at an end of its statistics (apache/arrow#49368)."""
    rows = make_rows()
    store.write(pd.concat([rows, rows.assign(masker="mndwi")]))
    assert len(store.query(masker="legacy-dswx")) == 12
    assert store.write(rows.assign(regressor="ours")).inserted == 12
    assert len(store.query(masker="mndwi")) == 12
    assert set(store.query(regressor="ours")["masker"]) == {"legacy-dswx"}


def test_integers_of_any_width_and_times_of_any_zone(store):
    rows = make_rows()
    wide = rows.assign(
        year=rows["year"].astype("int64"),
        ssc_quality=rows["ssc_quality"].astype("int64"),
        time=rows["time"].dt.tz_convert("Asia/Kolkata").astype("datetime64[ns, Asia/Kolkata]"),
        platform=rows["platform"].astype(object),
    )
    store.write(wide)
    same(store.query(), rows.sort_values(list(ORDER), ignore_index=True))


BROKEN = {
    "missing": (lambda rows: rows.drop(columns=["ssc"]), "missing columns: ssc"),
    "extra": (lambda rows: rows.assign(colour=1), "unknown columns: colour"),
    "float64": (lambda rows: rows.assign(ssc=1.0), "ssc: found float64, wanted float"),
    "float id": (lambda rows: rows.assign(reach_id=rows["reach_id"].astype(float)), "reach_id: found float64"),
    "naive time": (lambda rows: rows.assign(time=rows["time"].dt.tz_localize(None)), "time: found datetime64"),
    "too large": (lambda rows: rows.assign(ssc_quality=300), "ssc_quality: found"),
    "half microsecond": (
        lambda rows: rows.assign(time=rows["time"].astype("datetime64[ns, UTC]") + pd.Timedelta(nanoseconds=500)),
        "time: found",
    ),
    "no text": (lambda rows: rows.assign(platform=8), "platform: found int64, wanted string"),
    "text for a list": (lambda rows: rows.assign(tile_ids="15SXR"), "tile_ids: found"),
    "empty": (lambda rows: rows.assign(masker=None), "masker: found"),
    "not a share": (lambda rows: rows.assign(reach_share=np.float32(np.nan)), "reach_share: found 12 of 12 values"),
    "twice": (lambda rows: pd.concat([rows, rows.head(1)]), "1 keys twice"),
    "basin": (lambda rows: rows.assign(basin=np.int32(11)), "wrong basin: found"),
    "year": (lambda rows: rows.assign(year=np.int32(2020)), "wrong year: found"),
}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    return open_store(tmp_path_factory.mktemp("untouched") / "store", create=True)


@pytest.mark.parametrize("name", BROKEN)
def test_rows_against_the_schema_are_refused_whole(untouched, name):
    breaks, message = BROKEN[name]
    with pytest.raises(ResultError, match=message):
        untouched.write(breaks(make_rows()))
    assert untouched.results.version == 0


def test_no_rows_are_no_work(store):
    assert store.write(pd.DataFrame()).inserted == 0
    assert store.results.version == 0
    assert list(store.query().columns) == NAMES


def slowly(rows, reach_ids=None, first=None, last=None, quality_max=3):
    """The rows of a query, the long way round."""
    kept = rows if reach_ids is None else rows[[reach_id in reach_ids for reach_id in rows["reach_id"]]]
    kept = kept if first is None else kept[kept["time"] >= pd.Timestamp(first, tz="UTC")]
    kept = kept if last is None else kept[kept["time"] < pd.Timestamp(last, tz="UTC")]
    return kept[kept["ssc_quality"] <= quality_max].sort_values(list(ORDER), ignore_index=True)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Rows over two New Years, and the store that holds them."""
    rows = make_rows(days=400, first="2020-12-30T23:50:00Z")
    store = open_store(tmp_path_factory.mktemp("filled") / "store", create=True)
    store.write(rows)
    return store, rows


@pytest.mark.parametrize("start", ["2020-12-31", date(2020, 12, 31), datetime(2020, 12, 31, tzinfo=UTC)])
@pytest.mark.parametrize("end", ["2021-01-01", date(2021, 1, 1), "2021-01-01T23:59:59.999999Z"])
def test_days_are_whole_and_new_year_is_no_border(filled, start, end):
    store, rows = filled
    same(store.query(start=start, end=end), slowly(rows, first="2020-12-31", last="2021-01-02"))


def test_query_by_reach_quality_and_columns(filled):
    store, rows = filled
    expected = slowly(rows, reach_ids=REACHES[:2], first="2021-06-01", last="2021-07-01", quality_max=1)
    found = store.query(REACHES[:2], start="2021-06-01", end="2021-06-30", quality_max=1)
    same(found, expected)
    columns = ["ssc", "reach_id"]
    same(
        store.query(REACHES[:2], start="2021-06-01", end="2021-06-30", quality_max=1, columns=columns),
        expected[columns],
    )


def test_times_with_a_zone_are_moments(filled):
    one = filled[0].query(start="2021-03-01T05:35:46+05:30", end="2021-03-01T05:35:47+05:30")
    assert one["time"].unique().tolist() == [pd.Timestamp("2021-03-01T00:05:46.751044Z")]
    assert len(one) == len(REACHES)


@pytest.mark.parametrize("reach_ids", [[], [12345678901], [1]])
def test_unknown_reaches_give_no_rows(filled, reach_ids):
    found = filled[0].query(reach_ids)
    assert found.empty
    assert found["reach_id"].dtype == np.int64


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"start": "yesterday"}, "not a date: found 'yesterday'"),
        ({"end": "2021-02-30"}, "not a date"),
        ({"reach_ids": [7.43e10]}, "not reach ids"),
        ({"reach_ids": ["74299900011"]}, "not reach ids"),
        ({"columns": ["colour"]}, "no column colour"),
    ],
)
def test_wrong_questions_are_refused(filled, wrong, message):
    with pytest.raises(InputError, match=message):
        filled[0].query(**wrong)


def test_arrow_keeps_units_and_types(filled):
    schema = filled[0].arrow([REACHES[0]]).schema
    assert schema.equals(arrow_schema(), check_metadata=True)
    assert schema.field("ssc").metadata[b"units"] == b"mg L-1"


def test_geo_joins_lines_and_says_where_there_is_none(store):
    store.write(make_rows())
    store.write_reaches(make_reaches(REACHES[:2]))
    found = store.geo(start="2021-09-05", end="2021-09-05")
    assert found.crs == "EPSG:4326"
    assert found["reach_id"].tolist() == sorted(REACHES)
    assert found.geometry.isna().tolist() == [True, False, False]
    assert found.geometry.iloc[1].equals(make_reaches().geometry.iloc[0])
    assert found["river_name"].iloc[1] == "Mississippi River"


def test_geo_before_any_reaches(store):
    store.write(make_rows(days=1))
    assert store.geo().geometry.isna().all()


def test_reaches_of_several_runs_add_up(store):
    table = make_reaches()
    store.write_reaches(table.iloc[:2])
    store.write_reaches(table.iloc[1:].assign(width_m=500.0))
    assert store.reaches()["width_m"].to_dict() == {REACHES[2]: 500.0, REACHES[0]: 300.0, REACHES[1]: 500.0}
    assert store.reaches().index.is_monotonic_increasing


def test_same_reaches_are_not_written_again(store):
    table = make_reaches().assign(width_m=np.nan)
    store.write_reaches(table)
    file = Path(store.place.uri) / "reaches.parquet"
    before = file.stat()
    store.write_reaches(table.iloc[::-1])
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


TILES = (("15SXR", 0.3), ("15SXS", 0.9), ("16SBA", 0.9), ("15SWR", 0.6))
ORDERS = ((0, 1, 2, 3), (3, 1, 0, 2))


@pytest.mark.parametrize("order", ORDERS)
def test_tiles_of_one_overpass_in_any_order(tmp_path, order):
    """L30 tiles of one overpass differ by seconds in their names, so they differ in their keys."""
    rows = make_rows(first="2020-12-31T23:59:30Z", n_px_used=np.int32(50))
    each = [on_tile(rows, tile, share) for tile, share in TILES]
    later = make_rows(first="2021-01-01T00:00:30Z", n_px_used=np.int32(50))
    each[2] = on_tile(later, *TILES[2])
    store = open_store(tmp_path / "store", create=True)
    for index in order:
        store.write(each[index], resolve=resolve)
    expected = resolve(pd.concat(each, ignore_index=True)).sort_values(list(ORDER), ignore_index=True)
    assert len(expected) == 12
    same(store.query(), expected)
    version = store.results.version
    for index in order:
        again = store.write(each[index], resolve=resolve)
        assert (again.inserted, again.updated, again.deleted) == (0, 0, 0)
    assert store.results.version == version
    same(store.query(), expected)


def test_better_tile_takes_the_place_in_one_commit(store):
    rows = make_rows(n_px_used=np.int32(50))
    late = make_rows(first="2021-09-05T16:39:25Z", n_px_used=np.int32(50))
    store.write(on_tile(rows, "15SXR", 0.3), resolve=resolve)
    written = store.write(on_tile(late, "15SXS", 0.9), resolve=resolve)
    assert (written.inserted, written.deleted, written.outranked) == (12, 12, 0)
    assert store.results.version == 2
    assert {tile for tiles in store.query()["tile_ids"] for tile in tiles} == {"15SXS"}
    lost = store.write(on_tile(rows, "15SXR", 0.3), resolve=resolve)
    assert (lost.inserted, lost.unchanged, lost.deleted, lost.outranked) == (0, 0, 0, 12)


def test_all_tiles_in_one_batch(store):
    rows = make_rows(n_px_used=np.int32(50))
    written = store.write(
        pd.concat([on_tile(rows, tile, share) for tile, share in TILES], ignore_index=True), resolve=resolve
    )
    assert (written.inserted, written.outranked) == (12, 36)


def test_new_numbers_of_the_same_granule_replace_better_looking_old_ones(store):
    rows = make_rows(n_px_used=np.int32(50))
    store.write(rows, resolve=resolve)
    assert store.write(rows.assign(n_px_used=np.int32(5)), resolve=resolve).updated == 12
    assert set(store.query()["n_px_used"]) == {5}


def test_overpasses_apart_and_satellites_stay_apart(store):
    rows = make_rows(days=1)
    store.write(rows, resolve=resolve)
    store.write(rows.assign(platform="S2B"), resolve=resolve)
    store.write(make_rows(days=1, first="2021-09-05T18:19:00Z"), resolve=resolve)
    assert len(store.query()) == 9


def test_opening_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"no results store at .*ssc estimate"):
        open_store(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no results store"):
        open_store(tmp_path / "empty")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    for create in (False, True):
        with pytest.raises(InputError, match=r"not a results store: .* holds cat\.jpg"):
            open_store(tmp_path / "photos", create=create)
    with pytest.raises(InputError, match="not a folder"):
        open_store(tmp_path / "photos" / "cat.jpg", create=True)
    with pytest.raises(InputError, match="not a place to write to: https://host/store"):
        open_store("https://host/store", create=True)


def test_a_store_half_made_is_made_whole(tmp_path):
    store = open_store(tmp_path / "store", create=True)
    for file in sorted((tmp_path / "store" / "results").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    with pytest.raises(InputError, match="no results store"):
        open_store(tmp_path / "store")
    open_store(tmp_path / "store", create=True).write(make_rows())
    assert len(store.query()) == 12


def test_a_store_of_other_columns_is_refused(tmp_path, store):
    store.results.create("")
    other = store.results.__class__(
        uri=store.results.uri, schema=arrow_schema().remove(5), key=KEY, partitions=("basin", "year")
    )
    with pytest.raises(ResultError, match="written by another version: found a difference in basin"):
        other.read()


@pytest.fixture
def aged(tmp_path):
    """A store with rows as it was made before there was a mean estimate, written by deltalake alone."""
    path = tmp_path / "aged"
    open_store(path, create=True)
    shutil.rmtree(path / "results")
    schema = arrow_schema()
    once = schema.remove(schema.get_field_index("ssc_mean"))
    rows = to_table(make_rows(n_px_used=np.int32(50)).drop(columns="ssc_mean"), once)
    write_deltalake(path / "results", rows, partition_by=["basin", "year"])
    return open_store(path)


def test_a_store_from_before_a_column_is_read_as_if_it_were_empty(aged):
    rows = make_rows(n_px_used=np.int32(50)).assign(ssc_mean=np.float32(np.nan))
    rows = rows.sort_values(list(ORDER), ignore_index=True)
    same(aged.query(), rows)
    assert aged.arrow().schema.equals(arrow_schema(), check_metadata=True)
    found = aged.query(REACHES[:1], quality_max=2, columns=["ssc_mean", "ssc"])
    assert list(found.columns) == ["ssc_mean", "ssc"]
    assert found["ssc_mean"].dtype == np.float32
    assert aged.results.version == 0


def test_a_store_from_before_a_column_can_be_added_to(aged):
    """Same rows: no change. Rows with a mean: they have it, the others do not."""
    rows = make_rows(n_px_used=np.int32(50)).assign(ssc_mean=np.float32(np.nan))
    assert aged.write(rows).unchanged == 12
    assert aged.results.version == 0
    later = make_rows(first="2022-09-05T16:39:01Z", ssc_mean=np.float32(7))
    written = aged.write(pd.concat([rows.assign(ssc_mean=np.float32(3)).head(5), later]), resolve=resolve)
    assert (written.inserted, written.updated, written.unchanged) == (12, 5, 0)
    expected = pd.concat([rows.head(5).assign(ssc_mean=np.float32(3)), rows.tail(7), later])
    same(aged.query(), expected.sort_values(list(ORDER), ignore_index=True))
    version = aged.results.version
    assert aged.write(later).unchanged == 12
    assert aged.results.version == version
    aged.tidy()
    same(aged.query(), expected.sort_values(list(ORDER), ignore_index=True))


def test_two_writers_complete_a_store_from_before_a_column(aged):
    """Whoever comes second finds other columns than it read, and computes its change again."""
    parts = [make_rows(first=f"2021-{month:02d}-01T16:00:00Z", seed=month) for month in (10, 11, 12)]
    path = aged.place.uri
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda rows: open_store(path).write(rows), parts))
    same(aged.query(start="2021-10-01"), pd.concat(parts).sort_values(list(ORDER), ignore_index=True))
    assert len(aged.query()) == 48


def test_writers_at_once_lose_nothing(tmp_path, monkeypatch):
    """Three threads, one partition, joining files all the time: those that come late compute their change again."""
    monkeypatch.setattr(delta, "_MOST_FILES", 1)
    open_store(tmp_path / "store", create=True)
    parts = [make_rows(first=f"2021-0{month}-01T16:00:00Z", seed=month) for month in range(1, 4)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda rows: open_store(tmp_path / "store").write(rows, resolve=resolve), parts * 2))
    expected = pd.concat(parts).sort_values(list(ORDER), ignore_index=True)
    same(open_store(tmp_path / "store").query(), expected)


def test_tidying_changes_no_row(store):
    for month in range(1, 4):
        store.write(make_rows(first=f"2021-0{month}-01T16:00:00Z", seed=month))
    before, version = store.query(), store.results.version
    store.tidy()
    assert store.results.version > version
    same(store.query(), before)


def test_many_small_commits_do_not_pile_up_files(store, monkeypatch):
    monkeypatch.setattr(delta, "_MOST_FILES", 3)
    parts = [make_rows(REACHES[:1], days=1, first=f"2021-09-{day:02d}T16:00:00Z", seed=day) for day in range(1, 9)]
    for part in parts:
        store.write(part)
    assert store.results.files <= 4
    same(store.query(), pd.concat(parts, ignore_index=True))


def test_ten_kills_at_any_moment_lose_nothing(tmp_path, monkeypatch):
    """Whatever a killed writer leaves is the old version or the new one, and the next writer goes on from there."""
    monkeypatch.setenv("PYTHONPATH", str(tables.FOLDER))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tables"])
    path, moments = tmp_path / "killed", random.Random(1)
    open_store(path, create=True)
    log = path / "results" / "_delta_log"
    for number in range(1, 11):
        before = len(list(log.glob("*.json")))
        writer = context.Process(target=tables.write_without_end, args=(path, 100 * number))
        writer.start()
        while writer.is_alive() and len(list(log.glob("*.json"))) == before:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.3))  # the next write is somewhere between its first and its last step
        writer.kill()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        assert not open_store(path).query(columns=KEY).duplicated().any()
    tables.write_batches(path)
    tables.write_batches(tmp_path / "left-alone")
    same(open_store(path).query(), open_store(tmp_path / "left-alone").query())
