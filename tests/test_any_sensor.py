"""One masker for any bands, as a user meets it: the unbaked network's answers, in any order, from any sensor, as files.

Every answer is held against the network itself, unbaked and told what its bands see.
"""

from __future__ import annotations

import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
import torch

from flows.cli import main
from models.any_sensor import KEPT, AnySensor
from models.bandtable import table_of
from models.cards import load_weights, read_card
from models.devices import BF16_TOLERANCE, PlacedNetwork
from models.masker import load_masker
from models.multitask import NetworkConfig, bake, build_network
from ssc.bands import CODES, SIX, Band, Product, Sensor, responses
from ssc.errors import BandError, InputError
from ssc.granules import find
from ssc.masks import Mask
from tasks.maskers import names, open_masker
from tinymasker import write_card

ALL_S30, ALL_L30 = (tuple(band for band in Band if band in CODES[product]) for product in (Product.S30, Product.L30))
VISIBLE = (Band.BLUE, Band.GREEN, Band.RED, Band.NIR)


@pytest.fixture(scope="module")
def card_path(tmp_path_factory):
    return spectral_card(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="module")
def masker(card_path):
    return load_masker(card_path, device="cpu", precision="fp32")


def spectral_card(folder, name="any", *, stem="spectral", bands=tuple(Band), **fields):
    temperatures = dict(zip(Mask, (1.0, 2.0, 0.5, 1.5, 3.0), strict=True))
    return write_card(folder, name, config={"stem": stem, "bands": bands}, temperatures=temperatures, **fields)


