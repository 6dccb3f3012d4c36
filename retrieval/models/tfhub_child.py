"""The child process that runs TensorFlow: `python -m retrieval.models.tfhub_child`, messages on stdin and stdout.

The only module that imports TensorFlow; no other module imports it.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from retrieval.models.card import Preprocessing
from retrieval.models.embedder import DIM
from retrieval.models.network import normalise
from retrieval.models.pipe import read_message, write_message


class Loaded:
    """A SavedModel with the chosen function, input and output."""

    def __init__(self, path: str, wanted: str) -> None:
        import tensorflow as tf
        import tensorflow_hub as hub

        self._tf = tf
        self._module = hub.load(path)  # keeps the variables of its functions alive
        self.function, self.key, self.shape = choose_function(self._module)
        self._wanted, self._path = wanted, path

    def infer(self, pixels: Any) -> np.ndarray:
        """Run on normalised pixels (views, height, width, 3); returns (views, width)."""
        given = self._tf.constant(pixels)
        found = self.function(**{self.key: given}) if self.key else self.function(given)
        rows = choose_rows(found, self._wanted)
        return np.asarray(rows.numpy(), dtype="<f4").reshape(len(pixels), -1)


def choose_function(module: Any) -> tuple[Any, str, list[int | None]]:
    """Choose the signature `default` (TF1-Hub), `serving_default` or the first; without one, the module itself.

    Returns the function, its input's name ("" for the module) and its input's shape. Raises ValueError where the
    signature has several inputs, or the module cannot be called.
    """
    signatures = dict(getattr(module, "signatures", {}))
    for name in ("default", "serving_default", *sorted(signatures)):
        if name in signatures:
            inputs = signatures[name].structured_input_signature[1]
            if len(inputs) != 1:
                raise ValueError(f"its signature {name!r} has {len(inputs)} inputs; an embedder has one")
            key, spec = next(iter(inputs.items()))
            return signatures[name], key, spec.shape.as_list()
    if callable(module):
        return module, "", [None, None, None, 3]
    raise ValueError("it has no signature and cannot be called")


def choose_rows(found: Any, wanted: str) -> Any:
    """Return the output named `wanted`; without one, `default`, the only one of width 256, or the only output.

    Raises ValueError where there is no such output or the choice is ambiguous.
    """
    if not isinstance(found, dict):
        return found
    if wanted:
        if wanted not in found:
            raise ValueError(f"it has no output {wanted!r}; it has: {', '.join(sorted(found))}")
        return found[wanted]
    if "default" in found:
        return found["default"]
    wide = [rows for rows in found.values() if rows.shape.rank == 2 and rows.shape[1] == DIM]
    if len(wide) == 1 or len(found) == 1:
        return wide[0] if wide else next(iter(found.values()))
    raise ValueError(f"it has several outputs; name one in its card: {', '.join(sorted(found))}")


def answer(header: dict[str, Any], body: bytes, held: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Handle one message: fetch, describe, load or infer. Returns the header and body of the answer."""
    if header["do"] == "fetch":
        os.environ["TFHUB_CACHE_DIR"] = header["cache"]
        import tensorflow_hub as hub

        return {"path": hub.resolve(header["address"])}, b""
    if header["do"] == "describe":
        return {"shape": Loaded(header["path"], "").shape}, b""
    if header["do"] == "load":
        held["loaded"] = Loaded(header["path"], header["output"])
        held["preprocessing"] = Preprocessing(
            1, 1, header["layout"], tuple(header["mean"]), tuple(header["std"]), header["output"]
        )
        return {}, b""
    squares = np.frombuffer(body, dtype=np.uint8).reshape(header["shape"])
    rows = held["loaded"].infer(normalise(squares, held["preprocessing"]))
    return {"shape": rows.shape}, rows.tobytes()


def main() -> None:
    """Answer messages until stdin closes."""
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # TensorFlow's own output must not mix with the messages
    held: dict[str, Any] = {}
    while True:
        try:
            header, body = read_message(sys.stdin.buffer)
        except EOFError:
            return
        try:
            found, rows = answer(header, body, held)
        except Exception as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            subject = header.get("address") or header.get("path") or "the module"
            found, rows = {"error": f"TensorFlow cannot use {subject}: {said}"}, b""
        write_message(messages, found, rows)


if __name__ == "__main__":
    main()
