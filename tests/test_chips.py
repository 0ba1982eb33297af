"""The folder of chips: what goes in comes out, parts of it, and every way it can be wrong."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.chip_writer import ChipWriter
from models.chips import Chip, ChipFolder, split_of
from models.packing import UNKNOWN, pack_labels, unpack_labels
from ssc.bands import SIX, Band, Product
from ssc.errors import DataError, InputError


def chip(seed=0, size=16, *, fmask=True, ssc=False, bands=SIX, region="r"):
    rng = np.random.default_rng(seed)
    reflectance = rng.uniform(-0.1, 1.4, (len(bands), size, size)).astype(np.float32)
    reflectance[:, :2, :3] = np.nan
    return Chip(
        bands=bands,
        reflectance=reflectance,
        labels=rng.choice([0, 1, UNKNOWN], (5, size, size)).astype(np.uint8),
        product=Product.S30 if seed % 2 else Product.L30,
        source="made",
        region=region,
        scene=f"scene {seed}",
        simulated=bool(seed % 3),
        fmask=rng.integers(0, 255, (size, size), dtype=np.uint8) if fmask else None,
        ssc=rng.uniform(0, 4000, (size, size)).astype(np.float32) if ssc else None,
    )


@pytest.fixture
def folder(tmp_path):
    """Nine chips, more than there was room for at first; some lack Fmask, some know their sediment."""
    made = [chip(seed, fmask=seed not in {0, 4}, ssc=seed > 5) for seed in range(9)]
    with ChipWriter(tmp_path / "chips", size=16, capacity=2, made_by="a test") as out:
        for number, one in enumerate(made):
            out.add(one, split=("train", "val", "test")[number % 3])
    return tmp_path / "chips", made


def test_what_goes_in_comes_out(folder):
    path, made = folder
    found = ChipFolder(path)
    assert len(found) == 9
    assert found.bands == SIX
    for put, got in zip(made, (found[i] for i in range(9)), strict=True):
        np.testing.assert_allclose(got.reflectance, put.reflectance, atol=5.1e-5)
        assert np.array_equal(np.isnan(got.reflectance), np.isnan(put.reflectance))
        assert np.array_equal(got.labels, put.labels)
        assert (got.product, got.source, got.region, got.scene) == (put.product, put.source, put.region, put.scene)
        assert got.simulated is put.simulated
        assert (got.fmask is None) == (put.fmask is None)
        if put.fmask is not None:
            assert np.array_equal(got.fmask, put.fmask)
        if put.ssc is not None:
            np.testing.assert_allclose(got.ssc, put.ssc, rtol=1e-3)
        else:
            assert np.isnan(got.ssc).all()


def test_splits_share_out_the_chips(folder):
    path, made = folder
    parts = [ChipFolder(path).split(name) for name in ("train", "val", "test")]
    scenes = [scene for part in parts for scene in part.index["scene"]]
    assert sorted(scenes) == sorted(one.scene for one in made)
    assert np.array_equal(parts[1][2].labels, made[7].labels)
    assert np.array_equal(parts[1].take([2])[0].labels, made[7].labels)


def test_arrays_are_cut_to_length_and_hold_no_pickle(folder):
    path, _ = folder
    for name in ("reflectance", "labels", "fmask", "ssc"):
        assert len(np.load(path / f"{name}.npy", allow_pickle=False)) == 9


def test_a_folder_broken_off_keeps_what_was_added(tmp_path):
    with pytest.raises(RuntimeError, match="broken"), ChipWriter(tmp_path, size=16) as out:  # noqa: PT012
        out.add(chip(3), split="train")
        raise RuntimeError("broken")
    assert np.array_equal(ChipFolder(tmp_path)[0].labels, chip(3).labels)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_labels_survive_their_bit_planes(seed):
    labels = np.random.default_rng(seed).choice([0, 1, UNKNOWN], (5, 7, 3)).astype(np.uint8)
    assert np.array_equal(unpack_labels(pack_labels(labels)), labels)


def test_split_goes_by_region_alone_and_in_the_shares_asked_for():
    splits = np.array([split_of(f"region {n}") for n in range(4000)])
    assert abs((splits == "train").mean() - 0.8) < 0.02
    assert abs((splits == "test").mean() - 0.1) < 0.02
    assert (np.array([split_of(f"region {n}", seed=1) for n in range(4000)]) != splits).any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"bands": (Band.RED, Band.NIR)}, "wanted blue green"),
        ({"size": 8}, "wanted blue green .* of .16, 16. px"),
    ],
)
def test_a_chip_of_another_kind_is_refused(tmp_path, wrong, said):
    with ChipWriter(tmp_path, size=16) as out, pytest.raises(InputError, match=said):
        out.add(chip(**wrong), split="train")


def test_labels_of_other_values_and_splits_of_other_names_are_refused(tmp_path):
    odd = chip()
    odd.labels[0, 0, 0] = 7
    with ChipWriter(tmp_path, size=16) as out:
        with pytest.raises(InputError, match="labels are not"):
            out.add(odd, split="train")
        with pytest.raises(InputError, match="no split 'dev'"):
            out.add(chip(1), split="dev")


def test_what_is_wrong_with_a_folder_is_said(folder, tmp_path):
    path, _ = folder
    with pytest.raises(InputError, match="holds chips already"):
        ChipWriter(path)
    with pytest.raises(InputError, match=r"found no chips\.json"):
        ChipFolder(tmp_path / "nothing")
    with pytest.raises(InputError, match="no split"):
        ChipFolder(path).split("dev")
    whole = (path / "labels.npy").read_bytes()
    (path / "labels.npy").write_bytes(whole[:200])
    with pytest.raises(DataError, match=r"labels\.npy: cannot be read"):
        ChipFolder(path)
    np.save(path / "labels.npy", np.zeros((3, 2, 16, 16), np.uint8))
    with pytest.raises(DataError, match=r"labels\.npy: found shape \(3, 2, 16, 16\)"):
        ChipFolder(path)
    facts = json.loads((path / "chips.json").read_text())
    (path / "chips.json").write_text(json.dumps({**facts, "schema": 99}))
    with pytest.raises(DataError, match="found schema 99"):
        ChipFolder(path)
