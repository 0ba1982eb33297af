"""Changes of training chips: labels follow, light stays light, the same numbers give the same chip."""

from __future__ import annotations

import numpy as np
import pytest

from models.augment import MICROMETRES, Augment, augment, generator, window
from models.packing import UNKNOWN
from scenes import scene
from ssc.bands import SIX, Band

STILL = Augment.none()


def chip(size=64, seed=0):
    """Every pixel's first band is its own number; label 0 says whether it is even, label 1 is partly unknown."""
    rng = np.random.default_rng(seed)
    light = rng.random((6, size, size), dtype=np.float32)
    light[0] = np.arange(size * size, dtype=np.float32).reshape(size, size)
    labels = np.stack([light[0] % 2 == 0, light[1] > 0.5, light[2] > 0.5]).astype(np.uint8)
    labels[1, :, : size // 4] = UNKNOWN
    return light, labels


def only(**some):
    """Nothing but these changes."""
    still = {name: getattr(STILL, name) for name in STILL.__slots__}
    return Augment(**{**still, **some})


def changed(how, *, size=32, place=0, given=None):
    light, labels = given or chip()
    return augment(light, labels, SIX, generator(1, 2, place), how, size=size)


def test_the_same_numbers_give_the_same_chip():
    first, second = changed(Augment()), changed(Augment())
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True))
    seeds = [(1, 2, 3, 0), (1, 2, 3, 1), (1, 2, 4, 0), (1, 3, 3, 0), (2, 2, 3, 0)]
    assert len({generator(*seed).integers(2**63) for seed in seeds}) == len(seeds)


def test_nothing_given_is_written_to():
    light, labels = chip()
    before = light.copy(), labels.copy()
    for place in range(20):
        changed(Augment(edge=1.0, stripes=1.0), place=place, given=(light, labels), size=64)
    assert np.array_equal(light, before[0])
    assert np.array_equal(labels, before[1])


def test_crop_is_a_square_of_the_chip():
    light, labels = chip()
    corners = set()
    for place in range(40):
        found, marks = changed(STILL, place=place)
        row, column = divmod(int(found[0, 0, 0]), 64)
        corners.add((row, column))
        square = (slice(None), slice(row, row + 32), slice(column, column + 32))
        assert np.array_equal(found, light[square])
        assert np.array_equal(marks, labels[square])
    assert len(corners) > 30


def test_turns_carry_labels_along_all_eight_ways():
    light, labels = chip()
    ways = set()
    for place in range(100):
        found, marks = changed(only(turn=True), size=64, place=place)
        number = found[0].astype(int).ravel()
        assert np.array_equal(np.sort(number), np.arange(64 * 64))
        assert np.array_equal(marks.reshape(3, -1), labels.reshape(3, -1)[:, number])
        assert np.array_equal(found.reshape(6, -1), light.reshape(6, -1)[:, number])
        ways.add((number[0], number[1]))
    assert len(ways) == 8


def test_smaller_chips_are_filled_up_without_data():
    light, labels = chip(size=20)
    for place in range(10):
        found, marks = changed(STILL, size=32, place=place, given=(light, labels))
        inside = np.isfinite(found[0])
        assert inside.sum() == 400
        assert np.array_equal(found[:, inside].reshape(light.shape), light)
        assert (marks[:, ~inside] == UNKNOWN).all()
        assert np.array_equal(marks[:, inside].reshape(labels.shape), labels)


def zoomed(zoom, size):
    """Places whose chips are drawn at this zoom."""
    how = only(zoom=1.0)
    return [place for place in range(30) if window((64, 64), generator(1, 2, place), how, size=size).zoom == zoom]


