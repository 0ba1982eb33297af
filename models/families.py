"""The kinds of encoder there are, as words: importing this builds nothing and needs no torch."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

KINDS: Final = ("imagenet", "satlas", "prithvi")
"""Pre-training that is known by name; anything else is a local file."""

SATLAS: Final = MappingProxyType(
    {
        "satlas:swin_v2_t": "sentinel2_swint_si_rgb.pth",
        "satlas:swin_v2_b": "sentinel2_swinb_si_rgb.pth",
        "satlas:resnet50": "sentinel2_resnet50_si_rgb.pth",
    }
)
"""Encoder -> file in the public repository `SATLAS_REPOSITORY`: Sentinel-2, one image, true colour."""
SATLAS_REPOSITORY: Final = "allenai/satlas-pretrain"
PRITHVI: Final = MappingProxyType({"prithvi:100m": "Prithvi_EO_V1_100M.pt"})
"""Encoder -> file in the public repository `PRITHVI_REPOSITORY`: HLS, the same six bands in the same order as here."""
PRITHVI_REPOSITORY: Final = "ibm-nasa-geospatial/Prithvi-EO-1.0-100M"
SMP: Final = "smp:"
"""Names after this are encoders of segmentation_models_pytorch."""


def families() -> dict[str, str]:
    """How encoders are named -> what they are and which pre-training they know by name; for help texts.

    Weights may also come from a local file for each of them.

    >>> list(families())
    ['NAME', 'smp:NAME', 'satlas:swin_v2_t', 'satlas:swin_v2_b', 'satlas:resnet50', 'prithvi:100m']
    """
    return {
        "NAME": "any timm model with features_only: convolutional (mobilenetv4_conv_small: 5 levels), "
        "Swin-like (swin_tiny_patch4_window7_224: 4), plain ViT (vit_small_patch16_224: 4); imagenet",
        "smp:NAME": "an encoder of segmentation_models_pytorch (smp:resnet34: 5 levels, smp:mit_b0: 4); imagenet",
        "satlas:swin_v2_t": "torchvision Swin v2 T, 28 M parameters, 4 levels; satlas, imagenet",
        "satlas:swin_v2_b": "torchvision Swin v2 B, 87 M parameters, 4 levels; satlas, imagenet",
        "satlas:resnet50": "torchvision ResNet50, 24 M parameters, 5 levels; satlas, imagenet",
        "prithvi:100m": "ViT of Prithvi-100M, 86 M parameters, 4 levels, trained on HLS; prithvi",
    }
