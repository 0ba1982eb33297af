"""The experiment with several sensors: tables against hand counts, the sensor nobody trained on, all of it in small."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from models.cards import read_card
from models.chip_writer import ChipWriter
from models.chips import Chip, ChipFolder
from models.masker import load_masker
from models.packing import UNKNOWN
from models.scores import NAMES, Confusion
from ssc.bands import CODES, RESPONSES, SIX, Band, Level, Product, Response, Sensor
from ssc.errors import InputError
from ssc.masks import Mask
from tasks.experiments.sensor_chips import Basins, of_product, views_of
from tasks.experiments.sensor_exams import SHARED, kind_of, real_exams, sensor_exams, some
from tasks.experiments.sensor_figures import draw_leave_one_out, draw_subsets, draw_windows
from tasks.experiments.sensor_plan import Plan, length
from tasks.experiments.sensor_scores import (
    CELLS,
    Notes,
    f1_there,
    mean_f1,
    open_judge,
    random_subsets,
    score_table,
    windows_by_cover,
    windows_differences,
)
from tasks.experiments.sensor_tables import markdown
from tasks.experiments.sensors import _on_real_water, run
from tasks.experiments.tm_like import CEILINGS, GAINS, NOISE, TmLike, broad_bands, quantised, shares, tm_like

S30 = tuple(CODES[Product.S30])
TRAINED = ("S30", "L30", "both")
EXAMS = ("S30", "L30")


# The table of the slides


def counts_of(cells) -> pd.DataFrame:
    """Saved counts, of CELLS in each scene by (tested on, trained on, mask); elsewhere ten of each in one scene."""
    rows = []
    for exam in EXAMS:
        for trained in TRAINED:
            for mask in NAMES:
                for number, four in enumerate(cells.get((exam, trained, mask), [(10, 10, 10, 10)])):
                    facts = {"tested_on": exam, "trained_on": trained, "scene": f"s{number}", "mask": mask}
                    rows.append(facts | dict(zip(CELLS, four, strict=True)))
    return pd.DataFrame(rows)


def test_the_table_of_the_slides_comes_out_of_saved_counts(tmp_path):
    cells = {
        ("S30", "S30", "cloud"): [(30, 10, 20, 40), (50, 0, 10, 40)],
        ("S30", "L30", "cloud"): [(40, 0, 60, 100)],
        ("S30", "both", "cloud"): [(0, 5, 0, 95)],
        ("S30", "both", "water"): [(0, 0, 0, 7)],
    }
    counts_of(cells).to_csv(tmp_path / "counts.csv", index=False)
    table = score_table(pd.read_csv(tmp_path / "counts.csv"), resamples=20)
    assert table["mask"].unique().tolist() == ["cloud", "water", "cloud_shadow", "snow_ice", "terrain_shadow"]
    cloud = table[(table["mask"] == "cloud") & (table["tested_on"] == "S30")]
    assert cloud["trained_on"].tolist() == ["S30", "L30", "both"]
    rows = cloud.set_index("trained_on")[["accuracy", "f1", "precision", "recall"]]
    assert rows.loc["S30"].tolist() == pytest.approx([160 / 200, 160 / 200, 80 / 90, 80 / 110])
    assert rows.loc["L30"].tolist() == pytest.approx([140 / 200, 80 / 140, 1.0, 0.4])
    assert rows.loc["both"].tolist() == pytest.approx([0.95, 0.0, 0.0, np.nan], nan_ok=True)
    water = table[(table["mask"] == "water") & (table["trained_on"] == "both") & (table["tested_on"] == "S30")].iloc[0]
    assert np.isnan(water[["f1", "precision", "recall"]].astype(float)).all()
    assert (water["accuracy"], water["pixels"], water["support"]) == (1.0, 7, 0)


def test_the_order_of_rows_in_the_file_of_counts_does_not_matter_to_a_score():
    counts = counts_of({("L30", "both", "cloud"): [(1, 2, 3, 4), (5, 6, 7, 8), (9, 1, 2, 3)]})
    key = ["mask", "tested_on", "trained_on"]
    one, two = (
        score_table(table, resamples=1).set_index(key).sort_index()[["f1", "pixels"]]
        for table in (counts, counts.sample(frac=1, random_state=3))
    )
    pd.testing.assert_frame_equal(one, two)
    assert one.loc[("cloud", "L30", "both"), "f1"] == pytest.approx(2 * 15 / (2 * 15 + 9 + 12))


def test_the_published_rows_are_harmonic_means_and_ours_are_in_the_same_place():
    cells = {("S30", "S30", "cloud"): [(791, 209, 172, 8828)]}  # precision 79.1, recall 82.1
    scores = score_table(counts_of(cells), resamples=1)
    text = markdown(scores, kind="simulated", about=["a"])
    lines = text.splitlines()
    first = lines.index("## Clouds, tested on S30 (simulated)")
    assert lines[first + 2] == "| trained on | Accuracy % | F1 % | 90 % | Precision % | Recall % |"
    assert lines[first + 4] == "| S30 | 96.2 | 80.6 | - | 79.1 | 82.1 |"  # F1 as in the published table
    assert [line.split(" | ")[0] for line in lines[first + 4 : first + 7]] == ["| S30", "| L30", "| both"]
    assert all("simulated" in line for line in lines if line.startswith("#"))


# Windows


def chip_of(scene, cloud_rows, size=128, product=Product.S30, bands=S30, seed=0) -> Chip:
    labels = np.zeros((5, size, size), np.uint8)
    labels[Mask.CLOUD, :cloud_rows] = 1
    light = np.random.default_rng(seed).uniform(0, 0.4, (len(bands), size, size)).astype(np.float32)
    own = CODES[product]
    light[[place for place, band in enumerate(bands) if band not in own]] = np.nan
    facts = {"source": "made", "region": scene, "scene": scene, "simulated": True}
    return Chip(bands=bands, reflectance=light, labels=labels, product=product, **facts)


def answer_of(rows_called, size=128) -> np.ndarray:
    answer = np.zeros((5, size, size), np.float32)
    answer[Mask.CLOUD, :rows_called] = 0.9
    return answer


def notes_of(answers) -> Notes:
    """Of (scene, rows of cloud, rows called cloud) per chip."""
    notes = Notes()
    for place, (scene, cloud, called) in enumerate(answers):
        notes.add(chip_of(scene, cloud), answer_of(called), np.full(5, 0.5), place)
    return notes


@pytest.fixture(scope="module")
def windows():
    """Three chips of two scenes: no cloud, half covered, half covered."""
    seen = {
        "S30": notes_of([("a", 0, 0), ("a", 64, 32), ("b", 64, 32)]),
        "L30": notes_of([("a", 0, 0), ("a", 64, 0), ("b", 64, 0)]),
        "both": notes_of([("a", 0, 16), ("a", 64, 64), ("b", 64, 48)]),
    }
    notes = {("S30", name): of for name, of in seen.items()}
    return windows_by_cover(notes), windows_differences(notes, [("both", "S30"), ("both", "L30")], seed=0)


def cloud_line(table, metric, **chosen):
    rows = table[(table["mask"] == "CLOUD") & (table["metric"] == metric)]
    for name, value in chosen.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_windows_without_cloud_have_no_f1_and_say_so(windows):
    cover, _ = windows
    clear = cloud_line(cover, "f1", trained_on="S30", cover_from=0.0)
    assert np.isnan(clear["mean"])
    assert (clear["defined"], clear["windows"]) == (0, 1)
    assert cloud_line(cover, "f1", trained_on="both", cover_from=0.0)["mean"] == 0  # it called some: defined, and wrong
    half = cloud_line(cover, "f1", trained_on="S30", cover_from=0.4)
    assert half["mean"] == pytest.approx(2 / 3)
    assert (half["defined"], half["windows"]) == (2, 2)
    assert np.isnan(cloud_line(cover, "precision", trained_on="L30", cover_from=0.4)["mean"])


def test_differences_pair_the_same_windows_and_are_both_minus_the_other(windows):
    _, gaps = windows
    half = cloud_line(gaps, "f1", minus="S30", cover_from=0.4)
    assert half["difference"] == pytest.approx(((1 - 2 / 3) + (6 / 7 - 2 / 3)) / 2)
    assert (half["pairs"], half["scenes"], half["trained_on"]) == (2, 2, "both")
    assert half["low"] == pytest.approx(6 / 7 - 2 / 3)
    assert half["high"] == pytest.approx(1 - 2 / 3)
    clear = cloud_line(gaps, "f1", minus="S30", cover_from=0.0, cover_to=0.01)
    assert (clear["pairs"], clear["difference"]) == (0, pytest.approx(np.nan, nan_ok=True))
    accuracy = cloud_line(gaps, "accuracy", minus="S30", cover_from=0.0, cover_to=0.01)
    assert accuracy["difference"] == pytest.approx(-16 / 128)
    assert cloud_line(gaps, "precision", minus="L30", cover_from=0.4)["pairs"] == 0


def test_chips_of_one_scene_are_counted_together_and_their_windows_apart():
    notes = notes_of([("a", 0, 0), ("a", 64, 32), ("b", 64, 32)])
    cloud = notes.counts().query("mask == 'cloud'").set_index("scene")
    assert cloud.loc["a", list(CELLS)].tolist() == [32 * 128, 0, 32 * 128, 192 * 128]
    assert len(notes.every_window().query("mask == 'CLOUD'")) == 3


def test_pixels_without_an_answer_count_nowhere():
    notes, answer = Notes(), answer_of(0)
    answer[:, :, :100] = np.nan
    notes.add(chip_of("a", 128), answer, np.full(5, 0.5), 0)
    assert notes.counts()[list(CELLS)].to_numpy().sum(axis=1).tolist() == [28 * 128] * 5
    assert notes.tally.counts.sum() == 5 * 28 * 128
    assert notes.every_window().empty  # less than half of the window


# The sensor nobody trained on


def flat(**values) -> np.ndarray:
    """(13, 2, 2) of one number per band, 0 where not named."""
    light = np.zeros((len(S30), 2, 2), np.float32)
    for name, value in values.items():
        light[S30.index(Band(name))] = value
    return light


def test_a_broad_band_is_made_of_what_lies_in_it_by_width():
    broad = Response(low_nm=760, centre_nm=830, high_nm=900)
    parts = {
        Band.RED_EDGE2: Response(low_nm=730, centre_nm=740, high_nm=750),  # outside
        Band.RED_EDGE3: Response(low_nm=750, centre_nm=770, high_nm=780),  # 20 nm of it
        Band.NIR: Response(low_nm=850, centre_nm=860, high_nm=880),  # 30 nm
        Band.NIR_BROAD: Response(low_nm=750, centre_nm=835, high_nm=910),  # 140 nm
        Band.CIRRUS: Response(low_nm=770, centre_nm=800, high_nm=850, level=Level.TOP),  # not of the ground
    }
    found = shares(broad, parts)
    assert found == {Band.RED_EDGE3: 20 / 190, Band.NIR: 30 / 190, Band.NIR_BROAD: 140 / 190}


def test_averages_are_those_of_the_table_of_responses():
    def overlap(band, wanted):
        one, two = RESPONSES[Sensor.MSI][band], RESPONSES[Sensor.TM][wanted]
        return min(one.high_nm, two.high_nm) - max(one.low_nm, two.low_nm)

    light = flat(coastal=0.10, blue=0.20, green=0.30, red=0.07, red_edge3=0.40, nir_broad=0.50, nir=0.60, swir1=0.25)
    found = dict(zip(SIX, broad_bands(light, S30)[:, 0, 0].tolist(), strict=True))
    nir = {Band.RED_EDGE3: 0.40, Band.NIR_BROAD: 0.50, Band.NIR: 0.60}
    width = {band: overlap(band, Band.NIR) for band in nir}
    assert found[Band.NIR] == pytest.approx(sum(nir[b] * width[b] for b in nir) / sum(width.values()), abs=1e-6)
    assert (found[Band.RED], found[Band.SWIR1], found[Band.SWIR2]) == pytest.approx((0.07, 0.25, 0.0))
    blue, coastal = overlap(Band.BLUE, Band.BLUE), overlap(Band.COASTAL, Band.BLUE)
    assert 0 < coastal < blue
    assert found[Band.BLUE] == pytest.approx((0.2 * blue + 0.1 * coastal) / (blue + coastal), abs=1e-6)
    assert 0.2 < found[Band.GREEN] < 0.3


def test_bands_may_come_in_any_order_and_must_all_be_there():
    light, order = flat(blue=0.2, green=0.1, nir=0.5), np.random.default_rng(0).permutation(len(S30))
    shuffled = broad_bands(light[order], [S30[place] for place in order])
    assert np.array_equal(shuffled, broad_bands(light, S30))
    with pytest.raises(InputError, match="TM-like blue: no band coastal"):
        broad_bands(light[:6], SIX)


def test_eight_bits_are_255_steps_up_to_saturation():
    ceiling = CEILINGS[0]
    light = np.linspace(-0.1, 1, 4000, dtype=np.float32).reshape(1, 1, -1).repeat(6, axis=0)
    light[:, 0, 7] = np.nan
    found = quantised(light)
    blue = found[0, 0]
    assert np.isnan(found[:, 0, 7]).all()
    assert np.isnan(found).sum() == 6
    assert len(np.unique(blue[np.isfinite(blue)])) == 256
    assert np.nanmin(blue) == 0
    assert np.nanmax(blue) == pytest.approx(ceiling)
    inside = (light[0, 0] > 0) & (light[0, 0] < ceiling)
    assert np.abs(blue - light[0, 0])[inside].max() <= ceiling / 255 / 2 * 1.001


def test_gains_and_noise_are_those_stated():
    light = np.full((len(S30), 200, 200), 0.2, np.float32)
    light[:, 0, 0] = np.nan
    found = tm_like(light, S30, np.random.default_rng(0))
    assert np.isnan(found[:, 0, 0]).all()
    assert np.isfinite(found).sum() == 6 * (200 * 200 - 1)
    steps = np.array(CEILINGS) / 255
    assert np.nanmean(found, axis=(1, 2)) == pytest.approx(0.2 * np.array(GAINS), abs=2e-4)
    assert np.nanstd(found, axis=(1, 2)) == pytest.approx(np.hypot(NOISE, steps / np.sqrt(12)), rel=0.03)


def test_tm_like_chips_keep_their_labels_and_have_noise_of_their_own():
    class Two:
        bands = S30
        index = pd.DataFrame({"source": ["made"] * 2, "simulated": [True] * 2})

        def __len__(self):
            return 2

        def __getitem__(self, place):
            return chip_of("a", 3, size=16)

    chips = TmLike(Two(), seed=4)
    first, second = chips[0], chips[1]
    assert (len(chips), first.bands, first.source) == (2, SIX, "simulated TM-like")
    assert np.array_equal(first.labels, chip_of("a", 3, size=16).labels)
    assert np.array_equal(first.reflectance, chips[0].reflectance)
    assert not np.array_equal(first.reflectance, second.reflectance)
    assert not np.array_equal(first.reflectance, TmLike(Two(), seed=5)[0].reflectance)


# Chips and tests


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six chips with all bands: one of each product in each split."""
    out = tmp_path_factory.mktemp("chips") / "mixed"
    with ChipWriter(out, bands=tuple(Band), size=64) as writer:
        for number, split in enumerate(("train", "val", "test")):
            for product in Product:
                chip = chip_of(f"{number} {product}", 9, size=64, product=product, bands=tuple(Band), seed=number)
                writer.add(chip, split=split)
    return out


