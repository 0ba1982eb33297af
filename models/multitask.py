"""Our masking network: one shared encoder, one dense decoder, all heads in one convolution.

    network = build_network(NetworkConfig(encoder="mobilenetv4_conv_small"))
    logits = network(reflectance)                 (B, 6, H, W) reflectance, NaN = no data -> (B, 5, H, W)

Any encoder with a feature pyramid serves (`models.encoders`). Where the published networks end transformers in one
vector, here every level of the pyramid is decoded densely. The five heads are rows of one 1x1 convolution over shared
features: the published heads cost more than their backbones.

A network with stems takes any bands, and is told which. For bands that stay it is baked into an ordinary one:

    network = build_network(NetworkConfig(stem="spectral", bands=tuple(Band)))
    logits = network(reflectance, table)          (B, n, H, W) and a `BandTable` -> (B, 5, H, W)
    plain = bake(network, responses(Product.S30, bands), bands)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import torch.nn.functional as F  # noqa: N812 - the name everyone knows it by
from torch import Tensor, nn

from models.bandtable import BandTable, table_of, without_empty
from models.encoders import build_encoder
from models.scaling import PhysicalScaling
from models.spectral import SpectralScaling
from models.stems import StemKind, put_stems, see, stems_of, tables_of
from ssc.bands import SIX, Band, Response
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
    """What it sees, in this order; with a stem for any bands: all that it may be given, in any order."""
    stem: str = StemKind.FIXED.value
    """First layer, one of `StemKind`."""

    def __post_init__(self) -> None:
        if self.stem not in set(StemKind):
            raise InputError(f"stem of a network: found {self.stem!r}, wanted one of {' '.join(StemKind)}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a card; of a fixed network those it had before there were stems, so that runs go on."""
        plain = asdict(self)
        plain["stem"] = str(self.stem)
        if self.stem == StemKind.FIXED:
            del plain["stem"]
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
        kind = StemKind(config.stem)
        fixed = kind is StemKind.FIXED
        self.scaling = PhysicalScaling() if fixed else SpectralScaling()
        first = config.bands if fixed else SIX  # stems take the place of convolutions for the six
        inputs = len(first) + 1
        self.encoder = build_encoder(
            config.encoder, inputs=inputs, levels=config.levels, pretrained=pretrained, bands=first
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
        if not fixed:
            put_stems(self.encoder, kind, inputs=inputs, trained=pretrained is not None)
            put_stems(self.detail[0], kind, inputs=inputs)

    def forward(self, reflectance: Tensor, table: BandTable | None = None) -> Tensor:
        """Judge.

        Args:
            reflectance: (B, C, H, W) float32, unitless, NaN where there is no data; any H and W.
            table: What the C bands are, a row for each image; a fixed network has no use for it.

        Returns:
            (B, T, H, W) logits in the order of `config.tasks`.

        Raises:
            InputError: No table for a network with stems, or one of other images.
        """
        height, width = reflectance.shape[-2:]
        x = _pad(self._scaled(reflectance, table), self.stride)
        # the coarse features are mixed before they are enlarged: the same sum as after, on a quarter of the pixels
        coarse = self.coarse(self.decoder(self.encoder(x)))
        enlarged = F.interpolate(coarse, size=x.shape[-2:], mode="bilinear", align_corners=False)
        merged = self.merge(self.detail(x) + enlarged)
        return self.heads(merged + self.refine(merged))[..., :height, :width]

    def _scaled(self, reflectance: Tensor, table: BandTable | None) -> Tensor:
        if self.config.stem == StemKind.FIXED:
            return self.scaling(reflectance)
        if table is None:
            raise InputError(f"network with a {self.config.stem} stem: found no table of bands, wanted one")
        filled, table = without_empty(reflectance, table.to(reflectance.device))
        see(self, table)
        return self.scaling(filled, table)


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
        pretrained: None, "imagenet", "satlas", "prithvi", or a local file; see `models.encoders`. A spectral stem
            starts from the first layer as it would be for the six bands; a permutational one takes none.

    Raises:
        InputError: No such encoder, too few levels, weights that do not fit it, or no place for a stem.
        AccessError: The weights cannot be downloaded; the message says what to do.
    """
    return MultiTaskNet(config, pretrained=pretrained)


def bake(network: MultiTaskNet, responses: Sequence[Response], bands: tuple[Band, ...]) -> MultiTaskNet:
    """A fixed network for these bands out of one for any bands: the same logits where pixels have all bands or none.

    Where a pixel has some of them, a fixed network takes it for one without data.

    Args:
        network: With a spectral stem; it stays as it is.
        responses: What the bands see.
        bands: Their names, in the same order.

    Raises:
        InputError: Another stem, or not as many bands as responses.
    """
    if network.config.stem != StemKind.SPECTRAL or len(bands) != len(responses):
        found = f"a {network.config.stem} stem, {len(responses)} responses and {len(bands)} bands"
        raise InputError(f"network to bake: found {found}, wanted a spectral stem and a response for each band")
    table = table_of([responses])
    plain = copy.deepcopy(network)
    plain.config = replace(network.config, stem=StemKind.FIXED, bands=tuple(bands))
    plain.scaling = PhysicalScaling()
    for name, stem in stems_of(plain).items():
        plain.set_submodule(name, stem.baked(table))
    return plain


def warm_started(config: NetworkConfig, fixed: MultiTaskNet) -> MultiTaskNet:
    """A network for any bands that begins as a trained one for fixed bands: its weights, and stems of its kernels.

    Args:
        config: With a spectral stem, else as the fixed network's but for the bands.
        fixed: With the bands of a sensor of HLS; for all of those that have them the logits stay.

    Raises:
        InputError: Networks that differ in more, or bands that no sensor of HLS has.
    """
    tables = tables_of(fixed.config.bands)
    alike = replace(config, stem=StemKind.FIXED, bands=fixed.config.bands) == fixed.config
    if config.stem != StemKind.SPECTRAL or not alike or not tables:
        wanted = "the same but for a spectral stem and bands, and of the fixed one bands that an HLS sensor has"
        raise InputError(f"warm start of {config} from {fixed.config}: wanted {wanted}")
    network = MultiTaskNet(config)
    stems = stems_of(network)
    replaced = {f"{name}.{part}" for name in stems for part in ("weight", "bias")}
    kept = {key: value for key, value in fixed.state_dict().items() if key not in replaced}
    network.load_state_dict({**network.state_dict(), **kept})
    for name, stem in stems.items():
        stem.warm_start(fixed.get_submodule(name), tables)
    return network


def _pad(x: Tensor, stride: int) -> Tensor:
    """Grown at the right and below to whole strides; the pad says of itself that it holds no data (validity 0)."""
    height, width = x.shape[-2:]
    return F.pad(x, (0, -width % stride, 0, -height % stride))
