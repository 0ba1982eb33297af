"""Tags of HLS v2.0 files, as real ones have them, and one more that says what these are."""

from __future__ import annotations

from datetime import datetime, timedelta

from ssc.bands import Band, Layer, Product
from ssc.simulate.grid import epsg
from ssc.simulate.scene import Scene

SIMULATED = "yes: river-ssc simulator, not an observation"
"""Value of the SIMULATED tag in every file."""

LONG_NAMES = {
    Band.COASTAL: "Coastal_Aerosol",
    Band.BLUE: "Blue",
    Band.GREEN: "Green",
    Band.RED: "Red",
    Band.RED_EDGE1: "Red_Edge1",
    Band.RED_EDGE2: "Red_Edge2",
    Band.RED_EDGE3: "Red_Edge3",
    Band.NIR_BROAD: "NIR_Broad",
    Band.NIR: "NIR_Narrow",
    Band.WATER_VAPOUR: "Water_Vapor",
    Band.CIRRUS: "Cirrus",
    Band.SWIR1: "SWIR1",
    Band.SWIR2: "SWIR2",
}
_FMASK_BITS = (
    "Bits are listed from the MSB (bit 7) to the LSB (bit 0): \n7-6    aerosol:\n       00 - climatology\n"
    "       01 - low\n       10 - average\n       11 - high\n5      water\n4      snow/ice\n3      cloud shadow\n"
    "2      adjacent to cloud\n1      cloud\n0      cirrus cloud\n"
)
_BANDPASS = {  # of MSI to OLI, as in the tags of real S30 granules of Sentinel-2B
    "01": "0.995900, -0.000200",
    "02": "0.977800, -0.004000",
    "03": "1.007500, -0.000800",
    "04": "0.976100, 0.001000",
    "11": "1.000000, -0.000300",
    "12": "0.986700, 0.000400",
    "8a": "0.996600, 0.000000",
}


def common(scene: Scene, *, sun_zenith: float, sun_azimuth: float, clouds: int, coverage: int) -> dict[str, str]:
    """Tags of every file of a granule; angles are means over the valid pixels, cover in percent."""
    affine, shape = scene.landscape.geobox.affine, scene.landscape.shape
    product = scene.passing.product
    tags = {
        "ACCODE": "LaSRC" if product is Product.S30 else "Lasrc",
        "arop_ave_xshift(meters)": "0",
        "arop_ave_yshift(meters)": "0",
        "arop_ncp": "0",
        "arop_rmse(meters)": "0",
        "arop_s2_refimg": "NONE",
        "cloud_coverage": str(clouds),
        "HLS_PROCESSING_TIME": _utc(scene.passing.sensed + timedelta(days=2)),
        "MEAN_SUN_AZIMUTH_ANGLE": f"{sun_azimuth:.12f}",
        "MEAN_SUN_ZENITH_ANGLE": f"{sun_zenith:.12f}",
        "MEAN_VIEW_AZIMUTH_ANGLE": f"{scene.passing.view_azimuth:.12f}",
        "MEAN_VIEW_ZENITH_ANGLE": f"{scene.passing.view_zenith:.12f}",
        "NBAR_SOLAR_ZENITH": f"{sun_zenith:.12f}",
        "NCOLS": str(shape[1]),
        "NROWS": str(shape[0]),
        "OVR_RESAMPLING_ALG": "NEAREST",
        "SIMULATED": SIMULATED,
        "spatial_coverage": str(coverage),
        "SPATIAL_RESOLUTION": "30",
        "ULX": f"{affine.c:.0f}",
        "ULY": f"{affine.f:.0f}",
    }
    return tags | (_landsat(scene) if product is Product.L30 else _sentinel(scene))


def of_layer(layer: Band | Layer | str, product: Product) -> dict[str, str]:
    """Tags of one layer: a band, a layer, or the code of a thermal band."""
    if layer is Layer.FMASK:
        name = "Fmask bit description" if product is Product.L30 else "Fmask description"
        return {name: _FMASK_BITS, "_FillValue": "255"}
    if isinstance(layer, Layer):
        return {"_FillValue": "40000", "add_offset": "0.0", "scale_factor": "0.01"}
    scale = "0.0001" if isinstance(layer, Band) else "0.01"
    return {"_FillValue": "-9999", "add_offset": "0.0", "scale_factor": scale, "long_name": description(layer)}


def description(layer: Band | Layer | str) -> str:
    """Band description of a file; empty for layers that are not reflectance or temperature."""
    if isinstance(layer, Layer):
        return ""
    return LONG_NAMES[layer] if isinstance(layer, Band) else f"Thermal_Infrared_{layer}"


def _landsat(scene: Scene) -> dict[str, str]:
    passing = scene.passing
    number = passing.platform[1]
    day, row = f"{passing.sensed:%Y%m%d}", "036028"
    made = f"{passing.sensed + timedelta(days=10):%Y%m%d}"
    zone = epsg(scene.landscape.geobox) % 100
    return {
        "HORIZONTAL_CS_NAME": f"UTM, WGS84, UTM ZONE {zone}",
        "L1_PROCESSING_TIME": _utc(passing.sensed + timedelta(days=1)),
        "LANDSAT_PRODUCT_ID": f"LC0{number}_L1TP_{row}_{day}_{made}_02_T1",
        "LANDSAT_SCENE_ID": f"LC{number}{row}{passing.sensed:%Y%j}LGN00",
        "PROCESSING_LEVEL": "L1TP",
        "SENSING_TIME": f"{passing.sensed:%Y-%m-%dT%H:%M:%S.%f}0Z",
        "SENSOR": "OLI_TIRS",
        "SENTINEL2_TILEID": scene.landscape.tile,
        "TIRS_SSM_MODEL": "FINAL",
        "TIRS_SSM_POSITION_STATUS": "ESTIMATED",
        "USGS_SOFTWARE": "LPGS_16.4.0",
    }


def _sentinel(scene: Scene) -> dict[str, str]:
    passing, tile = scene.passing, scene.landscape.tile
    letter = passing.platform[-1]
    start, made = f"{passing.granule.acquired:%Y%m%dT%H%M%S}", f"{passing.sensed + timedelta(hours=3):%Y%m%dT%H%M%S}"
    code = epsg(scene.landscape.geobox)
    return {
        "DATASTRIP_ID": f"S2{letter}_OPER_MSI_L1C_DS_2BPS_{made}_S{passing.sensed:%Y%m%dT%H%M%S}_N05.10",
        "HORIZONTAL_CS_CODE": f"EPSG:{code}",
        "HORIZONTAL_CS_NAME": f"WGS84 / UTM zone {code % 100}N",
        "L1C_IMAGE_QUALITY": "NONE",
        "L1_PROCESSING_TIME": f"{passing.sensed + timedelta(hours=4):%Y-%m-%dT%H:%M:%S.%f}Z",
        **{f"MSI band {number} bandpass adjustment slope and offset": line for number, line in _BANDPASS.items()},
        "PROCESSING_BASELINE": "05.10",
        "PRODUCT_URI": f"S2{letter}_MSIL1C_{start}_N0510_R098_T{tile}_{made}.SAFE",
        "SENSING_TIME": f"{passing.sensed:%Y-%m-%dT%H:%M:%S.%f}Z",
        "SPACECRAFT_NAME": f"Sentinel-2{letter}",
        "TILE_ID": f"S2{letter}_OPER_MSI_L1C_TL_2BPS_{made}_A037447_T{tile}_N05.10",
    }


def _utc(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