def test_a_view_shows_the_chips_of_one_sensor_and_copies_no_pixels(folder, tmp_path):
    for again in range(2):
        view = ChipFolder(of_product(folder, Product.S30, tmp_path / "view"))
        assert (view.folder / "reflectance.npy").is_symlink(), again
    for split in ("train", "val", "test"):
        held = view.split(split)
        assert held.index["product"].tolist() == ["S30"]
        wanted = ChipFolder(folder).split(split)[1]
        assert np.array_equal(held[0].reflectance, wanted.reflectance, equal_nan=True)
    assert len(ChipFolder(folder).split("train")) == 2  # what is behind it is as it was


def test_a_folder_of_one_sensor_alone_serves_that_sensor(folder, tmp_path):
    only_l30 = of_product(folder, Product.L30, tmp_path / "l30")
    both = [views_of([folder, only_l30], product, tmp_path / "views") for product in (Product.S30, Product.L30)]
    assert [[Path(view).name for view in views] for views in both] == [["S30-0"], ["L30-0", "L30-1"]]
    with pytest.raises(InputError, match="no S30 chips of the split train"):
        views_of([only_l30], Product.S30, tmp_path / "others")


def test_tests_give_each_sensor_its_own_bands_and_descriptors(folder):
    parts = [ChipFolder(folder).split("test")]
    exams = {exam.name: exam for exam in sensor_exams(parts, seed=0)}
    assert {name: (len(exam.bands), exam.sensor) for name, exam in exams.items()} == {
        "S30": (13, Sensor.MSI),
        "S30, the bands of L30": (8, Sensor.MSI),
        "S30, six bands": (6, Sensor.MSI),
        "L30": (8, Sensor.OLI),
        "L30, six bands": (6, Sensor.OLI),
        "TM-like": (6, Sensor.TM),
    }
    assert set(SHARED) == set(CODES[Product.L30])
    for exam in exams.values():
        chip = exam.chips[0]
        assert np.isfinite(chip.reflectance[[chip.bands.index(band) for band in exam.bands]]).all(), exam.name
        assert len(exam.chips) == 1
    assert kind_of(parts) == "simulated"
    assert len(some(exams["S30"], 5).chips) == 1