def image(bands, height=64, width=56, seed=1):
    """Reflectance with a dark river through brighter land; a band is the same in whatever company."""
    rng = np.random.default_rng(seed)
    everything = rng.uniform(0.02, 0.35, (len(Band), height, width)).astype(np.float32)
    everything[:, :, width // 3 : width // 2] *= 0.2
    return everything[[list(Band).index(band) for band in bands]]


def unbaked(card_path, reflectance, bands, of):
    """Calibrated probabilities of the network itself, with its stem told what the bands see."""
    card, weights = read_card(card_path)
    network = build_network(NetworkConfig.from_dict(card.architecture)).eval()
    network.load_state_dict(load_weights(card, weights))
    with torch.inference_mode():
        logits = network(torch.from_numpy(reflectance)[None], table_of([responses(of, bands)]))[0].numpy()
    scale, shift = (np.array(list(table.values()))[:, None, None] for table in (card.temperatures, card.biases))
    return 1 / (1 + np.exp(-(logits / scale + shift)))


# what it answers


@pytest.mark.parametrize(
    ("bands", "of"),
    [
        (ALL_S30, Product.S30),
        (ALL_L30, Product.L30),
        (SIX, Product.S30),
        (SIX, Product.L30),
        (SIX, Sensor.TM),
        (VISIBLE, Product.S30),
        ((Band.RED_EDGE1, Band.NIR_BROAD, Band.CIRRUS), Product.S30),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else f"{len(value)} bands",
)
def test_the_same_weights_answer_for_any_bands_as_the_network_does_unbaked(masker, card_path, bands, of):
    reflectance = image(bands)
    found = masker(reflectance, bands=bands, product=of)
    assert found.shape == (5, 64, 56)
    assert found.std() > 0.01
    np.testing.assert_allclose(found, unbaked(card_path, reflectance, bands, of), atol=1e-5)


def test_the_slides_network_answers_too_though_it_cannot_be_baked(tmp_path):
    path = spectral_card(tmp_path, "slides", stem="permutational")
    masker = load_masker(path, device="cpu", precision="fp32")
    for bands in (VISIBLE, SIX):
        found = masker(image(bands), bands=bands, product=Product.S30)
        assert found.std() > 0.01
        np.testing.assert_allclose(found, unbaked(path, image(bands), bands, Product.S30), atol=1e-5)


def test_bands_in_any_order_give_the_same_to_the_bit(masker):
    shuffled = [ALL_S30[place] for place in np.random.default_rng(0).permutation(len(ALL_S30))]
    plain = masker(image(ALL_S30), bands=ALL_S30, product=Product.S30)
    np.testing.assert_array_equal(masker(image(shuffled), bands=[*map(str, shuffled)], product="S30"), plain)
    assert masker.bands_used(shuffled, "S30") == ALL_S30


def test_what_bands_see_and_which_there_are_decides(masker):
    """Else the tests above could not fail."""
    as_landsat = masker(image(SIX), bands=SIX, product=Product.L30)
    assert np.abs(masker(image(SIX), bands=SIX, product=Product.S30) - as_landsat).max() > 1e-4
    assert np.abs(masker(image(ALL_L30), bands=ALL_L30, product=Product.L30) - as_landsat).max() > 1e-3


def test_bands_of_nobody_in_particular_are_taken_for_landsats(masker):
    np.testing.assert_array_equal(masker(image(SIX), bands=SIX), masker(image(SIX), bands=SIX, product="oli"))
    assert masker.bands_used(ALL_S30) == ALL_S30


def test_a_pixel_that_lacks_any_used_band_has_no_answer_and_no_other_pixel_suffers(tmp_path):
    masker = load_masker(spectral_card(tmp_path, bands=ALL_L30), device="cpu", precision="fp32")
    reflectance = image((*ALL_L30, Band.RED_EDGE1))
    reflectance[1, 10:20] = np.nan
    reflectance[5, 40, 40] = np.inf
    reflectance[-1] = -9999  # a band that the network does not know may hold anything
    found = masker(reflectance, bands=(*ALL_L30, Band.RED_EDGE1))
    lacking = ~np.isfinite(reflectance).all(axis=0)
    assert masker.bands_used((*ALL_L30, Band.RED_EDGE1)) == ALL_L30
    np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(lacking, found.shape))
    with pytest.raises(InputError, match="found fill -9999"):
        masker(np.where(reflectance < 0.05, np.float32(-9999), reflectance), bands=(*ALL_L30, Band.RED_EDGE1))


def test_for_six_bands_it_is_a_network_for_fixed_bands(masker, tmp_path):
    """Layer by layer the same work, so the same time."""
    fixed = load_masker(write_card(tmp_path), device="cpu", precision="fp32")
    baked = masker.network.placed(SIX, Product.S30)
    assert layers(baked) == layers(fixed.network)
    assert len(layers(baked)) > 50


def layers(placed):
    network = placed._network
    return [(name, type(layer), str(layer)) for name, layer in network.named_modules() if not list(layer.children())]


def test_a_wide_image_has_no_seams(tmp_path):
    """One level of the encoder: a view of 12 px, so a halo of 16 must give what the whole image at once gives."""
    small = {"levels": 1, "stem": "spectral", "bands": tuple(Band)}
    whole = load_masker(write_card(tmp_path, "whole", config=small, halo=16, window=160), precision="fp32")
    pieces = load_masker(write_card(tmp_path, "pieces", config=small, halo=16, window=80), precision="fp32")
    reflectance = image(VISIBLE, 150, 130)
    once = whole(reflectance, bands=VISIBLE)
    np.testing.assert_allclose(pieces(reflectance, bands=VISIBLE), once, atol=1e-4)


# what is kept


def test_threads_with_other_bands_share_one_masker(card_path, masker):
    fresh = load_masker(card_path, device="cpu", precision="fp32")
    sets = [SIX, ALL_S30] * 4
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda bands: fresh(image(bands), bands=bands, product=Product.S30), sets))
    for bands, found in zip(sets, together, strict=True):
        np.testing.assert_array_equal(found, masker(image(bands), bands=bands, product=Product.S30))


@pytest.fixture
def sensor(card_path):
    """The network alone, and a list that grows with each network made of it."""
    card, weights = read_card(card_path)
    network = build_network(NetworkConfig.from_dict(card.architecture))
    network.load_state_dict(load_weights(card, weights))
    made = []

    def place(plain):
        made.append(plain)
        return PlacedNetwork(plain, device="cpu")

    found = AnySensor(network, known=card.bands, place=place)
    made.clear()  # of the one that tells whether there is such a device
    return found, made


