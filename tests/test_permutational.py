"""The slides' layer against the slow literal form: one shared convolution of each pair of bands, one pair at a time."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from timm.layers import Conv2dSame, StdConv2d
from torch import nn

from models.bandtable import BandTable, table_of
from models.permutational import PermutationalStem, descriptors
from models.spectral import STANDARD, SpectralScaling
from ssc.bands import SIX, Product, Response, responses
from ssc.errors import InputError

L30, S30 = (responses(product, SIX) for product in (Product.L30, Product.S30))
SHAPES = {
    "same": {"kernel_size": 3, "padding": 1},
    "halved": {"kernel_size": 3, "stride": 2, "padding": 1},
    "wide": {"kernel_size": 7, "stride": 2, "padding": 3, "bias": False},
    "dilated": {"kernel_size": 3, "padding": 2, "dilation": 2},
    "patches": {"kernel_size": 4, "stride": 4},
    "oblong": {"kernel_size": (1, 5), "stride": (2, 1), "padding": (0, 2)},
}


def stem_like(shape: str, outputs: int = 5) -> PermutationalStem:
    torch.manual_seed(3)
    return PermutationalStem(nn.Conv2d(7, outputs, **SHAPES[shape]))


def through(stem: PermutationalStem, x: torch.Tensor, table: BandTable) -> torch.Tensor:
    stem.see(table)
    return stem(x)


def gappy(rows: list[tuple[Response, ...]], places: int, size: tuple[int, int] = (13, 16)) -> tuple:
    """Scaled images with holes in single bands and a corner without any, and their table."""
    generator = torch.Generator().manual_seed(5)
    light = 0.5 * torch.rand(len(rows), places, *size, generator=generator)
    light[torch.rand(light.shape, generator=generator) < 0.2] = torch.nan
    light[..., :4, :6] = torch.nan
    table = table_of(rows, places)
    return SpectralScaling()(light, table), table


def described(response: Response) -> list[float]:
    """The slides' notes: logarithms of centre and width in nanometres."""
    return [torch.tensor(nm, dtype=torch.float64).log10() - 2 for nm in (response.centre_nm - 300, response.width_nm)]


def literal(stem: PermutationalStem, x: torch.Tensor, row: tuple[Response, ...]) -> torch.Tensor:
    """Pair by pair for one image (n + 1, H, W) of these bands: n^2 convolutions of six maps, then their mean."""
    bands = x[:-1]
    valid = bands != 0
    values = bands * valid.sum(dim=0) / STANDARD
    maps = [
        torch.stack([band, *(torch.full_like(band, number) for number in described(response))])
        for band, response in zip(values, row, strict=True)
    ]
    plane = stem.plane(x[None, -1:])[0]
    seen = [under_centre(band, stem.pair, plane.shape[-2:]) for band in valid]
    total, count = torch.zeros_like(plane), torch.zeros_like(plane)
    for i, j in product(range(len(row)), repeat=2):
        answer = nn.functional.gelu(stem.pair(torch.cat([maps[i], maps[j]])[None])[0])
        total = total + answer * (seen[i] & seen[j])
        count = count + (seen[i] & seen[j])
    return total / count.clamp(min=1) + plane


def under_centre(valid: torch.Tensor, conv: nn.Conv2d, size: tuple[int, int]) -> torch.Tensor:
    """Whether the pixel under the centre of the kernel is valid, by its index in the image."""
    sides = zip(conv.kernel_size, conv.stride, conv.padding, conv.dilation, size, strict=True)
    rows, columns = (
        torch.arange(count) * stride + dilation * (length // 2) - padding
        for length, stride, padding, dilation, count in sides
    )
    return valid[rows][:, columns]


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_convolution_of_every_pair(shape):
    """To the edge of the image and of its gaps, and for two images with different bands in one batch."""
    rows = [L30, S30[:4]]
    x, table = gappy(rows, places=7)
    stem = stem_like(shape)
    out = through(stem, x, table)
    for found, image, row in zip(out, x, rows, strict=True):
        wanted = literal(stem, torch.cat([image[: len(row)], image[-1:]]), row)
        torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6)
    assert out.shape[-2:] == nn.Conv2d(1, 1, **SHAPES[shape])(x[:, :1]).shape[-2:]


