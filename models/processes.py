"""The processes of one training run: one alone, or those that torchrun started together.

    torchrun --nproc-per-node 8 -m flows.cli masker train ...        one process per GPU

All of them see the same folders. NCCL connects GPUs, Gloo connects CPUs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """This process among its fellows."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """Number of this process on its machine: which GPU is its own."""

    @property
    def leads(self) -> bool:
        """True for the one that writes and speaks."""
        return self.rank == 0

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over all processes; the tensor itself is changed."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def shared(self, local: Tensor) -> Tensor:
        """The sum over all processes, through which gradients reach this process's part of it.

        They arrive multiplied by the number of processes, because DDP then takes their mean: so a loss that is a ratio
        of such sums has the gradient it would have in one process.
        """
        if self.size == 1:
            return local
        return self.total(local.detach().clone()) + self.size * (local - local.detach())

    def from_first(self, tensors: list[Tensor]) -> None:
        """Every process gets the values of the first."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def joined(kind: str) -> Iterator[Group]:
    """The group this process was started in, for as long as the block lasts.

    Args:
        kind: "cuda" or "cpu".
    """
    if not distributed.is_available() or not (distributed.is_initialized() or distributed.is_torchelastic_launched()):
        yield Group()
        return
    ours = not distributed.is_initialized()
    local = distributed.get_node_local_rank(fallback_rank=0)
    if kind == "cuda":
        torch.cuda.set_device(local)
    if ours:
        distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Group(rank=distributed.get_rank(), size=distributed.get_world_size(), local=local)
    finally:
        if ours:
            distributed.destroy_process_group()