def test_chips_without_all_bands_cannot_be_test_chips(tmp_path):
    with ChipWriter(tmp_path / "six", bands=SIX, size=64) as writer:
        for product in Product:
            writer.add(chip_of("a", 9, size=64, product=product, bands=SIX), split="test")
    with pytest.raises(InputError, match=r"no band coastal red_edge1 .*wanted chips made with all bands"):
        sensor_exams([ChipFolder(tmp_path / "six").split("test")], seed=0)


def test_real_river_chips_for_tests_are_those_kept_for_tests(shared):
    seven, six = real_exams(shared / "data" / "hls_l30_river_chips")
    assert (len(seven.bands), len(six.bands)) == (7, 6)
    numbers = [int(chip.scene.split()[-1]) for chip in seven.chips]
    assert numbers
    assert all(number % 5 == 1 for number in numbers)
    assert all(not chip.simulated and (chip.labels[Mask.WATER] != UNKNOWN).any() for chip in seven.chips)
    assert all(np.isfinite(chip.reflectance[0]).any() for chip in seven.chips)  # coastal


def test_a_mask_that_is_nowhere_has_no_f1_in_a_sweep():
    counts = np.array([[6, 2, 2, 0], [0, 3, 0, 7], [1, 0, 1, 8], [0, 0, 0, 10], [0, 0, 5, 5]])
    found = Confusion(counts=counts)
    assert f1_there(found) == pytest.approx([0.75, np.nan, 2 / 3, np.nan, 0.0], nan_ok=True)
    assert mean_f1(found) == pytest.approx((0.75 + 2 / 3 + 0) / 3)
    assert np.isnan(mean_f1(Confusion(counts=counts[[1, 3]])))


