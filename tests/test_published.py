"""The nine published networks: layout, weights rule, and the same masks as the reference."""

from __future__ import annotations

import copy
import hashlib
import json

import numpy as np
import pytest
import torch

from goldenweights import network_input, rule, weights
from models.published import FACTS, NAMES, TASKS, build, facts_of
from ssc.errors import InputError

FLOAT32, FLOAT64 = 1e-4, 1e-7
IN_DOUBLE = [name for name in NAMES if name not in {"satlas_si_resnet50", "satlas_si_swinb"}]
"""These two take half a minute each, and are made of the parts of satlas_si_swint and of torchvision."""
CHEAP_AT_768 = ["mobilenetv3", "deeplabv3p", "swint"]
UP_TO_ONE_PIXEL = {"segnet"}
"""A rounding error moves a pooling index to the next pixel: strict in float64 only."""


@pytest.fixture(scope="module", params=NAMES)
def network(request):
    """Each network once, with golden weights."""
    model = build(request.param).eval()
    model.load_state_dict(weights(model.state_dict()))
    return model


def sampled(maps):
    return torch.cat([maps[task] for task in maps])[:, 0, 8::16, 8::16].numpy()


def golden(shared, name, size):
    return np.load(shared / f"reference/golden/models/{name}_{size}.npz")


# The same numbers as the reference


def test_keys_shapes_and_order_are_those_of_the_checkpoints(shared, network):
    wanted = json.loads((shared / f"reference/keys/{network.name}.json").read_text())
    found = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    assert found == wanted
    assert list(found) == list(wanted)
    assert sum(p.numel() for p in network.parameters()) == FACTS[network.name].parameters


def test_weights_follow_the_rule(shared, network):
    wanted = json.loads((shared / "reference/golden/weights_check.json").read_text())[network.name]
    for key, tensor in network.state_dict().items():
        shape, line, first, total = wanted[key]
        assert (list(tensor.shape), rule(key, tensor)) == (shape, line), key
        values = tensor.double()
        assert values.flatten()[0].item() == pytest.approx(first, rel=1e-7, abs=1e-9), key
        assert values.sum().item() == pytest.approx(total, rel=1e-7, abs=1e-6), key


@pytest.mark.parametrize("size", [512, 768])
def test_input_follows_the_rule(shared, size):
    wanted = json.loads((shared / "reference/golden/models.json").read_text())["input"][str(size)]
    assert hashlib.sha256(network_input(size).numpy().tobytes()).hexdigest() == wanted["sha256_c_order_little_endian"]


@pytest.mark.parametrize(
    ("network", "size"),
    [*((name, 512) for name in NAMES), *((name, 768) for name in CHEAP_AT_768)],
    indirect=["network"],
)
def test_probabilities_are_those_of_the_reference(shared, network, size):
    with torch.inference_mode():
        maps = network(network_input(size))
    assert tuple(maps) == TASKS
    assert all(map_.shape == (1, 1, size, size) for map_ in maps.values())
    off = np.abs(sampled(maps) - golden(shared, network.name, size)["prob"])
    if network.name in UP_TO_ONE_PIXEL:
        assert np.mean(off <= FLOAT32) >= 0.9
        assert off.max() <= 0.02
    else:
        assert off.max() <= FLOAT32


@pytest.mark.parametrize("network", IN_DOUBLE, indirect=True)
def test_logits_in_double_precision_are_those_of_the_reference(shared, network):
    """One head is enough: the five are one class, and float32 judges them all."""
    double = copy.deepcopy(network).double()
    double.decoders = torch.nn.ModuleDict({TASKS[0]: double.decoders[TASKS[0]]})
    with torch.inference_mode():
        logit = sampled(double.logits(network_input(512).double()))[0]
    wanted = golden(shared, network.name, 512)
    assert np.abs(logit - wanted["logit_float64"][0]).max() <= 10 * FLOAT64
    assert np.abs(1 / (1 + np.exp(-logit)) - wanted["prob_float64"][0]).max() <= FLOAT64


