"""A first layer for any bands: a small network writes the kernel of each band from what the band sees.

    stem = SpectralStem(like=nn.Conv2d(7, 32, 3, stride=2, padding=1))
    table = table_of([responses(Product.S30, bands)])
    stem.see(table)                               which bands stand in which place of the next image
    stem(SpectralScaling()(reflectance, table))   (1, n, H, W) -> (1, 32, H / 2, W / 2), n of any size
    plain = stem.baked(table)                     the same as an ordinary convolution, for as long as the bands stay

Attention over the list of bands works on vectors, so that pixels are touched once per band: as in SEnSeI (Francis et
al., IEEE TGRS 2022, arXiv 2111.08349), and the kernels come from wavelengths as in DOFA (Xiong et al., arXiv
2403.15356). A layer that is linear in the pixels suffices: the encoder behind it is not. Bands are summed over those
that are valid at a pixel and divided by their number, so a band without a value counts as one that is not there.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the name everyone knows it by

from models.bandtable import NUMBERS, BandTable
from models.scaling import physical
from ssc.errors import InputError

STANDARD: Final = 6
"""Number of bands for which the normalisation is 1: those of every masker for fixed bands."""
FEATURES: Final = 64
"""Learned numbers of a token."""
WAVES: Final = (0.5, 1.0, 2.0, 4.0)
"""Periods per factor of ten in wavelength. Low: an error of 1 % in a wavelength is a fiftieth of the shortest period;
high enough to tell narrow from broad near infrared."""
SINES: Final = 2 * 3 * len(WAVES)
"""Sines and cosines of three wavelengths."""
GAIN: Final = 0.1
"""Size of the learned numbers at the start, where sines have 1. With learned numbers alone the first step of Adam at
1e-3 after a warm start multiplied the error by forty: all bands' tokens move at once, and kernels with them."""
ATTENTION_HEADS: Final = 4


class SpectralScaling(nn.Module):
    """`PhysicalScaling` for any bands: each by itself, weighted by STANDARD / number of bands valid at the pixel."""

    def forward(self, reflectance: Tensor, table: BandTable) -> Tensor:
        """Scale.

        Args:
            reflectance: (B, n, H, W) float32, unitless, NaN where there is no data; anything in empty places.
            table: What the bands are.

        Returns:
            (B, n + 1, H, W): scaled bands, 0 where a band has no value, and last a plane that is 1 where any band has
            one. With six bands, all valid: the numbers of `PhysicalScaling`, to the bit.

        Raises:
            InputError: A table of other images.
        """
        if reflectance.shape[:2] != table.present.shape:
            found = f"images of shape {tuple(reflectance.shape)} with a table of shape {tuple(table.present.shape)}"
            raise InputError(f"scaling of bands: found {found}, wanted one row per image and one place per band")
        valid = torch.isfinite(reflectance) & table.present[..., None, None]
        count = valid.sum(dim=1, keepdim=True)
        scaled = physical(reflectance) * (STANDARD / count.clamp(min=1))
        return torch.cat([torch.where(valid, scaled, 0.0), (count > 0).to(scaled.dtype)], dim=1)


class BandTokens(nn.Module):
    """What each band is, and what it means among the bands beside it.

    The first are sines of its wavelengths, the slower the larger, so that neighbours are alike and yet told apart
    (Tancik et al., NeurIPS 2020, arXiv 2006.10739). The second is learned by one block of attention over the list of
    bands: it depends on the other bands, not on their order, and on empty places not at all.
    """

    width: Final = NUMBERS + SINES + FEATURES

    def __init__(self) -> None:
        super().__init__()
        waves = torch.tensor(WAVES)
        self.waves: Tensor
        self.sizes: Tensor
        self.register_buffer("waves", 2 * math.pi * waves, persistent=False)
        self.register_buffer("sizes", waves.rsqrt() / waves.rsqrt().square().mean().sqrt(), persistent=False)
        self.embed = nn.Sequential(nn.Linear(NUMBERS + SINES, FEATURES), nn.GELU(), nn.Linear(FEATURES, FEATURES))
        self.before = nn.LayerNorm(FEATURES)
        self.roles = nn.Linear(FEATURES, 3 * FEATURES)
        self.mix = nn.Linear(FEATURES, FEATURES)
        self.think = nn.Sequential(
            nn.LayerNorm(FEATURES), nn.Linear(FEATURES, 2 * FEATURES), nn.GELU(), nn.Linear(2 * FEATURES, FEATURES)
        )
        self.after = nn.LayerNorm(FEATURES)
        nn.init.constant_(self.after.weight, GAIN)

    def forward(self, table: BandTable) -> Tensor:
        """(B, n, width); of no meaning in empty places, but finite."""
        numbers = torch.where(table.present[..., None], table.numbers.to(self.waves.dtype), 0.0)
        phases = numbers[..., :3, None] * self.waves
        sines = torch.cat([phases.sin() * self.sizes, phases.cos() * self.sizes], dim=2).flatten(2)
        known = torch.cat([numbers, sines], dim=-1)
        learned = self.embed(known)
        learned = learned + self.mix(self._attended(self.before(learned), table.present))
        return torch.cat([known, self.after(learned + self.think(learned))], dim=-1)

    def _attended(self, tokens: Tensor, present: Tensor) -> Tensor:
        # an empty place sees itself alone: seen by nobody, and no row of attention is without a key, which would be NaN
        itself = torch.eye(present.shape[1], dtype=torch.bool, device=present.device)
        seen = (present[:, None, :] | itself)[:, None]
        query, key, value = self.roles(tokens).unflatten(2, (3 * ATTENTION_HEADS, -1)).transpose(1, 2).chunk(3, dim=1)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=seen).transpose(1, 2).flatten(2)


