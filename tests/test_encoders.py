"""Encoders of every family, and weights trained elsewhere: what fits is used, what does not is told."""

from __future__ import annotations

import json
import math
import os
import pickle
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from torch.nn import functional

from models import published
from models.encoders import Encoder, build_encoder, families
from models.multitask import NetworkConfig, build_network
from models.published.prithvi import Autoencoder
from models.transplant import fill, match, rewire
from models.trunks import positions
from ssc.bands import SIX, Band
from ssc.errors import AccessError, DataError, InputError

ROOT = Path(__file__).resolve().parent.parent
SMALL = "mobilenetv3_small_050"
SWIN = "swin_tiny_patch4_window7_224"
VIT = "vit_tiny_patch16_224"
MEMBERS = {
    "mobilenetv4_conv_small": (2, 4, 8, 16, 32),
    SWIN: (4, 8, 16),
    VIT: (4, 8, 16, 32),
    "smp:resnet18": (2, 4, 8, 16, 32),
    "smp:efficientnet-b0": (2, 4, 8),
    "satlas:swin_v2_t": (4, 8),
}
"""One small member or more of each family -> strides; Prithvi has tests of its own because it is large."""


@cache
def encoder(name: str) -> Encoder:
    torch.manual_seed(1)
    return build_encoder(name, inputs=7, levels=len(MEMBERS[name])).eval()


def grey(height: int = 96, width: int = 128) -> torch.Tensor:
    """A surface equally bright in all bands, with texture, valid everywhere."""
    texture = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(2))
    return torch.cat([texture.expand(1, 6, height, width), torch.ones(1, 1, height, width)], dim=1)


def names_of(net: torch.nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(key, tuple(value.shape)) for key, value in net.state_dict().items()]


# --- the pyramid ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MEMBERS)
def test_every_family_gives_a_pyramid_at_any_size(name):
    net = encoder(name)
    assert net.strides == MEMBERS[name]
    for height, width in ((64, 96), (51, 75)):
        with torch.no_grad():
            levels = net(torch.rand(2, 7, height, width))
        cells = [(math.ceil(height / stride), math.ceil(width / stride)) for stride in net.strides]
        assert [tuple(level.shape) for level in levels] == [
            (2, channels, *size) for channels, size in zip(net.channels, cells, strict=True)
        ]
        assert all(torch.isfinite(level).all() for level in levels)


@pytest.mark.parametrize("name", MEMBERS)
def test_every_parameter_learns(name):
    net = encoder(name)
    net.zero_grad()
    sum((level * torch.rand_like(level)).sum() for level in net(torch.rand(1, 7, 64, 96))).backward()
    idle = [key for key, value in net.named_parameters() if value.requires_grad and value.grad is None]
    assert all(value.grad.isfinite().all() for value in net.parameters() if value.requires_grad)
    net.zero_grad()
    assert not idle
    assert all(value.requires_grad for value in net.parameters()) or name == "smp:efficientnet-b0"  # of 3 levels


def test_the_encoder_of_our_weights_is_timms_network_unchanged():
    plain = timm.create_model(
        "mobilenetv4_conv_small", features_only=True, in_chans=7, out_indices=(0, 1, 2, 3, 4)
    ).eval()
    ours = encoder("mobilenetv4_conv_small")
    assert names_of(ours) == [(f"body.{key}", shape) for key, shape in names_of(plain)]
    plain.load_state_dict(ours.body.state_dict())
    image = torch.rand(1, 7, 64, 75)
    with torch.no_grad():
        assert all(map(torch.equal, ours(image), plain(image)))


def test_a_seed_gives_the_same_network_as_timm_would():
    torch.manual_seed(5)
    plain = timm.create_model("mobilenetv4_conv_small", features_only=True, in_chans=7, out_indices=(0, 1, 2))
    torch.manual_seed(5)
    ours = build_encoder("mobilenetv4_conv_small", inputs=7, levels=3)
    assert ours.training
    assert all(map(torch.equal, ours.state_dict().values(), plain.state_dict().values()))


@pytest.mark.parametrize("name", [SWIN, VIT])
def test_a_spot_in_the_image_is_a_spot_in_every_level(name):
    """The published transformers pool all places into one vector; here a shifted spot moves in the maps."""
    net, spots = encoder(name), ((40, 24), (40, 88), (8, 104))
    images = grey().repeat(1 + len(spots), 1, 1, 1)
    for image, (row, column) in zip(images[1:], spots, strict=True):
        image[:6, row : row + 8, column : column + 8] += 2
    with torch.no_grad():
        levels = net(images)
    for level, stride in zip(levels, net.strides, strict=True):
        for change, (row, column) in zip((level[1:] - level[0]).abs().sum(dim=1), spots, strict=True):
            top, left = divmod(int(change.argmax()), change.shape[1])
            assert abs(top - (row + 4) / stride + 0.5) <= max(1.5, 16 / stride)  # a patch of ViT has 16 px
            assert abs(left - (column + 4) / stride + 0.5) <= max(1.5, 16 / stride)


