"""Reads the weights of a `.pth` file that PyTorch wrote before version 1.6, without PyTorch and without running code.

Such a file is four pickles (a magic number, a version, facts of the machine, the tensors by name), a fifth with the
keys of the storages in order, and then each storage: its number of elements and its raw bytes. A pickle is a program,
so it is read in two steps: every opcode is compared with those that a table of tensors needs, before any is executed;
then an unpickler that knows four names builds the table. What asks for more is refused.
"""

from __future__ import annotations

import io
import mmap
import pickle
import pickletools
import struct
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import ModelError

MAGIC: Final = 0x1950A86A20F9469CFC6C
PROTOCOL: Final = 1001
MOST_PICKLED: Final = 1 << 20  # bytes of all pickles together; those of a network of 500 tensors have 70,000
MOST_MEMOS: Final = 1 << 17
MOST_DIMENSIONS: Final = 8
NEEDED: Final = (
    "PROTO STOP MARK GLOBAL REDUCE BUILD BINPERSID BINPUT LONG_BINPUT BINGET LONG_BINGET NONE NEWTRUE NEWFALSE BININT "
    "BININT1 BININT2 LONG1 BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT "
    "SETITEM SETITEMS"
)
OPCODES: Final = frozenset(NEEDED.split())
STORAGES: Final = {"FloatStorage": "<f4", "LongStorage": "<i8"}
BROKEN: Final = (
    pickle.UnpicklingError,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
)
"""What reading raises on bytes that are no such file."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A block of numbers in the file, named by the pickle."""

    key: str
    kind: str  # NumPy's name of the number type
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A strided view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


class TensorUnpickler(pickle.Unpickler):
    """An unpickler for tables of tensors: it resolves four names, none of which runs code of the file."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return make_tensor
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Storage:
        tag, kind, key, _, count, view = pid
        if tag != "storage" or kind not in STORAGES.values() or view is not None:
            raise pickle.UnpicklingError("it names a storage of another kind")
        return Storage(checked_text(key), kind, checked_number(count))


def make_tensor(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> Tensor:
    """Describe a tensor; raises ValueError where it reaches beyond its storage."""
    if not isinstance(storage, Storage) or len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS:
        raise ValueError("a tensor is described wrongly")
    shape, strides = (tuple(checked_number(number) for number in row) for row in (shape, strides))
    last = checked_number(offset) + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    if prod(shape) < 1 or prod(shape) > storage.count or last >= storage.count:
        raise ValueError("a tensor reaches beyond its storage")
    return Tensor(storage, offset, shape, strides)


def checked_number(value: object) -> int:
    """The value, if it is a whole number that is not negative."""
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no number of elements")
    return value


def checked_text(value: object) -> str:
    """The value, if it is text."""
    if type(value) is not str:
        raise ValueError(f"{value!r} is no name")
    return value


def read_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the tensors of floating-point numbers by their names; whole numbers, which only count batches, are left out.

    Raises ModelError for a file that is truncated, damaged, of another format, or whose pickle asks for anything but
    tensors; nothing of it is executed.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return parse(data)
    except BROKEN as error:
        raise ModelError(
            f"{path.name} is damaged, or is no table of weights ({str(error).rstrip('.')}): install its package anew"
        ) from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def parse(data: mmap.mmap) -> dict[str, NDArray[np.float32]]:
    """Read all parts of the file; the arrays are copies."""
    stream = io.BytesIO(data[:MOST_PICKLED])
    magic, protocol, machine, tensors, keys = (read_pickle(stream) for _ in range(5))
    if magic != MAGIC or protocol != PROTOCOL or machine.get("little_endian") is not True:
        raise ValueError("it is of another format")
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} is no tensor")
        found[checked_text(name)] = tensor
    blocks = read_storages(data, stream.tell(), [checked_text(key) for key in keys], found)
    return {name: view(tensor, blocks) for name, tensor in found.items() if tensor.storage.kind == "<f4"}


def read_pickle(stream: io.BytesIO) -> Any:
    """Read one pickle; raises an error of BROKEN before anything is executed if it has an opcode that is not needed."""
    start = stream.tell()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of texts with odd escapes, in instructions that are refused
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name not in OPCODES:
                raise pickle.UnpicklingError(f"it has the instruction {opcode.name}")
            if opcode.name == "LONG_BINPUT" and (argument or 0) > MOST_MEMOS:
                raise pickle.UnpicklingError("it remembers too much")
    end = stream.tell()
    stream.seek(start)
    return TensorUnpickler(io.BytesIO(stream.read(end - start))).load()


def read_storages(
    data: mmap.mmap, place: int, keys: list[str], tensors: Mapping[str, Tensor]
) -> dict[str, NDArray[Any]]:
    """Read the storages, which follow each other in the order of `keys`; the file must end with the last one."""
    wanted = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if any(wanted[tensor.storage.key] != tensor.storage for tensor in tensors.values()):
        raise ValueError("a storage is described in two ways")
    if len(set(keys)) != len(keys) or set(keys) != set(wanted):
        raise ValueError("the storages are not those of the tensors")
    blocks: dict[str, NDArray[Any]] = {}
    for key in keys:
        kind, count = np.dtype(wanted[key].kind), wanted[key].count
        (held,) = struct.unpack_from("<q", data, place)
        if held != count or place + 8 + count * kind.itemsize > len(data):
            raise ValueError("it ends too early" if held == count else "a storage has another length")
        blocks[key] = np.frombuffer(data[place + 8 : place + 8 + count * kind.itemsize], kind)
        place += 8 + count * kind.itemsize
    if place != len(data):
        raise ValueError("it goes on after its end")
    return blocks


def view(tensor: Tensor, blocks: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Return a tensor as a contiguous array; `make_tensor` has checked that it lies within its storage."""
    block = blocks[tensor.storage.key][tensor.offset :]
    strides = tuple(step * block.itemsize for step in tensor.strides)
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(block, tensor.shape, strides, writeable=False))
