"""Fetching photos by URL with the protections of `addresses.Guard`, redirects included.

The guard opens the sockets, so that the checked address is the one connected to, while names, certificates and the
Host header remain those of the URL. Proxies of the environment are ignored: they would resolve the name again,
unchecked. The only module that uses urllib3's connection classes.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
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
"""Exceptions of a request. Includes ValueError and OSError: malformed headers raise more than requests documents."""


class ConnectionCutter:
    """Closes connections from another thread: a server that sends a byte at a time never hits a read timeout."""

    def __init__(self) -> None:
        self.is_cut = False
        self._held: list[socket.socket] = []
        self._guard = threading.Lock()

    def hold(self, connection: socket.socket) -> None:
        """Register a connection; it is shut down at once if `cut` was already called."""
        copy = connection.dup()  # another thread passes the original to TLS, and closes it
        with self._guard:
            self._held.append(copy)
        if self.is_cut:
            self.cut()

    def cut(self) -> None:
        """Shut down all registered connections."""
        self.is_cut = True
        with self._guard:
            for connection in self._held:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # already closed by the peer

    def let_go(self) -> None:
        """Release the connections."""
        with self._guard:
            while self._held:
                self._held.pop().close()


class GuardedAdapter(HTTPAdapter):
    """A requests adapter whose URLs are checked, and connections opened, by a guard."""

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
    """A session that does not follow redirects; `open_address` does."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return None: requests reads the whole body of a redirect, however long, even with `stream=True`."""
        return None


def guarded_pools(guard: Guard, leash: ConnectionCutter | None) -> dict[str, type[HTTPConnectionPool]]:
    """Make urllib3 pool classes, by scheme, whose connections are opened by the guard."""

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
    """Return the connect timeout in seconds, or None."""
    return float(connection.timeout) if isinstance(connection.timeout, int | float) else None


def guarded_session(guard: Guard, *, agent: str, leash: ConnectionCutter | None = None) -> requests.Session:
    """Make a session that reaches only addresses permitted by the guard; the caller closes it."""
    session = GuardedSession()
    session.trust_env = False  # no proxy, and no password from a .netrc
    session.headers.update({"User-Agent": agent, "Accept": "image/*", "Accept-Encoding": "identity"})
    for scheme in ("http://", "https://"):
        session.mount(scheme, GuardedAdapter(guard, leash))
    return session


def at_once(url: str) -> None:
    """Wait for nothing before a request."""


@contextmanager
def open_address(
    session: requests.Session,
    url: str,
    *,
    timeout: float,
    before: Callable[[str], None] = at_once,
    headers: Mapping[str, str] | None = None,
) -> Iterator[requests.Response]:
    """Follow at most REDIRECTS redirects and yield the final response, with its body unread.

    `before` is called with each URL before it is requested. Raises what it raises, ForbiddenAddress and the exceptions
    of requests.
    """
    for _ in range(REDIRECTS + 1):
        before(url)
        with session.get(url, stream=True, timeout=timeout, headers=headers) as answer:
            session.cookies.clear()
            if not answer.is_redirect:
                yield answer
                return
            location = answer.headers["Location"].encode("latin-1").decode("utf-8")  # as http.client reads headers
        url = urljoin(url, location)
    raise requests.TooManyRedirects(f"more than {REDIRECTS} redirects")


def fetch_photo(url: str, guard: Guard, *, agent: str, largest: int, seconds: float) -> bytes:
    """Fetch the bytes at a URL: at most `largest`, within `seconds` after its host was resolved.

    Raises ForbiddenAddress, PhotoNotFetched or PhotoTooLarge; no message quotes the server.
    """
    guard.check(url)  # before requests normalises malformed URLs
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
            if leash.is_cut:  # a closed connection may have looked like the end of the photo
                raise TimeoutError
            return photo
    except WORST as error:
        if leash.is_cut or isinstance(error, requests.Timeout):
            raise PhotoNotFetched(f"it was not received within {seconds:g} seconds") from error
        raise PhotoNotFetched("its server does not answer, or breaks off") from error
    finally:
        watch.cancel()
        leash.let_go()


def read_bounded(answer: requests.Response, largest: int) -> bytes:
    """Read a response's body, never holding much more than `largest` bytes.

    Raises PhotoNotFetched for a status other than 200 or a compressed body, PhotoTooLarge for more bytes.
    """
    if answer.status_code != requests.codes.ok:
        raise PhotoNotFetched(f"its server answers {answer.status_code}")
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise PhotoNotFetched("its server sends it compressed, which was not requested")
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
