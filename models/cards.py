"""Weights and what is known about them: one card (JSON) beside one file of tensors (safetensors).

    card, weights = read_card("default")                        a shipped name, or a path: read_card("out/best.json")
    tensors = load_weights(card, weights)                       sha256 checked, float32
    card = write_weights("out", card, network.state_dict())     NAME.safetensors, then NAME.json

Neither file can run code when it is read. A card is strict: a field too many or too few is an error, because a misspelt
threshold that is silently ignored spoils every mask made with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from models import cardfields, cardtext
from models.checkpoint import drafted
from ssc.bands import Band
from ssc.errors import DataError, InputError
from ssc.masks import Mask

WEIGHTS: Final = Path(__file__).with_name("weights")
"""Where the shipped weights lie; a file's name without its ending is what they are asked for by."""
SCHEMA: Final = 1
SCALINGS: Final = {"multitask": ("reflectance",), "published": ("published-chip", "published-crop")}
"""What a network of each family is fed: plain reflectance, or chips stretched by their own extremes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a set of weights is, wants, answers and is worth.

    Probability = sigmoid(logit / temperature + bias); the thing is there where probability > threshold, strictly.

    Raises:
        InputError: A field with a value it cannot have.
    """

    name: str
    """Name of both files without their endings."""
    description: str
    family: str
    """"multitask" (ours) or "published" (one of the nine)."""
    architecture: dict[str, Any]
    """What builds the network: `NetworkConfig.as_dict()`, or {"backbone": name}."""
    bands: tuple[Band, ...]
    """Order of the input channels; of a network that takes any bands (`takes_any_bands`), those it knows."""
    scaling: str
    """One of `SCALINGS[family]`."""
    tasks: tuple[Mask, ...]
    """Order of the outputs; for published networks after `models.doors`."""
    thresholds: dict[Mask, float]
    """0..1, one for each task."""
    temperatures: dict[Mask, float] = field(default_factory=dict)
    """Above 0, one for each task; 1 = as trained, which is what an empty table becomes."""
    biases: dict[Mask, float] = field(default_factory=dict)
    """One for each task; 0 = as trained, which is what an empty table becomes."""
    polarity: dict[str, str] = field(default_factory=dict)
    """Outputs of the network whose sense is not "1 = the thing is there", and what is done about it."""
    halo: int
    """Pixels at each edge of a window that are not to be trusted."""
    window: int
    """Pixels along one side of the square the network is fed."""
    licence: str
    sha256: str = ""
    """Of the safetensors file; `write_weights` fills it."""
    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    """What the network is known not to do well."""

    def __post_init__(self) -> None:
        for name, settle in _FIELDS.items():
            try:
                object.__setattr__(self, name, settle(getattr(self, name)))
            except ValueError as error:
                raise InputError(f"card {cardfields.short(self.name)}: {name}: {error}") from error
        for name, as_trained in (("temperatures", 1.0), ("biases", 0.0)):
            if not getattr(self, name):
                object.__setattr__(self, name, dict.fromkeys(self.tasks, as_trained))
        _check_together(self)

    @property
    def takes_any_bands(self) -> bool:
        """Whether `bands` are what the network may be given, not what it needs."""
        return cardfields.takes_any_bands(self.architecture)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `Card.from_dict` reads them."""
        plain = {"schema": SCHEMA, **{item.name: getattr(self, item.name) for item in fields(self)}}
        plain["bands"] = [band.value for band in self.bands]
        plain["tasks"] = [mask.name for mask in self.tasks]
        for name in _PER_TASK:
            plain[name] = {mask.name: value for mask, value in getattr(self, name).items()}
        return plain

    @classmethod
    def from_dict(cls, plain: Any) -> Self:
        """From the plain values of `as_dict`: all of them and no others.

        Raises:
            InputError: A field unknown, missing, or with a value it cannot have.
        """
        if not isinstance(plain, dict):
            raise InputError(f"not a card: found {cardfields.short(plain)}, wanted a table of its fields")
        if plain.get("schema") != SCHEMA:
            raise InputError(f"not a card of this kind: found schema {plain.get('schema')!r}, wanted {SCHEMA}")
        known = {item.name for item in fields(cls)}
        values = {name: value for name, value in plain.items() if name != "schema"}
        if unknown := sorted(values.keys() - known):
            raise InputError(
                f"card: found unknown fields {cardfields.short(unknown)}, wanted {' '.join(sorted(known))}"
            )
        if missing := sorted(known - values.keys()):
            raise InputError(f"card: found no {' '.join(missing)}, wanted every field")
        return cls(**values)

    def as_markdown(self) -> str:
        """The card for people to read."""
        return cardtext.markdown(self.as_dict())


_FIELDS: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("description", "family", "scaling", "licence"), cardfields.text),
    **dict.fromkeys(("architecture", "training", "data", "scores"), cardfields.table),
    **dict.fromkeys(("halo", "window"), cardfields.whole),
    "name": cardfields.file_name,
    "bands": cardfields.bands,
    "tasks": cardfields.masks,
    "thresholds": cardfields.shares,
    "temperatures": cardfields.positives,
    "biases": cardfields.finites,
    "polarity": cardfields.text_table,
    "sha256": cardfields.sha256,
    "limits": cardfields.texts,
}
_PER_TASK: Final = ("thresholds", "temperatures", "biases")


def read_card(name_or_path: str | Path) -> tuple[Card, Path]:
    """A card, and where its weights lie.

    Args:
        name_or_path: Name of shipped weights, such as "default", or a path to a card ending in .json.

    Raises:
        InputError: No such card.
        DataError: A damaged card, or one without its weights.
    """
    path = _find(name_or_path)
    card = _read(path)
    weights = path.with_suffix(".safetensors")
    if not weights.is_file():
        raise DataError(f"card {path}: found no weights beside it, wanted {weights.name}")
    return card, weights


def shipped() -> dict[str, Card]:
    """The cards of the weights that come with this package, by the name they are asked for.

    Raises:
        DataError: A damaged card.
    """
    return {path.stem: _read(path) for path in sorted(WEIGHTS.glob("*.json"))}


def write_weights(folder: str | Path, card: Card, state_dict: Mapping[str, Tensor]) -> Card:
    """Write weights and their card; each file appears whole or not at all, the card last.

    Stopped between the two, an older card of that name no longer fits its weights, and reading says so.

    Args:
        folder: Made when it is not there.
        card: Its `sha256` does not count.
        state_dict: Tensors as they are to be stored; float16 halves the file and is read back as float32.

    Returns:
        The card as written, with the sha256 of its weights.
    """
    weights, beside = Path(folder) / f"{card.name}.safetensors", Path(folder) / f"{card.name}.json"
    with drafted(weights) as draft:
        # copies: safetensors refuses tensors that share memory, as tied layers and views into a checkpoint do
        save_file({name: _alone(tensor) for name, tensor in state_dict.items()}, draft)
        written = replace(card, sha256=hashlib.sha256(draft.read_bytes()).hexdigest())
    with drafted(beside) as draft:
        draft.write_text(json.dumps(written.as_dict(), indent=1) + "\n")
    return written


def load_weights(card: Card, path: Path) -> dict[str, Tensor]:
    """The tensors of a card, floating ones as float32 whatever they were stored as.

    Args:
        card: Says which file is meant, by its sha256.
        path: Of the weights, as `read_card` gives it.

    Raises:
        DataError: Not there, not the file the card means, or not safetensors.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"weights of {card.name}: cannot be read: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != card.sha256:
        raise DataError(f"weights {path}: found sha256 {found[:16]}..., wanted {card.sha256[:16]}... as on the card")
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(f"weights {path}: not safetensors: {error}") from error
    return {
        name: tensor.to(torch.float32) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }


