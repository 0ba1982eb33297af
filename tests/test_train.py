"""Training: it learns, a killed run ends in the same bits, processes agree, and wrong use is told."""

from __future__ import annotations

import json
import math
import multiprocessing
import random
import signal
import socket
import time
from itertools import chain

import numpy as np
import pandas as pd
import pytest
import torch

from models.checkpoint import load_state, part
from models.losses import LOSSES
from models.multitask import build_network
from models.sampler import Batches, ChipPool, Plan, spread
from models.train import train
from models.trainsettings import learning_rate
from ssc.bands import SIX, Band
from ssc.errors import DataError, InputError
from ssc.masks import Mask
from toychips import toy_chips, toy_settings, train_in_group, train_quietly, uneven_batch

KNOWN = (Mask.WATER, Mask.CLOUD, Mask.CLOUD_SHADOW, Mask.SNOW_ICE)


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors gain nothing from threads, and two tests at once lose much."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    return toy_chips(tmp_path_factory.mktemp("chips") / "toy")


def weights(path):
    return load_state(path)[0]


def assert_same_bits(found, wanted):
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


def test_learns_separable_rules(chips, tmp_path):
    settings = toy_settings(
        chips, tmp_path / "run", epochs=32, lr=1e-2, ema=0.8, network={"tasks": (Mask.WATER, Mask.CLOUD)}
    )
    result = train(settings)
    log = pd.read_csv(result.log, sep="\t")
    assert result.score > 0.95
    assert result.score == pytest.approx(log["score"].max(), abs=1e-5)
    assert result.epoch == log["score"].idxmax()
    assert log["loss"].iloc[-1] < 0.5 * log["loss"].iloc[0]


def test_best_weights_are_those_that_were_scored(chips, tmp_path):
    result = train(toy_settings(chips, tmp_path / "run"))
    network = build_network(toy_settings(chips, tmp_path).network)
    network.load_state_dict(weights(result.best))
    facts = load_state(result.best)[1]
    assert facts["epoch"] == result.epoch
    assert facts["score"] == result.score
    pool = ChipPool((chips,), "val", bands=SIX, tasks=tuple(Mask))
    found = [pool.unpacked(*pool.packed(place), SIX) for place in range(len(pool))]
    network.eval()
    with torch.no_grad():
        probability = torch.sigmoid(network(torch.from_numpy(np.stack([light for light, _ in found])))).numpy()
    labels = np.stack([label for _, label in found])
    log = pd.read_csv(result.log, sep="\t").loc[result.epoch]
    for mask in KNOWN:
        known = labels[:, mask] != 255
        there = labels[:, mask][known] == 1
        said = probability[:, mask][known] > np.float32(log[f"threshold_{mask.name.lower()}"])
        f1 = 2 * (said & there).sum() / (said.sum() + there.sum())
        assert f1 == pytest.approx(log[f"f1_{mask.name.lower()}"], abs=1e-5)