def test_windows_of_swin_do_not_reach_across_the_image():
    net, changed = encoder(SWIN), grey()
    changed[:, :6, :8, :8] += 2
    with torch.no_grad():
        finest, before = net(changed)[0], net(grey())[0]
    assert not torch.equal(finest[..., :4, :4], before[..., :4, :4])
    assert torch.equal(finest[..., 14:, 14:], before[..., 14:, 14:])  # window of 7 cells, once shifted by 3


@pytest.mark.parametrize(("name", "height", "width"), [(SWIN, 96, 128), (VIT, 96, 128), (VIT, 95, 117)])
def test_transformers_run_in_the_masking_network(name, height, width):
    torch.manual_seed(3)
    net = build_network(NetworkConfig(encoder=name, levels=3, width=16, detail=8)).eval()
    reflectance = grey()[:, :6, :height, :width] * 0.3
    reflectance[:, :, 60:, 100:] = torch.nan
    with torch.no_grad():
        logits = net(reflectance)
    assert logits.shape == (1, 5, height, width)
    assert logits.isfinite().all()
    assert logits.std() > 0


@pytest.mark.parametrize(
    ("name", "levels", "says"),
    [
        ("nosuch_net", 3, "nosuch_net"),
        ("smp:nosuch", 3, "nosuch"),
        ("satlas:vit", 3, "satlas:swin_v2_t"),
        ("mobilenetv4_conv_small", 9, "9 levels"),
        (VIT, 5, "4 8 16 32"),
        ("satlas:swin_v2_t", 5, "4 levels"),
        ("smp:mit_b0", 5, "4 levels"),
        ("levit_128s", 3, "224 px only"),
        ("mobilenetv4_conv_small", 0, "1 or more"),
    ],
)
def test_what_cannot_be_built_is_told(name, levels, says):
    with pytest.raises(InputError, match=says):
        build_encoder(name, inputs=7, levels=levels)


def test_families_are_told_without_torch():
    asked = (
        "import sys, json; from models.families import families as f; print(json.dumps([f(), 'torch' in sys.modules]))"
    )
    told, heavy = json.loads(subprocess.check_output([sys.executable, "-c", asked], cwd=ROOT))
    assert told == families()
    assert not heavy


# --- the first layer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bands", [SIX, (Band.NIR, Band.RED, Band.COASTAL, Band.GREEN, Band.BLUE), (Band.NIR, Band.SWIR1)]
)
@pytest.mark.parametrize("known", [3, 6])
def test_grey_is_answered_as_before(known, bands):
    weight, image = torch.randn(8, known, 5, 5), torch.rand(2, 1, 20, 20)
    ours = rewire(weight, bands)
    seen = torch.cat([image.expand(-1, len(bands), -1, -1), torch.rand_like(image)], dim=1)
    before = functional.conv2d(image.expand(-1, known, -1, -1), weight)
    torch.testing.assert_close(functional.conv2d(seen, ours), before, rtol=1e-4, atol=1e-4)


def test_colours_go_to_their_bands_and_validity_starts_at_zero():
    rgb = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1)
    assert rewire(rgb, SIX).flatten().tolist() == pytest.approx([50, 5, 0.5, 18.5, 18.5, 18.5, 0])
    six = torch.arange(1.0, 7).view(1, 6, 1, 1, 1)
    assert rewire(six, SIX).flatten().tolist() == [1, 2, 3, 4, 5, 6, 0]


def test_a_pretrained_network_sees_grey_as_before():
    torch.manual_seed(4)
    before = timm.create_model("resnet18", features_only=True, out_indices=(0, 1, 2)).eval()
    after = build_encoder("resnet18", inputs=7, levels=3).eval()
    filled = fill(after.trunk, before.state_dict(), bands=SIX, origin="test", least=1)
    assert filled.adapted == ("conv1.weight",)
    with torch.no_grad():
        for old, new in zip(before(grey()[:, :3]), after(grey()), strict=True):
            torch.testing.assert_close(new, old, rtol=1e-3, atol=1e-4)


# --- local files ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """Of the whole small network for three bands, head and all, as timm publishes it."""
    torch.manual_seed(6)
    return timm.create_model(SMALL).state_dict()


