"""A client of TensorFlow Serving's REST API: sends views as base64-encoded PNG and receives features."""

from __future__ import annotations

import io
import json
import threading
import time
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import requests
from PIL import Image
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as LateError

from retrieval.errors import ModelError, ModelUnavailable
from retrieval.models.card import Preprocessing
from retrieval.models.embedder import Pixels
from retrieval.models.network import Features, Identity

TRIES = 3
PAUSE = 0.2  # seconds before the first retry; each further pause is four times as long
AGAIN = {429, 500, 502, 503, 504}  # status codes that are retried
MOST_BYTES = 64_000_000  # limit of one response
PART = 65_536


class ServedNetwork:
    """One version of a served model. The version is looked up when the client is opened, and then kept."""

    runtime = "tensorflow-serving"

    def __init__(self, address: str, preprocessing: Preprocessing, *, pause: float = PAUSE) -> None:
        self._preprocessing, self._pause = preprocessing, pause
        self._local = threading.local()  # sessions are not thread-safe
        parts = urlsplit(address)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ModelError(
                f"{address!r} is not the URL of a served model, such as http://127.0.0.1:8501/v1/models/NAME"
            )
        self._shown = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"
        base = address.rstrip("/").removesuffix(":predict")
        model, _, version = base.partition("/versions/")
        self.version = version or self._served_version(model)
        self._predict = f"{model}/versions/{self.version}:predict"
        name = model.rpartition("/")[2]
        self.identity = Identity(name, f"serving:{name}/versions/{self.version}", f"served {name} {self.version}")

    def infer(self, squares: Pixels) -> Features:
        body = json.dumps({"instances": [{"b64": encode_png(square)} for square in squares]})
        rows = self._read_rows(self._ask("POST", self._predict, body))
        if rows.ndim != 2 or len(rows) != len(squares):
            raise ModelUnavailable(
                f"the server at {self._shown} was asked for {len(squares)} rows of numbers and gave something of shape "
                f"{rows.shape}: check that it serves a model that takes images in base64"
            )
        if not np.all(np.isfinite(rows)):
            raise ModelUnavailable(
                f"the server at {self._shown} returned NaN or infinite numbers: check the model it serves"
            )
        return rows

    def _read_rows(self, found: Any) -> Features:
        """Return the rows of a response; of several outputs, those of the output that the card names."""
        wanted = self._preprocessing.output
        try:
            rows = found["predictions"]
            if rows and isinstance(rows[0], dict):
                outputs = sorted(rows[0])
                key = wanted or ("default" if "default" in outputs else outputs[0] if len(outputs) == 1 else "")
                if key not in outputs:
                    raise ModelError(
                        f"the model at {self._shown} has several outputs; name one in its card: {', '.join(outputs)}"
                    )
                rows = [row[key] for row in rows]
            return np.array(rows, dtype=np.float32)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ModelUnavailable(
                f"the server at {self._shown} gave an answer without rows of numbers: check what it serves"
            ) from error

    def _served_version(self, model: str) -> str:
        """Return the newest available version of the model."""
        found = self._ask("GET", model)
        try:
            versions = [int(row["version"]) for row in found["model_version_status"] if row.get("state") == "AVAILABLE"]
        except (KeyError, TypeError, ValueError) as error:
            raise ModelUnavailable(
                f"the server at {self._shown} does not say which version of the model it serves: "
                "is this TensorFlow Serving? Name one with /versions/N"
            ) from error
        if not versions:
            raise ModelUnavailable(f"no version of the model at {self._shown} is available yet: try again later")
        return str(max(versions))

    def _ask(self, method: str, address: str, body: str | None = None) -> Any:
        """Return the JSON of a response, with retries and exponential backoff where the server fails."""
        trouble: ModelUnavailable | None = None
        for attempt in range(TRIES):
            if attempt:
                time.sleep(self._pause * 4 ** (attempt - 1))
            try:
                return self._ask_once(method, address, body)
            except ModelUnavailable as error:
                trouble = error
        assert trouble is not None
        raise ModelUnavailable(f"{trouble} (asked {TRIES} times)") from trouble

    def _ask_once(self, method: str, address: str, body: str | None) -> Any:
        """Send one request. The time limit covers the whole response, however slowly its bytes arrive."""
        limit = self._preprocessing.seconds
        deadline = time.monotonic() + limit
        late = f"the server at {self._shown} sent no complete answer within {limit:g} seconds: is it overloaded?"
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        try:
            headers = {"Content-Type": "application/json"}
            with self._local.session.request(
                method, address, data=body, headers=headers, timeout=limit, stream=True, allow_redirects=False
            ) as response:
                found = bytearray()
                while part := response.raw.read1(PART, decode_content=True):  # what has arrived, without waiting
                    found += part
                    if time.monotonic() > deadline:
                        raise ModelUnavailable(late)
                    if len(found) > MOST_BYTES:
                        raise ModelError(f"the server at {self._shown} sent more than {MOST_BYTES:,} bytes")
                status = response.status_code
        except (requests.Timeout, LateError) as error:
            raise ModelUnavailable(late) from error
        except (requests.RequestException, HTTPError) as error:
            raise ModelUnavailable(
                f"the server at {self._shown} does not answer: is it running, and is the address right?"
            ) from error
        if status in AGAIN:
            raise ModelUnavailable(
                f"the server at {self._shown} answers with status {status}, {said(found)}: see its log"
            )
        if status != 200:
            raise ModelError(f"the server at {self._shown} refused the request: status {status}, {said(found)}")
        try:
            return json.loads(found)
        except ValueError as error:
            raise ModelUnavailable(
                f"the server at {self._shown} gave an answer that is not JSON: is this TensorFlow Serving?"
            ) from error


def said(body: bytes | bytearray) -> str:
    """Return the message of a server's error, cut to 200 characters."""
    try:
        return str(json.loads(body)["error"])[:200]
    except (ValueError, KeyError, TypeError):
        return "without saying why"


def encode_png(square: Pixels) -> str:
    """Encode pixels as PNG in base64; lossless, unlike JPEG."""
    drawn = io.BytesIO()
    Image.fromarray(square).save(drawn, "PNG", compress_level=1)
    return b64encode(drawn.getvalue()).decode()
