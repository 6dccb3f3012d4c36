"""Protection against server-side request forgery: which addresses a photo given by URL may be fetched from.

A server that fetches URLs from strangers can be turned against its own network: the loopback interface, the router,
the metadata service of its cloud. So a host name is resolved once, only public addresses are kept, the connection
goes to such an address, and its peer is compared. Nothing is resolved again between check and connection, which
prevents DNS rebinding. Standard library only.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from retrieval.errors import ForbiddenAddress, SettingsError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]
"""Resolves a host and a port to addresses, as text; raises OSError if there are none."""

SCHEMES: Final = ("http", "https")
PORTS: Final = frozenset({80, 443, 8080, 8443})
TRIED: Final = 3  # addresses tried per host, each up to the timeout
NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        # IANA's special-purpose registry for IPv4, whole: its reachable addresses are no photo servers either.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # looks public, but is Azure's metadata service
        # Within 2000::/3, the global unicast addresses of IPv6:
        *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    )
)
GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
"""Excludes loopback, unique local, link-local and multicast addresses, and IPv4 addresses embedded in IPv6: mapped
(::ffff:0:0/96), compatible (::/96) and translated (64:ff9b::/96, 64:ff9b:1::/48)."""
ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})  # bits 64 to 95 of an address that tunnels to an IPv4 address
NUMERIC: Final = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)\.?", re.IGNORECASE)
"""Hosts that resolvers parse as IPv4 addresses: 2130706433, 0x7f.1, 0177.0.0.1."""


def is_public(address: Address) -> bool:
    """Return whether an address is on the public internet, and no tunnel to another address."""
    if address.version == 6 and (address not in GLOBAL_UNICAST or (int(address) >> 32) & 0xFFFFFFFF in ISATAP):
        return False
    return not any(address.version == network.version and address in network for network in NOT_PUBLIC)


def resolve_host(host: str, port: int) -> list[str]:
    """Resolve a host with this machine's resolver; returns distinct addresses, raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse a list of networks such as `127.0.0.1/32, 10.1.0.0/16`; raises SettingsError."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(
            f"{text!r} is not a list of networks ({error}); write them like 192.168.7.0/24, separated by commas"
        ) from error


@dataclass(frozen=True, slots=True)
class Guard:
    """Decides which addresses a photo may be fetched from, and connects to them.

    `allowed` are private networks that are exempt, such as that of a society's own photo server.
    """

    allowed: tuple[Network, ...] = ()
    ports: frozenset[int] = PORTS
    resolve: Resolver = resolve_host

    def check(self, url: str) -> None:
        """Raise ForbiddenAddress for a URL that must not be fetched; resolves no name."""
        try:
            parts = urlsplit(url)
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        except ValueError as error:
            raise ForbiddenAddress("this is not a web address") from error
        host = parts.hostname or ""
        if parts.scheme not in SCHEMES or not host:
            raise ForbiddenAddress("only addresses that begin with http:// or https:// and name a host are fetched")
        if parts.username is not None or parts.password is not None:
            raise ForbiddenAddress("an address with a user name or password is not fetched")
        if "%" in host or "\\" in url or any(ord(sign) <= 32 for sign in url):
            raise ForbiddenAddress("this is not a web address")
        if NUMERIC.fullmatch(host) and not is_plain_ipv4(host):
            raise ForbiddenAddress("the host is a number; write its address as four numbers with dots")
        if port not in self.ports and not self.allows_literal(host):
            raise ForbiddenAddress(f"port {port} is not allowed, only {', '.join(map(str, sorted(self.ports)))}")

    def allows_literal(self, host: str) -> bool:
        """Return whether the host is a literal address in an allowed network; such hosts may use any port."""
        try:
            return self.allows(ipaddress.ip_address(host))
        except ValueError:
            return False

    def allows(self, address: Address) -> bool:
        """Return whether the address is in an allowed network."""
        return any(address.version == network.version and address in network for network in self.allowed)

    def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a host once and return its permitted addresses; raises ForbiddenAddress if there are none.

        The message does not reveal whether the name exists, or clients could scan the server's own network.
        """
        try:
            found = [ipaddress.ip_address(text) for text in self.resolve(host, port)]
        except (OSError, ValueError):  # UnicodeError, for labels that are too long, is a ValueError
            found = []
        kept = [str(address) for address in found if is_public(address) or self.allows(address)]
        if not kept:
            raise ForbiddenAddress("its server is not known, or not on the public internet")
        return kept[:TRIED]

    def connect(self, host: str, port: int, timeout: float | None) -> socket.socket:
        """Connect to one of the host's permitted addresses.

        Raises ForbiddenAddress if there are none, OSError if none of them answers.
        """
        fault = OSError("no address")
        for address in self.addresses(host, port):
            try:
                return connect_to(address, port, timeout)
            except OSError as error:
                fault = error
        raise fault


def is_plain_ipv4(host: str) -> bool:
    """Return whether the host is an IPv4 address in canonical notation."""
    try:
        return str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False


def connect_to(address: str, port: int, timeout: float | None) -> socket.socket:
    """Connect to a literal address and verify the peer's address; raises ForbiddenAddress if it differs."""
    wanted = ipaddress.ip_address(address)
    family = socket.AF_INET6 if wanted.version == 6 else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect((address, port))
        if ipaddress.ip_address(connection.getpeername()[0]) != wanted:
            raise ForbiddenAddress("the connection went to another address than intended")
    except BaseException:
        connection.close()
        raise
    return connection
