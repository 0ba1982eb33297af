"""The running mean of a network's weights, which validates better than the weights of any one step.

Polyak and Juditsky 1992, 10.1137/0330046; exponential form as in Tarvainen and Valpola 2017 (mean teacher).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.checkpoint import prefixed


class Average:
    """Exponential mean of weights and of batch-norm statistics; with decay 0 the network itself."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False) if decay else model
        self._pairs = _pairs(self.model, model)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step (from 0). Early steps weigh more, lest the random start lingers."""
        if self.decay:
            weight = 1 - min(self.decay, (1 + step) / (10 + step))
            (mean, now), counters = self._pairs
            torch._foreach_lerp_(mean, now, weight)
            for kept, new in counters:
                kept.copy_(new)

    def buffers(self) -> list[Tensor]:
        """Batch-norm statistics."""
        return list(self.model.buffers()) if self.decay else []

    def tensors(self) -> dict[str, Tensor]:
        """For the state of a run; nothing when the network itself is kept."""
        return prefixed("average", self.model) if self.decay else {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Undo `tensors`."""
        if self.decay:
            self.model.load_state_dict(tensors)


def _pairs(mean: nn.Module, model: nn.Module) -> tuple[tuple[list[Tensor], list[Tensor]], list[tuple[Tensor, Tensor]]]:
    """Floating tensors of both, in parallel lists; and the integer ones in pairs."""
    both = list(zip(mean.state_dict().values(), model.state_dict().values(), strict=True))
    floating = [pair for pair in both if pair[0].is_floating_point()]
    return ([a for a, _ in floating], [b for _, b in floating]), [p for p in both if not p[0].is_floating_point()]
