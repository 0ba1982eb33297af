"""The three Satlas networks: Sentinel-2 single-image pre-training, a feature pyramid, 128 channels at full size.

Bastani et al., "SatlasPretrain", ICCV 2023. ResNet50 and Swin v2 are torchvision's; the nesting of small modules below
is only there for the names in the checkpoints. ImageNet head, final norm and the coarser outputs of the pyramid are in
the checkpoints but have no influence on the masks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from torch import Tensor, nn
from torchvision.models import ResNet, SwinTransformer, resnet50, swin_v2_b, swin_v2_t
from torchvision.ops import FeaturePyramidNetwork

from models.published.facts import CHANNELS

WIDTH: Final = 128
"""Channels of the pyramid and of all after it."""


class ResNetLevels(nn.Module):
    """Four maps at strides 4, 8, 16 and 32."""

    widths = (256, 512, 1024, 2048)

    def __init__(self, resnet: ResNet) -> None:
        super().__init__()
        self.resnet = resnet

    def forward(self, x: Tensor) -> list[Tensor]:
        """Outputs of layer1 to layer4."""
        net = self.resnet
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        levels = []
        for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = layer(x)
            levels.append(x)
        return levels


class SwinLevels(nn.Module):
    """Four maps at strides 4, 8, 16 and 32."""

    def __init__(self, swin: SwinTransformer) -> None:
        super().__init__()
        self.backbone = swin

    def forward(self, x: Tensor) -> list[Tensor]:
        """Outputs of the four stages, each before the merging of patches, channels first."""
        levels = []
        for index, part in enumerate(self.backbone.features):
            x = part(x)
            if index % 2:
                levels.append(x.permute(0, 3, 1, 2))
        return levels


class Pyramid(nn.Module):
    """Feature pyramid, Lin et al., CVPR 2017."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.fpn = FeaturePyramidNetwork(list(widths), WIDTH)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """The same levels with 128 channels each."""
        return list(self.fpn(OrderedDict((str(i), level) for i, level in enumerate(levels))).values())


class Upsample(nn.Module):
    """The finest level of the pyramid, grown by four."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(grow(), grow())

    def forward(self, levels: list[Tensor]) -> Tensor:
        """(B, 128, H, W)."""
        return self.layers(levels[0])


def grow() -> nn.Sequential:
    """3x3 convolution and a transposed 4x4 that doubles the size, each with ReLU."""
    return nn.Sequential(
        nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(WIDTH, WIDTH, 4, stride=2, padding=1),
        nn.ReLU(inplace=True),
    )


class Wrapped(nn.Module):
    """One more `backbone.` in the names."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> list[Tensor]:
        """Unchanged."""
        return self.backbone(x)


class SatlasModel(nn.Module):
    """The three parts by name (Swin-B) where the other two networks have them by number."""

    def __init__(self, levels: nn.Module, widths: Sequence[int]) -> None:
        super().__init__()
        self.backbone = levels
        self.fpn = Pyramid(widths)
        self.upsample = Upsample()

    def forward(self, x: Tensor) -> Tensor:
        """(B, 128, H, W)."""
        return self.upsample(self.fpn(self.backbone(x)))


class SatlasBackbone(nn.Module):
    """(B, 6, H, W) -> (B, 128, H, W), sizes rounded to multiples of four."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(CHANNELS, 3, 1)
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        """(B, 128, H, W)."""
        return self.backbone(self.first(x))


def numbered(levels: nn.Module, widths: Sequence[int]) -> nn.Sequential:
    """The three parts by number."""
    return nn.Sequential(Wrapped(levels), Pyramid(widths), Upsample())


def satlas_resnet50() -> SatlasBackbone:
    """ResNet50."""
    return SatlasBackbone(numbered(ResNetLevels(resnet50(weights=None)), ResNetLevels.widths))


def satlas_swint() -> SatlasBackbone:
    """Swin v2 T, window 8."""
    return SatlasBackbone(numbered(SwinLevels(swin_v2_t(weights=None)), (96, 192, 384, 768)))


def satlas_swinb() -> SatlasBackbone:
    """Swin v2 B, window 8."""
    return SatlasBackbone(SatlasModel(SwinLevels(swin_v2_b(weights=None)), (128, 256, 512, 1024)))
