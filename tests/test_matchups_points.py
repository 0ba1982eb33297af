"""Raster points and the Parana road: against loops over pixels, and on real rasters with laboratory samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

from ssc.bands import SIX, Band, Product
from ssc.errors import DataError, InputError
from ssc.masks import Mask, Masks
from ssc.matchups.columns import conform
from ssc.matchups.points import Look, PointRule, discs, pair_points, point_samples
from ssc.matchups.raster import SEN2COR, Raster, Scaling, area_mean, read_raster
from ssc.schema import SAMPLE
from tasks.parana import CORRECTIONS, lost_water, parana_matchups, parana_paired, read_samples
from tasks.turbid_loss import CAUSES

CODES = ("B02", "B03", "B04", "B8A", "B11", "B12")
CORNER = Affine(30, 0, 315_030, 0, -30, 6_961_380)
DAY = pd.Timestamp("2023-05-11", tz="UTC")
TWO_PIXELS = PointRule(radius_m=61)


@pytest.fixture(scope="module")
def parana(shared):
    return shared / "data" / "parana_sentinel2_tss"


@pytest.fixture(scope="module")
def roads(parana):
    """Both corrections with water by MNDWI: samples paired, and water lost."""
    return {correction: parana_paired(parana, correction=correction, masker="mndwi") for correction in CORRECTIONS}


def raster_of(seed=0, shape=(20, 24)):
    values = np.random.default_rng(seed).uniform(0.01, 0.2, (6, *shape)).astype(np.float32)
    return Raster(bands=SIX, reflectance=values, geobox=GeoBox(shape, CORNER, "EPSG:32721"))


def masks_of(shape=(20, 24), **layers):
    stack = np.zeros((5, *shape), bool)
    stack[Mask.WATER] = True
    for name, where in layers.items():
        stack[Mask[name]][where] = True
    return Masks(stack=stack, valid=np.ones(shape, bool))


def lonlat_of(x, y):
    import pyproj

    lon, lat = pyproj.Transformer.from_crs("EPSG:32721", "EPSG:4326", always_xy=True).transform(x, y)
    return np.column_stack([np.atleast_1d(lon), np.atleast_1d(lat)])


def samples_at(lonlat, times=DAY, **columns):
    table = {"site": "P", "ssc_mg_l": 50.0, "longitude": lonlat[:, 0], "latitude": lonlat[:, 1]}
    return pd.DataFrame(table).assign(sample_time=times, **columns)


# ---------------------------------------------------------------- pixels of a point


def test_a_point_sees_the_clear_pixels_of_its_disc_and_nothing_else():
    raster = raster_of()
    x, y = 315_030 + 30 * 11.3, 6_961_380 - 30 * 9.8
    cloud = (np.array([3]), np.array([20]))  # far away: buffered by two pixels it does not reach the disc
    row = point_samples(raster, masks_of(CLOUD=cloud), lonlat_of(x, y)).iloc[0]
    chosen = [
        (r, c) for r in range(20) for c in range(24) if np.hypot(30 * (c + 0.5 - 11.3), 30 * (r + 0.5 - 9.8)) <= 60
    ]
    assert row["n_px_used"] == row["n_px_channel"] == len(chosen)
    spectra = np.array([raster.reflectance[:, r, c] for r, c in chosen])
    for k, band in enumerate(SIX):
        assert row[f"{band.value}_med"] == pytest.approx(np.median(spectra[:, k]), rel=1e-6)
        assert row[f"{band.value}_p90"] == pytest.approx(np.quantile(spectra[:, k], 0.9), rel=1e-6)
    assert row["red_green"] == pytest.approx(np.median(spectra[:, 2] / spectra[:, 1]), rel=1e-6)
    assert (row["n_nodes"], row["clear_frac"]) == (0, 1.0)
    assert np.isnan(row["cloud_adjacent_frac"])
    assert np.isnan(row["sun_zenith"])


def test_masked_and_missing_pixels_are_counted_by_what_they_are():
    raster = raster_of()
    raster.reflectance[3, 9, 11] = np.nan
    row_, col_ = np.array([10]), np.array([11])
    x, y = 315_030 + 30 * 11.5, 6_961_380 - 30 * 9.5
    table = point_samples(raster, masks_of(SNOW_ICE=(row_, col_)), lonlat_of(x, y), TWO_PIXELS)
    row = table.iloc[0]
    assert list(table.columns) == [column.name for column in SAMPLE]
    # 13 pixels within two of the middle one, which lacks NIR; the one below is under snow
    assert (row["n_px_channel"], row["n_px_valid"], row["n_px_clear"]) == (13, 12, 11)
    assert row["snow_ice_frac"] == pytest.approx(1 / 12)
    assert row["clear_frac"] == pytest.approx(11 / 13)
    assert row["cloud_frac"] == 0


def test_a_cloud_takes_its_surroundings_with_it_and_a_bank_is_kept_away_from():
    x, y = 315_030 + 30 * 11.5, 6_961_380 - 30 * 9.5
    cloud = (np.array([9]), np.array([13]))
    row = point_samples(raster_of(), masks_of(CLOUD=cloud), lonlat_of(x, y), TWO_PIXELS).iloc[0]
    assert (row["n_px_clear"], row["n_px_used"]) == (12, 4)  # of 13 one is the cloud, 8 more lie within two of it
    masks = masks_of()
    masks.stack[Mask.WATER][:, 13:] = False
    row = point_samples(raster_of(), masks, lonlat_of(x, y), TWO_PIXELS).iloc[0]
    assert (row["n_px_clear"], row["n_px_used"]) == (12, 9)  # column 13 is land, column 12 is the bank


def test_a_point_at_the_rim_counts_the_pixels_beyond_it():
    row = point_samples(raster_of(), masks_of(), lonlat_of(315_030 + 15, 6_961_380 - 30 * 9.5), TWO_PIXELS).iloc[0]
    assert (row["n_px_channel"], row["n_px_valid"]) == (13, 9)
    outside = point_samples(raster_of(), masks_of(), lonlat_of(315_030 - 5000, 6_961_380)).iloc[0]
    assert (outside["n_px_valid"], outside["n_px_used"]) == (0, 0)


def test_a_radius_below_a_pixel_is_the_pixel_the_point_is_in():
    grid = raster_of().geobox
    point, row, col = discs(grid, lonlat_of(315_030 + 30 * 4 + 2, 6_961_380 - 30 * 7 - 28), 1.0)
    assert (point.tolist(), row.tolist(), col.tolist()) == ([0], [7], [4])
    with pytest.raises(DataError, match="wanted metres"):
        discs(GeoBox((4, 4), Affine(0.1, 0, 0, 0, -0.1, 0), "EPSG:4326"), np.zeros((1, 2)), 60)


# ---------------------------------------------------------------- rasters


def written(path, values, names=CODES, *, nodata=None, crs="EPSG:32721"):
    profile = {"driver": "GTiff", "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(path, "w", dtype=values.dtype, transform=CORNER, crs=crs, nodata=nodata, **profile) as file:
        file.write(values)
        file.descriptions = names
    return path


def test_numbers_become_reflectance_and_both_kinds_of_no_data_nan(tmp_path):
    numbers = np.full((6, 4, 4), 1500, np.uint16)
    numbers[0, 0, 0], numbers[0, 0, 1] = 0, 65535
    path = written(tmp_path / "a.tif", numbers, nodata=65535)
    raster = read_raster(path, product=Product.S30, scaling=SEN2COR)
    assert raster.six[0, 0].tolist() == pytest.approx([np.nan, np.nan, 0.05, 0.05], nan_ok=True)
    with pytest.raises(DataError, match="median red is 1500, wanted 0 to 1; give scale and offset"):
        read_raster(path, product=Product.S30)


def test_band_names_are_those_of_the_product(tmp_path):
    values = np.arange(6, dtype=np.float32)[:, None, None] / 10 + np.zeros((6, 4, 4), np.float32)
    landsat = written(tmp_path / "l.tif", values[::-1].copy(), names=("B07", "B06", "B05", "B04", "B03", "B02"))
    assert read_raster(landsat, product=Product.L30).six[:, 0, 0].tolist() == pytest.approx(
        [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    )
    with pytest.raises(DataError, match="no band nir swir1 swir2"):
        read_raster(landsat, product=Product.S30)
    named = written(tmp_path / "n.tif", values, names=tuple(band.value for band in SIX))
    assert read_raster(named, product=Product.S30).bands == SIX
    with pytest.raises(DataError, match="no CRS"):
        read_raster(written(tmp_path / "bare.tif", values, crs=None), product=Product.S30)


def test_a_damaged_file_is_a_data_error(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0 not a raster")
    with pytest.raises(DataError, match=r"a\.tif"):
        read_raster(path, product=Product.S30)


def test_larger_pixels_are_means_of_whole_blocks():
    raster = raster_of(shape=(7, 8))
    raster.reflectance[0, 1, 1] = np.nan
    large = area_mean(raster, 3)
    assert large.reflectance.shape == (6, 2, 2)
    assert large.geobox.resolution.x == 90
    assert (large.geobox.affine.c, large.geobox.affine.f) == (CORNER.c, CORNER.f)
    assert large.reflectance[1, 1, 1] == pytest.approx(raster.reflectance[1, 3:6, 3:6].mean(), rel=1e-6)
    assert np.isnan(large.reflectance[0, 0, 0])
    assert np.isfinite(large.reflectance[1, 0, 0])
    with pytest.raises(InputError, match="found 8, wanted 1 to 7"):
        area_mean(raster, 8)


# ---------------------------------------------------------------- pairs


def look(hours=0.0, masks=None, name="a"):
    return Look(
        acquisition=(DAY + pd.Timedelta(hours=hours)).to_pydatetime(),
        product=Product.S30,
        load=lambda: (raster_of(), masks or masks_of()),
        granule_id=name,
    )


def test_replicates_share_weight_and_rasters_out_of_time_are_not_read():
    def never():
        raise AssertionError

    far = Look(acquisition=(DAY + pd.Timedelta(days=3)).to_pydatetime(), product=Product.S30, load=never)
    lonlat = lonlat_of(315_030 + np.array([300.0, 400.0]), 6_961_380 - np.array([300.0, 300.0]))
    paired = pair_points(samples_at(lonlat), [far, look(5, name="five"), look(-2, name="two")])
    table = paired.matchups
    assert table["granule_id"].tolist() == ["two", "five", "two", "five"]
    assert table["rank"].tolist() == [0, 1, 0, 1]
    # -2 h is the day before at 58.9 W (3.9 h behind: sample 20:04 of the 10th, looks 18:04 and 01:04 of the 11th)
    assert table["weight"].tolist() == pytest.approx([0.5, 0.35, 0.5, 0.35])
    assert table["group"].nunique() == 2


def test_points_that_see_nothing_say_why():
    lonlat = np.concatenate([lonlat_of(315_030 + 300, 6_961_380 - 300), lonlat_of(0, 6_000_000), [[np.nan, np.nan]]])
    every = (slice(None), slice(None))
    samples = pd.concat([samples_at(lonlat), samples_at(lonlat[:1], DAY + pd.Timedelta(days=9))], ignore_index=True)
    paired = pair_points(samples, [look(masks=masks_of(CLOUD=every))])
    assert paired.matchups.empty
    assert paired.lost["reason"].tolist() == ["cloud", "outside the swath", "no place", "no granule"]


# ---------------------------------------------------------------- the Parana


def test_samples_of_the_parana(parana):
    samples = read_samples(parana)
    assert len(samples) == 63
    assert samples["sample_time"].dt.date.nunique() == 6
    assert (samples["ssc_mg_l"].min(), samples["ssc_mg_l"].max()) == (55.0, 198.0)
    assert set(samples["label_source"]) == {"tss"}
    assert set(samples["dt_uncertain_h"]) == {12.0}


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_every_point_is_paired_on_its_day_with_the_published_colour(parana, roads, correction):
    """The authors' own pixel values at the same points (means of 3 x 3 pixels of 10 m): an independent extraction."""
    table = roads[correction][0].matchups
    assert len(table) == 63
    assert conform(table, "matchup")["dt_h"].tolist() == pytest.approx([2 + 1 / 6] * 63)
    assert (table["acquisition"].dt.date == table["sample_time"].dt.date).all()
    assert table["n_px_used"].min() >= 5
    theirs = pd.read_csv(parana / f"matchups_{correction}_wide.csv").dropna(subset=["sst_mg_l"])
    for band, code in ((Band.GREEN, "B03"), (Band.RED, "B04"), (Band.NIR, "B8A")):
        ours = table[f"{band.value}_med"].to_numpy()
        assert np.corrcoef(ours, theirs[code])[0, 1] > 0.9
        assert np.median(np.abs(ours - theirs[code])) < 0.006


