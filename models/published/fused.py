"""The published networks rebuilt for processors: the same masks in less time.

Batch norms are folded into convolutions, the five heads become one, transformers' linear layers become convolutions,
channels lie last in memory, and what has no influence on the masks (coarser outputs of the feature pyramid, Prithvi's
decoder) is dropped. Numbers agree with the plain network to about 1e-6, but for single pixels of segnet, whose pooling
indices jump with the last digit. Nothing is compiled.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FeaturePyramidNetwork

from models.published.facts import check_input
from models.published.folding import convolution, fold_norms, lay_out
from models.published.heads import MobileHead, PixelHead, PrithviHead, SatlasHead, SegNetHead, VectorHead
from models.published.network import PublishedNetwork, resize
from models.published.prithvi import Autoencoder
from models.published.satlas import Pyramid
from models.published.wide import widen
from models.published.winograd import BandedHeads

BAND: Final = 8_192
"""Pixels of features given to the mobilenetv3 heads at once: their 640 channels are 20 MB then (see winograd.BAND)."""


class FusedNetwork(nn.Module):
    """(B, 6, H, W) -> (B, 5, H, W) probabilities in the order of TASKS, raw: the last is that of being sunlit."""

    def __init__(self, name: str, backbone: nn.Module, heads: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.backbone = backbone
        self.heads = heads

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Probabilities, without gradient.

        Raises:
            InputError: Six channels are wanted, and a size this network takes.
        """
        check_input(self.name, tuple(x.shape))
        features = self.backbone(x.contiguous(memory_format=torch.channels_last))
        return resize(self.heads(features), (x.shape[2], x.shape[3])).sigmoid_()


def fuse(model: PublishedNetwork) -> FusedNetwork:
    """A faster copy of a published network, for inference in float32; the network itself is left as it was."""
    backbone = copy.deepcopy(model.backbone).eval()
    heads = [copy.deepcopy(head).eval() for head in model.decoders.values()]
    for part in (backbone, *heads):
        fold_norms(part)
        drop_idle(part)
        widen(part)
    fused = FusedNetwork(model.name, backbone, HEADS[type(heads[0])](heads))
    lay_out(fused)
    return fused.eval().requires_grad_(requires_grad=False)


# Backbones


class FinestLevel(nn.Module):
    """A feature pyramid that gives its finest level only."""

    def __init__(self, fpn: FeaturePyramidNetwork) -> None:
        super().__init__()
        self.inner = fpn.inner_blocks
        self.layer = fpn.layer_blocks[0]

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """A list of one level with 128 channels."""
        sum_of_coarser = self.inner[-1](levels[-1])
        for level, inner in zip(levels[-2::-1], list(self.inner)[-2::-1], strict=True):
            finer = inner(level)
            sum_of_coarser = finer + functional.interpolate(sum_of_coarser, size=finer.shape[-2:], mode="nearest")
        return [self.layer(sum_of_coarser)]


def drop_idle(parent: nn.Module) -> None:
    """Drop parameters without influence on the masks, in place."""
    for name, child in list(parent.named_children()):
        if isinstance(child, Pyramid):
            setattr(parent, name, FinestLevel(child.fpn))
        elif isinstance(child, Autoencoder):
            for idle in ("decoder_embed", "decoder_blocks", "decoder_norm", "decoder_pred"):
                setattr(child, idle, nn.Identity())
        else:
            drop_idle(child)


# Heads: five become one


def pixel_heads(heads: Sequence[Any]) -> nn.Module:
    """1x1 to five channels."""
    return stacked([head[0] for head in heads])


def linear_heads(heads: Sequence[Any]) -> nn.Module:
    """Two linear convolutions are one: 3x3 to five channels."""
    weights, biases = [], []
    for head in heads:
        wide, last = head.pred_task
        mixing = last.weight[:, :, 0, 0]
        weights.append(torch.einsum("ok,kihw->oihw", mixing, wide.weight))
        biases.append(mixing @ wide.bias + last.bias)
    return convolution(torch.cat(weights), torch.cat(biases), padding=1)


