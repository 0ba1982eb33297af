"""Cards: what is written reads back, and what is damaged is refused in one sentence."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from models import cards
from models.cards import Card, load_weights, read_card, shipped, write_weights
from ssc.bands import SIX, Band
from ssc.errors import DataError, InputError
from ssc.masks import Mask

CARD = Card(
    name="tiny",
    description="For tests.",
    family="multitask",
    architecture={"encoder": "tiny", "levels": 4},
    bands=SIX,
    scaling="reflectance",
    tasks=tuple(Mask),
    thresholds={mask: 0.1 + mask / 10 for mask in Mask},
    polarity={"sun_mask": "turned"},
    halo=64,
    window=512,
    licence="Apache-2.0",
    training={"epochs": 3},
    scores={"WATER": {"f1": 0.9}},
    limits=["never saw the sea"],
)
TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}


@pytest.fixture
def written(tmp_path):
    write_weights(tmp_path, CARD, TENSORS)
    return tmp_path / "tiny.json"


def damaged(path: Path, **changes) -> Path:
    """The card with fields changed, or dropped where the new value is `...`."""
    plain = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in plain.items() if value is not ...}))
    return path


def test_written_reads_back(written):
    card, weights = read_card(written)
    assert card == replace(CARD, sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    tensors = load_weights(card, weights)
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert {path.name for path in written.parent.iterdir()} == {"tiny.json", "tiny.safetensors"}


def test_defaults_stand_on_the_card_as_numbers(written):
    plain = json.loads(written.read_text())
    assert plain["temperatures"] == dict.fromkeys(Mask.__members__, 1.0)
    assert plain["biases"] == dict.fromkeys(Mask.__members__, 0.0)
    assert plain["thresholds"]["CLOUD_SHADOW"] == CARD.thresholds[Mask.CLOUD_SHADOW]
    assert plain["bands"] == ["blue", "green", "red", "nir", "swir1", "swir2"]


def test_numbers_of_arrays_tuples_and_paths_become_what_json_has():
    card = replace(
        CARD,
        bands=["red", "nir"],
        tasks=["CLOUD"],
        thresholds={"CLOUD": np.float32(0.5)},
        temperatures={},
        biases={},
        halo=np.int64(3),
        training={"chips": ("a", Path("b")), "rates": np.array([0.5, 0.25]), "score": np.float32(0.5)},
    )
    assert (card.bands, card.tasks, card.halo) == ((Band.RED, Band.NIR), (Mask.CLOUD,), 3)
    assert card.thresholds == {Mask.CLOUD: 0.5}
    assert card.training == {"chips": ["a", "b"], "rates": [0.5, 0.25], "score": 0.5}
    assert Card.from_dict(json.loads(json.dumps(card.as_dict()))) == card


def test_half_precision_is_read_as_float32_and_integers_stay(tmp_path):
    exact = torch.tensor([0.5, -1.25, 1024.0])
    stored = {"half": exact.half(), "brain": exact.bfloat16(), "double": exact.double(), "steps": torch.tensor([3])}
    card = write_weights(tmp_path, CARD, stored)
    assert load_file(tmp_path / "tiny.safetensors")["half"].dtype == torch.float16
    found = load_weights(card, tmp_path / "tiny.safetensors")
    for name in ("half", "brain", "double"):
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], exact)
    assert found["steps"].dtype == torch.int64


def test_tied_and_transposed_tensors_are_stored_each_by_itself(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"a": base, "b": base, "c": base.T, "d": base[:, 1:2], "e": torch.nn.Parameter(base)}
    card = write_weights(tmp_path, CARD, tensors)
    found = load_weights(card, tmp_path / "tiny.safetensors")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_a_failed_write_leaves_what_was_there(written):
    before = {path.name: path.read_bytes() for path in written.parent.iterdir()}
    with pytest.raises(NotImplementedError):
        write_weights(written.parent, CARD, {"weight": torch.empty(3, device="meta")})
    assert {path.name: path.read_bytes() for path in written.parent.iterdir()} == before


def test_rewriting_replaces_both_files(written):
    card = write_weights(written.parent, replace(CARD, description="Second."), {"weight": torch.ones(1)})
    assert read_card(written)[0] == card
    assert load_weights(*read_card(written)).keys() == {"weight"}


def test_shipped_cards_are_whole_and_fit_their_weights():
    for name, card in shipped().items():
        found, weights = read_card(name)
        assert found == card
        assert load_weights(found, weights)


def test_a_shipped_name_is_looked_up_where_the_weights_lie(written, monkeypatch):
    monkeypatch.setattr(cards, "WEIGHTS", written.parent)
    assert list(shipped()) == ["tiny"]
    assert read_card("tiny") == read_card(written)
    with pytest.raises(InputError, match=r"no card 'other': wanted a path to a \.json file or a shipped name \(tiny\)"):
        read_card("other")


@pytest.mark.parametrize("asked", ["no/such.json", "tests", "", ".", "../tiny", "tiny.safetensors", "a\0b"])
def test_no_such_card_is_wrong_use(asked):
    with pytest.raises(InputError, match=r"wanted a path to a \.json file or a shipped name"):
        read_card(asked)


def test_a_card_without_its_weights_is_refused(written):
    written.with_suffix(".safetensors").unlink()
    with pytest.raises(DataError, match=r"tiny\.json: found no weights beside it, wanted tiny\.safetensors"):
        read_card(written)


def test_other_weights_than_the_card_means_are_refused(written):
    card, weights = read_card(written)
    save_file({"weight": torch.ones(2)}, weights)
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    with pytest.raises(DataError, match=f"found sha256 {found[:16]}..., wanted {card.sha256[:16]}... as on the card"):
        load_weights(card, weights)


def test_weights_cut_short_or_gone_are_refused(written):
    card, weights = read_card(written)
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DataError, match="sha256"):
        load_weights(card, weights)
    weights.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        load_weights(card, weights)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\xff" * 64])
def test_what_is_no_safetensors_is_refused_even_with_the_right_sum(written, content):
    weights = written.with_suffix(".safetensors")
    weights.write_bytes(content)
    card = replace(CARD, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(DataError, match="not safetensors"):
        load_weights(card, weights)


EACH = dict.fromkeys(Mask.__members__, 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, r"unknown fields \['colour'\], wanted .*architecture"),
        ({"licence": ...}, "found no licence, wanted every field"),
        ({"schema": 2}, "found schema 2, wanted 1"),
        ({"schema": ...}, "found schema None"),
        ({"name": "a/b"}, "name: found 'a/b', wanted up to 100 letters"),
        ({"name": 3}, "name: found 3"),
        ({"description": ["x"]}, r"description: found \['x'\], wanted text"),
        ({"family": "other"}, "family: found 'other', wanted one of multitask published"),
        ({"scaling": "published-crop"}, "scaling: found 'published-crop', wanted one of reflectance for a multitask"),
        ({"architecture": "unet"}, "architecture: found 'unet', wanted a table"),
        ({"bands": ["blue", "B03"]}, "bands: found 'B03', wanted some of coastal blue"),
        ({"bands": ["blue", "blue"]}, "bands: .*each once"),
        ({"bands": []}, "bands: found "),
        ({"bands": [["blue"]]}, "bands: found "),
        ({"bands": "blue"}, "bands: found 'blue', wanted a list of bands"),
        ({"tasks": ["WATER", "RAIN"]}, "tasks: found 'RAIN', wanted some of WATER CLOUD"),
        ({"tasks": [0, 1]}, "tasks: found 0, wanted some of WATER"),
        ({"tasks": ["WATER", "WATER"]}, "tasks: .*each mask once"),
        ({"tasks": ["WATER"]}, "thresholds: found CLOUD .*, wanted one for each task: WATER"),
        ({"thresholds": {**EACH, "RAIN": 0.5}}, "thresholds: found 'RAIN', wanted some of WATER"),
        ({"thresholds": {**EACH, "WATER": 1.5}}, "thresholds: WATER: found 1.5, wanted a number from 0 to 1"),
        ({"thresholds": {**EACH, "WATER": -0.1}}, "thresholds: WATER: found -0.1"),
        ({"thresholds": {**EACH, "WATER": "0.5"}}, "thresholds: found '0.5', wanted a number from 0 to 1"),
        ({"thresholds": {**EACH, "WATER": True}}, "thresholds: found True"),
        ({"thresholds": {"WATER": 0.5}}, "thresholds: found WATER, wanted one for each task: CLOUD"),
        ({"thresholds": [0.5] * 5}, "thresholds: found .*wanted a number from 0 to 1 for each mask"),
        ({"temperatures": {**EACH, "CLOUD": 0}}, "temperatures: CLOUD: found 0.0, wanted a number above 0"),
        ({"biases": {**EACH, "CLOUD": 10**400}}, "biases: found 1000.*, wanted a number"),
        ({"polarity": {"sun_mask": 1}}, "polarity: found 1, wanted text"),
        ({"halo": -1}, "halo: found -1, wanted a whole number"),
        ({"halo": 2.0}, "halo: found 2.0, wanted a whole number"),
        ({"window": True}, "window: found True"),
        ({"window": 128}, "window: found 128 px, wanted more than twice halo 64 px"),
        ({"sha256": "abc"}, "sha256: found 'abc', wanted 64 hex digits"),
        ({"sha256": ""}, "sha256: found none"),
        ({"limits": "none"}, "limits: found 'none', wanted a list of texts"),
        ({"scores": [1]}, r"scores: found \[1\], wanted a table"),
    ],
)
def test_each_damage_to_a_card_is_told(written, changes, message):
    with pytest.raises(DataError, match=message) as raised:
        read_card(damaged(written, **changes))
    assert str(written) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema": NaN}', b"1" * 5000]
)
def test_what_is_no_card_at_all_is_refused(written, content):
    written.write_bytes(content)
    with pytest.raises(DataError, match=r"tiny\.json"):
        read_card(written)


def test_not_a_number_is_no_threshold_and_no_score(written):
    written.write_text(written.read_text().replace("0.9", "NaN"))
    with pytest.raises(DataError, match="scores: "):
        read_card(written)
    with pytest.raises(InputError, match="thresholds: WATER: found nan"):
        replace(CARD, thresholds={**CARD.thresholds, Mask.WATER: float("nan")})


def test_what_json_cannot_hold_is_refused_when_the_card_is_made():
    with pytest.raises(InputError, match=r"training: found .*: set is none of its kinds"):
        replace(CARD, training={"chips": {"a"}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLAIN = {**CARD.as_dict(), "sha256": "0" * 64}


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(PLAIN)), JSON, max_size=3),
    st.sets(st.sampled_from(sorted(PLAIN)), max_size=1),
)
def test_any_other_card_is_read_or_refused_as_wrong(changes, dropped):
    plain = {name: value for name, value in {**PLAIN, **changes}.items() if name not in dropped}
    try:
        card = Card.from_dict(plain)
    except InputError:
        assert plain != PLAIN
    else:
        assert Card.from_dict(json.loads(json.dumps(card.as_dict(), allow_nan=False))) == card
        assert not dropped


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10_000), cut=st.integers(0, 10), junk=st.binary(max_size=10))
def test_any_damage_to_the_file_is_read_or_refused(tmp_path_factory, place, cut, junk):
    folder = tmp_path_factory.getbasetemp() / "damaged-cards"
    write_weights(folder, CARD, {"weight": torch.ones(1)})
    path = folder / "tiny.json"
    content = path.read_bytes()
    start = place % len(content)
    path.write_bytes(content[:start] + junk + content[start + cut :])
    try:
        card, _ = read_card(path)
    except DataError as error:
        refused = str(error)
    else:
        assert card.sha256
        return
    assert refused.startswith(f"card {path}: ")


def test_people_can_read_it():
    text = replace(CARD, biases={**CARD.biases, Mask.WATER: -0.25}).as_markdown()
    assert text.startswith("# tiny\n\nFor tests.\n")
    assert "| WATER | 0.1 | 1 | -0.25 |" in text
    assert "| TERRAIN_SHADOW | 0.5 | 1 | 0 |" in text
    assert "## Licence\n\nApache-2.0" in text
    assert "- never saw the sea" in text
    assert "## Data" not in text
    assert '- WATER: {"f1": 0.9}' in text
