"""Reads arrays from `.npy` files, from any thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

_READING = threading.Lock()
"""NumPy reads a file's header with `ast.literal_eval`, and CPython 3.11 may raise SystemError ("AST constructor
recursion depth mismatch") when two threads do that at once, as two requests do that meet a new snapshot."""


def load_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """The array of a file, read or `mapped` into memory read-only, as a plain array.

    A `memmap` costs a microsecond at every touch; the plain array over the same pages does not. Raises OSError,
    ValueError or EOFError for what is no such file.
    """
    with _READING:
        return np.asarray(np.load(path, mmap_mode="r" if mapped else None))


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an `.npz` file by name; raises as `load_array` does."""
    try:
        # opened here: NumPy leaves a file open that turns out to be no archive
        with _READING, path.open("rb") as file, np.load(file) as held:
            return {name: held[name] for name in held.files}
    except (BadZipFile, TypeError, EOFError, NotImplementedError) as error:  # cut short; a single array, without names
        raise ValueError(f"{path.name} is no archive of arrays") from error
