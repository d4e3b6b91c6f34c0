# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes of a machine, from recorded files of the kernel."""

from __future__ import annotations

import ipaddress

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host import routes
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import proc


def table(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    """Let the kernel's files be those of ``files``."""
    monkeypatch.setattr(routes, "read", files.get)


def test_fib_trie_of_node() -> None:
    """The destinations of a network namespace; the default route and broadcast addresses claim nothing."""
    assert [str(item) for item in routes.parse_fib_trie(proc("fib_trie-node"))] == [
        "127.0.0.0/8",
        "127.0.0.1/32",
        "192.168.231.0/24",
        "192.168.231.10/32",
    ]


def test_fib_trie_of_host() -> None:
    """Each destination once, though the tables main and local show the same."""
    found = routes.parse_fib_trie(proc("fib_trie-host"))
    assert ipaddress.ip_network("192.0.2.0/24") in found
    assert len(found) == len(set(found))
    assert all(item.prefixlen > 1 for item in found)


# Made by hand after net/ipv4/fib_trie.c: a VPN's default route in two halves, and routes that lead nowhere.
VPN = """Id 51820:
  +-- 0.0.0.0/0 2 0 2
     |-- 0.0.0.0
        /1 universe UNICAST
     |-- 10.9.0.0
        /16 universe UNICAST
        /24 link UNICAST
     |-- 128.0.0.0
        /1 universe UNICAST
     |-- 172.20.0.0
        /14 universe BLACKHOLE
     |-- 172.30.0.0
        /16 universe UNREACHABLE
     |-- 172.31.0.0
        /16 universe PROHIBIT
     |-- 224.0.0.0
        /4 universe MULTICAST
     |-- 172.29.0.0
        /16 universe THROW
"""


def test_fib_trie_of_vpn() -> None:
    """Tables that policy rules lead to count; of one prefix all lengths; halves of a default route claim nothing."""
    assert [str(item) for item in routes.parse_fib_trie(VPN)] == ["10.9.0.0/16", "10.9.0.0/24"]


def test_routes_that_lead_nowhere() -> None:
    """Broad ones guard what nobody has; a narrow one is the range of somebody, as Calico reserves it."""
    assert [str(item) for item in routes.parse_fib_trie(VPN, guards=True)] == [
        "172.20.0.0/14",
        "172.30.0.0/16",
        "172.31.0.0/16",
    ]
    narrow = "  +-- 0.0.0.0/0 2 0 2\n     |-- 10.244.7.0\n        /26 universe BLACKHOLE\n"
    assert [str(item) for item in routes.parse_fib_trie(narrow)] == ["10.244.7.0/26"]
    assert routes.parse_fib_trie(narrow, guards=True) == []


def trie(*ranges: str) -> str:
    """A table of routes into a tunnel."""
    lines = ["Main:", "  +-- 0.0.0.0/0 2 0 2"]
    for text in ranges:
        prefix, _slash, length = text.partition("/")
        lines += [f"     |-- {prefix}", f"        /{length} universe UNICAST"]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "ranges",
    [
        ("0.0.0.0/0",),
        ("0.0.0.0/1", "128.0.0.0/1"),
        ("0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"),
        tuple(f"{number << 5}.0.0.0/3" for number in range(8)),
        ("0.0.0.0/5", "8.0.0.0/7", "172.0.0.0/6"),
    ],
)
def test_default_route_in_parts(ranges: tuple[str, ...]) -> None:
    """However many parts a VPN client writes its default route in, they claim nothing."""
    assert routes.parse_fib_trie(trie(*ranges)) == []


def test_route_of_a_site() -> None:
    """A route to all of a private range is one to hosts."""
    assert [str(item) for item in routes.parse_fib_trie(trie("10.0.0.0/8"))] == ["10.0.0.0/8"]


def test_ipv6_routes_that_lead_nowhere() -> None:
    """An unreachable route (RTF_REJECT) and a VPN's part of the public range claim nothing."""
    line = "{} {:02x} " + "0" * 32 + " 00 " + "0" * 32 + " 00000400 00000001 00000000 {} lo"
    text = "\n".join(
        (
            line.format("fc" + "0" * 30, 7, "00200200"),
            line.format("2" + "0" * 31, 3, "00000001"),
            line.format("fd07" + "0" * 28, 16, "00000001"),
        )
    )
    assert [str(item) for item in routes.parse_ipv6_route(text)] == ["fd07::/16"]


