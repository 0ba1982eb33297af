"""Published checkpoints become safetensors with the same answers, and nothing in them is ever run."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.cards import load_weights, read_card
from models.convert import convert, key_sets
from models.doors import to_masks, turn_thresholds
from models.pickles import read_plain
from models.published import FACTS, NAMES, TASKS, build
from ssc.bands import SIX
from ssc.errors import DataError, InputError
from ssc.masks import Mask

SMALL = "mobilenetv3"


@pytest.fixture
def folder():
    """Emptied at once: pytest keeps its own folders, and checkpoints are large."""
    with TemporaryDirectory() as path:
        yield Path(path)


@pytest.fixture(scope="module")
def small():
    """A network of random weights, its batch statistics no longer those of a new one."""
    return network(SMALL)


def network(name: str) -> nn.Module:
    torch.manual_seed(5)
    built = build(name)
    generator = torch.Generator().manual_seed(6)
    for key, tensor in built.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif key.endswith("num_batches_tracked"):
            tensor.fill_(12_345)
    return built.eval()


def saved(path: Path, state_dict, *, best_performance=0.21423, epoch=46, **options) -> Path:
    """As the authors' training script writes it."""
    parameter = nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([parameter], lr=1e-4)
    parameter.sum().backward()
    optimiser.step()
    content = {
        "epoch": epoch,
        "state_dict": state_dict,
        "best_performance": best_performance,
        "optimizer": optimiser.state_dict(),
    }
    torch.save(content, path, **options)
    return path


def hollow(name: str, **changes: torch.Tensor) -> dict[str, torch.Tensor]:
    """A state dict of right names and shapes that takes no room: each tensor is one zero, repeated."""
    entries = {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in key_sets()[name].items()}
    return {**entries, **changes}


