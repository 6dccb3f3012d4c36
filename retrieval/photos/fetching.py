"""Asking other people's servers through the guard: every connection, those after redirects too.

The guard sits where the socket is opened, so that the address that was checked is the one that is connected to,
while names, certificates and the Host header stay as they were written. Proxies of the environment are not used:
they would resolve the name again, beyond the guard. The only home of urllib3.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urljoin

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from retrieval.errors import PhotoNotFetched, PhotoTooLarge
from retrieval.photos.addresses import Guard

REDIRECTS: Final = 5
CHUNK: Final = 1 << 16
WORST: Final = (requests.RequestException, OSError, ValueError)
"""What a request may raise: servers send headers that break the libraries in more ways than these name."""


class ConnectionCutter:
    """Ends connections from another thread: a server that sends a byte now and then runs into no timeout."""

    def __init__(self) -> None:
        self.is_cut = False
        self._held: list[socket.socket] = []
        self._guard = threading.Lock()

    def hold(self, connection: socket.socket) -> None:
        """Take a connection; one that comes too late is ended at once."""
        copy = connection.dup()  # the original is handed over to TLS, and closed, in another thread
        with self._guard:
            self._held.append(copy)
        if self.is_cut:
            self.cut()

    def cut(self) -> None:
        """End all connections."""
        self.is_cut = True
        with self._guard:
            for connection in self._held:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the other end was faster

    def let_go(self) -> None:
        """Forget the connections."""
        with self._guard:
            while self._held:
                self._held.pop().close()


class GuardedAdapter(HTTPAdapter):
    """Lets the guard look at every URL and open every connection."""

    def __init__(self, guard: Guard, leash: ConnectionCutter | None = None) -> None:
        self._guard = guard
        self._leash = leash
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = guarded_pools(self._guard, self._leash)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self._guard.check(request.url or "")
        return super().send(request, *args, **kwargs)


class GuardedSession(requests.Session):
    """A session that follows no redirect: `open_address` does."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: requests reads the whole body of an answer that redirects, however long, even when told not to."""
        return None


def guarded_pools(guard: Guard, leash: ConnectionCutter | None) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools for each scheme, whose connections are opened by the guard."""

    def open_connection(connection: HTTPConnection) -> socket.socket:
        try:
            opened = guard.connect(connection.host.strip("[]"), connection.port, read_timeout(connection))
        except TimeoutError as error:
            raise ConnectTimeoutError(connection, "the connection takes too long") from error
        except OSError as error:
            raise NewConnectionError(connection, "no connection") from error
        if leash is not None:
            leash.hold(opened)
        return opened

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return open_connection(self)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return open_connection(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def read_timeout(connection: HTTPConnection) -> float | None:
    """Seconds that a connection may take to be opened."""
    return float(connection.timeout) if isinstance(connection.timeout, int | float) else None


def guarded_session(guard: Guard, *, agent: str, leash: ConnectionCutter | None = None) -> requests.Session:
    """A session that reaches only what the guard lets it; close it after use."""
    session = GuardedSession()
    session.trust_env = False  # no proxy, and no password out of a .netrc
    session.headers.update({"User-Agent": agent, "Accept": "image/*", "Accept-Encoding": "identity"})
    for scheme in ("http://", "https://"):
        session.mount(scheme, GuardedAdapter(guard, leash))
    return session


@contextmanager
def open_address(session: requests.Session, url: str, *, timeout: float) -> Iterator[requests.Response]:
    """The answer at the end of at most REDIRECTS redirects, its body not read yet.

    Raises ForbiddenAddress, or what requests raises.
    """
    for _ in range(REDIRECTS + 1):
        with session.get(url, stream=True, timeout=timeout) as answer:
            session.cookies.clear()
            if not answer.is_redirect:
                yield answer
                return
            location = answer.headers["Location"].encode("latin-1").decode("utf-8")  # as http.client reads headers
        url = urljoin(url, location)
    raise requests.TooManyRedirects(f"more than {REDIRECTS} redirects")


def fetch_photo(url: str, guard: Guard, *, agent: str, largest: int, seconds: float) -> bytes:
    """The bytes at a URL: at most `largest`, within `seconds` after its name was resolved.

    Raises ForbiddenAddress, PhotoNotFetched or PhotoTooLarge; no sentence repeats what a server said.
    """
    guard.check(url)  # as it was written: requests makes sense of what makes none
    leash = ConnectionCutter()
    watch = threading.Timer(seconds, leash.cut)
    watch.daemon = True
    watch.start()
    try:
        with (
            guarded_session(guard, agent=agent, leash=leash) as session,
            open_address(session, url, timeout=seconds) as answer,
        ):
            photo = read_bounded(answer, largest)
            if leash.is_cut:  # the end of the connection may have been taken for the end of the photo
                raise TimeoutError
            return photo
    except WORST as error:
        if leash.is_cut or isinstance(error, requests.Timeout):
            raise PhotoNotFetched(f"it did not come within {seconds:g} seconds") from error
        raise PhotoNotFetched("its server does not answer, or breaks off") from error
    finally:
        watch.cancel()
        leash.let_go()


def read_bounded(answer: requests.Response, largest: int) -> bytes:
    """The body of an answer; never more than `largest` bytes of it are held."""
    if answer.status_code != requests.codes.ok:
        raise PhotoNotFetched(f"its server answers {answer.status_code}")
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise PhotoNotFetched("its server packs it, which it was asked not to")
    announced = answer.headers.get("Content-Length", "")
    body = bytearray()
    too_large = announced.isdecimal() and (len(announced) > 19 or int(announced) > largest)
    if not too_large:
        for chunk in answer.iter_content(CHUNK):
            body += chunk
            if len(body) > largest:
                break
        else:
            return bytes(body)
    raise PhotoTooLarge(f"the file has more than {largest:,} bytes, which is the most accepted")
