"""The published networks' outputs in our order and sense, and thresholds that turn with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.doors import DOOR, to_masks, turn_thresholds
from models.published import FACTS, TASKS
from ssc.errors import InputError
from ssc.masks import Mask

STATED = {"water_mask": 0.3, "cloudshadow_mask": 0.25, "cloud_mask": 0.5, "snowice_mask": 0.2, "sun_mask": 0.4}


def around(value: float, steps: int = 300) -> np.ndarray:
    """The float32 within 0..1 nearest to a value, on both sides of it."""
    bits = np.float32(value).view(np.int32).astype(np.int64) + np.arange(-steps, steps + 1)
    found = np.clip(bits, 0, np.float32(1).view(np.int32)).astype(np.int32).view(np.float32)
    return np.unique(found)


def shadow(sun: np.ndarray, stated: float) -> np.ndarray:
    """Terrain shadow as the pipeline finds it: turned output, turned threshold, strict comparison."""
    outputs = torch.zeros(1, 5, 1, sun.size)
    outputs[0, 4, 0] = torch.from_numpy(sun)
    threshold = np.float32(turn_thresholds({**STATED, "sun_mask": stated})[Mask.TERRAIN_SHADOW])
    return to_masks(outputs).numpy()[0, Mask.TERRAIN_SHADOW, 0] > threshold


def test_door_has_the_published_tasks_in_their_order():
    assert tuple(DOOR) == TASKS
    assert sorted(DOOR.values()) == sorted(Mask)


def test_each_output_lands_on_its_mask_and_sun_is_turned():
    outputs = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.9]).reshape(1, 5, 1, 1).expand(2, 5, 3, 4)
    found = to_masks(outputs)
    assert found.shape == (2, 5, 3, 4)
    wanted = {Mask.WATER: 0.1, Mask.CLOUD_SHADOW: 0.2, Mask.CLOUD: 0.3, Mask.SNOW_ICE: 0.4, Mask.TERRAIN_SHADOW: 0.1}
    for mask, value in wanted.items():
        torch.testing.assert_close(found[:, mask], torch.full((2, 3, 4), value))


def test_a_table_of_outputs_gives_the_same_whatever_its_order():
    generator = torch.Generator().manual_seed(1)
    stack = torch.rand(2, 5, 8, 8, generator=generator)
    named = {task: stack[:, [number]] for number, task in enumerate(TASKS)}
    assert torch.equal(to_masks(dict(reversed(named.items()))), to_masks(stack))


def test_no_data_stays_no_data_and_the_input_is_left_alone():
    stack = torch.rand(1, 5, 4, 4)
    stack[..., 0, 0] = torch.nan
    before = stack.clone()
    assert to_masks(stack)[..., 0, 0].isnan().all()
    assert torch.equal(stack.nan_to_num(9), before.nan_to_num(9))


def test_other_masks_keep_their_thresholds():
    turned = turn_thresholds(STATED)
    assert list(turned) == list(Mask)
    assert {turned[DOOR[task]] for task in TASKS[:4]} == {0.3, 0.25, 0.5, 0.2}
    assert (turned[Mask.CLOUD], turned[Mask.CLOUD_SHADOW]) == (0.5, 0.25)


@pytest.mark.parametrize("stated", [0.5, 0.6, 0.75, 0.9, 0.9999])
def test_above_one_half_shadow_is_exactly_what_is_not_lit(stated):
    sun = np.concatenate([around(stated), around(0.5), around(1), np.linspace(0, 1, 20_001, dtype=np.float32)])
    np.testing.assert_array_equal(shadow(sun, stated), ~(sun > np.float32(stated)))


@pytest.mark.parametrize("stated", [0.0, 0.1, 0.3, 0.4, 0.49])
def test_below_one_half_only_a_rounding_above_the_threshold_counts_as_shadow(stated):
    sun = np.concatenate([around(stated), around(2**-25), np.linspace(0, 1, 20_001, dtype=np.float32)])
    found, wanted = shadow(sun, stated), ~(sun > np.float32(stated))
    assert found[wanted].all()
    astray = sun[found & ~wanted].astype(float) - np.float32(stated)
    assert (astray < 2**-24).all()


@given(st.floats(0, 1 - 2**-20, width=32))
def test_a_pixel_exactly_at_the_threshold_is_in_shadow(stated):
    assert shadow(np.array([stated], np.float32), stated).all()


@given(st.floats(0, 1 - 2**-20, width=32))
def test_what_is_clearly_lit_is_not_in_shadow(stated):
    assert not shadow(np.array([stated + 2.0**-23], np.float32), stated).any()


def test_thresholds_the_authors_chose_stay_in_range():
    for facts in FACTS.values():
        if facts.thresholds:
            turned = turn_thresholds(dict(zip(TASKS, facts.thresholds, strict=True)))
            assert all(0 <= value <= 1 for value in turned.values())


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (torch.zeros(2, 4, 3, 3), r"found shape \(2, 4, 3, 3\), wanted \(B, 5, H, W\)"),
        (torch.zeros(5, 3, 3), r"found shape \(5, 3, 3\)"),
        ({"water_mask": torch.zeros(1, 1, 2, 2)}, "found water_mask, wanted water_mask cloudshadow_mask"),
        ({}, "found none"),
    ],
)
def test_other_outputs_are_refused(outputs, message):
    with pytest.raises(InputError, match=message):
        to_masks(outputs)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"water_mask": 0.3}, "found water_mask, wanted"),
        ({**STATED, "rain_mask": 0.1}, "rain_mask"),
        ({**STATED, "cloud_mask": 1.5}, "threshold of cloud_mask: found 1.5, wanted 0..1"),
        ({**STATED, "cloud_mask": float("nan")}, "threshold of cloud_mask: found nan"),
        ({**STATED, "sun_mask": 1.0}, "threshold of sun_mask: found 1.0"),
        ({**STATED, "sun_mask": 1 - 1e-12}, "threshold of sun_mask"),
    ],
)
def test_other_thresholds_are_refused(stated, message):
    with pytest.raises(InputError, match=message):
        turn_thresholds(stated)
