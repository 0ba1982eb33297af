"""Our masking network: one shared encoder, one dense decoder, all heads in one convolution.

    network = build_network(NetworkConfig(encoder="mobilenetv4_conv_small"))
    logits = network(reflectance)                 (B, 6, H, W) reflectance, NaN = no data -> (B, 5, H, W)

Any encoder with a feature pyramid serves (`models.encoders`). Where the published networks end transformers in one
vector, here every level of the pyramid is decoded densely. The five heads are rows of one 1x1 convolution over shared
features: the published heads cost more than their backbones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import torch.nn.functional as F  # noqa: N812 - the name everyone knows it by
from torch import Tensor, nn

from models.encoders import build_encoder
from models.scaling import PhysicalScaling
from ssc.bands import SIX, Band
from ssc.errors import InputError
from ssc.masks import Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """All that defines a network but its weights."""

    encoder: str = "mobilenetv4_conv_small"
    """Name in timm. The default has neither squeeze-and-excitation nor attention: what it says of a pixel depends on a
    bounded neighbourhood only, so that windows can be blended without seams."""
    levels: int = 5
    """Levels of the pyramid that are used: 5 down to 1/32 of the resolution; many transformers have 4."""
    width: int = 64
    """Channels of the decoder."""
    detail: int = 16
    """Channels at full resolution, which keep rivers of one pixel."""
    tasks: tuple[Mask, ...] = tuple(Mask)
    """One head each, in this order."""
    bands: tuple[Band, ...] = SIX

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a card."""
        plain = asdict(self)
        plain["tasks"] = [mask.name for mask in self.tasks]
        plain["bands"] = [band.value for band in self.bands]
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """From the plain values of a card.

        Raises:
            InputError: A field that no network has, or a value it cannot take.
        """
        try:
            values = dict(plain)
            values["tasks"] = tuple(Mask[name] for name in values.get("tasks", [mask.name for mask in Mask]))
            values["bands"] = tuple(Band(name) for name in values.get("bands", SIX))
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"not a network: {error}: found {plain}") from error


class MultiTaskNet(nn.Module):
    """Encoder, decoder, heads. Scaling and validity are inside: the input is plain reflectance."""

    stride: int
    """Pixels per cell of the coarsest level: windows moved by multiples of it are sampled alike by convolutions (not by
    shifted windows or position tables: transformers need more halo)."""

    def __init__(self, config: NetworkConfig, *, pretrained: str | None = None) -> None:
        super().__init__()
        self.config = config
        self.scaling = PhysicalScaling()
        inputs = len(config.bands) + 1
        self.encoder = build_encoder(
            config.encoder, inputs=inputs, levels=config.levels, pretrained=pretrained, bands=config.bands
        )
        self.stride = self.encoder.strides[-1]
        self.decoder = Decoder(self.encoder.channels, config.width)
        merged = 2 * config.detail
        self.detail = nn.Sequential(
            ConvNormAct(inputs, config.detail, 3), nn.Conv2d(config.detail, merged, 1, bias=False)
        )
        self.coarse = nn.Conv2d(config.width, merged, 1, bias=False)
        self.merge = nn.Sequential(nn.BatchNorm2d(merged), nn.ReLU(inplace=True))
        self.refine = ConvNormAct(merged, merged, 3, groups=merged)
        self.heads = nn.Conv2d(merged, len(config.tasks), 1)

    def forward(self, reflectance: Tensor) -> Tensor:
        """Judge.

        Args:
            reflectance: (B, C, H, W) float32, unitless, NaN where there is no data; any H and W.

        Returns:
            (B, T, H, W) logits in the order of `config.tasks`.
        """
        height, width = reflectance.shape[-2:]
        x = _pad(self.scaling(reflectance), self.stride)
        # the coarse features are mixed before they are enlarged: the same sum as after, on a quarter of the pixels
        coarse = self.coarse(self.decoder(self.encoder(x)))
        enlarged = F.interpolate(coarse, size=x.shape[-2:], mode="bilinear", align_corners=False)
        merged = self.merge(self.detail(x) + enlarged)
        return self.heads(merged + self.refine(merged))[..., :height, :width]


class Decoder(nn.Module):
    """A feature pyramid read from the bottom up: each level is added to the enlarged coarser one and mixed."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.mix = nn.ModuleList(Separable(width) for _ in channels)

    def forward(self, levels: list[Tensor]) -> Tensor:
        """(B, width, h, w) at the resolution of the finest level."""
        found = self.mix[-1](self.lateral[-1](levels[-1]))
        for level, lateral, mix in zip(levels[-2::-1], self.lateral[-2::-1], self.mix[-2::-1], strict=True):
            larger = F.interpolate(found, size=level.shape[-2:], mode="bilinear", align_corners=False)
            found = mix(lateral(level) + larger)
        return found


class Separable(nn.Module):
    """Depthwise 5x5 and pointwise, with a way round."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = ConvNormAct(width, width, 5, groups=width)
        self.mix = ConvNormAct(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x + self.mix(self.spread(x))


class ConvNormAct(nn.Sequential):
    """Convolution of odd size, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int, *, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


def build_network(config: NetworkConfig, *, pretrained: str | None = None) -> MultiTaskNet:
    """A network with random weights, or with an encoder trained before.

    Args:
        config: What to build.
        pretrained: None, "imagenet", "satlas", "prithvi", or a local file; see `models.encoders`.

    Raises:
        InputError: No such encoder, too few levels, or weights that do not fit it.
        AccessError: The weights cannot be downloaded; the message says what to do.
    """
    return MultiTaskNet(config, pretrained=pretrained)


def _pad(x: Tensor, stride: int) -> Tensor:
    """Grown at the right and below to whole strides; the pad says of itself that it holds no data (validity 0)."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % stride, 0, -height % stride))
