"""The neural masker as a user meets it: any bands in any order, any size, no data, threads, too little memory."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.cards import Card, load_weights, read_card, write_weights
from models.devices import BF16_TOLERANCE, PlacedNetwork
from models.folding import fold_norms
from models.masker import load_masker
from models.multitask import NetworkConfig, build_network
from ssc.bands import SIX, Band, Product
from ssc.errors import BandError, DataError, InputError
from ssc.masks import Mask
from tinymasker import write_card


@pytest.fixture(scope="module")
def card_path(tmp_path_factory):
    return write_card(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="module")
def masker(card_path):
    return load_masker(card_path, device="cpu", precision="fp32")


def image(height=64, width=56, seed=1):
    """Reflectance with a dark river through brighter land."""
    rng = np.random.default_rng(seed)
    reflectance = rng.uniform(0.02, 0.35, (6, height, width)).astype(np.float32)
    reflectance[:, :, width // 3 : width // 2] *= 0.2
    return reflectance


# what it answers


def test_probabilities_are_the_networks_own_calibrated(tmp_path):
    """One window, so nothing is blended: sigmoid(logit / temperature + bias) by hand."""
    temperatures = dict(zip(Mask, (1.0, 2.0, 0.5, 1.5, 3.0), strict=True))
    biases = dict(zip(Mask, (0.0, 0.3, -0.2, 1.0, -1.0), strict=True))
    path = write_card(tmp_path, temperatures=temperatures, biases=biases)
    card, weights = read_card(path)
    network = build_network(NetworkConfig.from_dict(card.architecture)).eval()
    network.load_state_dict(load_weights(card, weights))
    reflectance = image()
    with torch.inference_mode():
        logits = network(torch.from_numpy(reflectance)[None])[0].numpy()
    scale, shift = (np.array(list(table.values()))[:, None, None] for table in (temperatures, biases))
    found = load_masker(path, device="cpu", precision="fp32")(reflectance, bands=SIX, product=Product.L30)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-(logits / scale + shift))), atol=1e-4)


def test_name_halo_and_thresholds_are_the_cards(tmp_path):
    thresholds = dict(zip(Mask, (0.3, 0.45, 0.25, 0.6, 0.1), strict=True))
    masker = load_masker(write_card(tmp_path, "mine", thresholds=thresholds, halo=16))
    assert (masker.name, masker.halo, masker.card.name) == ("mine", 16, "mine")
    assert masker.thresholds.dtype == np.float32
    np.testing.assert_allclose(masker.thresholds, [0.3, 0.45, 0.25, 0.6, 0.1])


def test_a_mask_the_network_does_not_know_is_nowhere(tmp_path):
    tasks = (Mask.CLOUD_SHADOW, Mask.WATER)
    masker = load_masker(write_card(tmp_path, config={"tasks": tasks}), precision="fp32")
    all_five = load_masker(write_card(tmp_path / "five"), precision="fp32")
    found = masker(image(), bands=SIX)
    assert found[Mask.WATER].std() > 0
    assert found[Mask.CLOUD_SHADOW].std() > 0
    unknown = [Mask.CLOUD, Mask.SNOW_ICE, Mask.TERRAIN_SHADOW]
    assert (found[unknown] == 0).all()
    assert not (found[unknown] > masker.thresholds[unknown][:, None, None]).any()
    assert all_five(image(), bands=SIX).shape == found.shape


def test_bands_in_any_order_and_others_beside_them(masker):
    reflectance = image()
    plain = masker(reflectance, bands=SIX, product=Product.S30)
    shuffled = [Band.SWIR2, Band.RED_EDGE1, Band.NIR, Band.BLUE, Band.COASTAL, Band.RED, Band.SWIR1, Band.GREEN]
    stack = np.full((8, *reflectance.shape[1:]), np.nan, np.float32)  # what is not needed may be missing
    for place, band in enumerate(shuffled):
        if band in SIX:
            stack[place] = reflectance[SIX.index(band)]
    np.testing.assert_array_equal(masker(stack, bands=[band.value for band in shuffled], product="S30"), plain)
    np.testing.assert_array_equal(masker(reflectance.astype(np.float64), bands=SIX), plain)


def test_order_of_bands_matters_to_the_network(masker):
    """Else the test above could not fail."""
    reflectance = image()
    assert np.abs(masker(reflectance, bands=SIX) - masker(reflectance, bands=SIX[::-1])).max() > 0.01


def test_no_data_in_is_nan_out_and_nothing_else_is(masker):
    reflectance = image()
    reflectance[3, 10:20, :] = np.nan
    reflectance[0, 40, 40] = np.inf
    found = masker(reflectance, bands=SIX)
    unknown = ~np.isfinite(reflectance).all(axis=0)
    np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(unknown, found.shape))
    assert not (found[:, unknown] > masker.thresholds[:, None]).any()
    assert np.isnan(masker(np.full((6, 20, 20), np.nan, np.float32), bands=SIX)).all()


@given(height=st.integers(1, 40), width=st.integers(1, 40))
@settings(deadline=None, max_examples=15)
def test_any_size(masker, height, width):
    found = masker(image(height, width), bands=SIX)
    assert found.shape == (5, height, width)
    assert ((found >= 0) & (found <= 1)).all()


def test_a_wide_image_has_no_seams(tmp_path):
    """One level of the encoder: a view of 12 px, so a halo of 16 must give what the whole image at once gives."""
    config = {"levels": 1}
    whole = load_masker(write_card(tmp_path, "whole", config=config, halo=16, window=160), precision="fp32")
    pieces = load_masker(write_card(tmp_path, "pieces", config=config, halo=16, window=80), precision="fp32")
    reflectance = image(150, 130)
    once = whole(reflectance, bands=SIX)
    np.testing.assert_allclose(pieces(reflectance, bands=SIX), once, atol=1e-4)
    cut = pieces(reflectance[:, 33:, 21:], bands=SIX, origin=(33, 21))
    np.testing.assert_allclose(cut[:, 16:, 16:], once[:, 49:, 37:], atol=1e-4)


def test_only_what_is_wanted(masker):
    reflectance = image(200, 40)
    wanted = np.zeros((200, 40), bool)
    wanted[150:160, 5:9] = True
    found = masker(reflectance, bands=SIX, wanted=wanted)
    np.testing.assert_allclose(found[:, wanted], masker(reflectance, bands=SIX)[:, wanted], atol=1e-6)
    assert np.isnan(found[:, ~wanted]).all()


def test_bf16_keeps_to_its_tolerance(card_path, masker):
    reflectance = image()
    rough = load_masker(card_path, device="cpu", precision="bf16")(reflectance, bands=SIX)
    difference = np.abs(rough - masker(reflectance, bands=SIX))
    assert 0 < difference.max() < BF16_TOLERANCE
    assert difference.mean() < 0.01


def test_threads_share_one(masker):
    images = [image(seed=seed) for seed in range(6)]
    alone = [masker(each, bands=SIX) for each in images]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda each: masker(each, bands=SIX), images))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("encoder", ["mobilenetv4_conv_small_050", "resnet18"])
def test_folded_norms_change_no_number_and_are_gone(encoder):
    torch.manual_seed(3)
    network = build_network(NetworkConfig(encoder=encoder, levels=3, width=8, detail=8)).eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        for tensor, low, high in ((norm.weight, 0.5, 2), (norm.bias, -1, 1), (norm.running_mean, -1, 1)):
            nn.init.uniform_(tensor, low, high)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    reflectance = torch.from_numpy(image())[None]
    with torch.inference_mode():
        before = network(reflectance)
        fold_norms(network)
        after = network(reflectance)
    assert before.std() > 0.1
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3 * float(before.std()))
    left = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(left) < len(norms) / 2 or encoder == "resnet18"
    assert not [module for module in network.decoder.modules() if isinstance(module, nn.BatchNorm2d)]


# what it refuses


def test_a_missing_band_is_named(masker):
    with pytest.raises(BandError, match="no band swir1 for masker tiny"):
        masker(image()[[0, 1, 2, 3, 5]], bands=[band for band in SIX if band is not Band.SWIR1])


def test_bands_that_do_not_exist(masker, tmp_path):
    with pytest.raises(BandError, match="no band 'ultraviolet'"):
        masker(image(), bands=["ultraviolet", *SIX[1:]])
    needs_edge = load_masker(write_card(tmp_path, config={"bands": (*SIX, Band.RED_EDGE1)}))
    with pytest.raises(BandError, match="no band red_edge1 in product L30"):
        needs_edge(np.concatenate([image(), image()[:1]]), bands=[*SIX, Band.RED_EDGE1], product=Product.L30)
    with pytest.raises(InputError, match="no product 'L50'"):
        masker(image(), bands=SIX, product="L50")


@pytest.mark.parametrize(
    ("reflectance", "message"),
    [
        (image()[0], "shape"),
        (image()[:5], "5, 64, 56.* with 6 bands"),
        (image()[None], "shape"),
        (image()[:, :0], "shape"),
        ((image() * 10_000).astype(np.int16), "int16, wanted float32"),
        (image() * 10_000, "median of .* multiply digital numbers by 0.0001"),
        (np.where(image() < 0.05, np.float32(-0.9999), image()), "found fill -0.9999, wanted NaN"),
        (np.where(image() < 0.05, np.float32(-9999), image()), "found fill -9999, wanted NaN"),
    ],
)
def test_what_is_no_reflectance_is_refused(masker, reflectance, message):
    with pytest.raises(InputError, match=message):
        masker(reflectance, bands=SIX)


def test_calls_that_make_no_sense(masker):
    with pytest.raises(InputError, match="named twice"):
        masker(image(), bands=[*SIX[:5], SIX[0]])
    with pytest.raises(InputError, match="wanted bool"):
        masker(image(), bands=SIX, wanted=np.ones((3, 3), bool))


def test_cards_and_devices_that_do_not_exist(card_path, tmp_path):
    with pytest.raises(InputError, match="no card"):
        load_masker(tmp_path / "absent.json")
    for settings_, message in (
        ({"device": "abacus"}, "wanted one of auto cpu cuda mps"),
        ({"precision": "int4"}, "precision 'int4'"),
        ({"batch": 0}, "batch 0"),
    ):
        with pytest.raises(InputError, match=message):
            load_masker(card_path, **settings_)


def test_weights_that_do_not_fit_their_card(card_path, tmp_path):
    card, weights = read_card(card_path)
    tensors = load_weights(card, weights)
    other = card.architecture | {"width": 12}
    write_weights(tmp_path, replace(card, name="other", architecture=other), tensors)
    with pytest.raises(DataError, match="weights of other do not fit"):
        load_masker(tmp_path / "other.json")
    fewer = card.architecture | {"tasks": ["WATER"]}
    write_weights(tmp_path, replace(card, name="fewer", architecture=fewer), tensors)
    with pytest.raises(DataError, match="other tasks or bands"):
        load_masker(tmp_path / "fewer.json")


# published networks


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A published network with random weights behind a card: (card's path, network)."""
    from models.published import build

    torch.manual_seed(5)
    network = build("mobilenetv3").eval()
    folder = tmp_path_factory.mktemp("published")
    card = Card(
        name="published-mobilenetv3",
        description="Random weights for tests.",
        family="published",
        architecture={"backbone": "mobilenetv3"},
        bands=SIX,
        scaling="published-crop",
        tasks=tuple(Mask),
        thresholds=dict.fromkeys(Mask, 0.5),
        halo=64,
        window=512,
        licence="none",
    )
    write_weights(folder, card, network.state_dict())
    return folder / "published-mobilenetv3.json", network


