"""Decoders as processes: each decodes one photo at a time, and is ended where it takes too long.

Decoding in threads could not be stopped: a photo made to take minutes would hold a thread and a core, and memory that
it needed would stay with the server. Processes are started by `exec`, which is safe whatever the server has loaded.
"""

from __future__ import annotations

import atexit
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from retrieval import errors
from retrieval.errors import FungariumError, PhotoTooLarge, UnreadablePhoto
from retrieval.models.embedder import View
from retrieval.photos.crops import Box
from retrieval.photos.decoder_child import Reply, read_message, unpack_views, write_message
from retrieval.photos.exif import PhotoMetadata
from retrieval.photos.views import PhotoLimits

log = logging.getLogger(__name__)

LONGEST: Final = 10.0  # seconds of a decoding; a photo of 64 megapixels takes one
STARTING: Final = 30.0  # seconds until a new process is ready
STUCK: Final = 10.0  # seconds of waiting for a decoder after which health checks say so
KEPT_BYTES: Final = 160_000_000  # a process that keeps more memory than this is replaced
ROOT: Final = Path(__file__).resolve().parents[2]


class DecodersBusy(FungariumError):
    """No decoder became free in time."""


class DecoderFailed(FungariumError):
    """A decoder could not be started, or failed for a reason that is not the photo's."""