def test_ten_metre_pixels_tell_the_same(parana, roads):
    from tasks.parana import ParanaRule

    fine, _ = parana_matchups(parana, masker="mndwi", rule=ParanaRule(factor=1))
    coarse = roads["acolite"][0].matchups
    assert (fine["n_px_channel"] > 7 * coarse["n_px_channel"]).all()
    assert np.median(np.abs(fine["red_med"] - coarse["red_med"])) < 0.002


def test_redder_water_carries_more(roads):
    for paired, _ in roads.values():
        table = paired.matchups[~paired.matchups["acquisition"].dt.strftime("%F").isin(["2023-12-12", "2025-11-26"])]
        rank = table.groupby("acquisition")[["red_med", "ssc_mg_l"]].rank()
        assert rank.corr().iloc[0, 1] > 0.8


def test_lost_water_adds_up_and_mndwi_loses_none_but_bridge_and_bank(roads):
    for _, lost in roads.values():
        assert lost["date"].nunique() == 6
        assert (lost["kept"] + lost[list(CAUSES)].sum(axis=1) == lost["water_px"]).all()
        whole = lost[lost["by"] == "all"].set_index("date")
        by_red = lost[lost["by"] == "red"].groupby("date")["water_px"].sum()
        assert (by_red == whole["water_px"]).all()
        assert (lost[["cloud", "cloud_shadow", "snow_ice"]] == 0).all(axis=None)
        assert whole["land"].sum() / whole["water_px"].sum() < 0.05