def test_ipv6_route() -> None:
    """The IPv6 destinations but the default route, each once."""
    assert [str(item) for item in routes.parse_ipv6_route(proc("ipv6_route-node"))] == [
        "fd12:3456:789a::/64",
        "fe80::/64",
        "::1/128",
        "fd12:3456:789a::10/128",
        "fe80::4c7b:e9ff:fe44:a6aa/128",
        "ff00::/8",
    ]
    assert routes.parse_ipv6_route("\n") == []


def test_routed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is routed is that of both versions; a kernel without IPv6 has that of one."""
    files = {"/proc/net/fib_trie": proc("fib_trie-node"), "/proc/net/ipv6_route": proc("ipv6_route-node")}
    table(monkeypatch, files)
    assert {item.version for item in routes.routed()} == {4, 6}
    del files["/proc/net/ipv6_route"]
    assert {item.version for item in routes.routed()} == {4}


LINK_LOCAL = "fe800000000000004c7be9fffe44a6aa 02 40 20 80     eth0\n"
LOOPBACK = "00000000000000000000000000000001 01 80 10 80       lo\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [(proc("if_inet6-node"), True), (LOOPBACK + LINK_LOCAL, False), (LOOPBACK, False), (None, False)],
    ids=["global", "link-local", "loopback", "none"],
)
def test_has_ipv6(monkeypatch: pytest.MonkeyPatch, text: str | None, expected: bool) -> None:
    """A host has IPv6 when an interface has a global address."""
    table(monkeypatch, {} if text is None else {"/proc/net/if_inet6": text})
    assert routes.has_ipv6() is expected


@pytest.mark.parametrize(("value", "expected"), [("0\n", True), ("1\n", False)])
def test_no_ipv6_for_bridges(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    """Where somebody switched it off for new interfaces, a bridge cannot have an address, though the host has one."""
    files = {"/proc/net/if_inet6": proc("if_inet6-node"), "/proc/sys/net/ipv6/conf/default/disable_ipv6": value}
    table(monkeypatch, files)
    assert routes.has_ipv6() is expected


HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def default(interface: str, metric: int, destination: str = "00000000", mask: str = "00000000") -> str:
    """A line of /proc/net/route."""
    return f"{interface}\t{destination}\t01E7A8C0\t0003\t0\t0\t{metric}\t{mask}\t0\t0\t0\n"


@pytest.mark.parametrize(
    ("text", "interface"),
    [
        (proc("route-node"), "eth0"),
        (HEADER + default("wlan0", 600) + default("eth0", 100), "eth0"),
        (HEADER + default("wlan0", 20) + default("eth0", 100), "wlan0"),
        (HEADER + default("tun0", 0, mask="00000080") + default("eth0", 100), "eth0"),
        (HEADER + default("eth0", 0, "0000A8C0", "0000FFFF"), None),
        (HEADER, None),
        ("", None),
    ],
    ids=["node", "lowest metric last", "lowest metric first", "half a route", "no default", "no routes", "no file"],
)
def test_default_interface(text: str, interface: str | None) -> None:
    """The way out is the default route with the lowest metric."""
    assert routes.parse_default_interface(text) == interface


@pytest.mark.parametrize(
    ("files", "mtu"),
    [
        ({"/proc/net/route": proc("route-node"), "/sys/class/net/eth0/mtu": "1400\n"}, 1400),
        ({"/proc/net/route": proc("route-node")}, None),
        ({"/proc/net/route": HEADER}, None),
        ({}, None),
    ],
    ids=["known", "interface is gone", "no default route", "no file"],
)
def test_default_route_mtu(monkeypatch: pytest.MonkeyPatch, files: dict[str, str], mtu: int | None) -> None:
    """The MTU of the way out, or None without one."""
    table(monkeypatch, files)
    assert routes.default_route_mtu() == mtu
