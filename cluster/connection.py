"""Connects to the Ray cluster that FUNGARIUM_CLUSTER names. Ray is loaded on the first connection, not on import.

Addresses: `local` starts a cluster on this machine that ends with the process (for trials and tests); `HOST:PORT` joins
a cluster of which this machine is a node (`ray start`); `ray://HOST:PORT` connects from outside, with Ray Client.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from retrieval.errors import ClusterError

LOCAL: Final = "local"
CLIENT: Final = "ray://"
NAMESPACE: Final = "fungarium"  # of the named actors
MODE: Final = "RAY_AUTH_MODE"  # "token" requires a token; otherwise anybody may join
TIMEOUT: Final = 40.0  # seconds to wait for a cluster; a busy one takes half of that over ray://
LOCAL_OBJECTS: Final = 80_000_000  # bytes of a local cluster's object store, which is little used
QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # send no usage statistics
    "RAY_ENABLE_AUTO_CONNECT": "0",  # otherwise a call without a connection joins any cluster on the machine
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a future default of Ray, which otherwise warns about it
    "RAY_DEDUP_LOGS": "0",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # otherwise each SIGTERM writes a stack trace to the log
}

log = logging.getLogger(__name__)

_connecting = threading.Lock()  # Ray has one connection for each process
_attempts: dict[str, Future[None]] = {}  # the latest attempt by address, which may outlast its caller's timeout


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed cluster address. `host` and `port` are empty for `local`."""

    text: str
    host: str = ""
    port: int = 0


def parse_address(text: str) -> Address:
    """Parse the setting; raises ClusterError that lists the accepted forms."""
    if text == LOCAL:
        return Address(text)
    host, colon, port = text.removeprefix(CLIENT).rpartition(":")
    if not host or not colon or not port.isdecimal() or not 0 < int(port) < 65_536 or "/" in host:
        raise ClusterError(
            f"FUNGARIUM_CLUSTER is not a cluster address: {text!r}; use HOST:PORT, {CLIENT}HOST:PORT or {LOCAL}"
        )
    return Address(text, host.strip("[]"), int(port))


def load_ray() -> Any:
    """Import `ray`; raises ClusterError that says what to install if it is missing."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)  # Ray reads these when it is imported, and so do the processes it starts
    if has_token():
        os.environ.setdefault(MODE, "token")  # otherwise Ray does not send it, and the cluster refuses the connection
    try:
        return import_module("ray")
    except ImportError as error:
        raise ClusterError(
            "FUNGARIUM_CLUSTER is set, but Ray is not installed: pip install -r requirements-ray.txt, or unset it"
        ) from error


def has_token() -> bool:
    """Whether a cluster token exists where Ray looks for one."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return True
    try:
        return (Path.home() / ".ray" / "auth_token").is_file()
    except (OSError, RuntimeError):  # an unreadable home folder, or none
        return False


def connect(address: str, *, namespace: str = NAMESPACE, timeout: float = TIMEOUT, cores: int | None = None) -> Any:
    """Connect this process to the cluster and return the module `ray`. Idempotent; call it after any fork.

    `cores` is the number of CPUs of a `local` cluster, by default all. Raises ClusterError if Ray is not installed,
    nothing answers within `timeout` seconds, or the token is wrong.
    """
    parsed = parse_address(address)
    ray = load_ray()
    with _connecting:
        if ray.is_initialized():
            return ray
        options = {"namespace": namespace, "log_to_driver": False, "configure_logging": False}
        if parsed.text == LOCAL:
            options |= {
                "address": LOCAL,
                "num_cpus": cores,
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",  # otherwise Ray contacts an outside host to find this address
                "object_store_memory": LOCAL_OBJECTS,
            }
        else:
            require_listener(parsed, timeout)
            options["address"] = parsed.text
            if parsed.host in {"127.0.0.1", "localhost", "::1"} and not parsed.text.startswith(CLIENT):
                options["_node_ip_address"] = "127.0.0.1"
        with _silent():
            _join(ray, parsed, options, timeout)
    if parsed.text != LOCAL and os.environ.get(MODE, "").lower() != "token":
        log.warning(
            "the cluster at %s has no token: anybody who can reach its ports can run code on all its machines; "
            "docs/scale.md shows how to start it with one",
            parsed.text,
        )
    return ray


def is_outside(ray: Any) -> bool:
    """Whether this process is connected from outside the cluster, with Ray Client (`ray://`)."""
    return bool(ray.util.client.ray.is_connected())


def require_listener(address: Address, timeout: float) -> None:
    """Raise ClusterError unless something listens at the address: Ray would retry for minutes or exit the process."""
    try:
        socket.create_connection((address.host, address.port), timeout=timeout).close()
    except OSError as error:
        raise ClusterError(
            f"nothing answers at {address.text}, where FUNGARIUM_CLUSTER says the cluster is "
            f"({error.strerror or 'no answer in time'}); start it with `ray start --head`, or correct the setting"
        ) from error


def disconnect() -> None:
    """Close this process's connection, if any; a `local` cluster ends with it."""
    with _connecting:
        if any(not attempt.done() for attempt in _attempts.values()):
            return  # not connected yet; shutting down now would leave the attempt half made
        load_ray().shutdown()  # also after a lost connection: Ray reports none, but refuses to reconnect without this


@contextmanager
def connected(address: str, **options: Any) -> Iterator[Any]:
    """Yield the connected module `ray` and disconnect afterwards, unless a connection existed before."""
    before = load_ray().is_initialized()
    ray = connect(address, **options)
    try:
        yield ray
    finally:
        if not before:
            disconnect()


def _join(ray: Any, address: Address, options: dict[str, Any], timeout: float) -> None:
    """Call `ray.init`, which has no timeout, in its own thread, and turn its errors into one-sentence ClusterErrors.

    If an earlier attempt is still running, wait for that one: starting another would leak a thread.
    """
    before = _attempts.get(address.text)
    joined: Future[None] = Future() if before is None or before.done() else before

    def init() -> None:
        try:
            ray.init(**options)
        except BaseException as error:
            joined.set_exception(error)
        else:
            joined.set_result(None)

    if address.text == LOCAL:  # a local cluster ends with the thread that started it, so this must be a lasting one
        init()
    elif joined is not before:
        _attempts[address.text] = joined
        threading.Thread(target=init, name="joining the cluster", daemon=True).start()
    try:
        joined.result(None if address.text == LOCAL else timeout)
    except FutureTimeout as error:
        raise ClusterError(
            f"something listens at {address.text}, but did not accept the connection within {timeout:g} seconds: it is "
            "not a Ray cluster, is too busy, or has another token (copy ~/.ray/auth_token from its head node, or set "
            "RAY_AUTH_TOKEN_PATH)"
        ) from error
    except (ray.exceptions.RayError, ImportError, ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ClusterError(f"the cluster at {address.text} cannot be joined: {reason}") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Ray's start-up messages out of the log: real problems are raised. Its later lines are written as ours are.

    On import, Ray gives its logger a handler of its own, which writes plain text to standard error.
    """
    logger = logging.getLogger("ray")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(logging.WARNING)
