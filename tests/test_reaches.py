"""Reach files of every kind, against real SWORD reaches and files written here."""

from __future__ import annotations

import json
import zipfile

import geopandas as gpd
import netCDF4
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from shapely import LineString, MultiLineString, Point, Polygon

from ssc.errors import InputError, ReachError
from ssc.lonlat import lengths, unwrap
from ssc.reaches import number_nodes, read_reaches
from ssc.sword import node_of, reach_of

TABLE = ["geometry", "width_m", "max_width_m", "length_m", "river_name", "kind", "lakeflag", "n_nodes"]
NODES = ["node_id", "reach_id", "lon", "lat", "width_m"]
TRAP = 62270000143  # as float32 this is 62270001152


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "data" / "reaches_tiles"


@pytest.fixture(scope="module")
def ohio(folder):
    name = "SWOT_L2_HR_RiverSP_{}_1_51_NA_20100816T184024_20100816T184031_PGA2_03.zip"
    return tuple(folder / "swot_ohio_nodes_reaches" / name.format(kind) for kind in ("Reach", "Node"))


def frame(ids=(TRAP, 62270000153), **columns):
    lines = [LineString([(10 + k, 50), (10.05 + k, 50.02), (10.1 + k, 50)]) for k in range(len(ids))]
    return gpd.GeoDataFrame({"reach_id": list(ids), **columns}, geometry=lines, crs="EPSG:4326")


def written(tmp_path, table, name="rivers.gpkg"):
    path = tmp_path / name
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_file(path)
    return path


def points_of(reaches):
    return shapely.get_coordinates(reaches.table.geometry.to_numpy())


# ---------------------------------------------------------------- real files


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("reaches_tiles/swot_nz_52_reaches.zip", 52),
        ("reaches_tiles/swot_na_687_reaches", 687),
        ("reaches_tiles/sword_reaches_167_global.geojson", 167),
        ("hls_s30_t15sxr/reaches.geojson", 8),
    ],
)
def test_real_files_keep_every_reach(shared, name, count):
    reaches = read_reaches(shared / "data" / name)
    table = reaches.table
    assert len(reaches) == len(table) == count
    assert list(table.columns) == TABLE
    assert list(reaches.nodes.columns) == NODES
    assert table.index.dtype == np.int64
    assert table.index.is_monotonic_increasing
    assert table.index.is_unique
    assert set(table.index.astype(str).str.len()) == {11}
    assert table.crs.to_epsg() == 4326
    assert (table["kind"] == table.index % 10).all()
    assert (table["width_m"] > 1).all()
    assert (table["length_m"] > 100).all()
    assert (reaches.nodes.groupby("reach_id").size() == table["n_nodes"]).all()


def test_sword_prior_is_taken_not_what_was_seen_that_day(folder):
    grey = read_reaches(folder / "swot_nz_52_reaches.zip").reach(57203000033)
    assert (grey.river_name, grey.kind, grey.width_m, grey.n_nodes) == ("Grey River", 3, 220.5, 23)
    assert grey.length_m == pytest.approx(4607.743029)
    assert np.isnan(grey.max_width_m)
    assert grey.lakeflag == -1


def test_no_data_name_is_no_name(folder):
    names = read_reaches(folder / "swot_na_687_reaches").table["river_name"]
    assert not names.str.contains("no_data").any()
    assert (names != "").sum() > 300


def test_length_of_the_line_agrees_with_sword(folder):
    reaches = read_reaches(folder / "swot_na_687_reaches")
    assert np.median(lengths(reaches.lines) / reaches.table["length_m"]) == pytest.approx(1, abs=0.01)


def test_shapefile_without_prj_is_read_as_degrees(folder):
    (path,) = (folder / "swot_na_687_reaches").glob("*.shp")
    reaches = read_reaches(path)
    assert len(reaches) == 687
    west, south, east, north = reaches.table.total_bounds
    assert (west, south, east, north) == pytest.approx((-101.9, 28.66, -91.38, 56.09), abs=0.01)


