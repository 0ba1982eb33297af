"""One network for whatever bands an image has: for each band list it becomes a plain network, which is kept.

    network = AnySensor(multitask, known=card.bands, place=place)
    used = network.bands_used(bands, Product.S30)
    probabilities = network.placed(used, Product.S30)(chips)                (n, len(used), h, w) -> (n, 5, h, w)

What a spectral network makes of its bands' wavelengths depends on the band list alone, not on pixels. Baked for one
list it costs what a network for fixed bands costs. The price: a pixel that lacks any of the bands counts as no data,
where the unbaked network would judge it by the others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from threading import Lock
from typing import Final

from torch import Tensor, nn

from models.bandtable import BandTable, table_of
from models.cardfields import LEAST_BANDS
from models.devices import PlacedNetwork
from models.multitask import MultiTaskNet, bake
from ssc.bands import Band, Product, Response, Sensor, responses
from ssc.errors import BandError

KEPT: Final = 8
"""Band lists whose networks are kept: two products with six, all and a few other bands each."""

Place = Callable[[nn.Module], PlacedNetwork]
"""Puts a network for one band list where it computes."""


class AnySensor:
    """A network with a spectral or permutational stem. Any number of threads may share one."""

    def __init__(self, network: MultiTaskNet, *, known: Iterable[Band], place: Place) -> None:
        """Keep a network, which is left as it is: what is placed are copies.

        Args:
            network: With a stem that is told what its bands see.
            known: Bands it may be given.
            place: Asked at once with a module that does nothing, so that a device which is none is refused now.
        """
        self.is_bf16 = place(nn.Identity()).is_bf16
        self._network = network.eval()
        self._known = frozenset(known)
        self._place = place
        self._kept: OrderedDict[tuple[tuple[Band, ...], tuple[Response, ...]], PlacedNetwork] = OrderedDict()
        self._lock = Lock()

    def bands_used(self, given: Sequence[Band], of: Product | Sensor | None) -> tuple[Band, ...]:
        """Those of the given bands that the network knows, in the order of `Band`.

        Raises:
            BandError: Fewer than `LEAST_BANDS`, or one that the product or sensor does not have.
        """
        used = in_order(band for band in given if band in self._known)
        if len(used) < LEAST_BANDS:
            known = " ".join(in_order(self._known))
            found = f"found {' '.join(used) or 'none'} that the network knows"
            raise BandError(f"too few bands: {found}, wanted at least {LEAST_BANDS} of {known}")
        check_had(used, of)
        return used

    def placed(self, used: tuple[Band, ...], of: Product | Sensor | None) -> PlacedNetwork:
        """The network for these bands, ready to compute; made when it is not among the `KEPT` used last.

        Args:
            used: From `bands_used`.
            of: Whose bands they are; None: Landsat 8's where it has them, else Sentinel-2's.
        """
        seen = responses(of, used)
        with self._lock:
            if (used, seen) not in self._kept:
                self._kept[used, seen] = self._place(for_bands(self._network, used, seen))
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end((used, seen))
            return self._kept[used, seen]


class ForOneTable(nn.Module):
    """A network that cannot be baked, told the same table with every batch."""

    def __init__(self, network: MultiTaskNet, seen: Sequence[Response]) -> None:
        super().__init__()
        self.network = network
        self.numbers: Tensor
        self.present: Tensor
        table = table_of([seen])
        self.register_buffer("numbers", table.numbers)
        self.register_buffer("present", table.present)

    def forward(self, reflectance: Tensor) -> Tensor:
        """(n, B, h, w) reflectance -> (n, T, h, w) logits."""
        count = len(reflectance)
        table = BandTable(self.numbers.expand(count, -1, -1), self.present.expand(count, -1))
        return self.network(reflectance, table)


def for_bands(network: MultiTaskNet, used: tuple[Band, ...], seen: tuple[Response, ...]) -> nn.Module:
    """A network of its own for these bands, in this order, that takes reflectance and nothing else."""
    if network.config.stem == "spectral":
        return bake(network, seen, used)
    return ForOneTable(deepcopy(network), seen)


def check_had(bands: Sequence[Band], of: Product | Sensor | None) -> None:
    """See that a product or sensor has these bands.

    Raises:
        BandError: It has not.
    """
    if isinstance(of, Product):
        for band in bands:
            band.code(of)
    elif of is not None:
        responses(of, bands)


def in_order(bands: Iterable[Band]) -> tuple[Band, ...]:
    """Each band once, in the order of `Band`: the order in which six bands are `SIX`."""
    given = frozenset(bands)
    return tuple(band for band in Band if band in given)
