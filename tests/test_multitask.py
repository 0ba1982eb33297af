"""The masking network: as ever for fixed bands; for any bands the same network behind other first layers."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest
import torch
import torch.distributed
from torch.nn.parallel import DistributedDataParallel

from models.bandtable import BandTable, table_of
from models.multitask import MultiTaskNet, NetworkConfig, bake, build_network, warm_started
from models.stems import stems_of
from ssc.bands import CODES, SIX, Band, Product, Sensor, responses
from ssc.errors import InputError

FIXED = NetworkConfig(encoder="mobilenetv4_conv_small_050", levels=3, width=8, detail=8)
SPECTRAL = replace(FIXED, stem="spectral", bands=tuple(Band))
THIRTEEN = tuple(CODES[Product.S30])


def network_of(config: NetworkConfig, seed: int = 3) -> MultiTaskNet:
    torch.manual_seed(seed)
    return build_network(config).eval()


def light(count: int = 6, images: int = 1) -> torch.Tensor:
    """Reflectance of a size that no stride divides, with a hole without data."""
    found = 0.5 * torch.rand(images, count, 43, 50, generator=torch.Generator().manual_seed(count))
    found[..., 5:15, 20:] = torch.nan
    return found


def far(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Largest difference, as a share of how much the wanted varies."""
    return float((found - wanted).abs().max() / wanted.std())


# --- fixed bands ---------------------------------------------------------------------------------------------------


def test_a_network_for_fixed_bands_is_what_it_was_before_there_were_others():
    """Sums of all weights and answers, and the next random number, as written down before."""
    net = network_of(FIXED)
    values = [value.double() for value in net.state_dict().values()]
    image = torch.linspace(0, 0.6, 6 * 40 * 48).view(1, 6, 40, 48).clone()
    image[:, 2, 5:9, 7:20] = torch.nan
    with torch.no_grad():
        logits = net(image).double()
        assert torch.equal(net(image, table_of([responses(Sensor.OLI, SIX)])).double(), logits)
    assert len(values) == 333
    assert float(sum(value.sum() for value in values)) == pytest.approx(11359.222438964469, rel=1e-6)
    assert float(sum(value.abs().sum() for value in values)) == pytest.approx(52696.029623315306, rel=1e-6)
    assert [logits.sum().item(), logits.square().sum().item()] == pytest.approx([366.860742, 437.516535], rel=1e-4)
    assert torch.rand(1).item() == pytest.approx(0.7406049966812134)


def test_cards_of_fixed_networks_stay_as_they_are():
    plain = json.loads(json.dumps(FIXED.as_dict()))
    assert [*plain] == ["encoder", "levels", "width", "detail", "tasks", "bands"]
    assert NetworkConfig.from_dict(plain) == FIXED


@pytest.mark.parametrize("stem", ["spectral", "permutational"])
def test_cards_tell_the_stem(stem):
    config = replace(SPECTRAL, stem=stem)
    plain = json.loads(json.dumps(config.as_dict()))
    assert plain["stem"] == stem
    assert NetworkConfig.from_dict(plain) == config


def test_an_unknown_stem_is_refused():
    with pytest.raises(InputError, match="wanted one of fixed spectral permutational"):
        NetworkConfig.from_dict({"stem": "liquid"})


# --- any bands -----------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_baked_network_is_a_plain_one_with_the_same_answers():
    """At the image's border and beside holes too; in any order of the bands."""
    net = network_of(SPECTRAL)
    for sensor, bands in ((Sensor.OLI, SIX), (Sensor.MSI, THIRTEEN), (Sensor.MSI, SIX[::-1][:3])):
        row = responses(sensor, bands)
        plain = bake(net, row, bands)
        image = light(len(bands), images=2)
        assert far(plain(image), net(image, table_of([row, row]))) < 1e-5
        assert plain.config == replace(FIXED, bands=bands)
        again = network_of(plain.config, seed=9)
        again.load_state_dict(plain.state_dict())
        assert torch.equal(again(image), plain(image))
    assert stems_of(net)  # it stayed as it was


@torch.no_grad()
def test_images_of_different_bands_go_through_one_batch():
    net = network_of(SPECTRAL)
    rows = [responses(Sensor.OLI, SIX), responses(Sensor.MSI, THIRTEEN), responses(Sensor.TM, SIX[:4])]
    image = light(13, images=3)
    together = net(image, table_of(rows))
    for index, row in enumerate(rows):
        alone = net(image[index : index + 1, : len(row)], table_of([row]))
        assert far(together[index : index + 1], alone) < 1e-5