def test_nodes_of_a_second_file(ohio):
    reaches = read_reaches(ohio[0], nodes=ohio[1])
    assert len(reaches) == 10
    assert len(reaches.nodes) == 546  # the file's 547th belongs to no reach of the first file
    assert (reach_of(reaches.nodes["node_id"].to_numpy()) == reaches.nodes["reach_id"]).all()
    assert reaches.nodes["node_id"].is_monotonic_increasing
    first = reaches.nodes.iloc[0]
    assert (int(first["node_id"]), first["width_m"]) == (74269500210011, 340.0)


def test_numbered_nodes_lie_where_sword_has_them(ohio):
    real = read_reaches(ohio[0], nodes=ohio[1])
    ours = number_nodes(real.table).merge(real.nodes, on="node_id", suffixes=("", "_real"))
    assert len(ours) == 546
    geod = pyproj.Geod(ellps="WGS84")
    _, _, apart = geod.inv(ours["lon"], ours["lat"], ours["lon_real"], ours["lat_real"])
    assert np.median(apart) < 25
    assert max(apart) < 150


# ---------------------------------------------------------------- SWORD netCDF


def write_sword(path, reaches, *, id_type="i8", shuffle=True):
    """A file like na_sword_v17b.nc: points shuffled, rows 1-3 of reach_id naming neighbours, one reach of one point."""
    rng = np.random.default_rng(7)
    table = reaches.table
    lonlat, line = shapely.get_coordinates(table.geometry.to_numpy(), return_index=True)
    owner = np.append(reaches.ids[line], 99999999996)
    lonlat = np.vstack([lonlat, [[0.0, 0.0]]])
    order = rng.permutation(len(owner)) if shuffle else np.arange(len(owner))
    neighbours = np.zeros((4, len(owner)), dtype=np.int64)
    neighbours[0], neighbours[1] = owner, np.roll(owner, 1)
    ids = np.append(reaches.ids, 99999999996)
    with netCDF4.Dataset(path, "w") as nc:
        nc.Name, nc.production_date = "NA", "07-Mar-2025"
        lines, nodes, rows = (nc.createGroup(name) for name in ("centerlines", "nodes", "reaches"))
        for group, size in ((lines, len(owner)), (nodes, len(reaches.nodes)), (rows, len(ids))):
            group.createDimension("num_domains", 4)
            group.createDimension("n", size)

        def put(group, name, values, kind=None):
            values = np.asarray(values)
            dims = ("n",) if values.ndim == 1 else ("num_domains", "n")
            group.createVariable(name, kind or values.dtype, dims, fill_value=-9999 if kind == "f8" else None)[:] = (
                values
            )

        put(lines, "cl_id", np.arange(1, len(owner) + 1)[order])
        put(lines, "x", lonlat[order, 0])
        put(lines, "y", lonlat[order, 1])
        put(lines, "reach_id", neighbours[:, order], id_type)
        put(nodes, "node_id", reaches.nodes["node_id"], "i8")
        put(nodes, "reach_id", reaches.nodes["reach_id"], "i8")
        for ours, theirs in (("lon", "x"), ("lat", "y"), ("width_m", "width")):
            put(nodes, theirs, reaches.nodes[ours])
        put(rows, "reach_id", ids, "i8")
        put(rows, "width", np.append(table["width_m"].fillna(-9999), 1.0), "f8")
        put(rows, "max_width", np.append(table["width_m"].fillna(-9999) * 2, -9999.0), "f8")
        put(rows, "reach_length", np.append(table["length_m"], 30.0))
        put(rows, "lakeflag", np.append(table["lakeflag"], 0), "i4")
        put(rows, "n_nodes", np.append(table["n_nodes"], 1), "i4")
        put(rows, "rch_id_up", np.zeros((4, len(ids)), dtype=np.int64))
        names = rows.createVariable("river_name", str, ("n",))
        names[:] = np.append(table["river_name"].replace("", "NODATA"), "NODATA").astype(object)
    return path


