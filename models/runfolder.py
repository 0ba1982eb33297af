"""What a training run leaves in its folder: its files, and the row of the log that an epoch ends in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.processes import Group
from models.progress import Sums
from models.validation import Validation
from ssc.masks import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """Where a run's files lie, and how good its best epoch is."""

    best: Path
    """Weights of the best epoch (of their running mean, if one was kept)."""
    last: Path
    """State of the run."""
    log: Path
    """One row per epoch, tab-separated; the same with more detail beside it in log.jsonl."""
    settings: Path
    score: float
    """Mean F1 over masks of the best epoch, on the validation chips; NaN if they hold no positive pixel."""
    epoch: int
    """The best epoch, from 0."""
    leads: bool = True
    """False in all but the first of several processes: what comes after training is done once."""


def result_files(out: str | Path) -> dict[str, Path]:
    """Where a run keeps its files."""
    folder = Path(out)
    names = {"best": "best.safetensors", "last": "last.safetensors", "log": "log.tsv", "settings": "settings.json"}
    return {key: folder / name for key, name in names.items()}


def scored(found: Validation, sums: Sums, tasks: Sequence[Mask], group: Group) -> dict[str, Any]:
    """Speed, losses and scores of an epoch, as columns of the log."""
    names = [mask.name.lower() for mask in tasks]
    losses = sums.losses(group)
    return {
        "seconds": round(sums.seconds, 3),
        "chips_per_second": round(sums.chips / max(sums.seconds, 1e-9), 3),
        "loss": sum(losses),
        "val_loss": sum(found.losses),
        "score": found.score,
        **{f"loss_{name}": loss for name, loss in zip(names, losses, strict=True)},
        **{f"val_loss_{name}": loss for name, loss in zip(names, found.losses, strict=True)},
        **found.columns(names),
        "sources": found.by_source(names),
    }