@pytest.mark.parametrize(
    ("prefix", "form"),
    [
        ("", "plain.safetensors"),
        ("model.", "plain.safetensors"),
        ("backbone.", "plain.pt"),
        ("encoder.", "plain.pth"),
        ("module.", "nested.pth.tar"),
        ("module.encoder.body.", "nested.pth"),
    ],
)
def test_a_local_file_fills_the_encoder(tmp_path, weights, prefix, form):
    state, path = {prefix + key: value for key, value in weights.items()}, tmp_path / form
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save({"epoch": 3, "best_performance": 0.2, "state_dict": state} if "nested" in form else state, path)
    net = build_encoder(SMALL, inputs=7, levels=5, pretrained=str(path))
    assert net.filled.share == 1
    assert net.filled.missing == ()
    assert any("classifier" in key for key in net.filled.unused)
    for key, value in net.trunk.state_dict().items():
        wanted = rewire(weights[key], SIX) if key == "conv_stem.weight" else weights[key]
        assert torch.equal(value, wanted), key


def test_our_own_checkpoint_fills_the_encoder(tmp_path):
    net = build_network(NetworkConfig(encoder=SMALL, levels=4))
    safetensors.torch.save_file(net.state_dict(), tmp_path / "own.safetensors")
    again = build_encoder(SMALL, inputs=7, levels=4, pretrained=str(tmp_path / "own.safetensors"))
    assert again.filled.share == 1
    assert again.filled.adapted == ()
    assert all(map(torch.equal, again.state_dict().values(), net.encoder.state_dict().values()))


@pytest.mark.parametrize("name", ["convnext_atto", VIT])
def test_files_as_timm_publishes_them_fit_its_feature_networks(name):
    ours = build_encoder(name, inputs=7, levels=2)
    filled = fill(ours.trunk, timm.create_model(name).state_dict(), bands=SIX, origin="timm")
    assert filled.share == 1
    assert len(filled.adapted) == 1


def test_a_file_with_gaps_is_used_and_the_gaps_are_told(tmp_path, weights, caplog):
    state = {key: value for key, value in weights.items() if key != "blocks.0.0.conv_dw.weight"}
    safetensors.torch.save_file(state, tmp_path / "gap.safetensors")
    net = build_encoder(SMALL, inputs=7, levels=5, pretrained=str(tmp_path / "gap.safetensors"))
    assert 0.99 < net.filled.share < 1
    assert net.filled.missing == ("blocks.0.0.conv_dw.weight [16, 1, 3, 3]",)
    assert "blocks.0.0.conv_dw.weight" in caplog.text


def test_weights_of_another_network_are_refused_and_nothing_changes(tmp_path, weights):
    other = timm.create_model("mobilenetv3_small_075").state_dict()
    safetensors.torch.save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"missing .*\[.*unused .*\[.*wanted at least 95%"):
        build_encoder(SMALL, inputs=7, levels=5, pretrained=str(tmp_path / "other.safetensors"))
    net = build_encoder(SMALL, inputs=7, levels=5)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError):
        fill(net.trunk, other, bands=SIX, origin="other")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def write_broken(path: Path) -> None:
    if "code" in path.name:
        torch.save({"weight": Harm()}, path)
    elif "pickle" in path.name:
        path.write_bytes(pickle.dumps(Harm()))
    elif "empty" in path.name:
        torch.save({"epoch": 1}, path)
    else:
        path.write_bytes(b"not weights at all")


@pytest.mark.parametrize("name", ["code.pth", "pickle.pt", "empty.pth", "noise.pth", "noise.safetensors"])
def test_a_broken_file_is_told_and_nothing_in_it_runs(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_broken(tmp_path / name)
    with pytest.raises(DataError, match=name):
        build_encoder(SMALL, inputs=7, levels=5, pretrained=str(tmp_path / name))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("name", "pretrained", "says"),
    [
        (SMALL, "imagnet", "wanted imagenet, satlas, prithvi"),
        (SMALL, "/nowhere/file.pth", "no file of weights /nowhere/file.pth"),
        (SMALL, "satlas", "satlas:swin_v2_t"),
        (SMALL, "prithvi", "prithvi:100m"),
        ("starnet_s050", "imagenet", "timm has none"),
    ],
)
def test_weights_that_do_not_exist_are_told(name, pretrained, says):
    with pytest.raises(InputError, match=says):
        build_encoder(name, inputs=7, levels=2, pretrained=pretrained)


def test_pretrained_weights_need_to_know_the_bands():
    with pytest.raises(InputError, match="5 inputs, 6 bands"):
        build_encoder(SMALL, inputs=5, levels=2, pretrained="imagenet")


