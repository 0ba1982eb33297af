"""What makes a trained network cheaper and changes no number: norms folded away, memory laid out for processors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

IN_PLACE = (nn.ReLU, nn.Hardswish)


def fold_norms(parent: nn.Module) -> None:
    """Fold every batch norm into the convolution just before it, in place.

    A norm belongs to the convolution that was defined right before it: true for the networks of this package, whose
    tests compare numbers with and without folding.
    """
    conv: nn.Conv2d | None = None
    for name, child in list(parent.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            if conv is None:
                raise AssertionError(f"batch norm {name} of {type(parent).__name__} follows no convolution")
            fold(conv, child)
            setattr(parent, name, getattr(child, "act", nn.Identity()))  # timm's norms hold their activation
            conv = None
        else:
            fold_norms(child)
            conv = last_convolution(child)


def last_convolution(module: nn.Module) -> nn.Conv2d | None:
    """The module itself or the end of its sequence, when that is a convolution."""
    if isinstance(module, nn.Sequential) and len(module):
        return last_convolution(module[-1])
    return module if isinstance(module, nn.Conv2d) else None


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Give a convolution the weights that make a norm after it needless."""
    if norm.running_mean is None or norm.running_var is None:
        raise AssertionError("a batch norm without running statistics cannot be folded")
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def lay_out(module: nn.Module) -> None:
    """Channels last in every convolution, activations in place."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
        if isinstance(part, IN_PLACE):
            part.inplace = True


def convolution(weight: Tensor, bias: Tensor | None = None, *, padding: int = 0, groups: int = 1) -> nn.Conv2d:
    """A convolution with given weights (outputs, inputs / groups, rows, columns)."""
    outputs, inputs, rows, columns = weight.shape
    conv = nn.Conv2d(inputs * groups, outputs, (rows, columns), padding=padding, groups=groups, bias=bias is not None)
    conv.weight.data = weight.detach().clone()
    if bias is not None and conv.bias is not None:
        conv.bias.data = bias.detach().clone()
    return conv
