"""One picture of a granule: colour, the five masks, clear water, side by side.

Drawn with NumPy and Pillow only: no global state, so any number of threads may draw at once.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from ssc.bands import SIX, Band
from ssc.errors import InputError
from ssc.masks import Mask, Masks
from ssc.report.colours import CLEAR, HIDDEN, MASK_COLOURS, NO_DATA, rgb

Bool2d = NDArray[np.bool_]
Grey = NDArray[np.float32]
Rgb = NDArray[np.float32]
"""(h, w, 3), 0 to 1."""

TITLES: Final = ("Colour (red, green, blue)", "Masks", "Clear water")
GAMMA: Final = 0.6
"""Exponent after the stretch: water is dark, and this page is about water."""
LIFT: Final = 1.15
"""Headroom over the 98th percentile, so that bare soil is not white already."""
VEIL: Final = 0.85
"""Opacity of a mask that fills its pixels."""
MASK_NAMES: Final = {
    Mask.WATER: "water",
    Mask.CLOUD: "cloud",
    Mask.CLOUD_SHADOW: "cloud shadow",
    Mask.SNOW_ICE: "snow or ice",
    Mask.TERRAIN_SHADOW: "terrain shadow",
}
_FONT_SHARE = 1 / 26
"""Height of letters over width of a panel: still legible when a page shows the picture 900 px wide."""


def quicklook(
    reflectance: ArrayLike,
    masks: Masks,
    clear: Bool2d,
    reaches: Iterable[ArrayLike] = (),
    *,
    max_px: int = 900,
    form: str = "JPEG",
) -> bytes:
    """Draw one granule, or one window of it.

    Args:
        reflectance: (6, H, W) in the order of `SIX`, or (3, H, W) as red, green, blue; unitless, NaN where no data.
        masks: Of the same grid.
        clear: (H, W), True = clear water.
        reaches: Centrelines as (n, 2) arrays of (column, row) in pixels; (0, 0) is the upper left corner.
        max_px: Longest side of one of the three panels. Larger scenes are averaged down, smaller ones repeated up.
        form: Pillow's name of the file format: "JPEG", "PNG" or "WEBP".

    Returns:
        The encoded picture.

    Raises:
        InputError: Shapes that do not belong together.
    """
    bands = _red_green_blue(np.asarray(reflectance), clear.shape)
    step, repeat = _zoom(clear.shape, max_px)
    colour = np.stack([_shrink(band, step) for band in bands], axis=-1)
    background = stretch(colour, _share(masks.valid & ~masks.obstructed, step) > 0.5)
    panels = (
        background,
        _mask_panel(background, masks, step),
        _clear_panel(background, _share(clear, step), _share(masks.obstructed & ~clear, step)),
    )
    unseen = (_share(masks.valid, step) < 0.5) | np.isnan(colour).any(axis=-1)
    pictures = [_picture(np.where(unseen[..., None], rgb(NO_DATA), panel), repeat) for panel in panels]
    _draw_reaches(pictures[0], reaches, repeat / step)
    return _encode(_frame(pictures), form)


def stretch(colour: Rgb | NDArray[Any], land: Bool2d) -> Rgb:
    """Reflectance to screen, (H, W, 3) 0 to 1; black where there is no data.

    Each band starts at its own 1st percentile (haze is blue); all end at the brightest band's 98th, so that hues stay
    true. Percentiles are taken over `land` (True = seen, neither cloud nor shadow nor snow), where at least 1 % is.
    """
    used = land if land.mean() > 0.01 else np.isfinite(colour).all(axis=-1)
    picked = colour[used]
    picked = picked[:: max(1, len(picked) // 100_000)]
    picked = picked[np.isfinite(picked).all(axis=1)]
    if len(picked) == 0:
        return np.zeros(colour.shape, dtype=np.float32)
    low, high = np.percentile(picked, (1, 98), axis=0).astype(np.float32)
    span = max(float((high - low).max()) * LIFT, 0.02)
    scaled = np.clip((np.nan_to_num(colour) - low) / np.float32(span), 0, 1)
    return np.asarray(scaled**GAMMA, dtype=np.float32)


def _red_green_blue(reflectance: NDArray[Any], shape: tuple[int, ...]) -> list[NDArray[Any]]:
    """Three (H, W) bands out of six or three."""
    if reflectance.ndim != 3 or reflectance.shape[0] not in {3, len(SIX)} or reflectance.shape[1:] != shape:
        raise InputError(
            f"no quick-look: found reflectance of shape {reflectance.shape} and clear water of shape {shape}, "
            "wanted (6, H, W) or (3, H, W) and (H, W)"
        )
    order = [0, 1, 2] if len(reflectance) == 3 else [SIX.index(band) for band in (Band.RED, Band.GREEN, Band.BLUE)]
    return [reflectance[band] for band in order]


def _zoom(shape: tuple[int, ...], max_px: int) -> tuple[int, int]:
    """(pixels averaged into one, pixels repeated from one): one of them is 1."""
    longest = max(shape)
    return -(-longest // max_px), max(1, max_px // longest)


def _shrink(image: NDArray[Any], step: int) -> NDArray[np.float32]:
    """Mean over step x step blocks, NaN where a block holds one; an incomplete last row or column of blocks is dropped.

    Strips first, then strided columns: six times as fast as one mean over both axes.
    """
    down, across = (min(step, side) for side in image.shape[:2])
    rows, cols = image.shape[0] // down, image.shape[1] // across
    cut = image[: rows * down, : cols * across]
    strips = cut.reshape(rows, down, *cut.shape[1:]).sum(axis=1, dtype=np.float32)
    total = np.zeros((rows, cols, *image.shape[2:]), dtype=np.float32)
    for column in range(across):
        total += strips[:, column::across]
    return np.asarray(total / (down * across), dtype=np.float32)


def _share(mask: Bool2d, step: int) -> Grey:
    """(h, w), share of each block where the mask is True."""
    return _shrink(mask, step)


def _veil(panel: Rgb, share: Grey, colour: str) -> Rgb:
    """Lay a colour over a panel; a river that fills half of a block is shown as if it filled all of it."""
    alpha = np.float32(VEIL) * np.minimum(2 * share, 1)[..., None]
    return np.asarray(panel * (1 - alpha) + rgb(colour) * alpha, dtype=np.float32)


def _grey(panel: Rgb) -> Rgb:
    """A pale grey version, on which also dark colours show."""
    luminance = panel @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return np.asarray(np.repeat(0.6 + 0.36 * luminance[..., None], 3, axis=-1), dtype=np.float32)


def _mask_panel(background: Rgb, masks: Masks, step: int) -> Rgb:
    """Each pixel in the colour of one mask: what hides goes before what is hidden, water comes last."""
    panel = _grey(background)
    free = np.ones(masks.valid.shape, dtype=bool)
    for mask in (Mask.CLOUD, Mask.CLOUD_SHADOW, Mask.SNOW_ICE, Mask.TERRAIN_SHADOW, Mask.WATER):
        panel = _veil(panel, _share(masks[mask] & free, step), MASK_COLOURS[mask])
        free &= ~masks[mask]
    return panel


def _clear_panel(background: Rgb, clear: Grey, hidden: Grey) -> Rgb:
    """Clear water, and where cloud, shadow, snow or ice would hide any."""
    panel = _veil(_grey(background), hidden, HIDDEN)
    return _veil(panel, clear, CLEAR)


def _picture(panel: Rgb, repeat: int) -> Image.Image:
    pixels = (np.clip(panel, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Image.fromarray(pixels.repeat(repeat, axis=0).repeat(repeat, axis=1))


def _draw_reaches(picture: Image.Image, reaches: Iterable[ArrayLike], scale: float) -> None:
    """Thin centrelines, white on a dark edge, so that they show on land, water and cloud."""
    draw = ImageDraw.Draw(picture, "RGBA")
    width = max(1, round(picture.width / 450))
    for line in reaches:
        points = [(float(x), float(y)) for x, y in np.asarray(line, dtype=np.float64) * scale]
        if len(points) > 1:
            draw.line(points, fill=(0, 0, 0, 110), width=width + 2)
            draw.line(points, fill=(255, 255, 255, 200), width=width)


def _frame(panels: list[Image.Image]) -> Image.Image:
    """Panels side by side on white, a title over each, legends below."""
    width, height = panels[0].size
    size = max(11, round(width * _FONT_SHARE))
    font, gap = ImageFont.load_default(size), max(4, size // 2)
    legends = _legends()
    lines = max(len(_wrap(entries, font, width, size)) for entries in legends)
    top, bottom = round(size * 1.9), round(size * 1.6) * lines + gap
    sheet = Image.new("RGB", (3 * width + 2 * gap, top + height + bottom), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (panel, title, entries) in enumerate(zip(panels, TITLES, legends, strict=True)):
        left = number * (width + gap)
        draw.text((left, round(size * 0.35)), title, fill="#1a1a1a", font=font)
        sheet.paste(panel, (left, top))
        for row, line in enumerate(_wrap(entries, font, width, size)):
            _legend_line(draw, line, (left, top + height + gap + round(size * 1.6) * row), font, size)
    return sheet


def _legends() -> list[list[tuple[str, str]]]:
    unseen = ("no data", NO_DATA)
    masks = [(MASK_NAMES[mask], MASK_COLOURS[mask]) for mask in Mask]
    return [
        [("reach", "#ffffff"), unseen],
        [*masks, unseen],
        [("clear water", CLEAR), ("hidden", HIDDEN), unseen],
    ]


Entry = tuple[str, str]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _wrap(entries: list[Entry], font: Font, width: int, size: int) -> list[list[Entry]]:
    """Break a legend into lines that fit a panel."""
    lines: list[list[Entry]] = [[]]
    used = 0.0
    for entry in entries:
        needs = font.getlength(entry[0]) + 2 * size
        if lines[-1] and used + needs > width:
            lines.append([])
            used = 0.0
        lines[-1].append(entry)
        used += needs
    return lines


def _legend_line(
    draw: ImageDraw.ImageDraw, entries: list[Entry], place: tuple[int, int], font: Font, size: int
) -> None:
    x, y = place
    for text, colour in entries:
        box = (x, y + round(size * 0.2), x + round(size * 0.9), y + round(size * 1.1))
        draw.rectangle(box, fill=colour, outline="#555555")
        draw.text((x + round(size * 1.15), y), text, fill="#1a1a1a", font=font)
        x += round(font.getlength(text) + 2 * size)


def _encode(picture: Image.Image, form: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format=form, quality=82)
    return stream.getvalue()