def test_a_published_network_is_fed_as_published_and_its_sun_turned_to_shadow(published):
    from models.published.preparation import prepare_crop

    path, network = published
    numbers = np.random.default_rng(4).integers(100, 4000, (6, 512, 512)).astype(np.int16)
    numbers[:, :40, :30] = -9999
    prepared = prepare_crop(numbers.transpose(1, 2, 0))
    with torch.inference_mode():
        wanted = {task: found[0, 0].numpy() for task, found in network(torch.from_numpy(prepared)[None]).items()}
    reflectance = np.where(numbers == -9999, np.float32(np.nan), numbers * np.float32(0.0001))
    found = load_masker(path, device="cpu")(reflectance, bands=SIX, product=Product.L30)
    seen = numbers[0] != -9999
    for mask, task in ((Mask.WATER, "water_mask"), (Mask.CLOUD, "cloud_mask"), (Mask.CLOUD_SHADOW, "cloudshadow_mask")):
        np.testing.assert_allclose(found[mask][seen], wanted[task][seen], atol=1e-5)
    np.testing.assert_allclose(found[Mask.TERRAIN_SHADOW][seen], 1 - wanted["sun_mask"][seen], atol=1e-5)
    assert np.isnan(found[:, ~seen]).all()


def test_a_published_network_gets_its_own_size_whatever_the_image(published):
    path, _ = published
    found = load_masker(path, device="cpu")(image(30, 540), bands=SIX)
    assert found.shape == (5, 30, 540)
    assert ((found >= 0) & (found <= 1)).all()


