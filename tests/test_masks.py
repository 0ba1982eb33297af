"""Masks: what hides water, and that no data is never clear."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from ssc.masks import Mask, Masks, clear_water

EVERY = np.array(list(product([False, True], repeat=6)))
"""(64, 6): all states of one pixel, five masks and valid."""


@pytest.fixture
def every_state():
    return Masks(stack=EVERY[:, :5].T.reshape(5, 8, 8), valid=EVERY[:, 5].reshape(8, 8))


def test_order_of_the_stack_is_the_order_of_every_masker():
    assert [mask.name for mask in Mask] == ["WATER", "CLOUD", "CLOUD_SHADOW", "SNOW_ICE", "TERRAIN_SHADOW"]


def test_a_mask_is_taken_by_name(every_state):
    for mask in Mask:
        assert np.array_equal(every_state[mask], every_state.stack[int(mask)])


def test_any_of_the_four_obstructs_and_water_does_not(every_state):
    wanted = [bool(cloud or shadow or snow or terrain) for _, cloud, shadow, snow, terrain, _ in EVERY]
    assert every_state.obstructed.ravel().tolist() == wanted


def test_clear_water_is_one_state_of_sixty_four(every_state):
    clear = clear_water(every_state).ravel()
    assert clear.sum() == 1
    assert EVERY[clear].tolist() == [[True, False, False, False, False, True]]