def test_subsets_are_different_of_each_size_and_in_the_order_of_the_bands():
    found = random_subsets(S30, 4, 3, seed=0)
    sizes = pd.Series([len(subset) for subset in found]).value_counts().to_dict()
    assert sizes == {**dict.fromkeys(range(3, 13), 4), 13: 1}
    assert len(set(found)) == len(found)
    assert all(list(subset) == sorted(subset, key=S30.index) for subset in found)
    assert found == random_subsets(S30, 4, 3, seed=0) != random_subsets(S30, 4, 3, seed=1)


# Figures


def colours_in(path) -> set[int]:
    picture = np.asarray(Image.open(path).convert("RGB"), np.int64)
    assert min(picture.shape[:2]) > 300
    return set(np.unique(picture @ [0x10000, 0x100, 1]).tolist())


LINES = {0xC04A00, 0x0072B2, 0x00755A}
"""Of S30, L30 and both."""


def test_windows_are_drawn_for_every_training(windows, tmp_path):
    path = draw_windows(tmp_path / "w.png", *windows, kind="simulated", tested_on="S30", pair=("both", "S30"), side=128)
    assert colours_in(path) >= LINES


def test_sweeps_are_drawn_for_every_training(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"tested_on": exam, "trained_on": trained, "bands": bands, "random": draw < 3, "chips": 40}
        | {"mean_f1": rng.uniform(0.4, 0.9)}
        for exam in EXAMS
        for trained in TRAINED
        for bands in range(3, 9)
        for draw in range(3 + (bands == 6))
    ]
    path = draw_subsets(tmp_path / "s.png", pd.DataFrame(rows), kind="simulated")
    assert colours_in(path) >= LINES
    lost = [
        {"tested_on": exam, "trained_on": trained, "missing": band.value, "mask": mask, "chips": 40}
        | {"drop": np.nan if mask == "snow_ice" else rng.normal(0, 0.05)}
        for exam in EXAMS
        for trained in TRAINED
        for band in CODES[Product(exam)]
        for mask in NAMES
    ]
    draw_leave_one_out(tmp_path / "l.png", pd.DataFrame(lost), kind="simulated", trained_on="both")
    assert len(colours_in(tmp_path / "l.png")) > 20


