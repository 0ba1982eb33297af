"""Stems in the encoders of every library, and where none can stand."""

from __future__ import annotations

import pytest
import safetensors.torch
import timm
import torch
from timm.layers import StdConv2d
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from models.bandtable import table_of
from models.encoders import build_encoder
from models.multitask import NetworkConfig, build_network
from models.scaling import PhysicalScaling
from models.spectral import SpectralScaling
from models.stems import StemKind, put_stems, see, stems_of, tables_of
from models.transplant import rewire
from models.trunks import PatchEmbed
from ssc.bands import CODES, SIX, Band, Product, Sensor, responses
from ssc.errors import InputError

SMALL = "mobilenetv3_small_050"
MEMBERS = {
    SMALL: ["body.conv_stem"],
    "tf_mobilenetv3_small_minimal_100": ["body.conv_stem"],  # pads in its own way
    "repvgg_a0": ["body.stem.conv_kxk.conv", "body.stem.conv_1x1.conv"],
    "vit_tiny_patch16_224": ["body.trunk.model.patch_embed.proj"],
    "swin_tiny_patch4_window7_224": ["body.trunk.patch_embed.proj"],
    "smp:resnet18": ["body.trunk.conv1"],
    "smp:efficientnet-b0": ["body.trunk._conv_stem"],  # and this one in yet another
    "satlas:swin_v2_t": ["body.features.0.0"],
    "satlas:resnet50": ["body.conv1"],
}
"""One small member or more of each family -> its first convolutions; of Prithvi, which is large, only its patches."""
EIGHT = tuple(CODES[Product.L30])


def with_stems(network: nn.Module, kind: StemKind = StemKind.SPECTRAL, **options) -> nn.Module:
    put_stems(network, kind, inputs=7, **options)
    return network.eval()


def image(count: int) -> torch.Tensor:
    found = 0.4 * torch.rand(1, count, 64, 64, generator=torch.Generator().manual_seed(1))
    found[..., :20, 40:] = torch.nan
    return found


@torch.no_grad()
def check_any_bands(network: nn.Module, names: list[str]) -> None:
    """It takes eight bands, and says what it says once its stems are baked for them."""
    stems = stems_of(network)
    assert [*stems] == names
    table = table_of([responses(Sensor.OLI, EIGHT)])
    see(network, table)
    found = network(SpectralScaling()(image(8), table))
    for name, stem in stems.items():
        network.set_submodule(name, stem.baked(table))
    wanted = network(PhysicalScaling()(image(8)))
    for one, other in zip(found, wanted, strict=True):
        assert other.std() > 0
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize("name", MEMBERS)
def test_encoders_of_every_family_take_any_bands(name):
    torch.manual_seed(1)
    check_any_bands(with_stems(build_encoder(name, inputs=7, levels=3)), MEMBERS[name])


def test_patches_with_a_time_axis_take_any_bands():
    check_any_bands(with_stems(PatchEmbed(7)), ["proj"])


def test_trying_a_network_leaves_no_trace():
    network = build_encoder(SMALL, inputs=7, levels=2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    put_stems(network, StemKind.SPECTRAL, inputs=7)
    assert network.training
    after = network.state_dict()
    kept = [key for key in before if "conv_stem" not in key]
    assert all(torch.equal(after[key], before[key]) for key in kept)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (nn.Sequential(nn.Conv2d(6, 4, 3)), "no convolution of 7 inputs"),
        (nn.Sequential(nn.BatchNorm2d(7), nn.Conv2d(7, 4, 3)), "do not depend on the number of bands"),
        (nn.Sequential(nn.Conv2d(7, 7, 3), nn.Conv2d(7, 4, 3)), "do not depend on the number of bands"),
        (nn.Sequential(StdConv2d(7, 4, 3)), "takes its weights as they are"),
    ],
)
def test_networks_in_which_it_cannot_stand_are_refused(network, says):
    with pytest.raises(InputError, match=says):
        put_stems(network, StemKind.SPECTRAL, inputs=7)


@pytest.mark.parametrize(
    ("conv", "options", "says"),
    [
        (Conv2dSame(7, 4, 3), {}, "wanted a plain Conv2d"),
        (nn.Conv3d(7, 4, (1, 3, 3)), {}, "wanted a plain Conv2d"),
        (nn.Conv2d(7, 4, 3), {"trained": True}, "found trained weights"),
    ],
)
def test_the_reference_layer_stands_in_fewer_places(conv, options, says):
    with pytest.raises(InputError, match=says):
        with_stems(nn.Sequential(conv), StemKind.PERMUTATIONAL, **options)


def test_tables_are_of_the_sensors_that_have_the_bands():
    red_edge = (Band.RED, Band.RED_EDGE1)
    assert len(tables_of(SIX)) == 2
    assert torch.equal(tables_of(red_edge)[0].numbers, table_of([responses(Sensor.MSI, red_edge)]).numbers)
    assert len(tables_of(red_edge)) == 1
    assert tables_of((*EIGHT, Band.RED_EDGE1, Band.CIRRUS))[0].present.shape == (1, 10)


def test_pretrained_first_layers_are_where_stems_start(tmp_path):
    """Weights for red, green and blue, as they would be poured into a network for the six bands."""
    torch.manual_seed(6)
    weights = timm.create_model(SMALL).state_dict()
    path = tmp_path / "rgb.safetensors"
    safetensors.torch.save_file(weights, path)
    config = NetworkConfig(encoder=SMALL, levels=2, width=8, detail=8, stem="spectral")
    network = build_network(config, pretrained=str(path))
    assert network.encoder.filled.adapted == ("conv_stem.weight",)
    stem = network.encoder.body.conv_stem
    for product in Product:
        found = stem.baked(table_of([responses(product, SIX)])).weight
        torch.testing.assert_close(found, rewire(weights["conv_stem.weight"], SIX), rtol=0, atol=1e-5)
    assert torch.equal(network.encoder.body.bn1.weight, weights["bn1.weight"])
