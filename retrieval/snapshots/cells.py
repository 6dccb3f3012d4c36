"""H3 cells, in which records are counted: a place is known to the width of a cell, never better.

The only home of the package h3; without it, place is not taken into account, and asking for it says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import PlaceUnavailable

RESOLUTION = 4  # an edge of about 23 km, the resolution of iNaturalist's ranges
RINGS = 3  # the cell itself and two rings around it


def h3_library() -> Any:
    """The package; raises PlaceUnavailable, which names it, where it is missing."""
    try:
        import h3
    except ImportError as error:
        raise PlaceUnavailable("places cannot be used here: install the package h3 (pip install 'h3~=4.5')") from error
    return h3


def cell_of(latitude: float, longitude: float) -> int:
    """The cell that holds a place, as a number; raises PlaceUnavailable for what is no place on Earth."""
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise PlaceUnavailable(
            "check the location: latitude must be between -90 and 90, longitude between -180 and 180, "
            f"not {latitude}, {longitude}"
        )
    h3 = h3_library()
    return int(h3.str_to_int(h3.latlng_to_cell(latitude, longitude, RESOLUTION)))


def cells_around(latitude: float, longitude: float) -> list[list[int]]:
    """The cell of a place, then the rings around it, each from the lowest number."""
    return rings_around(cell_of(latitude, longitude))


def rings_around(cell: int) -> list[list[int]]:
    """A cell, then the rings around it, each from the lowest number."""
    h3 = h3_library()
    centre = h3.int_to_str(cell)
    return [sorted(int(h3.str_to_int(cell)) for cell in h3.grid_ring(centre, ring)) for ring in range(RINGS)]


def find_southern(cells: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether each cell's centre lies south of the equator, (cells,).

    What is no cell (0 where a place is not known) is where most of the others are; in the north where none is known,
    or the package is missing.
    """
    different, inverse = np.unique(np.asarray(cells, dtype=np.uint64), return_inverse=True)
    found = np.zeros(len(different), dtype=np.int8)  # -1 south, 1 north, 0 not known
    try:
        h3 = h3_library()
    except PlaceUnavailable:
        return np.zeros(len(cells), dtype=np.bool_)
    for place, cell in enumerate(different.tolist()):
        name = h3.int_to_str(cell)
        if h3.is_valid_cell(name):
            found[place] = 1 if h3.cell_to_latlng(name)[0] >= 0 else -1
    each = found[inverse.reshape(-1)]
    return np.asarray((each < 0) | ((each == 0) & (int(each.sum(dtype=np.int64)) < 0)))


def describe_cell(cell: int) -> tuple[str, float, float]:
    """A cell as maps name it, with latitude and longitude of its centre in degrees."""
    h3 = h3_library()
    name = h3.int_to_str(cell)
    latitude, longitude = h3.cell_to_latlng(name)
    return name, float(latitude), float(longitude)


def cell_outline(cell: int) -> list[tuple[float, float]]:
    """The corners of a cell, (latitude, longitude) each."""
    h3 = h3_library()
    corners = h3.cell_to_boundary(h3.int_to_str(cell))
    return [(round(latitude, 4), round(longitude, 4)) for latitude, longitude in corners]
