"""What training minimises: per-task losses that leave unknown pixels out.

    loss = LOSSES["balanced"](logits, labels).sum()        the sum over tasks is what is minimised

Logits and labels are (B, T, H, W); a label is 0 (not there), 1 (there) or UNKNOWN. An unknown pixel has no loss and no
gradient, and a task without any known pixel in the batch has loss 0: chips that know two of the five masks can be mixed
with chips that know all. `published_bce` and `adaptive_maxpool` are the losses of Daroya et al. 2025
(10.1109/JSTARS.2025.3551620), on probabilities and with every pixel counted, as published.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 the name all of torch uses

from models.packing import UNKNOWN

Loss = Callable[..., Tensor]
"""(logits, labels, *, positive_weight, total) to (T,) float32: one loss per task."""
Total = Callable[[Tensor], Tensor]
"""Sums of this process to sums over all processes."""

POOL: Final = 8
"""Side of the window of `adaptive_maxpool`, in pixels; it reaches 3 before and 4 after."""
POSITIVE, NEGATIVE = 0.25, 0.75
"""Weights of the two classes in `adaptive_maxpool`."""


def known_pixels(labels: Tensor) -> Tensor:
    """(T,) float32, how many pixels of the batch are labelled, per task."""
    return (labels != UNKNOWN).sum(dim=(0, 2, 3)).float()


def here(local: Tensor) -> Tensor:
    """The sum over one process alone; see `models.processes.Group.shared`."""
    return local


def bce(logits: Tensor, labels: Tensor, *, positive_weight: Tensor | None = None, total: Total = here) -> Tensor:
    """Binary cross entropy: the plain mean over the known pixels of each task.

    Args:
        logits: (B, T, H, W) float32.
        labels: (B, T, H, W) uint8, 0, 1 or UNKNOWN.
        positive_weight: (T,), how much more a pixel counts where the thing is there; None = 1.
        total: Adds up sums over the processes that share the batch.
    """
    weight = None if positive_weight is None else positive_weight.view(-1, 1, 1)
    there = (labels == 1).to(logits.dtype)
    cost = F.binary_cross_entropy_with_logits(logits, there, reduction="none", pos_weight=weight)
    return _mean_known(cost, labels, total)


def balanced(logits: Tensor, labels: Tensor, *, positive_weight: Tensor | None = None, total: Total = here) -> Tensor:
    """Cross entropy plus soft Dice per task over the batch, so that rare things are not ignored. Arguments of `bce`.

    Dice (Milletari et al. 2016, 3DV) is left out where the batch knows no positive pixel: it would only say "nothing",
    and cross entropy says that already.
    """
    return bce(logits, labels, positive_weight=positive_weight, total=total) + dice(logits, labels, total=total)


def dice(logits: Tensor, labels: Tensor, *, total: Total = here) -> Tensor:
    """(T,) one minus the soft Dice coefficient over the known pixels of the batch; 0 without a positive pixel."""
    there = (labels == 1).to(logits.dtype)
    probability = torch.sigmoid(logits) * (labels != UNKNOWN)
    axes = (0, 2, 3)
    overlap, said, positive = total(
        torch.stack([(probability * there).sum(axes), probability.sum(axes), there.sum(axes)])
    )
    return torch.where(positive > 0, 1 - 2 * overlap / (said + positive).clamp(min=1), 0.0)


def masked_maxpool(
    logits: Tensor, labels: Tensor, *, positive_weight: Tensor | None = None, total: Total = here
) -> Tensor:
    """`adaptive_maxpool` on logits, with unknown pixels left out of the mean and of the maximum. Arguments of `bce`.

    `positive_weight` multiplies the published 0.25 of the pixels where the thing is there.
    """
    cost = _weighted_cross_entropy(torch.sigmoid(logits), (labels == 1).to(logits.dtype))
    if positive_weight is not None:
        cost = torch.where(labels == 1, cost * positive_weight.view(-1, 1, 1), cost)
    cost = torch.where(labels == UNKNOWN, 0.0, cost)
    return _mean_known(cost * _neighbourhood_maximum(cost), labels, total)


LOSSES: Final[dict[str, Loss]] = {"bce": bce, "balanced": balanced, "adaptive_maxpool": masked_maxpool}
"""Losses that training knows by name."""


def published_bce(probability: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross entropy of one task over all pixels; logarithms are limited to -100 (torch's BCELoss).

    Args:
        probability: Any shape, 0..1.
        labels: Same shape, 0 or 1.
    """
    return F.binary_cross_entropy(probability, labels.to(probability.dtype))


def adaptive_maxpool(probability: Tensor, labels: Tensor) -> Tensor:
    """DeepWaterMap's adaptive max-pool loss of one task: cross entropy times its maximum nearby, mean over all pixels.

    Isikdogan et al. 2020, 10.1109/LGRS.2019.2953261: one badly wrong pixel makes its neighbours count.

    Args:
        probability: (B, 1, H, W), 0..1.
        labels: Same shape, 0 or 1.
    """
    cost = _weighted_cross_entropy(probability, labels.to(probability.dtype))
    return (cost * _neighbourhood_maximum(cost)).mean()


def _weighted_cross_entropy(probability: Tensor, there: Tensor) -> Tensor:
    p = probability.clamp(1e-7, 1 - 1e-7)
    return -POSITIVE * there * torch.log(p) - NEGATIVE * (1 - there) * torch.log(1 - p)


def _neighbourhood_maximum(cost: Tensor) -> Tensor:
    before = (POOL - 1) // 2
    after = POOL - 1 - before
    return F.max_pool2d(F.pad(cost, (before, after, before, after)), POOL, stride=1)


def _mean_known(cost: Tensor, labels: Tensor, total: Total) -> Tensor:
    counted = torch.where(labels == UNKNOWN, 0.0, cost).sum(dim=(0, 2, 3))
    summed, known = total(torch.stack([counted, known_pixels(labels)]))
    return summed / known.clamp(min=1)
