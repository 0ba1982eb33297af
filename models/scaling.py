"""From reflectance to what a network sees: one fixed physical scaling, the same for every pixel of every granule.

The published networks stretch each chip between its own extremes, so one hot pixel changes all others and neighbouring
windows disagree; those conventions live in `models.published.preparation`. Here the same reflectance always gives the
same number.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

KNEE: Final = 0.05
"""Reflectance where the scale turns from linear to logarithmic: water and shadow lie below, land and cloud above."""
CENTRE: Final = 1.6
"""asinh(reflectance / KNEE) of a mid-grey of 0.12, about the median of land."""
LOWEST, HIGHEST = -0.2, 2.0
"""Beyond these reflectance means nothing more: over-corrected shadow, saturated cloud."""


class PhysicalScaling(nn.Module):
    """asinh(reflectance / 0.05) - 1.6: about -1.5 dark water, 0 land, 2 cloud; and a plane that says where data are.

    asinh is linear near zero, so small negative reflectance (over-corrected water) stays a number, and logarithmic
    above, so that shadow, which divides reflectance by a factor, is about a shift. Lupton et al. 1999,
    10.1086/301004, use it for the same reason.
    """

    def forward(self, reflectance: Tensor) -> Tensor:
        """Scale.

        Args:
            reflectance: (B, C, H, W) float32, unitless, NaN where there is no data.

        Returns:
            (B, C + 1, H, W): scaled bands, 0 where a pixel lacks any band, and last the plane of validity, 1 or 0.
        """
        valid = torch.isfinite(reflectance).all(dim=1, keepdim=True)
        scaled = physical(reflectance)
        return torch.cat([torch.where(valid, scaled, 0.0), valid.to(scaled.dtype)], dim=1)


def physical(reflectance: Tensor) -> Tensor:
    """The scale itself; NaN as if it were 0, so that it can be selected away without a trace in the gradients."""
    bounded = torch.nan_to_num(reflectance, nan=0.0).clamp(LOWEST, HIGHEST)
    return torch.asinh(bounded / KNEE) - CENTRE
