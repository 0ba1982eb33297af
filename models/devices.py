"""A network on a device: how precise, how many windows at a time, and what happens when memory runs out."""

from __future__ import annotations

from threading import Lock
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.trainsettings import PRECISIONS, uses_bf16
from ssc.errors import InputError

Floats = NDArray[np.float32]

DEVICES: Final = ("auto", "cpu", "cuda", "mps")
BF16_TOLERANCE: Final = 0.1
"""Largest difference of a probability that bf16 may make, at steep edges. Seen with the default masker on a simulated
scene of 1024 x 1024 px: 0.06, the mean 0.0002, and 0.025 % of the pixels of a mask at most."""
MOST: Final = 32
"""Windows at a time beyond which a GPU gains nothing."""
SHARE: Final = 0.6
"""Of the free memory of a GPU that windows may take; the rest is for workspaces and fragments."""


class PlacedNetwork:
    """A network where it computes; any number of threads may call it, one at a time gets through.

    The network takes (n, C, h, w) float32 and gives (n, T, h, w).
    """

    def __init__(
        self, network: nn.Module, *, device: str = "auto", precision: str = "auto", batch: int | str = "auto"
    ) -> None:
        """Place a network, in evaluation mode and for convolutions laid out channels-last.

        Args:
            network: Kept, not copied.
            device: One of `DEVICES`, or one GPU of several, "cuda:1"; auto: a GPU if torch can use one, else the CPU.
            precision: "fp32", "bf16", or auto: bf16 where the device multiplies it in hardware (`BF16_TOLERANCE`).
            batch: Windows at a time; auto: by free memory on a GPU, one on a CPU, which a window fills.

        Raises:
            InputError: No such device or precision, or a batch below 1.
        """
        if precision not in PRECISIONS:
            raise InputError(f"precision {precision!r}: wanted one of {' '.join(PRECISIONS)}")
        if batch != "auto" and (not isinstance(batch, int) or batch < 1):
            raise InputError(f"batch {batch!r}: wanted auto or a whole number of at least 1")
        self.device = _device(device)
        self.is_bf16 = uses_bf16(precision, self.device)
        self._network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        self._batch = batch if isinstance(batch, int) else None
        self._lock = Lock()

    def batch(self, shape: tuple[int, int, int]) -> int:
        """How many windows of (C, h, w) to give at a time; smaller for good once memory has run out."""
        with self._lock:
            if self._batch is None:
                self._batch = self._fitting(shape) if self.device.type == "cuda" else 1
            return self._batch

    def __call__(self, chips: Floats) -> Floats:
        """(n, C, h, w) -> (n, T, h, w); a batch that does not fit is halved until it does.

        Raises:
            InputError: Not even one window fits into the memory of the device.
        """
        with self._lock:
            return self._in_parts(chips)

    def _in_parts(self, chips: Floats) -> Floats:
        found: list[Floats] = []
        done, size = 0, len(chips)
        while done < len(chips):
            answer = self._attempt(chips[done : done + size])
            if answer is not None:
                found.append(answer)
                done += size
            elif size == 1:
                raise InputError(
                    f"out of memory on {self.device}: found no room for one window of {chips.shape[-2]} x "
                    f"{chips.shape[-1]} px; close what else runs there, or use device cpu"
                )
            else:
                size = self._batch = size // 2
                _let_go(self.device)
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _attempt(self, chips: Floats) -> Floats | None:
        """The answer; None when memory ran out: returning lets go of the tensors that a flying exception would hold."""
        try:
            return self._forward(chips)
        except RuntimeError as error:
            if not is_memory_short(error):
                raise
            return None

    def _forward(self, chips: Floats) -> Floats:
        x = torch.from_numpy(chips).to(self.device, memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_bf16):
            answer: Tensor = self._network(x)
            return answer.float().contiguous().cpu().numpy()

    def _fitting(self, shape: tuple[int, int, int]) -> int:
        """How many windows fit a GPU: one is tried, and its peak counted."""
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        if self._attempt(np.zeros((1, *shape), np.float32)) is None:
            return 1
        one = torch.cuda.max_memory_allocated(self.device) - before
        _let_go(self.device)
        free, _ = torch.cuda.mem_get_info(self.device)
        return int(min(max(SHARE * free // max(one, 1), 1), MOST))


def is_memory_short(error: RuntimeError) -> bool:
    """True for what torch raises when memory is short; on a Mac and on a CPU that is no class of its own.

    >>> is_memory_short(RuntimeError("MPS backend out of memory")), is_memory_short(RuntimeError("shape mismatch"))
    (True, False)
    """
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text


def _device(name: str) -> torch.device:
    """Raises InputError where torch cannot compute on it."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.split(":", maxsplit=1)[0] not in DEVICES:
        raise InputError(f"device {name!r}: wanted one of {' '.join(DEVICES)}")
    device = torch.device(name)
    backends = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not backends[device.type]:
        raise InputError(f"device {name!r}: found none that torch can use, wanted one, or device cpu")
    return device


def _let_go(device: torch.device) -> None:
    """Give back what the allocator keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
