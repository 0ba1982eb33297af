"""Reading granules on disk: real files first, then small ones whose every number is known."""

from __future__ import annotations

import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from ssc.bands import SIX, Band, Layer
from ssc.errors import BandError, DataError, InputError
from ssc.granules import find, parse
from ssc.observation import Reader, Window
from ssc.rasters import open_granule, to_reflectance
from tiny import L30, S30, SOUTHERN, digital_numbers, write_granule

UNKNOWN_DATUM = (
    'PROJCS["UTM Zone {}, Northern Hemisphere",GEOGCS["Unknown datum based upon the WGS 84 ellipsoid",'
    'DATUM["Not_specified_based_on_WGS_84_spheroid",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],'
    'UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],'
    'PARAMETER["central_meridian",{}],PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],'
    'PARAMETER["false_northing",0],UNIT["metre",1]]'
)
"""The CRS of HLS files of 2021."""


@pytest.fixture(scope="module")
def crop(shared):
    """Real S30 granule, 1000 x 1000 px of north-east Louisiana, open."""
    (granule,) = find(shared / "data/hls_s30_t15sxr/input")
    with open_granule(granule) as reader:
        yield reader


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A synthetic granule of 256 x 256 px in blocks of 128, open."""
    with open_granule(write_granule(tmp_path_factory.mktemp("small"), size=256)) as reader:
        yield reader


def full_tile(folder, name, origin, *real, tags=None):
    """A granule of full size whose bands are empty, with real files put over it."""
    empty = {band: np.full((3660, 3660), -9999, np.int16) for band in SIX}
    empty[Layer.FMASK] = np.full((3660, 3660), 255, np.uint8)
    write_granule(folder, name, size=3660, layers=empty, numbers=empty, origin=origin, tags=tags, sparse_ok=True)
    for path in real:
        shutil.copy(path, folder)
    return find(folder)[0]


NO_TAGS = dict.fromkeys(
    [
        *("MEAN_SUN_ZENITH_ANGLE", "MEAN_SUN_AZIMUTH_ANGLE", "MEAN_VIEW_ZENITH_ANGLE", "MEAN_VIEW_AZIMUTH_ANGLE"),
        *("SENSING_TIME", "SPACECRAFT_NAME", "LANDSAT_PRODUCT_ID", "SENSOR", "cloud_coverage"),
    ]
)


class TestRealCrop:
    def test_facts(self, crop):
        facts = crop.facts
        assert str(facts.geobox.crs) == "EPSG:32615"
        assert tuple(facts.geobox.affine)[:6] == (30, 0, 600_000, 0, -30, 3_600_000)
        assert facts.geobox.shape == (1000, 1000)
        assert facts.block == (4, 1000)
        assert facts.directions.sun_zenith == pytest.approx(30.7163, abs=5e-5)
        assert facts.directions.sun_azimuth == pytest.approx(145.0022, abs=5e-5)
        assert facts.directions.view_zenith == pytest.approx(4.6017, abs=5e-5)
        assert facts.directions.view_azimuth == pytest.approx(100.0898, abs=5e-5)
        assert facts.platform == "S2A"
        assert facts.cloud_cover == 43

    def test_sensed_when_the_tile_was_seen_not_when_the_datatake_began(self, crop):
        assert crop.facts.sensed == datetime(2021, 9, 7, 16, 54, 47, 751_044, tzinfo=UTC)
        assert crop.granule.acquired == datetime(2021, 9, 7, 16, 39, 1, tzinfo=UTC)

    def test_every_pixel_is_its_digital_number(self, crop):
        observation = crop.read()
        assert observation.reflectance.dtype == np.float32
        assert observation.fmask.dtype == np.uint8
        for band in SIX:
            with rasterio.open(crop.granule.href(band)) as raw:
                numbers = raw.read(1)
            known = numbers != -32768
            np.testing.assert_allclose(observation.band(band)[known], numbers[known] / 10_000, rtol=2e-7)
            assert np.isnan(observation.band(band)[~known]).all()

    def test_fill_nobody_declared(self, crop):
        """-32768 in eight pixels of all six bands, while the tag says -9999; Fmask is fill there and on two more."""
        observation = crop.read()
        assert (~np.isfinite(observation.reflectance)).sum(axis=(1, 2)).tolist() == [8] * 6
        assert not observation.valid[502:506, 602:604].any()
        assert (~observation.valid).sum() == 10

    def test_negative_reflectance_is_kept(self, crop):
        observation = crop.read((Band.BLUE, Band.RED))
        assert np.nanmin(observation.band(Band.BLUE)) == pytest.approx(-0.133)
        assert (observation.band(Band.RED) < 0).sum() == 1165  # of 1173 negative numbers 8 are fill

    def test_angles_are_the_tags_where_no_layer_came_along(self, crop):
        angles = crop.angles()
        assert angles.sun_zenith.shape == angles.view_azimuth.shape == (63, 63)
        assert np.ptp(angles.sun_azimuth) == 0
        assert angles.sun_azimuth[0, 0] == pytest.approx(145.0022, abs=1e-4)
        assert angles.view_zenith[0, 0] == pytest.approx(4.6017, abs=1e-4)


class TestRealAngleLayers:
    def test_mean_of_the_layers_is_the_tag(self, shared, tmp_path):
        """Without tags the directions come from SZA and SAA; the tags of this granule say 30.7163 and 145.0022."""
        real = shared / "data/hls_v20_fmask_tiles"
        layers = [real / f"{S30}.{code}.tif" for code in ("SZA", "SAA")]
        with open_granule(full_tile(tmp_path, S30, (600_000, 3_600_000), *layers, tags=NO_TAGS)) as reader:
            means, angles = reader.facts.directions, reader.angles()
        assert means.sun_zenith == pytest.approx(30.7163, abs=0.003)
        assert means.sun_azimuth == pytest.approx(145.0022, abs=0.003)
        assert math.isnan(means.view_zenith)
        assert angles.sun_zenith.shape == (229, 229)
        assert np.isnan(angles.view_zenith).all()
        for row, col in [(0, 0), (1830, 1830), (3659, 3659), (100, 3000)]:
            with rasterio.open(layers[1]) as raw:
                number = raw.read(1, window=((row, row + 1), (col, col + 1)))[0, 0]
            assert angles.sun_azimuth[row // 16, col // 16] == pytest.approx(number / 100, abs=0.03)

    def test_fill_of_the_layers(self, shared, tmp_path):
        """T22VEQ is 13.7 % empty; its tags give 56.64 and 166.39."""
        real = shared / "data/hls_v20_fmask_tiles"
        name = "HLS.L30.T22VEQ.2021248T143156.v2.0"
        files = [real / f"{name}.{code}.tif" for code in ("SZA", "SAA", "Fmask")]
        with open_granule(full_tile(tmp_path, name, (499_980, 7_000_020), *files, tags=NO_TAGS)) as reader:
            facts, angles, fmask = reader.facts, reader.angles(), reader.read(()).fmask
        assert np.isnan(angles.sun_zenith).mean() == pytest.approx(0.137, abs=0.003)
        assert np.nanmin(angles.sun_zenith) >= 56.08
        assert np.nanmax(angles.sun_azimuth) <= 167.55
        assert facts.directions.sun_zenith == pytest.approx(56.6379, abs=5e-5)
        assert facts.platform == "L8"
        assert facts.sensed == datetime(2021, 9, 5, 14, 32, 8, 871_363, tzinfo=UTC)  # mean of two scenes
        assert (fmask == 255).mean() == pytest.approx(0.159, abs=5e-4)


class TestTruncated:
    @pytest.mark.parametrize(
        ("name", "origin"),
        [
            ("HLS.L30.T19LBJ.2020239T144556.v2.0", (199_980, -1_099_980)),
            ("HLS.S30.T35VLJ.2021168T100559.v2.0", (300_000, 6_900_000)),
        ],
    )
    def test_header_reads_and_pixels_do_not(self, shared, tmp_path, name, origin):
        real = shared / f"data/hls_v20_truncated/{name}.B01.tif"
        with open_granule(full_tile(tmp_path, name, origin, real)) as reader:
            assert reader.facts.geobox.shape == (3660, 3660)
            assert reader.facts.geobox.affine.f == origin[1]
            with pytest.raises(DataError, match=f"truncated or damaged file: .*{name}.B01.tif: found .*, wanted a"):
                reader.read((Band.COASTAL,))


class TestWindows:
    @pytest.mark.parametrize(
        "window",
        [
            Window(row=0, col=0, height=256, width=256),
            Window(row=128, col=0, height=128, width=128),  # one block
            Window(row=100, col=90, height=60, width=70),  # across four
            Window(row=255, col=255, height=1, width=1),
            Window(row=7, col=0, height=1, width=256),
        ],
    )
    def test_a_window_is_a_slice_of_the_whole(self, small, window):
        whole, part = small.read(), small.read(SIX, window)
        np.testing.assert_array_equal(part.reflectance, whole.reflectance[:, *window.slices])
        np.testing.assert_array_equal(part.fmask, whole.fmask[window.slices])
        assert part.geobox == whole.geobox[window.slices]

    def test_any_window_of_any_bands(self, small):
        whole = small.read()

        @given(st.integers(0, 250), st.integers(0, 250), st.integers(1, 6), st.integers(1, 6), st.permutations(SIX))
        def check(row, col, height, width, order):
            window = Window(row=row, col=col, height=height, width=width)
            part = small.read(tuple(order[:3]), window)
            for band in order[:3]:
                np.testing.assert_array_equal(part.band(band), whole.band(band)[window.slices])

        check()

    def test_beyond_the_tile_is_the_callers_mistake(self, small):
        with pytest.raises(InputError, match=f"beyond the tile of {S30}: .* wanted 256 x 256 px"):
            small.read(SIX, Window(row=200, col=0, height=57, width=10))

    def test_threads_may_share_a_reader(self, small):
        whole = small.read()
        windows = [Window(row=row, col=row, height=40, width=40) for row in range(0, 216, 8)]
        with ThreadPoolExecutor(4) as pool:
            parts = list(pool.map(lambda window: small.read((Band.RED, Band.RED), window), windows))
        for window, part in zip(windows, parts, strict=True):
            np.testing.assert_array_equal(part.reflectance[0], whole.band(Band.RED)[window.slices])
            np.testing.assert_array_equal(part.reflectance[1], part.reflectance[0])


class TestReader:
    def test_is_the_protocol(self, small):
        reader: Reader = small
        assert reader.granule.name == S30

    def test_other_bands_of_the_product(self, small):
        observation = small.read((Band.RED_EDGE1, Band.CIRRUS), Window(row=0, col=0, height=4, width=4))
        expected = digital_numbers(Band.RED_EDGE1, 256)[:4, :4] / 10_000
        np.testing.assert_allclose(observation.band(Band.RED_EDGE1), expected, rtol=2e-7)

    def test_a_band_the_product_lacks(self, tmp_path):
        with open_granule(write_granule(tmp_path, L30)) as reader, pytest.raises(BandError, match="red_edge1"):
            reader.read((Band.RED_EDGE1,))

    def test_one_thread_reads_the_same(self, small):
        with open_granule(small.granule, threads=1) as reader:
            np.testing.assert_array_equal(reader.read().reflectance, small.read().reflectance)

    def test_closed_is_closed(self, small):
        reader = open_granule(small.granule)
        reader.close()
        reader.close()
        with pytest.raises(RuntimeError, match="after shutdown"):
            reader.read()

    def test_a_failed_opening_leaves_no_file_open(self, tmp_path):
        granule = write_granule(tmp_path)
        Path(granule.href(Layer.FMASK)).unlink()
        with pytest.raises(DataError, match="missing file"):
            open_granule(granule)
        open_files = [link.resolve() for link in Path("/proc/self/fd").iterdir() if link.exists()]
        assert not [path for path in open_files if path.parent == tmp_path]

    def test_fill_in_one_band_makes_a_pixel_invalid(self, tmp_path):
        numbers = digital_numbers(Band.GREEN, 64)
        numbers[3, 5] = -9999
        with open_granule(write_granule(tmp_path, numbers={Band.GREEN: numbers})) as reader:
            observation = reader.read()
        assert np.argwhere(~observation.valid).tolist() == [[3, 5]]
        assert np.isfinite(observation.band(Band.RED)).all()


class TestReflectance:
    def test_limits(self):
        numbers = np.array([[-32768, -9999, -2001, -2000, -1, 0, 1, 10_000, 16_000, 16_001, 32_767]], np.float32)
        to_reflectance(numbers)
        expected = [math.nan] * 3 + [-0.2, -0.0001, 0, 0.0001, 1, 1.6] + [math.nan] * 2
        np.testing.assert_allclose(numbers[0], expected, rtol=2e-7)

    def test_every_number_there_is(self):
        """Against the slow way: one number after the other, in double precision."""
        every = np.arange(-32768, 32768).reshape(512, 128)
        numbers = every.astype(np.float32)
        to_reflectance(numbers)
        slow = [[number / 10_000 if -2000 <= number <= 16_000 else math.nan for number in row] for row in every]
        np.testing.assert_allclose(numbers, slow, rtol=2e-7)


class TestGrid:
    @pytest.mark.parametrize(
        ("name", "crs", "origin", "top"),
        [
            (S30, "EPSG:32615", (600_000, 3_600_000), 3_600_000),
            (S30, UNKNOWN_DATUM.format(15, -93), (600_000, 3_600_000), 3_600_000),
            (SOUTHERN, "EPSG:32619", (199_980, -1_099_980), -1_099_980),
            (SOUTHERN, UNKNOWN_DATUM.format(19, -69), (199_980, -1_099_980), -1_099_980),
            (SOUTHERN, "EPSG:32719", (199_980, 8_900_020), -1_099_980),
        ],
    )
    def test_one_ground_point_has_one_coordinate(self, tmp_path, name, crs, origin, top):
        with open_granule(write_granule(tmp_path, name, crs=crs, origin=origin)) as reader:
            grid = reader.facts.geobox
        assert str(grid.crs) == f"EPSG:326{parse(name).tile[:2]}"
        assert tuple(grid.affine)[:6] == (30, 0, origin[0], 0, -30, top)

    def test_files_may_write_the_same_grid_in_different_ways(self, tmp_path):
        granule = write_granule(tmp_path, SOUTHERN)
        other = write_granule(tmp_path / "other", SOUTHERN, crs="EPSG:32719", origin=(199_980, 8_900_020))
        mixed = replace(granule, hrefs={**granule.hrefs, Layer.FMASK: other.href(Layer.FMASK)})
        with open_granule(mixed) as reader:
            assert reader.read().valid.all()

    def test_angle_layers_of_southern_l30_lie_elsewhere(self, tmp_path):
        """They carry an offset of 10 000 000 m (HLS known issues): their shape counts, not their place."""
        granule = write_granule(tmp_path, SOUTHERN)
        away = write_granule(tmp_path / "away", SOUTHERN, origin=(199_980, 8_900_020))
        angles = {layer: away.href(layer) for layer in Layer if layer is not Layer.FMASK}
        with open_granule(replace(granule, hrefs={**granule.hrefs, **angles})) as reader:
            assert reader.angles().sun_zenith.shape == (4, 4)


class TestTags:
    def directions(self, folder, **tags):
        with open_granule(write_granule(folder, L30, tags=tags)) as reader:
            return reader.facts.directions

    def test_two_scenes_are_averaged_round_the_circle(self, tmp_path):
        tags = {"MEAN_SUN_AZIMUTH_ANGLE": "359.0, 2.0", "MEAN_SUN_ZENITH_ANGLE": "40.0; 41.0"}
        directions = self.directions(tmp_path, **tags)
        assert directions.sun_azimuth == pytest.approx(0.5)
        assert directions.sun_zenith == pytest.approx(40.5)

    @pytest.mark.parametrize("text", [None, "", "NONE", "nan"])
    def test_without_a_number_the_layer_speaks(self, tmp_path, text):
        tags = dict.fromkeys(("MEAN_SUN_AZIMUTH_ANGLE", "MEAN_VIEW_ZENITH_ANGLE"), text)
        directions = self.directions(tmp_path, **tags)
        assert directions.sun_azimuth == pytest.approx(145.0, abs=0.05)
        assert directions.view_zenith == pytest.approx(4.6, abs=0.05)
        assert directions.sun_zenith == 30.72

    @pytest.mark.parametrize(
        ("name", "tags", "platform"),
        [
            (S30, {}, "S2A"),
            (S30, {"SPACECRAFT_NAME": "Sentinel-2C"}, "S2C"),
            (S30, {"SPACECRAFT_NAME": None, "PRODUCT_URI": "S2B_MSIL1C_20210907T163901_N0301.SAFE"}, "S2B"),
            (S30, {"SPACECRAFT_NAME": None}, "S30"),
            (L30, {}, "L8"),
            (L30, {"LANDSAT_PRODUCT_ID": "LC09_L1TP_069014_x; LC09_L1TP_069015_x"}, "L9"),
            (L30, {"LANDSAT_PRODUCT_ID": None}, "L30"),
        ],
    )
    def test_platform(self, tmp_path, name, tags, platform):
        with open_granule(write_granule(tmp_path, name, tags=tags)) as reader:
            assert reader.facts.platform == platform

    def test_no_tags_at_all(self, tmp_path):
        """As if the tags of all files had gone the way of the angle layers' of 2021."""
        granule = write_granule(tmp_path, S30, tags=NO_TAGS)
        with open_granule(granule) as reader:
            facts = reader.facts
        assert facts.sensed == granule.acquired
        assert facts.platform == "S30"
        assert math.isnan(facts.cloud_cover)
        assert facts.directions.sun_zenith == pytest.approx(30.72, abs=0.05)

    def test_a_time_nobody_can_read_is_no_time(self, tmp_path):
        with open_granule(write_granule(tmp_path, S30, tags={"SENSING_TIME": "NONE"})) as reader:
            assert reader.facts.sensed == reader.granule.acquired


