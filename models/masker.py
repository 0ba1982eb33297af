"""Reflectance in, calibrated probabilities out: any card, any size, bands in any order.

    masker = load_masker("default")
    probabilities = masker(reflectance, bands=SIX, product=Product.S30)     (B, H, W) -> (5, H, W), order of Mask
    masks = probabilities > masker.thresholds[:, None, None]

A whole tile is one call: windows, their blend and what fits into memory are seen to here. A network that takes any
bands (`Card.takes_any_bands`) uses all it is given and knows. Published networks stretch every window between its own
extremes, as published; their answers depend on where windows lie, and seams remain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.any_sensor import AnySensor, check_had
from models.cards import Card, load_weights, read_card
from models.devices import PlacedNetwork
from models.doors import to_masks
from models.folding import fold_norms
from models.images import as_band, as_source, check_image, check_values, finite
from models.multitask import MultiTaskNet, NetworkConfig, build_network
from models.published import build
from models.published.fused import fuse
from models.published.preparation import prepare_chip, prepare_crop
from models.windows import Floats, Tiling, blend, least_overlap
from ssc.bands import Band, Product, Sensor
from ssc.errors import BandError, DataError, InputError
from ssc.masks import Mask

PUBLISHED_STRIDE: Final = 32
"""A multiple of the coarsest cell of each of the nine networks, px."""
NEVER: Final = 1.0
"""Threshold of a mask that a network does not know: no probability is above it."""


class NeuralMasker:
    """A network with its card, ready for images of any size. Any number of threads may share one."""

    def __init__(self, card: Card, network: PlacedNetwork | AnySensor, tiling: Tiling) -> None:
        """Put together what `load_masker` has loaded."""
        self.card = card
        self.network = network
        self._tiling = tiling
        known = {mask: card.thresholds[mask] for mask in card.tasks}
        self.thresholds: Floats = np.array([known.get(mask, NEVER) for mask in Mask], np.float32)
        """(5,) in the order of `Mask`; a thing is there where probability > threshold, strictly."""

    @property
    def name(self) -> str:
        """As on the card."""
        return self.card.name

    @property
    def halo(self) -> int:
        """Pixels of context round a pixel beyond which the answer hardly depends on the image's border."""
        return self.card.halo

    def bands_used(
        self, bands: Sequence[Band | str], product: Product | Sensor | str | None = None
    ) -> tuple[Band, ...]:
        """The bands of an image that its masks would come from.

        Args:
            bands: What the image has.
            product: As in a call.

        Raises:
            BandError: As a call.
        """
        given, of = [as_band(band) for band in bands], as_source(product)
        if isinstance(self.network, AnySensor):
            return self.network.bands_used(given, of)
        check_had(self.card.bands, of)
        if missing := [band for band in self.card.bands if band not in given]:
            raise BandError(
                f"no band {missing[0].value} for masker {self.name}: found {' '.join(given)}, "
                f"wanted {' '.join(self.card.bands)} in any order"
            )
        return self.card.bands

    def __call__(
        self,
        reflectance: NDArray[np.floating],
        *,
        bands: Sequence[Band | str],
        product: Product | Sensor | str | None = None,
        wanted: NDArray[np.bool_] | None = None,
        origin: tuple[int, int] = (0, 0),
    ) -> Floats:
        """Calibrated probabilities.

        Args:
            reflectance: (B, H, W) unitless surface reflectance, NaN where there is no data; any H and W.
            bands: What each layer is; any order, those that the network has no use for are passed over.
            product: Whose bands they are, a product or a sensor; None: unknown, and not checked. A network that takes
                any bands then takes them for Landsat 8's, and those which that has not for Sentinel-2's.
            wanted: (H, W), True where an answer is wanted, None: everywhere; the fewer places, the faster.
            origin: Row and column of the upper left pixel in its tile: then cuts of one tile agree.

        Returns:
            (5, H, W) float32 in 0..1 in the order of `Mask`; NaN where a used band is NaN, and where not wanted. A
            mask that the network does not know is 0.

        Raises:
            BandError: A needed band is not there, too few are, or the product has none like it.
            InputError: Not reflectance: another shape, integers, values that look like unscaled ones or like fill.
        """
        image, given = np.asarray(reflectance), [as_band(band) for band in bands]
        check_image(image, given)
        used = self.bands_used(given, product)
        planes = [image[given.index(band)] for band in used]
        check_values(planes)
        keep = finite(planes)
        if wanted is not None:
            if wanted.shape != keep.shape or wanted.dtype != bool:
                raise InputError(f"wanted: found {wanted.dtype} {wanted.shape}, wanted bool {keep.shape}")
            keep &= wanted
        side, network = self._tiling.window, self._network_for(used, product)
        predict = partial(self._predict, network)
        batch = network.batch((len(planes), side, side))
        return blend(planes, predict, self._tiling, keep=keep, tasks=len(Mask), origin=origin, batch=batch)

    def _network_for(self, used: tuple[Band, ...], product: Product | Sensor | str | None) -> PlacedNetwork:
        if isinstance(self.network, AnySensor):
            return self.network.placed(used, as_source(product))
        return self.network

    def _predict(self, network: PlacedNetwork, chips: Floats) -> Floats:
        return network(_PREPARED[self.card.scaling](chips))


