"""deeplabv3p: ResNet34 with a dilated last stage and the DeepLabv3+ decoder, 256 channels at a quarter of the size.

Chen et al., ECCV 2018, in the form of segmentation_models_pytorch: only the encoder and decoder are used, without its
model class, because heads and up-sampling of the published network differ.
"""

from __future__ import annotations

from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from segmentation_models_pytorch.encoders import get_encoder
from torch import Tensor, nn

from models.published.facts import CHANNELS


class DeepLabBackbone(nn.Module):
    """(B, 6, H, W) -> (B, 256, H/4, W/4)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = get_encoder("resnet34", in_channels=CHANNELS, depth=5, weights=None, output_stride=16)
        self.decoder = DeepLabV3PlusDecoder(
            encoder_channels=self.encoder.out_channels,
            encoder_depth=5,
            out_channels=256,
            atrous_rates=(12, 24, 36),
            output_stride=16,
            aspp_separable=True,
            aspp_dropout=0.5,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 256, H/4, W/4)."""
        return self.decoder(self.encoder(x))
