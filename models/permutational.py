"""The permutational convolution: a first layer for any bands, each pair of them convolved by one shared kernel.

    stem = PermutationalStem(like=nn.Conv2d(7, 32, 3, stride=2, padding=1))
    stem.see(table)                               which bands stand in which place of the next image
    stem(SpectralScaling()(reflectance, table))   (1, n, H, W) -> (1, 32, H / 2, W / 2), n of any size

Alistair Francis, slides "Sensor-Independent Deep Learning for Cloud Masking" (MSSL/UCL, ESA Phi-lab). Theirs: every
band is a member of the set of all possible bands; a descriptor says which, "e.g. central wavelength and bandwidth"; in
the place of an ordinary convolution one kernel convolves every pair of bands, and the outputs are summed: any number
of bands in any order, at a cost of its square.

Never published, so ours: sizes, order and self pairs (both as in the author's later code), descriptors as maps beside
their bands, and the validity of pixels. And two things without which the layer does not work. Convolutions are linear:
summed as they are, they see only the sum of all bands, so each pair goes through GELU first. The number of pairs grows
with the square of the number of bands, so the sum is a mean. `models.spectral` does the same job in linear time; this
layer is kept to compare with.
"""

from __future__ import annotations

import copy
import math
from itertools import product
from typing import Any, Final

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.func import functional_call

from models.bandtable import BandTable, without_empty
from models.spectral import STANDARD
from ssc.errors import InputError

DESCRIPTORS: Final = 2
"""Numbers per band: centre and width."""
LINEAR: Final = (nn.Conv2d, nn.Conv3d, Conv2dSame)
"""Convolutions that split into one per band. Those that standardise their weights across bands do not."""


