"""What stands inside an encoder: other libraries' networks in one form, a list of (B, C, h, w) maps, finest first.

Plain vision transformers have one resolution. Their maps of evenly spaced depths become a pyramid as in ViTDet (Li et
al., ECCV 2022: transposed convolutions up, pooling down) and BEiT (Bao et al., ICLR 2022: one depth per level). So
every patch keeps its place down to the decoder; the published networks drew a whole mask from one pooled vector.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import torch
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn
from torchvision.models import ResNet, SwinTransformer

from models.published.prithvi import block, waves

PATCH: Final = 16
WIDTH: Final = 768
DEPTH: Final = 12
HEADS: Final = 12
"""Prithvi-100M, arXiv 2310.18660: patch in pixels, channels, blocks, heads."""


class Selected(nn.Module):
    """Some of the maps of a trunk that gives more, such as the image itself."""

    def __init__(self, trunk: nn.Module, kept: tuple[int, ...]) -> None:
        super().__init__()
        self.trunk, self.kept = trunk, kept

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps with these numbers."""
        maps = self.trunk(x)
        return [maps[index] for index in self.kept]


class ChannelsFirst(nn.Module):
    """A trunk that has its channels last, as Swin in timm."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, h, w, C) -> (B, C, h, w)."""
        return [level.permute(0, 3, 1, 2).contiguous() for level in self.trunk(x)]


class PatchPyramid(nn.Module):
    """A pyramid out of a trunk whose maps all have one resolution: the earliest map becomes the finest level."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __init__(self, trunk: nn.Module, width: int, patch: int, levels: int) -> None:
        super().__init__()
        factors = pyramid_factors(patch)[:levels]
        self.trunk = trunk
        self.grow = nn.ModuleList(grow(width, factor) for factor in factors)
        self.channels = tuple(int(width / max(factor, 1)) for factor in factors)
        self.strides = tuple(int(patch / factor) for factor in factors)

    def forward(self, x: Tensor) -> list[Tensor]:
        """One level per map of the trunk."""
        return [grown(level) for grown, level in zip(self.grow, self.trunk(x), strict=True)]


def pyramid_factors(patch: int) -> tuple[float, ...]:
    """How much finer than the patches each level is; only whole numbers of pixels.

    >>> pyramid_factors(16), pyramid_factors(14)
    ((4, 2, 1, 0.5), (2, 1, 0.5))
    """
    return (*(factor for factor in (4, 2, 1) if patch % factor == 0), 0.5)


def spread(depth: int, levels: int) -> tuple[int, ...]:
    """Evenly spaced blocks, the last one among them.

    >>> spread(12, 4)
    (2, 5, 8, 11)
    """
    return tuple((level + 1) * depth // levels - 1 for level in range(levels))


def grow(width: int, factor: float) -> nn.Sequential:
    """Norm, then as many doublings as the factor asks for, each with half the channels; or pooling."""
    norm = LayerNorm2d(width)  # blocks add to what they are given: maps of different depths differ in size
    if factor < 1:
        return nn.Sequential(norm, nn.MaxPool2d(2))
    if factor == 1:
        return nn.Sequential(norm)
    first = nn.ConvTranspose2d(width, width // 2, 2, stride=2)
    if factor == 2:
        return nn.Sequential(norm, first)
    second = nn.ConvTranspose2d(width // 2, width // 4, 2, stride=2)
    return nn.Sequential(norm, first, LayerNorm2d(width // 2), nn.GELU(), second)


class SwinStages(nn.Module):
    """The stages of a torchvision Swin, with its names; strides 4, 8, 16, 32, without final norm and head."""

    def __init__(self, swin: SwinTransformer, inputs: int, levels: int) -> None:
        super().__init__()
        self.features = swin.features[: 2 * levels]
        self.features[0][0] = rewired(self.features[0][0], inputs)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Each stage before its patches are merged."""
        levels = []
        for index, part in enumerate(self.features):
            x = part(x)
            if index % 2:
                levels.append(x.permute(0, 3, 1, 2).contiguous())
        return levels


class ResNetStages(nn.Module):
    """The stages of a torchvision ResNet, with its names; strides 2, 4, 8, 16, 32, without the head."""

    def __init__(self, resnet: ResNet, inputs: int, levels: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu = rewired(resnet.conv1, inputs), resnet.bn1, resnet.relu
        self.maxpool = resnet.maxpool
        self.stages = [f"layer{number}" for number in range(1, levels)]
        for stage in self.stages:
            self.add_module(stage, getattr(resnet, stage))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The stem, then each stage."""
        levels = [self.relu(self.bn1(self.conv1(x)))]
        x = self.maxpool(levels[0])
        for stage in self.stages:
            x = getattr(self, stage)(x)
            levels.append(x)
        return levels


class PatchEmbed(nn.Module):
    """Patches as vectors; the kernel has a time axis of length one."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.proj = nn.Conv3d(inputs, WIDTH, (1, PATCH, PATCH), stride=(1, PATCH, PATCH))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 768, H / 16, W / 16)."""
        return self.proj(x.unsqueeze(2)).squeeze(2)


class PrithviBlocks(nn.Module):
    """The encoder of Prithvi-100M, with its names; its maps of evenly spaced depths, all at stride 16, normed.

    The table of positions is made for the size of the image: it is sines and cosines of the patch's row and column,
    never trained, so `pos_embed` of a checkpoint is not needed. Tokens keep their order; the published network lost it.
    """

    def __init__(self, inputs: int, levels: int) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(inputs)
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, WIDTH))
        self.blocks = nn.Sequential(*(block(WIDTH, HEADS) for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)
        self.taken = spread(DEPTH, levels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 768, H / 16, W / 16) each."""
        patches = self.patch_embed(x)
        height, width = patches.shape[-2:]
        tokens = patches.flatten(2).transpose(1, 2) + positions(height, width).to(x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1)
        levels = []
        for number, one in enumerate(self.blocks):
            tokens = one(tokens)
            if number in self.taken:
                levels.append(self.norm(tokens)[:, 1:].transpose(1, 2).reshape(-1, WIDTH, height, width))
        return levels


@lru_cache(maxsize=8)
def positions(height: int, width: int) -> Tensor:
    """(1, height * width, 768): 6/16 of the channels tell the column, 6/16 the row, 4/16 the time step 0.

    The class token has zeros. As the published table where height = width = 14.
    """
    columns = torch.arange(width, device="cpu").repeat(height)
    rows = torch.arange(height, device="cpu").repeat_interleave(width)
    share = WIDTH // 16
    parts = [waves(columns, 6 * share), waves(rows, 6 * share), waves(torch.zeros_like(rows), 4 * share)]
    return torch.cat(parts, dim=1)[None].float()


def rewired(first: nn.Conv2d, inputs: int) -> nn.Conv2d:
    """A convolution like this one for another number of channels, random."""
    shape: dict[str, Any] = {name: getattr(first, name) for name in ("kernel_size", "stride", "padding")}
    return nn.Conv2d(inputs, first.out_channels, bias=first.bias is not None, **shape)
