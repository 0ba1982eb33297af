"""Reach samples: the one fast pass against loops over pixels, exactextract, and cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from pyproj import CRS
from shapely.geometry import box

from ssc.aggregate import node_samples, reach_samples
from ssc.bands import SIX, Band
from ssc.clear import ClearWaterRule
from ssc.errors import BandError, InputError
from ssc.flags import sample_flags, summary, withhold
from ssc.masks import Mask
from ssc.observation import Directions, Window
from ssc.pixels import State, gather_pixels, pool
from ssc.quality import Quality, Summary
from ssc.regression import load
from ssc.schema import SAMPLE
from tinyriver import angles, corridor, cut, mask, observe

RULE = ClearWaterRule()
SHAPE = (37, 41)
RED, NIR = SIX.index(Band.RED), SIX.index(Band.NIR)


class Scene:
    """A tile of noise: six reaches with nodes, every mask and every Fmask bit, fill, saturation, negative values."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.labels = np.full(SHAPE, -1)
        self.nodes = np.full(SHAPE, -1)
        for reach, start in enumerate(range(0, 36, 6)):
            self.labels[start : start + 5, 2:38] = reach
            for part in range(3):
                self.nodes[start : start + 5, 2 + 12 * part : 14 + 12 * part] = 3 * reach + part
        self.nodes[rng.random(SHAPE) < 0.05] = -1
        self.channel = rng.random(SHAPE) < 0.8
        self.width_m = np.array([60, 90, 119, 120, 300, 1000], np.float32)
        self.reflectance = rng.normal(0.05, 0.06, (6, *SHAPE)).astype(np.float32)
        self.reflectance[:, rng.random(SHAPE) < 0.02] = np.nan
        self.reflectance[2, rng.random(SHAPE) < 0.02] = 1.5
        self.reflectance[1, rng.random(SHAPE) < 0.1] = 0.0
        self.layers = {mask.name.lower(): rng.random(SHAPE) < share for mask, share in self.shares(seed).items()}
        self.valid = np.isfinite(self.reflectance).all(axis=0) & (rng.random(SHAPE) < 0.98)
        self.layers = {name: layer & self.valid for name, layer in self.layers.items()}
        self.fmask = rng.integers(0, 255, SHAPE, dtype=np.uint8)
        self.angle = {
            "sun_zenith": rng.uniform(20, 60, (10, 11)),
            "sun_azimuth": rng.uniform(0, 360, (10, 11)),
            "view_zenith": np.where(rng.random((10, 11)) < 0.2, np.nan, rng.uniform(0, 15, (10, 11))),
            "view_azimuth": rng.uniform(0, 360, (10, 11)),
        }

    @staticmethod
    def shares(seed):
        cloud = (0.0, 0.003, 0.02, 0.05)[seed % 4]
        return dict(zip(Mask, (0.97, cloud, cloud, 0.05, 0.02), strict=True))

    @property
    def corridor(self):
        return corridor(self.labels, width_m=self.width_m, nodes=self.nodes, channel=self.channel)

    @property
    def masks(self):
        return mask(SHAPE, valid=self.valid, **self.layers)

    def pixels(self, rule=RULE, *, core=None, halo=2):
        core = Window.whole(SHAPE) if core is None else core
        window = core.padded(halo, SHAPE)
        observation = observe(self.reflectance, fmask=self.fmask, window=window)
        grid = angles(SHAPE, step=4, **self.angle)
        return gather_pixels(observation, cut(self.masks, window), self.corridor, core, grid, rule)

    def samples(self, rule=RULE):
        return reach_samples(self.pixels(rule), self.corridor, rule)


def near(layer, row, col, px, *, outside):
    """Whether any pixel of the square round (row, col) is in the layer; `outside` speaks for what is off the tile."""
    for r in range(row - px, row + px + 1):
        for c in range(col - px, col + px + 1):
            on_tile = 0 <= r < SHAPE[0] and 0 <= c < SHAPE[1]
            if layer[r, c] if on_tile else outside:
                return True
    return False