def test_half_the_resolution_is_the_mean_of_four_and_a_clear_majority():
    light, labels = chip()
    places = zoomed(0.5, 16)
    assert 5 < len(places) < 25
    for place in places:
        cut = window((64, 64), generator(1, 2, place), only(zoom=1.0), size=16)
        source, truth = cut.of(light), cut.of(labels)
        found, marks = changed(only(zoom=1.0), size=16, place=place)
        for row, column in [(0, 0), (3, 7), (15, 15)]:
            block = (slice(None), slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
            assert found[:, row, column] == pytest.approx(source[block].mean(axis=(1, 2)), rel=1e-5)
            for mark, four in zip(marks[:, row, column], truth[block], strict=True):
                there = (four == 1).sum()
                unsure = (four == UNKNOWN).any() or there == 2
                assert mark == (UNKNOWN if unsure else there > 2)


def test_twice_the_resolution_keeps_ramps_and_repeats_labels():
    rows, columns = np.mgrid[:64, :64].astype(np.float32)
    light = np.stack([rows, columns, rows + columns, rows, columns, rows]) / 100
    labels = chip()[1]
    for place in zoomed(2.0, 32)[:5]:
        cut = window((64, 64), generator(1, 2, place), only(zoom=1.0), size=32)
        found, marks = changed(only(zoom=1.0), size=32, place=place, given=(light, labels))
        inner = found[:, 1:-1, 1:-1]
        assert np.allclose(np.diff(inner[0], axis=0), 0.005, atol=1e-5)
        assert np.allclose(np.diff(inner[1], axis=1), 0.005, atol=1e-5)
        blocks = found.reshape(6, 16, 2, 16, 2).mean(axis=(2, 4))[:, 1:-1, 1:-1]
        assert np.allclose(blocks, cut.of(light)[:, 1:-1, 1:-1], atol=1e-5)
        assert np.array_equal(marks, np.kron(cut.of(labels), np.ones((1, 2, 2), np.uint8)))


def test_a_pixel_without_data_has_no_labels():
    light, labels = chip()
    light[3, 10:20, 30] = np.nan
    for place in range(30):
        found, marks = changed(Augment(edge=0.5, stripes=0.5), size=32, place=place, given=(light, labels))
        lost = np.isnan(found).any(axis=0)
        assert (marks[:, lost] == UNKNOWN).all()
        assert found.dtype == np.float32
        assert marks.dtype == np.uint8
        assert found.flags.c_contiguous
        assert marks.flags.c_contiguous


@pytest.mark.parametrize(("kind", "least", "most"), [("edge", 0.001, 0.5), ("stripes", 0.01, 0.2)])
def test_lost_data_are_lost_in_all_bands_and_leave_most(kind, least, most):
    shares = []
    for place in range(60):
        found, _ = changed(only(**{kind: 1.0}), size=64, place=place)
        lost = np.isnan(found)
        assert (lost == lost[0]).all()
        shares.append(lost[0].mean())
    assert least < np.median(shares) < most
    assert max(shares) < 0.6
    if kind == "stripes":
        assert np.isin(lost[0].mean(axis=1), (0, 1)).all()


def test_gains_and_offsets_are_one_line_per_band():
    light, _ = chip()
    factors = []
    for place in range(200):
        found, _ = changed(only(gain=0.03, band_gain=0.02, band_offset=0.002), size=64, place=place)
        factor, offset = np.polyfit(light[1].ravel(), found[1].ravel(), 1)
        assert np.abs(found[1] - factor * light[1] - offset).max() < 1e-5
        assert abs(offset) < 0.01
        factors.append(factor)
    assert np.std(factors) == pytest.approx(np.hypot(0.03, 0.02), rel=0.15)


def test_haze_adds_light_and_most_of_it_in_the_blue():
    light, _ = chip()
    added = np.array([(changed(only(haze=1.0), size=64, place=p)[0] - light)[1:, 5, 5] for p in range(300)])
    assert (added > 0).all()
    assert (np.diff(added, axis=1) <= 1e-6).all()
    assert added[:, 0].mean() == pytest.approx(0.012, rel=0.25)  # green is 0.561 um
    assert set(MICROMETRES) == set(Band)


def test_noise_is_as_wide_as_told():
    light, _ = chip()
    spreads = [(changed(only(noise=0.01), size=64, place=p)[0] - light)[1:].std() for p in range(200)]
    assert max(spreads) < 0.0105
    assert np.mean(spreads) == pytest.approx(0.005, rel=0.15)


def test_what_is_there_stays_there():
    """On a simulated scene, changed water is still darker in SWIR than changed land."""
    example = scene()
    light = np.stack([example.observation.band(band) for band in SIX])
    labels = example.masks.stack.astype(np.uint8)
    for place in range(10):
        found, marks = augment(light, labels, SIX, generator(0, 0, place), Augment(), size=128)
        clear = ~(marks[1:] == 1).any(axis=0) & (marks[0] != UNKNOWN)
        water, land = found[5][clear & (marks[0] == 1)], found[5][clear & (marks[0] == 0)]
        if water.size and land.size:
            assert np.median(water) < np.median(land)
