"""Maskers on the same chips: against direct calls, hand counts, and what the files say."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from models.chip_writer import ChipWriter
from models.chips import Chip, ChipFolder
from models.packing import UNKNOWN
from models.scores import NAMES
from scenes import scene
from ssc.bands import SIX, Band, Product
from ssc.errors import InputError
from ssc.legacy import maskers as shipped
from ssc.masks import Mask, clear_water
from ssc.simulate.weather import BROKEN, SCATTERED, SWATH_EDGE, WINTER
from tasks.chip_maskers import BASELINES, ChipMasker, found_at, legacy, neural
from tasks.masker_scores import Options, evaluate
from tasks.turbid_loss import CAUSES, CLASSES, count_losses, loss_table

SIZE = 128
INSIDE = np.s_[..., 64:192, 64:192]
"""A part of a scene with a good deal of river."""
WEATHERS = (SCATTERED, BROKEN, WINTER, SWATH_EDGE)
PLATFORMS = ("L8", "S2A", "L9", "S2B")


def chip_of(example, name: str) -> Chip:
    """The middle of a simulated scene, with its truth; unknown where nothing was seen."""
    valid = example.masks.valid[INSIDE]
    return Chip(
        bands=SIX,
        reflectance=example.observation.reflectance[[example.observation.bands.index(band) for band in SIX]][INSIDE],
        labels=np.where(valid, example.masks.stack[INSIDE], UNKNOWN).astype(np.uint8),
        product=example.observation.granule.product,
        source="simulated",
        region=f"basin {name}",
        scene=name,
        simulated=True,
        fmask=example.observation.fmask[INSIDE],
        ssc=example.ssc[INSIDE],
    )


class Listed:
    """Chips in memory."""

    def __init__(self, chips, split="test"):
        self.chips, self.bands = list(chips), SIX
        rows = [(c.source, c.product.value, c.region, c.scene, split, c.simulated) for c in self.chips]
        self.index = pd.DataFrame(rows, columns=["source", "product", "region", "scene", "split", "simulated"])

    def __len__(self):
        return len(self.chips)

    def __getitem__(self, place):
        return self.chips[place]


@pytest.fixture(scope="module")
def simulated() -> list[Chip]:
    return [
        chip_of(scene(7, 256, weather, platform), f"s{i}")
        for i, (weather, platform) in enumerate(zip(WEATHERS, PLATFORMS, strict=True))
    ]


def flat_chip(size=4, **changes) -> Chip:
    """Plain clear water that reflects 0.02 everywhere, nothing else."""
    labels = np.zeros((5, size, size), np.uint8)
    labels[Mask.WATER] = 1
    facts = {
        "bands": SIX,
        "reflectance": np.full((6, size, size), 0.02, np.float32),
        "labels": labels,
        "product": Product.L30,
        "source": "made",
        "region": "r",
        "scene": "s",
    }
    return Chip(**(facts | changes))


def truth_teller(chip: Chip) -> np.ndarray:
    """Probabilities that are right everywhere, 0.25 above or below one half."""
    return np.where(chip.labels == UNKNOWN, np.nan, 0.25 + 0.5 * (chip.labels == 1)).astype(np.float32)


def brightness(chip: Chip) -> np.ndarray:
    """Cloud is what is bright, water what is dark in SWIR; graded, so that thresholds matter."""
    answer = np.zeros((5, *chip.reflectance.shape[1:]), np.float32)
    answer[Mask.CLOUD] = np.clip(chip.reflectance[0] * 2, 0, 1)
    answer[Mask.WATER] = np.clip(1 - chip.reflectance[4] * 4, 0, 1)
    return np.where(np.isnan(chip.reflectance).any(axis=0), np.float32(np.nan), answer)


# The adapters


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("weather", [SCATTERED, SWATH_EDGE], ids=lambda weather: weather.name)
def test_baselines_on_chips_say_what_they_say_on_granules(name, weather):
    example = scene(7, 256, weather, "L8")
    direct = shipped.load(name)(example.observation)
    answer = legacy(name)(chip_of(example, "x"))
    valid = direct.valid[INSIDE]
    assert np.array_equal(np.isfinite(answer).all(axis=0), valid)
    assert np.array_equal(answer[:, valid] == 1, direct.stack[INSIDE][:, valid])
    assert set(np.unique(answer[:, valid])) <= {0, 1}
    assert answer[Mask.WATER][valid].any()


def test_without_fmask_only_the_index_answers():
    chip = flat_chip()
    assert legacy("fmask")(chip) is None
    assert legacy("legacy-dswx")(chip) is None
    assert legacy("mndwi")(chip).shape == (5, 4, 4)


def test_a_chip_without_the_bands_is_not_judged():
    chip = flat_chip(
        bands=(Band.RED,), reflectance=np.full((1, 4, 4), 0.1, np.float32), fmask=np.zeros((4, 4), np.uint8)
    )
    assert legacy("mndwi")(chip) is None
    assert legacy("legacy-dswx")(chip) is None
    assert (legacy("fmask")(chip) == 0).all()


def test_no_such_masker():
    with pytest.raises(InputError, match="no masker 'magic'"):
        legacy("magic")


def test_a_network_is_asked_with_its_bands_and_product():
    class Network:
        thresholds = np.array([0.1, 0.2, 0.3, 0.4, 0.5], np.float32)

        class card:  # noqa: N801  # stands for an attribute
            tasks = (Mask.WATER, Mask.CLOUD)
            bands = (Band.BLUE, Band.NIR)
            takes_any_bands = False

        def __call__(self, reflectance, *, bands, product):
            assert (tuple(bands), product) == (SIX, Product.S30)
            return np.repeat(reflectance[:1] * 10, 5, axis=0)

    masker = neural(Network())
    answer = masker(flat_chip(product=Product.S30))
    assert answer == pytest.approx(0.2)
    assert masker.tasks == (Mask.WATER, Mask.CLOUD)
    assert masker(flat_chip(bands=(Band.RED,), reflectance=np.full((1, 4, 4), 0.1, np.float32))) is None
    expected = [True, bool(np.float32(0.02) * 10 > np.float32(0.2)), False, False, False]
    assert found_at(answer, masker.thresholds)[:, 0, 0].tolist() == expected


def test_a_network_for_any_bands_is_asked_by_those_that_hold_something():
    class Network:
        thresholds = np.full(5, 0.5, np.float32)

        class card:  # noqa: N801  # stands for an attribute
            tasks = tuple(Mask)
            bands = tuple(Band)
            takes_any_bands = True

        def __call__(self, reflectance, *, bands, product):
            seen.append((bands, reflectance[:, 0, 0].tolist()))
            return np.repeat(reflectance[:1], 5, axis=0)

    seen = []
    bands = (Band.RED, Band.RED_EDGE1, Band.BLUE, Band.CIRRUS, Band.NIR)
    light = np.arange(5, dtype=np.float32)[:, None, None].repeat(4, axis=1).repeat(4, axis=2) / 10
    light[3] = np.nan
    masker = neural(Network())
    chip = flat_chip(bands=bands, reflectance=light, product=Product.L30)  # Landsat has no red edge
    assert masker(chip) is not None
    assert seen == [((Band.RED, Band.BLUE, Band.NIR), pytest.approx([0, 0.2, 0.4]))]
    light[4] = np.nan
    assert masker(chip) is None


def test_rules_see_the_six_bands_of_a_chip_that_has_more():
    light = np.full((len(Band), 4, 4), 0.1, np.float32)
    light[list(Band).index(Band.GREEN)] = 0.2
    light[list(Band).index(Band.RED_EDGE1)] = np.nan
    answer = legacy("mndwi")(flat_chip(bands=tuple(Band), reflectance=light, product=Product.L30))
    assert (answer[Mask.WATER] == 1).all()


# Turbid water


def test_lost_turbid_water_against_hand_counts():
    size = 10
    ssc = np.full((size, size), np.nan, np.float32)
    ssc[0], ssc[1], ssc[2], ssc[3], ssc[4] = 5, 10, 199, 200, 5000
    reflectance = np.full((6, size, size), 0.02, np.float32)
    reflectance[2, 0], reflectance[2, 1], reflectance[2, 2:] = 0.049, 0.05, 0.2
    chip = flat_chip(size, ssc=ssc, reflectance=reflectance)
    chip.labels[:, 9] = UNKNOWN
    chip.labels[Mask.CLOUD, 8] = 1
    chip.labels[Mask.TERRAIN_SHADOW, 7] = UNKNOWN
    chip.labels[Mask.WATER, 6] = 0
    found = np.zeros((5, size, size), bool)
    found[Mask.WATER] = True
    found[Mask.CLOUD, 0, :2] = True
    found[Mask.SNOW_ICE, 0, 1:4] = True  # one of them is cloud as well: cloud it is
    found[Mask.WATER, 1, :5] = False
    found[Mask.CLOUD_SHADOW, 2, 0] = True
    found[Mask.TERRAIN_SHADOW, 3, :6] = True
    found[Mask.WATER, 4] = False
    found[Mask.CLOUD, 4, :3] = True
    found[Mask.CLOUD, 6:] = True  # not clear water, so no loss
    counts = dict(zip(CLASSES, count_losses(chip, found, chip.labels).tolist(), strict=True))
    assert counts["ssc_mg_l", "0-10"] == [6, 2, 0, 2, 0, 0]
    assert counts["ssc_mg_l", "10-50"] == [5, 0, 0, 0, 0, 5]
    assert counts["ssc_mg_l", "50-200"] == [9, 0, 1, 0, 0, 0]
    assert counts["ssc_mg_l", "200-600"] == [4, 0, 0, 0, 6, 0]
    assert counts["ssc_mg_l", ">600"] == [0, 3, 0, 0, 0, 7]
    assert counts["red", "<0.05"] == counts["ssc_mg_l", "0-10"]
    assert counts["red", "0.05-0.10"] == counts["ssc_mg_l", "10-50"]
    assert counts["red", ">0.10"] == [23, 3, 1, 0, 6, 7]  # row 5 too, whose sediment is unknown
    assert counts["all", "all"] == [34, 5, 1, 2, 6, 12]
    without_terrain = tuple(mask for mask in Mask if mask is not Mask.TERRAIN_SHADOW)
    relaxed = dict(zip(CLASSES, count_losses(chip, found, chip.labels, without_terrain).tolist(), strict=True))
    assert relaxed["all", "all"] == [40, 15, 1, 2, 0, 12]  # row 7 counts now, and terrain shadow takes nothing


def test_loss_table_adds_up(simulated):
    rng = np.random.default_rng(3)
    by_scene = {}
    for chip in simulated:
        found = rng.random(chip.labels.shape) < 0.2
        found[Mask.WATER] |= chip.labels[Mask.WATER] == 1
        by_scene[chip.scene] = count_losses(chip, found, chip.labels)
    table = loss_table(by_scene, n=200, seed=0)
    assert table["lost"].to_numpy() == pytest.approx(table[list(CAUSES)].sum(axis=1).to_numpy())
    several = table[table["scenes"] > 2]
    assert ((several["lost_lo"] <= several["lost"]) & (several["lost"] <= several["lost_hi"])).all()
    by = table.set_index(["by", "class"])["clear_px"]
    scenes = [scene(7, 256, weather, platform) for weather, platform in zip(WEATHERS, PLATFORMS, strict=True)]
    truth = sum(clear_water(each.masks)[INSIDE].sum() for each in scenes)
    assert by["all", "all"] == truth
    assert by["ssc_mg_l"].sum() == truth
    assert by["red"].sum() <= truth
    assert loss_table({}, n=10, seed=0).empty


# The evaluation


@pytest.fixture(scope="module")
def done(simulated, tmp_path_factory):
    """One evaluation of simulated chips, and two made ones without Fmask and sediment."""
    made = [flat_chip(SIZE, scene=f"m{i}") for i in range(2)]
    made[1].labels[Mask.TERRAIN_SHADOW] = UNKNOWN
    out, heard, answers = tmp_path_factory.mktemp("scores"), [], []
    report = evaluate(
        {"truth": truth_teller, "bright": brightness},
        Listed(simulated + made),
        out=out,
        seed=5,
        report=heard.append,
        options=Options(resamples=100, pictures=3, listener=lambda *told: answers.append(told)),
    )
    return report, out, heard, answers


def row(table, source, masker, mask):
    return table.set_index(["source", "masker", "mask"]).loc[(source, masker, mask)]


def test_scores_equal_pixels_counted_one_masker_at_a_time(done, simulated):
    report = done[0]
    for name in ("mndwi", "legacy-dswx", "fmask"):
        tp = fp = fn = 0
        for chip in simulated:
            answer = legacy(name)(chip)[Mask.WATER]
            known = np.isfinite(answer) & (chip.labels[Mask.WATER] != UNKNOWN)
            found, there = answer[known] == 1, chip.labels[Mask.WATER][known] == 1
            tp, fp, fn = tp + (found & there).sum(), fp + (found & ~there).sum(), fn + (~found & there).sum()
        water = row(report.scores, "simulated", name, "water")
        assert water["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
        assert water["precision"] == pytest.approx(tp / (tp + fp))
        assert (water["chips"], water["scenes"]) == (4, 4)
        assert water["f1_lo"] <= water["f1"] <= water["f1_hi"]


def test_who_tells_the_truth_scores_one_and_loses_nothing(done):
    report = done[0]
    told = report.scores[(report.scores["masker"] == "truth") & (report.scores["support"] > 0)]
    assert {*NAMES, "clear_water"} == set(told["mask"])
    assert (told[["precision", "recall", "f1", "iou", "accuracy"]] == 1).all(axis=None)
    assert (report.losses.loc[report.losses["masker"] == "truth", "lost"] == 0).all()


def test_masks_a_masker_tells_nothing_of_are_not_scored(done):
    report = done[0]
    assert row(report.scores, "simulated", "mndwi", "cloud")["pixels"] == 0
    assert row(report.scores, "simulated", "fmask", "terrain_shadow")["pixels"] == 0
    assert np.isnan(row(report.scores, "simulated", "mndwi", "cloud")["f1"])
    assert row(report.scores, "simulated", "mndwi", "clear_water")["pixels"] > 0  # the pipeline would take its water


def test_all_is_every_source_together_and_common_what_everyone_judged(done):
    report = done[0]
    assert row(report.scores, "all", "truth", "water")["chips"] == 6
    assert row(report.scores, "all", "fmask", "water")["chips"] == 4
    assert "fmask" not in set(report.scores.loc[report.scores["source"] == "made", "masker"])
    for name in ("truth", "fmask"):
        common, simulated = (row(report.scores, which, name, "cloud") for which in ("common", "simulated"))
        assert common.equals(simulated)
    whole = row(report.scores, "all", "mndwi", "water")
    parts = [row(report.scores, source, "mndwi", "water") for source in ("simulated", "made")]
    assert whole["pixels"] == sum(part["pixels"] for part in parts)
    assert whole["scenes"] == 6


def test_clear_water_counts_where_every_needed_mask_is_labelled(done):
    report = done[0]
    assert row(report.scores, "made", "truth", "water")["pixels"] == 2 * SIZE**2
    assert row(report.scores, "made", "truth", "clear_water")["pixels"] == SIZE**2


def test_needed_masks_may_be_named_by_source(tmp_path):
    chips = Listed([flat_chip(8)])
    chips[0].labels[Mask.TERRAIN_SHADOW] = UNKNOWN
    tables = {}
    for needed in ({}, {"made": tuple(Mask)[:4]}):
        options = Options(baselines=(), resamples=10, pictures=0, needed=needed)
        tables[len(needed)] = evaluate({"dull": brightness}, chips, out=tmp_path, seed=0, options=options)
    assert row(tables[0].scores, "made", "dull", "clear_water")["pixels"] == 0
    assert tables[0].losses.empty
    assert row(tables[1].scores, "made", "dull", "clear_water")["pixels"] == 64
    assert len(tables[1].losses) > 0
    text = (tmp_path / "scores.md").read_text()
    assert "No clear water is counted" not in text
    assert "made: real, 1 chips" in text


def test_the_reader_is_told_of_sources_without_clear_water(tmp_path):
    chips = Listed([flat_chip(8)])
    chips[0].labels[Mask.TERRAIN_SHADOW] = UNKNOWN
    evaluate({"dull": brightness}, chips, out=tmp_path, seed=0, options=Options(baselines=(), resamples=10, pictures=0))
    assert "No clear water is counted in made" in (tmp_path / "scores.md").read_text()


def test_progress_and_every_answer_are_told(done):
    heard, answers = done[2:]
    assert [told["done"] for told in heard] == [1, 2, 3, 4, 5, 6]
    assert {told["total"] for told in heard} == {6}
    assert len(answers) == 6 * 3 + 4 * 2  # the index and both functions everywhere, the other two where Fmask is
    assert {name for name, *_ in answers} == {"truth", "bright", *BASELINES}


def test_files_are_readable_and_agree(done):
    report, out, *_ = done
    assert {path.name for path in out.iterdir()} == {path.name for path in report.files.values()}
    table = pd.read_csv(report.files["scores_csv"])
    assert len(table) == len(report.scores)
    assert table["f1"].to_numpy() == pytest.approx(report.scores["f1"].to_numpy(), rel=1e-5, nan_ok=True)
    losses = pd.read_csv(report.files["turbid_loss_csv"])
    assert losses["clear_px"].tolist() == report.losses["clear_px"].tolist()
    curves = pd.read_csv(report.files["reliability_csv"])
    assert set(curves["masker"]) == {"truth", "bright"}  # answers of 0 and 1 have no curve
    record = json.loads(report.files["json"].read_text())
    assert record["seed"] == 5
    assert record["chips"] == 6
    assert record["sources"]["simulated"] == {
        "chips": 4,
        "scenes": 4,
        "regions": 4,
        "simulated": True,
        "needed_for_clear_water": list(NAMES),
    }
    assert record["maskers"]["fmask"]["chips"] == 4
    assert record["maskers"]["truth"]["thresholds_from"] == "default 0.5"
    assert len(record["scores"]) == len(table)
    assert record["expected_calibration_error"]["truth"]["water"] == pytest.approx(0.25, abs=0.001)


def test_markdown_table_shows_every_masker(done):
    report = done[0]
    text = report.files["markdown"].read_text()
    water = text.split("## water, simulated (simulated)")[1].split("##")[0]
    for name in ("truth", "bright", *BASELINES):
        assert f"| {name} |" in water
    assert f"{100 * row(report.scores, 'simulated', 'mndwi', 'water')['f1']:.1f}" in water
    assert "seed 5" in text
    lines = [line for line in water.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1


def test_pictures_show_the_chips_and_the_legend(done):
    report = done[0]
    with Image.open(report.files["samples_png"]) as picture:
        picture.load()
        colours = {tuple(colour) for colour in np.asarray(picture.convert("RGB")).reshape(-1, 3)}
    assert {(0x00, 0x72, 0xB2), (0xF0, 0xE4, 0x42), (0x4A, 0x50, 0x58)} <= colours  # water, cloud, unknown
    with Image.open(report.files["reliability_png"]) as picture:
        picture.load()
        assert picture.width > picture.height


def test_the_same_seed_gives_the_same_bytes(simulated, tmp_path):
    options = Options(baselines=("mndwi",), resamples=20, pictures=1)
    for name in ("a", "b"):
        evaluate({}, Listed(simulated[:2]), out=tmp_path / name, seed=1, options=options)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


# Thresholds


def test_thresholds_are_refitted_on_other_chips(simulated, tmp_path):
    val, test = Listed(simulated[:1]), Listed(simulated[1:2])
    card = ChipMasker(answer=brightness, tasks=(Mask.WATER, Mask.CLOUD), thresholds=np.full(5, 0.9))
    options = Options(baselines=("mndwi",), resamples=10, pictures=0)
    plain = evaluate({"bright": card}, test, out=tmp_path / "a", seed=0, options=options)
    refitted = evaluate({"bright": card}, test, out=tmp_path / "b", seed=0, refit_on=val, options=options)
    assert (plain.thresholds["bright"] == 0.9).all()
    assert refitted.facts["maskers"]["bright"]["thresholds_from"] == "refitted"
    assert refitted.facts["maskers"]["mndwi"]["thresholds_from"] == "answers are 0 or 1"
    assert plain.facts["maskers"]["bright"]["thresholds_from"] == "card"
    chosen = refitted.thresholds["bright"][Mask.CLOUD]
    answer, label = brightness(val[0])[Mask.CLOUD], val[0].labels[Mask.CLOUD]
    known = np.isfinite(answer) & (label != UNKNOWN)

    def f1(threshold):
        found, there = answer[known] > np.float32(threshold), label[known] == 1
        return 2 * (found & there).sum() / (found.sum() + there.sum())

    assert f1(chosen) == max(f1(k / 1000) for k in range(1, 1000))
    untold = [Mask.CLOUD_SHADOW, Mask.SNOW_ICE, Mask.TERRAIN_SHADOW]
    assert (refitted.thresholds["bright"][untold] == 0.9).all()


def test_a_threshold_stays_where_the_other_chips_have_nothing_of_the_kind(simulated, tmp_path):
    card = ChipMasker(answer=brightness, thresholds=np.full(5, 0.9))
    options = Options(baselines=(), resamples=10, pictures=0)
    report = evaluate(
        {"bright": card}, Listed(simulated[:1]), out=tmp_path, seed=0, refit_on=Listed([flat_chip()]), options=options
    )
    assert report.thresholds["bright"][Mask.WATER] != 0.9
    assert (report.thresholds["bright"][Mask.CLOUD :] == 0.9).all()


def test_thresholds_are_not_chosen_on_what_is_scored(simulated, tmp_path):
    with pytest.raises(InputError, match="simulated basin s0"):
        evaluate({}, Listed(simulated), out=tmp_path, seed=0, refit_on=Listed(simulated[:1]))


def test_no_chips_no_scores(tmp_path):
    with pytest.raises(InputError, match="found no chips"):
        evaluate({}, Listed([]), out=tmp_path, seed=0)


def test_no_data_never_counts(simulated, tmp_path):
    chip = simulated[0]
    blind = chip.reflectance.copy()
    blind[3, 40:60] = np.nan  # one band is enough
    options = Options(resamples=10, pictures=0)
    whole = evaluate({}, Listed([chip]), out=tmp_path / "a", seed=0, options=options)
    holed = Chip(**{name: getattr(chip, name) for name in chip.__slots__} | {"reflectance": blind})
    part = evaluate({}, Listed([holed]), out=tmp_path / "b", seed=0, options=options)
    for name in BASELINES:
        before, after = (row(table.scores, "simulated", name, "water")["pixels"] for table in (whole, part))
        assert before - after == np.isfinite(legacy(name)(chip)[0, 40:60]).sum() == 20 * SIZE


def test_a_folder_of_chips_gives_what_chips_in_memory_give(simulated, tmp_path):
    rounded = []
    with ChipWriter(tmp_path / "chips", size=SIZE, made_by="a test") as out:
        for chip in simulated[:2]:
            stored = np.round(chip.reflectance, 4).astype(np.float32)
            rounded.append(Chip(**{name: getattr(chip, name) for name in chip.__slots__} | {"reflectance": stored}))
            out.add(rounded[-1], split="test")
    options = Options(resamples=10, pictures=0)
    folder = evaluate({}, ChipFolder(tmp_path / "chips").split("test"), out=tmp_path / "a", seed=0, options=options)
    memory = evaluate({}, Listed(rounded), out=tmp_path / "b", seed=0, options=options)
    pd.testing.assert_frame_equal(folder.scores, memory.scores)
    assert folder.losses["clear_px"].sum() > 0
