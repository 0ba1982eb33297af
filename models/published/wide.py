"""Linear layers as convolutions, which processors of some makes compute in half the time.

oneDNN's convolutions use the full width of the vector units; the matrix product torch calls by default (MKL) does so on
Intel only. A layer over C channels is the same as a convolution of width 2 and stride 2 over tokens laid out as two
neighbouring pixels of C / 2 channels each: no number is moved. (A plain 1x1 convolution is no faster than MKL.)
"""

from __future__ import annotations

from typing import Any, Final

from timm.layers.attention import Attention
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torchvision.ops import MLP

PIECES: Final = 2
"""Pixels a token is laid out as."""
HOLDERS: Final = (MLP, Mlp, Attention)
"""Modules that call their linear layers; torchvision's attention reads the weights instead, and keeps its own."""


class WideLinear(nn.Module):
    """(..., tokens, inputs) -> (..., tokens, outputs)."""

    def __init__(self, linear: Any) -> None:
        super().__init__()
        self.pieces = linear.in_features // PIECES
        self.conv = nn.Conv2d(
            self.pieces, linear.out_features, (1, PIECES), stride=(1, PIECES), bias=linear.bias is not None
        )
        weight = linear.weight.detach().reshape(-1, 1, PIECES, self.pieces)
        self.conv.weight.data = weight.permute(0, 3, 1, 2).clone()
        if linear.bias is not None:
            self.conv.bias = nn.Parameter(linear.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """As a linear layer over the last axis."""
        *outer, tokens, _ = x.shape
        pixels = x.reshape(1, -1, tokens * PIECES, self.pieces).permute(0, 3, 1, 2)
        return self.conv(pixels).permute(0, 2, 3, 1).reshape(*outer, tokens, -1)


def widen(parent: nn.Module) -> None:
    """Turn the linear layers of transformers' multilayer perceptrons, and of timm's attention, in place."""
    for name, child in list(parent.named_children()):
        if isinstance(child, nn.Linear) and isinstance(parent, HOLDERS) and child.in_features % PIECES == 0:
            setattr(parent, name, WideLinear(child))
        else:
            widen(child)