# All of it, in small


TINY = Plan(
    basins=Basins(train=1, val=1, test=1, first=55, size=64, land=128, passes=4),
    levels=2,
    width=8,
    detail=8,
    steps=2,
    epochs=1,
    batch_size=2,
    crop=32,
    val_chips=4,
    permutational=True,
    fixed=True,
    draws=1,
    fewest=12,
    sweep_chips=1,
    resamples=20,
    device="cpu",
    precision="fp32",
    processes=1,
)
TABLES = ("counts", "sensors", "windows", "windows_differences", "calibration", "subsets", "leave_one_out")
FIGURES = ("windows", "subsets", "leave_one_out")
ABLATIONS = ("both, published layer", "both, six bands only")


@pytest.fixture(scope="module")
def heard():
    return []


@pytest.fixture(scope="module")
def finished(tmp_path_factory, heard):
    """The folder of a run."""
    out = tmp_path_factory.mktemp("experiment")
    torch.set_num_threads(1)
    run(TINY, out, command="ssc masker train --experiment sensors", report=lambda *at: heard.append(at))
    return out


def test_a_run_leaves_tables_and_figures_that_say_simulated(finished):
    for name in TABLES:
        assert (pd.read_csv(finished / f"{name}.csv")["data"] == "simulated").all(), name
    for name in FIGURES:
        assert len(colours_in(finished / f"{name}.png")) > 20, name
    text = (finished / "sensors.md").read_text()
    assert all("simulated" in line for line in text.splitlines() if line.startswith("#"))
    assert "2 optimiser steps of 2 chips" in text