@dataclass(eq=False)
class Decoder:
    """A process and its pipes."""

    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "retrieval.photos.decoder_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
        )
        try:
            self._read(time.monotonic() + STARTING)
        except (TimeoutError, EOFError, OSError) as error:
            self.end()
            raise DecoderFailed("a decoder of photos could not be started") from error

    def ask(self, header: dict[str, Any], photo: bytes, until: float) -> Reply:
        """Do one job; raises TimeoutError, and EOFError or OSError where the process died."""
        assert self.process.stdin is not None
        write_message(self.process.stdin, header, [photo])
        return self._read(until)

    @property
    def kept_bytes(self) -> int:
        """Memory of the process between two photos; 0 where the system does not say."""
        try:
            pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def end(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        with suppress(OSError):
            self.process.communicate()

    def _read(self, until: float) -> Reply:
        assert self.process.stdout is not None
        poll = select.poll()
        poll.register(self.process.stdout, select.POLLIN | select.POLLHUP)
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(1000 * min(left, threading.TIMEOUT_MAX)):
            raise TimeoutError
        return read_message(self.process.stdout)


class Decoders:
    """At most `processes` decoders, started when needed. Large photos are decoded one at a time.

    So memory is bounded, and small photos find a decoder while large ones take their time.
    """

    def __init__(self, processes: int | None = None, *, longest: float = LONGEST, stuck: float = STUCK) -> None:
        """A decoding may take `longest` seconds; after `stuck` seconds of waiting, `trouble` says so."""
        self.processes = max(2, processes or os.cpu_count() or 1)
        self.longest, self.stuck = longest, stuck
        self._free: list[Decoder] = []
        self._started = 0
        self._waiting: dict[object, float] = {}  # since when
        self._changed = threading.Condition()
        self._large = threading.Semaphore(1)
        self._closed = False
        atexit.register(self.close)

    def views(
        self,
        photo: bytes,
        side: int,
        limits: PhotoLimits,
        *,
        box: Box | None = None,
        augmentation: str = "none",
        seconds: float | None = None,
    ) -> list[View]:
        """Decode like `retrieval.photos.crops.decode_crops`; raises its errors, and DecodersBusy after `seconds`."""
        part = None if box is None else (box.left, box.top, box.width, box.height)
        options = {"side": side, "box": part, "augmentation": augmentation}
        return unpack_views(*self._run("views", photo, limits, options, seconds))

    def tiles(
        self,
        photo: bytes,
        side: int,
        limits: PhotoLimits,
        boxes: Sequence[tuple[int, int, int, int]],
        *,
        seconds: float | None = None,
    ) -> list[View]:
        """Decode boxes of a photo, in pixels, to views; raises the errors of `views`."""
        return unpack_views(*self._run("tiles", photo, limits, {"side": side, "boxes": boxes}, seconds))

    def picture(
        self,
        photo: bytes,
        side: int,
        limits: PhotoLimits,
        *,
        quality: int = 85,
        form: str = "JPEG",
        seconds: float | None = None,
    ) -> tuple[bytes, tuple[int, int]]:
        """Re-encode like `retrieval.photos.views.render_photo`; returns width and height too. Raises as `views`."""
        options = {"side": side, "quality": quality, "form": form}
        header, (picture,) = self._run("picture", photo, limits, options, seconds)
        return picture, (header["size"][0], header["size"][1])

    def metadata(self, photo: bytes, limits: PhotoLimits, *, seconds: float | None = None) -> PhotoMetadata:
        """Read like `retrieval.photos.exif.read_metadata`; raises as `views`."""
        header, _ = self._run("metadata", photo, limits, {}, seconds)
        day = header["event_date"]
        return PhotoMetadata(date.fromisoformat(day) if day else None, *header["place"])

    def size(self, photo: bytes, limits: PhotoLimits, *, seconds: float | None = None) -> tuple[int, int]:
        """Return width and height of the upright photo, in pixels; raises as `views`."""
        header, _ = self._run("size", photo, limits, {}, seconds)
        return header["size"][0], header["size"][1]

    @property
    def trouble(self) -> str:
        """Why photos are not decoded in time, in a sentence; empty if they are."""
        with self._changed:
            since = min(self._waiting.values(), default=float("inf"))
        waited = time.monotonic() - since
        return f"a photo has waited {waited:.0f} s for a decoder" if waited > self.stuck else ""

    def close(self) -> None:
        """End the processes that are free, and the others when they have answered."""
        with self._changed:
            self._closed = True
            for decoder in self._free:
                decoder.end()
            self._started -= len(self._free)
            self._free.clear()
        atexit.unregister(self.close)

    def _run(
        self, job: str, photo: bytes, limits: PhotoLimits, options: dict[str, Any], seconds: float | None
    ) -> Reply:
        until = time.monotonic() + seconds if seconds is not None else float("inf")
        header = {"job": job, "limits": asdict(limits), "options": options, "large": False}
        reply = self._ask(header, photo, until)
        if reply[0].get("large"):
            with self._turn_of_large(until):
                reply = self._ask(header | {"large": True}, photo, until)
        if name := reply[0].get("error"):
            raise getattr(errors, name)(reply[0]["detail"])
        return reply

    def _ask(self, header: dict[str, Any], photo: bytes, until: float) -> Reply:
        decoder = self._take(until)
        fit = False
        latest = time.monotonic() + self.longest
        try:
            reply = decoder.ask(header, photo, min(until, latest))
            fit = decoder.kept_bytes <= KEPT_BYTES
        except TimeoutError as error:
            if until < latest:
                raise DecodersBusy("the photo was not decoded in time") from error
            log.warning("a photo was given up after %g s of decoding", self.longest)
            raise PhotoTooLarge(f"the photo takes longer than {self.longest:g} s to decode") from error
        except (EOFError, OSError) as error:
            log.warning("a decoder of photos ended with status %s", decoder.process.poll())
            raise UnreadablePhoto("the photo is damaged and cannot be decoded") from error
        finally:
            self._give_back(decoder, fit=fit)
        return reply

    def _take(self, until: float) -> Decoder:
        me = object()
        with self._changed:
            self._waiting[me] = time.monotonic()
            try:
                while not self._free and self._started >= self.processes:
                    left = until - time.monotonic()
                    if left <= 0 or not self._changed.wait(min(left, threading.TIMEOUT_MAX)):
                        raise DecodersBusy("no decoder of photos became free in time")
                while self._free:
                    decoder = self._free.pop()
                    if decoder.process.poll() is None:
                        return decoder
                    decoder.end()  # it was killed meanwhile, which is not the photo's fault
                    self._started -= 1
                self._started += 1
            finally:
                del self._waiting[me]
        try:
            return Decoder()
        except BaseException:
            with self._changed:
                self._started -= 1
                self._changed.notify()
            raise

    def _give_back(self, decoder: Decoder, *, fit: bool) -> None:
        with self._changed:
            keep = fit and not self._closed
            if keep:
                self._free.append(decoder)
            else:
                self._started -= 1
            self._changed.notify()
        if not keep:
            decoder.end()

    @contextmanager
    def _turn_of_large(self, until: float) -> Iterator[None]:
        left = until - time.monotonic()
        if not self._large.acquire(timeout=max(0.0, min(left, threading.TIMEOUT_MAX))):
            raise DecodersBusy("large photos are decoded one at a time, and this one had no turn in time")
        try:
            yield
        finally:
            self._large.release()
