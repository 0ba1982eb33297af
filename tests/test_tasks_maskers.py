"""Maskers by name: the same protocol for rules and networks, new weights redo the work, names without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import rasterio

from models.masker import load_masker
from scenes import scene
from ssc.bands import SIX, Band
from ssc.errors import DataError, InputError
from ssc.granules import find
from ssc.legacy import maskers as legacy
from ssc.legacy import shading
from ssc.masks import Mask
from ssc.observation import Window
from ssc.pools import plan_pools
from ssc.reaches import read_reaches
from ssc.simulate.weather import SWATH_EDGE
from tasks.granule import estimate_granule
from tasks.job import Job, Selection, Work
from tasks.job import open_masker as open_once
from tasks.maskers import identity, open_masker
from tinymasker import write_card


@pytest.fixture(scope="module")
def card_path(tmp_path_factory):
    return str(write_card(tmp_path_factory.mktemp("card"), thresholds=dict.fromkeys(Mask, 0.3)))


@pytest.fixture(scope="module")
def seen():
    """A scene of 128 px at the edge of a swath, with a few pixels that only Fmask calls fill."""
    observation = scene(seed=7, size=128, weather=SWATH_EDGE).observation
    fmask = observation.fmask.copy()
    fmask[:3] = 255
    return replace(observation, fmask=fmask)


def test_names_are_told_without_torch():
    code = "import sys, json, tasks.maskers as m; print(json.dumps([m.names(), 'torch' in sys.modules]))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, has_torch = json.loads(answer.stdout)
    assert not has_torch
    assert found.items() >= legacy.NAMES.items()
    assert all(meaning.strip() for meaning in found.values())


def test_a_name_that_is_none_is_refused_with_those_that_are(tmp_path):
    with pytest.raises(InputError, match=r"no masker 'dswx'.*legacy-dswx legacy-fmask fmask mndwi, or a card's .json"):
        open_masker("dswx")
    with pytest.raises(InputError, match="no masker"):
        open_masker(str(tmp_path / "absent.json"))


def test_a_network_that_wants_more_than_is_read_is_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="wants coastal: only blue green red nir swir1 swir2"):
        open_masker(str(write_card(tmp_path, config={"bands": (*SIX, Band.COASTAL)})))


def test_a_damaged_card_is_refused(tmp_path):
    path = write_card(tmp_path)
    path.with_suffix(".safetensors").write_bytes(b"something else")
    with pytest.raises(DataError, match="sha256"):
        open_masker(str(path))


@pytest.mark.parametrize("name", legacy.NAMES)
def test_rules_are_opened_as_ever(name, seen):
    masker, plain = open_masker(name), legacy.load(name)
    assert (masker.name, masker.halo) == (name, plain.halo)
    np.testing.assert_array_equal(masker(seen).stack, plain(seen).stack)


def test_a_network_says_what_its_probabilities_say(card_path, seen):
    masker = open_masker(card_path)
    assert (masker.name, masker.halo) == ("tiny", 8)
    masks = masker(seen)
    neural = load_masker(card_path)
    probabilities = neural(seen.reflectance, bands=SIX, product=seen.granule.product)
    np.testing.assert_array_equal(masks.valid, seen.valid)
    assert 0.2 < masks.valid.mean() < 0.98
    assert not masks.stack[:, ~masks.valid].any()
    np.testing.assert_array_equal(masks.stack, (probabilities > np.float32(0.3)) & seen.valid)
    assert masks.stack.any()


def test_a_probability_at_the_threshold_is_not_above_it(tmp_path, seen):
    path = write_card(tmp_path)
    water = open_masker(str(path)).probabilities(seen)[Mask.WATER]
    at = float(np.sort(water[seen.valid])[500])
    plain = json.loads(path.read_text())
    plain["thresholds"]["WATER"] = at
    path.write_text(json.dumps(plain))
    masks = open_masker(str(path))(seen)
    assert (water[seen.valid] == np.float32(at)).any()
    np.testing.assert_array_equal(masks[Mask.WATER][seen.valid], water[seen.valid] > np.float32(at))


def test_a_window_of_a_tile_is_judged_as_the_tile_is(tmp_path):
    """One level of the encoder, so 16 px of context are enough; the window starts within a cell."""
    masker = open_masker(str(write_card(tmp_path, config={"levels": 1}, halo=16)))
    whole = scene(seed=7, size=128).observation
    window = Window(row=37, col=22, height=70, width=60)
    part = replace(
        whole,
        window=window,
        reflectance=whole.reflectance[:, *window.slices],
        fmask=whole.fmask[window.slices],
    )
    inner = np.s_[:, 16:-16, 16:-16]
    np.testing.assert_allclose(
        masker.probabilities(part)[inner], masker.probabilities(whole)[:, *window.slices][inner], atol=0.03
    )


def test_terrain_adds_its_shadow_to_what_the_network_sees(card_path, tmp_path):
    observation = scene(seed=7, size=128, platform="L8").observation
    wide = shading.padded(observation.facts.geobox, 540)
    height = np.full(wide.shape, 100, np.float32)
    height[:, 600:604] = 1500  # a wall across the scene
    dem = tmp_path / "wall.tif"
    profile = {"driver": "GTiff", "height": wide.shape[0], "width": wide.shape[1], "count": 1, "dtype": "float32"}
    with rasterio.open(dem, "w", crs=str(wide.crs), transform=wide.affine, **profile) as file:
        file.write(height, 1)
    flat, hilly = open_masker(card_path)(observation), open_masker(card_path, dem=dem)(observation)
    cast = legacy.load("legacy-fmask", dem=dem)(observation)[Mask.TERRAIN_SHADOW]
    assert 0 < cast.mean() < 1
    assert (cast & ~flat[Mask.TERRAIN_SHADOW]).any()
    np.testing.assert_array_equal(hilly[Mask.TERRAIN_SHADOW], flat[Mask.TERRAIN_SHADOW] | cast)
    np.testing.assert_array_equal(hilly.stack[: Mask.TERRAIN_SHADOW], flat.stack[: Mask.TERRAIN_SHADOW])


# new weights, new work


def test_rules_are_identified_by_their_name():
    assert identity("legacy-dswx") == "legacy-dswx"


def test_the_hash_of_a_job_changes_with_weights_and_thresholds_and_nothing_else(basin, tmp_path):
    job = Job(reaches=Selection(path=str(basin.reaches)), masker=str(tmp_path / "tiny.json"), regressor="physical")
    write_card(tmp_path)
    first = job.hash
    write_card(tmp_path, description="The same in other words.")
    assert job.hash == first
    write_card(tmp_path, seed=1)
    other_weights = job.hash
    write_card(tmp_path, thresholds=dict.fromkeys(Mask, 0.2))
    assert len({first, other_weights, job.hash}) == 3


def test_a_masker_is_opened_once_and_anew_when_its_card_changes(tmp_path):
    path = str(write_card(tmp_path))
    opened = open_once(path, None)
    assert open_once(path, None) is opened
    write_card(tmp_path, seed=1)
    again = open_once(path, None)
    assert again is not opened
    assert again.neural.card.sha256 != opened.neural.card.sha256


def test_a_network_takes_a_granule_all_the_way(basin, card_path):
    job = Job(reaches=Selection(path=str(basin.reaches)), masker=card_path, regressor="physical")
    granule = find(basin.granules)[0]
    (duty,) = plan_pools([granule], read_reaches(basin.reaches)).values()
    rows = estimate_granule(job, Work(granule=granule, duty=duty)).rows
    assert len(rows) > 5
    assert set(rows["masker"]) == {card_path}
    assert rows["clear_frac"].notna().any()