def load_masker(
    name_or_card: str | Path, *, device: str = "auto", precision: str = "auto", batch: int | str = "auto"
) -> NeuralMasker:
    """A masker from its card.

    Args:
        name_or_card: Name of shipped weights, such as "default", or a path to a card ending in .json.
        device: auto (a GPU if there is one, else the CPU), cpu, cuda, "cuda:1", mps.
        precision: fp32, bf16, or auto: bf16 where that pays (`models.devices`), but fp32 for published networks, whose
            numbers are compared with the authors'.
        batch: Windows at a time, or auto.

    Raises:
        InputError: No such card, device or precision; a batch below 1.
        DataError: Weights that are damaged, or do not fit what the card says of them.
    """
    card, weights = read_card(name_or_card)
    tensors = load_weights(card, weights)
    is_published = card.family == "published"
    precision = "fp32" if is_published and precision == "auto" else precision
    place = partial(PlacedNetwork, device=device, precision=precision, batch=batch)
    if is_published:
        published, tiling = _published(card, tensors)
        return NeuralMasker(card, place(published), tiling)
    network, tiling = _multitask(card, tensors)
    if card.takes_any_bands:
        placed = AnySensor(network, known=card.bands, place=lambda plain: place(_calibrated(plain, card)))
        return NeuralMasker(card, placed, tiling)
    return NeuralMasker(card, place(_calibrated(network, card)), tiling)


class Calibration(nn.Module):
    """probability = sigmoid(logit / temperature + bias), each task in its place in the order of `Mask`."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        column = (1, len(card.tasks), 1, 1)
        self.tasks = [int(mask) for mask in card.tasks]
        self.temperature: Tensor
        self.bias: Tensor
        self.register_buffer("temperature", torch.tensor([card.temperatures[mask] for mask in card.tasks]).view(column))
        self.register_buffer("bias", torch.tensor([card.biases[mask] for mask in card.tasks]).view(column))

    def forward(self, logits: Tensor) -> Tensor:
        """(n, T, h, w) logits -> (n, 5, h, w) probabilities, 0 for masks that are not among the tasks."""
        known = torch.sigmoid(logits.float() / self.temperature + self.bias)
        if self.tasks == list(Mask):
            return known
        out = known.new_zeros((known.shape[0], len(Mask), *known.shape[2:]))
        out[:, self.tasks] = known
        return out


class PublishedMasks(nn.Module):
    """A published network that answers in our order and sense."""

    def __init__(self, network: nn.Module, calibration: Calibration | None) -> None:
        super().__init__()
        self.network, self.calibration = network, calibration

    def forward(self, prepared: Tensor) -> Tensor:
        """(n, 6, h, w) prepared chips -> (n, 5, h, w) probabilities; uncalibrated ones are as published."""
        probabilities = to_masks(self.network(prepared))
        if self.calibration is None:
            return probabilities
        return self.calibration(torch.logit(probabilities.float(), eps=1e-7))


def _multitask(card: Card, tensors: dict[str, Tensor]) -> tuple[MultiTaskNet, Tiling]:
    config = NetworkConfig.from_dict(card.architecture)
    if (config.tasks, config.bands) != (card.tasks, card.bands):
        raise DataError(f"card {card.name}: its architecture has other tasks or bands than the card itself")
    network: MultiTaskNet = build_network(config)
    _fill(network, tensors, card)
    stride = network.stride
    window = max(-(-card.window // stride) * stride, least_overlap(card.halo, stride) + stride)
    return network, Tiling(window=window, halo=card.halo, stride=stride)


def _calibrated(network: nn.Module, card: Card) -> nn.Module:
    fold_norms(network.eval())
    return nn.Sequential(network, Calibration(card))


def _published(card: Card, tensors: dict[str, Tensor]) -> tuple[nn.Module, Tiling]:
    network = build(str(card.architecture.get("backbone")))
    _fill(network, tensors, card)
    as_trained = all(card.temperatures[mask] == 1 and card.biases[mask] == 0 for mask in card.tasks)
    masks = PublishedMasks(fuse(network), None if as_trained else Calibration(card))
    return masks, Tiling(window=card.window, halo=card.halo, stride=PUBLISHED_STRIDE, exact=True)


def _fill(network: nn.Module, tensors: dict[str, Tensor], card: Card) -> None:
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(
            f"weights of {card.name} do not fit its architecture: {' '.join(str(error).split())[:300]}"
        ) from error


def _as_they_are(chips: Floats) -> Floats:
    return chips


def _each(prepare: Callable[[NDArray[Any]], Floats]) -> Callable[[Floats], Floats]:
    """A published preparation for (n, 6, h, w) reflectance; it wants (h, w, 6) as the files hold it, x 10000."""
    return lambda chips: np.stack([prepare(np.rint(chip.transpose(1, 2, 0) * np.float32(10_000))) for chip in chips])


_PREPARED: Final[dict[str, Callable[[Floats], Floats]]] = {
    "reflectance": _as_they_are,
    "published-chip": _each(prepare_chip),  # the window stands for the chip
    "published-crop": _each(prepare_crop),
}
