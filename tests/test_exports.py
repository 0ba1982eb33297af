"""Exports: every number survives the way into another format and back."""

from __future__ import annotations

import csv
import json

import geopandas as gpd
import netCDF4
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
import xarray as xr

from ssc.errors import InputError, ResultError
from ssc.exports import FORMATS, export
from ssc.quality import Quality, Summary
from ssc.results import ORDER, open_store
from ssc.schema import COLUMNS, arrow_schema
from tables import REACHES, make_reaches, make_rows

LISTS = ["granule_ids", "tile_ids"]
NUMBERS = [c.name for c in COLUMNS if c.unit]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = open_store(tmp_path_factory.mktemp("exports") / "store", create=True)
    rows = make_rows()
    store.write(pd.concat([rows, rows.assign(masker="mndwi", ssc_qual=np.int32(32769))]))
    store.write_reaches(make_reaches())
    return store


@pytest.fixture(scope="module")
def rows(store):
    return store.query()


def test_csv_reads_back(store, rows, tmp_path):
    export(store, tmp_path / "out.csv", "csv")
    found = pd.read_csv(tmp_path / "out.csv", dtype={"ssc_qual": "int32"}, parse_dates=["time", "acquisition"])
    assert list(found.columns) == list(rows.columns)
    pd.testing.assert_frame_equal(found[NUMBERS].astype(rows[NUMBERS].dtypes), rows[NUMBERS], check_exact=True)
    assert (found["time"] == rows["time"]).all()
    assert found["granule_ids"].str.split(" ").tolist() == rows["granule_ids"].tolist()


