"""Thread-safe loading of NumPy arrays from `.npy` and `.npz` files."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

_READING = threading.Lock()
"""NumPy parses a file's header with `ast.literal_eval`, and CPython 3.11 may raise SystemError ("AST constructor
recursion depth mismatch") when two threads do so at once, such as two requests opening a new snapshot."""


def load_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """Load the array of an `.npy` file, or map it read-only with `mapped`; always a plain ndarray.

    Indexing a `memmap` costs a microsecond more than a plain array over the same pages. Raises OSError, ValueError or
    EOFError for a missing or invalid file.
    """
    with _READING:
        return np.asarray(np.load(path, mmap_mode="r" if mapped else None))


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Load all arrays of an `.npz` file by name; raises OSError or ValueError for a missing or invalid file."""
    try:
        # opened here: NumPy does not close a file that is no archive
        with _READING, path.open("rb") as file, np.load(file) as held:
            return {name: held[name] for name in held.files}
    except (BadZipFile, TypeError, EOFError, NotImplementedError) as error:  # truncated, or a single array
        raise ValueError(f"{path.name} is no archive of arrays") from error
