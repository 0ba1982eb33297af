"""From a name to a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import nn

from models.published.deeplab import DeepLabBackbone
from models.published.facts import facts_of
from models.published.heads import MobileHead, PixelHead, PrithviHead, SatlasHead, SegNetHead, VectorHead
from models.published.mobilenet import MobileBackbone
from models.published.network import PublishedNetwork
from models.published.pooled import pooled_swint, pooled_vitb16
from models.published.prithvi import PrithviBackbone
from models.published.satlas import satlas_resnet50, satlas_swinb, satlas_swint
from models.published.segnet import SegNetBackbone

PARTS: Final[dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module]]]] = {
    "deeplabv3p": (DeepLabBackbone, PixelHead),
    "mobilenetv3": (MobileBackbone, MobileHead),
    "segnet": (SegNetBackbone, SegNetHead),
    "satlas_si_resnet50": (satlas_resnet50, SatlasHead),
    "satlas_si_swint": (satlas_swint, SatlasHead),
    "satlas_si_swinb": (satlas_swinb, SatlasHead),
    "swint": (pooled_swint, VectorHead),
    "vitb16": (pooled_vitb16, VectorHead),
    "prithvi": (PrithviBackbone, PrithviHead),
}


def build(name: str) -> PublishedNetwork:
    """A published network with random weights, in training mode as torch builds it; nothing is downloaded.

    Args:
        name: One of `NAMES`.

    Raises:
        InputError: No network has this name.
    """
    facts_of(name)
    backbone, head = PARTS[name]
    return PublishedNetwork(name, backbone(), head)
