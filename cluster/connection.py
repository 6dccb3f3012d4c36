"""Reaches a Ray cluster from the one setting FUNGARIUM_CLUSTER. Ray is imported here and beside, never on import.

An address is `local` (a cluster on this machine that ends with this process, for trying and for tests), `HOST:PORT` of
a cluster whose node this machine is (`ray start`), or `ray://HOST:PORT` of one that it is no part of.
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
NAMESPACE: Final = "fungarium"  # in which actors have their names
MODE: Final = "RAY_AUTH_MODE"  # "token", or anybody may join
PATIENCE: Final = 40.0  # seconds until a silent cluster is given up; by ray:// a busy one takes half of that
LOCAL_OBJECTS: Final = 80_000_000  # bytes of the object store of a local cluster; little goes through it
QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody outside
    "RAY_ENABLE_AUTO_CONNECT": "0",  # else a call without a connection joins any cluster that it finds on the machine
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else Ray warns that it will be so one day
    "RAY_DEDUP_LOGS": "0",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # else each SIGTERM writes a stack trace to a server's log
}

log = logging.getLogger(__name__)

_connecting = threading.Lock()  # threads of one process connect once; Ray itself is one for a process
_attempts: dict[str, Future[None]] = {}  # the latest to join, by address: it may outlast the patience of who waits


@dataclass(frozen=True, slots=True)
class Address:
    """Where a cluster is. `host` and `port` are empty for `local`."""

    text: str
    host: str = ""
    port: int = 0


def parse_address(text: str) -> Address:
    """Read the setting; raises ClusterError with the forms there are."""
    if text == LOCAL:
        return Address(text)
    host, colon, port = text.removeprefix(CLIENT).rpartition(":")
    if not host or not colon or not port.isdecimal() or not 0 < int(port) < 65_536 or "/" in host:
        raise ClusterError(
            f"FUNGARIUM_CLUSTER is no address of a cluster: {text!r}; it is HOST:PORT, {CLIENT}HOST:PORT or {LOCAL}"
        )
    return Address(text, host.strip("[]"), int(port))


def load_ray() -> Any:
    """The module `ray`; raises ClusterError, saying what to install, where it is missing."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)  # read by Ray when it is loaded, and by the processes that it starts
    if has_token():
        os.environ.setdefault(MODE, "token")  # else Ray shows it to nobody, and a cluster that wants it lets nobody in
    try:
        return import_module("ray")
    except ImportError as error:
        raise ClusterError(
            "FUNGARIUM_CLUSTER is set, but Ray is not installed: pip install -r requirements-ray.txt, or unset it"
        ) from error


def has_token() -> bool:
    """Whether there is a token of a cluster where Ray looks for one."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return True
    try:
        return (Path.home() / ".ray" / "auth_token").is_file()
    except (OSError, RuntimeError):  # a folder that is not ours to look into, or nobody's
        return False


def connect(address: str, *, namespace: str = NAMESPACE, timeout: float = PATIENCE, cores: int | None = None) -> Any:
    """Connect this process to the cluster and give the module `ray`; again is no work. Call it after a fork.

    `cores` are those of a `local` cluster, all by default. Raises ClusterError where Ray is missing, nothing answers
    within `timeout` seconds, or the cluster has another token.
    """
    read = parse_address(address)
    ray = load_ray()
    with _connecting:
        if ray.is_initialized():
            return ray
        options = {"namespace": namespace, "log_to_driver": False, "logging_level": logging.ERROR}
        if read.text == LOCAL:
            options |= {
                "address": LOCAL,
                "num_cpus": cores,
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",  # else it asks the outside world for this machine's address
                "object_store_memory": LOCAL_OBJECTS,
            }
        else:
            require_listener(read, timeout)
            options["address"] = read.text
            if read.host in {"127.0.0.1", "localhost", "::1"} and not read.text.startswith(CLIENT):
                options["_node_ip_address"] = "127.0.0.1"
        with _silent():
            _join(ray, read, options, timeout)
    if read.text != LOCAL and os.environ.get(MODE, "").lower() != "token":
        log.warning(
            "the cluster at %s has no token: whoever reaches its ports can run code on every machine of it; "
            "docs/scale.md says how to start it with one",
            read.text,
        )
    return ray


def is_outside(ray: Any) -> bool:
    """Whether this process is connected to a cluster that it is no part of (`ray://`)."""
    return bool(ray.util.client.ray.is_connected())


def require_listener(address: Address, timeout: float) -> None:
    """Raise ClusterError unless something listens there: Ray itself would try for minutes, or end the process."""
    try:
        socket.create_connection((address.host, address.port), timeout=timeout).close()
    except OSError as error:
        raise ClusterError(
            f"nothing answers at {address.text}, where FUNGARIUM_CLUSTER says the cluster is "
            f"({error.strerror or 'no answer in time'}); start it with `ray start --head`, or correct the setting"
        ) from error


def disconnect() -> None:
    """End this process's connection, if there is one; a `local` cluster ends with it."""
    with _connecting:
        if any(not attempt.done() for attempt in _attempts.values()):
            return  # there is none, and what is on its way would be left half made
        load_ray().shutdown()  # also of a connection that broke: Ray says there is none, and lets nobody connect anew


@contextmanager
def connected(address: str, **options: Any) -> Iterator[Any]:
    """The module `ray` for the time of a command, connected; a connection that was there stays."""
    before = load_ray().is_initialized()
    ray = connect(address, **options)
    try:
        yield ray
    finally:
        if not before:
            disconnect()


def _join(ray: Any, address: Address, options: dict[str, Any], timeout: float) -> None:
    """Call `ray.init` in a thread of its own, since it takes no bound; its many errors become a sentence.

    An attempt that is still on its way is waited for once more: each other would leave another thread behind.
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

    if address.text == LOCAL:  # what is started ends with the thread that started it: that must be one that stays
        init()
    elif joined is not before:
        _attempts[address.text] = joined
        threading.Thread(target=init, name="joining the cluster", daemon=True).start()
    try:
        joined.result(None if address.text == LOCAL else timeout)
    except FutureTimeout as error:
        raise ClusterError(
            f"something listens at {address.text}, but let nobody join within {timeout:g} seconds: it is "
            "no Ray cluster, or has another token (copy ~/.ray/auth_token from its head, or set RAY_AUTH_TOKEN_PATH), "
            "or is too busy"
        ) from error
    except (ray.exceptions.RayError, ImportError, ConnectionError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ClusterError(f"the cluster at {address.text} cannot be joined: {reason}") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Ray's greetings and hints out of the log; what it is in trouble with is raised."""
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(max(level, logging.WARNING))
