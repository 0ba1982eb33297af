"""Quick-looks: what is drawn where, in which colour, how fast, from many threads."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ssc.errors import InputError
from ssc.masks import Mask, Masks, clear_water
from ssc.report import quicklook
from ssc.report.colours import CLEAR, MASK_COLOURS, NO_DATA
from ssc.report.quicklook import VEIL, stretch

SIDE = 200
PANEL = 4 * SIDE
"""200 px are repeated four times: 800 is the largest multiple within 900."""


def scene(side: int = SIDE, seed: int = 0):
    """Speckled land with one square of each mask in its own column; the last fifth of the rows has no data."""
    rng = np.random.default_rng(seed)
    reflectance = rng.uniform(0.05, 0.25, (6, side, side)).astype(np.float32)
    stack = np.zeros((5, side, side), dtype=bool)
    for mask in Mask:
        stack[mask, side // 4 : side // 2, mask * side // 5 : (mask + 1) * side // 5] = True
    valid = np.ones((side, side), dtype=bool)
    valid[-side // 5 :] = False
    reflectance[:, ~valid] = np.nan
    return reflectance, Masks(stack=stack & valid, valid=valid)


def panels(picture: bytes):
    """The three panels, (PANEL, PANEL, 3) uint8."""
    sheet = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    top = int(np.flatnonzero((sheet[:, :PANEL] != 255).all(axis=2).mean(axis=1) > 0.9)[0])
    width = (sheet.shape[1] - PANEL) // 2
    return [sheet[top : top + PANEL, left : left + PANEL] for left in (0, width, 2 * width)]


@pytest.fixture(scope="module")
def drawn():
    reflectance, masks = scene()
    return panels(quicklook(reflectance, masks, clear_water(masks), form="PNG"))


def colour(code: str):
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)


def test_three_panels_of_equal_size(drawn):
    assert [panel.shape for panel in drawn] == [(PANEL, PANEL, 3)] * 3


@pytest.mark.parametrize("mask", list(Mask))
def test_each_mask_shows_in_its_own_colour(drawn, mask):
    inside = drawn[1][PANEL // 3, int((mask + 0.5) * PANEL / 5)].astype(float)
    nearest = min(MASK_COLOURS, key=lambda other: np.abs(colour(MASK_COLOURS[other]) - inside).sum())
    assert nearest is mask
    assert np.abs(inside - colour(MASK_COLOURS[mask])).max() <= 255 * (1 - VEIL) + 1


def test_clear_panel_shows_water_only(drawn):
    blue = np.abs(drawn[2].astype(float) - colour(CLEAR)).max(axis=2) <= 255 * (1 - VEIL) + 1
    rows, cols = np.nonzero(blue)
    assert blue.sum() == (PANEL // 4) * (PANEL // 5)
    assert cols.max() < PANEL // 5
    assert rows.min() == PANEL // 4


def test_no_data_is_flat_in_all_panels(drawn):
    for panel in drawn:
        assert (panel[-PANEL // 5 + 4 :] == colour(NO_DATA)).all()


def test_reach_is_drawn_on_colour_only():
    reflectance, masks = scene()
    line = np.array([[10.0, 20.0], [190.0, 20.0]])
    plain = panels(quicklook(reflectance, masks, clear_water(masks), form="PNG"))
    lined = panels(quicklook(reflectance, masks, clear_water(masks), [line], form="PNG"))
    changed = (plain[0] != lined[0]).any(axis=2)
    assert set(np.nonzero(changed)[0]) <= set(range(76, 85))
    assert changed[80, 44:756].mean() > 0.9
    assert all((a == b).all() for a, b in zip(plain[1:], lined[1:], strict=True))


def test_three_bands_look_like_six():
    reflectance, masks = scene()
    clear = clear_water(masks)
    assert quicklook(reflectance[[2, 1, 0]], masks, clear) == quicklook(reflectance, masks, clear)


def test_large_scene_is_averaged_down_and_thin_river_still_shows():
    reflectance, masks = scene(1000)
    river = np.zeros((1000, 1000), dtype=bool)
    river[:, 500] = True
    thin = Masks(stack=np.stack([river, *np.zeros((4, 1000, 1000), dtype=bool)]), valid=masks.valid)
    sheet = Image.open(io.BytesIO(quicklook(reflectance, thin, river, max_px=100, form="PNG")))
    clear = np.asarray(sheet)[:, 2 * 105 :]
    bluer = clear[..., 2].astype(int) - clear[..., 0]
    assert 300 < sheet.width < 320
    assert (bluer[30:90] > 20).any(axis=1).all()


def test_stretch_ignores_clouds_and_keeps_hues():
    rng = np.random.default_rng(1)
    ground = rng.uniform(0.02, 0.2, (100, 100, 1)) * np.array([1.0, 0.8, 0.6])
    cloudy = ground.copy()
    cloudy[:60] = 0.9
    land = np.ones((100, 100), dtype=bool)
    land[:60] = False
    shown, alone = stretch(cloudy, land), stretch(ground[60:], land[60:])
    assert np.array_equal(shown[60:], alone)
    assert (shown[:60] == 1).all()
    assert (np.diff(shown[80].mean(axis=0)) < 0).all()


@pytest.mark.parametrize("value", [np.nan, 0.0, 0.9], ids=["no data", "black", "all cloud"])
def test_featureless_scenes_still_give_a_picture(value):
    flat = np.full((6, 40, 30), value, dtype=np.float32)
    seen = np.isfinite(flat[0])
    masks = Masks(stack=np.zeros((5, 40, 30), dtype=bool), valid=seen)
    picture = Image.open(io.BytesIO(quicklook(flat, masks, clear_water(masks))))
    assert picture.width > 3 * 30


def test_wrong_shapes_are_refused():
    _, masks = scene(20)
    with pytest.raises(InputError, match=r"found reflectance of shape \(4, 20, 20\).*wanted \(6, H, W\)"):
        quicklook(np.zeros((4, 20, 20), dtype=np.float32), masks, clear_water(masks))


def test_many_threads_draw_the_same_as_one():
    scenes = [scene(120, seed) for seed in range(8)]

    def draw(case):
        reflectance, masks = case
        return quicklook(reflectance, masks, clear_water(masks))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, scenes)) == [draw(case) for case in scenes]


def test_thousand_pixels_are_drawn_within_half_a_second():
    reflectance, masks = scene(1000)
    clear = clear_water(masks)
    best = 9.0
    for _ in range(3):
        started = time.process_time()
        quicklook(reflectance, masks, clear)
        best = min(best, time.process_time() - started)
    assert best < 0.5