# --- published checkpoints -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "encoder_name"), [("satlas_si_swint", "satlas:swin_v2_t"), ("satlas_si_resnet50", "satlas:resnet50")]
)
def test_a_published_satlas_network_lends_its_backbone(name, encoder_name):
    torch.manual_seed(7)
    theirs = published.build(name).eval()
    torch.nn.init.zeros_(theirs.backbone.first.bias)
    ours = build_encoder(encoder_name, inputs=7, levels=3).eval()
    state = {f"module.{key}": value for key, value in theirs.state_dict().items()}
    filled = fill(ours.trunk, state, bands=SIX, origin=name)
    assert filled.share == 1
    assert len(filled.adapted) == 1
    image = torch.rand(1, 7, 64, 96)
    with torch.no_grad():
        levels = ours(image)
        wanted = theirs.backbone.backbone[0](theirs.backbone.first(image[:, :6]))
    found = [(level.shape[1], 64 // level.shape[2]) for level in levels]
    assert found == [*zip(ours.channels, ours.strides, strict=True)]
    offset = ours.strides.index(4)  # a level at stride 2 is ours alone
    for one, other in zip(levels[offset:], wanted, strict=False):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_prithvi_lends_its_encoder_and_tokens_keep_their_place():
    torch.manual_seed(8)
    theirs = Autoencoder().eval()
    ours = build_encoder("prithvi:100m", inputs=7, levels=4).eval()
    state = {f"module.backbone.model.{key}": value for key, value in theirs.state_dict().items()}
    filled = fill(ours.trunk, state, bands=SIX, origin="prithvi")
    assert filled.share == 1
    assert any("decoder_blocks" in key for key in filled.unused)
    torch.testing.assert_close(positions(14, 14), theirs.pos_embed[:, 1:])
    image = torch.rand(1, 7, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(ours.trunk(image)[-1], theirs(image[:, :6]), rtol=1e-3, atol=1e-3)
        levels = ours(image[..., :51, :75])
    assert [tuple(level.shape[1:]) for level in levels] == [(192, 13, 19), (384, 7, 10), (768, 4, 5), (768, 2, 3)]


@pytest.mark.parametrize(
    ("keys", "name"),
    [("satlas_si_swinb", "satlas:swin_v2_b"), ("satlas_si_swint", "satlas:swin_v2_t"), ("prithvi", "prithvi:100m")],
)
def test_key_lists_of_published_checkpoints_cover_the_encoder(shared, keys, name):
    table = json.loads((shared / "reference" / "keys" / f"{keys}.json").read_text())
    with torch.device("meta"):
        ours = build_encoder(name, inputs=7, levels=4)
        there = {key: torch.empty(shape) for key, shape in table.items()}
    target = ours.trunk.state_dict()
    assert set(match(target, there, inputs=7)) == set(target)


# --- downloads -----------------------------------------------------------------------------------------------------

ASK = """
import json, sys
from models.pretraining import download
for name, kind in json.loads(sys.argv[1]):
    try:
        download(name, kind)
    except Exception as error:
        print(json.dumps([type(error).__name__, str(error)]))
"""
HUB = "https://huggingface.co/"
PUBLIC = {
    (
        "mobilenetv4_conv_small",
        "imagenet",
    ): f"{HUB}timm/mobilenetv4_conv_small.e2400_r224_in1k/resolve/main/model.safetensors",
    (
        "smp:resnet18",
        "imagenet",
    ): f"{HUB}smp-hub/resnet18.imagenet/resolve/3f2325ff978283d47aa6a1d6878ca20565622683/model.safetensors",
    ("satlas:swin_v2_t", "imagenet"): "https://download.pytorch.org/models/swin_v2_t-b137f0e2.pth",
    ("satlas:swin_v2_b", "satlas"): f"{HUB}allenai/satlas-pretrain/resolve/main/sentinel2_swinb_si_rgb.pth",
    ("prithvi:100m", "prithvi"): f"{HUB}ibm-nasa-geospatial/Prithvi-EO-1.0-100M/resolve/main/Prithvi_EO_V1_100M.pt",
}


def test_without_a_network_the_way_out_is_told(tmp_path):
    """The hub is told to stay offline; all else meets a proxy on the loopback that refuses every call."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{unused.getsockname()[1]}"
        home = {"HF_HOME": str(tmp_path / "hf"), "TORCH_HOME": str(tmp_path / "torch"), "HF_HUB_OFFLINE": "1"}
        proxies = {"HTTPS_PROXY": proxy, "https_proxy": proxy, "HTTP_PROXY": proxy, "NO_PROXY": "", "no_proxy": ""}
        told = subprocess.run(
            [sys.executable, "-c", ASK, json.dumps(list(PUBLIC))],
            cwd=ROOT,
            env={**os.environ, **home, **proxies},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    answers = [json.loads(line) for line in told.splitlines()]
    assert len(answers) == len(PUBLIC)
    for (kind, message), ((name, pretraining), url) in zip(answers, PUBLIC.items(), strict=True):
        assert kind == AccessError.__name__, message
        assert f"{pretraining} for {name} cannot be downloaded" in message
        assert f"Fetch {url} " in message
        assert "--pretrained FILE" in message