def test_what_is_lost_is_counted_by_what_it_was_taken_for(parana):
    samples = read_samples(parana)
    raster = area_mean(read_raster(parana / "acolite" / "2024-05-20.tif", product=Product.S30), 3)
    stack = np.zeros((5, *raster.reflectance.shape[1:]), bool)
    stack[Mask.WATER] = True
    green, red, swir = raster.six[[1, 2, 4]]
    water = green > swir
    stack[Mask.SNOW_ICE] = red > 0.10
    stack[Mask.CLOUD] = red > 0.12
    masks = Masks(stack=stack, valid=np.ones(water.shape, bool))
    day = pd.Timestamp("2024-05-20T14:10Z").to_pydatetime()
    scene = Look(acquisition=day, product=Product.S30, load=lambda: (raster, masks))
    lost = lost_water(scene, samples).set_index(["by", "class"])
    turbid = lost.loc[("red", ">0.10")]
    assert turbid["kept"] == 0
    assert turbid["cloud"] + turbid["snow_ice"] == turbid["water_px"] > 300
    assert lost.loc[("red", "0.05-0.10"), "kept"] == lost.loc[("red", "0.05-0.10"), "water_px"]
    assert lost.loc[("all", "all"), "cloud"] == turbid["cloud"]


def test_maskers_that_cannot_be_asked_and_folders_that_are_none(parana, tmp_path):
    with pytest.raises(InputError, match="'fmask' needs Fmask"):
        parana_matchups(parana, masker="fmask")
    with pytest.raises(InputError, match="no masker 'nonsense'"):
        parana_matchups(parana, masker="nonsense")
    with pytest.raises(InputError, match="wanted acolite or sen2cor"):
        parana_matchups(parana, correction="c2rcc", masker="mndwi")
    with pytest.raises(InputError, match=r"no matchups_acolite_wide\.csv"):
        parana_matchups(tmp_path, masker="mndwi")


def test_scalings_are_what_the_files_hold(parana):
    assert CORRECTIONS["sen2cor"][1] == Scaling(scale=1e-4, offset=-0.1, nodata=0.0)
    raster = read_raster(parana / "sen2cor" / "20240520.tif", product=Product.S30, scaling=SEN2COR)
    assert np.isnan(raster.six[0]).sum() == 2  # two pixels of digital number 0 in blue
    assert np.nanmedian(raster.six[2]) == pytest.approx(0.1106, abs=1e-4)
