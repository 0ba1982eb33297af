"""When and how a satellite passes: product, platform, times, directions of sun and view."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from ssc.bands import Product
from ssc.granules import Granule
from ssc.legacy.sun import grid_azimuth, sun_position
from ssc.simulate.grid import epsg
from ssc.simulate.noise import Field, enlarge
from ssc.simulate.seeds import stream

SOLAR_TIME = {Product.L30: 10.42, Product.S30: 10.75}
"""Mean local solar time, hours, at middle northern latitudes (equator crossings 10:11 and 10:30, descending)."""
ANGLE_STEP = 60
"""Angles are computed on every 60th pixel and interpolated, as the providers do on coarser grids still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overpass:
    """One satellite over one tile."""

    granule: Granule
    """Its name; for S30 the time is the datatake start, minutes before the tile is seen."""
    platform: str
    """"L8", "L9", "S2A" or "S2B"."""
    sensed: datetime
    """When the tile is seen, aware UTC."""
    view_zenith: float
    """At the centre of the tile, degrees."""
    view_azimuth: float
    """Direction of the sensor as seen from the ground, degrees clockwise from true north."""

    @property
    def product(self) -> Product:
        """L30 or S30."""
        return self.granule.product


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Angles:
    """Directions over a tile, degrees; azimuths clockwise from true north."""

    sun_zenith: Field
    """(H, W)."""
    sun_azimuth: Field
    view_zenith: Field
    view_azimuth: Field


@dataclass(frozen=True, slots=True, kw_only=True)
class Sun:
    """Where the sun stands over the centre of a tile, degrees."""

    zenith: float
    azimuth: float
    """Clockwise from true north."""
    grid_azimuth: float
    """Clockwise from grid north."""


def overpass(tile: str, geobox: GeoBox, day: date, platform: str, seed: int) -> Overpass:
    """The pass of a platform on a day; time of day, view and orbit differ a little from pass to pass."""
    product = Product.L30 if platform.startswith("L") else Product.S30
    rng = stream(seed, "overpass", day.isoformat(), platform)
    lon, _ = _lonlat(geobox)
    hours = SOLAR_TIME[product] + rng.uniform(-0.1, 0.1) - lon / 15
    sensed = datetime.combine(day, time(), UTC) + timedelta(seconds=round(hours * 3600, 3))
    lead = timedelta(minutes=float(rng.uniform(8, 17))) if product is Product.S30 else timedelta()
    widest = 7.0 if product is Product.L30 else 10.0
    return Overpass(
        granule=Granule(product=product, tile=tile, acquired=(sensed - lead).replace(microsecond=0)),
        platform=platform,
        sensed=sensed,
        view_zenith=float(rng.uniform(1.5, widest)),
        view_azimuth=float(rng.choice([101.0, 283.0]) + rng.uniform(-3, 3)),
    )


def sun_over(geobox: GeoBox, sensed: datetime) -> Sun:
    """The sun over the centre of a grid in a UTM zone."""
    lon, lat = _lonlat(geobox)
    zenith, azimuth = sun_position(sensed, lat, lon)
    zone = epsg(geobox) % 100
    return Sun(zenith=zenith, azimuth=azimuth, grid_azimuth=grid_azimuth(azimuth, lat, lon, 6.0 * zone - 183))


def angles(passing: Overpass, geobox: GeoBox) -> Angles:
    """Directions pixel by pixel: sun from the position of the ground, view tilting across the swath."""
    rows, cols = (-(-n // ANGLE_STEP) for n in geobox.shape)
    x, y = np.meshgrid((np.arange(cols) + 0.5) * ANGLE_STEP, (np.arange(rows) + 0.5) * ANGLE_STEP)
    east, north = geobox.affine @ (x, y)
    lon, lat = Transformer.from_crs(epsg(geobox), 4326, always_xy=True).transform(east, north)
    sun = np.array(
        [sun_position(passing.sensed, float(la), float(lo)) for la, lo in zip(lat.ravel(), lon.ravel(), strict=True)]
    )
    # 15 degrees of view across 185 or 290 km: about 0.08 a kilometre for Landsat, 0.07 for Sentinel-2.
    away = np.sin(np.radians(passing.view_azimuth)) * (x - geobox.shape[1] / 2) * 0.03
    tilt = np.abs(passing.view_zenith - 0.075 * away)
    flat = np.full_like(x, passing.view_azimuth)
    shape = (geobox.shape[0], geobox.shape[1])
    fields = (sun[:, 0].reshape(x.shape), sun[:, 1].reshape(x.shape), tilt, flat)
    zenith, azimuth, view, toward = (enlarge(field.astype(np.float32), ANGLE_STEP, shape) for field in fields)
    return Angles(sun_zenith=zenith, sun_azimuth=azimuth, view_zenith=view, view_azimuth=toward)


def _lonlat(geobox: GeoBox) -> tuple[float, float]:
    """Longitude and latitude of the centre of a grid."""
    east, north = geobox.affine @ (geobox.shape[1] / 2, geobox.shape[0] / 2)
    lon, lat = Transformer.from_crs(epsg(geobox), 4326, always_xy=True).transform(east, north)
    return float(lon), float(lat)