class Seen(NamedTuple):
    """Images with one list of bands."""

    images: slice
    places: list[int]
    """Those of the table that hold a band."""
    weight: Tensor
    """(out, len(places) + 1, kh, kw) of a convolution: the last input is validity."""


class SpectralStem(nn.Module):
    """In the place of a convolution of n bands and a plane of validity, for any n.

    What `see` remembers serves one `forward`: kernels belong to the graph of one step, and stale bands cannot be used.
    So a stem serves one thread at a time; `baked` convolutions serve any number.
    """

    conv: Any
    """What the stem stands for, with its bias and its way of padding, but without weights."""

    def __init__(self, like: nn.Conv2d | nn.Conv3d) -> None:
        """A stem with random kernels.

        Args:
            like: Kernel size, stride, padding (also of subclasses which pad in a way of their own), output channels,
                bias and the kernel of validity (its last input) are taken over; random kernels are as large as its
                weights. A 3-D convolution must have depth 1.

        Raises:
            InputError: A convolution in groups, or over several time steps.
        """
        super().__init__()
        if like.groups != 1 or (isinstance(like, nn.Conv3d) and like.kernel_size[0] != 1):
            raise InputError(f"spectral stem: found {like}, wanted one group, and depth 1 if it has depth")
        self.tokens = BandTokens()
        self.head = nn.Linear(BandTokens.width, like.weight[:, 0].numel())
        length = math.sqrt(SINES / 2)  # of a token, nearly all of it sines
        nn.init.normal_(self.head.weight, std=float(like.weight[:, :-1].detach().std()) / length)
        nn.init.zeros_(self.head.bias)
        self.validity = nn.Parameter(like.weight[:, -1:].detach().clone())
        self.conv = copy.deepcopy(like)
        del self.conv.weight
        self._seen: tuple[tuple[int, int], list[Seen]] | None = None

    def see(self, table: BandTable) -> None:
        """Remember which bands the images of the next `forward` have.

        Args:
            table: A row for each image, or one for all of them.
        """
        table = table.to(self.validity.device)
        if bool((table.numbers == table.numbers[:1]).all() & (table.present == table.present[:1]).all()):
            table, spans = BandTable(table.numbers[:1], table.present[:1]), [slice(None)]
        else:
            # an image at a time without its empty places: on a CPU in half the time of one convolution in groups, and
            # no image depends on which places others fill
            spans = [slice(image, image + 1) for image in range(len(table.present))]
        rows = table.present.tolist()
        used = [place for place, column in enumerate(zip(*rows, strict=True)) if any(column)]
        kernels = self._kernels(BandTable(table.numbers[:, used], table.present[:, used]))
        parts = []
        for span, row, whole in zip(spans, rows, kernels, strict=True):
            own = [index for index, place in enumerate(used) if row[place]]
            weight = torch.cat([whole[:, own], self.validity], dim=1)
            parts.append(Seen(span, [used[index] for index in own], weight))
        self._seen = (len(rows), len(rows[0])), parts

    def forward(self, x: Tensor) -> Tensor:
        """Convolve.

        Args:
            x: (B, n + 1, H, W) from `SpectralScaling`, its bands in the places of the table; (B, n + 1, 1, H, W) where
                the stem stands for a 3-D convolution.

        Raises:
            InputError: No table seen since the last image, or one of other images.
        """
        if self._seen is None:
            raise InputError("spectral stem: no bands seen, wanted see(table) before each batch")
        ((count, places), parts), self._seen = self._seen, None
        if count not in {1, len(x)} or x.shape[1] != places + 1:
            found = f"a table of {count} images with {places} places, and images of shape {tuple(x.shape)}"
            raise InputError(f"spectral stem: found {found}, wanted one row per image, and one plane more than places")
        out = [self._convolved(x[part.images], part) for part in parts]
        return out[0] if len(out) == 1 else torch.cat(out)

    @torch.no_grad()
    def baked(self, table: BandTable) -> nn.Conv2d | nn.Conv3d:
        """An ordinary convolution for `PhysicalScaling` of these bands and validity, in the order of the table.

        Args:
            table: Of one row.

        Raises:
            InputError: More rows, or one without a band.
        """
        count = int(table.present.sum())
        if len(table.present) != 1 or not count:
            raise InputError(f"bands to bake: found {len(table.present)} rows with {count} bands, wanted one with some")
        kernels = self._kernels(table.to(self.validity.device))[0][:, table.present[0].to(self.validity.device)]
        plain = copy.deepcopy(self.conv)
        plain.weight = nn.Parameter(torch.cat([kernels * (STANDARD / count), self.validity], dim=1))
        plain.in_channels = count + 1
        return plain

    @torch.no_grad()
    def warm_start(self, conv: nn.Conv2d | nn.Conv3d, tables: Sequence[BandTable]) -> None:
        """Take over the kernels of a convolution, whichever of several sensors its bands belong to.

        Only the last layer changes: of all that give these kernels, it becomes the one with the smallest weights, which
        leads from band to band without detours. Bands that the convolution never saw get what lies between.

        Args:
            conv: For n bands and validity, of the size of the stem.
            tables: Of one row each, with the n bands in the order of the convolution as one sensor sees them. All
                together no more bands than FEATURES.

        Raises:
            InputError: A convolution or tables of other sizes.
        """
        self._check_start(conv, tables)
        tokens = copy.deepcopy(self.tokens).double()
        seen = torch.cat([tokens(table.to(self.validity.device))[0] for table in tables])
        known = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
        bands = conv.weight.shape[1] - 1
        wanted = conv.weight[:, :-1].to(known).transpose(0, 1).flatten(1) * (bands / STANDARD)
        found = torch.linalg.pinv(known, rtol=1e-12) @ wanted.repeat(len(tables), 1)
        self.head.weight.copy_(found[:-1].T)
        self.head.bias.copy_(found[-1])
        self.validity.copy_(conv.weight[:, -1:])
        if conv.bias is not None:
            self.conv.bias.copy_(conv.bias)

    def _kernels(self, table: BandTable) -> Tensor:
        """(B, out, n, kh, kw), of no meaning in empty places."""
        outputs, _, *size = self.validity.shape
        with torch.autocast(table.numbers.device.type, enabled=False):  # bf16 cannot tell neighbouring wavelengths
            written = self.head(self.tokens(table))
        return written.unflatten(2, (outputs, *size)).transpose(1, 2)

    def _convolved(self, x: Tensor, part: Seen) -> Tensor:
        whole = len(part.places) + 1 == x.shape[1]
        self.conv.weight = part.weight
        out = self.conv(x if whole else x[:, [*part.places, -1]])
        self.conv.weight = None  # a tensor inside a graph, which copies of the network could not hold
        return out

    def _check_start(self, conv: nn.Conv2d | nn.Conv3d, tables: Sequence[BandTable]) -> None:
        outputs, inputs, *size = conv.weight.shape
        same = (outputs, *size) == (self.validity.shape[0], *self.validity.shape[2:])
        if not same or (conv.bias is None) != (self.conv.bias is None):
            raise InputError(f"warm start of a stem like {self.conv}: found {conv}, wanted the same size and bias")
        fitting = [table.present.shape == (1, inputs - 1) and bool(table.present.all()) for table in tables]
        if not all(fitting) or not 0 < len(tables) * (inputs - 1) <= FEATURES:
            shapes = " ".join(str(tuple(table.present.shape)) for table in tables) or "none"
            raise InputError(f"warm start with tables {shapes}: wanted (1, {inputs - 1}) each, all places filled")