@pytest.fixture(scope="module")
def server():
    """Processes forked from one that has imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["models.train"])
    return context


def killed(server, settings, moments):
    """Whether a run was killed, with SIGKILL, soon after it had saved its state a few times more."""
    run = server.Process(target=train_quietly, kwargs=settings)
    run.start()
    state, saves, seen = settings["out"] / "last.safetensors", moments.randint(1, 3), None
    while saves and run.is_alive():
        found = state.stat().st_ino if state.exists() else None
        saves -= found != seen
        seen = found
        time.sleep(0.001)
    time.sleep(moments.uniform(0, 0.1))
    run.kill()
    run.join()
    return run.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("ema", [0.9, 0.0])
def test_killed_anywhere_ends_in_the_same_bits(chips, tmp_path, server, ema):
    settings = {"folder": chips, "epochs": 3, "ema": ema, "save_every": 1, "steps_per_epoch": 3}
    whole = train(toy_settings(**settings, out=tmp_path / "whole"))
    moments = random.Random(ema)
    kills = sum(killed(server, {**settings, "out": tmp_path / "killed"}, moments) for _ in range(3))
    assert kills
    resumed = train(toy_settings(**settings, out=tmp_path / "killed"))
    assert_same_bits(weights(resumed.last), weights(whole.last))
    assert_same_bits(weights(resumed.best), weights(whole.best))
    logs = [pd.read_csv(one.log, sep="\t").drop(columns=["seconds", "chips_per_second"]) for one in (resumed, whole)]
    pd.testing.assert_frame_equal(*logs)


def torchrun_environments(processes):
    """What torchrun tells each of its processes on one machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "TORCHELASTIC_RUN_ID": "test"}
    size = {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    return [{**common, **size, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


@pytest.fixture(scope="module")
def pair(chips, tmp_path_factory, server):
    """A folder in which two processes have trained together."""
    folder = tmp_path_factory.mktemp("pair")
    settings = {"folder": chips, "out": folder / "run", "steps_per_epoch": 2, "save_every": 1}
    group = [server.Process(target=train_in_group, args=(e, settings, folder)) for e in torchrun_environments(2)]
    for process in group:
        process.start()
    for process in group:
        process.join()
    assert [process.exitcode for process in group] == [0, 0]
    return folder


def test_two_processes_hold_the_same_weights(pair):
    (first, facts), (second, _) = (load_state(pair / f"rank{rank}.safetensors") for rank in range(2))
    assert facts == {"processes": 2}
    assert_same_bits(first, second)
    assert_same_bits(part(weights(pair / "run" / "last.safetensors"), "model"), first)
    log = pd.read_csv(pair / "run" / "log.tsv", sep="\t")
    assert log["loss"].iloc[1] < log["loss"].iloc[0]


@pytest.mark.parametrize("name", LOSSES)
def test_two_processes_have_the_loss_and_gradient_of_one(pair, name):
    parts = [weights(pair / f"losses{rank}.safetensors") for rank in range(2)]
    logits, labels = uneven_batch()
    losses = LOSSES[name](logits.requires_grad_(), labels)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    for one in parts:
        torch.testing.assert_close(one[name], losses.detach())
    mean_over_processes = torch.cat([one[f"{name} gradient"] for one in parts]) / 2
    torch.testing.assert_close(mean_over_processes, gradient)


def test_a_finished_run_is_left_as_it_is(chips, tmp_path):
    settings = toy_settings(chips, tmp_path / "run", epochs=1)
    first = train(settings)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert train(settings) == first
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("tasks", [(Mask.SNOW_ICE,), (Mask.CLOUD_SHADOW, Mask.WATER)])
def test_any_subset_of_tasks(chips, tmp_path, tasks):
    result = train(toy_settings(chips, tmp_path / "run", epochs=1, network={"tasks": tasks}))
    log = pd.read_csv(result.log, sep="\t")
    told = {name.removeprefix("f1_") for name in log.columns if name.startswith("f1_")}
    assert told == {task.name.lower() for task in tasks}
    assert weights(result.best)["heads.weight"].shape[0] == len(tasks)
    assert log["loss"].iloc[0] == pytest.approx(sum(log[f"loss_{task}"].iloc[0] for task in told), rel=1e-4)


def test_a_task_that_nobody_labelled_is_left_out(chips, tmp_path):
    result = train(toy_settings(chips, tmp_path / "run", epochs=1))
    row = pd.read_csv(result.log, sep="\t").iloc[0]
    assert row["loss_terrain_shadow"] == 0
    assert math.isnan(row["f1_terrain_shadow"])
    assert result.score == pytest.approx(np.mean([row[f"f1_{mask.name.lower()}"] for mask in KNOWN]), abs=1e-5)


def test_logs_say_the_same(chips, tmp_path):
    told = []
    result = train(toy_settings(chips, tmp_path / "run", weights={"odd": 2.0}), report=told.append)
    table = pd.read_csv(result.log, sep="\t")
    lines = [json.loads(line) for line in result.log.with_suffix(".jsonl").read_text().splitlines()]
    assert {"epoch", "step", "lr", "seconds", "chips_per_second", "loss", "val_loss", "score"} <= set(table.columns)
    for mask in Mask:
        kinds = ("loss", "val_loss", "f1", "precision", "recall", "iou", "threshold")
        assert {f"{kind}_{mask.name.lower()}" for kind in kinds} <= set(table.columns)
    assert [line["score"] for line in lines] == pytest.approx(table["score"].tolist(), rel=1e-5)
    assert set(lines[0]["sources"]) == {"even", "odd"}
    assert lines[0]["sources"]["odd"]["snow_ice"] is None
    assert {one["phase"] for one in told} == {"train", "val", "epoch"}
    assert [one["score"] for one in told if one["phase"] == "epoch"] == [line["score"] for line in lines]
    assert json.loads(result.settings.read_text())["weights"] == {"odd": 2.0}


def test_bf16_learns_too(chips, tmp_path):
    losses = {}
    for precision in ("fp32", "bf16"):
        log = train(toy_settings(chips, tmp_path / precision, epochs=3, precision=precision)).log
        losses[precision] = pd.read_csv(log, sep="\t")["loss"]
    assert losses["bf16"].iloc[-1] == pytest.approx(losses["fp32"].iloc[-1], rel=0.05)
    assert not losses["bf16"].equals(losses["fp32"])


def test_workers_change_nothing(chips, tmp_path):
    results = [train(toy_settings(chips, tmp_path / str(n), epochs=1, workers=n)) for n in (0, 1)]
    assert_same_bits(*(weights(result.last) for result in results))


@pytest.mark.parametrize("loss", ["bce", "adaptive_maxpool"])
def test_every_loss_goes_down(chips, tmp_path, loss):
    result = train(toy_settings(chips, tmp_path / "run", epochs=3, loss=loss, positive_weights={"SNOW_ICE": 3.0}))
    losses = pd.read_csv(result.log, sep="\t")["loss"]
    assert losses.iloc[-1] < losses.iloc[0]


def test_learning_rate_rises_then_falls():
    settings = toy_settings("", "", lr=1.0, warmup=0.2)
    rates = [learning_rate(step, 50, settings) for step in range(50)]
    assert np.diff(rates[:10]).min() > 0
    assert max(rates) == rates[9] == 1.0
    assert np.diff(rates[10:]).max() < 0
    assert rates[-1] == pytest.approx(0.01, abs=0.01)


def test_an_epoch_shows_every_chip_as_often_as_asked():
    sources = ["a"] * 10 + ["b"] * 6
    plan = Plan(batch_size=4, weights={"a": 2.0, "b": 0.5}, seed=3)
    for epoch in range(3):
        batches = plan.epoch(sources, epoch)
        places = [place for batch in batches for _, place, _ in batch]
        assert len(batches) == plan.steps_of(sources) == 23 // 4
        assert all(places.count(place) <= 2 for place in range(10))
        assert all(places.count(place) <= 1 for place in range(10, 16))
        assert len(set(map(tuple, (key for batch in batches for key in batch)))) == len(places)
    assert plan.epoch(sources, 0) == plan.epoch(sources, 0) != plan.epoch(sources, 1)


def test_processes_share_each_batch():
    plan, sources = Plan(batch_size=6, seed=1), ["a"] * 20
    whole = plan.epoch(sources, 2)
    parts = [Batches(plan, sources, rank=rank, world=3) for rank in range(3)]
    for one in parts:
        one.set_epoch(2, step=1)
        assert len(one) == len(whole) - 1
    assert [list(chain(*step)) for step in zip(*parts, strict=True)] == whole[1:]


def test_fewer_chips_than_a_batch_are_repeated():
    (batch,) = Plan(batch_size=8).epoch(["a"] * 3, 0)
    assert sorted(np.bincount([place for _, place, _ in batch])) == [2, 3, 3]
    assert len(set(batch)) == 8


def test_part_of_the_validation_keeps_every_source():
    index = pd.DataFrame({"source": ["a"] * 90 + ["b"] * 10})
    places = spread(index, 20)
    assert len(set(places)) == 20
    assert (places >= 90).sum() == 2
    assert np.array_equal(places, spread(index, 20))
    assert np.array_equal(spread(index, None), np.arange(100))


def test_no_chips(tmp_path):
    with pytest.raises(InputError, match="no chips"):
        train(toy_settings(tmp_path / "nothing", tmp_path / "run"))


def test_no_validation_chips(tmp_path):
    toy_chips(tmp_path / "chips", count=3)
    with pytest.raises(InputError, match="no chips of the val split"):
        train(toy_settings(tmp_path / "chips", tmp_path / "run"))


def test_missing_band(tmp_path):
    toy_chips(tmp_path / "chips", bands=(*SIX[:5], Band.CIRRUS))
    with pytest.raises(InputError, match="swir2"):
        train(toy_settings(tmp_path / "chips", tmp_path / "run"))


def test_bands_are_taken_by_name_not_by_place(tmp_path, chips):
    turned = (Band.CIRRUS, *SIX[::-1])
    straight = ChipPool((chips,), "train", bands=SIX, tasks=tuple(Mask))
    toy_chips(tmp_path / "chips", bands=turned)
    pool = ChipPool((tmp_path / "chips",), "train", bands=SIX, tasks=tuple(Mask))
    light, _ = pool.unpacked(*pool.packed(2), pool.bands_of(2))
    raw = pool.folders[0][2].reflectance
    assert np.array_equal(light, raw[[turned.index(band) for band in SIX]], equal_nan=True)
    assert len(pool) == len(straight)


def test_other_settings_do_not_resume(chips, tmp_path):
    train(toy_settings(chips, tmp_path / "run", epochs=1))
    with pytest.raises(InputError, match=r"lr 0.003, now 0.001"):
        train(toy_settings(chips, tmp_path / "run", epochs=1, lr=1e-3))
    with pytest.raises(InputError, match="holds a run"):
        train(toy_settings(chips, tmp_path / "run", epochs=1, resume=False))


def test_other_chips_do_not_resume(chips, tmp_path):
    train(toy_settings(chips, tmp_path / "run", epochs=1))
    toy_chips(tmp_path / "more", count=30)
    with pytest.raises(InputError, match="index of chips"):
        train(toy_settings(tmp_path / "more", tmp_path / "run", epochs=1))


def test_broken_state(chips, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.safetensors").write_bytes(b"cut off")
    with pytest.raises(DataError, match="not the state of a run"):
        train(toy_settings(chips, tmp_path / "run"))


def test_a_loss_that_is_no_number_stops_the_run(chips, tmp_path):
    with pytest.raises(DataError, match="no longer a number"):
        train(toy_settings(chips, tmp_path / "run", lr=1e20, clip=1e20, warmup=0.0))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"epochs": 0}, "epochs 0"),
        ({"loss": "hinge"}, "no loss 'hinge'"),
        ({"precision": "fp8"}, "precision 'fp8'"),
        ({"device": "abacus"}, "device 'abacus'"),
        ({"ema": 1.0}, "ema 1.0"),
        ({"weights": {"nowhere": 2.0}}, "weights for nowhere"),
        ({"positive_weights": {"FOG": 2.0}}, "positive weight for FOG"),
    ],
)
def test_wrong_settings(chips, tmp_path, wrong, told):
    with pytest.raises(InputError, match=told):
        train(toy_settings(chips, tmp_path / "run", **wrong))
