"""The log: one JSON object per line with the request's id. It never contains a photo, a place or a key.

Only the fields listed here are logged for a request: not its query, form or headers, nor its IP address. What other
packages and tracebacks write is cleaned of them.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Final

log = logging.getLogger("web.requests")

OURS: Final = ("web", "retrieval", "database", "cluster", "app")
ACCEPTED_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
QUERY: Final = re.compile(r"(/[^\s?'\"]*)\?[^\s'\"]+")
KEY: Final = re.compile(r"fungarium_[\w-]{8,}|(?<=api-key=)[^\s&'\"]+|(?<=Bearer )[^\s'\"]+")
ADDRESS: Final = re.compile(r"(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]+)(?![\w.:]*\w)")
FORMATS: Final = ("json", "text")
request_id: ContextVar[str] = ContextVar("request_id", default="")


class JsonLines(logging.Formatter):
    """Formats a log record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(record.getMessage()),
        }
        if request_id.get():
            line["requestId"] = request_id.get()
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = clean(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class PlainLines(logging.Formatter):
    """Formats a log record as text for people."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))


def clean(text: str) -> str:
    """Return a text without the queries of addresses, keys, and IP addresses other than this machine's own."""
    text = QUERY.sub(r"\1?(query)", text)
    text = KEY.sub("(key)", text)
    return ADDRESS.sub(lambda found: "(address)" if is_foreign(found[0]) else found[0], text)


def is_foreign(text: str) -> bool:
    """Return whether a text is an IP address of another machine."""
    try:
        return not ip_address(text).is_loopback
    except ValueError:
        return False


def make_formatter(form: str) -> logging.Formatter:
    """Return the formatter of a log format: json, or text for people."""
    return JsonLines() if form == "json" else PlainLines("%(asctime)s %(levelname)s %(name)s: %(message)s")


def start_logging(form: str, level: str) -> None:
    """Write the log to standard error: ours from `level` on, only warnings of other packages.

    Python's own messages go there too, which it would write as plain text: warnings, and errors that nothing caught.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(make_formatter(form))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())
    logging.captureWarnings(capture=True)
    sys.excepthook = log_uncaught
    threading.excepthook = lambda thrown: log_uncaught(thrown.exc_type, thrown.exc_value, thrown.exc_traceback)
    sys.unraisablehook = lambda thrown: log_uncaught(thrown.exc_type, thrown.exc_value, thrown.exc_traceback)
    if form == "json":
        os.environ.setdefault("RAY_BACKEND_LOG_JSON", "1")  # read by Ray's core, which writes to standard error itself


def log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    """Log an exception that nothing caught; a thread that calls `sys.exit` just ends."""
    if not issubclass(kind, SystemExit | KeyboardInterrupt):
        thrown = (kind, error if error is not None else kind(), traceback)
        logging.getLogger("app").critical("an error was not caught", exc_info=thrown)


def format_greeting(form: str, address: str, *, on_terminal: bool) -> str:
    """Return the line that says where the server listens: a sentence, or JSON where a log is kept."""
    if form != "json" or on_terminal:
        return f"Fungarium answers at {address} (Ctrl+C ends it)"
    record = logging.LogRecord("web.server", logging.INFO, "", 0, "the server answers", (), None)
    record.fields = {"address": address}
    return JsonLines().format(record)


def accept_id(offered: str | None) -> str:
    """Return the id that a client gave its request if it is valid, else a new one."""
    return offered if offered and ACCEPTED_ID.fullmatch(offered) else uuid.uuid4().hex


def note_request(*, method: str, route: str, status: int, milliseconds: float, received: int, sent: int | None) -> None:
    """Log an answered request; `route` is the matched rule, never the requested URL."""
    fields = {
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(milliseconds, 1),
        "bytesReceived": received,
        "bytesSent": sent,
    }
    log.info("%s %s %d", method, route, status, extra={"fields": fields})