def test_its_gradients_are_those_of_the_literal_form():
    x, table = gappy([S30], places=6)
    stem = stem_like("halved")
    slopes = []
    for form in (lambda image: through(stem, image, table)[0], lambda image: literal(stem, image[0], S30)):
        image = x.clone().requires_grad_()
        slopes.append(torch.autograd.grad(form(image).square().sum(), [image, *stem.parameters()]))
    for found, wanted in zip(*slopes, strict=True):
        assert wanted.abs().max() > 0
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_without_gelu_it_sees_only_the_sum_of_the_bands():
    """What the slides leave out: two spectra of equal sum are one to sums of convolutions, and two through GELU."""
    x = torch.randn(1, 7, 12, 12, generator=torch.Generator().manual_seed(1)).repeat(2, 1, 1, 1)
    x[1, 0] += 1.5
    x[1, 3] -= 1.5
    stem = stem_like("same")
    first, second = through(stem, x, table_of([L30]))
    assert (first - second).abs().max() > 0.02 * first.abs().max()
    stem.act = nn.Identity()
    first, second = through(stem, x, table_of([L30]))
    assert (first - second).abs().max() < 2e-6 * first.abs().max()


def test_order_in_a_pair_and_self_pairs_count():
    """One band is the pair with itself; of two bands the two orders differ."""
    x, table = gappy([S30[:1]], places=1)
    stem = stem_like("same")
    torch.testing.assert_close(through(stem, x, table)[0], literal(stem, x[0], S30[:1]), rtol=0, atol=2e-6)
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    there, back = (stem.pair(torch.cat([maps[i], maps[j]])[None]) for i, j in ((0, 1), (1, 0)))
    assert (there - back).abs().max() > 0.1


def test_without_any_valid_band_only_the_plane_of_validity_speaks():
    x, table = gappy([L30], places=6)
    stem = stem_like("same")
    plane = stem.plane(x[:, -1:])
    corner = (..., slice(4), slice(6))
    torch.testing.assert_close(through(stem, x, table)[corner], plane[corner], rtol=0, atol=0)
    nothing = BandTable(table.numbers, torch.zeros_like(table.present))
    torch.testing.assert_close(through(stem, x, nothing), plane, rtol=0, atol=0)


def test_descriptors_are_logarithms_of_centre_and_width():
    """log10(565) and log10(28), less 2; nothing of an empty place."""
    found = descriptors(table_of([[Response(low_nm=851, centre_nm=865, high_nm=879)]], places=2))
    torch.testing.assert_close(found, torch.tensor([[[0.75205, -0.55284], [0.0, 0.0]]]), rtol=0, atol=2e-5)


def test_it_stands_for_a_convolution_of_depth_one():
    x, table = gappy([L30], places=6)
    flat = stem_like("patches")
    deep = PermutationalStem(nn.Conv3d(7, 5, (1, 4, 4), stride=(1, 4, 4)))
    kernels = {name: value[:, :, None] if value.ndim > 1 else value for name, value in flat.state_dict().items()}
    deep.load_state_dict(kernels)
    torch.testing.assert_close(through(deep, x[:, :, None], table)[:, :, 0], through(flat, x, table))


def test_it_stands_for_a_convolution_that_pads_in_its_own_way():
    x, table = gappy([L30], places=6, size=(13, 15))  # odd sizes: "same" is then a padding of 1 on all sides
    plain, own = stem_like("halved"), PermutationalStem(Conv2dSame(7, 5, 3, stride=2))
    own.load_state_dict(plain.state_dict())
    torch.testing.assert_close(through(own, x, table), through(plain, x, table))


def test_half_precision_sums_in_full():
    x, table = gappy([L30], places=6)
    stem = stem_like("halved")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = through(stem, x, table)
    full = through(stem, x, table)
    assert half.dtype == torch.float32
    assert (half - full).abs().max() < 0.02 * full.abs().max()


def test_images_of_another_table_are_refused_and_no_table_serves_twice():
    x, table = gappy([L30, S30], places=6)
    stem = stem_like("same")
    for wrong in (torch.cat([x, x[:1]]), x[:, 1:]):
        with pytest.raises(InputError, match="2 images with 6 places"):
            through(stem, wrong, table)
    through(stem, x, table)
    with pytest.raises(InputError, match="wanted see"):
        stem(x)


@pytest.mark.parametrize("like", [nn.Conv2d(7, 7, 3, groups=7), nn.Conv3d(7, 4, 3), StdConv2d(7, 4, 3)])
def test_convolutions_it_cannot_stand_for_are_refused(like):
    with pytest.raises(InputError, match="one group, and depth 1"):
        PermutationalStem(like)