def test_the_table_is_what_the_saved_counts_say(finished):
    table = pd.read_csv(finished / "sensors.csv").drop(columns="data")
    again = score_table(pd.read_csv(finished / "counts.csv"), resamples=TINY.resamples, seed=TINY.seed)
    pd.testing.assert_frame_equal(table, again, rtol=1e-5)
    assert set(table["trained_on"]) == {*TRAINED, *ABLATIONS}
    pixels = table.groupby(["tested_on", "mask"])["pixels"].agg(["min", "max"])
    assert (pixels["min"] > 0).all()
    assert (pixels["min"] == pixels["max"]).all()  # all networks on the same pixels
    ours = table.query("mask == 'cloud' and tested_on == 'S30'")
    assert ours["trained_on"].tolist() == ["S30", "L30", *("both", *ABLATIONS)]


def test_trainings_differ_in_nothing_but_chips_and_first_layer(finished):
    summary = json.loads((finished / "summary.json").read_text())
    assert {of["steps"] for of in summary["trainings"].values()} == {2}
    assert summary["plan"]["basins"]["first"] == TINY.basins.first
    settings = {
        path.parent.name: json.loads(path.read_text()) for path in sorted(finished.glob("runs/*/settings.json"))
    }
    assert len(settings) == len(TRAINED) + len(ABLATIONS)
    chips = {name: [Path(folder).name for folder in of["chips"]] for name, of in settings.items()}
    assert chips["trained-on-s30"] == ["S30-0"]
    assert chips["trained-on-l30"] == ["L30-0"]
    assert chips["trained-on-both"] == chips["trained-on-both-six-bands-only"] == ["L30-0", "S30-0"]
    three = [settings[f"trained-on-{name.lower()}"] for name in TRAINED]
    rest = [{key: value for key, value in of.items() if key not in {"chips", "out"}} for of in three]
    assert rest[0] == rest[1] == rest[2]