# memory


class Greedy(nn.Module):
    """Averages the bands of a window; has memory for so many windows at a time."""

    def __init__(self, room, error=torch.OutOfMemoryError):
        super().__init__()
        self.room, self.error, self.seen = room, error, []

    def forward(self, x):
        if len(x) > self.room:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.seen.append(len(x))
        return x.mean(dim=1, keepdim=True)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_too_large_a_batch_is_halved_and_stays_so(error):
    network = Greedy(room=2, error=error)
    placed = PlacedNetwork(network, device="cpu", precision="fp32", batch=8)
    chips = np.random.default_rng(0).uniform(0, 1, (8, 3, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(placed(chips), chips.mean(axis=1, keepdims=True), atol=1e-6)
    assert network.seen == [2, 2, 2, 2]
    assert placed.batch((3, 4, 4)) == 2


def test_no_room_for_one_window_is_said():
    placed = PlacedNetwork(Greedy(room=0), device="cpu", precision="fp32", batch=4)
    with pytest.raises(InputError, match=r"out of memory on cpu.* 5 x 4 px.*use device cpu"):
        placed(np.zeros((4, 3, 5, 4), np.float32))


def test_other_failures_of_a_network_are_not_taken_for_memory():
    placed = PlacedNetwork(nn.Conv2d(2, 1, 1), device="cpu", precision="fp32", batch=4)
    with pytest.raises(RuntimeError, match="channels"):
        placed(np.zeros((4, 3, 5, 4), np.float32))


def test_a_card_is_enough_to_load_by_and_shows_what_it_is(card_path):
    """The card alone, as JSON, names everything the answer depends on."""
    plain = json.loads(card_path.read_text())
    masker = load_masker(str(card_path))
    assert plain["sha256"] == masker.card.sha256
    assert plain["thresholds"] == {mask.name: float(masker.thresholds[mask]) for mask in Mask}
