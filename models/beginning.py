"""What a training run begins with: its chips and their order, its network, its optimiser."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from models.cards import load_weights, read_card
from models.multitask import MultiTaskNet, NetworkConfig, build_network, warm_started
from models.pool import ChipPool
from models.processes import Group
from models.sampler import Batches, Plan, TrainChips, balanced, train_loader
from models.stems import StemKind
from models.trainsettings import TrainSettings
from ssc.bands import SIX, Band
from ssc.errors import DataError, InputError

OTHER_BANDS: Final = {"all_bands": tuple(Band), "without_swir": tuple(band for band in SIX if "swir" not in band)}
"""What a network for any bands is shown at validation beside the six that decide: all of a product, and a camera's."""


def pool_of(settings: TrainSettings, split: str, bands: tuple[Band, ...] | None = None) -> ChipPool:
    """The chips of a split as the run's network sees them.

    Args:
        settings: Of the run.
        split: "train", "val" or "test".
        bands: Of a network for any bands, those that are shown; None: all for training, else the six, which decide.

    Raises:
        InputError: No such chips, or a folder without a band that is needed.
    """
    network = settings.network
    deciding = SIX if settings.any_bands and split != "train" else network.bands
    shown = tuple(band for band in bands or deciding if band in network.bands)
    return ChipPool(settings.chips, split, bands=shown, tasks=network.tasks, any_bands=settings.any_bands)


def batches_of(settings: TrainSettings, pool: ChipPool, group: Group) -> Batches:
    """This process's part of every epoch.

    Raises:
        InputError: Weights for sources that no chip has.
    """
    sources, weights = pool.index["source"].to_list(), settings.weights
    unknown = sorted(set(weights) - set(sources))
    if unknown:
        found = " ".join(sorted(set(sources)))
        raise InputError(f"weights for {' '.join(unknown)}: found sources {found}, wanted only those")
    if settings.balance:
        sources, weights = balanced(pool.index, weights)
    plan = Plan(batch_size=settings.batch_size, seed=settings.seed, weights=weights, steps=settings.steps_per_epoch)
    return Batches(plan, sources, rank=group.rank, world=group.size)


def loader_of(settings: TrainSettings, pool: ChipPool, batches: Batches, device: torch.device) -> Any:
    """Batches of changed chips."""
    cuda = device.type == "cuda"
    workers = settings.workers if settings.workers is not None else 8 * cuda
    chips = TrainChips(pool, settings.augment, settings.crop, settings.seed, settings.sensing)
    return train_loader(chips, batches, workers=workers, pin=cuda)


def network_of(settings: TrainSettings) -> tuple[MultiTaskNet, dict[str, str]]:
    """The network before its first step, and what it began with: name and sha256 of a card, or nothing.

    Raises:
        InputError: Weights that do not fit the network; the message says where.
        DataError: A damaged card.
    """
    if settings.begin is None:
        return build_network(settings.network, pretrained=settings.pretrained), {}
    card, weights = read_card(settings.begin)
    if card.family != "multitask":
        raise InputError(f"{card.name} to begin with: found a {card.family} network, wanted a multitask one")
    found = NetworkConfig.from_dict(card.architecture)
    _require_alike(settings.network, found, card.name)
    network = build_network(found)
    try:
        network.load_state_dict(load_weights(card, weights))
    except RuntimeError as error:
        raise DataError(f"weights {weights}: not those of the network on card {card.name}: {error}") from error
    if found.stem != settings.network.stem:
        network = warm_started(settings.network, network)
    network.config = settings.network
    return network, {"name": card.name, "sha256": card.sha256}


def optimiser_of(model: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    """AdamW; only weights with two or more dimensions decay."""
    many = [weight for weight in model.parameters() if weight.ndim > 1]
    few = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": many, "weight_decay": settings.weight_decay}, {"params": few, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.lr, fused=True)


def positive_weight_of(settings: TrainSettings, device: torch.device) -> Tensor | None:
    """(T,) how much more a pixel counts where the thing is there; None where it counts the same for all tasks."""
    given = settings.positive_weights
    return (
        torch.tensor([given.get(task.name, 1.0) for task in settings.network.tasks], device=device) if given else None
    )


def _require_alike(asked: NetworkConfig, found: NetworkConfig, name: str) -> None:
    """The same network, or one for any bands that takes over from one for fixed bands.

    Raises:
        InputError: Another difference.
    """
    wanted, there = asked.as_dict(), found.as_dict()
    takes_over = (found.stem, asked.stem) == (StemKind.FIXED, StemKind.SPECTRAL)
    free = {"bands", "stem"} if takes_over else set() if asked.stem == StemKind.FIXED else {"bands"}
    for field in sorted({*wanted, *there} - free):
        if wanted.get(field) != there.get(field):
            difference = f"{field} {there.get(field, 'fixed')}, wanted {wanted.get(field, 'fixed')}"
            raise InputError(f"{name} to begin with: found {difference} as the network to train has")