@pytest.fixture(scope="module")
def sword(tmp_path_factory, ohio):
    reaches = read_reaches(ohio[0], nodes=ohio[1])
    path = write_sword(tmp_path_factory.mktemp("sword") / "na_sword_v17b.nc", reaches)
    return path, reaches


def test_sword_netcdf_is_drawn_from_its_points(sword, caplog):
    path, vector = sword
    reaches = read_reaches(path)
    assert reaches.version == "v17b"
    assert (reaches.ids == vector.ids).all()
    assert reaches.table.geometry.geom_equals(vector.table.geometry).all()
    pd.testing.assert_frame_equal(reaches.nodes, vector.nodes)
    assert (reaches.table["max_width_m"] == 2 * reaches.table["width_m"]).all()
    assert (reaches.table["river_name"] == "").all()
    assert "dropped 1 of 11 reaches" in caplog.text  # the one of a single point


def test_sword_netcdf_as_node_file_of_another(sword, ohio):
    path, vector = sword
    pd.testing.assert_frame_equal(read_reaches(ohio[0], nodes=path).nodes, vector.nodes)


def test_sword_netcdf_selected_while_reading(sword):
    path, vector = sword
    some = read_reaches(path, ids=[74269800011, 74269900011])
    assert some.ids.tolist() == [74269800011, 74269900011]
    assert some.digest != read_reaches(path).digest
    assert set(read_reaches(path, basin="742698").ids // 100_000) == {742698}
    with pytest.raises(ReachError, match=r"74269800099"):
        read_reaches(path, ids=[74269800099])
    assert len(vector) == 10


def test_netcdf_of_something_else_is_refused(folder):
    with pytest.raises(ReachError, match="wanted groups centerlines, nodes, reaches"):
        read_reaches(folder / "confluence" / "74269800011_SWOT.nc")


def test_sword_netcdf_with_float32_ids_is_refused(tmp_path, sword):
    path = write_sword(tmp_path / "na_sword_v16.nc", sword[1], id_type="f4")
    with pytest.raises(ReachError, match="float32"):
        read_reaches(path)


# ---------------------------------------------------------------- formats, one content


@pytest.mark.parametrize("name", ["a.gpkg", "a.parquet", "a.shp", "a.fgb", "a.geojson"])
def test_every_format_tells_the_same(tmp_path, name):
    table = frame(width=[80.0, -9999.0], river_name=["Amstel", "NODATA"], lakeflag=[0, 3])
    reaches = read_reaches(written(tmp_path, table, name))
    assert reaches.ids.tolist() == [TRAP, 62270000153]
    assert reaches.table["width_m"].tolist()[0] == 80
    assert np.isnan(reaches.table["width_m"].tolist()[1])
    assert reaches.table["river_name"].tolist() == ["Amstel", ""]
    assert reaches.table["lakeflag"].tolist() == [0, 3]
    np.testing.assert_allclose(points_of(reaches), shapely.get_coordinates(table.geometry), atol=1e-7)


def test_zip_with_folders_and_several_files(tmp_path):
    for k, ids in enumerate([(TRAP, 62270000153), (71000000011,)]):
        written(tmp_path, frame(ids), f"na_sword_reaches_hb{k}_v17b.shp")
    path = tmp_path / "na_v17b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in tmp_path.glob("na_sword*"):
            archive.write(file, f"deep/down/{file.name}")
    reaches = read_reaches(path)
    assert reaches.ids.tolist() == [TRAP, 62270000153, 71000000011]
    assert reaches.version == "v17b"


def test_a_folder_without_vector_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("rivers")
    with pytest.raises(ReachError, match=r"no river lines .*found nothing"):
        read_reaches(tmp_path)


def test_capital_suffixes_and_file_geodatabases(tmp_path):
    written(tmp_path, frame(), "a.shp")
    with zipfile.ZipFile(tmp_path / "A.ZIP", "w") as archive:
        for file in tmp_path.glob("a.*"):
            archive.write(file, file.name.upper())
    written(tmp_path, frame(), "b.gdb")
    assert read_reaches(tmp_path / "A.ZIP").ids.tolist() == read_reaches(tmp_path / "b.gdb").ids.tolist()


def test_nodes_in_another_layer_of_the_file(tmp_path):
    path = written(tmp_path, frame())
    points = gpd.GeoDataFrame({"node_id": [62270000140013]}, geometry=[Point(10.05, 50.02)], crs="EPSG:4326")
    points.to_file(path, layer="nodes")
    nodes = read_reaches(path).nodes
    assert nodes["node_id"].iloc[0] == 62270000140013
    assert (nodes["reach_id"] == TRAP).sum() == 1  # its own; the other reach got numbered ones
    assert (nodes["reach_id"] == 62270000153).sum() == 42


@pytest.mark.parametrize("column", ["REACH_ID", "ReachID", "reach-id", "rch_id", "sword_reach_id"])
@pytest.mark.parametrize("kind", ["int64", "float64", "str"])
def test_ids_under_any_name_and_type(tmp_path, column, kind):
    table = frame().astype({"reach_id": kind}).rename(columns={"reach_id": column})
    assert read_reaches(written(tmp_path, table)).ids.tolist() == [TRAP, 62270000153]


def test_z_values_and_kilometre_long_names_do_no_harm(tmp_path):
    table = frame(comment=["x" * 200, ""])
    table = table.set_geometry(shapely.force_3d(table.geometry, 7.0))
    assert not read_reaches(written(tmp_path, table)).table.has_z.any()


# ---------------------------------------------------------------- ids that are none


def test_float32_ids_are_refused(tmp_path):
    path = written(tmp_path, frame().astype({"reach_id": "float32"}), "a.parquet")
    with pytest.raises(ReachError, match=r"float32.*wanted int64 or text"):
        read_reaches(path)


def test_ids_that_went_through_float32_are_refused(tmp_path):
    ids = np.array([TRAP, 62270000153, 74269900011]).astype(np.float32).astype(np.int64)
    assert ids[0] == 62270001152
    path = written(tmp_path, frame(np.unique(ids + 4096 * np.arange(3))))
    with pytest.raises(ReachError, match="digits were lost"):
        read_reaches(path)


@pytest.mark.parametrize("ids", [[1.5, 2.0], [np.nan, 2.0], [-3, 4], [0, 4], ["no_data", "5"], [None, "5"]])
def test_what_is_no_id_is_refused(tmp_path, ids):
    with pytest.raises(ReachError, match="wanted whole positive numbers"):
        read_reaches(written(tmp_path, frame(ids)))


def test_message_without_ids_lists_the_columns(tmp_path):
    path = written(tmp_path, frame(width=[3.0, 4.0], colour=["red", "blue"]).rename(columns={"reach_id": "fish"}))
    with pytest.raises(ReachError, match="found columns fish, width, colour, wanted reach_id"):
        read_reaches(path)


def test_same_id_twice_is_refused(tmp_path):
    with pytest.raises(ReachError, match=f"reach {TRAP} is not unique"):
        read_reaches(written(tmp_path, pd.concat([frame(), frame()])))


def test_rows_that_are_pieces_of_one_line_are_joined(tmp_path):
    table = frame([TRAP, TRAP, 62270000153], width=[50.0, 50.0, 90.0], reach_length=[9e3, 9e3, 7e3])
    reaches = read_reaches(written(tmp_path, table))
    assert len(reaches) == 2
    assert reaches.table.geometry.iloc[0].equals(MultiLineString(list(table.geometry[:2])))
    assert reaches.table["length_m"].tolist() == pytest.approx([2 * 8458, 7000], rel=0.01)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path, "no such reach file"),
        (lambda path: path.write_text("not a river") and path, "cannot read"),
        (lambda path: path.with_suffix(".nc").write_text("x") and path.with_suffix(".nc"), "as SWORD"),
        (lambda path: path.with_suffix(".zip").write_text("x") and path.with_suffix(".zip"), "cannot read"),
        (lambda path: path.with_suffix(".parquet").write_text("x") and path.with_suffix(".parquet"), "GeoParquet"),
    ],
)
def test_what_is_no_reach_file(tmp_path, make, message):
    with pytest.raises(ReachError, match=message):
        read_reaches(make(tmp_path / "rivers.gpkg"))


