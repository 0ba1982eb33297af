"""HLS v2.0 granules: names, files, times.

    HLS.S30.T15SXR.2021250T163901.v2.0            a granule
    HLS.S30.T15SXR.2021250T163901.v2.0.B8A.tif    one of its files

The time in an L30 name is the sensing time of the first scene; in an S30 name it is the datatake start, up to 17
minutes before the tile was seen (HLS User Guide v2.0; sun angles must come from tags or layers, never from the name).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from ssc.bands import CODES, Band, Layer, Product, band_of
from ssc.errors import DataError, GranuleNameError, InputError

_NAME = re.compile(
    r"HLS\.(?P<product>L30|S30)\.T(?P<tile>(?:0[1-9]|[1-5]\d|60)[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])"
    r"\.(?P<time>\d{7}T\d{6})\.v(?P<version>2\.\d+)(?:\.(?P<layer>[A-Za-z0-9]+)\.tif)?",
    re.ASCII,
)
_TIME = "%Y%jT%H%M%S"
_WANTED = "HLS.<L30|S30>.T<MGRS tile>.<YYYYDDDTHHMMSS>.v2.0[.<LAYER>.tif]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Granule:
    """One HLS granule: one product, one MGRS tile, one overpass. Equality is by name; where the files lie is not."""

    product: Product
    tile: str
    """MGRS tile without the T, five characters: "15SXR"."""
    acquired: datetime
    """Time in the name, aware UTC, whole seconds (S30: datatake start, not when the tile was seen)."""
    version: str = "2.0"
    hrefs: Mapping[Band | Layer, str] = field(default_factory=dict, compare=False, repr=False)
    """Where each band or layer lies: a local path, https:// or s3:// location."""

    @property
    def name(self) -> str:
        """Official granule name; `parse(granule.name) == granule`."""
        return f"HLS.{self.product}.T{self.tile}.{self.acquired:{_TIME}}.v{self.version}"

    def file_name(self, layer: Band | Layer) -> str:
        """Official file name of a band or layer.

        Raises:
            BandError: This product has no such band.
        """
        code = layer.value if isinstance(layer, Layer) else layer.code(self.product)
        return f"{self.name}.{code}.tif"

    def href(self, layer: Band | Layer) -> str:
        """Where a band or layer lies.

        Raises:
            DataError: The granule came without that file.
        """
        try:
            return self.hrefs[layer]
        except KeyError:
            found = " ".join(sorted(name.value for name in self.hrefs)) or "nothing"
            raise DataError(f"no {layer.value} in {self.name}: found {found}, wanted {self.file_name(layer)}") from None


def parse(text: str | Path) -> Granule:
    """The granule that a granule name, file name, path or URL speaks of; one file's name gives that one href.

    Raises:
        GranuleNameError: The last part of the text is not an HLS v2.0 name, or its date does not exist.

    >>> parse("HLS.L30.T13TGF.2021133T172406.v2.0").tile
    '13TGF'
    """
    location = str(text)
    match = _NAME.fullmatch(PurePosixPath(location.split("?", maxsplit=1)[0]).name)
    if match is None:
        raise GranuleNameError(f"not an HLS granule name: found {location!r}, wanted {_WANTED}")
    product = Product(match["product"])
    acquired = _time(match["time"])
    if acquired is None:
        raise GranuleNameError(f"no such time in {location!r}: found {match['time']}, wanted YYYYDDDTHHMMSS")
    layer = _layer(match["layer"], product)
    hrefs: dict[Band | Layer, str] = {} if layer is None else {layer: location}
    return Granule(product=product, tile=match["tile"], acquired=acquired, version=match["version"], hrefs=hrefs)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return time if f"{time:{_TIME}}" == text else None  # Python counts day 366 of 2021 on into 2022


def _layer(code: str | None, product: Product) -> Band | Layer | None:
    if code is None:
        return None
    if code in {layer.value for layer in Layer}:
        return Layer(code)
    return band_of(code, product) if code in CODES[product].values() else None


def gather(locations: Iterable[str | Path]) -> list[Granule]:
    """Group file locations into granules, ordered by name. Files that are not HLS layers are passed over."""
    files: dict[Granule, dict[Band | Layer, str]] = {}
    for location in locations:
        try:
            granule = parse(location)
        except GranuleNameError:
            continue
        files.setdefault(granule, {}).update(granule.hrefs)
    return [replace(granule, hrefs=hrefs) for granule, hrefs in sorted(files.items(), key=lambda item: item[0].name)]


def locate(base: str, granule: Granule) -> Granule:
    """The same granule with the href of every band and layer under a remote base (https:// or s3://), unchecked."""
    layers: list[Band | Layer] = [*CODES[granule.product], *Layer]
    hrefs = {layer: f"{base.rstrip('/')}/{granule.file_name(layer)}" for layer in layers}
    return replace(granule, hrefs=hrefs)


def find(path: str | Path) -> list[Granule]:
    """Granules at a location: a folder (searched deeply), one file, or the https:// or s3:// folder of one granule.

    Raises:
        InputError: Nothing there, or a remote location that does not end in a granule name.
        GranuleNameError: A remote location, or a single file, without an HLS name.
    """
    text = str(path)
    if "://" in text:
        return [locate(text, parse(text.rstrip("/")))]
    folder = Path(text)
    if not folder.exists():
        raise InputError(f"no such file or folder: {text}")
    if folder.is_file():
        granule = parse(folder)
        return [g for g in gather(folder.parent.iterdir()) if g == granule]
    granules = gather(sorted(folder.rglob("HLS.*.tif")))
    if not granules:
        raise InputError(f"no HLS granules in {text}: wanted files named {_WANTED}")
    return granules
