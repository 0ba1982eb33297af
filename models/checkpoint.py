"""The state of a run on disk: one safetensors file, tensors in its body, everything else as JSON in its header.

One file because two cannot be replaced at once: a run killed while it writes leaves the state before it whole.
No pickles.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ssc.errors import DataError

FACTS: Final = "facts"
"""Key of the JSON in the header."""
OPTIMISER: Final = "optimiser"


def save_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and plain facts as one file, whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with drafted(path) as draft:
        save_file(plain, draft, metadata={FACTS: json.dumps(facts)})


def load_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and facts of `save_state`.

    Raises:
        DataError: Not such a file.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            facts = json.loads((file.metadata() or {})[FACTS])
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 no mapping
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not the state of a run: {error}; remove it to begin anew") from error


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments and step counters by `optimiser.<number of the parameter>.<name>`."""
    state = optimiser.state_dict()["state"]
    return {f"{OPTIMISER}.{number}.{name}": value for number, kept in state.items() for name, value in kept.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Undo `optimiser_tensors`."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in part(tensors, OPTIMISER).items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = _laid_out_like(weights[int(number)], value)
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _laid_out_like(weight: Tensor, value: Tensor) -> Tensor:
    """A moment in the memory layout of its weight: fused optimisers walk through memory, not through indices."""
    return torch.empty_like(weight, dtype=value.dtype).copy_(value) if value.shape == weight.shape else value


def prefixed(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """The state of a module under a prefix."""
    return {f"{prefix}.{name}": value for name, value in module.state_dict().items()}


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """What lies under a prefix, without it."""
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A name to write under; at the end the file takes its place at once, after an error it is gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
