"""Windows and their blend: weights that sum to one, no seams, the same answer as the whole image at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import nn

from models.windows import Span, Tiling, blend, cut, spans
from ssc.errors import InputError


def network(depth: int, *, stride: int = 1, seed: int = 0, bands: int = 2) -> nn.Module:
    """Random and fully convolutional: looks `depth` cells of `stride` px around, and says 5 things of each pixel."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.AvgPool2d(stride)] if stride > 1 else []
    for layer in range(depth):
        layers += [nn.Conv2d(bands if layer == 0 else 8, 8, 3, padding=1), nn.Tanh()]
    layers += [nn.Conv2d(8, 5, 1), nn.Upsample(scale_factor=stride), nn.Sigmoid()]
    return nn.Sequential(*layers).eval()


def predictor(net: nn.Module):
    def predict(chips):
        with torch.inference_mode():
            return net(torch.from_numpy(np.nan_to_num(chips))).numpy()

    return predict


def image(height, width, bands=2, seed=1):
    return np.random.default_rng(seed).normal(0, 1, (bands, height, width)).astype(np.float32)


def everywhere(planes):
    return np.ones(planes.shape[1:], bool)


TILINGS = st.builds(
    lambda stride, cells, halo, ramp, *, exact: (stride, cells, halo, ramp, exact),
    st.sampled_from([1, 2, 4, 8]),
    st.integers(1, 6),
    st.integers(0, 9),
    st.integers(1, 12),
    exact=st.booleans(),
)


@given(length=st.integers(1, 300), origin=st.integers(0, 50), choice=TILINGS)
@settings(deadline=None, max_examples=200)
def test_weights_sum_to_one_and_spans_keep_to_the_grid(length, origin, choice):
    stride, cells, halo, ramp, exact = choice
    window = -(-(2 * halo + ramp) // stride) * stride + cells * stride
    tiling = Tiling(window=window, halo=halo, stride=stride, ramp=ramp, exact=exact)
    total = np.zeros(length)
    found = spans(length, tiling, origin)
    for number, span in enumerate(found):
        assert (span.start + origin) % stride == 0
        size = span.stop - span.start
        assert size == window if exact else size <= window
        assert size == found[0].stop - found[0].start
        assert span.weight.min() > 0
        assert number == 0 or span.first >= span.start + halo
        assert number == len(found) - 1 or span.last <= span.stop - halo
        total[span.image] += span.weight
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_even_windows_waste_little():
    """3660 px in steps of a full window of 512 would need 81 x 512 x 512 px; drawn in they are fewer."""
    found = spans(3660, Tiling(window=512, halo=16, stride=32))
    assert len(found) == 9
    assert {span.stop - span.start for span in found} == {480}


@given(height=st.integers(1, 90), width=st.integers(1, 90), origin=st.tuples(st.integers(0, 9), st.integers(0, 9)))
@settings(deadline=None, max_examples=40)
def test_any_size_comes_out_as_it_went_in(height, width, origin):
    planes = image(height, width)
    tiling = Tiling(window=32, halo=4, stride=4, ramp=8)
    out = blend(planes, lambda chips: chips, tiling, keep=everywhere(planes), tasks=2, origin=origin, batch=3)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, planes, atol=1e-6)


@pytest.mark.parametrize(("depth", "stride"), [(3, 1), (4, 1), (2, 4)])
def test_equals_the_whole_image_at_once_when_the_halo_covers_the_view(depth, stride):
    net, planes = network(depth, stride=stride), image(200, 152)
    whole = predictor(net)(planes[None])[0]
    radius = (depth + 1) * stride if stride > 1 else depth
    tiling = Tiling(window=64, halo=radius, stride=stride, ramp=8)
    out = blend(planes, predictor(net), tiling, keep=everywhere(planes), tasks=5, batch=4)
    np.testing.assert_allclose(out, whole, atol=2e-6)