@pytest.mark.parametrize(("config", "count"), [(FIXED, 6), (replace(SPECTRAL, stem="permutational"), 6), (SPECTRAL, 5)])
def test_only_spectral_networks_are_baked_and_for_bands_that_have_responses(config, count):
    with pytest.raises(InputError, match="wanted a spectral stem and a response for each band"):
        bake(network_of(config), responses(Sensor.OLI, SIX), SIX[:count])


@pytest.mark.parametrize("stem", ["spectral", "permutational"])
def test_a_network_for_any_bands_wants_to_know_them(stem):
    with pytest.raises(InputError, match="found no table of bands"):
        network_of(replace(SPECTRAL, stem=stem))(light())


@pytest.mark.parametrize("stem", ["spectral", "permutational"])
def test_training_reaches_every_weight_of_the_stems_and_leaves_the_network_copyable(stem):
    net = network_of(replace(SPECTRAL, stem=stem)).train()
    table = table_of([responses(Sensor.OLI, SIX), responses(Sensor.MSI, THIRTEEN)], places=14)
    net(light(14, images=2), table).square().mean().backward()
    assert len(stems_of(net)) == 2
    for layer in stems_of(net).values():
        for weight in layer.parameters():
            assert weight.grad.isfinite().all()
            assert weight.grad.any()
    twin = copy.deepcopy(net).eval()
    with torch.no_grad():
        assert torch.equal(twin(light(14, images=2), table), net.eval()(light(14, images=2), table))


def test_parallel_training_in_half_precision_gives_the_same_slopes(tmp_path):
    """DDP with its static graph, as `models.train` uses it, over two steps with different bands."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        net = network_of(SPECTRAL).train()
        parallel = DistributedDataParallel(copy.deepcopy(net), static_graph=True)
        for sensors in ((Sensor.OLI, Sensor.MSI), (Sensor.MSI, Sensor.MSI)):
            table = table_of([responses(sensor, SIX) for sensor in sensors])
            with torch.autocast("cpu", torch.bfloat16):
                losses = [made(light(images=2), table).float().square().mean() for made in (net, parallel)]
            for loss in losses:
                loss.backward()
            assert torch.equal(*losses)
        one, other = (made.get_submodule("detail.0.0").head.weight.grad for made in (net, parallel.module))
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other)
    finally:
        torch.distributed.destroy_process_group()


# --- warm start ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_network_for_any_bands_begins_as_a_trained_one_for_six():
    fixed = network_of(FIXED)
    for value in fixed.buffers():  # statistics as after training
        value.copy_(value + 0.1 * torch.rand_like(value.float()).to(value.dtype))
    net = warm_started(SPECTRAL, fixed).eval()
    wanted = fixed(light())
    assert net.config == SPECTRAL
    for sensor in (Sensor.OLI, Sensor.MSI):
        assert far(net(light(), table_of([responses(sensor, SIX)])), wanted) < 1e-4
    assert far(net(light(), table_of([responses(Sensor.OLI, SIX[::-1])])), wanted) > 0.01


@torch.no_grad()
def test_it_begins_as_one_for_the_bands_of_one_sensor():
    bands = (Band.RED_EDGE1, Band.NIR, Band.GREEN)
    fixed = network_of(replace(FIXED, bands=bands))
    net = warm_started(SPECTRAL, fixed).eval()
    assert far(net(light(3), table_of([responses(Sensor.MSI, bands)])), fixed(light(3))) < 1e-4


@pytest.mark.parametrize("config", [FIXED, replace(SPECTRAL, stem="permutational"), replace(SPECTRAL, width=16)])
def test_other_networks_cannot_begin_as_it(config):
    with pytest.raises(InputError, match="the same but for a spectral stem"):
        warm_started(config, network_of(FIXED))


def test_places_empty_in_the_whole_batch_cost_nothing_and_change_nothing():
    net, row = network_of(SPECTRAL), responses(Sensor.OLI, SIX)
    table = table_of([row], places=14)
    assert table.present.sum() == 6
    with torch.no_grad():
        found = net(torch.cat([light(), torch.full((1, 8, 43, 50), 1e6)], dim=1), table)
        assert torch.equal(found, net(light(), BandTable(table.numbers[:, :6], table.present[:, :6])))
