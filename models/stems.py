"""First convolutions of a network, whoever built it: found, and replaced by layers that take any bands.

put_stems(encoder, StemKind.SPECTRAL, inputs=7)
see(encoder, table)                           which bands the next batch has
encoder(scaled)                               (B, n + 1, H, W) where it took (B, 7, H, W)
"""

from __future__ import annotations

import copy
from enum import StrEnum
from typing import Any, Final

import torch
from torch import nn

from models.bandtable import BandTable, table_of
from models.spectral import SpectralStem
from ssc.bands import RESPONSES, SENSOR_OF, SIX, Band, Sensor, responses
from ssc.errors import InputError

TRIED_PX: Final = 64
"""Height and width of the image with which a network is tried."""
FAILURES: Final = (RuntimeError, AssertionError, ValueError, IndexError)
"""As which other libraries' layers report an image they cannot take."""


class StemKind(StrEnum):
    """What the first layer of a network is."""

    FIXED = "fixed"
    """An ordinary convolution: always the same bands, all of them."""
    SPECTRAL = "spectral"
    """Any bands: `models.spectral`."""
    PERMUTATIONAL = "permutational"
    """Any bands, slowly, as a reference: `models.permutational`."""


def put_stems(network: nn.Module, kind: StemKind, *, inputs: int, trained: bool = False) -> None:
    """Replace, in place, every convolution of so many inputs: those that see the image.

    Args:
        network: Of any library. Nothing else in it may depend on how many inputs there are, which is tried.
        kind: Any but fixed.
        inputs: Bands and validity.
        trained: The convolutions are trained for `SIX` and validity, and the stems start from them.

    Raises:
        InputError: A network that cannot have stems of this kind.
    """
    names = [name for name, module in network.named_modules() if sees_image(module, inputs)]
    if not names:
        raise InputError(f"{kind} stem: {type(network).__name__} has no convolution of {inputs} inputs to replace")
    for name in names:
        network.set_submodule(name, new_stem(network.get_submodule(name), kind, trained=trained))
    try_two_bands(network, kind)


def sees_image(module: nn.Module, inputs: int) -> bool:
    """True for convolutions of so many inputs, all of which go into each output."""
    return isinstance(module, (nn.Conv2d, nn.Conv3d)) and module.in_channels == inputs and module.groups == 1


def new_stem(conv: Any, kind: StemKind, *, trained: bool) -> nn.Module:
    """A stem in the place of a convolution.

    Raises:
        InputError: A convolution in whose place it cannot stand.
    """
    if kind is StemKind.PERMUTATIONAL:
        return permutational(conv, trained=trained)
    if not is_linear(conv):
        raise InputError(f"{kind} stem: found {conv}, wanted a convolution that takes its weights as they are")
    stem = SpectralStem(conv)
    if trained:
        stem.warm_start(conv, tables_of(SIX))
    return stem


def permutational(conv: Any, *, trained: bool) -> nn.Module:
    """The reference layer. It has no use for trained weights: better refused than random in silence."""
    from models.permutational import PermutationalStem  # noqa: PLC0415 - needed for comparisons only

    if type(conv) is not nn.Conv2d:
        raise InputError(f"permutational stem: found {conv}, wanted a plain Conv2d")
    if trained:
        raise InputError("permutational stem: found trained weights for it, wanted none; the spectral stem takes them")
    return PermutationalStem(conv)


@torch.no_grad()
def is_linear(conv: Any) -> bool:
    """False where a convolution standardises its weights, as those of NFNet and BiT do: twice is not twice then."""
    once, twice = copy.deepcopy(conv), copy.deepcopy(conv)
    for part in (once, twice):
        if part.bias is not None:
            part.bias.zero_()
    twice.weight.mul_(2)
    sides = [1] * (conv.weight.ndim - 4) + [TRIED_PX, TRIED_PX]
    image = torch.linspace(0, 1, conv.in_channels * TRIED_PX**2).reshape(1, conv.in_channels, *sides)
    return torch.allclose(2 * once(image), twice(image), rtol=1e-4, atol=1e-6)


@torch.no_grad()
def try_two_bands(network: nn.Module, kind: StemKind) -> None:
    """Refuse a network that does not take two bands in the place of those it was built for."""
    training = network.training
    see(network.eval(), table_of([responses(Sensor.OLI, SIX[:2])]))
    try:
        network(torch.zeros(1, 3, TRIED_PX, TRIED_PX))
    except FAILURES as error:
        message = f"its layers but the first do not depend on the number of bands: {error}"
        raise InputError(f"{kind} stem in {type(network).__name__}: wanted a network of which {message}") from error
    network.train(training)


def stems_of(network: nn.Module) -> dict[str, Any]:
    """The stems of a network by name, of either kind."""
    return {name: module for name, module in network.named_modules() if hasattr(module, "see")}


def see(network: nn.Module, table: BandTable) -> None:
    """Tell all stems of a network which bands the next images have."""
    for stem in stems_of(network).values():
        stem.see(table)


def tables_of(bands: tuple[Band, ...]) -> list[BandTable]:
    """One table of these bands for each sensor of HLS that has them all."""
    having = (sensor for sensor in SENSOR_OF.values() if set(bands) <= RESPONSES[sensor].keys())
    return [table_of([responses(sensor, bands)]) for sensor in having]