def test_every_test_is_of_its_own_sensor(finished):
    counts = pd.read_csv(finished / "counts.csv")
    for exam, rows in counts.groupby("tested_on"):
        product = "HLS.L30" if exam.startswith("L30") else "HLS.S30"
        assert rows["scene"].str.startswith(product).all(), exam
    lost = pd.read_csv(finished / "leave_one_out.csv")
    assert lost.groupby("tested_on")["missing"].nunique().to_dict() == {"S30": 13, "L30": 8}
    assert set(lost["trained_on"]) == {*TRAINED, ABLATIONS[0]}  # the network for six bands cannot go without one
    subsets = pd.read_csv(finished / "subsets.csv")
    assert subsets.groupby("tested_on")["bands"].max().to_dict() == {"S30": 13, "L30": 8}
    assert (subsets["subset"].str.split().str.len() == subsets["bands"]).all()


def test_a_second_run_trains_nothing_and_says_the_same(finished, heard):
    weights = {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")}
    before = (finished / "sensors.csv").read_bytes()
    assert len(weights) == 3 * 5  # best, last and the masker's
    assert any("epoch" in stage for stage, *_ in heard)
    heard.clear()
    run(TINY, finished, command="again", report=lambda *at: heard.append(at))
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")} == weights
    assert heard
    assert not [stage for stage, *_ in heard if "epoch" in stage or "basins" in stage]
    assert (finished / "sensors.csv").read_bytes() == before


def test_a_folder_with_another_experiment_is_refused(finished):
    with pytest.raises(InputError, match="found chips of"):
        run(replace(TINY, basins=Basins(first=3)), finished, command="", report=print)
    with pytest.raises(InputError, match="began with lr"):
        run(replace(TINY, lr=0.1), finished, command="", report=lambda *_: None)


def test_real_water_is_told_apart_from_simulated(finished, shared, tmp_path):
    folder = finished / "runs" / "trained-on-both"
    card, weights = read_card(folder / "trained-on-both.json")
    judge = open_judge("both", card, weights, "cpu")
    plan = replace(TINY, river_chips=str(shared / "data" / "hls_l30_river_chips"))
    table = _on_real_water(plan, tmp_path, [judge], lambda *_: None)
    assert table["mask"].tolist() == ["water", "water"]
    assert table["tested_on"].tolist() == ["river chips, seven bands", "river chips, six bands"]
    assert (table["support"] > 100_000).all()
    assert (pd.read_csv(tmp_path / "river_chips.csv")["data"] == "real").all()
    text = markdown(pd.read_csv(finished / "sensors.csv"), kind="simulated", about=[], real=table)
    assert "## Water on real HLS L30 river chips kept for tests (real, noisy labels)" in text


def test_the_networks_are_maskers(finished):
    masker = load_masker(str(finished / "runs" / "trained-on-both" / "trained-on-both.json"))
    chip = chip_of("a", 9, size=64)
    assert masker(chip.reflectance, bands=S30, product=Product.S30).shape == (5, 64, 64)


@pytest.mark.parametrize(("steps", "epochs", "wanted"), [(12, 3, (3, 4)), (12, 1, (2, 6)), (1, 5, (1, 1))])
def test_trainings_are_as_long_as_the_sensor_with_fewer_chips_allows(tmp_path, steps, epochs, wanted):
    views = {}
    for product, count in ((Product.S30, 13), (Product.L30, 30)):
        with ChipWriter(tmp_path / product, bands=SIX, size=8) as writer:
            for _ in range(count):
                writer.add(chip_of("a", 1, size=8, product=product, bands=SIX), split="train")
        views[product] = (str(tmp_path / product),)
    plan = replace(TINY, steps=steps, epochs=epochs)
    assert length(plan, views) == wanted  # 13 chips fill 6 batches of two
