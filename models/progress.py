"""What an epoch has gathered, when to speak of it, and the logs in which it ends."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.checkpoint import drafted
from models.processes import Group

BRISK: Final = 1.0
"""Seconds between two reports."""


class Sums:
    """What an epoch has gathered so far."""

    def __init__(self, tasks: int, device: torch.device) -> None:
        self.tensor = torch.zeros(2, tasks, dtype=torch.float64, device=device)
        """Loss times known pixels, and known pixels, per task."""
        self.seconds = 0.0
        self.chips = 0

    def add(self, loss: Tensor, known: Tensor, chips: int) -> None:
        """One step: (T,) mean losses over all processes, (T,) known pixels of this one, chips of all."""
        self.tensor += torch.stack([loss * known, known])
        self.chips += chips

    def mean(self) -> float:
        """The sum over tasks of the mean losses, weighted by the known pixels of this process."""
        return float((self.tensor[0] / self.tensor[1].clamp(min=1)).sum())

    def gathered(self, group: Group) -> Tensor:
        """Over all processes."""
        return group.total(self.tensor.clone()).cpu()

    def losses(self, group: Group) -> list[float]:
        """Per task, over all processes; 0 where nothing is known."""
        total, known = self.gathered(group)
        return (total / known.clamp(min=1)).tolist()

    def restore(self, tensor: Tensor, seconds: float, chips: int, group: Group) -> None:
        """Undo `gathered`: the first process carries on what all had."""
        self.tensor.copy_(tensor if group.leads else torch.zeros_like(tensor))
        self.seconds, self.chips = seconds, chips


class Clock:
    """Seconds of training, and when to speak."""

    def __init__(self, before: float) -> None:
        self._start = time.perf_counter() - before
        self._spoke = -math.inf

    def now(self) -> float:
        """Seconds, with those before."""
        return time.perf_counter() - self._start

    def due(self) -> bool:
        """True when something may be said again."""
        now = self.now()
        if now - self._spoke < BRISK:
            return False
        self._spoke = now
        return True


def write_logs(path: Path, rows: list[dict[str, Any]]) -> None:
    """One row per epoch: tab-separated numbers at `path`, and JSON lines with every source's F1 beside it."""
    flat = [{name: value for name, value in row.items() if not isinstance(value, dict)} for row in rows]
    lines = ["\t".join(flat[0]), *("\t".join(_text(value) for value in row.values()) for row in flat)]
    with drafted(path) as draft:
        draft.write_text("\n".join(lines) + "\n")
    with drafted(path.with_suffix(".jsonl")) as draft:
        draft.write_text("".join(json.dumps(_without_nan(row)) + "\n" for row in rows))


def _text(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _without_nan(value: Any) -> Any:
    """NaN is no JSON: null."""
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