def answers(model: nn.Module, pixels: int = 64) -> torch.Tensor:
    x = torch.rand(1, 6, pixels, pixels, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        return to_masks(model(x))


WRAPPED = {
    "bare": lambda model: model.state_dict(),
    "parallel": lambda model: nn.DataParallel(model).state_dict(),
    "twice": lambda model: nn.Sequential(OrderedDict(module=nn.DataParallel(model))).state_dict(),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", WRAPPED)
def test_every_way_of_wrapping_and_saving_gives_the_same_tensors(folder, small, wrapped, zipped):
    source = saved(folder / "a.pth.tar", WRAPPED[wrapped](small), _use_new_zipfile_serialization=zipped)
    card = convert(source, SMALL, folder / "out")
    found = load_weights(card, folder / "out" / "published-mobilenetv3.safetensors")
    assert found.keys() == small.state_dict().keys()
    for key, tensor in small.state_dict().items():
        assert torch.equal(found[key], tensor), key
        assert found[key].dtype == tensor.dtype, key


@pytest.mark.parametrize("name", [SMALL, "deeplabv3p", "segnet"])
def test_converted_weights_load_strictly_and_answer_the_same(folder, name):
    model = network(name)
    card = convert(saved(folder / "a.pth.tar", nn.DataParallel(model).state_dict()), name, folder / "out")
    assert (card.name, card.architecture) == (f"published-{name}", {"backbone": name})
    found, weights = read_card(folder / "out" / f"published-{name}.json")
    assert found == card
    fresh = build(name)
    fresh.load_state_dict(load_weights(found, weights), strict=True)
    assert torch.equal(answers(fresh.eval()), answers(model))


def test_key_sets_are_the_published_ones(shared):
    for name, entries in key_sets().items():
        published = json.loads((shared / "reference" / "keys" / f"{name}.json").read_text())
        assert {key: list(value.shape) for key, value in entries.items()} == published
        assert {value.dtype for value in entries.values()} <= {torch.float32, torch.int64}


def test_no_two_networks_have_the_same_keys():
    assert len({frozenset(entries) for entries in key_sets().values()}) == len(NAMES)


def test_card_records_all_that_is_known(folder, small):
    source = saved(folder / "run_model_best.pth.tar", small.state_dict())
    card = convert(source, SMALL, folder / "out", source_url="https://example.org/1", scaling="published-chip")
    assert (card.family, card.scaling, card.bands, card.tasks) == ("published", "published-chip", SIX, tuple(Mask))
    assert card.licence == "not stated by the authors"
    assert card.polarity == {"sun_mask": "1 = sunlit; turned into terrain shadow = 1 - sun"}
    assert card.thresholds == turn_thresholds(dict(zip(TASKS, (0.3, 0.3, 0.5, 0.3, 0.4), strict=True)))
    assert (card.window, card.temperatures[Mask.WATER], card.biases[Mask.WATER]) == (512, 1.0, 0.0)
    assert card.training == {
        "source": "run_model_best.pth.tar",
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "source_url": "https://example.org/1",
        "epoch": 46,
        "best_performance": 0.21423,
        "published_order": list(TASKS),
        "published_thresholds": dict(zip(TASKS, (0.3, 0.3, 0.5, 0.3, 0.4), strict=True)),
        "origin_of_thresholds": "the authors' for this backbone",
    }
    assert (
        card.sha256 == hashlib.sha256((folder / "out" / "published-mobilenetv3.safetensors").read_bytes()).hexdigest()
    )
    assert "88.18" in card.as_markdown()


def test_given_thresholds_are_in_the_published_sense_and_named(folder, small):
    source = saved(folder / "a.pth", small.state_dict())
    card = convert(source, SMALL, folder, name="mine", thresholds={"sun_mask": 0.75, "water_mask": 0.1})
    assert card.thresholds[Mask.WATER] == 0.1
    assert card.thresholds[Mask.TERRAIN_SHADOW] == float(np.nextafter(np.float32(0.25), np.float32(0)))
    assert card.thresholds[Mask.CLOUD] == 0.5
    assert card.training["origin_of_thresholds"].endswith("given at conversion: water_mask sun_mask")
    assert (folder / "mine.safetensors").is_file()


def test_thresholds_nobody_published_are_one_half_and_the_card_says_so(folder):
    """The one network without; its head alone would do, but the whole of it is written once here."""
    card = convert(saved(folder / "a.pth", hollow("swint")), "swint", folder / "out")
    assert FACTS["swint"].thresholds is None
    assert set(card.thresholds.values()) == {0.5, float(np.nextafter(np.float32(0.5), np.float32(0)))}
    assert "0.5: the authors published none" in card.training["origin_of_thresholds"]


def test_a_bare_state_dict_will_do(folder, small):
    torch.save(small.state_dict(), folder / "a.pth")
    card = convert(folder / "a.pth", SMALL, folder)
    assert "epoch" not in card.training
    assert load_weights(card, folder / f"{card.name}.safetensors").keys() == small.state_dict().keys()


def test_half_and_double_precision_become_float32(folder, small):
    mixed = {
        key: tensor.half() if "bias" in key else tensor.double() if tensor.is_floating_point() else tensor
        for key, tensor in small.state_dict().items()
    }
    card = convert(saved(folder / "a.pth", mixed), SMALL, folder)
    found = load_weights(card, folder / f"{card.name}.safetensors")
    for key, tensor in small.state_dict().items():
        wanted = tensor.half().to(tensor.dtype) if "bias" in key else tensor
        assert torch.equal(found[key], wanted), key


# what a checkpoint may hold beside its tensors


@pytest.mark.parametrize(
    ("stated", "read"),
    [
        (np.float64(0.25), 0.25),
        (np.float32(0.25), 0.25),
        (np.dtype(">f8").type(0.25), 0.25),
        (np.int64(-7), -7),
        (torch.tensor(0.25), 0.25),
        (float("inf"), "inf"),
        (None, "not stated"),
        ("x" * 200, None),
    ],
)
def test_best_performance_of_any_plain_kind_is_recorded(folder, small, stated, read):
    card = convert(saved(folder / "a.pth", small.state_dict(), best_performance=stated), SMALL, folder)
    found = card.training["best_performance"]
    assert found == read if read is not None else len(found) <= 80
    assert type(found) in {float, int, str}


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
@pytest.mark.parametrize("order", "<>")
def test_scalars_of_numpy_1_and_2_are_read(folder, module, order):
    torch.save({"best": np.float64(0.21423)}, folder / "a.pth")
    rewrite_pickle(
        folder / "a.pth",
        lambda content: content.replace(b"numpy._core.multiarray", module.encode()).replace(
            b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00" + order.encode()
        ),
    )
    wanted = 0.21423 if order == "<" else float(np.array(0.21423).view(">f8"))
    assert read_plain(folder / "a.pth") == {"best": wanted}


def rewrite_pickle(path: Path, change: Callable[[bytes], bytes]) -> None:
    """The same zip with another pickle in it and right checksums."""
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, change(content) if name.endswith("data.pkl") else content)


class Opens:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class Runs(Opens):
    def __reduce__(self):
        return __import__("os").system, (f"touch {self.path}",)


class Asks(Opens):
    def __reduce__(self):
        return eval, (f"open({str(self.path)!r}, 'w')",)


@pytest.mark.parametrize(("kind", "named"), [(Opens, "io.open"), (Runs, "posix.system"), (Asks, "eval")])
@pytest.mark.parametrize("where", ["best_performance", "state_dict", "epoch", "alone", "old format"])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(folder, kind, named, where):
    trap, source = kind(folder / "trap"), folder / "a.pth"
    contents = {"best_performance": 0.1, "state_dict": {"weight": torch.ones(1)}, "epoch": 1}
    if where == "alone":
        source.write_bytes(pickle.dumps(trap, protocol=2))
    elif where == "old format":
        torch.save({**contents, "epoch": trap}, source, _use_new_zipfile_serialization=False)
    else:
        torch.save({**contents, where: trap}, source)
    with pytest.raises(DataError) as raised:
        convert(source, SMALL, folder / "out")
    assert not (folder / "trap").exists()
    assert not (folder / "out").exists()
    if where != "alone":
        assert f"found {named}, which could run code when read; wanted tensors" in str(raised.value)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (np.zeros(3), "numpy._core.multiarray._reconstruct"),
        (Path("a"), "pathlib.PosixPath"),
        (np.str_("a"), "a numpy value that is no plain number"),
        (np.datetime64("2024-03-28"), "a numpy value that is no plain number"),
        (nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
    ],
)
def test_other_objects_are_named_and_a_way_out_is_given(folder, value, named):
    torch.save({"state_dict": {}, "best_performance": value}, folder / "a.pth")
    with pytest.raises(DataError, match=named) as raised:
        convert(folder / "a.pth", SMALL, folder / "out")
    assert 'save {"state_dict": model.state_dict()} anew' in str(raised.value)
    assert "\n" not in str(raised.value)


