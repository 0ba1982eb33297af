"""mobilenetv3: MobileNetv3-small trunk at stride 8 and the lite R-ASPP decoder, 160 channels at half of the size.

Howard et al., ICCV 2019, in the form of fastseg (strides of the last two reductions turned into dilation). The
published network pools 2x2 where fastseg pools 49x49, so the "context" branch sees no context; that is kept.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final, NamedTuple

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.models._efficientnet_blocks import ConvBnAct, DepthwiseSeparableConv, InvertedResidual, SqueezeExcite
from torch import Tensor, nn
from torch.nn import functional

from models.published.facts import CHANNELS
from models.published.heads import ConvBnRelu

TRUNK_NORM: Final = partial(nn.BatchNorm2d, eps=1e-3)
"""TensorFlow's epsilon, in the trunk only."""
SAME: Final = "same"
"""TensorFlow padding: the odd pixel goes after."""


class Row(NamedTuple):
    """One inverted residual block."""

    inputs: int
    expanded: int
    outputs: int
    squeezed: int
    activation: type[nn.Module]
    kernel: int
    stride: int
    dilation: int


BLOCKS: Final = (
    # stages 1 to 4
    ((16, 72, 24, 0, nn.ReLU, 3, 2, 1), (24, 88, 24, 0, nn.ReLU, 3, 1, 1)),
    (
        (24, 96, 40, 24, nn.Hardswish, 5, 1, 2),
        (40, 240, 40, 64, nn.Hardswish, 5, 1, 2),
        (40, 240, 40, 64, nn.Hardswish, 5, 1, 2),
    ),
    ((40, 120, 48, 32, nn.Hardswish, 5, 1, 2), (48, 144, 48, 40, nn.Hardswish, 5, 1, 2)),
    (
        (48, 288, 96, 72, nn.Hardswish, 5, 1, 4),
        (96, 576, 96, 144, nn.Hardswish, 5, 1, 4),
        (96, 576, 96, 144, nn.Hardswish, 5, 1, 4),
    ),
)


def squeeze(channels: int) -> Any:
    """What makes a squeeze-and-excitation with a given number of squeezed channels; None makes none."""
    if not channels:
        return None
    return partial(SqueezeExcite, rd_channels=channels, force_act_layer=nn.ReLU, gate_layer=nn.Hardsigmoid)


def inverted(row: Row) -> InvertedResidual:
    """One block of the trunk."""
    return InvertedResidual(
        row.inputs,
        row.outputs,
        dw_kernel_size=row.kernel,
        stride=row.stride,
        dilation=row.dilation,
        pad_type=SAME,
        exp_ratio=row.expanded / row.inputs,
        act_layer=row.activation,
        norm_layer=TRUNK_NORM,
        se_layer=squeeze(row.squeezed),
    )


class MobileTrunk(nn.Module):
    """(B, 6, H, W) -> 16 channels at H/2, 16 at H/4, 576 at H/8."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(CHANNELS, 3, 1)
        self.early = nn.Sequential(
            Conv2dSame(3, 16, 3, stride=2, bias=False), TRUNK_NORM(16), nn.Hardswish(inplace=True)
        )
        self.block0 = nn.Sequential(
            DepthwiseSeparableConv(
                16, 16, stride=2, pad_type=SAME, act_layer=nn.ReLU, norm_layer=TRUNK_NORM, se_layer=squeeze(8)
            )
        )
        self.block1, self.block2, self.block3, self.block4 = (
            nn.Sequential(*(inverted(Row(*row)) for row in stage)) for stage in BLOCKS
        )
        self.block5 = nn.Sequential(
            ConvBnAct(96, 576, kernel_size=1, act_layer=nn.Hardswish, norm_layer=TRUNK_NORM, pad_type=SAME)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Maps at a half, a quarter and an eighth of the size."""
        half = self.early(self.first(x))
        quarter = self.block0(half)
        eighth = self.block4(self.block3(self.block2(self.block1(quarter))))
        return half, quarter, self.block5(eighth)


class MobileBackbone(nn.Module):
    """(B, 6, H, W) -> (B, 160, H/2, W/2)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = MobileTrunk()
        self.aspp_conv1 = nn.Sequential(nn.Conv2d(576, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU())
        self.aspp_conv2 = nn.Sequential(nn.AvgPool2d(2, stride=1), nn.Conv2d(576, 128, 1, bias=False), nn.Sigmoid())
        self.convs2 = nn.Conv2d(16, 32, 1, bias=False)
        self.convs4 = nn.Conv2d(16, 64, 1, bias=False)
        self.conv_up1 = nn.Conv2d(128, 128, 1)
        self.conv_up2 = ConvBnRelu(192, 128)

    def forward(self, x: Tensor) -> Tensor:
        """Decoder channels first, then those of the stem."""
        half, quarter, deep = self.trunk(x)
        gated = self.aspp_conv1(deep) * bilinear(self.aspp_conv2(deep), deep, align_corners=True)
        up = bilinear(self.conv_up1(gated), quarter)
        up = self.conv_up2(torch.cat([up, self.convs4(quarter)], dim=1))
        return torch.cat([bilinear(up, half), self.convs2(half)], dim=1)


def bilinear(maps: Tensor, like: Tensor, *, align_corners: bool = False) -> Tensor:
    """Bring maps to the height and width of others."""
    return functional.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=align_corners)
