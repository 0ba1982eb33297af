"""Published checkpoints to safetensors with a card, without running anything they hold.

    card = convert("20240328_deeplabv3p_..._model_best.pth.tar", "deeplabv3p", "weights")

A checkpoint is `torch.save({"epoch", "state_dict", "best_performance", "optimizer"})`: a pickle in a zip. Pickles can
run code, so only tensors and plain values are taken from it, checked against the network they should fit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models import cardfields
from models.cards import SCALINGS, Card, write_weights
from models.doors import POLARITY, turn_thresholds
from models.pickles import read_plain
from models.published import NAMES, TASKS, build, facts_of
from ssc.bands import SIX
from ssc.errors import DataError, InputError
from ssc.masks import Mask

NOT_STATED: Final = "not stated by the authors"
UNPUBLISHED_THRESHOLD: Final = 0.5
WINDOW, HALO = 512, 64
"""Pixels. Trained and run on 512; how much of an edge to leave out the authors do not say: 64 is ours."""
_DESCRIPTION: Final = (
    "{backbone} of Daroya et al., IEEE JSTARS 2025, DOI 10.1109/JSTARS.2025.3551620: water, cloud, cloud shadow,"
    " snow/ice and terrain shadow in HLS at 30 m. Converted from the authors' format."
)
_LABELS: Final = (
    "the checkpoint does not say; the released ones learnt OPERA DSWx-HLS and its cloud layer, older ones HLS Fmask:"
    " agreement with an algorithm, not truth"
)
_PUBLISHED_SCORES: Final = (
    "F1 in percent the authors published for this backbone (water: DSWx test set; the rest: LANA benchmark),"
    " not measured on these weights"
)
_FIRST: Final = 3
"""How many of a long list of names a message shows."""


def convert(
    source: str | Path,
    backbone: str,
    out: str | Path,
    *,
    name: str | None = None,
    scaling: str = "published-crop",
    thresholds: Mapping[str, float] | None = None,
    licence: str = NOT_STATED,
    source_url: str | None = None,
) -> Card:
    """Turn a published checkpoint into NAME.safetensors and NAME.json.

    Args:
        source: The checkpoint, its keys with or without the `module.` of DataParallel; a bare state dict will do.
        backbone: One of `models.published.NAMES`.
        out: Folder; made when it is not there.
        name: Of the two files, by default "published-" and the backbone.
        scaling: "published-crop" (as the authors' production) or "published-chip" (as their training and evaluation).
        thresholds: By published name and in the published sense (`sun_mask`: lit above it); for those left out the
            authors' own, or 0.5 where they published none.
        licence: Of the weights.
        source_url: Where the checkpoint came from, for the card.

    Returns:
        The card as written.

    Raises:
        InputError: No such file, backbone, scaling or task; a threshold outside 0..1.
        DataError: Not a checkpoint, damaged, with other things in it than tensors and plain values, of another network,
            or with weights that are not numbers.
    """
    path = Path(source)
    if backbone not in NAMES:
        raise InputError(f"no published network {backbone!r}: wanted one of {' '.join(NAMES)}")
    if scaling not in SCALINGS["published"]:
        raise InputError(f"no scaling {scaling!r} of a published network: wanted {' or '.join(SCALINGS['published'])}")
    if not path.is_file():
        raise InputError(f"no checkpoint {path}: found no such file, wanted one written by torch.save")
    chosen, origin = _thresholds(backbone, thresholds or {})
    turned = turn_thresholds(chosen)
    content = read_plain(path)
    tensors = _fitted(f"checkpoint {path}", _state_dict(path, content), backbone)
    card = Card(
        **_known(backbone),
        name=name or f"published-{backbone}",
        scaling=scaling,
        thresholds=turned,
        licence=licence,
        training={
            "source": path.name,
            "source_sha256": _sha256(path),
            "source_url": source_url or "not given",
            **_progress(content),
            "published_order": TASKS,
            "published_thresholds": chosen,
            "origin_of_thresholds": origin,
        },
    )
    return write_weights(out, card, tensors)


def key_sets() -> dict[str, Mapping[str, Tensor]]:
    """The state dict of each published network, as tensors without values."""
    return {name: _entries(name) for name in NAMES}


@cache
def _entries(backbone: str) -> Mapping[str, Tensor]:
    with torch.device("meta"):
        return build(backbone).state_dict()


def _thresholds(backbone: str, given: Mapping[str, float]) -> tuple[dict[str, float], str]:
    """In the published sense, and where they come from."""
    if unknown := sorted(given.keys() - set(TASKS)):
        raise InputError(f"thresholds: found {' '.join(unknown)}, wanted some of {' '.join(TASKS)}")
    stated = facts_of(backbone).thresholds
    origin = "the authors' for this backbone" if stated else f"{UNPUBLISHED_THRESHOLD}: the authors published none"
    chosen = dict(zip(TASKS, stated or [UNPUBLISHED_THRESHOLD] * len(TASKS), strict=True))
    if given:
        origin += f"; given at conversion: {' '.join(task for task in TASKS if task in given)}"
    return {**chosen, **given}, origin


def _state_dict(path: Path, content: Any) -> dict[str, Any]:
    """The state dict of a checkpoint, or the checkpoint itself where it is one, without the prefix of DataParallel."""
    table = content if isinstance(content, dict) else {}
    found = table.get("state_dict", table)
    other = found is table and not all(isinstance(value, Tensor) for value in table.values())
    if not isinstance(found, dict) or not found or other or not all(isinstance(key, str) for key in found):
        shown = cardfields.short(list(content) if isinstance(content, dict) else type(content).__name__)
        raise DataError(f"checkpoint {path}: no state_dict: found {shown}, wanted names with tensors under that name")
    plain = {_bare(key): value for key, value in found.items()}
    if len(plain) < len(found):
        raise DataError(f"checkpoint {path}: found entries both with and without module. in front, wanted each once")
    return plain


def _bare(key: str) -> str:
    while key.startswith("module."):  # once for each wrapper
        key = key.removeprefix("module.")
    return key


def _fitted(what: str, found: dict[str, Any], backbone: str) -> dict[str, Tensor]:
    """The tensors in the order and types of the network."""
    wanted = _entries(backbone)
    missing, unexpected = [key for key in wanted if key not in found], [key for key in found if key not in wanted]
    if missing or unexpected:
        told = f"{_some(missing)} missing; {_some(unexpected)} unexpected{_of_another(found)}"
        raise DataError(f"{what}: not a {backbone}: found {told}; wanted its {len(wanted)} entries")
    if strange := [key for key in wanted if not _ordinary(found[key])]:
        raise DataError(f"{what}: {_some(strange)}: found no tensors with values, wanted nothing else")
    if misshapen := [key for key in wanted if found[key].shape != wanted[key].shape]:
        key = misshapen[0]
        shapes = f"{key} found {tuple(found[key].shape)}, wanted {tuple(wanted[key].shape)}"
        raise DataError(f"{what}: not a {backbone}: shapes differ in {_some(misshapen)}: {shapes}")
    if mistyped := [key for key in wanted if found[key].is_floating_point() != wanted[key].is_floating_point()]:
        key = mistyped[0]
        raise DataError(f"{what}: {_some(mistyped)}: found {found[key].dtype}, wanted {wanted[key].dtype}")
    fitted = {key: found[key].to(wanted[key].dtype) for key in wanted}
    if broken := [key for key in wanted if not torch.isfinite(fitted[key]).all()]:
        raise DataError(f"{what}: {_some(broken)}: found NaN or infinity, wanted numbers: the training had failed")
    return fitted


def _ordinary(value: Any) -> bool:
    """A dense tensor with values; a file may hold others."""
    if not isinstance(value, Tensor) or value.is_nested or value.is_quantized or value.is_complex():
        return False
    return value.layout == torch.strided and value.device.type == "cpu"


def _of_another(found: dict[str, Any]) -> str:
    others = [name for name, entries in key_sets().items() if entries.keys() == found.keys()]
    return f" (these are the entries of {others[0]})" if others else ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _FIRST} more" if len(names) > _FIRST else ""
    return " ".join(names[:_FIRST]) + more if names else "none"


def _progress(content: Any) -> dict[str, Any]:
    """Epoch and best performance as the source states them; the latter is a loss in the authors' training."""
    stated = {name: content.get(name) for name in ("epoch", "best_performance") if "state_dict" in content}
    return {name: _number(value) for name, value in stated.items()}


def _number(value: Any) -> float | str:
    plain = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    if isinstance(plain, (int, float)) and math.isfinite(plain):
        return plain
    return "not stated" if plain is None else cardfields.short(plain)


def _known(backbone: str) -> dict[str, Any]:
    """The fields of a card that do not depend on the checkpoint."""
    return {
        "family": "published",
        "description": _DESCRIPTION.format(backbone=backbone),
        "architecture": {"backbone": backbone},
        "bands": SIX,
        "tasks": tuple(Mask),
        "polarity": POLARITY,
        "window": WINDOW,
        "halo": HALO,
        "data": {"labels": _LABELS},
        "scores": _scores(backbone),
        "limits": _limits(backbone),
    }


def _scores(backbone: str) -> dict[str, Any]:
    facts = facts_of(backbone)
    named = (
        ("water", facts.water_f1),
        ("cloud", facts.cloud_f1),
        ("shadow", facts.shadow_f1),
        ("clear", facts.clear_f1),
    )
    published = {name: value for name, value in named if value is not None}
    return {_PUBLISHED_SCORES: published} if published else {}


def _limits(backbone: str) -> list[str]:
    facts = facts_of(backbone)
    limits = [
        "scaled by the extremes of each window: a pixel gets another answer in another window, and no halo cures it",
        "no data is filled with the darkest value, which looks like water or shadow",
    ]
    if facts.thresholds and facts.thresholds[TASKS.index("sun_mask")] == 0:
        limits.append("terrain shadow: the authors' threshold of 0 says it was no better than everything lit")
    if backbone == "prithvi":
        limits.append(
            "trained with tokens in random order, which is repaired here: the published scores are not its own"
        )
    return limits


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
