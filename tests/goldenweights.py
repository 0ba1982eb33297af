"""Weights and inputs by the rule of the golden numbers (reference/golden/README.md, section 1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from math import prod, sqrt

import numpy as np
import torch
from torch import Tensor

SEED = "public-1"


def generator(label: str) -> np.random.Generator:
    """A fresh generator for a label: PCG64 seeded with the first 8 bytes of its SHA-256, big-endian."""
    seed = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(seed))


def rule(key: str, tensor: Tensor) -> str:
    """Which line of the rule decides an entry of a state dict."""
    flat, weight = tensor.ndim == 1, key.endswith("weight")
    lines = {
        "zero": key.endswith("num_batches_tracked"),
        "as_built": not tensor.is_floating_point() or key.endswith("relative_coords_table"),
        "running_var": key.endswith("running_var"),
        "running_mean": key.endswith("running_mean"),
        "res_norm": flat and weight and ".layer" in key and key.endswith((".bn2.weight", ".bn3.weight")),
        "norm": flat and weight,
        "bias": key.endswith("bias"),
        "final": weight and key.startswith("decoders.") and tensor.shape[0] == 1,
        "matrix": weight,
        "logit_scale": key.endswith("logit_scale"),
    }
    return next((name for name, holds in lines.items() if holds), "other")


def draw(key: str, tensor: Tensor) -> Tensor:
    """The value of one entry, float32 (or as built)."""
    name, shape, random = rule(key, tensor), tuple(tensor.shape), generator(f"{SEED}:{key}")
    if name == "as_built":
        return tensor
    he = sqrt(2 / max(prod(shape[1:]), 1))
    values = {
        "zero": lambda: np.zeros(shape),
        "running_var": lambda: random.uniform(0.5, 1.5, shape),
        "running_mean": lambda: random.normal(0, 0.1, shape),
        "res_norm": lambda: random.uniform(0.2, 0.4, shape),
        "norm": lambda: random.uniform(0.8, 1.2, shape),
        "bias": lambda: random.normal(0, 0.05, shape),
        "final": lambda: 0.2 * random.normal(0, 1, shape) * he,
        "matrix": lambda: random.normal(0, 1, shape) * he,
        "logit_scale": lambda: random.uniform(1, 5, shape),
        "other": lambda: random.normal(0, 0.3, shape),
    }[name]()
    return torch.from_numpy(np.asarray(values)).to(tensor.dtype)


def weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A whole state dict by the rule, in the layout of the one given."""
    return {key: draw(key, tensor) for key, tensor in state.items()}


def network_input(size: int) -> Tensor:
    """(1, 6, size, size) float32 in 0..1: fine noise on coarse noise."""
    random = generator(f"{SEED}:input")
    fine = random.random((1, 6, size, size))
    coarse = random.random((1, 6, size // 8, size // 8))
    return torch.from_numpy(((fine + coarse.repeat(8, axis=2).repeat(8, axis=3)) / 2).astype(np.float32))


def integers(label: str, shape: tuple[int, ...], low: int, span: int) -> np.ndarray:
    """An int16 array by the rule."""
    return (low + np.floor(span * generator(f"{SEED}:{label}").random(shape))).astype(np.int16)
