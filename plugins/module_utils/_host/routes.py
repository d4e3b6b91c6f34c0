# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses this machine already routes somewhere, read from /proc so that no program is needed."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from .._core.checks import IPNetwork
from .files import lines, read

# /proc/net/fib_trie prints each table as a tree: a prefix ("|-- 10.0.0.0"), and below it the lengths that it has in
# that table ("/24 link UNICAST"). Unlike /proc/net/route it shows every table, also those that policy rules of a VPN
# lead to (kernel: net/ipv4/fib_trie.c, fib_trie_seq_show).
_PREFIX = re.compile(r"\|--\s+(\S+)")
_LENGTH = re.compile(r"^\s*/(\d+)\s+(\S+)\s+(\S+)")
_GUARDS = ("BLACKHOLE", "UNREACHABLE", "PROHIBIT")
_KINDS = ("UNICAST", "LOCAL", *_GUARDS)

# A default route, whole or in parts as VPN clients write it (halves, quarters, or all that is left next to a hole), claims
# no address. No private range of IPv4 is shorter than 10.0.0.0/8; of IPv6 2000::/3 is all that is routed in public.
_DEFAULT_LENGTH = 7
_DEFAULT_LENGTH6 = 3

_GUARD_LENGTH = 16
"""A route that leads nowhere and is as broad as this keeps what nothing else routes from leaving by the default route: it
hides no host, as a network of an engine is more specific. A narrower one reserves its range for somebody (Calico)."""
_REJECT = 0x0200
"""RTF_REJECT of linux/route.h."""


@dataclass(frozen=True)
class Entry:
    """A line of a routing table: its destination, its scope (``host``, ``link``, …) and kind (``UNICAST``, …)."""

    network: ipaddress.IPv4Network
    scope: str
    kind: str

    @property
    def single(self) -> bool:
        """Whether it is about one address."""
        return self.network.prefixlen == self.network.max_prefixlen


def parse_trie(text: str) -> list[Entry]:
    """All lines of all routing tables, in the order of the kernel."""
    found = []
    prefix = ""
    for line in lines(text):
        match = _PREFIX.search(line)
        if match:
            prefix = match.group(1)
            continue
        match = _LENGTH.match(line)
        if match and prefix:
            network = ipaddress.IPv4Network((prefix, int(match.group(1))), strict=False)
            found.append(Entry(network, match.group(2), match.group(3)))
    return found


def parse_fib_trie(text: str, *, guards: bool = False) -> list[IPNetwork]:
    """The IPv4 destinations of all routing tables but default routes; each once, in the order of the kernel.

    With ``guards`` only those broad ones that lead nowhere, else all but them.
    """
    found: dict[IPNetwork, None] = {}
    for item in parse_trie(text):
        length = item.network.prefixlen
        if item.kind not in _KINDS or length <= _DEFAULT_LENGTH:
            continue
        if guards is (item.kind in _GUARDS and length <= _GUARD_LENGTH):
            found[item.network] = None
    return list(found)


def parse_ipv6_route(text: str) -> list[IPNetwork]:
    """The IPv6 destinations of /proc/net/ipv6_route but default routes and such that lead nowhere (format: kernel
    net/ipv6/route.c)."""
    found: dict[IPNetwork, None] = {}
    for line in lines(text):
        fields = line.split()
        if len(fields) < 2 or int(fields[1], 16) <= _DEFAULT_LENGTH6:
            continue
        if len(fields) > 8 and int(fields[8], 16) & _REJECT:
            continue
        packed = bytes.fromhex(fields[0])
        found[ipaddress.IPv6Network((packed, int(fields[1], 16)), strict=False)] = None
    return list(found)


def routed() -> list[IPNetwork]:
    """What this machine routes, of both IP versions."""
    return parse_fib_trie(_read("/proc/net/fib_trie")) + parse_ipv6_route(_read("/proc/net/ipv6_route"))


def guards() -> list[IPNetwork]:
    """Broad IPv4 ranges that this machine routes nowhere, so that they do not leave it: taken only where all else is."""
    return parse_fib_trie(_read("/proc/net/fib_trie"), guards=True)


def has_ipv6() -> bool:
    """Whether the kernel has IPv6, gives it to interfaces to come, such as bridges, and there is one with a global address
    (if_inet6's scope 00)."""
    if _read("/proc/sys/net/ipv6/conf/default/disable_ipv6").strip() == "1":
        return False
    return any(line.split()[3] == "00" for line in lines(_read("/proc/net/if_inet6")))


def parse_default_interface(text: str) -> str | None:
    """The interface of the IPv4 default route with the lowest metric, from /proc/net/route."""
    best: tuple[int, str] | None = None
    for line in lines(text)[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == "00000000" and fields[7] == "00000000":
            candidate = (int(fields[6]), fields[0])
            best = min(best, candidate) if best else candidate
    return best[1] if best else None


def default_route_mtu() -> int | None:
    """MTU of the interface that leads to the outside; None without a default route."""
    interface = parse_default_interface(_read("/proc/net/route"))
    content = _read(f"/sys/class/net/{interface}/mtu") if interface else ""
    return int(content) if content else None


def _read(path: str) -> str:
    # A kernel without IPv6 or without policy routing has no such file, and so nothing to say.
    return read(path) or ""