# Behaviour


def test_the_same_input_gives_the_same_masks(network):
    """The published prithvi shuffles its tokens anew on every call; any state of the random generator must do."""
    side = max(96, FACTS[network.name].sizes.least)
    x = torch.rand(1, 6, side, side)
    with torch.inference_mode():
        torch.manual_seed(1)
        first = network.backbone(x)
        torch.manual_seed(2)
        assert torch.equal(network.backbone(x), first)


@pytest.mark.parametrize("network", ["prithvi"], indirect=True)
def test_tokens_of_prithvi_stay_where_their_patch_is(network):
    """A change in the lower right corner of the image changes the lower right token most."""
    x = network_input(512)
    other = x.clone()
    other[..., 480:, 480:] = 1 - other[..., 480:, 480:]
    with torch.inference_mode():
        change = (network.backbone(other) - network.backbone(x)).abs().mean(dim=(0, 1))
    assert divmod(int(change.argmax()), 14) == (13, 13)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mobilenetv3", (33, 70)),
        ("mobilenetv3", (16, 16)),
        ("deeplabv3p", (64, 48)),
        ("segnet", (32, 64)),
        ("satlas_si_resnet50", (33, 70)),
        ("satlas_si_swint", (50, 64)),
        ("swint", (72, 100)),
    ],
)
def test_maps_come_at_the_size_of_the_input(name, size):
    with torch.inference_mode():
        maps = build(name).eval()(torch.rand(2, 6, *size))
    assert {map_.shape for map_ in maps.values()} == {(2, 1, *size)}
    assert all(((map_ >= 0) & (map_ <= 1)).all() for map_ in maps.values())


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("mobilenetv3", (1, 3, 64, 64), r"wanted \(B, 6, H, W\)"),
        ("mobilenetv3", (6, 64, 64), r"wanted \(B, 6, H, W\)"),
        ("mobilenetv3", (1, 6, 64, 8), "any size from 16 px"),
        ("deeplabv3p", (1, 6, 64, 72), "64x72 px, wanted multiples of 16 from 16 px"),
        ("segnet", (1, 6, 48, 64), "multiples of 32"),
        ("swint", (1, 6, 64, 64), "any size from 72 px"),
        ("vitb16", (1, 6, 768, 768), "exactly 512 px"),
        ("prithvi", (1, 6, 224, 224), "exactly 512 px"),
    ],
)
def test_an_input_no_network_can_take_is_refused(name, shape, message):
    with pytest.raises(InputError, match=message):
        build(name).eval()(torch.rand(shape))


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"no published network 'unet'.*deeplabv3p.*prithvi"):
        build("unet")
    with pytest.raises(InputError, match="no published network 'vitl16'"):
        facts_of("vitl16")


def test_random_weights_can_be_trained():
    """Every parameter that has a say in the masks gets a gradient."""
    model = build("mobilenetv3")
    loss = sum(map_.mean() for map_ in model(torch.rand(2, 6, 32, 32)).values())
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_position_embedding_of_prithvi_tells_places_apart():
    model = build("prithvi").backbone.model
    assert not model.pos_embed[0, 0].any()
    assert torch.cdist(model.pos_embed, model.pos_embed)[0].fill_diagonal_(9).min() > 0.1
    assert not model.pos_embed.requires_grad


# Facts


def test_facts_are_complete_and_agree_with_each_other():
    assert len(NAMES) == 9
    for name, facts in FACTS.items():
        assert facts.thresholds is None or len(facts.thresholds) == len(TASKS), name
        scores = (facts.water_f1, facts.cloud_f1, facts.shadow_f1, facts.clear_f1)
        assert all(score is None or 0 <= score <= 100 for score in scores), name
    assert [name for name, facts in FACTS.items() if facts.thresholds is None] == ["swint"]
    assert max(NAMES, key=lambda name: FACTS[name].water_f1 or 0) == "satlas_si_swint"
    assert min(NAMES, key=lambda name: FACTS[name].seconds or 99) == "mobilenetv3"
