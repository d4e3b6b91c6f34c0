# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing free subnets and addresses. Pure arithmetic: what is taken is handed in."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from .checks import IPAddress, IPNetwork

DEFAULT_POOLS = ("192.168.128.0/17", "172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/17")
"""All of the private IPv4 space (RFC 1918). The lower half of 192.168.0.0/16 comes last: home routers live there,
and a network that a laptop will join tomorrow cannot be seen today."""


_LARGE_PART = 16
"""Of fd00::/8, by its prefix length."""


def overlapping(subnet: IPNetwork, taken: Iterable[IPNetwork]) -> IPNetwork | None:
    """The first of ``taken`` that shares an address with ``subnet``."""
    for other in taken:
        if other.version == subnet.version and subnet.overlaps(other):
            return other
    return None


def first_free(pools: Sequence[IPNetwork], prefix: int, taken: Sequence[IPNetwork]) -> IPNetwork | None:
    """The lowest free subnet of length ``prefix`` in the first of ``pools`` that has one.

    A range that is taken is stepped over whole, so a host with a route to 10.0.0.0/8 costs one step and not 65,536; and all of
    them are gone through once, as a router has a million.
    """
    for pool in pools:
        if prefix < pool.prefixlen:
            continue
        size = 1 << (pool.max_prefixlen - prefix)
        start, end = _ends(pool)
        spans = [_ends(item) for item in taken if item.version == pool.version]
        for first, last in sorted(span for span in spans if span[0] <= end and span[1] >= start):
            if first >= start + size:
                break
            start = max(start, (last + size) // size * size)
        if start + size - 1 <= end:
            return _network(pool, start, prefix)
    return None


def _ends(subnet: IPNetwork) -> tuple[int, int]:
    """The first and the last address as numbers."""
    first = int(subnet.network_address)
    return first, first + (1 << (subnet.max_prefixlen - subnet.prefixlen)) - 1


def _network(pool: IPNetwork, start: int, prefix: int) -> IPNetwork:
    return type(pool)((start, prefix))


def unique_local(name: str, taken: Sequence[IPNetwork]) -> IPNetwork:
    """A free IPv6 /64 of the unique local range (RFC 4193), the same for the same name while it is free.

    A route to a large part of the whole range claims nothing: 56 bits that were drawn do not meet what is behind it.
    """
    taken = [item for item in taken if item.version == 6 and item.prefixlen > _LARGE_PART]
    attempt = 0
    while True:
        seed = hashlib.sha256(f"{name} {attempt}".encode()).digest()
        packed = b"\xfd" + seed[:7] + bytes(8)
        candidate = ipaddress.IPv6Network((packed, 64))
        if overlapping(candidate, taken) is None:
            return candidate
        attempt += 1


def hosts(subnet: IPNetwork) -> Iterator[IPAddress]:
    """The addresses that hosts of ``subnet`` can have, lowest first."""
    return iter(subnet.hosts())


def first_free_address(subnet: IPNetwork, taken: Iterable[IPAddress]) -> IPAddress | None:
    """The lowest address of ``subnet`` that is not in ``taken`` (which includes the gateway)."""
    used = set(taken)
    for candidate in hosts(subnet):
        if candidate not in used:
            return candidate
    return None
