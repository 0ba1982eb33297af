"""The five kinds of head. Each gives one logit map; `PublishedNetwork` brings it to the size of the input."""

from __future__ import annotations

from torch import Tensor, nn


class PixelHead(nn.Sequential):
    """deeplabv3p: one 1x1 convolution."""

    def __init__(self, channels: int = 256) -> None:
        super().__init__(nn.Conv2d(channels, 1, 1))


class ConvBnRelu(nn.Module):
    """1x1 convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H, W)."""
        return self.bn(self.conv(x)).relu()


class MobileHead(nn.Module):
    """mobilenetv3: 1x1 to 128 channels, 1x1 to one."""

    def __init__(self, channels: int = 160, hidden: int = 128) -> None:
        super().__init__()
        self.pred_task = nn.Sequential(ConvBnRelu(channels, hidden), nn.Conv2d(hidden, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, 1, h, w) logit."""
        return self.pred_task(features)


class SegNetHead(nn.Module):
    """segnet: 3x3 then 1x1, and no non-linearity between: together one linear 3x3 filter."""

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.pred_task = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, 1, H, W) logit."""
        return self.pred_task(features)


class SatlasHead(nn.Module):
    """The three Satlas networks: 3x3, ReLU, 3x3 to one, at full resolution."""

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()),
            nn.Conv2d(channels, 1, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, 1, H, W) logit."""
        return self.head(features)


def doubled(inputs: int, outputs: int) -> nn.Sequential:
    """Nearest up-sampling by two, 3x3 convolution, ReLU."""
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())


class VectorHead(nn.Module):
    """swint and vitb16: the whole 512 px mask out of one vector, grown from a 32x32 sketch."""

    side = 32

    def __init__(self, channels: int = 768, width: int = 8) -> None:
        super().__init__()
        self.head1 = nn.Linear(channels, self.side**2)
        growth = [doubled(1, width), *(doubled(width, width) for _ in range(3))]
        self.head = nn.Sequential(*growth, nn.Conv2d(width, 1, 1))

    def forward(self, vector: Tensor) -> Tensor:
        """(B, 768) -> (B, 1, 512, 512) logit."""
        return self.head(self.head1(vector).view(-1, 1, self.side, self.side))


class PrithviHead(nn.Module):
    """prithvi: the 14x14 grid of tokens, doubled four times to 224, then to 512, 3x3, 1x1."""

    widths = (768, 384, 192, 96, 48)

    def __init__(self) -> None:
        super().__init__()
        growth = [doubled(inputs, outputs) for inputs, outputs in zip(self.widths, self.widths[1:], strict=False)]
        last = self.widths[-1]
        smooth = nn.Sequential(nn.Upsample(size=(512, 512)), nn.Conv2d(last, last, 3, padding=1), nn.ReLU())
        self.segmentation_head = nn.Sequential(*growth, smooth, nn.Conv2d(last, 1, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 768, 14, 14) -> (B, 1, 512, 512) logit."""
        return self.segmentation_head(tokens)
