"""Addresses of photos to download: only public ones, whatever their spelling and redirects."""

from __future__ import annotations

import gzip
import ipaddress
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from retrieval.errors import ForbiddenAddress, PhotoNotFetched, PhotoTooLarge, SettingsError
from retrieval.photos.addresses import Guard, connect_to, is_public, parse_networks, resolve_host
from retrieval.photos.fetching import REDIRECTS, fetch_photo

Answer = Callable[[BaseHTTPRequestHandler], None]
ONE = parse_networks("127.0.0.1/32")

NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.8.9.10", "::1"],
    "this machine": ["0.0.0.0", "::"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd12:3456::1", "fc00::1", "fec0::1"],
    "link-local": ["169.254.1.1", "fe80::1", "fe80::1%lo", "febf::1"],
    "metadata": ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
    "carrier-grade nat": ["100.64.0.1", "100.127.255.255"],
    "multicast and broadcast": ["224.0.0.1", "239.255.255.255", "ff02::1", "255.255.255.255"],
    "reserved and documentation": ["240.0.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.9", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.1", "2001:2::1"],
    "IPv4 in IPv6: mapped": ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:169.254.169.254"],
    "IPv4 in IPv6: compatible": ["::127.0.0.1", "::10.0.0.1"],
    "IPv4 in IPv6: 6to4": ["2002:7f00:1::", "2002:a00:1::1", "2002:808:808::1"],
    "IPv4 in IPv6: NAT64": ["64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::a00:1"],
    "IPv4 in IPv6: Teredo and ISATAP": ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "2a00::5efe:7f00:1"],
}
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "2a00:1450::1", "2606::1"]


@pytest.mark.parametrize("address", [each for kind in NOT_PUBLIC.values() for each in kind])
def test_no_address_that_is_not_public_is_asked(address: str) -> None:
    guard = Guard(resolve=lambda host, port: [address])

    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(ForbiddenAddress):
        guard.addresses("photos.example", 80)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_asked(address: str) -> None:
    assert Guard(resolve=lambda host, port: [address]).addresses("photos.example", 443) == [address]


def test_of_a_host_with_several_addresses_only_the_public_ones_are_asked() -> None:
    guard = Guard(resolve=lambda host, port: ["10.0.0.1", "8.8.8.8", "::1", "2606::1"])

    assert guard.addresses("photos.example", 80) == ["8.8.8.8", "2606::1"]


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/",  # 127.0.0.1 as one number
        "http://0x7f000001/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://0x7f.0.0.1/",
        "http://127.1/",
        "http://127.0.0.1./",
        "http://010.0.0.1/",
        "http://photos.example.127/",
        "http://[fe80::1%25lo]/",
        "http://good.example@127.0.0.1/",
        "http://user:word@photos.example/",
        "http://photos.example\\@127.0.0.1/",
        "http://photos.example /",
        "http://photos.example\t/",
        "http:///etc/passwd",
        "http://",
        "http://photos.example:99999/",
        "http://[::1",
        "file:///etc/passwd",
        "ftp://photos.example/a.jpg",
        "gopher://photos.example/",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "//photos.example/a.jpg",
        "photos.example/a.jpg",
        "",
        "http://photos.example:22/",
        "http://photos.example:6379/",
        "https://photos.example:25/",
    ],
)
def test_odd_spellings_and_other_ports_are_refused_before_any_name_is_looked_up(url: str) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["8.8.8.8"]

    with pytest.raises(ForbiddenAddress):
        Guard(resolve=resolve).check(url)
    with pytest.raises(PhotoNotFetched):
        fetch(url, Guard(resolve=resolve))

    assert asked == []


@pytest.mark.parametrize(
    "url", ["http://photos.example/a.jpg", "https://photos.example:8443/a", "http://8.8.8.8/a", "http://[2606::1]/a"]
)
def test_usual_addresses_are_not_refused(url: str) -> None:
    Guard().check(url)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "①②⑦.⓪.⓪.①", "[::1]", "[::ffff:7f00:1]"]
)
def test_this_machine_is_not_reached_by_any_of_its_names_with_the_machines_own_resolver(host: str) -> None:
    with served({"/": lambda handler: say(handler, b"secret")}) as (port, asked):
        guard = Guard(ports=frozenset({port}))

        with pytest.raises(PhotoNotFetched):
            fetch(f"http://{host}:{port}/", guard)
        with pytest.raises((ForbiddenAddress, OSError)):
            guard.connect(host.strip("[]"), port, 5)

    assert asked == []