class MobileHeads(nn.Module):
    """1x1 to 5 x 128 channels, ReLU, 1x1 to five."""

    def __init__(self, heads: Sequence[Any]) -> None:
        super().__init__()
        self.hidden = stacked([head.pred_task[0].conv for head in heads])
        last = [head.pred_task[1] for head in heads]
        each = torch.cat([conv.weight for conv in last])  # (5, 128, 1, 1)
        diagonal = torch.eye(len(last))[:, :, None] * each[:, None, :, 0, 0]
        self.last = convolution(diagonal.flatten(1)[:, :, None, None], torch.cat([conv.bias for conv in last]))

    def forward(self, features: Tensor) -> Tensor:
        """(B, 5, h, w) logits."""
        bands = torch.split(features, max(BAND // features.shape[3], 1), dim=2)
        return torch.cat([self.last(self.hidden(band).relu_()) for band in bands], dim=2)


def satlas_heads(heads: Sequence[Any]) -> nn.Module:
    """In bands, with fewer multiplications."""
    return BandedHeads([head.head[0][0] for head in heads], [head.head[1] for head in heads])


class SideBySide(nn.Module):
    """One after the other: heads too small, or too different in what they see, to gain from being one."""

    def __init__(self, heads: Sequence[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, features: Tensor) -> Tensor:
        """(B, 5, 512, 512) logits."""
        return torch.cat([head(features) for head in self.heads], dim=1)


class Doubling(nn.Module):
    """Nearest up-sampling by two and a 3x3 convolution as four 2x2 ones of the small map: 16 products for 36."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.outputs = conv.out_channels
        self.corners = nn.ModuleList(
            convolution(corner_kernel(conv.weight, y, x), conv.bias) for y in (0, 1) for x in (0, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K, 2 H, 2 W)."""
        batch, _, height, width = x.shape
        padded = functional.pad(x, (1, 1, 1, 1))
        out = x.new_empty(batch, self.outputs, 2 * height, 2 * width).contiguous(memory_format=torch.channels_last)
        for corner, conv in enumerate(self.corners):
            row, column = divmod(corner, 2)
            out[:, :, row::2, column::2] = conv(padded[:, :, row : row + height + 1, column : column + width + 1])
        return out


def corner_kernel(weight: Tensor, row: int, column: int) -> Tensor:
    """(K, C, 2, 2): what a 3x3 kernel is on the small map, seen from one of the four pixels a small pixel becomes.

    An upper pixel sees the row above once and its own row twice; a lower pixel its own twice and the row below once.
    """
    rows = weight.new_tensor(((1, 0, 0), (0, 1, 1)) if row == 0 else ((1, 1, 0), (0, 0, 1)))
    columns = weight.new_tensor(((1, 0, 0), (0, 1, 1)) if column == 0 else ((1, 1, 0), (0, 0, 1)))
    return torch.einsum("kcij,yi,xj->kcyx", weight, rows, columns)


def prithvi_heads(heads: Sequence[Any]) -> nn.Module:
    """Their doublings in fewer products."""
    for head in heads:
        for step in head.segmentation_head[:4]:
            step[0], step[1] = nn.Identity(), Doubling(step[1])
    return SideBySide(heads)


def stacked(convolutions: Sequence[nn.Conv2d]) -> nn.Conv2d:
    """Convolutions of the same input as one, outputs in their order."""
    biases = [conv.bias for conv in convolutions if conv.bias is not None]
    return convolution(torch.cat([conv.weight for conv in convolutions]), torch.cat(biases))


HEADS: Final[dict[type[nn.Module], Callable[[list[Any]], nn.Module]]] = {
    PixelHead: pixel_heads,
    MobileHead: MobileHeads,
    SegNetHead: linear_heads,
    SatlasHead: satlas_heads,
    VectorHead: SideBySide,
    PrithviHead: prithvi_heads,
}