# what a checkpoint may be that is none, or not this one


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_of_another_network_is_recognised(folder, name):
    other = "segnet" if name != "segnet" else SMALL
    with pytest.raises(DataError, match=rf"not a {other}: found .* missing; .* unexpected") as raised:
        convert(saved(folder / "a.pth", hollow(name)), other, folder / "out")
    assert f"(these are the entries of {name})" in str(raised.value)
    assert len(str(raised.value)) < 800
    assert not (folder / "out").exists()


def test_missing_and_unexpected_entries_are_named(folder):
    state = hollow(SMALL)
    del state["backbone.trunk.first.weight"]
    state["extra.weight"] = torch.ones(1)
    with pytest.raises(DataError) as raised:
        convert(saved(folder / "a.pth", state), SMALL, folder)
    told = "found backbone.trunk.first.weight missing; extra.weight unexpected; wanted its 299 entries"
    assert told in str(raised.value)


FIRST = "backbone.trunk.first.weight"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(3, 3, 1, 1), r"shapes differ in .*first.weight: .* found \(3, 3, 1, 1\), wanted \(3, 6, 1, 1\)"),
        (torch.full((3, 6, 1, 1), torch.nan), r"first\.weight: found NaN or infinity, wanted numbers"),
        (torch.full((3, 6, 1, 1), 1e300, dtype=torch.float64), "found NaN or infinity"),
        (torch.zeros(3, 6, 1, 1, dtype=torch.int64), "found torch.int64, wanted torch.float32"),
        (torch.zeros(3, 6, 1, 1, dtype=torch.complex64), "found no tensors with values"),
        (torch.zeros(3, 6, 1, 1, device="meta"), "found no tensors with values"),
        (torch.zeros(3, 6, 1, 1).to_sparse(), "found no tensors with values"),
        ("text", "found no tensors with values"),
    ],
)
def test_weights_that_cannot_be_used_are_named(folder, value, message):
    with pytest.raises(DataError, match=message):
        convert(saved(folder / "a.pth", hollow(SMALL, **{FIRST: value})), SMALL, folder / "out")
    assert not (folder / "out").exists()