def test_threads_make_each_network_once(sensor):
    found, made = sensor
    sets = [SIX, ALL_S30] * 8
    with ThreadPoolExecutor(4) as pool:
        placed = list(pool.map(lambda bands: found.placed(bands, Product.S30), sets))
    assert len(made) == len(set(map(id, placed))) == 2


def test_a_network_is_made_anew_for_another_sensor_but_not_for_another_name_of_it(sensor):
    found, made = sensor
    assert found.placed(SIX, Product.L30) is found.placed(SIX, Sensor.OLI) is found.placed(SIX, None)
    assert found.placed(SIX, Product.S30) is not found.placed(SIX, Product.L30)
    assert len(made) == 2


def test_only_the_band_lists_used_last_are_kept(sensor):
    found, _ = sensor
    lists = [found.bands_used((*VISIBLE[:2], band), Product.S30) for band in ALL_S30 if band not in VISIBLE[:2]]
    first = found.placed(lists[0], Product.S30)
    others = [found.placed(bands, Product.S30) for bands in lists[1:KEPT]]
    assert found.placed(lists[0], Product.S30) is first
    found.placed(lists[KEPT], Product.S30)  # the one not asked for the longest makes room
    assert found.placed(lists[0], Product.S30) is first
    assert found.placed(lists[2], Product.S30) is others[1]
    assert found.placed(lists[1], Product.S30) is not others[0]


# what it refuses


def test_bands_that_will_not_do(masker):
    with pytest.raises(BandError, match="too few bands: found blue green that the network knows, wanted at least 3 of"):
        masker(image(SIX[:2]), bands=SIX[:2])
    with pytest.raises(BandError, match="no band red_edge1 in product L30"):
        masker(image(ALL_S30), bands=ALL_S30, product=Product.L30)
    with pytest.raises(BandError, match="no band cirrus on sensor tm"):
        masker.bands_used(ALL_L30[1:], Sensor.TM)
    with pytest.raises(BandError, match="no band 'ultraviolet'"):
        masker.bands_used(["ultraviolet"])
    with pytest.raises(InputError, match=r"no product 'L50': wanted one of L30 S30 tm etm oli msi"):
        masker.bands_used(SIX, "L50")


def test_a_device_that_is_none_is_refused_before_any_bands_are_known(card_path):
    with pytest.raises(InputError, match="wanted one of auto cpu cuda mps"):
        load_masker(card_path, device="abacus")


def test_what_a_masker_of_fixed_bands_uses_are_those(tmp_path):
    fixed = load_masker(write_card(tmp_path), device="cpu")
    assert fixed.bands_used(ALL_S30[::-1], Product.S30) == SIX
    with pytest.raises(BandError, match="no band swir1 for masker tiny: found blue green red nir, wanted"):
        fixed.bands_used(VISIBLE)


def test_a_masker_is_opened_for_the_bands_it_will_get(card_path, tmp_path):
    assert open_masker(str(card_path)).to_read(Product.S30) == SIX
    everything = open_masker(str(card_path), bands=None)
    assert everything.to_read(Product.S30) == ALL_S30
    assert everything.bands_used(Product.L30) == ALL_L30
    assert open_masker(str(card_path), bands=VISIBLE[::-1]).to_read(Product.L30) == VISIBLE
    with pytest.raises(InputError, match=r"masker .* on blue green: wanted at least 3 bands"):
        open_masker(str(card_path), bands=SIX[:2])
    fewer = str(spectral_card(tmp_path, bands=SIX))
    with pytest.raises(InputError, match=r"does not know coastal: wanted some of blue green red nir swir1 swir2"):
        open_masker(fewer, bands=(Band.COASTAL, *SIX))
    assert open_masker(fewer, bands=None).to_read(Product.S30) == SIX


