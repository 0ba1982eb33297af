"""Training on chips of any bands: each shows what it has, runs go on exactly, and may begin with a trained masker."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

from models.augment import Augment
from models.bandtable import table_of
from models.beginning import OTHER_BANDS, network_of, pool_of
from models.cards import load_weights, read_card
from models.checkpoint import load_state, save_state
from models.chip_writer import ChipWriter
from models.chips import Chip, ChipFolder
from models.finish import finish
from models.multitask import NetworkConfig, build_network
from models.packing import UNKNOWN
from models.pool import ChipPool, collate, whole_chips
from models.recipe import Sensing
from models.sampler import Plan, TrainChips, balanced
from models.train import train
from ssc.bands import CODES, RESPONSES, SENSOR_OF, SIX, Band, Product, responses
from ssc.errors import InputError
from ssc.masks import Mask
from tinymasker import write_card
from toychips import toy_chips, toy_settings

ALL = tuple(Band)
SEVEN = (Band.COASTAL, *SIX)
SMALL = {"levels": 2, "width": 8, "detail": 8, "tasks": (Mask.WATER, Mask.CLOUD)}
SPECTRAL = {**SMALL, "stem": "spectral", "bands": ALL}
FIXED = {**SMALL}


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors gain nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def mixed_chips(folder, count=18, size=32):
    """Chips of Landsat with eight bands, of Sentinel-2 with thirteen, and of Landsat with seven, in one folder."""
    rng = np.random.default_rng(5)
    with ChipWriter(folder, bands=ALL, size=size, made_by="test") as out:
        for number in range(count):
            product = (Product.L30, Product.S30, Product.L30)[number % 3]
            own = SEVEN if number % 3 == 2 else tuple(CODES[product])
            patches = rng.random((len(ALL), size // 8, size // 8)).repeat(8, axis=1).repeat(8, axis=2)
            light = (0.02 + 0.4 * patches).astype(np.float32)
            labels = np.full((5, size, size), UNKNOWN, np.uint8)
            labels[Mask.WATER] = light[ALL.index(Band.GREEN)] > light[ALL.index(Band.SWIR1)]
            labels[Mask.CLOUD] = light[ALL.index(Band.BLUE)] > 0.25
            light[[band not in own for band in ALL]] = np.nan
            light[ALL.index(Band.COASTAL), 8:16] = np.nan
            light[ALL.index(Band.RED), :4, :4] = np.nan
            chip = Chip(
                bands=ALL,
                reflectance=light,
                labels=labels,
                product=product,
                source="river" if number % 3 == 2 else "toy",
                region=f"{number}",
                scene=f"{number}",
            )
            out.add(chip, split="val" if number % 9 >= 6 else "train")
    return folder


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return mixed_chips(tmp_path_factory.mktemp("chips") / "mixed")


def settings(chips, out, **changed):
    plain = {"network": SPECTRAL, "sensing": Sensing(), "crop": 16, "epochs": 1}
    return toy_settings(chips, out, **{**plain, **changed})


def assert_same_bits(found, wanted):
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


# Chips


def test_each_chip_shows_the_bands_it_has(chips):
    pool = ChipPool((chips,), "train", bands=ALL, tasks=tuple(Mask), any_bands=True)
    folder = ChipFolder(chips).split("train")
    for place in range(len(pool)):
        item, chip = pool.whole(place), folder[place]
        own = SEVEN if chip.source == "river" else [band for band in Band if band in CODES[chip.product]]
        assert item.row == responses(chip.product, own)
        assert np.array_equal(item.light, chip.reflectance[[ALL.index(band) for band in own]], equal_nan=True)


def test_labels_are_the_same_whatever_is_shown_and_unknown_where_one_of_the_six_lacks_data(chips):
    every, six, camera = (
        ChipPool((chips,), "val", bands=bands, tasks=tuple(Mask), any_bands=True)
        for bands in (ALL, SIX, OTHER_BANDS["without_swir"])
    )
    fixed = ChipPool((chips,), "val", bands=SIX, tasks=tuple(Mask))
    for place in range(len(fixed)):
        labels = fixed.whole(place).labels
        assert (labels[:, :4, :4] == UNKNOWN).all()
        assert (labels[Mask.CLOUD, 8:16] != UNKNOWN).all()  # coastal is missing there
        assert all(np.array_equal(pool.whole(place).labels, labels) for pool in (every, six, camera))
        assert np.array_equal(six.whole(place).light, fixed.whole(place).light, equal_nan=True)
        assert camera.whole(place).row == responses(fixed.products[place], SIX[:4])


def test_fixed_networks_take_the_six_of_any_folder(chips, tmp_path):
    whole = ChipFolder(chips)
    with ChipWriter(tmp_path / "six", bands=SIX, size=32) as out:
        for chip, split in zip((whole[place] for place in range(len(whole))), whole.index["split"], strict=True):
            six = chip.reflectance[[ALL.index(band) for band in SIX]]
            out.add(
                Chip(**{**{n: getattr(chip, n) for n in chip.__slots__}, "bands": SIX, "reflectance": six}), split=split
            )
    results = [
        train(settings(folder, tmp_path / f"run {folder.name}", network=FIXED, sensing=None))
        for folder in (chips, tmp_path / "six")
    ]
    assert_same_bits(*(load_state(result.best)[0] for result in results))
    assert "score_all_bands" not in pd.read_csv(results[0].log, sep="\t").columns


def test_batches_say_which_plane_is_which_band(chips):
    pool = ChipPool((chips,), "train", bands=ALL, tasks=tuple(Mask), any_bands=True)
    made = TrainChips(pool, Augment.none(), 32, 0, Sensing(subset=1.0, six=0.3, lost=0.0, jitter=0.0, synthetic=0.0))
    items = [made[0, place, 0] for place in range(len(pool))]
    batch = collate(items)
    assert batch.table is not None
    assert batch.table.present.sum(dim=1).tolist() == [len(item.light) for item in items]
    assert torch.isnan(batch.reflectance[~batch.table.present]).all()
    for place, item in enumerate(items):
        own = RESPONSES[SENSOR_OF[pool.products[place]]]
        bands = [next(band for band, seen in own.items() if seen == response) for response in item.row]
        stored = ChipFolder(chips).split("train")[place].reflectance[[ALL.index(band) for band in bands]]
        assert np.array_equal(batch.reflectance[place, : len(bands)], stored, equal_nan=True)
        wanted = table_of([item.row], len(batch.table.present[0]))
        assert torch.equal(batch.table.numbers[place], wanted.numbers[0])


def test_chips_depend_on_their_key_alone(chips):
    pool = ChipPool((chips,), "train", bands=ALL, tasks=tuple(Mask), any_bands=True)
    first, again = (TrainChips(pool, Augment(), 16, 3, Sensing(six=0.0)) for _ in range(2))
    one, two, other = first[1, 4, 0], again[1, 4, 0], again[1, 4, 1]
    assert one.light.tobytes() == two.light.tobytes()
    assert one.row == two.row != other.row


def test_sensors_are_drawn_after_everything_else(chips):
    pool = ChipPool((chips,), "train", bands=SIX, tasks=tuple(Mask), any_bands=True)
    fixed = ChipPool((chips,), "train", bands=SIX, tasks=tuple(Mask))
    still = Sensing(six=1.0, jitter=0.0, lost=0.0)
    for key in [(0, 1, 0), (2, 3, 1)]:
        any_, plain = TrainChips(pool, Augment(), 16, 3, still)[key], TrainChips(fixed, Augment(), 16, 3)[key]
        assert any_.light.tobytes() == plain.light.tobytes()
        assert any_.labels.tobytes() == plain.labels.tobytes()


def test_balance_shows_both_sensors_equally_often():
    index = pd.DataFrame(
        {
            "source": ["a"] * 90 + ["b"] * 30,
            "product": ["L30"] * 80 + ["S30"] * 10 + ["L30"] * 30,
        }
    )
    weights = {"a": 2.0}
    before, plan = (
        Plan(batch_size=10, weights=weights, seed=1),
        Plan(batch_size=10, seed=1, weights=balanced(index, weights)[1]),
    )
    names = balanced(index, weights)[0]
    shown = [place for batch in plan.epoch(names, 0) for _, place, _ in batch]
    products = index["product"].to_numpy()[shown]
    assert plan.steps_of(names) == before.steps_of(index["source"].to_list())
    assert abs((products == "L30").sum() - (products == "S30").sum()) <= 2
    landsat = index["source"].to_numpy()[shown][products == "L30"]
    assert (landsat == "a").sum() / (landsat == "b").sum() == pytest.approx(160 / 30, rel=0.1)


def test_balance_of_one_sensor_changes_nothing():
    index = pd.DataFrame({"source": ["a"] * 30 + ["b"] * 10, "product": ["S30"] * 40})
    names, weights = balanced(index, {"b": 2.0})
    plain = Plan(batch_size=4, seed=2, weights={"b": 2.0}).epoch(index["source"].to_list(), 1)
    assert Plan(batch_size=4, seed=2, weights=weights).epoch(names, 1) == plain


# Runs


class StoppedError(Exception):
    """What ends a run in the middle."""


def stop_at(phase):
    def told(facts):
        if facts["phase"] == phase:
            raise StoppedError

    return told


@pytest.mark.parametrize("stem", ["spectral", "permutational"])
def test_a_run_that_was_stopped_ends_in_the_same_bits(chips, tmp_path, stem):
    how = {"save_every": 1, "steps_per_epoch": 2, "balance": True, "network": {**SPECTRAL, "stem": stem}}
    whole = train(settings(chips, tmp_path / "whole", **how))
    stopped = settings(chips, tmp_path / "stopped", **how)
    with pytest.raises(StoppedError):
        train(stopped, report=stop_at("val"))  # the last state is that of the step before
    assert load_state(tmp_path / "stopped" / "last.safetensors")[1]["step"] == 1
    resumed = train(stopped)
    assert_same_bits(load_state(resumed.last)[0], load_state(whole.last)[0])
    assert_same_bits(load_state(resumed.best)[0], load_state(whole.best)[0])
    logs = [pd.read_csv(one.log, sep="\t").drop(columns=["seconds", "chips_per_second"]) for one in (resumed, whole)]
    pd.testing.assert_frame_equal(*logs)
    assert set(logs[0].columns) >= {"score", "score_all_bands", "score_without_swir"}


def test_the_six_decide_and_the_card_knows_all_bands(chips, tmp_path):
    asked = settings(chips, tmp_path / "run", epochs=2, lr=1e-2)
    result = train(asked)
    card = finish(asked, result, name="sensors", command="a test")
    assert card.bands == ALL
    assert card.architecture["stem"] == "spectral"
    network = build_network(NetworkConfig.from_dict(card.architecture)).eval()
    network.load_state_dict(load_weights(*read_card(tmp_path / "run" / "sensors.json")))
    pool = ChipPool((chips,), "val", bands=SIX, tasks=(Mask.WATER, Mask.CLOUD), any_bands=True)
    log = pd.read_csv(result.log, sep="\t").loc[result.epoch]
    found = []
    for task, mask in enumerate((Mask.WATER, Mask.CLOUD)):
        hits = wrong = 0
        for batch, _ in whole_chips(pool, range(len(pool)), 1):
            with torch.no_grad():
                said = torch.sigmoid(network(batch.reflectance, batch.table))[0, task].numpy()
            label = batch.labels[0, task].numpy()
            there, said = label == 1, said > np.float32(log[f"threshold_{mask.name.lower()}"])
            hits += 2 * (there & said).sum()
            wrong += ((there ^ said) & (label != UNKNOWN)).sum()
        found.append(hits / (hits + wrong))
    assert np.mean(found) == pytest.approx(log["score"], abs=2e-3)  # probabilities are counted in bins
    assert card.scores["validation"]["WATER"]["f1"] == pytest.approx(log["f1_water"], abs=1e-3)


def test_a_mask_nobody_labelled_leaves_a_card(chips, tmp_path):
    asked = settings(chips, tmp_path / "run", network={**FIXED, "tasks": (Mask.WATER, Mask.SNOW_ICE)}, sensing=None)
    card = finish(asked, train(asked), name="half", command="a test")
    assert card.scores["validation"]["SNOW_ICE"]["f1"] is None
    assert card.scores["validation"]["WATER"]["f1"] > 0


def test_runs_from_before_there_were_sensors_go_on(chips, tmp_path):
    asked = settings(chips, tmp_path / "run", network=FIXED, sensing=None)
    first = train(asked)
    tensors, facts = load_state(first.last)
    for name in ("balance", "begin", "sensing"):
        del facts["begun"][name]
    del facts["began_with"]
    save_state(first.last, tensors, facts)
    assert train(asked) == first
    with pytest.raises(InputError, match="balance False, now True"):
        train(settings(chips, tmp_path / "run", network=FIXED, sensing=None, balance=True))


# Beginnings


def test_a_spectral_network_begins_as_the_fixed_one(chips, tmp_path):
    path = write_card(tmp_path, "fixed", config=FIXED)
    asked = settings(chips, tmp_path / "run", begin=str(path))
    network, began_with = network_of(asked)
    fixed = network_of(settings(chips, tmp_path / "run", network=FIXED, sensing=None, begin=str(path)))[0]
    pool = pool_of(asked, "val")
    batch = collate([pool.whole(place) for place in range(len(pool))])
    lacking = torch.isnan(batch.reflectance).any(dim=1, keepdim=True)
    light = torch.where(lacking, torch.nan, batch.reflectance)  # a fixed network wants all bands, the other any
    with torch.no_grad():
        found, wanted = network.eval()(light, batch.table), fixed.eval()(light)
    assert_allclose(found, wanted, atol=1e-4)
    assert wanted.std() > 1
    assert began_with == {"name": "fixed", "sha256": read_card(path)[0].sha256}


def test_a_card_tells_what_its_network_began_with_and_the_run_goes_on_without_it(chips, tmp_path):
    path = write_card(tmp_path / "from", "before", config=SPECTRAL)
    told = []
    asked = settings(chips, tmp_path / "run", begin=str(path))
    sha256 = read_card(path)[0].sha256
    result = train(asked, report=told.append)
    assert told[0]["phase"] == "start"
    assert told[0]["began_with"] == {"name": "before", "sha256": sha256}
    path.unlink()
    assert train(asked) == result
    card = finish(asked, result, name="after", command="a test")
    assert card.training["began_with"] == {"name": "before", "sha256": sha256}


@pytest.mark.parametrize("config", [FIXED, SPECTRAL], ids=["fixed", "spectral"])
def test_the_same_network_begins_with_the_weights_of_the_card(chips, tmp_path, config):
    path = write_card(tmp_path, "same", config=config)
    asked = settings(chips, tmp_path / "run", network=config, sensing=None, begin=str(path))
    assert_same_bits(network_of(asked)[0].state_dict(), load_weights(*read_card(path)))


@pytest.mark.parametrize(
    ("card", "network", "told"),
    [
        ({**FIXED, "width": 16}, FIXED, "found width 16, wanted 8"),
        ({**FIXED, "tasks": (Mask.WATER,)}, SPECTRAL, r"found tasks \['WATER'\], wanted \['WATER', 'CLOUD'\]"),
        (SPECTRAL, FIXED, "found bands .*coastal.*, wanted"),
        (FIXED, {**SPECTRAL, "stem": "permutational"}, "found stem fixed, wanted permutational"),
        ({**FIXED, "bands": SIX[:5]}, FIXED, r"found bands .*'swir1'\], wanted .*'swir2'\]"),
    ],
)
def test_another_network_is_nothing_to_begin_with(chips, tmp_path, card, network, told):
    path = write_card(tmp_path, "other", config=card)
    with pytest.raises(InputError, match=f"other to begin with: {told}"):
        train(settings(chips, tmp_path / "run", network=network, sensing=None, begin=str(path)))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"network": FIXED}, "sensing for a network of fixed bands"),
        ({"begin": "default", "pretrained": "imagenet"}, "begin default, pretrained imagenet: wanted one"),
        ({"begin": "nowhere"}, "no card 'nowhere'"),
    ],
)
def test_wrong_settings(chips, tmp_path, wrong, told):
    with pytest.raises(InputError, match=told):
        train(settings(chips, tmp_path / "run", **wrong))


def test_folders_without_the_six_are_refused(tmp_path):
    toy_chips(tmp_path / "chips", bands=(*SIX[:5], Band.CIRRUS))
    with pytest.raises(InputError, match="no band swir2"):
        train(settings(tmp_path / "chips", tmp_path / "run"))