def test_csv_is_plain(store, tmp_path):
    """As a spreadsheet sees it: whole ids, ISO times, nothing where nothing is known, no digits of float64."""
    export(store, tmp_path / "out.csv", "csv", rows=store.query([REACHES[0]], columns=["reach_id", "time", "ssc"]))
    with (tmp_path / "out.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["reach_id", "time", "ssc"]
    assert lines[0][:2] == ["74299900011", "2021-09-05T16:54:47.751044Z"]
    assert max(len(line[2]) for line in lines) <= len("0.123456789")


def test_parquet_keeps_types_units_and_meanings(store, rows, tmp_path):
    export(store, tmp_path / "out.parquet", "parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.remove_metadata().equals(arrow_schema())
    assert table.schema.field("ssc").metadata[b"units"] == b"mg L-1"
    assert table["ssc"].null_count == rows["ssc"].isna().sum() > 0
    assert table["ssc"].drop_null().to_pylist() == rows["ssc"].dropna().tolist()


def test_rows_alone_can_be_exported_too(rows, tmp_path):
    export(rows, tmp_path / "all.parquet", "parquet")
    export(rows[["reach_id", "ssc"]], tmp_path / "few.parquet", "parquet")
    assert pq.read_schema(tmp_path / "few.parquet").names == ["reach_id", "ssc"]
    with pytest.raises(ResultError, match="ssc: found float64"):
        export(rows.astype({"ssc": "float64"}), tmp_path / "wrong.parquet", "parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.parquet", "few.parquet"]


def test_geoparquet_reads_back_with_and_without_geopandas(store, rows, tmp_path):
    """GeoParquet 1.1: geo metadata, WKB, a bounding box per row named as covering; ids stay whole numbers."""
    path = export(store, tmp_path / "out.parquet", "geoparquet")
    found = gpd.read_parquet(path)
    assert found.crs == "EPSG:4326"
    assert found.geometry.tolist() == make_reaches().loc[rows["reach_id"]].geometry.tolist()
    numbers = pd.DataFrame(found.drop(columns="geometry"))
    pd.testing.assert_frame_equal(numbers[NUMBERS], rows[NUMBERS], check_exact=True)
    assert [list(names) for names in numbers["granule_ids"]] == rows["granule_ids"].tolist()
    assert (numbers["time"] == rows["time"]).all()
    table = pq.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert geo["columns"]["geometry"]["encoding"] == "WKB"
    assert geo["columns"]["geometry"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert table.schema.field("reach_id").type == "int64"
    assert table["ssc"].null_count == rows["ssc"].isna().sum() > 0
    boxes = shapely.box(*(table["bbox"].combine_chunks().field(name) for name in ("xmin", "ymin", "xmax", "ymax")))
    assert shapely.covers(boxes, shapely.from_wkb(table["geometry"].to_pylist())).all()
    column = pq.ParquetFile(path).metadata.row_group(0).column(table.schema.get_field_index("reach_id"))
    assert column.compression == "ZSTD"


def test_geoparquet_near_a_place_reads_only_what_is_there(store, tmp_path):
    path = export(store, tmp_path / "out.parquet", "geoparquet")
    assert set(gpd.read_parquet(path, bbox=(-91, 32, -90.5, 32.5))["reach_id"]) == {REACHES[0]}


def test_geojson_reads_back(store, rows, tmp_path):
    export(store, tmp_path / "out.geojson", "geojson")
    found = gpd.read_file(tmp_path / "out.geojson")
    assert found.crs == "EPSG:4326"
    assert found["reach_id"].tolist() == rows["reach_id"].tolist()
    lines = make_reaches().loc[rows["reach_id"]].geometry
    assert shapely.equals_exact(found.geometry.to_numpy(), lines.to_numpy(), tolerance=1e-6).all()
    content = json.loads((tmp_path / "out.geojson").read_text())
    for feature, row in zip(content["features"], rows.to_dict("records"), strict=True):
        properties = feature["properties"]
        assert isinstance(properties["reach_id"], int)
        assert properties["granule_ids"] == row["granule_ids"]
        for name in NUMBERS:
            value = properties[name]
            assert np.isnan(row[name]) if value is None else np.float32(value) == np.float32(row[name])


def test_geojson_cuts_lines_at_the_antimeridian(store, tmp_path):
    """RFC 7946, 3.1.9; the line crosses at 180 degrees, half way up."""
    east = shapely.LineString([(179.8, 60), (-179.8, 60.4)])
    west = shapely.LineString([(-179.9, 10), (179.9, 10)])
    other = open_store(tmp_path / "store", create=True)
    other.write_reaches(make_reaches(REACHES[:2]).set_geometry([east, west]))
    export(other, tmp_path / "out.geojson", "geojson", rows=store.query(REACHES[:2], end="2021-09-05"))
    first, *_, last = json.loads((tmp_path / "out.geojson").read_text())["features"]
    assert first["geometry"]["type"] == "MultiLineString"
    assert sorted(first["geometry"]["coordinates"]) == [
        [[-180.0, 60.2], [-179.8, 60.4]],
        [[179.8, 60.0], [180.0, 60.2]],
    ]
    assert sorted(last["geometry"]["coordinates"]) == [
        [[-180.0, 10.0], [-179.9, 10.0]][::-1],
        [[180.0, 10.0], [179.9, 10.0]],
    ]


def test_geojson_of_a_reach_without_line_has_no_geometry(store, rows, tmp_path):
    other = open_store(tmp_path / "store", create=True)
    export(other, tmp_path / "out.geojson", "geojson", rows=rows)
    assert {feature["geometry"] for feature in json.loads((tmp_path / "out.geojson").read_text())["features"]} == {None}


@pytest.fixture(scope="module")
def cf(store, tmp_path_factory):
    path = export(store, tmp_path_factory.mktemp("cf") / "out.nc", "netcdf")
    with xr.open_dataset(path) as dataset:
        yield dataset.load()


def test_netcdf_reads_back_in_xarray(cf, rows):
    for name in NUMBERS:
        values = cf[name].to_numpy()
        assert values.dtype == rows[name].dtype
        np.testing.assert_array_equal(values, rows[name].to_numpy())
    for name in ("platform", "masker", "settings_hash"):
        assert cf[name].to_numpy().tolist() == rows[name].tolist()
    assert [names.split(" ") for names in cf["granule_ids"].to_numpy()] == rows["granule_ids"].tolist()
    for name in ("time", "acquisition"):
        found = pd.Series(cf[name].to_numpy()).dt.round("us").dt.tz_localize("UTC")
        assert (found == rows[name]).all()


def test_netcdf_is_a_contiguous_ragged_array(cf, rows):
    """CF 1.8, 9.3.3: rowSize counts the observations of each reach, which follow each other."""
    assert cf["rowSize"].attrs["sample_dimension"] == "obs"
    assert cf["reach_id"].attrs["cf_role"] == "timeseries_id"
    assert cf["reach_id"].dtype == np.int64
    assert np.repeat(cf["reach_id"].to_numpy(), cf["rowSize"].to_numpy()).tolist() == rows["reach_id"].tolist()
    assert cf.attrs["featureType"] == "timeSeries"
    assert cf.attrs["Conventions"] == "CF-1.8, ACDD-1.3"


def test_netcdf_places_reaches_at_their_midpoint(cf):
    lines = make_reaches().loc[cf["reach_id"].to_numpy()].geometry
    middle = [line.interpolate(line.length / 2) for line in lines]
    np.testing.assert_allclose(cf["lon"], [point.x for point in middle], atol=1e-9)
    np.testing.assert_allclose(cf["lat"], [point.y for point in middle], atol=1e-9)
    assert cf["lat"].attrs["standard_name"] == "latitude"
    assert cf.attrs["geospatial_lat_max"] == max(point.y for point in middle)


def test_netcdf_variables_say_what_they_are(store, tmp_path):
    """Raw attributes, as a CF checker sees them."""
    export(store, tmp_path / "out.nc", "netcdf")
    with netCDF4.Dataset(tmp_path / "out.nc") as file:
        assert file["time"].units == "seconds since 2000-01-01 00:00:00"
        assert file["time"].calendar == "standard"
        assert not hasattr(file["time"], "_FillValue"), "a coordinate has no missing values (CF 2.5.1)"
        for column in COLUMNS:
            variable = file[column.name]
            assert variable.long_name == column.meaning
            assert not column.unit or variable.units == column.unit
            if variable.dtype == np.float32:
                assert np.isnan(variable._FillValue)
                assert variable.coordinates == "time lat lon"
        assert file["ssc"].ancillary_variables.split() == [
            "ssc_lo90",
            "ssc_hi90",
            "ssc_qual",
            "ssc_quality",
            "n_px_used",
        ]
        assert set(file["ssc"].ancillary_variables.split()) <= set(file.variables)
        assert file["reach_id"].dimensions == file["rowSize"].dimensions == ("reach",)
        assert file["ssc"].dimensions == ("obs",)


def test_netcdf_flags_come_from_the_enums(cf):
    bits, summary = cf["ssc_qual"], cf["ssc_quality"]
    assert bits.attrs["flag_masks"].dtype == bits.dtype == np.int32
    assert dict(zip(bits.attrs["flag_meanings"].split(), bits.attrs["flag_masks"].tolist(), strict=True)) == {
        flag.name.lower(): flag.value for flag in Quality
    }
    assert summary.attrs["flag_values"].dtype == summary.dtype == np.int8
    assert dict(zip(summary.attrs["flag_meanings"].split(), summary.attrs["flag_values"].tolist(), strict=True)) == {
        level.name.lower(): level.value for level in Summary
    }


def test_netcdf_across_the_antimeridian_and_without_line(store, tmp_path):
    other = open_store(tmp_path / "store", create=True)
    line = shapely.LineString([(179.8, 60), (-179.4, 60)])
    other.write_reaches(make_reaches(REACHES[:1]).set_geometry([line]))
    export(other, tmp_path / "out.nc", "netcdf", rows=store.query(REACHES[:2], columns=["reach_id", "time", "ssc"]))
    with xr.open_dataset(tmp_path / "out.nc") as found:
        np.testing.assert_allclose(found["lon"], [-179.8, np.nan], atol=1e-9)
        assert "ancillary_variables" not in found["ssc"].attrs


@pytest.mark.parametrize("format_", FORMATS)
def test_no_rows_make_a_valid_file(store, tmp_path, format_):
    path = export(store, tmp_path / "deep" / f"out.{format_}", format_, rows=store.query([1]))
    readers = {
        "csv": lambda: len(pd.read_csv(path)),
        "parquet": lambda: pq.read_table(path).num_rows,
        "geojson": lambda: len(json.loads(path.read_text())["features"]),
        "netcdf": lambda: xr.open_dataset(path).sizes["obs"],
        "geoparquet": lambda: len(gpd.read_parquet(path)),
        "sos": lambda: xr.open_dataset(path, group="ssc").sizes["num_ssc_nodes"],
    }
    assert readers[format_]() == 0


def test_netcdf_sorts_rows_that_come_in_any_order(store, rows, tmp_path):
    path = export(
        store, tmp_path / "out.nc", "netcdf", rows=rows[rows["masker"] == "mndwi"].sample(frac=1, random_state=1)
    )
    with xr.open_dataset(path) as found:
        expected = rows[rows["masker"] == "mndwi"].sort_values(list(ORDER))["ssc"].to_numpy()
        np.testing.assert_array_equal(found["ssc"].to_numpy(), expected)


def test_wrong_wishes_are_refused(store, rows, tmp_path):
    with pytest.raises(InputError, match="no export format 'xls': wanted one of csv"):
        export(store, tmp_path / "out", "xls")
    for name in ("geojson", "geoparquet", "netcdf", "sos"):
        with pytest.raises(InputError, match=f"no reach lines for {name}"):
            export(rows, tmp_path / "out", name)
        with pytest.raises(InputError, match="reach_id"):
            export(store, tmp_path / "out", name, rows=rows[["ssc"]])
    assert list(tmp_path.iterdir()) == []