def test_a_masker_of_fixed_bands_gets_those_and_no_others(tmp_path):
    fixed, wide = str(write_card(tmp_path)), str(write_card(tmp_path, "wide", config={"bands": ALL_L30}))
    for bands, found in ((None, "all bands"), (VISIBLE, "blue green red nir")):
        with pytest.raises(
            InputError, match=rf"needs blue green red nir swir1 swir2 and takes no others: found {found}"
        ):
            open_masker(fixed, bands=bands)
        with pytest.raises(InputError, match=rf"'fmask' goes by rules .* and no others: found {found}"):
            open_masker("fmask", bands=bands)
    assert open_masker(wide, bands=ALL_L30).to_read(Product.L30) == ALL_L30


def test_a_card_says_that_it_takes_any_bands(card_path, monkeypatch):
    assert "Input: any 3 or more of coastal blue green" in read_card(card_path)[0].as_markdown()
    monkeypatch.setattr("tasks.maskers.WEIGHTS", card_path.parent)
    assert names()["any"] == "Random weights for tests. (any bands)"


# from granules to files


@pytest.fixture(scope="module")
def s30(basin):
    return _of(basin, Product.S30)


@pytest.fixture(scope="module")
def l30(basin):
    return _of(basin, Product.L30)


def _of(basin, product):
    """Folder of the first granule of a product."""
    granule = next(granule for granule in find(basin.granules) if granule.product is product)
    return basin.granules / granule.name


@pytest.fixture(scope="module")
def one_window(tmp_path_factory):
    """A card whose window is larger than the granules, so that nothing is blended."""
    return spectral_card(tmp_path_factory.mktemp("card"), window=352)


