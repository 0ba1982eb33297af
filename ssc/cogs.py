"""One file of a granule, opened and checked against what an HLS v2.0 file is.

A tile's grid is UTM of its zone on WGS 84, 30 m, north up. HLS counts southern northings negative from the equator
(EPSG:326zz everywhere), Sentinel-2 counts them from 10 000 000 (EPSG:327zz), and files of 2021 carry a bare "UTM Zone
15, Northern Hemisphere" of unknown datum: all become EPSG:326zz here, so that one ground point has one coordinate.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.windows import Window as RasterWindow

from ssc.bands import Band, Layer
from ssc.errors import DataError, GridError
from ssc.gdal import FAILURES, MissingFileError, configured, explained, opened, told
from ssc.granules import Granule
from ssc.observation import Window

PIXEL_M: Final = 30.0
SOUTH_M: Final = 10_000_000.0
"""False northing of southern UTM zones, metres."""
SCALE: Final = 0.0001
"""Reflectance per digital number; HLS User Guide v2.0."""
ANGLE_SCALE: Final = 0.01
"""Degrees per digital number of the angle layers."""

_UTM: Final = {
    "Latitude of natural origin": 0.0,
    "Scale factor at natural origin": 0.9996,
    "False easting": 500_000.0,
}


class Cog:
    """One open file of a granule. Threads wait for each other: a GDAL dataset is not made for two."""

    __slots__ = ("_dataset", "_lock", "_zone", "file", "href")

    def __init__(self, granule: Granule, layer: Band | Layer) -> None:
        """Open a file and read its header.

        Raises:
            MissingFileError: No such file.
            DataError: Not a file of HLS v2.0: broken, another type, scale or number of bands.
            AccessError: A server refuses us.
            TransientError: A server or the way to it is in trouble.
        """
        self.file = granule.file_name(layer)
        self._zone = int(granule.tile[:2])
        self._lock = Lock()
        try:
            self.href = granule.href(layer)
        except DataError as error:
            raise MissingFileError(str(error)) from None
        with configured(self.href):
            try:
                self._dataset = opened(self.href)
            except FAILURES as error:
                raise explained(error, self.href, self.file) from error
        self._check_encoding(layer)

    def close(self) -> None:
        """Let the file go; twice does no harm."""
        self._dataset.close()

    @property
    def which(self) -> str:
        """The file, as messages name it."""
        return told(self.href, self.file)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self._dataset.shape

    @property
    def block(self) -> tuple[int, int]:
        """(rows, cols) of one compressed block."""
        return self._dataset.block_shapes[0]

    def tags(self) -> Mapping[str, str]:
        """The file's tags; what is not text is left out."""
        return self._dataset.tags()

    def geobox(self) -> GeoBox:
        """The file's grid in EPSG:326zz.

        Raises:
            GridError: It is not 30 m, north up, in a UTM zone of WGS 84.
        """
        crs, a = self._dataset.crs, self._dataset.transform
        try:
            zone, south = utm_zone(crs.wkt if crs else "")
        except CRSError:
            raise self._wrong("CRS", crs.to_string()[:80] if crs else "none", "UTM on WGS 84", GridError) from None
        if zone != self._zone:
            raise self._wrong("CRS", f"UTM zone {zone}", f"zone {self._zone} as the tile's name", GridError)
        if (a.a, a.b, a.d, a.e) != (PIXEL_M, 0.0, 0.0, -PIXEL_M):
            raise self._wrong("pixels", f"transform {tuple(a)[:6]}", "30 m, north up", GridError)
        return GeoBox(self.shape, Affine(a.a, 0, a.c, 0, a.e, a.f - SOUTH_M * south), f"EPSG:{32600 + zone}")

    def read(self, out: NDArray[Any], window: Window | None = None) -> None:
        """Read a window (None: the whole grid, decimated to the shape of `out`) into `out`, digital numbers.

        Raises:
            DataError: The file is truncated or damaged.
            AccessError: A server refuses us by now.
            TransientError: The connection broke.
        """
        part = window and RasterWindow(window.col, window.row, window.width, window.height)
        with self._lock, configured(self.href):
            try:
                self._dataset.read(1, window=part, out=out)
            except FAILURES as error:
                raise self._failed_read(error) from error

    def _failed_read(self, error: Exception) -> Exception:
        """Why reading failed: GDAL hides the HTTP status of a failed range request, so knock once more."""
        if "://" in self.href:
            try:
                opened(self.href).close()
            except FAILURES as again:
                return explained(again, self.href, self.file)
        return explained(error, self.href, self.file)

    def _check_encoding(self, layer: Band | Layer) -> None:
        wanted, scale = _encoding(layer)
        if self._dataset.count != 1:
            raise self._wrong("number of bands", self._dataset.count, 1)
        if self._dataset.dtypes[0] != wanted:
            raise self._wrong("data type", self._dataset.dtypes[0], wanted)
        # 1.0 is what a header without scale shows; some granules come so, hence scaling never relies on the header.
        if not any(np.isclose(self._dataset.scales[0], known) for known in (1.0, scale)):
            raise self._wrong("scale factor", self._dataset.scales[0], scale)
        if self._dataset.offsets[0] != 0:
            raise self._wrong("offset", self._dataset.offsets[0], 0)

    def _wrong(self, what: str, found: object, wanted: object, kind: type[DataError] = DataError) -> DataError:
        return kind(f"wrong {what}: {self.which}: found {found}, wanted {wanted}")


def _encoding(layer: Band | Layer) -> tuple[str, float]:
    """Data type and scale factor of a layer."""
    if layer is Layer.FMASK:
        return "uint8", 1.0
    return ("uint16", ANGLE_SCALE) if isinstance(layer, Layer) else ("int16", SCALE)


@lru_cache(maxsize=256)
def utm_zone(wkt: str) -> tuple[int, bool]:
    """UTM zone of a CRS on the WGS 84 ellipsoid, and whether its northings count from 10 000 000 (southern).

    The datum's name is not asked for: files of 2021 say "unknown, based upon the WGS 84 ellipsoid".

    Raises:
        CRSError: Not such a CRS.

    >>> utm_zone("EPSG:32615"), utm_zone("EPSG:32719")
    ((15, False), (19, True))
    """
    crs = CRS.from_user_input(wkt)
    ellipsoid, operation = crs.ellipsoid, crs.coordinate_operation
    if ellipsoid is None or operation is None or operation.method_name != "Transverse Mercator":
        raise CRSError("no transverse Mercator")
    values = {parameter.name: float(parameter.value) for parameter in operation.params}
    on_wgs84 = ellipsoid.semi_major_metre == 6_378_137 and abs(ellipsoid.inverse_flattening - 298.257223563) < 1e-7
    zone, rest = divmod(values["Longitude of natural origin"] + 183, 6)
    is_utm = all(values[name] == wanted for name, wanted in _UTM.items()) and rest == 0 and 1 <= zone <= 60
    if not (on_wgs84 and is_utm and values["False northing"] in {0, SOUTH_M}):
        raise CRSError("no UTM zone on WGS 84")
    return int(zone), values["False northing"] == SOUTH_M
