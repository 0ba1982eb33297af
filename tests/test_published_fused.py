"""The rebuilt published networks give the masks of the plain ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.published import NAMES, TASKS, build, winograd
from models.published import fused as fused_module
from models.published.folding import fold_norms
from models.published.fused import Doubling, fuse
from models.published.heads import SatlasHead, doubled
from models.published.wide import WideLinear
from models.published.winograd import BandedHeads
from ssc.errors import InputError

SIZES = {
    "deeplabv3p": (64, 48),
    "mobilenetv3": (67, 50),
    "segnet": (64, 32),
    "satlas_si_resnet50": (70, 49),
    "satlas_si_swint": (40, 68),
    "satlas_si_swinb": (32, 48),
    "swint": (72, 90),
    "vitb16": (512, 512),
    "prithvi": (512, 512),
}
"""No square and no whole number of bands where that is allowed: rebuilding goes wrong at edges and remainders."""
TOLERANCE = 1e-5


def lived(model):
    """With norms that have seen data: fresh ones would hide how they are folded."""
    draw = torch.Generator().manual_seed(5)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1, generator=draw)
            part.running_var.uniform_(0.5, 1.5, generator=draw)
            part.weight.data.uniform_(0.8, 1.2, generator=draw)
            part.bias.data.normal_(0, 0.05, generator=draw)
    return model.eval()


@pytest.fixture(scope="module", params=NAMES)
def network(request):
    return lived(build(request.param))


def stacked(maps):
    return torch.cat([maps[task] for task in TASKS], dim=1)


def test_masks_are_those_of_the_plain_network(network):
    """In double precision for segnet, whose pooling indices jump with the last digit."""
    network = network.double() if network.name == "segnet" else network
    x = torch.rand(1, 6, *SIZES[network.name], dtype=next(network.parameters()).dtype)
    with torch.no_grad():
        wanted, before = stacked(network(x)), {key: tensor.clone() for key, tensor in network.state_dict().items()}
        fused = fuse(network)
        found = fused(x)
    assert found.shape == (1, 5, *SIZES[network.name])
    assert wanted.std() > 1e-4
    assert (found - wanted).abs().max() <= TOLERANCE
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    assert not any(p.requires_grad for p in fused.parameters())
    assert not any(isinstance(part, nn.BatchNorm2d) for part in fused.modules())


@pytest.mark.parametrize("name", ["mobilenetv3", "satlas_si_resnet50"])
def test_a_batch_in_several_bands_is_its_images_one_by_one(name, monkeypatch):
    plain = lived(build(name))
    fused = fuse(plain)
    x = torch.rand(3, 6, 48, 36)
    with torch.no_grad():
        wanted = torch.cat([stacked(plain(image[None])) for image in x])
    for module in (winograd, fused_module):
        monkeypatch.setattr(module, "BAND", 100)
    assert (fused(x) - wanted).abs().max() <= TOLERANCE


@pytest.mark.parametrize("band", [9, 50, 32_768])
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (16, 8), (17, 9), (40, 11)])
def test_heads_in_bands_are_the_heads(size, band, monkeypatch):
    """Bands of one row, of some rows with a remainder, and one band for all."""
    monkeypatch.setattr(winograd, "BAND", band)
    heads = [SatlasHead(channels=8) for _ in range(3)]
    banded = BandedHeads([head.head[0][0] for head in heads], [head.head[1] for head in heads])
    features = torch.randn(2, 8, *size)
    with torch.no_grad():
        wanted = torch.cat([head(features) for head in heads], dim=1)
        assert (banded(features) - wanted).abs().max() <= TOLERANCE


def test_doubling_on_the_small_map_is_doubling():
    plain = doubled(5, 7)
    x = torch.randn(2, 5, 6, 9)
    with torch.no_grad():
        assert (Doubling(plain[1])(x).relu() - plain(x)).abs().max() <= TOLERANCE


@pytest.mark.parametrize("shape", [(3, 8), (2, 5, 8), (2, 3, 4, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_wide_linear_layer_is_a_linear_layer(shape, bias):
    linear = nn.Linear(8, 3, bias=bias)
    x = torch.randn(shape)
    with torch.no_grad():
        assert (WideLinear(linear)(x) - linear(x)).abs().max() <= TOLERANCE


def test_a_norm_without_convolution_is_a_bug_we_see():
    with pytest.raises(AssertionError, match="follows no convolution"):
        fold_norms(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)))


def test_what_has_no_say_is_not_carried_along():
    """FPN outputs that nobody reads; the ImageNet layer stays out of the way on its own."""
    plain = build("satlas_si_resnet50")
    idle = sum(p.numel() for p in plain.backbone.backbone[1].fpn.layer_blocks[1:].parameters())
    kept = sum(p.numel() for p in fuse(plain).backbone.backbone[1].parameters())
    assert kept == sum(p.numel() for p in plain.backbone.backbone[1].parameters()) - idle


def test_the_same_inputs_are_refused():
    fused = fuse(build("deeplabv3p"))
    with pytest.raises(InputError, match="multiples of 16"):
        fused(torch.rand(1, 6, 60, 64))
    with pytest.raises(InputError, match=r"wanted \(B, 6, H, W\)"):
        fused(torch.rand(1, 5, 64, 64))