def _check_together(card: Card) -> None:
    if card.family not in SCALINGS:
        raise InputError(f"card {card.name!r}: family: found {card.family!r}, wanted one of {' '.join(SCALINGS)}")
    if card.scaling not in SCALINGS[card.family]:
        wanted = f"one of {' '.join(SCALINGS[card.family])} for a {card.family} network"
        raise InputError(f"card {card.name!r}: scaling: found {card.scaling!r}, wanted {wanted}")
    for name in _PER_TASK:
        found = {mask.name for mask in getattr(card, name)}
        if found != (wanted_masks := {mask.name for mask in card.tasks}):
            message = f"found {' '.join(sorted(found))}, wanted one for each task: {' '.join(sorted(wanted_masks))}"
            raise InputError(f"card {card.name!r}: {name}: {message}")
    if card.window <= 2 * card.halo:
        raise InputError(
            f"card {card.name!r}: window: found {card.window} px, wanted more than twice halo {card.halo} px"
        )


def _find(name_or_path: str | Path) -> Path:
    path, shipped_card = Path(name_or_path), WEIGHTS / f"{name_or_path}.json"
    if path.suffix != ".json" and path.name == str(name_or_path) and shipped_card.is_file():
        return shipped_card
    if path.suffix == ".json" and path.is_file():
        return path
    names = " ".join(sorted(item.stem for item in WEIGHTS.glob("*.json"))) or "none"
    raise InputError(f"no card {str(name_or_path)!r}: wanted a path to a .json file or a shipped name ({names})")


def _read(path: Path) -> Card:
    try:
        card = Card.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, RecursionError, ValueError) as error:
        raise DataError(f"card {path}: {error}") from error
    if not card.sha256:
        raise DataError(f"card {path}: sha256: found none, wanted that of its weights")
    return card


def _alone(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
