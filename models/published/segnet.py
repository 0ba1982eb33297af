"""segnet: five stages of pooling and un-pooling with kept indices, 64 channels at full size.

Badrinarayanan et al., TPAMI 2017, in the form of MTAN (Liu et al., CVPR 2019).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from models.published.facts import CHANNELS

WIDTHS: Final = (64, 128, 256, 512, 512)
STAGES: Final = range(len(WIDTHS))


def conv_layer(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def more(width: int, stage: int) -> nn.Sequential:
    """What follows the first convolution of a stage: one layer in the two finest stages, two in the others."""
    if stage < 2:
        return conv_layer(width, width)
    return nn.Sequential(conv_layer(width, width), conv_layer(width, width))


class SegNetBackbone(nn.Module):
    """(B, 6, H, W) -> (B, 64, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        up = (WIDTHS[0], *WIDTHS[:-1])  # output width of decoder stages
        self.first = nn.Conv2d(CHANNELS, 3, 1)
        self.encoder_block = nn.ModuleList(conv_layer(*pair) for pair in pairwise((3, *WIDTHS)))
        self.decoder_block = nn.ModuleList(conv_layer(WIDTHS[i], up[i]) for i in STAGES)
        self.conv_block_enc = nn.ModuleList(more(WIDTHS[i], i) for i in STAGES)
        self.conv_block_dec = nn.ModuleList(more(up[i], i) for i in STAGES)
        self.apply(xavier)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 64, H, W)."""
        x = self.first(x)
        kept = []
        for into, more_of in zip(self.encoder_block, self.conv_block_enc, strict=True):
            x, indices = functional.max_pool2d(more_of(into(x)), 2, return_indices=True)
            kept.append(indices)
        for i in reversed(STAGES):
            x = functional.max_unpool2d(x, kept[i], [2, 2])
            x = self.conv_block_dec[i](self.decoder_block[i](x))
        return x


def xavier(module: nn.Module) -> None:
    """Start a convolution as published: Xavier normal, no bias."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
