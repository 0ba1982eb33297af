"""A card with random weights, small and quick: it knows nothing, but it answers like one that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from models.cards import Card, write_weights
from models.multitask import NetworkConfig, build_network


def write_card(
    folder: Path, name: str = "tiny", *, seed: int = 0, config: dict[str, Any] | None = None, **fields
) -> Path:
    """Write NAME.safetensors and NAME.json; the path of the card.

    Args:
        folder: Created when it is not there.
        name: Of the card.
        seed: Of the weights.
        config: Fields of `NetworkConfig` that replace those of a small network.
        fields: Fields of `Card` that replace the defaults here.
    """
    small = {"encoder": "mobilenetv4_conv_small_050", "levels": 3, "width": 8, "detail": 8}
    network_config = NetworkConfig(**small | (config or {}))
    torch.manual_seed(seed)
    network = build_network(network_config)
    with torch.no_grad():
        network.heads.weight.mul_(20)  # probabilities from near 0 to near 1
    values = {
        "description": "Random weights for tests.",
        "family": "multitask",
        "architecture": network_config.as_dict(),
        "bands": network_config.bands,
        "scaling": "reflectance",
        "tasks": network_config.tasks,
        "thresholds": dict.fromkeys(network_config.tasks, 0.5),
        "halo": 8,
        "window": 96,
        "licence": "Apache-2.0",
    }
    write_weights(folder, Card(name=name, **values | fields), network.state_dict())
    return folder / f"{name}.json"
