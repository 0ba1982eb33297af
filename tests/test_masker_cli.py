"""`ssc masker`, from chips to masks: every command once, on small things, as a user would go."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch

from flows.cli import main
from models.chips import ChipFolder
from models.published import build
from ssc.bands import CODES, Band
from ssc.granules import parse


def ssc(capsys, *arguments):
    """Run the command in this process; gives (exit code, stdout, stderr)."""
    sys.argv = ["ssc", *map(str, arguments)]
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.fixture(autouse=True)
def _argv(monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("masker")


@pytest.fixture
def chips(work, capsys):
    """Chips of two basins: one for validation (its seed is a multiple of 13), one for training."""
    folder = work / "chips"
    if not folder.exists():
        code, out, _ = ssc(capsys, "masker", "dataset", "--basins", 2, "--seed", 1014, "--size", 128, "--out", folder)
        assert code == 0
        assert "simulated, val" in out
    return folder


@pytest.fixture
def card(work, chips, capsys):
    """A network trained for a few steps."""
    run = work / "run"
    if not (run / "tiny.json").exists():
        code, out, err = ssc(
            capsys,
            *("masker", "train", "--chips", chips, "--out", run, "--name", "tiny", "--epochs", 2, "--steps", 3),
            *("--batch-size", 2, "--crop", 64, "--device", "cpu", "--json"),
        )
        assert code == 0, err
        assert json.loads(out)["card"] == str(run / "tiny.json")
        assert "epoch 2 of 2" in err
    return run / "tiny.json"


def test_a_dataset_says_what_made_it(chips):
    found = ChipFolder(chips)
    assert set(found.index["split"]) == {"train", "val"}
    assert found.facts["made_by"] == "ssc masker dataset --basins 2 --seed 1014 --size 128 --out chips"


def test_a_trained_card_tells_thresholds_data_and_scores(card):
    facts = json.loads(card.read_text())
    assert set(facts["thresholds"]) == {"WATER", "CLOUD", "CLOUD_SHADOW", "SNOW_ICE", "TERRAIN_SHADOW"}
    assert facts["training"]["command"].startswith("ssc masker train --chips chips --out run --name tiny")
    assert facts["data"]["chips"]["simulated, train"] > 0
    assert 0 <= facts["scores"]["validation"]["CLOUD"]["f1"] <= 1


def test_evaluation_sets_it_beside_the_baselines(card, chips, work, capsys):
    code, out, err = ssc(
        capsys,
        *("masker", "evaluate", "--chips", chips, "--split", "val", "--masker", card, "--out", work / "scores"),
    )
    assert code == 0, err
    for name in ("mndwi", "fmask", "legacy-dswx", "cloud_shadow"):
        assert name in out.lower()
    cover = pd.read_csv(work / "scores" / "windows_by_cover.csv")
    assert set(cover["masker"]) == {str(card), "mndwi", "legacy-dswx", "fmask"}
    assert (work / "scores" / "windows_differences.csv").exists()


def test_prediction_writes_masks_that_a_gis_can_read(card, basin, work, capsys):
    granule = min(basin.granules.iterdir())
    code, out, err = ssc(
        capsys, "masker", "predict", granule, "--masker", card, "--out", work / "masks", "--probabilities", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["set_aside"] == {}
    with rasterio.open(next((work / "masks").glob("*.masks.tif"))) as masks:
        values = masks.read(1)
        assert masks.crs.to_epsg() is not None
    assert values.shape == (320, 320)
    assert np.isin(values, [*range(32), 255]).all()


def test_a_damaged_granule_is_set_aside_and_the_others_are_done(card, basin, work, capsys, tmp_path):
    good = min(basin.granules.iterdir())
    bad = tmp_path / sorted(basin.granules.iterdir())[1].name
    bad.mkdir()
    for file in sorted(basin.granules.iterdir())[1].iterdir():
        (bad / file.name).write_bytes(file.read_bytes()[: 2000 if "B04" in file.name else None])
    code, out, err = ssc(capsys, "masker", "predict", good, bad, "--masker", card, "--out", tmp_path / "m", "--json")
    facts = json.loads(out)
    assert code == 3, err
    assert list(facts["set_aside"]) == [bad.name]
    assert "B04" in facts["set_aside"][bad.name]
    assert list(facts["written"]) == [good.name]


@pytest.fixture
def card_for_any_bands(work, chips, card, capsys):
    """A few steps further from the network for six bands."""
    run = work / "any"
    if not (run / "any.json").exists():
        code, _, err = ssc(
            capsys,
            *("masker", "train", "--chips", chips, "--out", run, "--name", "any", "--epochs", 1, "--steps", 2),
            *("--batch-size", 2, "--crop", 64, "--device", "cpu", "--stem", "spectral", "--begin", card),
            "--balance-sensors",
        )
        assert code == 0, err
    return run / "any.json"


def test_a_masker_for_any_bands_is_trained_from_one_for_six(card_for_any_bands, card):
    facts = json.loads(card_for_any_bands.read_text())
    assert facts["bands"] == [band.value for band in Band]
    assert facts["architecture"]["stem"] == "spectral"
    assert facts["training"]["began_with"] == {"name": "tiny", "sha256": json.loads(card.read_text())["sha256"]}
    settings = facts["training"]["settings"]
    assert settings["balance"] is True
    assert "begin" not in settings  # a card names no folder of whoever trained it
    assert 0 < settings["sensing"]["six"] < 1


def test_it_predicts_by_all_bands_of_a_granule(card_for_any_bands, basin, capsys, tmp_path):
    granule = min(basin.granules.iterdir())
    asked = ("--masker", card_for_any_bands, "--bands", "all", "--out", tmp_path, "--json")
    code, out, err = ssc(capsys, "masker", "predict", granule, *asked)
    assert code == 0, err
    (used,) = json.loads(out)["bands_used"].values()
    assert used == [band.value for band in Band if band in CODES[parse(granule.name).product]]


def test_a_published_checkpoint_is_converted_and_listed_masks_come_out(work, capsys):
    torch.manual_seed(0)
    checkpoint = work / "mobilenetv3_model_best.pth.tar"
    state = {f"module.{key}": tensor for key, tensor in build("mobilenetv3").state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state, "best_performance": 0.2, "optimizer": {}}, checkpoint)
    code, out, err = ssc(
        capsys,
        "masker",
        "convert",
        checkpoint,
        "--backbone",
        "mobilenetv3",
        "--out",
        work,
        "--threshold",
        "water_mask=0.25",
    )
    assert code == 0, err
    facts = json.loads((work / "published-mobilenetv3.json").read_text())
    assert out.strip() == str(work / "published-mobilenetv3.json")
    assert facts["thresholds"]["WATER"] == 0.25
    assert facts["scaling"] == "published-crop"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "--chips", "nowhere", "--out", "run"), "no chips in nowhere"),
        (("train", "--out", "run"), "nothing to train on: found no --chips"),
        (("train", "--chips", "nowhere", "--out", "run", "--stem", "spatial"), "found 'spatial', wanted one of fixed"),
        (("train", "--out", "run", "--experiment", "clouds"), "--experiment clouds: wanted sensors"),
        (("train", "--chips", "nowhere", "--out", "run", "--tasks", "water,fog"), "found 'fog'"),
        (("train", "--chips", "nowhere", "--out", "run", "--weight", "five"), "--weight five: wanted NAME=NUMBER"),
        (("evaluate", "--out", "scores", "--masker", "fmask"), "nothing to score on"),
        (("evaluate", "--out", "s", "--masker", "fmask", "--benchmark", "lana"), "wanted --benchmark NAME --path DIR"),
        (("predict", "nowhere", "--out", "masks"), "no such file or folder"),
        (("predict", ".", "--out", "masks", "--masker", "best"), "no masker 'best'"),
        (("convert", "nowhere.pth.tar", "--backbone", "mobilenetv3", "--out", "m"), "nowhere.pth.tar"),
        (("dataset", "--out", "chips"), "nothing to make chips of"),
        (("dataset", "--out", "chips", "--basins", "1", "--bands", "blue,green,red"), "no nir swir1 swir2, wanted"),
        (("dataset", "--out", "chips", "--granules", "g", "--dswx", "d", "--bands", "all"), "found coastal blue green"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value[:4]),
)
def test_wrong_use_is_one_clear_line(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = ssc(capsys, "masker", *arguments)
    assert code == 2
    assert said in err
    assert len(err.strip().splitlines()) == 1
