"""Identification of many observations in one request; answers are streamed as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from flask import Response, request, stream_with_context
from marshmallow import Schema, fields, validate

from web.http import access
from web.inference.batches import LINES, PART, BatchObservation, answer_batch, place_after, read_batch
from web.inference.serving import serving
from web.photos.uploads import line_field
from web.schemas.answers import about
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "batches", __name__, url_prefix=f"{PREFIX}/identify", description="Identification of many observations"
)


class BatchQuery(Schema):
    """Where to resume a batch, and which published line answers it."""

    cursor = fields.String(
        load_default="",
        validate=validate.Length(max=600),
        metadata=about("`cursor` of the last line received for the same batch; the answer resumes after it."),
    )
    model = line_field()


FORM: dict[str, Any] = {
    "type": "object",
    "required": [PART],
    "properties": {
        PART: {"type": "string", "description": "A line of JSON for each observation, with the names of its photos."}
    },
    "additionalProperties": {"type": "string", "format": "binary"},
}


@blueprint.route("/batch", methods=["POST"])
@access.require("identify")
@blueprint.arguments(BatchQuery, location="query")
@blueprint.doc(
    requestBody={
        "required": True,
        "description": "As NDJSON each line is an observation whose photos are in base64.",
        "content": {LINES: {"schema": BatchObservation}, "multipart/form-data": {"schema": FORM}},
    },
    responses={
        "200": {
            "description": "A line of JSON for each observation, in order: `id`, `cursor`, and `identification` "
            "or `problem`; the last line has `done`",
            "content": {LINES: {"schema": {"type": "string"}}},
        }
    },
)
def identify_batch(query: dict[str, Any]) -> Response:
    """Identify many observations, and stream a line of JSON for each.

    Without a last line `done` the answer is incomplete: send the same batch with the last `cursor` to resume.
    """
    given, shared = services(), serving()
    with ExitStack() as held:
        shared.batches.enter()
        held.callback(shared.batches.leave)
        batch = read_batch(request, given.throughput.batch_lines, given.throughput.batch_bytes)
        start = place_after(query["cursor"], batch)
        access.spend("identify", len(batch.lines) - start)
        snapshot = held.enter_context(given.published.lease(query["model"]))
        shared.embedder_of(snapshot)
        kept = held.pop_all()

    def lines() -> Iterator[bytes]:
        yield from answer_batch(batch, start, snapshot)
        kept.close()

    response = Response(stream_with_context(lines()), mimetype=LINES)
    response.headers["X-Accel-Buffering"] = "no"  # the proxy passes each line on; other answers it takes at once
    response.call_on_close(kept.close)  # also if the client disconnects
    return response