def slow_pixel(scene, row, col, rule):
    """Everything about one pixel, spelt out."""
    has = {name: bool(layer[row, col]) for name, layer in scene.layers.items()}
    blue, _, red, nir, swir1, _ = (float(value) for value in scene.reflectance[:, row, col])
    hidden = has["cloud"] or has["cloud_shadow"] or has["terrain_shadow"]
    turbid = has["water"] and has["snow_ice"] and not hidden
    turbid = turbid and red > 0.1 and nir > 0.1 and swir1 < 0.05 and red > blue
    seen = bool(scene.valid[row, col]) and not (hidden or (has["snow_ice"] and not turbid))
    clear = seen and has["water"] and bool((scene.reflectance[:, row, col] <= 1.2).all())
    land = ~(scene.layers["water"] | scene.layers["cloud"] | scene.layers["cloud_shadow"])
    cloudy = scene.layers["cloud"] | scene.layers["cloud_shadow"]
    return {
        **has,
        "row": row,
        "col": col,
        "valid": bool(scene.valid[row, col]),
        "seen": seen,
        "clear": clear,
        "bank": near(land, row, col, rule.erosion_px, outside=True),
        "near_cloud": near(cloudy, row, col, rule.cloud_buffer_px, outside=False),
    }


def slow_used(pixels, width_m, rule):
    open_sky = [p for p in pixels if p["clear"] and not p["near_cloud"]]
    midstream = [p for p in open_sky if not p["bank"]]
    if width_m < rule.erode_from_m or (len(midstream) < rule.least_px <= len(open_sky)):
        return open_sky
    return midstream


def share(pixels, name):
    return np.mean([p[name] for p in pixels]) if pixels else np.nan


def slow_statistics(values):
    if values.size == 0:
        return dict.fromkeys(("med", "mad", "p10", "p25", "p75", "p90"), np.nan)
    median = np.median(values)
    percentiles = {f"p{p}": np.percentile(values, p) for p in (10, 25, 75, 90)}
    return {"med": median, "mad": 1.4826 * np.median(np.abs(values - median)), **percentiles}


def slow_ratios(reflectance):
    blue, green, red, nir, swir1, _ = reflectance
    with np.errstate(all="ignore"):
        ratios = {
            "red_green": red / green,
            "nir_red": nir / red,
            "nir_green": nir / green,
            "blue_green": blue / green,
            "swir1_nir": swir1 / nir,
            "ndssi": (blue - nir) / (blue + nir),
            "ndti": (red - green) / (red + green),
            "fai": nir - (red + (swir1 - red) * (864.7 - 654.6) / (1609 - 654.6)),
        }
    finite = {name: values[np.isfinite(values)] for name, values in ratios.items()}
    return {name: np.median(values) if values.size else np.nan for name, values in finite.items()}


