"""prithvi: the encoder of Prithvi-100M, a masked autoencoder of HLS, 768 channels on a 14x14 grid.

Jakubik et al., arXiv 2310.18660. The published network permutes the tokens at random on every forward pass and never
puts them back, so its masks change from call to call. Here the tokens keep their place: with the published weights the
masks are those of the repaired network, though its heads were trained on permuted tokens. The autoencoder's own decoder
is in the checkpoints and unused.
"""

from __future__ import annotations

from typing import Final

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from models.published.facts import CHANNELS

GRID: Final = 14
PATCH: Final = 16
WIDTH: Final = 768
DECODER_WIDTH: Final = 512


class PatchEmbed(nn.Module):
    """Patches of 16x16 px as vectors; the kernel has a time axis of length one."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv3d(CHANNELS, WIDTH, (1, PATCH, PATCH), stride=(1, PATCH, PATCH))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 6, 224, 224) -> (B, 196, 768), row by row."""
        return self.proj(x.unsqueeze(2)).flatten(2).transpose(1, 2)


class Autoencoder(nn.Module):
    """Encoder, and the unused decoder with its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(position_embedding(WIDTH), requires_grad=False)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, DECODER_WIDTH))
        self.decoder_pos_embed = nn.Parameter(position_embedding(DECODER_WIDTH), requires_grad=False)
        self.patch_embed = PatchEmbed()
        self.blocks = nn.Sequential(*(block(WIDTH, heads=12) for _ in range(12)))
        self.norm = nn.LayerNorm(WIDTH)
        self.decoder_embed = nn.Linear(WIDTH, DECODER_WIDTH)
        self.decoder_blocks = nn.Sequential(*(block(DECODER_WIDTH, heads=16) for _ in range(8)))
        self.decoder_norm = nn.LayerNorm(DECODER_WIDTH)
        self.decoder_pred = nn.Linear(DECODER_WIDTH, CHANNELS * PATCH**2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 6, 224, 224) -> (B, 768, 14, 14), tokens in their place."""
        tokens = self.patch_embed(x) + self.pos_embed[:, 1:]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        tokens = self.norm(self.blocks(torch.cat([first, tokens], dim=1)))
        return tokens[:, 1:].transpose(1, 2).reshape(-1, WIDTH, GRID, GRID)


class PrithviBackbone(nn.Module):
    """(B, 6, 512, 512) -> (B, 768, 14, 14)."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Autoencoder()
        self.first = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 66, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 768, 14, 14)."""
        return self.model(self.first(x))


def block(width: int, heads: int) -> Block:
    """A transformer block of timm; layer norm with torch's epsilon 1e-5, not timm's 1e-6."""
    return Block(width, heads, mlp_ratio=4.0, qkv_bias=True, norm_layer=nn.LayerNorm)


def position_embedding(width: int) -> Tensor:
    """Fixed sines and cosines: (1, 1 + 196, width), zero for the class token.

    6/16 of the channels tell the column, 6/16 the row, 4/16 the (only) time step; in each, sines come before cosines.
    """
    columns = torch.arange(GRID).repeat(GRID)
    rows = torch.arange(GRID).repeat_interleave(GRID)
    parts = [waves(columns, width // 16 * 6), waves(rows, width // 16 * 6), waves(torch.zeros(GRID**2), width // 4)]
    grid = torch.cat(parts, dim=1)
    return torch.cat([torch.zeros(1, width), grid])[None].float()


def waves(positions: Tensor, channels: int) -> Tensor:
    """(n, channels): sines, then cosines, with wave lengths of 2 pi to 2 pi x 10000 positions."""
    half = channels // 2
    frequency = 10_000.0 ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = positions[:, None].double() * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)
