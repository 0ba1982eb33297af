"""The two published input conventions, number by number."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from goldenweights import integers
from models.published.preparation import prepare_chip, prepare_crop
from ssc.errors import InputError

CASES = [
    "nodata",
    "negative",
    "hot_pixel",
    "constant",
    "constant_plus_nodata",
    "all_nodata",
    "float_nan",
    "float_small_range",
    "int16_wrap",
]
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def golden(shared):
    return np.load(shared / "reference/golden/input_preparation.npz")


@pytest.fixture(scope="module")
def large():
    """A chip larger than the crop, with a hot pixel outside the crop and no data on both sides of its edge."""
    chip = integers("chip:large", (576, 576, 6), 100, 2900)
    chip[560, 570, 2] = 14000
    chip[:8, :8] = -9999
    chip[540:, :30] = -9999
    return chip


@pytest.mark.parametrize("case", CASES)
def test_small_chips_come_out_as_published(golden, case):
    chip = golden[f"{case}__chip"]
    for prepare, suffix in ((prepare_chip, "A"), (prepare_crop, "B")):
        found, wanted = prepare(chip), golden[f"{case}__{suffix}"]
        assert found.dtype == np.float32
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() <= TOLERANCE, suffix


def test_every_golden_case_is_judged(golden):
    assert {key.split("__")[0] for key in golden.files} == {*CASES, "large"}


def test_a_large_chip_is_scaled_whole_or_by_its_crop(shared, golden, large):
    facts = json.loads((shared / "reference/golden/input_preparation.json").read_text())["large"]
    assert hashlib.sha256(large.tobytes()).hexdigest() == facts["chip_sha256"]
    by_chip, by_crop = prepare_chip(large), prepare_crop(large[:512, :512])
    assert by_chip.shape == by_crop.shape == (6, 512, 512)
    assert np.abs(by_chip[:, 8::16, 8::16] - golden["large__A_sampled"]).max() <= TOLERANCE
    assert np.abs(by_crop[:, 8::16, 8::16] - golden["large__B_sampled"]).max() <= TOLERANCE
    assert by_crop.mean() / by_chip.mean() == pytest.approx(facts["ratio_mean_B_over_A"], rel=1e-5)


def test_the_wrap_of_int16_is_gone_in_float32(golden):
    """A known defect of the published chip-wise convention; the type of the chip decides."""
    chip = golden["int16_wrap__chip"]
    assert np.abs(prepare_chip(chip) - prepare_crop(chip)).max() == 1
    assert np.abs(prepare_chip(chip.astype(np.float32)) - prepare_crop(chip)).max() <= TOLERANCE


def test_another_crop_than_512(large):
    whole = prepare_chip(large, crop=576)
    part = prepare_chip(large, crop=100)
    assert part.shape == (6, 100, 100)
    assert np.abs(part - (whole[:, :100, :100] - whole[:, :100, :100].min())).max() <= TOLERANCE


def test_the_chip_is_left_as_it_was(large):
    before = large.copy()
    prepare_chip(large)
    prepare_crop(large)
    assert np.array_equal(large, before)


@pytest.mark.parametrize("shape", [(6, 64, 64), (64, 64), (64, 64, 7), (0, 64, 6)])
def test_an_image_without_six_bands_is_refused(shape):
    for prepare in (prepare_chip, prepare_crop):
        with pytest.raises(InputError, match=r"wanted \(H, W, 6\)"):
            prepare(np.zeros(shape, np.int16))
