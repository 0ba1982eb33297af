"""How good a network is on whole, unchanged chips: pooled over pixels, chips and processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.losses import Loss, known_pixels
from models.pool import Batch, ChipPool, whole_chips
from models.processes import Group
from models.sampler import spread
from models.scores import Tally, best_thresholds, scores

COLUMNS = ("f1", "precision", "recall", "iou", "threshold")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Validation:
    """What was found."""

    tallies: dict[str, Tally]
    """By source."""
    losses: list[float]
    """Per task; 0 where nothing is known."""

    @property
    def tally(self) -> Tally:
        """All sources together."""
        first, *others = self.tallies.values()
        return sum(others, first)

    @property
    def score(self) -> float:
        """Mean over tasks of the best F1, of the tasks that are there at all; NaN if none is."""
        confusion = self.tally.confusion(best_thresholds(self.tally))
        there = confusion.support > 0
        return float(confusion.f1[there].mean()) if there.any() else math.nan

    def columns(self, tasks: list[str]) -> dict[str, float]:
        """Scores per task at its best threshold, as columns of the log."""
        rows = scores(self.tally, best_thresholds(self.tally), tasks).to_dict("index")
        return {f"{name}_{task}": float(rows[task][name]) for task in tasks for name in COLUMNS}

    def by_source(self, tasks: list[str]) -> dict[str, dict[str, float]]:
        """F1 per source and task at the thresholds that are best for all sources together."""
        thresholds = best_thresholds(self.tally)
        return {
            source: dict(zip(tasks, map(float, tally.confusion(thresholds).f1), strict=True))
            for source, tally in self.tallies.items()
        }


def validate(
    model: nn.Module,
    pool: ChipPool,
    *,
    loss: Loss,
    group: Group,
    batch_size: int,
    most: int | None = None,
    autocast: bool = False,
    tell: Callable[[int, int], Any] = lambda done, of: None,  # noqa: ARG005
) -> Validation:
    """Judge whole chips; every process its part, all get the same answer.

    Args:
        model: Reflectance to logits; left in the mode it was in.
        pool: What to judge.
        loss: One of `models.losses.LOSSES`.
        group: The processes that share the work.
        batch_size: Chips at a time and process.
        most: At most so many chips.
        autocast: Multiply in bf16.
        tell: Called with (chips done, of) after each batch.
    """
    sources = sorted(set(pool.index["source"]))
    number = [sources.index(source) for source in pool.index["source"]]
    tallies = [Tally.empty(len(pool.tasks)) for _ in sources]
    sums = torch.zeros(2, len(pool.tasks), dtype=torch.float64)
    mine = _alike_together(pool, spread(pool.index, most)[group.rank :: group.size].tolist())
    done, was_training = 0, model.training
    model.eval()
    for batch, places in whole_chips(pool, mine, batch_size):
        labels, logits = batch.labels, _judge(model, batch, autocast)
        known = known_pixels(labels)
        sums += torch.stack([loss(logits, labels) * known, known])
        for probability, label, place in zip(torch.sigmoid(logits).numpy(), labels.numpy(), places, strict=True):
            tallies[number[place]].add(probability, label)
        done += len(places)
        tell(done, len(mine))
    model.train(was_training)
    return _gathered(dict(zip(sources, tallies, strict=True)), sums, next(model.parameters()).device, group)


def _alike_together(pool: ChipPool, places: list[int]) -> list[int]:
    """Chips of one product side by side: a batch of one list of bands takes one set of kernels."""
    return sorted(places, key=lambda place: pool.products[place].value) if pool.any_bands else places


@torch.inference_mode()
def _judge(model: nn.Module, batch: Batch, autocast: bool) -> Tensor:
    device = next(model.parameters()).device
    moved = batch.reflectance.to(device, memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16) if autocast else nullcontext():
        logits: Tensor = model(moved) if batch.table is None else model(moved, batch.table.to(device))
    return logits.float().cpu()


def _gathered(tallies: dict[str, Tally], sums: Tensor, device: torch.device, group: Group) -> Validation:
    counts = group.total(torch.from_numpy(np.stack([tally.counts for tally in tallies.values()])).to(device)).cpu()
    total, known = group.total(sums.to(device)).cpu()
    return Validation(
        tallies={source: Tally(one.numpy()) for source, one in zip(tallies, counts, strict=True)},
        losses=(total / known.clamp(min=1)).tolist(),
    )
