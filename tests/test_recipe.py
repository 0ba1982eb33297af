"""Random sensors for training: what is seen is what is said to be seen, and no band is made of what nobody saw."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from models.recipe import GAP_NM, SLOTS, Sensing, sense, stretches
from ssc.bands import CODES, SIX, Band, Level, Product, Sensor, responses
from ssc.errors import InputError

ALL = tuple(Band)
STILL = {"six": 0.0, "subset": 0.0, "synthetic": 0.0, "jitter": 0.0, "lost": 0.0}


def bands_of(product):
    return tuple(CODES[product])


def straight(row, size=3):
    """A spectrum on a straight line: what any band sees of it, a mean of others too, is its centre."""
    return np.stack([np.full((size, size), response.centre_nm / 1000, np.float32) for response in row])


def sensed(product=Product.S30, draws=300, size=3, **changed):
    bands = bands_of(product)
    row = responses(product, bands)
    how = Sensing(**{**STILL, **changed})
    return [sense(straight(row, size), bands, row, np.random.default_rng((7, n)), how) for n in range(draws)]


def test_nothing_asked_nothing_changed():
    for light, row in sensed(draws=3):
        assert row == responses(Product.S30, bands_of(Product.S30))
        assert np.array_equal(light, straight(row))


def test_the_six_alone():
    for light, row in sensed(draws=5, six=1.0, subset=1.0, synthetic=1.0):
        assert row == responses(Product.S30, SIX)
        assert np.array_equal(light, straight(row))


@pytest.mark.parametrize("product", list(Product))
def test_every_plane_is_what_its_response_says(product):
    for light, row in sensed(product, subset=0.5, synthetic=1.0):
        assert 3 <= len(row) == len(light) <= SLOTS
        np.testing.assert_allclose(light, straight(row), rtol=1e-5)


def test_any_number_of_bands_is_as_likely_as_another_and_so_is_any_band():
    made = sensed(subset=1.0, draws=1500)
    sizes = np.bincount([len(row) for _, row in made], minlength=14)
    assert sizes[:3].sum() == 0
    assert sizes[3:].min() > 0.6 * 1500 / 11
    times = [sum(response in row for _, row in made) for response in responses(Product.S30, ALL)]
    assert min(times) > 0.85 * np.mean(times)


def test_broad_bands_stand_beside_their_parts_or_in_their_place():
    own = responses(Product.S30, ALL)
    seen = {"beside": 0, "instead": 0}
    for _, row in sensed(synthetic=1.0, most=1):
        (broad,) = [response for response in row if response not in own]
        inside = [one for one in own if broad.low_nm <= one.low_nm and one.high_nm <= broad.high_nm]
        missing = [one for one in own if one not in row]
        assert broad.level is Level.SURFACE
        assert set(missing) <= set(inside)
        seen["instead" if missing else "beside"] += 1
    assert min(seen.values()) > 100


def test_neighbours_are_near_and_of_the_ground():
    row = responses(Sensor.MSI, ALL)
    found = stretches(row)
    assert len(found) == len(set(found)) == 8 + 7 + 6  # of the nine bands from coastal to narrow NIR
    for parts in found:
        edges = sorted((row[place].low_nm, row[place].high_nm) for place in parts)
        assert all(after[0] - before[1] <= GAP_NM for before, after in pairwise(edges))
        assert {row[place].level for place in parts} == {Level.SURFACE}


def test_wavelengths_move_a_little_and_light_not_at_all():
    own = responses(Product.S30, ALL)
    made = sensed(jitter=0.01)
    moved = np.array(
        [[one.centre_nm / old.centre_nm - 1 for one, old in zip(row, own, strict=True)] for _, row in made]
    )
    wider = np.array(
        [[np.log(one.width_nm / old.width_nm) for one, old in zip(row, own, strict=True)] for _, row in made]
    )
    assert moved.std() == pytest.approx(0.01, rel=0.05)
    assert wider.std() == pytest.approx(0.1, rel=0.06)
    assert all(np.array_equal(light, straight(own)) for light, _ in made)


def test_lost_pixels_are_lost_in_some_bands_only_and_the_chip_is_left_alone():
    for product in Product:
        for light, _ in sensed(product, lost=1.0, subset=1.0, fewest=2, size=10, draws=100):
            bands = np.isnan(light).any(axis=(1, 2))
            assert 1 <= bands.sum() <= max(len(light) // 3, 1)
            assert np.isfinite(light).any(axis=0).all()
    row = responses(Product.S30, ALL)
    chip = straight(row)
    sense(chip, ALL, row, np.random.default_rng(1), Sensing(lost=1.0, synthetic=1.0, subset=0.0))
    assert np.array_equal(chip, straight(row))


def test_the_same_numbers_give_the_same_sensor():
    row = responses(Product.S30, ALL)
    light = np.random.default_rng(0).random((13, 8, 8), dtype=np.float32)
    one, two, other = (sense(light, ALL, row, np.random.default_rng(seed), Sensing(six=0.0)) for seed in (3, 3, 4))
    assert one[1] == two[1] != other[1]
    assert one[0].tobytes() == two[0].tobytes()


@pytest.mark.parametrize("wrong", [{"six": 1.1}, {"lost": -0.1}, {"fewest": 0}, {"most": 0}, {"jitter": 0.5}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(InputError, match=f"sensing: .*{next(iter(wrong))}"):
        Sensing(**wrong)