@pytest.fixture
def predict(capsys, monkeypatch):
    """Run `ssc masker predict`; gives (exit code, what --json says, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ssc", "masker", "predict", *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), json.loads(out) if out else None, err

    return run


@pytest.mark.parametrize(
    ("asked", "bands"),
    [("all", ALL_S30), ("six", SIX), ("nir,red, green,blue", VISIBLE)],
    ids=["all", "six", "without SWIR"],
)
def test_files_hold_the_masks_of_the_bands_that_they_name(asked, bands, s30, one_window, predict, tmp_path):
    code, facts, err = predict(s30, "--masker", one_window, "--bands", asked, "--out", tmp_path, "--probabilities")
    assert code == 0, err
    assert facts["bands_used"] == {s30.name: [*bands]}
    item = json.loads((tmp_path / f"{s30.name}.json").read_text())
    assert item["properties"]["ssc:bands_used"] == " ".join(bands)
    assert set(item["assets"]) == {"masks", "probabilities", "quicklook"}
    with rasterio.open(tmp_path / f"{s30.name}.masks.tif") as file:
        assert file.tags()["bands_used"] == " ".join(bands)
        valid = file.read(1) != 255
    reflectance = read(s30, bands)
    seen = np.isfinite(reflectance).all(axis=0)
    np.testing.assert_array_equal(valid, seen)
    expected = unbaked(one_window, np.where(seen, reflectance, np.float32(np.nan)), bands, Product.S30)
    with rasterio.open(tmp_path / f"{s30.name}.probabilities.tif") as file:
        found = file.read() * np.float32(file.scales[0])
    difference = np.abs(found - expected)[:, seen]
    assert difference.max() < BF16_TOLERANCE
    assert difference.mean() < 0.01


def read(folder, bands):
    """(B, H, W) reflectance of an S30 granule, NaN where there is none."""
    layers = []
    for band in bands:
        with rasterio.open(folder / f"{folder.name}.{band.code(Product.S30)}.tif") as file:
            layers.append(file.read(1))
    numbers = np.stack(layers)
    return np.where(numbers < -2000, np.float32(np.nan), numbers * np.float32(1e-4))


def test_other_bands_are_other_work_and_the_same_bands_are_not(s30, card_path, predict, tmp_path):
    seen = []
    for asked in ("six", "swir2,swir1,nir,red,green,blue", "all", "all"):
        code, facts, err = predict(s30, "--masker", card_path, "--bands", asked, "--out", tmp_path, "--no-quicklook")
        assert code == 0, err
        seen.append((s30.name in facts["written"], len(facts["bands_used"][s30.name])))
    assert seen == [(True, 6), (False, 6), (True, 13), (False, 13)]


def test_all_bands_are_those_of_each_granules_own_product(s30, l30, card_path, predict, tmp_path):
    code, facts, err = predict(s30, l30, "--masker", card_path, "--bands", "all", "--out", tmp_path, "--no-quicklook")
    assert code == 0, err
    assert facts["bands_used"] == {s30.name: [*ALL_S30], l30.name: [*ALL_L30]}


def test_a_granule_without_an_asked_band_is_set_aside_and_the_others_are_done(s30, l30, card_path, predict, tmp_path):
    bare = tmp_path / "bare" / s30.name
    shutil.copytree(s30, bare, ignore=shutil.ignore_patterns("*.B05.tif"))
    asked = ("--masker", card_path, "--bands", "green,red,red_edge1", "--out", tmp_path / "out", "--no-quicklook")
    code, facts, err = predict(bare, l30, *asked)
    assert code == 3, err
    assert facts["bands_used"] == {}
    said = facts["set_aside"]
    assert f"no red_edge1 in {s30.name}: found" in said[s30.name]
    assert said[s30.name].endswith(f"wanted {s30.name}.B05.tif")
    assert "no band red_edge1 in product L30: it has coastal" in said[l30.name]
    code, facts, err = predict(s30, l30, *asked)
    assert (code, list(facts["written"]), list(facts["set_aside"])) == (3, [s30.name], [l30.name])


def test_a_granule_that_came_without_swir_is_judged_by_the_rest(s30, card_path, predict, tmp_path):
    bare, asked = tmp_path / "bare" / s30.name, ("--masker", card_path, "--bands", "blue,green,red,nir")
    shutil.copytree(s30, bare, ignore=shutil.ignore_patterns("*.B11.tif", "*.B12.tif"))
    for granule, out in ((s30, "whole"), (bare, "less")):
        code, facts, err = predict(granule, *asked, "--out", tmp_path / out)
        assert code == 0, err
        assert facts["bands_used"] == {s30.name: [*VISIBLE]}
    masks = [tmp_path / out / f"{s30.name}.masks.tif" for out in ("whole", "less")]
    with rasterio.open(masks[0]) as whole, rasterio.open(masks[1]) as less:
        np.testing.assert_array_equal(whole.read(1), less.read(1))
    code, facts, _ = predict(bare, "--masker", card_path, "--out", tmp_path / "six")
    assert code == 3
    assert f"no swir1 in {s30.name}" in facts["set_aside"][s30.name]


@pytest.mark.parametrize(
    ("masker", "asked", "said"),
    [
        ("any", "blue,green,ultraviolet", "--bands blue,green,ultraviolet: found 'ultraviolet', wanted six, all, or"),
        ("any", "blue,green", "on blue green: wanted at least 3 bands"),
        ("default", "all", "needs blue green red nir swir1 swir2 and takes no others: found all bands"),
        ("default", "blue,green,red", "takes no others: found blue green red;"),
        ("fmask", "all", "'fmask' goes by rules for blue green red nir swir1 swir2 and no others: found all bands"),
    ],
)
def test_wrong_use_is_one_clear_line(masker, asked, said, card_path, s30, predict, tmp_path):
    code, _, err = predict(
        s30, "--masker", card_path if masker == "any" else masker, "--bands", asked, "--out", tmp_path
    )
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_baked_network_is_made_of_the_layers_of_one_for_fixed_bands():
    """So it costs what that costs: `make bench` has the ratio."""
    fixed = build_network(NetworkConfig())
    baked = bake(build_network(NetworkConfig(stem="spectral", bands=tuple(Band))), responses(None, SIX), SIX)
    layers = [[(name, type(layer)) for name, layer in network.named_modules()] for network in (fixed, baked)]
    assert layers[0] == layers[1]
    shapes = [{name: value.shape for name, value in network.state_dict().items()} for network in (fixed, baked)]
    assert shapes[0] == shapes[1]