def slow_angles(scene, used):
    def mean(values, otherwise):
        known = [value for value in values if np.isfinite(value)]
        return np.mean(known) if known else otherwise

    at = [{name: grid[p["row"] // 4, p["col"] // 4] for name, grid in scene.angle.items()} for p in used]
    apart = [abs(a["sun_azimuth"] - a["view_azimuth"]) for a in at]
    return {
        "sun_zenith": mean([a["sun_zenith"] for a in at], 31.0),
        "view_zenith": mean([a["view_zenith"] for a in at], 7.0),
        "relative_azimuth": mean([min(angle, 360 - angle) for angle in apart], 30.0),
        "tile_cloud_cover": 12.0,
    }


def slow_sample(scene, reach, rule):
    """One row of the table, from loops over the pixels of one reach."""
    pixels = [slow_pixel(scene, row, col, rule) for row, col in np.argwhere(scene.labels == reach)]
    used = slow_used(pixels, scene.width_m[reach], rule)
    clear = [p for p in pixels if p["clear"]]
    valid = [p for p in pixels if p["valid"]]
    channel = [p for p in pixels if scene.channel[p["row"], p["col"]]]
    reflectance = np.array([scene.reflectance[:, p["row"], p["col"]] for p in used], float).reshape(-1, 6).T
    bank = [scene.reflectance[NIR, p["row"], p["col"]] for p in clear if p["bank"] and not p["near_cloud"]]
    nodes = [scene.nodes[p["row"], p["col"]] for p in clear]
    fmask = [{"adjacent": scene.fmask[p["row"], p["col"]] & 4 > 0} for p in used]
    hazy = [{"hazy": scene.fmask[p["row"], p["col"]] >> 6 == 3} for p in used]
    return {
        "n_px_channel": len(channel),
        "n_px_valid": len(valid),
        "n_px_water": sum(p["water"] for p in pixels),
        "n_px_clear": len(clear),
        "n_px_used": len(used),
        "clear_frac": share(channel, "seen"),
        "edge_frac": share(clear, "bank"),
        "cloud_frac": share(valid, "cloud"),
        "cloud_shadow_frac": share(valid, "cloud_shadow"),
        "snow_ice_frac": share(valid, "snow_ice"),
        "terrain_shadow_frac": share(valid, "terrain_shadow"),
        "cloud_adjacent_frac": share(fmask, "adjacent"),
        "aerosol_high_frac": share(hazy, "hazy"),
        "n_nodes": 3,
        "n_nodes_covered": sum(nodes.count(node) >= 3 for node in range(3 * reach, 3 * reach + 3)),
        **{
            f"{band.value}_{name}": value
            for band, values in zip(SIX, reflectance, strict=True)
            for name, value in slow_statistics(values).items()
        },
        **slow_ratios(reflectance),
        "nir_bank": np.median(reflectance[NIR]) - np.median(bank) if used and bank else np.nan,
        **slow_angles(scene, used),
    }


@pytest.mark.parametrize("seed", range(24))
def test_the_fast_pass_agrees_with_loops_over_pixels(seed):
    scene = Scene(seed)
    rule = replace(RULE, cloud_buffer_px=(2, 1, 0)[seed % 3], erosion_px=1 + seed % 2)
    wanted = pd.DataFrame([slow_sample(scene, reach, rule) for reach in range(6)])
    found = scene.samples(rule)
    assert found["n_px_used"].gt(0).any()
    pd.testing.assert_frame_equal(found.reset_index(drop=True), wanted, check_dtype=False, rtol=2e-5, atol=1e-7)


def test_columns_types_and_rows_are_those_of_the_schema():
    scene = Scene(0)
    samples = scene.samples()
    assert list(samples.columns) == [column.name for column in SAMPLE]
    assert [str(dtype) for dtype in samples.dtypes] == [
        {"int32": "int32", "float": "float32"}[str(c.type)] for c in SAMPLE
    ]
    assert samples.index.name == "reach_id"
    assert samples.index.tolist() == scene.corridor.reach_ids.tolist()


def test_windows_and_their_order_do_not_matter():
    scene = Scene(5)
    rows, cols = pairwise([0, 11, 30, SHAPE[0]]), list(pairwise([0, 7, 8, 29, SHAPE[1]]))
    cores = [Window(row=r, col=c, height=s - r, width=d - c) for r, s in rows for c, d in cols]
    parts = [scene.pixels(core=core) for core in cores]
    whole = scene.samples()
    for order in (parts, parts[::-1]):
        pooled = pool(order)
        assert len(pooled) == scene.corridor.row.size
        pd.testing.assert_frame_equal(reach_samples(pooled, scene.corridor, RULE), whole)


def test_a_window_without_context_is_refused():
    scene = Scene(0)
    core = Window(row=8, col=8, height=8, width=8)
    with pytest.raises(InputError, match="too little context"):
        scene.pixels(core=core, halo=1)
    assert len(scene.pixels(core=core, halo=5)) == len(scene.pixels(core=core, halo=2))


def test_no_windows_is_an_error():
    with pytest.raises(InputError, match="no pixels to pool"):
        pool([])


def test_bands_are_found_by_name_not_by_place():
    reflectance = np.random.default_rng(0).random((8, 6, 6)).astype(np.float32)
    bands = (Band.COASTAL, *reversed(SIX), Band.CIRRUS)
    river, clear = corridor(np.zeros((6, 6), int)), mask((6, 6), water=True)
    shuffled = observe(reflectance, bands=bands)
    straight = observe(reflectance[6:0:-1])
    found = [gather_pixels(o, clear, river, Window.whole((6, 6)), angles((6, 6)), RULE) for o in (shuffled, straight)]
    assert np.array_equal(found[0].reflectance, found[1].reflectance)
    with pytest.raises(BandError):
        gather_pixels(observe(reflectance[:5], bands=SIX[:5]), clear, river, Window.whole((6, 6)), angles((6, 6)), RULE)


def stretch(reflectance, *, width_m=60.0, labels=None, **layers):
    """Sample of one reach that fills a small window; not eroded unless a width is given."""
    shape = np.asarray(reflectance).shape[1:]
    river = corridor(np.zeros(shape, int) if labels is None else labels, width_m=width_m)
    masks = mask(shape, **{"water": True, **layers})
    pixels = gather_pixels(observe(reflectance), masks, river, Window.whole(shape), angles(shape), RULE)
    return reach_samples(pixels, river, RULE)


def about(samples, **columns):
    values = {"width_m": 300.0, "lakeflag": 0, "kind": 1, **columns}
    return pd.DataFrame(values, index=samples.index)


def test_medians_and_quantiles_are_those_of_exactextract():
    rng = np.random.default_rng(3)
    reflectance = rng.normal(0.1, 0.03, (6, 20, 30)).astype(np.float32)
    boxes = [(0, 0, 7, 20), (7, 3, 9, 4), (9, 0, 30, 1), (9, 1, 22, 20), (25, 5, 30, 9)]
    labels = np.full((20, 30), -1)
    for reach, (west, south, east, north) in enumerate(boxes):
        labels[20 - north : 20 - south, west:east] = reach
    found = stretch(reflectance, labels=labels)
    polygons = gpd.GeoDataFrame(geometry=[box(*bounds) for bounds in boxes], crs=32615)
    shares = {"med": "median", **{f"p{p}": f"quantile(q={p / 100})" for p in (10, 25, 75, 90)}}
    for band, values in zip(SIX, reflectance, strict=True):
        raster = NumPyRasterSource(values, xmin=0, ymin=0, xmax=30, ymax=20, srs_wkt=CRS(32615).to_wkt())
        wanted = exact_extract(raster, polygons, list(shares.values()), output="pandas").to_numpy()
        columns = [f"{band.value}_{name}" for name in shares]
        np.testing.assert_allclose(found[columns].to_numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("pixels", "flags", "worst"),
    [
        (0, Quality.FEW_PIXELS | Quality.VERY_FEW, Summary.BAD),
        (1, Quality.FEW_PIXELS | Quality.VERY_FEW, Summary.BAD),
        (7, Quality.FEW_PIXELS | Quality.VERY_FEW, Summary.BAD),
        (8, Quality.FEW_PIXELS, Summary.DEGRADED),
        (29, Quality.FEW_PIXELS, Summary.DEGRADED),
        (30, Quality(0), Summary.GOOD),
    ],
)
def test_how_few_pixels_flag_and_withhold_an_estimate(pixels, flags, worst):
    water = np.zeros((5, 12), bool)
    water.ravel()[:pixels] = True
    labels = np.where(np.arange(60).reshape(5, 12) < max(pixels, 1), 0, -1)
    samples = stretch(np.full((6, 5, 12), 0.05), water=water, labels=labels, width_m=60.0)
    assert samples["n_px_used"].tolist() == [pixels]
    found = sample_flags(samples, about(samples)) & ~int(Quality.MIXED_PIXELS)
    assert found.tolist() == [flags]
    assert summary(found).tolist() == [worst]
    estimate = withhold(load("physical").predict(samples), found)
    assert estimate["ssc"].notna().tolist() == [pixels >= 8]
    assert estimate["turbidity"].notna().tolist() == [pixels >= 8]


def test_all_cloud_is_a_row_and_no_error():
    samples = stretch(np.full((6, 9, 9), 0.4), cloud=True)
    row = samples.iloc[0]
    assert row[["n_px_valid", "n_px_clear", "n_px_used"]].tolist() == [81, 0, 0]
    assert row[["cloud_frac", "clear_frac", "snow_ice_frac"]].tolist() == [1, 0, 0]
    assert row[["edge_frac", "cloud_adjacent_frac", "red_med", "red_mad", "ndti", "nir_bank"]].isna().all()
    assert row["sun_zenith"] == 31.0


def test_no_data_is_a_row_and_no_error():
    nothing = np.zeros((9, 9), bool)
    row = stretch(np.full((6, 9, 9), np.nan), water=nothing, valid=nothing).iloc[0]
    assert row[["n_px_channel", "n_px_valid", "n_px_water", "clear_frac"]].tolist() == [81, 0, 0, 0]
    assert row[["cloud_frac", "red_med", "fai"]].isna().all()


def test_fill_in_one_band_drops_the_pixel():
    reflectance = np.full((6, 6, 6), 0.05)
    reflectance[5, 2, 2] = np.nan
    assert stretch(reflectance)[["n_px_valid", "n_px_clear"]].to_numpy().tolist() == [[35, 35]]


def test_negative_reflectance_is_kept_in_the_median():
    reflectance = np.full((6, 3, 5), -0.01)
    reflectance[:, :, 3:] = 0.02
    row = stretch(reflectance).iloc[0]
    assert row["red_med"] == np.float32(-0.01)
    assert row["red_p10"] == np.float32(-0.01)
    assert row["red_p90"] == np.float32(0.02)


def test_zero_denominators_are_left_out_of_ratios():
    reflectance = np.full((6, 2, 5), 0.1)
    reflectance[1, 0] = 0.0
    reflectance[RED, 1] = 0.3
    row = stretch(reflectance).iloc[0]
    assert row["red_green"] == pytest.approx(3.0)
    reflectance[1] = 0.0
    row = stretch(reflectance).iloc[0]
    assert np.isnan(row["red_green"])
    assert np.isfinite(row["red_med"])


def test_the_median_of_ratios_is_not_the_ratio_of_medians():
    reflectance = np.ones((6, 1, 3))
    reflectance[RED, 0], reflectance[1, 0] = [0.1, 0.2, 0.3], [0.3, 0.1, 0.2]
    assert stretch(reflectance).iloc[0]["red_green"] == pytest.approx(1.5)


def river_of(columns):
    """A 300 m wide reach, its water `columns` wide and 9 long, bright NIR at its banks."""
    water = np.zeros((11, 20), bool)
    water[1:10, 4 : 4 + columns] = True
    reflectance = np.full((6, *water.shape), 0.05)
    reflectance[NIR, :, 4], reflectance[NIR, :, 3 + columns] = 0.25, 0.25
    return stretch(reflectance, water=water, width_m=300.0).iloc[0]


def test_a_wide_river_is_eroded_and_its_bank_tells_of_adjacency():
    row = river_of(6)
    assert row[["n_px_clear", "n_px_used"]].tolist() == [54, 28]
    assert row["edge_frac"] == pytest.approx(26 / 54)
    assert row["nir_med"] == np.float32(0.05)
    assert row["nir_p90"] == np.float32(0.05)
    # Bank pixels: 18 along the two sides at 0.25 and 8 across the two ends at 0.05.
    assert row["nir_bank"] == pytest.approx(0.05 - 0.25)


def test_bank_pixels_are_used_when_erosion_leaves_too_few():
    row = river_of(2)
    assert row[["n_px_clear", "n_px_used", "edge_frac"]].tolist() == [18, 18, 1]
    row = river_of(3)
    assert row[["n_px_clear", "n_px_used"]].tolist() == [27, 27]


def test_eight_midstream_pixels_are_enough():
    water = np.zeros((12, 5), bool)
    water[1:11, 1:4] = True
    row = stretch(np.full((6, 12, 5), 0.05), water=water, width_m=300.0).iloc[0]
    assert row[["n_px_clear", "n_px_used"]].tolist() == [30, 8]


def test_pixels_near_cloud_count_as_clear_but_are_not_used():
    cloud = np.zeros((9, 9), bool)
    cloud[4, 4] = True
    row = stretch(np.full((6, 9, 9), 0.05), cloud=cloud).iloc[0]
    assert row[["n_px_clear", "n_px_used", "n_px_water"]].tolist() == [80, 56, 81]


def test_turbid_water_masked_as_snow_is_used_and_flagged():
    reflectance = np.array([0.08, 0.15, 0.22, 0.18, 0.03, 0.02])[:, None, None] * np.ones((6, 8, 8))
    samples = stretch(reflectance, snow_ice=True)
    assert samples[["n_px_used", "snow_ice_frac", "clear_frac"]].to_numpy().tolist() == [[64, 1, 1]]
    assert sample_flags(samples, about(samples)).iloc[0] & Quality.ICE_POSSIBLE


def test_a_node_is_covered_by_three_clear_pixels():
    nodes = np.repeat([0, 1, 2, -1], 4)[None, :].repeat(2, axis=0)
    water = np.zeros((2, 16), bool)
    water[0, [0, 1, 2, 4, 5, 12, 13, 14]] = True
    river = corridor(np.zeros((2, 16), int), width_m=60.0, nodes=nodes)
    whole = Window.whole((2, 16))
    pixels = gather_pixels(
        observe(np.full((6, 2, 16), 0.05)), mask((2, 16), water=water), river, whole, angles((2, 16)), RULE
    )
    row = reach_samples(pixels, river, RULE).iloc[0]
    assert row[["n_nodes", "n_nodes_covered", "n_px_used"]].tolist() == [3, 1, 8]


@pytest.mark.parametrize("seed", range(3))
def test_node_medians_agree_with_a_loop_over_nodes(seed):
    scene = Scene(seed)
    table = node_samples(scene.pixels(), scene.corridor, RULE)
    assert table.index.tolist() == scene.corridor.node_ids.tolist()
    for node, (_, row) in enumerate(table.iterrows()):
        reach = node // 3
        assert row["reach_id"] == scene.corridor.reach_ids[reach]
        pixels = [slow_pixel(scene, r, c, RULE) for r, c in np.argwhere(scene.labels == reach)]
        mine = [p for p in slow_used(pixels, scene.width_m[reach], RULE) if scene.nodes[p["row"], p["col"]] == node]
        assert row["n_px_used"] == len(mine)
        red = [scene.reflectance[RED, p["row"], p["col"]] for p in mine]
        np.testing.assert_allclose(row["red_med"], np.median(red) if len(mine) >= 5 else np.nan, rtol=1e-6)


def test_azimuths_are_compared_across_north():
    river, clear = corridor(np.zeros((8, 8), int), width_m=60.0), mask((8, 8), water=True)
    grid = angles((8, 8), sun_azimuth=[[350.0, 10.0], [90.0, 0.0]], view_azimuth=[[20.0, 340.0], [270.0, 0.0]])
    pixels = gather_pixels(observe(np.full((6, 8, 8), 0.05)), clear, river, Window.whole((8, 8)), grid, RULE)
    assert sorted(set(pixels.relative_azimuth.tolist())) == [0, 30, 180]
    assert reach_samples(pixels, river, RULE).iloc[0]["relative_azimuth"] == pytest.approx((30 + 30 + 180 + 0) / 4)


def test_unknown_angles_fall_back_to_the_tile_and_then_to_nan():
    river, clear = corridor(np.zeros((8, 8), int), width_m=60.0), mask((8, 8), water=True)
    known = Directions(sun_zenith=40.0, sun_azimuth=100.0, view_zenith=np.nan, view_azimuth=np.nan)
    observation = observe(np.full((6, 8, 8), 0.05), directions=known, cloud_cover=np.nan)
    missing = dict.fromkeys(("sun_zenith", "sun_azimuth", "view_zenith", "view_azimuth"), np.nan)
    pixels = gather_pixels(observation, clear, river, Window.whole((8, 8)), angles((8, 8), **missing), RULE)
    row = reach_samples(pixels, river, RULE).iloc[0]
    assert row["sun_zenith"] == 40.0
    assert row[["view_zenith", "relative_azimuth", "tile_cloud_cover"]].isna().all()


def test_easting_and_northing_are_those_of_pixel_centres():
    scene = Scene(0)
    pixels = scene.pixels(core=Window(row=10, col=20, height=9, width=9))
    assert pixels.epsg == 32615
    assert pixels.easting.min() == 600000 + 30 * 20 + 15
    assert pixels.northing.max() == 3700020 - 30 * 10 - 15


def test_states_ask_for_all_or_any_of_their_bits():
    pixels = Scene(2).pixels()
    both = State.WATER | State.CLOUD
    assert np.array_equal(pixels.has(both), pixels.has(State.WATER) & pixels.has(State.CLOUD))
    assert np.array_equal(pixels.any(both), pixels.has(State.WATER) | pixels.has(State.CLOUD))
