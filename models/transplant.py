"""Pouring the weights of one network into another of the same kind, whatever prefix its keys have and bands it sees.

First layer. A pretrained first convolution sees 3 bands (red, green, blue: ImageNet, Satlas) or 6 (blue, green, red,
nir, swir1, swir2: Prithvi and the published masking networks); ours sees the bands of the network and a plane of
validity. Weights go to the band they were trained for. Bands it never saw start from the mean of those it knows. All
are scaled by (bands known / bands now), so that a surface equally bright in all bands gives the answer it gave before.
Validity starts at zero. Behind a 1x1 convolution from 6 bands to 3, as in the published networks, the two are
multiplied into one; its bias is left out, since it belongs to another scaling of the input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from ssc.bands import SIX, Band
from ssc.errors import InputError

LEAST: Final = 0.95
"""Share of a trunk's numbers that a local file must fill."""
RGB: Final = (Band.RED, Band.GREEN, Band.BLUE)
KNOWN_INPUTS: Final = {3: RGB, 6: SIX}
SHOWN: Final = 4
"""Keys of each kind in a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What a source of weights did to a trunk."""

    origin: str
    """Kind of pre-training, or the file."""
    share: float
    """0..1, of all numbers of the trunk (weights and running statistics)."""
    adapted: tuple[str, ...]
    """First layers that were rewired for our bands."""
    missing: tuple[str, ...]
    """Entries of the trunk that stayed random."""
    unused: tuple[str, ...]
    """Entries of the source that have no place here: heads, decoders."""

    def __str__(self) -> str:
        """One line for a log."""
        return (
            f"{self.origin} fills {self.share:.1%} of the encoder; adapted {shown(self.adapted)}; "
            f"missing {shown(self.missing)}; unused {shown(self.unused)}"
        )


def fill(
    trunk: nn.Module, state: Mapping[str, Tensor], *, bands: tuple[Band, ...], origin: str, least: float = LEAST
) -> Filled:
    """Pour a state dict into a trunk, whatever prefix its keys have.

    Raises:
        InputError: Less than the least share of the trunk would be filled; nothing was changed.
    """
    target = trunk.state_dict()
    pairs = match(target, state, inputs=len(bands) + 1)
    found = {key: adapt(state[source], target[key], bands, state) for key, source in pairs.items()}
    missing = tuple(key for key in target if key not in pairs)
    filled = Filled(
        origin=origin,
        share=sum(numbers(target[key]) for key in pairs) / sum(map(numbers, target.values())),
        adapted=tuple(key for key, source in pairs.items() if state[source].shape != target[key].shape),
        missing=tuple(f"{key} {list(target[key].shape)}" for key in missing),
        unused=tuple(f"{key} {list(state[key].shape)}" for key in state if key not in pairs.values()),
    )
    if filled.share < least:
        raise InputError(f"these weights are of another network: {filled}; wanted at least {least:.0%}")
    trunk.load_state_dict({**target, **found})
    return filled


def match(target: Mapping[str, Tensor], state: Mapping[str, Tensor], *, inputs: int) -> dict[str, str]:
    """Key of the target -> key of the source, under the one prefix that serves most keys.

    Whether names are joined by dots or underscores does not matter: timm's feature networks have `layers_0.` where its
    whole networks have `layers.0.`.

    Args:
        target: Shapes wanted.
        state: Shapes there are; keys may begin with `module.`, `backbone.`, `encoder.`, `model.` or anything.
        inputs: Channels of the first layer of the target.
    """
    wanted = {dotted(key): key for key in target}
    there = {dotted(key): key for key in state}
    votes = Counter(
        plain[: len(plain) - len(key)]
        for plain, source in there.items()
        for key in tails(plain)
        if key in wanted and fits(state[source], target[wanted[key]], inputs)
    )
    if not votes:
        return {}
    prefix = votes.most_common(1)[0][0]
    pairs = {key: there[prefix + plain] for plain, key in wanted.items() if prefix + plain in there}
    return {key: source for key, source in pairs.items() if fits(state[source], target[key], inputs)}


def dotted(key: str) -> str:
    """All names of a key joined by dots."""
    return key.replace("_", ".")


def tails(key: str) -> list[str]:
    """A key without its first 0, 1, 2... names.

    >>> tails("module.conv.weight")
    ['module.conv.weight', 'conv.weight', 'weight']
    """
    names = key.split(".")
    return [".".join(names[start:]) for start in range(len(names))]


def fits(source: Tensor, target: Tensor, inputs: int) -> bool:
    """Same shape, or a first layer for bands we know (second axis)."""
    if source.shape == target.shape:
        return True
    known = source.ndim == target.ndim > 2 and target.shape[1] == inputs and source.shape[1] in KNOWN_INPUTS
    return known and source.shape[:1] + source.shape[2:] == target.shape[:1] + target.shape[2:]


def adapt(weight: Tensor, target: Tensor, bands: tuple[Band, ...], state: Mapping[str, Tensor]) -> Tensor:
    """Weights of the source in the shape of the target; see the head of this module."""
    if weight.shape == target.shape:
        return weight
    mixing = band_mixing(state, weight.shape[1])
    if mixing is not None:
        weight = torch.einsum("oc...,cb->ob...", weight, mixing)
    return rewire(weight, bands)


def rewire(weight: Tensor, bands: tuple[Band, ...]) -> Tensor:
    """A first layer for other bands.

    Args:
        weight: (O, 3, ...) for red, green, blue, or (O, 6, ...) for the six.
        bands: What it shall see.

    Returns:
        (O, len(bands) + 1, ...): the last is validity. If not all its bands are among ours, all start from their mean.
    """
    known = KNOWN_INPUTS[weight.shape[1]]
    mean = weight.mean(dim=1)
    placed = set(known) <= set(bands)
    planes = [weight[:, known.index(band)] if placed and band in known else mean for band in bands]
    scaled = torch.stack(planes, dim=1) * (len(known) / len(bands))
    return torch.cat([scaled, torch.zeros_like(scaled[:, :1])], dim=1)


def band_mixing(state: Mapping[str, Tensor], channels: int) -> Tensor | None:
    """(channels, 6) of a 1x1 convolution named `first` before the network, None if there is none."""
    for key, weight in state.items():
        if f".{key}".endswith(".first.weight") and weight.shape == (channels, len(SIX), 1, 1):
            return weight[:, :, 0, 0]
    return None


def numbers(entry: Tensor) -> int:
    """How many trained numbers there are; counters and index tables do not count."""
    return entry.numel() if entry.is_floating_point() else 0


def shown(keys: tuple[str, ...]) -> str:
    """The first few."""
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more if keys else "nothing"
