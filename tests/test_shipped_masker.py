"""The shipped weights do what their card says: on basins nobody trained on, on real rivers, on a real granule."""

from __future__ import annotations

from datetime import date
from itertools import product

import numpy as np
import pytest

from models.cards import WEIGHTS, shipped
from models.masker import load_masker
from models.scores import count, count_clear_water
from scenes import MIDWINTER, every_weather
from ssc.bands import CODES, SIX, Band, Product
from ssc.granules import find
from ssc.legacy import dswx, fmask
from ssc.masks import Mask
from ssc.rasters import open_granule
from ssc.simulate import observation, simulate_scene
from ssc.simulate.weather import PROGRAMME, WINTER
from tasks.chip_maskers import found_at
from tasks.chips import rivers
from tasks.chips.simulated import labels

BASINS = ((9100, "11SKU"), (9101, "33TVN"), (9102, "36MZE"), (9103, "21JVH"))
"""Seeds and tiles that no training chip has, the last one south of the equator."""
MIDWINTER_SOUTH = date(2024, 7, 12)
DAYS = (date(2024, 4, 3), date(2024, 6, 20), date(2024, 7, 30), date(2024, 9, 12))


@pytest.fixture(scope="module")
def masker():
    return load_masker("default", device="cpu")


@pytest.fixture(scope="module")
def judged(masker):
    """(masks found, labels) of four basins on seven kinds of days each, as `ssc simulate` makes them."""
    pairs = []
    for (seed, tile), (number, weather) in product(BASINS, enumerate((*PROGRAMME[:6], WINTER))):
        midwinter = MIDWINTER_SOUTH if tile == "21JVH" else MIDWINTER
        day = midwinter if weather is WINTER else DAYS[number % len(DAYS)]
        made = simulate_scene(
            seed=seed, size=512, tile=tile, day=day, weather=weather, platform=("L8", "S2A", "L9", "S2B")[number % 4]
        )
        probabilities = masker(observation(made).reflectance, bands=SIX)
        pairs.append((found_at(probabilities, masker.thresholds), labels(made, rims=False)))
    return pairs


def test_it_is_small_and_its_card_is_honest():
    for name, card in shipped().items():
        assert (WEIGHTS / f"{name}.safetensors").stat().st_size < 8e6
        text = card.as_markdown()
        assert "simulated" in text
        assert card.limits


def test_simulated_basins_of_other_seeds_and_suns(judged):
    """What is missing of cloud shadow lies under thin veils, which throw hardly any, and in winter."""
    confusion = sum((count(found, known) for found, known in judged[1:]), count(*judged[0]))
    f1 = dict(zip(Mask, confusion.f1, strict=True))
    assert f1[Mask.WATER] >= 0.90
    assert f1[Mask.CLOUD] >= 0.90
    assert f1[Mask.CLOUD_SHADOW] >= 0.80
    assert f1[Mask.SNOW_ICE] >= 0.80
    assert f1[Mask.TERRAIN_SHADOW] >= 0.70


def test_what_it_calls_clear_water_is_clear_water(judged):
    confusion = sum((count_clear_water(found, known) for found, known in judged[1:]), count_clear_water(*judged[0]))
    assert confusion.precision >= 0.97
    assert confusion.recall >= 0.90


@pytest.fixture(scope="module")
def river_scores(shared, masker):
    """F1 of water of (the masker, MNDWI, Fmask), over all test chips with a fair label and over the turbid ones."""
    folder = shared / "data" / "hls_l30_river_chips"
    hits = {True: np.zeros((3, 3)), False: np.zeros((3, 3))}
    for number in (n for n in rivers.numbers(folder) if n % 5 == 1):
        raw = rivers.read_river_chip(folder, number)
        index = dswx.mndwi_water(raw.reflectance[SIX.index(Band.GREEN)], raw.reflectance[SIX.index(Band.SWIR1)])
        if (index & raw.water).sum() <= 0.5 * (index | raw.water).sum():
            continue
        found = found_at(masker(raw.reflectance, bands=SIX), masker.thresholds)[Mask.WATER]
        valid = np.isfinite(raw.reflectance).all(axis=0)
        turbid = bool(np.nanmedian(raw.reflectance[SIX.index(Band.RED)][raw.water]) > 0.10)
        for row, answer in enumerate((found, index, fmask.decode(raw.fmask).water)):
            hits[turbid][row] += [
                np.sum(cell & valid) for cell in (answer & raw.water, answer & ~raw.water, raw.water & ~answer)
            ]

    def f1(cells):
        return 2 * cells[:, 0] / (2 * cells[:, 0] + cells[:, 1] + cells[:, 2])

    return f1(hits[True] + hits[False]), f1(hits[True])


def test_water_on_real_rivers_is_at_least_that_of_the_better_index(river_scores):
    (ours, mndwi, by_fmask), _ = river_scores
    assert ours >= max(mndwi, by_fmask)