def test_a_halo_too_small_is_seen_by_this_very_comparison():
    net, planes = network(4), image(200, 152)
    tiling = Tiling(window=64, halo=0, ramp=8)
    out = blend(planes, predictor(net), tiling, keep=everywhere(planes), tasks=5)
    assert np.abs(out - predictor(net)(planes[None])[0]).max() > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_moving_the_windows_moves_no_mask(seed):
    """The view (44 px) is wider than the halo (32 px), as in networks that work; half of the pixels are masked."""
    stride, reach = 4, 44
    net = network(10, stride=stride, seed=seed)
    planes = gaussian_filter(image(420, 380, seed=seed), (0, 6, 6)) * 20  # smooth, as land is
    tiling = Tiling(window=160, halo=32, stride=stride, ramp=16)
    still = blend(planes, predictor(net), tiling, keep=everywhere(planes), tasks=5)
    level = np.median(still, axis=(1, 2))[:, None, None]
    for move in (4, 20, 36, 64):
        moved = planes[:, move:, move:]
        out = blend(moved, predictor(net), tiling, keep=everywhere(moved), tasks=5)
        inner = np.s_[:, reach:, reach:]
        changed = ((out > level) != (still[:, move:, move:] > level))[inner]
        assert changed.mean() < 0.001, move


@pytest.mark.parametrize("origin", [(0, 0), (3, 1), (5, 6), (17, 30)])
def test_a_cut_anywhere_samples_the_ground_in_the_same_cells(origin):
    """Cells of 8 px: without knowing its origin a cut at row 3 would average other pixels."""
    row, col = origin
    net, planes = network(1, stride=8), image(160, 160)
    whole = predictor(net)(planes[None])[0]
    piece = planes[:, row:, col:]
    tiling = Tiling(window=48, halo=16, stride=8, ramp=8)
    out = blend(piece, predictor(net), tiling, keep=everywhere(piece), tasks=5, origin=origin)
    inner = np.s_[:, 16:, 16:]
    np.testing.assert_allclose(out[inner], whole[:, row:, col:][inner], atol=2e-6)


def test_only_windows_with_wanted_pixels_are_predicted():
    net, planes = network(3), image(256, 256)
    tiling = Tiling(window=48, halo=4, ramp=8)
    every = blend(planes, predictor(net), tiling, keep=everywhere(planes), tasks=5)
    seen = []

    def counting(chips):
        seen.append(len(chips))
        return predictor(net)(chips)

    keep = np.zeros((256, 256), bool)
    keep[100:110, 30:200:7] = True
    out = blend(planes, counting, tiling, keep=keep, tasks=5, batch=2)
    np.testing.assert_allclose(out[:, keep], every[:, keep], atol=1e-6)
    assert np.isnan(out[:, ~keep]).all()
    rows = sum(keep[span.image].any() for span in spans(256, tiling))
    cols = sum(keep[:, span.image].any() for span in spans(256, tiling))
    assert sum(seen) == rows * cols < len(spans(256, tiling)) ** 2 / 2
    assert max(seen) <= 2


def test_nothing_wanted_predicts_nothing():
    planes = image(40, 40)
    out = blend(planes, pytest.fail, Tiling(window=16, halo=0, ramp=4), keep=np.zeros((40, 40), bool), tasks=3)
    assert out.shape == (3, 40, 40)
    assert np.isnan(out).all()


def test_beyond_the_border_stands_the_mirror_image_with_its_gaps():
    planes = np.arange(3, dtype=np.float64)[None, :, None] + 1
    planes[0, 2, 0] = np.inf
    whole = Span(start=-4, stop=8, first=0, last=3, weight=np.ones(3, np.float32))
    column = Span(start=-1, stop=2, first=0, last=1, weight=np.ones(1, np.float32))
    chip = cut(planes, whole, column)
    assert chip.dtype == np.float32
    gap = np.nan
    wanted = [gap, gap, 2, 1, 1, 2, gap, gap, 2, 1, 1, 2]
    np.testing.assert_array_equal(chip[0, :, 0], np.array(wanted, np.float32))
    np.testing.assert_array_equal(chip[0, :, 0], chip[0, :, 2])


def test_a_network_of_one_size_is_fed_that_size():
    shapes = []

    def predict(chips):
        shapes.append(chips.shape[-2:])
        return chips

    tiling = Tiling(window=64, halo=4, stride=16, ramp=8, exact=True)
    for size in (5, 64, 100, 201):
        planes = image(size, 70)
        out = blend(planes, predict, tiling, keep=everywhere(planes), tasks=2)
        np.testing.assert_allclose(out, planes, atol=1e-6)
    assert set(shapes) == {(64, 64)}


@pytest.mark.parametrize(
    "wrong", [{"window": 60, "stride": 8}, {"window": 40, "halo": 20}, {"ramp": 0}, {"halo": -1}, {"stride": 0}]
)
def test_tilings_that_cannot_be_are_refused(wrong):
    with pytest.raises(InputError, match="wanted"):
        Tiling(**{"window": 64, "halo": 4, "stride": 4, "ramp": 8} | wrong)
