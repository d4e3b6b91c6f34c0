# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free subnets and addresses."""

from __future__ import annotations

import ipaddress
import random
import time

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import subnet
from ansible_collections.nodeforge.kic.plugins.module_utils._core.checks import IPNetwork


def nets(*texts: str) -> list[IPNetwork]:
    """Networks from their texts."""
    return [ipaddress.ip_network(text) for text in texts]


@pytest.mark.parametrize(
    ("mine", "taken", "other"),
    [
        ("10.0.0.0/24", ["10.0.1.0/24"], None),
        ("10.0.0.0/24", ["10.0.0.0/24"], "10.0.0.0/24"),
        ("10.0.0.0/24", ["10.0.0.7/32"], "10.0.0.7/32"),
        ("10.0.0.0/24", ["10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/24"], "10.0.0.0/8"),
        ("fd00::/64", ["10.0.0.0/8", "fd00::/16"], "fd00::/16"),
        ("0.0.0.0/8", ["::/0"], None),
    ],
    ids=["next to", "same", "inside", "first of two", "IPv6", "other version"],
)
def test_overlapping(mine: str, taken: list[str], other: str | None) -> None:
    """The first range that shares an address is found; IP versions have none in common."""
    found = subnet.overlapping(nets(mine)[0], nets(*taken))
    assert (str(found) if found else None) == other


@pytest.mark.parametrize(
    ("pools", "prefix", "taken", "free"),
    [
        (["10.0.0.0/8"], 24, [], "10.0.0.0/24"),
        (["10.0.0.0/8"], 24, ["10.0.0.0/24"], "10.0.1.0/24"),
        (["10.0.0.0/8"], 24, ["10.0.0.9/32"], "10.0.1.0/24"),
        (["10.0.0.0/8"], 24, ["10.0.0.0/23", "10.0.3.0/24"], "10.0.2.0/24"),
        (["10.0.0.0/8"], 16, ["10.0.0.0/15", "10.2.3.0/24"], "10.3.0.0/16"),
        (["10.0.0.0/24"], 24, ["10.0.0.0/24"], None),
        (["10.0.0.0/24"], 23, [], None),
        (["10.0.0.0/24"], 26, ["10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26"], "10.0.0.192/26"),
        (["10.0.0.0/24", "172.16.0.0/12"], 24, ["10.0.0.0/8"], "172.16.0.0/24"),
        (["10.0.0.0/25", "172.16.0.0/12"], 24, [], "172.16.0.0/24"),
        (["10.0.0.0/24"], 24, ["fd00::/8"], "10.0.0.0/24"),
        (["255.255.255.0/24"], 25, ["255.255.255.0/25"], "255.255.255.128/25"),
        (["255.255.255.0/24"], 25, ["255.255.255.0/24"], None),
        ([], 24, [], None),
    ],
)
def test_first_free(pools: list[str], prefix: int, taken: list[str], free: str | None) -> None:
    """The lowest free subnet in the first pool that has one; it lies on a boundary of its own size."""
    found = subnet.first_free(nets(*pools), prefix, nets(*taken))
    assert (str(found) if found else None) == free


def test_default_pools_are_private() -> None:
    """The default pools are the private space, each address once, home routers' part last."""
    pools = nets(*subnet.DEFAULT_POOLS)
    assert sorted(ipaddress.collapse_addresses(pools)) == nets(  # type: ignore[type-var]
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"
    )
    assert subnet.first_free(pools, 24, []) == nets("192.168.128.0/24")[0]
    assert pools[-1] == nets("192.168.0.0/17")[0]


def test_large_route_is_one_step() -> None:
    """A route to all of 10.0.0.0/8 is stepped over at once, not a /29 at a time."""
    begin = time.perf_counter()
    assert subnet.first_free(nets("10.0.0.0/8"), 29, nets("10.0.0.0/8")) is None
    assert time.perf_counter() - begin < 0.5


@pytest.mark.parametrize(
    ("taken", "free"),
    [
        ([f"10.{high}.{low}.0/24" for high in range(80) for low in range(256)], "10.80.0.0/24"),
        (
            [f"{high}.{mid}.{low}.0/24" for high in range(20, 84) for mid in range(16) for low in range(20)],
            "10.0.0.0/24",
        ),
    ],
    ids=["of a site", "of the internet"],
)
def test_many_routes(taken: list[str], free: str) -> None:
    """A router has the routes of all: they are gone through once, not once for each step."""
    known = nets(*taken)
    begin = time.perf_counter()
    assert subnet.first_free(nets("10.0.0.0/8"), 24, known) == nets(free)[0]
    assert time.perf_counter() - begin < 10


def test_order_does_not_matter() -> None:
    """Ranges of all lengths, in any order, that overlap each other."""
    source = random.Random(7)
    for _attempt in range(200):
        taken = [
            ipaddress.ip_network((0x0A000000 + source.randrange(1 << 16), source.randrange(16, 33)), strict=False)
            for _count in range(source.randrange(40))
        ]
        pool, prefix = ipaddress.ip_network("10.0.0.0/16"), source.randrange(18, 29)
        free = (item for item in pool.subnets(new_prefix=prefix) if subnet.overlapping(item, taken) is None)
        assert subnet.first_free([pool], prefix, taken) == next(free, None)


def test_unique_local() -> None:
    """A name has its own /64 of fd00::/8, and another one when that is taken."""
    first = subnet.unique_local("kic", [])
    assert first.prefixlen == 64
    assert first.network_address.packed[0] == 0xFD
    assert subnet.unique_local("kic", []) == first
    assert subnet.unique_local("other", []) != first
    second = subnet.unique_local("kic", [first])
    assert second != first
    assert subnet.unique_local("kic", [first, second]) not in (first, second)


@pytest.mark.parametrize("taken", [["fd00::/8"], ["fc00::/7"], ["fd00::/9", "fd80::/9"], ["10.0.0.0/8"]])
def test_unique_local_behind_a_route_to_all_of_it(taken: list[str]) -> None:
    """A route to the whole range does not keep us from drawing one in it, nor draw for ever."""
    assert subnet.unique_local("kic", nets(*taken)) == subnet.unique_local("kic", [])


@pytest.mark.parametrize(
    ("net", "taken", "free"),
    [
        ("10.0.0.0/29", [], "10.0.0.1"),
        ("10.0.0.0/29", ["10.0.0.1", "10.0.0.3"], "10.0.0.2"),
        ("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"], None),
        ("fd00::/64", ["fd00::1"], "fd00::2"),
    ],
)
def test_first_free_address(net: str, taken: list[str], free: str | None) -> None:
    """The lowest address of a host that is not taken; never the network's own or the broadcast address."""
    found = subnet.first_free_address(nets(net)[0], [ipaddress.ip_address(item) for item in taken])
    assert (str(found) if found else None) == free
