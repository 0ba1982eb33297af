"""One overpass: the landscape under a sun, a sky and a river stage, and what a sensor makes of it, band by band."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssc.bands import Band, Product
from ssc.legacy.terrain import cast_shadow
from ssc.simulate import clouds, light, optics, sediment, spectra, surface
from ssc.simulate.air import CLEAN, Air
from ssc.simulate.calendar import wave
from ssc.simulate.landscape import MARGIN_PX, Landscape
from ssc.simulate.noise import Field, fractal
from ssc.simulate.overpass import Overpass, Sun, sun_over
from ssc.simulate.seeds import stream
from ssc.simulate.terrain import PIXEL_M
from ssc.simulate.weather import Weather

NOISE = {Product.L30: 0.0008, Product.S30: 0.0011}
"""Standard deviation of the sensor's noise at 30 m, reflectance (OLI about 1/300 of a dark scene; MSI averaged)."""
BANDPASS = {Band.BLUE: 1.008, Band.GREEN: 0.994, Band.RED: 1.006, Band.NIR: 0.997, Band.SWIR1: 1.003, Band.SWIR2: 0.992}
"""What the band-pass adjustment leaves between S30 and L30."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """Everything true of one overpass, before a sensor looks."""

    landscape: Landscape
    passing: Overpass
    weather: Weather
    sun: Sun
    load: sediment.Load
    ground: surface.Ground
    sky: clouds.Sky
    direct: Field
    """(H, W) direct sunlight over that on flat open ground: slope, terrain shadow and cloud shadow together."""
    terrain_shadow: NDArray[np.bool_]
    haze: Field
    """(H, W) residual aerosol, 0 none ... about 1."""
    season: float
    """How green plants are and how warm it is, 0 midwinter ... 1 midsummer."""
    air: Air = CLEAN
    """Colours of shadows and cloud tops."""

    def stream(self, *names: object) -> np.random.Generator:
        """Random numbers of this overpass."""
        return stream(self.landscape.seed, self.passing.granule.name, *names)


def observe(landscape: Landscape, passing: Overpass, weather: Weather) -> Scene:
    """Set the scene for one overpass."""
    day = passing.sensed.date()
    seed, shape = landscape.seed, landscape.shape
    rng = stream(seed, passing.granule.name, "sky")
    sun = sun_over(landscape.geobox, passing.sensed)
    sky = clouds.form(weather.layers, shape, zenith=sun.zenith, azimuth=sun.grid_azimuth, rng=rng)
    load = sediment.load(landscape.rivers.reaches, day, seed, southern=landscape.southern)
    cast = cast_shadow(landscape.dem_m, PIXEL_M, sun.zenith, sun.grid_azimuth)
    slope = light.sun_on_slopes(landscape.tile_dem(border=1), sun.zenith, sun.grid_azimuth)
    shadow = cast[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX] | (slope <= 0)
    smoke = fractal(shape, rng, exponent=3.6, longest_px=2000, step=8)
    return Scene(
        landscape=landscape,
        passing=passing,
        weather=weather,
        sun=sun,
        load=load,
        ground=surface.settle(landscape, load, weather, day.isoformat()),
        sky=sky,
        direct=np.where(shadow, 0, slope * sky.beam).astype(np.float32),
        terrain_shadow=shadow,
        haze=np.clip(weather.haze * (1 + 0.35 * smoke), 0, None).astype(np.float32),
        season=0.5 - 0.5 * wave(day, 20, southern=landscape.southern),
    )


def render(scene: Scene, band: Band) -> Field:
    """(H, W) surface reflectance of a band as the product would hold it, float32, NaN outside the swath."""
    if band is Band.CIRRUS:
        return _finish(scene, band, 0.0008 + 0.11 * scene.sky.ice_opacity + 0.004 * scene.sky.water_opacity)
    seen = _clouded(scene, band, _lit(scene, band, bare(scene, band)))
    if band is Band.WATER_VAPOUR:  # top of atmosphere: vapour lets a third of the ground's light through
        seen *= 0.3 + 0.2 * scene.sky.water_opacity + 0.5 * scene.sky.ice_opacity
    return _finish(scene, band, light.blur(_hazy(scene, band, seen), band))


def bare(scene: Scene, band: Band) -> Field:
    """(H, W) reflectance of the surface itself, evenly lit, without any atmosphere."""
    land, ground = scene.landscape.land, scene.ground
    dry, green = spectra.table(band, green=False), spectra.table(band, green=True)
    surface_ = dry[land.cover]
    surface_ += (green - dry)[land.cover] * (land.vigour * np.float32(scene.season))
    surface_ *= land.bright
    surface_ += ground.snow * (np.float32(spectra.spectrum("snow", band)) - surface_)
    wet = surface_.ravel()[ground.pixel] * (1 - ground.water - ground.ice)
    wet += ground.water * optics.reflectance(band, ground.mineral, ground.organic)
    # River ice carries blown snow: half and half.
    wet += ground.ice * np.float32(0.5 * spectra.spectrum("ice", band) + 0.5 * spectra.spectrum("snow", band))
    surface_.ravel()[ground.pixel] = wet
    return surface_


def swath(scene: Scene, band: Band | None = None) -> NDArray[np.bool_]:
    """(H, W), True where the sensor looked; bands end a pixel or two apart, None is what all bands have."""
    rows, cols = scene.landscape.shape
    if scene.weather.covered >= 1:
        return np.ones((rows, cols), dtype=bool)
    shift = -2 if band is None else list(Band).index(band) % 3
    south = np.arange(rows)[:, None] - rows / 2
    edge = scene.weather.covered * cols + shift - 0.21 * south  # orbits lean 12 degrees
    return np.asarray(np.arange(cols)[None, :] < edge)


def _lit(scene: Scene, band: Band, surface_: Field) -> Field:
    """Sky light and direct light on the surface, and the sun's image in water."""
    sky = np.float32(light.sky_share(band, scene.sun.zenith))
    shade = 1 - scene.sky.beam
    diffuse = sky + shade * np.float32(scene.air.grey_light - (1 - scene.air.blue_sky) * sky)
    surface_ *= diffuse + (1 - sky) * scene.direct
    surface_ -= shade * np.float32(scene.air.lost_in_shadow(band))
    relative = scene.sun.azimuth - scene.passing.view_azimuth
    image = light.glint(scene.sun.zenith, scene.passing.view_zenith, relative, scene.weather.wind_m_s)
    pixel = scene.ground.pixel
    surface_.ravel()[pixel] += image * scene.ground.water * scene.direct.ravel()[pixel]
    return surface_


