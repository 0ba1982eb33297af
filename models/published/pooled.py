"""swint and vitb16: ImageNet classifiers behind a 66x66 stem, giving one vector for the whole image.

Swin-T (Liu et al., ICCV 2021) and ViT-B/16 (Dosovitskiy et al., ICLR 2021) of torchvision. Their masks are drawn from
one pooled vector: low published scores say little about transformers.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import swin_t, vit_b_16

from models.published.facts import CHANNELS


class PooledBackbone(nn.Module):
    """(B, 6, H, W) -> (B, 768)."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        # 512 px become the 224 px the classifier was trained with: (512 - 66) / 2 + 1
        self.first = nn.Sequential(nn.Conv2d(CHANNELS, 3, 1), nn.Conv2d(3, 3, 66, stride=2))
        self.backbone = classifier

    def forward(self, x: Tensor) -> Tensor:
        """(B, 768)."""
        return self.backbone(self.first(x))


def pooled_swint() -> PooledBackbone:
    """Mean of the last stage's tokens."""
    swin = swin_t(weights=None)
    swin.head = nn.Identity()
    return PooledBackbone(swin)


def pooled_vitb16() -> PooledBackbone:
    """The class token."""
    vit = vit_b_16(weights=None)
    vit.heads = nn.Identity()
    return PooledBackbone(vit)