def test_water_on_real_turbid_rivers_is_better(river_scores):
    _, (ours, mndwi, by_fmask) = river_scores
    assert ours > max(mndwi, by_fmask)


def test_clouds_and_shadows_of_a_real_granule_are_where_fmask_has_them(shared, masker):
    """Not more, for Fmask grows both by some pixels, and small frayed clouds are missed."""
    granule = find(shared / "data" / "hls_s30_t15sxr" / "input")[0]
    with open_granule(granule) as reader:
        seen = reader.read(SIX)
    found = found_at(masker(seen.reflectance, bands=SIX, product=Product.S30), masker.thresholds)
    bits = fmask.decode(seen.fmask)
    for mask, truth, wanted in ((Mask.CLOUD, bits.cloud, 0.75), (Mask.CLOUD_SHADOW, bits.shadow, 0.5)):
        both, either = (found[mask] & truth & seen.valid).sum(), (found[mask] & seen.valid).sum() + truth.sum()
        assert 2 * both / either >= wanted, mask


@pytest.mark.parametrize("shift", [(32, 0), (0, 96), (160, 224)])
def test_no_seams_show_when_windows_move(masker, shift):
    """The same ground in another place of the tile: windows lie elsewhere on it."""
    example = every_weather(seed=41, size=1280)[2]
    seen = example.observation.reflectance
    here, there = (
        masker(seen, bands=SIX, origin=origin) > masker.thresholds[:, None, None] for origin in ((0, 0), shift)
    )
    assert here.any(axis=(1, 2)).sum() >= 3
    assert (here != there).mean() < 1e-3


def test_a_window_answers_like_the_whole_tile(masker):
    example = every_weather(seed=41, size=1280)[1]
    seen = example.observation.reflectance
    whole = masker(seen, bands=SIX) > masker.thresholds[:, None, None]
    part = masker(seen[:, 320:832, 256:896], bands=SIX, origin=(320, 256)) > masker.thresholds[:, None, None]
    core = (slice(None), slice(64, -64), slice(64, -64))
    assert (part[core] != whole[:, 320:832, 256:896][core]).mean() < 2e-3


def test_truth_labels_are_what_the_scores_are_about():
    """Labels of the test chips are the simulator's truth, hidden pixels apart."""
    example = every_weather(seed=43)[1]
    known = labels(example.scene, rims=False)
    assert np.array_equal(known[Mask.CLOUD] == 1, example.masks[Mask.CLOUD])


BAND_LISTS = {"all": None, "six": SIX, "without blue": SIX[1:], "without short-wave infrared": SIX[:4]}
"""None: all that the product has, 8 of L30 and 13 of S30."""


@pytest.fixture(scope="module")
def by_bands():
    """Counts of any-sensor on the same scenes, under each list of bands; the table of `docs/any-sensor.md`."""
    any_sensor = load_masker("any-sensor", device="cpu")
    pairs = {name: [] for name in BAND_LISTS}
    for (seed, tile), (number, weather) in product(BASINS, enumerate((*PROGRAMME[:6], WINTER))):
        midwinter = MIDWINTER_SOUTH if tile == "21JVH" else MIDWINTER
        day = midwinter if weather is WINTER else DAYS[number % len(DAYS)]
        platform = ("L8", "S2A", "L9", "S2B")[number % 4]
        of = Product.S30 if platform.startswith("S") else Product.L30
        has = tuple(band for band in Band if band in CODES[of])
        made = simulate_scene(seed=seed, size=512, tile=tile, day=day, weather=weather, platform=platform)
        seen, truth = observation(made, has), labels(made, rims=False)
        for name, bands in BAND_LISTS.items():
            given = bands or has
            answer = any_sensor(np.stack([seen.band(band) for band in given]), bands=given, product=of)
            pairs[name].append((found_at(answer, any_sensor.thresholds), truth))
    counts = {name: sum((count(*pair) for pair in some[1:]), count(*some[0])) for name, some in pairs.items()}
    for name, found in counts.items():
        print(f"any-sensor, {name}: F1", found.f1.round(3), "mean", found.f1.mean().round(3))
    return counts


def test_one_set_of_weights_serves_thirteen_bands_six_and_four(by_bands):
    water = {name: counts.f1[Mask.WATER] for name, counts in by_bands.items()}
    assert min(water.values()) > 0.85
    assert by_bands["six"].f1.mean() > 0.85
    assert by_bands["all"].f1.mean() > 0.83
    cloud = {name: counts.f1[Mask.CLOUD] for name, counts in by_bands.items()}
    assert min(cloud["all"], cloud["six"], cloud["without blue"]) > 0.85


def test_what_the_short_wave_infrared_is_worth(by_bands):
    """Without it clouds are found less often and terrain shadow hardly: the card says so."""
    without, six = by_bands["without short-wave infrared"], by_bands["six"]
    assert without.f1[Mask.CLOUD] < six.f1[Mask.CLOUD]
    assert without.f1[Mask.TERRAIN_SHADOW] < six.f1[Mask.TERRAIN_SHADOW]