def _clouded(scene: Scene, band: Band, surface_: Field) -> Field:
    for name, opacity in (("water_cloud", scene.sky.water_opacity), ("ice_cloud", scene.sky.ice_opacity)):
        top = np.float32(scene.air.cloud_top(name, band)) * (0.75 + 0.4 * opacity)  # thicker is brighter
        surface_ += opacity * (top - np.float32(scene.air.lost_in_cloud(band)) - surface_)
    return surface_


def _hazy(scene: Scene, band: Band, seen: Field) -> Field:
    """Aerosol left in: brightens dark ground, more so at short wavelengths, dims bright ground a little."""
    shape = 0.02 * (optics.WAVELENGTH_UM[band] / 0.55) ** -1.6
    return seen + scene.haze * np.float32(shape) * (1 - 2.5 * seen)


def _finish(scene: Scene, band: Band, seen: Field) -> Field:
    """Sensor gain and noise, the scene's own calibration and correction error, the edge of the swath."""
    product, rng = scene.passing.product, scene.stream("sensor", band)
    offset = 0.004 * light.adjacency_share(band) / light.adjacency_share(Band.BLUE) * rng.standard_normal()
    gain = BANDPASS.get(band, 1.0) if product is Product.S30 else 1.0
    noise = rng.standard_normal(seen.shape, dtype=np.float32)
    noise *= NOISE[product] * np.sqrt(0.5 + 5 * np.clip(seen, 0, 1))
    out = seen * np.float32(gain) + np.float32(offset) + noise
    out[~swath(scene, band)] = np.nan
    return np.asarray(out, dtype=np.float32)
