"""Encoders by name: an image in, a pyramid of feature maps out, finest first."""

from __future__ import annotations

import timm
from torch import Tensor, nn

from ssc.errors import InputError


class Encoder(nn.Module):
    """A pyramid of feature maps out of any library's network."""

    channels: tuple[int, ...]
    """Of each level, finest first."""
    strides: tuple[int, ...]
    """Input pixels per cell of each level."""

    def __init__(self, body: nn.Module, channels: tuple[int, ...], strides: tuple[int, ...]) -> None:
        super().__init__()
        self.body, self.channels, self.strides = body, channels, strides

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, channels[i], H / strides[i], W / strides[i]) for each level."""
        return self.body(x)


def build_encoder(name: str, *, inputs: int, levels: int, pretrained: str | None = None) -> Encoder:
    """An encoder.

    Args:
        name: A timm model that has `features_only`.
        inputs: Channels of the image.
        levels: How many levels of the pyramid, from the finest.
        pretrained: Not yet.

    Raises:
        InputError: timm knows no such model, or it has fewer levels.
    """
    if pretrained is not None:
        raise InputError(f"no weights {pretrained!r} for encoder {name}")
    try:
        body = timm.create_model(name, features_only=True, in_chans=inputs, out_indices=tuple(range(levels)))
    except (RuntimeError, IndexError, AssertionError) as error:
        raise InputError(
            f"no encoder {name!r} with {levels} levels: {error}; wanted a timm model with a pyramid"
        ) from error
    info = body.feature_info
    return Encoder(body, tuple(info.channels()), tuple(info.reduction()))