class TestAngles:
    def test_layers_on_the_grid_of_the_tile(self, small):
        angles = small.angles()
        assert angles.step == 16
        assert angles.sun_zenith.shape == (16, 16)
        assert angles.sun_zenith.dtype == np.float32
        whole = digital_numbers(Layer.SUN_ZENITH, 256) / 100
        np.testing.assert_allclose(angles.sun_zenith, whole[8::16, 8::16], atol=0.011)

    def test_fill_and_garbage_are_nan(self, tmp_path):
        numbers = digital_numbers(Layer.VIEW_AZIMUTH, 64)
        numbers[:32], numbers[32:48] = 40000, 36001
        granule = write_granule(tmp_path, numbers={Layer.VIEW_AZIMUTH: numbers})
        with open_granule(granule) as reader:
            grid = reader.angles().view_azimuth
        assert np.isnan(grid[:3]).all()
        assert np.isfinite(grid[3]).all()

    def test_a_layer_that_is_missing_is_the_mean_of_the_tag(self, tmp_path):
        granule = write_granule(tmp_path)
        Path(granule.href(Layer.SUN_AZIMUTH)).unlink()
        with open_granule(granule) as reader:
            angles = reader.angles()
        np.testing.assert_array_equal(angles.sun_azimuth, np.full((4, 4), 145, np.float32))
        assert np.ptp(angles.sun_zenith) > 0.5
