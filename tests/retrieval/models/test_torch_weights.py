"""Weights in PyTorch's old format are read without PyTorch, and nothing that such a file asks for is run."""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.errors import ModelError
from retrieval.models.torch_weights import read_weights
from tests.retrieval.models.lite import PROTOCOL, Call, Named, Stored, pickle_value, tensor, write_pth

ARRAYS: dict[str, Any] = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "a.counted": np.array(5),
    "b.bias": np.array([0.5, -1.5], np.float32),
}


def test_tensors_come_back_by_name_without_those_that_count(tmp_path: Path) -> None:
    found = read_weights(write_pth(tmp_path / "net.pth", ARRAYS))

    assert list(found) == ["a.weight", "b.bias"]
    np.testing.assert_array_equal(found["a.weight"], ARRAYS["a.weight"])
    np.testing.assert_array_equal(found["b.bias"], ARRAYS["b.bias"])


def test_a_file_that_pytorch_wrote_is_read_to_the_same_numbers(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs requirements-train.txt")
    wide = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    state = OrderedDict(turned=wide.T, part=wide[1:, 2:5], whole=wide, counted=torch.tensor(3))
    torch.save(state, tmp_path / "net.pth", _use_new_zipfile_serialization=False)

    found = read_weights(tmp_path / "net.pth")

    assert list(found) == ["turned", "part", "whole"]
    for name, array in found.items():
        np.testing.assert_array_equal(array, state[name].numpy())
        assert array.flags.c_contiguous


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_refused_in_a_sentence(tmp_path: Path, share: float) -> None:
    path = write_pth(tmp_path / "net.pth", ARRAYS)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(ModelError, match=r"net\.pth is damaged, or is no table of weights \("):
        read_weights(path)


def test_truncated_and_changed_bytes_of_the_pickles_ends_in_a_table_or_a_sentence(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "net.pth", ARRAYS)
    whole = path.read_bytes()
    pickled = len(whole) - sum(8 + array.size * (8 if array.dtype.kind == "i" else 4) for array in ARRAYS.values())
    noise = np.random.default_rng(1)
    for place in range(0, pickled, 3):
        for spoilt in (
            whole[:place],
            whole[:place] + bytes([int(noise.integers(256))]) + whole[place + 1 :],
            whole[:place] + whole[place + 1 :],
        ):
            path.write_bytes(spoilt)
            with suppress(ModelError):
                assert all(isinstance(array, np.ndarray) for array in read_weights(path).values())


class Runs:
    """What a pickle of an attacker holds: it writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.write_text, (self.path, "run")


def table_of(*described: Any) -> bytes:
    """The pickle of a table with these values."""
    return pickle_value(OrderedDict((f"t{place}", value) for place, value in enumerate(described)))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (table_of(Call(Named("os", "system"), "touch ran")), r"it asks for os\.system"),
        (table_of(Call(Named("builtins", "eval"), "1")), r"it asks for builtins\.eval"),
        (table_of(Named("torch", "load")), r"it asks for torch\.load"),
        (table_of(Named("collections", "OrderedDict.fromkeys")), "it asks for"),
        (pickle.dumps({"a": [1.5]}, 2), "the instruction BINFLOAT"),
        (pickle.dumps({"a": 1}, 4), "the instruction FRAME"),
        (table_of("text"), "is no tensor"),
        (table_of(tensor("FloatStorage", "0", (4, 7), count=24)), "reaches beyond its storage"),
        (table_of(tensor("FloatStorage", "0", (2, 2), count=24, offset=21)), "reaches beyond its storage"),
        (table_of(tensor("FloatStorage", "0", (2, 2), count=24, offset=-1)), "no number of elements"),
        (table_of(tensor("FloatStorage", "0", (0, 2), count=24)), "reaches beyond its storage"),
        (table_of(tensor("DoubleStorage", "0", (2, 2))), r"it asks for torch\.DoubleStorage"),
        (table_of(tensor("FloatStorage", "9", (2, 2))), "the storages are not those of the tensors"),
        (table_of(tensor("FloatStorage", "0", (1 << 40,))), "not those of the tensors|another length"),
        (table_of(Stored("FloatStorage", "0", 24)), "is no tensor"),
        (b"\x80\x02}r\xff\xff\xff\xff.", "it remembers too much"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_pickle_that_wants_more_than_tensors_is_refused_and_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: bytes, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_pth(tmp_path / "net.pth", ARRAYS, table)

    with pytest.raises(ModelError, match=says):
        read_weights(path)

    assert [found.name for found in tmp_path.iterdir()] == ["net.pth"]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_an_attackers_pickle_is_not_run_in_any_protocol_or_place(tmp_path: Path, protocol: int) -> None:
    ran = tmp_path / "ran"
    evil = pickle.dumps(Runs(ran), protocol)
    first = tmp_path / "first.pth"
    first.write_bytes(evil)

    for path in (first, write_pth(tmp_path / "net.pth", ARRAYS, evil)):
        with pytest.raises(ModelError, match="is damaged, or is no table of weights"):
            read_weights(path)

    assert not ran.exists()


def test_another_format_and_other_lengths_are_refused(tmp_path: Path) -> None:
    path = write_pth(tmp_path / "net.pth", ARRAYS)
    whole = path.read_bytes()
    held = whole.rindex(struct.pack("<q", 24))
    long = whole[:held] + struct.pack("<q", 1 << 50) + whole[held + 8 :]

    for body, says in (
        (whole + b"\0", "it goes on after its end"),
        (long, "a storage has another length"),
        (whole.replace(struct.pack("<H", PROTOCOL), struct.pack("<H", 1002), 1), "another format"),
        (b"PK\x03\x04" + whole, "is no table of weights"),
    ):
        path.write_bytes(body)
        with pytest.raises(ModelError, match=says):
            read_weights(path)
    with pytest.raises(ModelError, match="another format"):
        read_weights(write_pth(tmp_path / "other.pth", ARRAYS, magic=1))
    with pytest.raises(ModelError, match="cannot be read"):
        read_weights(tmp_path / "gone.pth")