def test_networks_are_read_from_a_list_or_refused_in_one_sentence() -> None:
    assert [str(network) for network in parse_networks("127.0.0.1/32, 10.0.0.0/8,fd00::/8")] == [
        "127.0.0.1/32",
        "10.0.0.0/8",
        "fd00::/8",
    ]
    assert parse_networks("") == ()
    with pytest.raises(SettingsError, match="write them like"):
        parse_networks("my-server")


def test_the_resolver_of_the_machine_gives_each_address_once() -> None:
    assert resolve_host("127.0.0.1", 80) == ["127.0.0.1"]


def say(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def missing(handler: BaseHTTPRequestHandler) -> None:
    say(handler, b"", 404)


def write(handler: BaseHTTPRequestHandler, raw: bytes) -> None:
    handler.wfile.write(raw)


@contextmanager
def served(answers: dict[str, Answer], host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[int, list[str]]]:
    """A server on one of this machine's addresses; gives its port and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.headers['Host']}{self.path}")
            try:
                answers.get(self.path, missing)(self)
            except (BrokenPipeError, ConnectionResetError):
                return

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            return

    server = ThreadingHTTPServer((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fetch(url: str, guard: Guard, *, largest: int = 1000, seconds: float = 20.0) -> bytes:
    return fetch_photo(url, guard, agent="test", largest=largest, seconds=seconds)


def guard_for(port: int, *answers: str) -> tuple[Guard, list[str]]:
    """A guard that lets 127.0.0.1 be asked, and a resolver that gives the answers in turn, the last for ever."""
    asked: list[str] = []

    def resolve(host: str, at: int) -> list[str]:
        asked.append(host)
        return [answers[min(len(asked), len(answers)) - 1]]

    return Guard(ONE, frozenset({port}), resolve), asked


def test_an_allowed_address_is_fetched_by_its_name_which_is_looked_up_once() -> None:
    with served({"/a.jpg": lambda handler: say(handler, b"photo")}) as (port, asked):
        guard, looked_up = guard_for(port, "127.0.0.1", "127.0.0.2")

        assert fetch(f"http://photos.example:{port}/a.jpg", guard) == b"photo"

    assert looked_up == ["photos.example"]
    assert asked == [f"photos.example:{port}/a.jpg"]  # the name stays in the request


def test_a_name_that_points_elsewhere_the_second_time_gains_nothing() -> None:
    again: Answer = lambda handler: say(handler, b"", 302, Location="/b.jpg", Connection="close")  # noqa: E731
    with (
        served({"/a.jpg": again, "/b.jpg": again}) as (port, asked),
        served({"/b.jpg": lambda handler: say(handler, b"secret")}, "127.0.0.2", port) as (_, secret),
    ):
        guard, looked_up = guard_for(port, "127.0.0.1", "127.0.0.2")

        with pytest.raises(ForbiddenAddress):
            fetch(f"http://photos.example:{port}/a.jpg", guard)

    assert (len(looked_up), len(asked), secret) == (2, 1, [])


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/s",
        "http://2130706434:{port}/s",
        "//127.0.0.2:{port}/s",
        "http://inside.example:{port}/s",
        "http://[::ffff:127.0.0.2]:{port}/s",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "http://127.0.0.1:1/s",
    ],
)
def test_a_redirect_leads_nowhere_that_could_not_have_been_asked_for(location: str) -> None:
    with served({"/s": lambda handler: say(handler, b"secret")}, "127.0.0.2") as (port, secret):
        away: Answer = lambda handler: say(handler, b"", 302, Location=location.format(port=port))  # noqa: E731
        with served({"/a.jpg": away}, port=port):
            guard = Guard(ONE, frozenset({port}), stub_inside)

            with pytest.raises(PhotoNotFetched):
                fetch(f"http://127.0.0.1:{port}/a.jpg", guard)

    assert secret == []


def stub_inside(host: str, port: int) -> list[str]:
    """Names of the inside network point there; addresses are themselves."""
    return ["127.0.0.2"] if host == "inside.example" else resolve_host(host, port)


def test_redirects_are_followed_so_far_and_no_farther_and_their_bodies_are_not_read() -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        step = int(handler.path[1:])
        handler.send_response(302)
        handler.send_header("Location", f"/{step - 1}")
        handler.end_headers()
        while True:  # a body without an end; the client goes, and with it the connection
            handler.wfile.write(bytes(1 << 16))

    steps: dict[str, Answer] = {f"/{step}": endless for step in range(1, REDIRECTS + 3)}
    with served({**steps, "/0": lambda handler: say(handler, b"photo")}) as (port, asked):
        guard, _ = guard_for(port, "127.0.0.1")

        assert fetch(f"http://127.0.0.1:{port}/{REDIRECTS}", guard) == b"photo"
        asked.clear()
        with pytest.raises(PhotoNotFetched):
            fetch(f"http://127.0.0.1:{port}/{REDIRECTS + 1}", guard)

    assert len(asked) == REDIRECTS + 1


def test_no_more_is_read_than_is_allowed_whatever_was_announced() -> None:
    def unannounced(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(1 << 16))

    answers: dict[str, Answer] = {
        "/announced": lambda handler: say(handler, b"", Content_Length="1001"),
        "/absurd": lambda handler: say(handler, b"", Content_Length="9" * 5000),
        "/endless": unannounced,
    }
    with served(answers) as (port, _):
        guard, _ = guard_for(port, "127.0.0.1")

        for path in ("announced", "absurd", "endless"):
            with pytest.raises(PhotoTooLarge):
                fetch(f"http://127.0.0.1:{port}/{path}", guard)


def test_a_packed_answer_is_refused_rather_than_unpacked() -> None:
    bomb = gzip.compress(bytes(1_000_000))
    with served({"/a.jpg": lambda handler: say(handler, bomb, Content_Encoding="gzip")}) as (port, _):
        guard, _ = guard_for(port, "127.0.0.1")

        with pytest.raises(PhotoNotFetched, match="compressed"):
            fetch(f"http://127.0.0.1:{port}/a.jpg", guard, largest=1_000_000)


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_sends_a_byte_now_and_then_is_left(part: str) -> None:
    gone = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if part == "body" else b""))
        try:
            while True:  # ends with the connection alone
                handler.wfile.write(b"X")
                gone.wait(0.02)
        finally:
            gone.set()

    with served({"/a.jpg": drip}) as (port, _):
        guard, _ = guard_for(port, "127.0.0.1")

        with pytest.raises(PhotoNotFetched, match=r"within 0\.3 seconds"):
            fetch(f"http://127.0.0.1:{port}/a.jpg", guard, largest=10**9, seconds=0.3)

        assert gone.wait(20)


@pytest.mark.parametrize("raw", [b"", b"no http\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n"])
def test_what_is_no_answer_is_told_without_repeating_it(raw: bytes) -> None:
    with served({"/a.jpg": lambda handler: write(handler, raw)}) as (port, _):
        guard, _ = guard_for(port, "127.0.0.1")

        with pytest.raises(PhotoNotFetched, match="does not answer, or breaks off"):
            fetch(f"http://127.0.0.1:{port}/a.jpg", guard)


def test_proxies_and_passwords_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with served({}) as (proxy, proxied), served({"/a.jpg": lambda handler: say(handler, b"photo")}) as (port, _):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy}")
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy}")
        monkeypatch.setenv("no_proxy", "")
        guard, _ = guard_for(port, "127.0.0.1")

        assert fetch(f"http://photos.example:{port}/a.jpg", guard) == b"photo"

    assert proxied == []


def test_a_connection_goes_to_the_address_it_was_meant_for() -> None:
    with served({}, "127.0.0.2") as (port, _):
        connection = connect_to("127.0.0.2", port, 5)

        assert connection.getpeername() == ("127.0.0.2", port)
        connection.close()
