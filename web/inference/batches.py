"""Many observations in one request: read and answered as lines, one at a time and in order.

An invalid line is answered by a problem in its place, and the batch goes on. Every line of the answer has a cursor:
an interrupted client sends the same batch again with the last cursor, and the batch resumes after it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from typing import Any, Final, cast

from flask import Request, current_app
from marshmallow import ValidationError, fields, validate
from werkzeug.exceptions import InternalServerError, RequestEntityTooLarge, UnsupportedMediaType

from retrieval.errors import FungariumError, InvalidOption, PhotoTooLarge, UnreadablePhoto
from retrieval.photos.views import PhotoLimits, check_count, sniff
from retrieval.snapshots.snapshot import Snapshot
from web.http.cursors import read_cursor, write_cursor
from web.http.deadlines import set_deadline
from web.http.errors import Problem, describe_engine_error, describe_http_error, describe_invalid_values
from web.inference.identification import identify_photos
from web.photos.uploads import SLACK, IdentifyOptionsSchema, file_bytes, read_options, read_view_options
from web.schemas.serialising import brief, identification_answer, named
from web.services import services

LINES: Final = "application/x-ndjson"
PART: Final = "observations"
AT_A_TIME: Final = 1 << 16  # bytes
AT_ONCE: Final = 4  # observations of a batch processed at a time: enough to share batches of the model
KIND: Final = "batch"


class BatchObservation(IdentifyOptionsSchema):
    """A line of a batch: an observation with its photos and the options of an identification."""

    id = fields.String(required=True, validate=validate.Length(1, 200))
    photos = fields.List(fields.String(), required=True)


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A parsed line: an observation with the names of its photos, or the problem with it."""

    id: str
    observation: Mapping[str, Any]
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """The lines of a request, and the source of their photos: parts of the form, or the lines themselves."""

    lines: Sequence[BatchLine]
    parts: Mapping[str, bytes] | None

    def photos(self, line: BatchLine, limits: PhotoLimits) -> list[bytes]:
        """Return the photos of a line; raises the errors of `read_photos`."""
        names = line.observation["photos"]
        check_count(len(names), limits)
        return [self._photo(name, number, len(names), limits) for number, name in enumerate(names, start=1)]

    def _photo(self, name: str, number: int, count: int, limits: PhotoLimits) -> bytes:
        if self.parts is None:
            try:
                photo = base64.b64decode(name, validate=True)
            except (binascii.Error, ValueError) as error:
                raise UnreadablePhoto(f"photo {number} of {count}: not valid base64") from error
        elif name not in self.parts:
            raise InvalidOption(f"photo {number} of {count}: the form has no part {name[:100]!r}")
        else:
            photo = self.parts[name]
        if not photo:
            raise UnreadablePhoto(f"photo {number} of {count}: the file is empty")
        if len(photo) > limits.bytes:
            raise PhotoTooLarge(f"photo {number} of {count}: at most {limits.bytes:,} bytes are accepted")
        try:
            sniff(photo)
        except UnreadablePhoto as error:
            raise type(error)(f"photo {number} of {count}: {error}") from error
        return photo


def read_batch(request: Request, most: int, most_bytes: int) -> Batch:
    """Read a batch with at most `most` observations and `most_bytes` bytes.

    It is NDJSON with photos in base64, or a form whose part `observations` has the lines, and whose other parts are the
    photos by name. Raises InvalidOption, and Werkzeug's errors for a request that is too large.
    """
    request.max_content_length = most_bytes
    limits = services().limits
    rows: Iterable[bytes]
    if request.mimetype == LINES:
        rows, parts = BufferedReader(cast(RawIOBase, request.stream), AT_A_TIME), None
    elif request.mimetype == "multipart/form-data":
        request.max_form_parts = most * limits.photos + 8
        request.max_form_memory_size = SLACK
        parts = {name: file_bytes(file) for name, file in request.files.items() if name != PART}
        held = request.files.get(PART)
        text = file_bytes(held) if held is not None else request.form.get(PART, "").encode("utf-8", "surrogatepass")
        rows = text.split(b"\n")
    else:
        raise UnsupportedMediaType(f"Send a batch as {LINES}, or as multipart/form-data with a part `{PART}`.")
    lines: list[BatchLine] = []
    for row in rows:  # one at a time: the rows as they were sent are not held beside what they say
        if not row.strip():
            continue
        if len(lines) == most:
            raise RequestEntityTooLarge(f"A batch has at most {most} observations; this one has more.")
        lines.append(read_line(row, len(lines) + 1))
    if not lines:
        raise InvalidOption("the batch has no observations: send a line of JSON for each")
    return Batch(lines, parts)


