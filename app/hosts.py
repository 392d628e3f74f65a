"""Names and addresses of machines: how they are read, which stay on this one, and which are on the public internet."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections.abc import Iterable, Sequence
from functools import cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SPECIAL = (
    "0.0.0.0/8",  # this network (RFC 791)
    "10.0.0.0/8",  # private use (RFC 1918)
    "100.64.0.0/10",  # shared by the customers of a carrier (RFC 6598)
    "127.0.0.0/8",  # loopback (RFC 1122)
    "169.254.0.0/16",  # link local, where clouds keep their metadata (RFC 3927)
    "172.16.0.0/12",  # private use (RFC 1918)
    "192.0.0.0/24",  # protocol assignments (RFC 6890)
    "192.0.2.0/24",  # documentation (RFC 5737)
    "192.88.99.0/24",  # relays of 6to4, given up (RFC 7526)
    "192.168.0.0/16",  # private use (RFC 1918)
    "198.18.0.0/15",  # benchmarks (RFC 2544)
    "198.51.100.0/24",  # documentation (RFC 5737)
    "203.0.113.0/24",  # documentation (RFC 5737)
    "224.0.0.0/4",  # multicast (RFC 1112)
    "240.0.0.0/4",  # reserved, and broadcast at its end (RFC 1112, RFC 919)
    "2001::/23",  # protocol assignments, Teredo among them (RFC 2928, RFC 4380)
    "2001:db8::/32",  # documentation (RFC 3849)
    "2002::/16",  # 6to4, given up (RFC 3056, RFC 7526)
    "3fff::/20",  # documentation (RFC 9637)
)
"""What is not on the public internet, by the registries of IANA for special purposes of IPv4 and IPv6.

Of IPv6 it is what lies in `_ASSIGNED`: of the rest nothing is.
"""
_ASSIGNED = "2000::/3"
_TRANSLATED = "64:ff9b::/96"
"""Addresses that a gateway turns into the IPv4 address in their last four bytes (RFC 6052)."""
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The third quarter of an address of a tunnel that ends at the IPv4 address in its last four bytes (RFC 5214)."""

_resolving = threading.Semaphore(16)
"""Names that are being resolved; of one that nobody answers for the system keeps a thread waiting."""


def is_loopback(host: str) -> bool:
    """Tell whether an address or host name stays on this machine."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def read_address(text: str) -> Address | None:
    """Read an IP address, None where it is none; an IPv4 address that is written as IPv6 is itself.

    Args:
        text: as proxies and sockets write it: perhaps with brackets, a port or a zone behind it.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_among(text: str, networks: Iterable[Network]) -> bool:
    """Tell whether an IP address, as `read_address` reads it, is in one of some networks."""
    address = read_address(text)
    return address is not None and any(address in network for network in networks)


def is_public(text: str) -> bool:
    """Tell whether an IP address is one of the public internet, and the IPv4 address inside of it, if there is one."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        last = ipaddress.IPv4Address(address.packed[-4:])
        if address.ipv4_mapped is not None or address in _networks(_TRANSLATED)[0]:
            return is_public(str(last))
        if int(address) >> 32 & 0xFFFFFFFF in _ISATAP and not is_public(str(last)):
            return False
        if address not in _networks(_ASSIGNED)[0]:
            return False
    return not any(address in network for network in _networks(*_SPECIAL))


@cache
def _networks(*written: str) -> Sequence[Network]:
    return tuple(map(ipaddress.ip_network, written))


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of a host, as they are written.

    The system gives no deadline for that: a thread of its own waits for it, and is left behind when it is late.

    Args:
        host: a name, or an address in any spelling that the system takes.
        port: where to connect to.
        seconds: how long it may take.

    Raises:
        TimeoutError: it takes longer, or so do too many others.
        OSError: there is no such host.
    """
    if not _resolving.acquire(timeout=seconds):
        raise TimeoutError
    answered: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answered.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
        except Exception as error:
            answered.put(error)
        finally:
            _resolving.release()

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answered.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(answer, Exception):
        raise answer
    return answer