def test_plain_parquet_is_refused(tmp_path):
    pd.DataFrame({"reach_id": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ReachError, match="plain Parquet"):
        read_reaches(tmp_path / "a.parquet")


def test_points_and_areas_are_no_rivers(tmp_path):
    areas = frame().set_geometry(shapely.buffer(frame().geometry, 0.01))
    with pytest.raises(ReachError, match=r"no river lines.*Polygon.*wanted LineString"):
        read_reaches(written(tmp_path, areas))


def test_reaches_without_a_line_are_dropped_and_counted(tmp_path, caplog):
    table = frame([11, 21, 31, 41])
    table.loc[1, "geometry"] = None
    table.loc[2, "geometry"] = LineString([(10, 50), (10, 50)])
    reaches = read_reaches(written(tmp_path, table))
    assert reaches.ids.tolist() == [11, 41]
    assert "dropped 2 of 4 reaches" in caplog.text


# ---------------------------------------------------------------- numbers


def test_fill_values_become_nan(tmp_path):
    widths = [-999999999999.0, -9999.0, 1.0, 1e20, 30.0]
    table = frame([11, 21, 31, 41, 51], width=widths, n_nodes=[-9999, 0, 3, 5000, 7], max_width=[0, 1, 90, 80, 1e7])
    read = read_reaches(written(tmp_path, table)).table
    assert read["width_m"].isna().tolist() == [True, True, True, True, False]
    assert read["max_width_m"].dropna().tolist() == [90, 80]
    assert read["n_nodes"].tolist()[2:] == [3, 42, 7]


def test_text_widths_are_numbers(tmp_path):
    table = frame(width_m=["80", "no_data"])
    read = read_reaches(written(tmp_path, table)).table["width_m"].tolist()
    assert read[0] == 80
    assert np.isnan(read[1])


@pytest.mark.parametrize("lat", [0, 33, -60, 80])
def test_lengths_agree_with_the_geodesic(lat):
    lines = np.array([LineString([(7, lat), (7.02, lat + 0.01), (7.05, lat - 0.03)]), LineString([(1, 2), (1, 2.001)])])
    geod = pyproj.Geod(ellps="WGS84")
    assert lengths(lines) == pytest.approx([geod.geometry_length(line) for line in lines], rel=1e-5)


def test_nodes_are_numbered_in_sword_fashion():
    assert node_of(np.array([74269900011]), np.array([2])).tolist() == [74269900010021]
    assert reach_of(np.array([74269900010021])).tolist() == [74269900011]


def test_a_long_line_has_no_more_than_999_nodes(tmp_path):
    table = gpd.GeoDataFrame({"reach_id": [7]}, geometry=[LineString([(0, 0), (5, 0)])], crs="EPSG:4326")
    nodes = read_reaches(written(tmp_path, table)).nodes
    assert len(nodes) == 999
    assert nodes["node_id"].iloc[[0, -1]].tolist() == [17, 9997]
    assert np.diff(nodes["lon"]) == pytest.approx(np.full(998, 5 / 999))


def test_nodes_of_a_line_with_a_gap_stay_on_it(tmp_path):
    line = MultiLineString([[(0, 0), (0.01, 0)], [(1, 0), (1.01, 0)]])
    table = gpd.GeoDataFrame({"reach_id": [7]}, geometry=[line], crs="EPSG:4326")
    nodes = read_reaches(written(tmp_path, table)).nodes
    assert len(nodes) == 11
    assert shapely.distance(line, shapely.points(nodes["lon"], nodes["lat"])).max() == pytest.approx(0, abs=1e-12)


# ---------------------------------------------------------------- CRS, antimeridian, selection


def test_metres_are_turned_into_degrees(tmp_path):
    reaches = read_reaches(written(tmp_path, frame().to_crs("EPSG:32632")))
    np.testing.assert_allclose(points_of(reaches), shapely.get_coordinates(frame().geometry), atol=1e-9)


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_metres_without_crs_are_refused(tmp_path):
    table = frame().to_crs("EPSG:32632").set_crs(None, allow_override=True)
    with pytest.raises(ReachError, match=r"unknown CRS.*no CRS and x .*wanted a .prj"):
        read_reaches(written(tmp_path, table, "a.shp"))


def test_longitudes_up_to_360_are_turned_back(tmp_path):
    table = frame().set_geometry(frame().translate(xoff=300))
    assert points_of(read_reaches(written(tmp_path, table)))[:, 0].max() == pytest.approx(-48.9)


@pytest.fixture
def chukotka(tmp_path):
    """Three reaches at the antimeridian: one across it, one in two parts, one well east of it."""
    lines = [
        LineString([(179.9, 66), (179.99, 66.01), (-179.95, 66.02), (-179.9, 66)]),
        MultiLineString([[(179.95, 67), (180, 67.01)], [(-180, 67.01), (-179.95, 67)]]),
        LineString([(-170, 66), (-169.9, 66)]),
    ]
    return written(tmp_path, gpd.GeoDataFrame({"reach_id": [11, 21, 31]}, geometry=lines, crs="EPSG:4326"))


def test_lines_across_the_antimeridian_are_whole(chukotka):
    reaches = read_reaches(chukotka)
    assert shapely.bounds(reaches.lines)[:, 2] - shapely.bounds(reaches.lines)[:, 0] == pytest.approx([0.2, 0.1, 0.1])
    geod = pyproj.Geod(ellps="WGS84")
    assert reaches.table["length_m"].tolist() == pytest.approx(
        [geod.geometry_length(x) for x in reaches.lines], rel=1e-5
    )
    own = reaches.nodes[reaches.nodes["reach_id"] == 11]
    assert own["lon"].abs().min() > 179.8
    assert set(np.sign(own["lon"])) == {1, -1}


@pytest.mark.parametrize(
    ("bbox", "ids"),
    [
        ((179.5, 60, -179.5, 70), [11, 21]),
        ((179.97, 60, -160, 66.5), [11, 31]),
        ((-179.96, 66.5, -170, 70), [21]),
        ((175, 60, 179.92, 66.5), [11]),
        ((179.5, 60, 180.5, 70), [11, 21]),
        ((-180, -90, 180, 90), [11, 21, 31]),
    ],
)
def test_bounding_boxes_at_the_antimeridian(chukotka, bbox, ids):
    assert read_reaches(chukotka, bbox=bbox).ids.tolist() == ids
    assert read_reaches(chukotka).select(bbox=bbox).ids.tolist() == ids


def test_greenwich_does_not_touch_the_antimeridian(chukotka):
    with pytest.raises(ReachError, match=r"no reach of rivers\.gpkg left"):
        read_reaches(chukotka, bbox=(-10, 60, 10, 70))
    with pytest.raises(ReachError, match=r"no river lines .* within \(-10"):
        read_reaches(chukotka, bbox=(-10, 0, 10, 10))


@pytest.mark.parametrize("bbox", [(0, 10, 1, 5), (0, -95, 1, 5), (0, float("nan"), 1, 5)])
def test_boxes_that_are_none(chukotka, bbox):
    with pytest.raises(InputError, match="west south east north"):
        read_reaches(chukotka, bbox=bbox)


def test_selections_agree_and_combine(folder):
    path = folder / "sword_reaches_167_global.geojson"
    reaches = read_reaches(path)
    americas = reaches.select(basin="6")
    assert (americas.ids // 10**10 == 6).all()
    assert read_reaches(path, basin=6).digest == americas.digest
    bbox = (-60.0, -10.0, -50.0, 0.0)
    amazon = americas.select(bbox=bbox)
    assert 0 < len(amazon) < len(americas)
    assert read_reaches(path, bbox=bbox, basin="6").digest == amazon.digest
    assert reaches.select(polygon=shapely.box(*bbox), basin="6").digest == amazon.digest
    assert set(amazon.nodes["reach_id"]) == set(amazon.ids)
    assert reaches.select(ids=amazon.ids.tolist()).digest == amazon.digest


def test_a_reach_that_sticks_out_of_the_box_keeps_its_nodes(ohio):
    bbox = (-80.1, 40.45, -80.05, 40.51)
    part = read_reaches(ohio[0], nodes=ohio[1], bbox=bbox)
    assert part.ids.tolist() == [74269700031, 74269700041]
    assert part.table["n_nodes"].tolist() == [52, 52]
    assert part.digest == read_reaches(ohio[0], nodes=ohio[1]).select(bbox=bbox).digest


def test_polygon_from_a_file_in_metres(tmp_path, folder):
    region = gpd.GeoDataFrame(geometry=[Polygon([(-95, 25), (-85, 25), (-85, 35), (-95, 35)])], crs="EPSG:4326")
    path = written(tmp_path, region.to_crs("EPSG:3857"), "region.gpkg")
    source = folder / "sword_reaches_167_global.geojson"
    assert read_reaches(source, polygon=path).digest == read_reaches(source, bbox=(-95, 25, -85, 35)).digest
    with pytest.raises(InputError, match="no such polygon file"):
        read_reaches(source, polygon=tmp_path / "none.gpkg")


def test_unknown_ids_are_named(folder):
    with pytest.raises(ReachError, match=r"12345678901, 12345678911 \(2 of 3 asked for\)"):
        read_reaches(folder / "swot_nz_52_reaches.zip", ids=[57203000033, 12345678901, 12345678911])
    with pytest.raises(InputError, match="not a basin"):
        read_reaches(folder / "swot_nz_52_reaches.zip", basin="NZ")
    with pytest.raises(ReachError, match="no reach 5 among 52"):
        read_reaches(folder / "swot_nz_52_reaches.zip").reach(5)


def test_digest_tells_content_not_order(tmp_path, folder):
    source = gpd.read_file(folder / "sword_reaches_167_global.geojson")
    digest = read_reaches(written(tmp_path, source, "a.gpkg")).digest
    assert read_reaches(written(tmp_path, source.sample(frac=1, random_state=3), "b.gpkg")).digest == digest
    wider = source.assign(width=source["width"] + (source["reach_id"] == 62241200261))
    assert read_reaches(written(tmp_path, wider, "c.gpkg")).digest != digest
    moved = source.set_geometry(source.translate(xoff=1e-6))
    assert read_reaches(written(tmp_path, moved, "d.gpkg")).digest != digest


def test_digest_tells_nodes(ohio):
    assert read_reaches(*ohio[:1]).digest != read_reaches(ohio[0], nodes=ohio[1]).digest


def test_unwrap_leaves_other_lines_alone(folder):
    lines = gpd.read_file(folder / "sword_reaches_167_global.geojson").geometry.to_numpy()
    assert unwrap(lines) is lines


def test_riversp_like_geojson_with_text_ids(tmp_path):
    feature = {
        "type": "Feature",
        "properties": {"reach_id": str(TRAP), "time_str": "no_data", "p_width": "120.5", "width": "-999999999999.0"},
        "geometry": {"type": "LineString", "coordinates": [[46.9, -18.3], [46.91, -18.35]]},
    }
    path = tmp_path / "hydrocron.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert read_reaches(path).reach(TRAP).width_m == 120.5