def read_line(row: bytes, number: int) -> BatchLine:
    """Parse a line: an observation, or the problem with it; it is called `line N` without an id."""
    name = f"line {number}"
    try:
        given = json.loads(row)
        json.dumps(given, ensure_ascii=False).encode()  # half a surrogate pair is no text, and could not be answered
    except (ValueError, RecursionError):
        return BatchLine(name, {}, describe_engine_error(InvalidOption(f"line {number} is not JSON")))
    if isinstance(given, dict) and isinstance(given.get("id"), str) and 0 < len(given["id"]) <= 200:
        name = given["id"]
    try:
        return BatchLine(name, BatchObservation().load(given))
    except ValidationError as error:
        messages = error.messages
        return BatchLine(
            name, {}, describe_invalid_values(messages if isinstance(messages, dict) else {"line": messages})
        )


def place_after(cursor: str, batch: Batch) -> int:
    """Return how many lines were answered before; raises InvalidOption for the cursor of another batch."""
    if not cursor:
        return 0
    place, name = read_cursor(KIND, cursor, int, str)
    if not 0 < place <= len(batch.lines) or batch.lines[place - 1].id != name:
        raise InvalidOption("the cursor belongs to another batch: send the same lines in the same order")
    return int(place)


def answer_batch(batch: Batch, start: int, snapshot: Snapshot) -> Iterator[bytes]:
    """Yield the lines of the answer from `start` on, in order and as soon as they are known; finally a summary.

    Runs in the request's context, and stops when the client disconnects.
    """
    failed = 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="batch") as pool:
        ahead: dict[int, Future[dict[str, Any]]] = {}
        try:
            for place in range(start, len(batch.lines)):
                for coming in range(place, min(place + 2 * AT_ONCE, len(batch.lines))):
                    if coming not in ahead:
                        context = copy_context()
                        ahead[coming] = pool.submit(context.run, answer_line, batch, batch.lines[coming], snapshot)
                found = ahead.pop(place).result()
                failed += "problem" in found
                name = batch.lines[place].id
                yield write_line({"id": name, "cursor": write_cursor(KIND, place + 1, name), **found})
        finally:
            for future in ahead.values():
                future.cancel()
    counted = {"done": True, "observations": len(batch.lines) - start, "failed": failed}
    yield write_line({**counted, **named(snapshot)})


def answer_line(batch: Batch, line: BatchLine, snapshot: Snapshot) -> dict[str, Any]:
    """Return the identification of one observation, or the problem with it."""
    set_deadline(services().throughput.deadline)
    if line.problem is not None:
        return {"problem": line.problem.json()}
    given = line.observation
    try:
        answer = identify_photos(
            batch.photos(line, services().limits),
            snapshot,
            flora=given["flora"],
            candidates=given["count"],
            options=read_options(given),
            view_options=read_view_options(given),
        )
        body = identification_answer(answer, snapshot)
    except FungariumError as error:
        return {"problem": describe_engine_error(error).json()}
    except Exception as error:  # an error of one observation must not affect the others
        current_app.logger.error("a line of a batch failed", exc_info=error)
        return {"problem": describe_http_error(InternalServerError()).json()}
    return {"identification": brief(body) if given["detail"] == "brief" else body}


def write_line(body: Mapping[str, Any]) -> bytes:
    """Format a line of JSON."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
