"""Weights of an EfficientNet-Lite in the format of PyTorch before 1.6, written by the tests: random, and small."""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MACHINE = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


class Named:
    """Stands for a global that the pickle names, without there being such a module."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Call:
    """A call of a global, as the pickle writes it."""

    def __init__(self, function: Named, *given: Any) -> None:
        self.function, self.given = function, given


class Stored:
    """A storage, written as a persistent id."""

    def __init__(self, kind: str, key: str, count: int) -> None:
        self.pid = ("storage", Named("torch", kind), key, "cpu", count, None)


class Writer:
    """Writes the few pickle instructions of such a file by hand: PyTorch is not needed."""

    def __init__(self) -> None:
        self.parts = [b"\x80\x02"]

    def write(self, value: Any) -> None:
        """Append the instructions that make a value."""
        if isinstance(value, Named):
            self.parts.append(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Stored):
            self.write(value.pid)
            self.parts.append(b"Q")
        elif isinstance(value, Call):
            self.write(value.function)
            self.write(value.given)
            self.parts.append(b"R")
        elif isinstance(value, tuple):
            self.parts.append(b"(")
            for part in value:
                self.write(part)
            self.parts.append(b"t")
        elif isinstance(value, OrderedDict):
            self.write(Call(Named("collections", "OrderedDict")))
            for key, part in value.items():
                self.write(key)
                self.write(part)
                self.parts.append(b"s")
        elif isinstance(value, str):
            self.parts.append(b"X" + struct.pack("<I", len(value.encode())) + value.encode())
        elif value is None or isinstance(value, bool):
            self.parts.append({None: b"N", True: b"\x88", False: b"\x89"}[value])
        else:
            self.parts.append(b"\x8a" + struct.pack("<B", 8) + struct.pack("<q", value))

    def done(self) -> bytes:
        """The pickle."""
        return b"".join([*self.parts, b"."])


def pickle_value(value: Any) -> bytes:
    """The pickle of one value."""
    writer = Writer()
    writer.write(value)
    return writer.done()


def tensor(kind: str, key: str, shape: Sequence[int], *, count: int | None = None, offset: int = 0) -> Call:
    """A contiguous tensor over a storage of its own."""
    strides = [int(np.prod(shape[place + 1 :])) for place in range(len(shape))]
    stored = Stored(kind, key, int(np.prod(shape)) if count is None else count)
    hooks = Call(Named("collections", "OrderedDict"))
    return Call(Named("torch._utils", "_rebuild_tensor_v2"), stored, offset, tuple(shape), tuple(strides), False, hooks)


def write_pth(path: Path, arrays: Mapping[str, NDArray[Any]], table: Any = None, magic: int = MAGIC) -> Path:
    """Write arrays as such a file; `table` takes the place of the pickle that describes them."""
    kinds = {"f": ("FloatStorage", "<f4"), "i": ("LongStorage", "<i8")}
    made = OrderedDict(
        (name, tensor(kinds[array.dtype.kind][0], str(place), array.shape))
        for place, (name, array) in enumerate(arrays.items())
    )
    parts = [pickle.dumps(magic, 2), pickle.dumps(PROTOCOL, 2), pickle.dumps(MACHINE, 2)]
    parts.append(table if isinstance(table, bytes) else pickle_value(made if table is None else table))
    parts.append(pickle.dumps([str(place) for place in range(len(arrays))], 2))
    for array in arrays.values():
        flat = np.ascontiguousarray(array, kinds[array.dtype.kind][1])
        parts += [struct.pack("<q", flat.size), flat.tobytes()]
    path.write_bytes(b"".join(parts))
    return path


def make_weights(repeats: Sequence[int], *, seed: int = 1, width: int = 1280) -> dict[str, NDArray[Any]]:
    """Random weights of a network with so many blocks in each stage, with few planes."""
    noise = np.random.default_rng(seed)
    found: dict[str, NDArray[Any]] = {}

    def convolution(name: str, *shape: int) -> None:
        found[f"{name}.weight"] = noise.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    def norm(name: str, planes: int) -> None:
        found[f"{name}.weight"] = noise.uniform(0.5, 2, planes).astype(np.float32)
        found[f"{name}.bias"] = noise.normal(0.5, 0.5, planes).astype(np.float32)
        found[f"{name}.running_mean"] = noise.normal(0, 0.3, planes).astype(np.float32)
        found[f"{name}.running_var"] = noise.uniform(0.5, 2, planes).astype(np.float32)
        found[f"{name}.num_batches_tracked"] = np.array(7)

    convolution("_conv_stem", 8, 3, 3, 3)
    norm("_bn0", 8)
    before, number = 8, 0
    for stage, count in enumerate(repeats):
        after = 6 + 2 * stage
        for _ in range(count):
            prefix, wide = f"_blocks.{number}.", before
            if number:
                wide = 2 * before
                convolution(f"{prefix}_expand_conv", wide, before, 1, 1)
                norm(f"{prefix}_bn0", wide)
            convolution(f"{prefix}_depthwise_conv", wide, 1, 3 if stage % 2 == 0 else 5, 3 if stage % 2 == 0 else 5)
            norm(f"{prefix}_bn1", wide)
            convolution(f"{prefix}_project_conv", after, wide, 1, 1)
            norm(f"{prefix}_bn2", after)
            before, number = after, number + 1
    convolution("_conv_head", width, before, 1, 1)
    norm("_bn1", width)
    convolution("_fc", 1000, width)
    found["_fc.bias"] = np.zeros(1000, np.float32)
    return found
