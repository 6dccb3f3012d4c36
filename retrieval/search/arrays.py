"""Thread-safe loading of NumPy arrays from `.npy` and `.npz` files, and their streaming to disk."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

LOCAL_HEADER, LOCAL_NAME_LENGTH = 30, 26  # bytes of a file's header in a ZIP archive, and where its lengths begin
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


def map_array(path: Path, name: str) -> NDArray[Any]:
    """Map one array of an `.npz` file read-only, which `np.savez` stores as it is; raises as `load_arrays` does.

    The checksum in the archive is not compared: snapshots have their own. The numbers of such an array need not lie at
    multiples of their size, so that passes over blocks of it that are copied first are faster than over the whole.
    """
    try:
        with _READING, path.open("rb") as file, ZipFile(file) as archive:
            entry = archive.getinfo(f"{name}.npy")
            if entry.compress_type != ZIP_STORED:
                raise ValueError(f"{path.name} is compressed")
            with archive.open(entry) as member:
                version = np.lib.format.read_magic(member)
                reader = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                shape, fortran, kind = reader(member)
                header = member.tell()
            file.seek(entry.header_offset + LOCAL_NAME_LENGTH)
            lengths = np.frombuffer(file.read(4), dtype="<u2")
            first = entry.header_offset + LOCAL_HEADER + int(lengths.sum()) + header
        if kind.hasobject or first + kind.itemsize * int(np.prod(shape)) > path.stat().st_size:
            raise ValueError(f"{path.name} is cut short, or holds objects")
        if not np.prod(shape):
            return np.empty(shape, kind)
        mapped: NDArray[Any] = np.memmap(path, kind, "r", offset=first, shape=shape, order="F" if fortran else "C")
        return np.asarray(mapped)
    except (BadZipFile, TypeError, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path.name} is no archive of arrays") from error


def write_rows(path: Path, blocks: Iterable[NDArray[Any]], shape: tuple[int, ...], kind: Any) -> None:
    """Write blocks of rows to an `.npy` file, as `np.save` would write the whole.

    The file is not mapped: dirty pages would count as memory of the process.
    """
    form = np.lib.format.header_data_from_array_1_0(np.empty((0, *shape[1:]), dtype=kind))
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {**form, "shape": shape})
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=kind).data)