def test_the_same_entry_with_and_without_prefix_is_refused(folder):
    state = hollow(SMALL, **{f"module.{FIRST}": torch.ones(3, 6, 1, 1)})
    with pytest.raises(DataError, match="both with and without"):
        convert(saved(folder / "a.pth", state), SMALL, folder)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"epoch": 3, "model": {}}, r"\['epoch', 'model'\]"),
        ({"state_dict": {}}, r"\['state_dict'\]"),
        ({"state_dict": [torch.ones(1)]}, r"\['state_dict'\]"),
        ({"state_dict": {3: torch.ones(1)}}, r"\['state_dict'\]"),
        ({}, r"\[\]"),
        ([torch.ones(1)], "'list'"),
        (torch.ones(1), "'Tensor'"),
        (3, "'int'"),
    ],
)
def test_a_file_without_state_dict_is_told(folder, content, found):
    torch.save(content, folder / "a.pth")
    with pytest.raises(DataError, match=f"no state_dict: found {found}, wanted names with tensors"):
        convert(folder / "a.pth", SMALL, folder)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_cut_short_is_told(folder, small, share, zipped):
    source = saved(folder / "a.pth", small.state_dict(), _use_new_zipfile_serialization=zipped)
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"checkpoint .*a\.pth"):
        convert(source, SMALL, folder / "out")
    assert not (folder / "out").exists()


def test_one_changed_byte_among_the_weights_is_told(folder, small):
    source = saved(folder / "a.pth", small.state_dict())
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    source.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged or not of torch.save: .* does not fit its checksum|Bad CRC"):
        convert(source, SMALL, folder)


@pytest.mark.parametrize("content", [b"", b"hello", b"<html>quota exceeded</html>", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_checkpoint_is_told(folder, content):
    (folder / "a.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"checkpoint .*a\.pth: "):
        convert(folder / "a.pth", SMALL, folder)


@settings(max_examples=150, deadline=None)
@given(
    place=st.floats(0, 1), junk=st.binary(min_size=1, max_size=6), form=st.sampled_from(["zip", "pickle in zip", "old"])
)
def test_any_damage_is_read_or_refused(place, junk, form):
    content = {"epoch": 3, "best": np.float64(0.5), "t": torch.ones(2), "names": ["a", (1, None)]}

    def damaged(whole: bytes) -> bytes:
        start = int(place * (len(whole) - 1))
        return whole[:start] + junk + whole[start + len(junk) :]

    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.pth"
        torch.save(content, path, _use_new_zipfile_serialization=form != "old")
        if form == "pickle in zip":
            rewrite_pickle(path, damaged)
        else:
            path.write_bytes(damaged(path.read_bytes()))
        try:
            read_plain(path)
        except DataError as error:
            refused = str(error)
        else:
            return
        assert refused.startswith(f"checkpoint {path}: ")


# wrong use


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet"}, "no published network 'resnet': wanted one of deeplabv3p"),
        ({"source": "gone.pth"}, r"no checkpoint gone\.pth"),
        ({"source": "."}, "found no such file"),
        ({"scaling": "reflectance"}, "no scaling 'reflectance' of a published network: wanted published-chip or"),
        ({"thresholds": {"rain_mask": 0.5}}, "found rain_mask, wanted some of water_mask"),
        ({"thresholds": {"sun_mask": 1.0}}, "threshold of sun_mask: found 1.0"),
        ({"name": "a/b"}, "name: found 'a/b'"),
        ({"licence": ""}, "licence: found '', wanted text"),
    ],
)
def test_wrong_use_is_told(folder, arguments, message):
    source = saved(folder / "a.pth", hollow(SMALL))
    with pytest.raises(InputError, match=message):
        convert(**{"source": source, "backbone": SMALL, "out": folder / "out", **arguments})
    assert not (folder / "out").exists()