class PermutationalStem(nn.Module):
    """Mean over all ordered pairs (i, j) of GELU(convolution of band i, band j and their descriptors).

    A band has no value at a pixel where the scaled image is exactly 0, which is what `SpectralScaling` writes for
    missing data; reflectance in steps of 1e-4 never scales to 0. Under a kernel such a pixel is 0. At an output pixel
    a pair counts if both its bands have a value at the input pixel under the centre of the kernel (for even sizes, the
    first after it), whatever lies around; where no pair counts, only the plane of validity speaks. So a missing band
    says nothing at its own pixel, and its valid neighbours say nothing there either.
    """

    pair: Any
    """The shared convolution; its inputs are band i, descriptor i, band j, descriptor j."""
    plane: Any
    """The convolution of the plane of validity, which is added to the mean."""

    def __init__(self, like: nn.Conv2d | nn.Conv3d) -> None:
        """A stem with random kernels.

        Args:
            like: Kernel size, stride, padding, output channels, bias and the kernel of validity (its last input) are
                taken over. A 3-D convolution must have depth 1.

        Raises:
            InputError: A convolution in groups, over several time steps, or not linear in its weights.
        """
        super().__init__()
        if type(like) not in LINEAR or like.groups != 1 or (isinstance(like, nn.Conv3d) and like.kernel_size[0] != 1):
            raise InputError(f"permutational stem: found {like}, wanted a plain one of one group, and depth 1 if any")
        self.pair = _with_weight(like, torch.empty(like.out_channels, 2 * (1 + DESCRIPTORS), *like.kernel_size))
        nn.init.kaiming_uniform_(self.pair.weight, a=math.sqrt(5))
        self.pair.bias = nn.Parameter(torch.zeros(like.out_channels))
        self.act = nn.GELU()
        self.plane = _with_weight(like, like.weight[:, -1:].detach().clone())
        self._seen: BandTable | None = None

    def see(self, table: BandTable) -> None:
        """Remember which bands the images of the next `forward` have.

        Args:
            table: A row for each image, or one for all of them.
        """
        self._seen = table.to(self.pair.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve all pairs.

        Args:
            x: (B, n + 1, H, W) from `SpectralScaling`, its bands in the places of the table; (B, n + 1, 1, H, W) where
                the stem stands for a 3-D convolution.

        Raises:
            InputError: No table seen since the last image, or one of other images.
        """
        bands, table = without_empty(x[:, :-1], self._table(x))
        valid = (bands != 0) & _spread(table.present, x)
        values = bands * (valid.sum(dim=1, keepdim=True) / STANDARD)  # each pair for itself, not weighted by count
        first, second = self._roles(values, descriptors(table))
        here = self._centres(valid)
        plane = self.plane(x[:, -1:])
        total = torch.zeros_like(plane, dtype=x.dtype)
        for i, j in product(range(here.shape[1]), repeat=2):  # one map at a time: all pairs of 14 bands are 196
            both = (here[:, i] & here[:, j])[:, None]
            total = total + torch.where(both, self.act(first[:, i] + second[:, j]), 0.0)
        pairs = here.sum(dim=1, keepdim=True) ** 2
        return total / pairs.clamp(min=1) + plane

    def _table(self, x: Tensor) -> BandTable:
        """The table seen, a row for each image; it serves once."""
        if self._seen is None:
            raise InputError("permutational stem: no bands seen, wanted see(table) before each batch")
        table, self._seen = self._seen, None
        count, places = table.present.shape
        if count not in {1, len(x)} or x.shape[1] != places + 1:
            found = f"a table of {count} images with {places} places, and images of shape {tuple(x.shape)}"
            raise InputError(f"permutational stem: found {found}, wanted a row per image, a plane more than places")
        return BandTable(table.numbers.expand(len(x), -1, -1), table.present.expand(len(x), -1))

    def _roles(self, values: Tensor, described: Tensor) -> tuple[Tensor, Tensor]:
        """What each band adds to its pairs as the first and as the second: (B, n, out, h, w) twice.

        A convolution of a pair is the sum of one per member, so n of each do for n^2 pairs. Descriptors are maps like
        their band, cut off by the zeros of the padding as the band is.
        """
        maps = _spread(described, values).expand(-1, -1, -1, *values.shape[2:])
        members = torch.cat([values[:, :, None], maps], dim=2)
        weight = torch.cat(self.pair.weight.chunk(2, dim=1))
        bias = torch.cat([self.pair.bias, torch.zeros_like(self.pair.bias)])
        roles = self._convolved(members.flatten(0, 1), weight, bias)
        first, second = roles.unflatten(0, members.shape[:2]).chunk(2, dim=2)
        return first, second

    def _centres(self, valid: Tensor) -> Tensor:
        """(B, n, h, w) bool, whether a band has a value under the centre of the kernel; beyond the image none has."""
        size = self.pair.kernel_size
        centre = torch.zeros(1, 1, *size, device=valid.device)
        centre[(..., *(length // 2 for length in size))] = 1
        found = self._convolved(valid.flatten(0, 1)[:, None].float(), centre, centre.new_zeros(1))
        return found.unflatten(0, valid.shape[:2])[:, :, 0] > 0.5

    def _convolved(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """By another kernel with the stride and padding of the shared one."""
        return functional_call(self.pair, {"weight": weight, "bias": bias}, (x,))


def descriptors(table: BandTable) -> Tensor:
    """log10(centre - 300) - 2 and log10(width) - 2, nm, of each band: about -1 to 1 from violet to short infrared.

    Returns:
        (B, n, DESCRIPTORS), 0 for empty places.
    """
    low, centre, high = (1000 * 10 ** table.numbers[..., :3]).unbind(dim=-1)
    parts = torch.stack([centre - 300, high - low], dim=-1).clamp(min=1)
    return torch.where(table.present[..., None], torch.log10(parts) - 2, 0.0)


def _spread(vectors: Tensor, image: Tensor) -> Tensor:
    """With an axis of length one for each axis of the image after batch and bands."""
    return vectors[(..., *(None for _ in image.shape[2:]))]


def _with_weight(like: nn.Conv2d | nn.Conv3d, weight: Tensor) -> nn.Conv2d | nn.Conv3d:
    """A convolution like another but with these kernels."""
    conv = copy.deepcopy(like)
    conv.weight, conv.in_channels = nn.Parameter(weight), weight.shape[1]
    return conv
