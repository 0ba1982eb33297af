"""Encoders by name: an image in, a pyramid of feature maps out, finest first.

    encoder = build_encoder("mobilenetv4_conv_small", inputs=7, levels=5)
    encoder(x)                                    (B, 7, H, W) -> five maps at strides 2, 4, 8, 16, 32; any H and W

`models.families.families()` lists the kinds of name, `models.pretraining` fills them with weights trained elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone knows it by
from torch import Tensor, nn
from torchvision.models import resnet50, swin_v2_b, swin_v2_t

from models.families import SMP, families
from models.pretraining import pretrain
from models.transplant import Filled
from models.trunks import (
    ChannelsFirst,
    PatchPyramid,
    PrithviBlocks,
    ResNetStages,
    Selected,
    SwinStages,
    pyramid_factors,
    spread,
)
from ssc.bands import SIX, Band
from ssc.errors import InputError

__all__ = ["Encoder", "build_encoder", "families"]

SWIN_STRIDES: Final = (4, 8, 16, 32)
PRITHVI_CHANNELS: Final = (192, 384, 768, 768)
RESNET_CHANNELS: Final = (64, 256, 512, 1024, 2048)
RESNET_STRIDES: Final = (2, 4, 8, 16, 32)
SMP_DEPTH: Final = 5
"""Halvings that smp knows."""
NOT_THERE: Final = (RuntimeError, IndexError, AssertionError, ValueError, KeyError)
"""As which timm and smp report a name or a number of levels that they do not have."""


class Encoder(nn.Module):
    """A pyramid of feature maps out of any library's network."""

    channels: tuple[int, ...]
    """Of each level, finest first."""
    strides: tuple[int, ...]
    """Input pixels per cell of each level."""
    step: int
    """The body takes heights and widths that are multiples of this. Others are padded at the right and below with
    zeros, which also say of themselves, in the plane of validity, that they hold no data."""
    filled: Filled | None
    """What pre-training did; None = all random."""

    def __init__(self, body: nn.Module, channels: tuple[int, ...], strides: tuple[int, ...], step: int = 1) -> None:
        super().__init__()
        self.body, self.channels, self.strides, self.step, self.filled = body, channels, strides, step, None

    @property
    def trunk(self) -> nn.Module:
        """The part of the body that others have trained: without what we add to make a pyramid."""
        return bare(getattr(self.body, "trunk", self.body))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, channels[i], ceil(H / strides[i]), ceil(W / strides[i])) for each level."""
        height, width = x.shape[-2:]
        bottom, right = -height % self.step, -width % self.step
        if not (bottom or right):
            return list(self.body(x))
        levels = self.body(F.pad(x, (0, right, 0, bottom)))
        sizes = shapes(height, width, self.strides)
        return [level[..., :rows, :columns] for level, (rows, columns) in zip(levels, sizes, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """A body before it is known which sizes it takes."""

    body: nn.Module
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    trained_px: int | None = None
    """Height and width of the images it was made for; a last resort when it takes nothing smaller."""


def build_encoder(
    name: str, *, inputs: int, levels: int, pretrained: str | None = None, bands: tuple[Band, ...] = SIX
) -> Encoder:
    """An encoder.

    Args:
        name: A timm model, "smp:NAME", "satlas:NAME" or "prithvi:100m"; see `families`.
        inputs: Channels of the image: the bands and a plane of validity.
        levels: How many levels of the pyramid, from the finest.
        pretrained: None for random weights, "imagenet", "satlas", "prithvi", or a local file (.safetensors, or .pth and
            the like that hold weights alone). What it filled stands in `Encoder.filled`.
        bands: Which inputs are which band, to give pretrained first layers their place; read only with `pretrained`.

    Raises:
        InputError: No such encoder, fewer levels, one that takes only one size of image, or weights that do not fit.
        DataError: The file of weights is broken.
        AccessError: The weights cannot be downloaded; the message says what to do.
    """
    if pretrained is not None and inputs != len(bands) + 1:
        raise InputError(f"encoder {name}: {inputs} inputs, {len(bands)} bands; wanted as many as bands, and validity")
    parts = parts_of(name, inputs, levels)
    encoder = Encoder(parts.body, parts.channels, parts.strides, step_of(name, parts, inputs))
    if pretrained is not None:
        encoder.filled = pretrain(encoder.trunk, name, pretrained, bands=bands)
    return encoder


def parts_of(name: str, inputs: int, levels: int) -> Parts:
    """A random body by name."""
    if levels < 1:
        raise InputError(f"encoder {name!r} with {levels} levels: wanted 1 or more")
    if name.startswith(SMP):
        return smp_parts(name, inputs, levels)
    if ":" in name:
        return own_parts(name, inputs, levels)
    return timm_parts(name, inputs, levels)


def own_parts(name: str, inputs: int, levels: int) -> Parts:
    """Networks built here, for the weights of Satlas and Prithvi."""
    builders: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...]]] = {
        "satlas:swin_v2_t": (lambda: SwinStages(swin_v2_t(), inputs, levels), (96, 192, 384, 768), SWIN_STRIDES),
        "satlas:swin_v2_b": (lambda: SwinStages(swin_v2_b(), inputs, levels), (128, 256, 512, 1024), SWIN_STRIDES),
        "satlas:resnet50": (lambda: ResNetStages(resnet50(), inputs, levels), RESNET_CHANNELS, RESNET_STRIDES),
        "prithvi:100m": (lambda: PrithviBlocks(inputs, levels), PRITHVI_CHANNELS, SWIN_STRIDES),
    }
    if name not in builders:
        raise InputError(f"no encoder {name!r}: wanted {' '.join(builders)}, smp:NAME or the name of a timm model")
    build, channels, strides = builders[name]
    check_levels(name, strides, levels)
    body = build()
    if isinstance(body, PrithviBlocks):
        body = PatchPyramid(body, channels[-1], 16, levels)
    return Parts(body=body, channels=channels[:levels], strides=strides[:levels])


def timm_parts(name: str, inputs: int, levels: int) -> Parts:
    """Any timm model with features: with a pyramid as it is, without one as a `PatchPyramid`."""
    body, strides = timm_body(name, inputs, tuple(range(levels)))
    known = timm.get_pretrained_cfg(name)
    trained_px = known.input_size[-1] if known else None
    if len(body.feature_info.info) > 1 and len({level["reduction"] for level in body.feature_info.info}) == 1:
        patch = int(strides[0])
        check_levels(name, tuple(int(patch / factor) for factor in pyramid_factors(patch)), levels)
        blocks = spread(len(body.feature_info.info), levels)
        body, _ = timm_body(name, inputs, blocks)
        pyramid = PatchPyramid(body, body.feature_info.channels()[-1], patch, levels)
        return Parts(body=pyramid, channels=pyramid.channels, strides=pyramid.strides, trained_px=trained_px)
    channels = tuple(body.feature_info.channels())
    last = getattr(body, "output_fmt", "NCHW") == "NHWC"
    return Parts(body=ChannelsFirst(body) if last else body, channels=channels, strides=strides, trained_px=trained_px)


def timm_body(name: str, inputs: int, out_indices: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """A feature network of timm that takes images of any size if it can, and the strides of its maps."""
    freedoms: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
    for freedom in freedoms:
        try:
            body: Any = timm.create_model(name, features_only=True, in_chans=inputs, out_indices=out_indices, **freedom)
        except TypeError:
            if freedom:  # convolutional networks have no such choice, and need none
                continue
            raise
        except NOT_THERE as error:
            raise InputError(timm_lacks(name, len(out_indices), error)) from error
        return body, tuple(body.feature_info.reduction())
    raise AssertionError


def timm_lacks(name: str, levels: int, error: Exception) -> str:
    """Why timm does not build it."""
    if not timm.is_model(name):
        return f"no encoder {name!r}: {error}; wanted {', '.join(families())}, with NAME as in timm.list_models()"
    return f"no {levels} levels in encoder {name!r} ({error}): most transformers have 4, other networks 4 or 5"


def smp_parts(name: str, inputs: int, levels: int) -> Parts:
    """An encoder of segmentation_models_pytorch without the image itself and without its empty maps."""
    for depth in range(min(max(levels, 3), SMP_DEPTH), SMP_DEPTH + 1):
        try:
            trunk = smp.encoders.get_encoder(name.removeprefix(SMP), in_channels=inputs, depth=depth, weights=None)
        except NOT_THERE as error:
            raise InputError(f"no encoder {name!r}: {error}") from error
        counts = tuple(trunk.out_channels)
        kept = tuple(index for index, count in enumerate(counts) if count and (index or count != inputs))[:levels]
        if len(kept) == levels:
            channels, strides = tuple(counts[index] for index in kept), tuple(2**index for index in kept)
            body = Selected(trunk, kept)
            freeze_idle(body, torch.zeros(1, inputs, 64, 64))
            return Parts(body=body, channels=channels, strides=strides)
    raise InputError(f"encoder {name!r} has {len(kept)} levels: found {levels} asked for, wanted that or fewer")


def freeze_idle(body: nn.Module, image: Tensor) -> None:
    """Take what has no part in the maps out of training: smp keeps all stages, and DDP waits for their gradients."""
    training = body.training
    answer = torch.stack([level.sum() for level in body.eval()(image)]).sum()
    body.train(training)
    weights = list(body.parameters())
    for weight, slope in zip(weights, torch.autograd.grad(answer, weights, allow_unused=True), strict=True):
        weight.requires_grad_(slope is not None)


def check_levels(name: str, strides: tuple[int, ...], levels: int) -> None:
    """Refuse more levels than there are."""
    if levels > len(strides):
        raise InputError(
            f"encoder {name!r} has {len(strides)} levels at strides {' '.join(map(str, strides))}: "
            f"found {levels} asked for, wanted {len(strides)} or fewer"
        )


def step_of(name: str, parts: Parts, inputs: int) -> int:
    """The smallest step of sizes that a body takes, by trying: any size, whole strides, the size it was made for."""
    stride = math.lcm(*parts.strides)
    steps = [1, stride, *([math.lcm(stride, parts.trained_px)] if parts.trained_px else [])]
    tried = [(2 * stride + 5, 3 * stride + 9), (2 * stride, 3 * stride), (steps[-1], 2 * steps[-1])]
    training = parts.body.training
    parts.body.eval()
    step = next((step for step, size in zip(steps, tried, strict=False) if takes(parts, inputs, size)), None)
    parts.body.train(training)
    if step is None:
        raise InputError(
            f"encoder {name!r} takes images of {parts.trained_px or 'one'} px only: wanted one for any size"
        )
    return step


@torch.no_grad()
def takes(parts: Parts, inputs: int, size: tuple[int, int]) -> bool:
    """True where a body answers an image of this size with maps of the sizes and channels it should have."""
    try:
        levels = parts.body(torch.zeros(1, inputs, *size))
    except NOT_THERE:
        return False
    wanted = [(count, *cells) for count, cells in zip(parts.channels, shapes(*size, parts.strides), strict=True)]
    return [tuple(level.shape[1:]) for level in levels] == wanted


def shapes(height: int, width: int, strides: tuple[int, ...]) -> list[tuple[int, int]]:
    """Rows and columns of each level.

    >>> shapes(33, 64, (2, 32))
    [(17, 32), (2, 2)]
    """
    return [(math.ceil(height / stride), math.ceil(width / stride)) for stride in strides]


def bare(trunk: nn.Module) -> nn.Module:
    """Without the wrappers of timm and smp that only add `model.` to every name."""
    while [name for name, _ in trunk.named_children()] == ["model"]:
        trunk = trunk.get_submodule("model")
    return trunk
