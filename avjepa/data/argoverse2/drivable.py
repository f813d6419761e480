"""The ground that can be driven on, drawn from a log's vector map."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from avjepa.data.arrays import Array
from avjepa.data.map_mask import MapMask
from avjepa.errors import UserError
from avjepa.files import read_json

_RESOLUTION = 0.2  # m
_MOST_PIXELS = 400_000_000  # 16 square kilometres; a log's map is some hundreds of metres wide
_REMEDY = "restore it, or train no class that is taught from maps"


def read_drivable(folder: Path) -> MapMask:
    """The union of a log's drivable areas, in the city frame.

    Raises:
        UserError: there is no vector map, or it is none.
    """
    files = sorted((folder / "map").glob("log_map_archive_*.json"))
    if not files:
        raise UserError(f"{folder / 'map'}: holds no vector map (log_map_archive_*.json); {_REMEDY}")
    try:
        areas = [_outline(area) for area in read_json(files[0])["drivable_areas"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{files[0]}: is no vector map with drivable areas ({error}); {_REMEDY}") from None
    if not areas:
        raise UserError(f"{files[0]}: has no drivable area; {_REMEDY}")
    corner = np.floor(np.min([area.min(0) for area in areas], axis=0))
    columns, rows = np.ceil((np.max([area.max(0) for area in areas], axis=0) - corner) / _RESOLUTION).astype(int) + 1
    if columns * rows > _MOST_PIXELS:
        raise UserError(f"{files[0]}: its drivable areas lie kilometres apart, as in no map of a log; {_REMEDY}")
    image = Image.new("L", (int(columns), int(rows)))
    draw = ImageDraw.Draw(image)
    for area in areas:
        pixels = (area - corner) / _RESOLUTION
        draw.polygon([(x, rows - y) for x, y in pixels.tolist()], fill=255)
    return replace(MapMask.of_image(image), resolution=_RESOLUTION, corner=(float(corner[0]), float(corner[1])))


def _outline(area: Any) -> Array:
    """The corners of a drivable area, in order (point 2)."""
    points = np.array([(point["x"], point["y"]) for point in area["area_boundary"]], np.float64)
    if len(points) < 3 or not (np.abs(points) < 1e6).all():
        raise ValueError("the boundary of an area is no polygon in metres")
    return points
