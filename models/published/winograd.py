"""The five heads of a Satlas network in half the multiplications, a band of rows at a time.

Each head is 3x3 to 128 channels, ReLU, 3x3 to one channel, at full resolution: four fifths of the network's cost.
First convolution: Winograd's minimal filtering F(4, 3) along rows (Lavin and Gray, CVPR 2016, section 4.3): of six
neighbouring columns six mixtures are made, each is convolved with a 3x1 kernel, and the results mix into four columns:
18 multiplications where 36 were. The mixtures of the input serve all heads. Second convolution: one output channel
leaves fifteen of sixteen vector lanes idle, so a 1x1 convolution makes the nine taps as channels, and nine shifted maps
are added. Bands keep what lies between input and taps small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.published.folding import convolution

OUTPUTS: Final = 4
"""Columns computed together."""
POINTS: Final = 6
"""Columns they depend on, and products formed."""
BAND: Final = 32_768
"""Pixels of a band. The largest array of a band is 24 MB then: over 32 MB the C library gives memory back to the system
after every use, which takes longer than the arithmetic; smaller bands make threads wait for each other more often."""

INPUT: Final = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
KERNEL: Final = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
OUTPUT: Final = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


class BandedHeads(nn.Module):
    """Several heads of one kind: (B, C, H, W) -> (B, heads, H, W) logits."""

    def __init__(self, hidden: Sequence[nn.Conv2d], last: Sequence[nn.Conv2d]) -> None:
        super().__init__()
        self.products = nn.ModuleList(products(conv) for conv in hidden)
        self.taps = nn.ModuleList(taps(conv) for conv in last)
        self.bias = nn.Parameter(torch.cat([conv.bias.detach() for conv in last if conv.bias is not None]))
        self.mix_input: Tensor
        self.mix_output: Tensor
        self.register_buffer("mix_input", torch.tensor(INPUT, dtype=self.bias.dtype))
        self.register_buffer("mix_output", torch.tensor(OUTPUT, dtype=self.bias.dtype))

    def forward(self, features: Tensor) -> Tensor:
        """Logits at the size of the features."""
        return torch.stack([self.one_image(image) for image in features.permute(0, 2, 3, 1)])

    def one_image(self, image: Tensor) -> Tensor:
        """(H, W, C) -> (heads, H, W)."""
        height, width, _ = image.shape
        maps = image.new_empty(len(self.taps), height, width, 9)
        rows = max(BAND // width, 1)
        for top in range(0, height, rows):
            bottom = min(top + rows, height)
            self.one_band(image, top, bottom, maps[:, top:bottom])
        return add_taps(maps) + self.bias[:, None, None]

    def one_band(self, image: Tensor, top: int, bottom: int, maps: Tensor) -> None:
        """Fill maps (heads, rows, W, 9) with the taps of the rows from top to bottom."""
        rows, width = bottom - top, image.shape[1]
        mixed = self.mix(image, top, bottom)
        for head, (product, tap) in enumerate(zip(self.products, self.taps, strict=True)):
            points = product(mixed).permute(0, 2, 3, 1).reshape(-1, POINTS, image.shape[2])
            hidden = torch.matmul(self.mix_output, points).relu_()
            found = tap(hidden.view(1, rows, -1, image.shape[2]).permute(0, 3, 1, 2))
            maps[head] = found[0].permute(1, 2, 0)[:, :width]

    def mix(self, image: Tensor, top: int, bottom: int) -> Tensor:
        """(1, 6 x C, rows + 2, W / 4) input mixtures of a band with one row more on either side, zero outside."""
        height, width, channels = image.shape
        band = image[max(top - 1, 0) : bottom + 1]
        sides = (1, 1 + -width % OUTPUTS)
        padded = functional.pad(band, (0, 0, *sides, int(top == 0), int(bottom == height)))
        windows = padded.unfold(1, POINTS, OUTPUTS).transpose(2, 3)
        mixed = torch.matmul(self.mix_input, windows)
        return mixed.reshape(1, *mixed.shape[:2], POINTS * channels).permute(0, 3, 1, 2)


def products(conv: nn.Conv2d) -> nn.Conv2d:
    """The 3x3 convolution as six 3x1 convolutions, one per mixture.

    A bias on the second product alone comes out as that bias in all four columns (second column of OUTPUT).
    """
    outputs, inputs = conv.weight.shape[:2]
    mixing = torch.tensor(KERNEL, dtype=torch.float64)
    kernels = torch.einsum("pw,oihw->poih", mixing, conv.weight.detach().double()).to(conv.weight.dtype)
    bias = torch.zeros(POINTS, outputs, dtype=conv.weight.dtype)
    if conv.bias is not None:
        bias[1] = conv.bias.detach()
    return convolution(kernels.reshape(POINTS * outputs, inputs, 3, 1), bias.flatten(), groups=POINTS)


def taps(conv: nn.Conv2d) -> nn.Conv2d:
    """The 3x3 convolution to one channel as 1x1 to nine."""
    return convolution(conv.weight[0].permute(1, 2, 0).reshape(9, -1, 1, 1))


def add_taps(maps: Tensor) -> Tensor:
    """(heads, H, W, 9) -> (heads, H, W): each tap shifted to where it counts, zero from outside."""
    height, width = maps.shape[1:3]
    padded = functional.pad(maps.permute(3, 0, 1, 2), (1, 1, 1, 1))
    total = torch.zeros_like(padded[0, :, :height, :width])
    for tap in range(9):
        y, x = divmod(tap, 3)
        total += padded[tap, :, y : y + height, x : x + width]
    return total
