# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans of networks, and how they are done on an engine in memory."""

from __future__ import annotations

import ipaddress
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, Plan, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._core.subnet import DEFAULT_POOLS
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import docker
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Attached, Network
from ansible_collections.nodeforge.kic.plugins.module_utils._host import routes
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.network import (
    NetworkResource,
    NetworkSpec,
    ObservedNetwork,
    Surroundings,
    administrators_pools,
    allocate,
    describe,
    find_drift,
    look_around,
    network_named,
    plan_network,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    OURS,
    MemoryEngine,
    engine_info,
    fails,
    network,
    network_params,
)


def spec(**given: Any) -> NetworkSpec:
    """A network as a user asks for it."""
    return NetworkSpec.from_params(network_params(**given))


def around(*taken: str, mtu: int | None = 1500, ipv6: bool = False) -> Surroundings:
    """Surroundings in which ``taken`` are routes."""
    return Surroundings(tuple((ipaddress.ip_network(item), f"route {item}") for item in taken), mtu, ipv6)


def planned(asked: NetworkSpec, observed: ObservedNetwork | None, surroundings: Surroundings | None = None) -> Plan:
    """The plan on podman."""
    return plan_network(asked, observed or ObservedNetwork(None), surroundings or around(), "podman")


def created(plan: Plan) -> Network:
    """The network that the plan creates."""
    engine = MemoryEngine()
    next(item for item in plan.operations if item.verb == "create").run(engine)
    (found,) = engine.networks()
    return found


def seen(*users: str, **given: Any) -> ObservedNetwork:
    """The network kic as it is, and who uses it."""
    found = replace(network("kic", "10.5.0.0/24", mtu=1500), **given)
    return ObservedNetwork(found, tuple(Attached(f"id-{name}", name, {}) for name in users))


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "a b"}, "name: 'a b' is not a name", "set name"),
    ({"subnet": "10.0.0.0"}, "subnet: '10.0.0.0' is not a CIDR", "like 192.168.200.0/24"),
    ({"subnet": "10.0.0.1/24"}, "subnet: '10.0.0.1/24' has host bits set", "write 10.0.0.0/24"),
    ({"subnet": "x/24"}, "subnet: 'x/24' is not a CIDR", "like 192.168.200.0/24"),
    ({"subnet": "fd00::/64"}, "subnet: 'fd00::/64' is not IPv4", "give an IPv4 network"),
    ({"subnet": "10.0.0.0/30"}, "subnet: 10.0.0.0/30 cannot hold nodes", "29 or less"),
    ({"subnet6": "10.0.0.0/24"}, "subnet6: '10.0.0.0/24' is not IPv6", "give an IPv6 network"),
    ({"gateway": "10.0.0.1"}, "gateway: needs a subnet", "set subnet too"),
    ({"gateway": "x", "subnet": "10.0.0.0/24"}, "gateway: 'x' is not an IP address", "like 192.168.200.2"),
    ({"gateway": "10.1.0.1", "subnet": "10.0.0.0/24"}, "gateway: 10.1.0.1 is outside the subnet", "inside 10.0.0.0/24"),
    ({"gateway": "10.0.0.255", "subnet": "10.0.0.0/24"}, "is the network or broadcast address", "between"),
    ({"pools": ["fd00::/8"]}, "pools: 'fd00::/8' is not IPv4", "IPv4"),
    ({"pools": ["10.0.0.0/25"]}, "pools: none of them can hold a /24", "name a larger pool"),
    ({"pools": []}, "pools: none of them can hold a /24", "name a larger pool"),
    ({"prefix": 30}, "prefix: /30 cannot hold nodes", "from 8 to 29"),
    ({"prefix": 7}, "prefix: /7 cannot hold nodes", "from 8 to 29"),
    ({"mtu": 67}, "mtu: 67 is outside 68 to 65535", "leave it out"),
    ({"mtu": 65536}, "mtu: 65536 is outside 68 to 65535", "leave it out"),
    ({"avoid": ["10.0.0.1"]}, "avoid: '10.0.0.1' is not a CIDR", "prefix length"),
    ({"cluster": ""}, "cluster: is empty", "give cluster a name"),
    ({"labels": {"a b": "x"}}, "labels: 'a b' is not a label key", "white space"),
]


@pytest.mark.parametrize(("given", "problem", "fix"), BAD, ids=[item[1] for item in BAD])
def test_bad_option(given: dict[str, Any], problem: str, fix: str) -> None:
    """A value that cannot be used is refused; the message names option, problem and what to write."""
    with fails("invalid_option", problem, fix):
        spec(**given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"subnet": "10.0.0.0/24", "avoid": ["10.0.0.0/8"]}, "the subnet 10.0.0.0/24 overlaps 10.0.0.0/8, which the"),
        ({"subnet6": "fd00::/64", "avoid": ["fd00::/16"]}, "the subnet fd00::/64 overlaps fd00::/16"),
    ],
)
def test_asked_subnet_is_to_be_avoided(given: dict[str, Any], words: str) -> None:
    """Who asks for a range and to avoid it is told so."""
    with fails("subnet_overlap", words):
        spec(**given)


@pytest.mark.parametrize(
    ("asked", "surroundings", "subnet", "gateway"),
    [
        ({}, around(), "192.168.128.0/24", "192.168.128.1"),
        ({}, around("192.168.128.0/23", "10.0.0.0/8"), "192.168.130.0/24", "192.168.130.1"),
        ({"avoid": ["192.168.128.0/18"]}, around(), "192.168.192.0/24", "192.168.192.1"),
        ({"prefix": 28}, around("192.168.128.0/28"), "192.168.128.16/28", "192.168.128.17"),
        (
            {"pools": ["10.0.0.0/24", "172.16.0.0/16"]},
            around("10.0.0.5/32"),
            "172.16.0.0/24",
            "172.16.0.1",
        ),
        ({"subnet": "10.7.0.0/24"}, around("10.8.0.0/24"), "10.7.0.0/24", "10.7.0.1"),
        ({"subnet": "10.7.0.0/24", "gateway": "10.7.0.254"}, around(), "10.7.0.0/24", "10.7.0.254"),
    ],
    ids=["first", "next to routes", "next to avoided", "small", "next pool", "by name", "gateway by name"],
)
def test_subnet(asked: dict[str, Any], surroundings: Surroundings, subnet: str, gateway: str) -> None:
    """A network gets the subnet that was requested, else the lowest free one of the pools."""
    found = allocate(spec(**asked), surroundings).range(4)
    assert found is not None
    assert (str(found.subnet), str(found.gateway)) == (subnet, gateway)


@pytest.mark.parametrize(
    ("asked", "host_has_it", "subnet6"),
    [
        ({}, False, None),
        ({"subnet6": "none"}, True, None),
        ({"subnet6": "fd01::/64"}, False, "fd01::/64"),
        ({"subnet6": "fd01::/64"}, True, "fd01::/64"),
    ],
    ids=["host has none", "not wanted", "by name", "by name on a host with IPv6"],
)
def test_subnet6(asked: dict[str, Any], host_has_it: bool, subnet6: str | None) -> None:
    """A network has IPv6 where it is requested, or the host has it and it is not refused."""
    found = allocate(spec(**asked), around(ipv6=host_has_it)).range(6)
    assert (str(found.subnet) if found else None) == subnet6
    if found:
        assert found.gateway == found.subnet.network_address + 1


def test_chosen_subnet6() -> None:
    """The IPv6 subnet that is chosen is a /64 of the unique local range, the same each time for a name."""
    first = allocate(spec(), around(ipv6=True)).range(6)
    assert first is not None
    assert first.subnet.prefixlen == 64
    assert first.subnet.subnet_of(ipaddress.ip_network("fd00::/8"))  # type: ignore[arg-type]
    assert allocate(spec(), around(ipv6=True)).range(6) == first
    assert allocate(spec(name="other"), around(ipv6=True)).range(6) != first
    assert allocate(spec(), around(str(first.subnet), ipv6=True)).range(6) != first


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"subnet": "10.7.0.0/24"}, "the subnet 10.7.0.0/24 overlaps route 10.0.0.0/8"),
        ({"subnet6": "fd07::/64"}, "the subnet fd07::/64 overlaps route fd07::/32"),
    ],
)
def test_subnet_overlap(asked: dict[str, Any], words: str) -> None:
    """A subnet that was requested and is in use is refused, and its user is named."""
    with fails("subnet_overlap", words, "leave subnet out"):
        allocate(spec(**asked), around("10.0.0.0/8", "fd07::/32"))


def test_no_free_subnet() -> None:
    """Pools that are full are named."""
    with fails("no_free_subnet", "o free /24 is left in 192.168.128.0/17: 2 ranges are taken", "route 192.168.0.0/16"):
        allocate(spec(avoid=["10.0.0.0/8"]), around("192.168.0.0/16"))


def test_what_takes_the_pools_is_named() -> None:
    """The largest first, and not more than a person reads."""
    taken = ["192.168.128.0/17", *(f"192.168.{number}.0/24" for number in range(130, 140))]
    with pytest.raises(KicError) as caught:
        allocate(spec(), around(*reversed(taken)))
    said = caught.value.diagnosis.cause.partition("in these pools: ")[2].split("; ")
    assert said[0] == "route 192.168.128.0/17" and said[-1] == "others." and len(said) == 7


PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")


def test_guard_routes() -> None:
    """All private ranges are routed nowhere, as RFC 6890 advises: what nothing else takes is taken all the same."""
    guards = tuple(ipaddress.ip_network(item) for item in PRIVATE)
    surroundings = replace(around("192.168.128.0/24"), guards=guards)
    asked = spec(pools=list(DEFAULT_POOLS))
    assert str(allocate(asked, surroundings).range(4).subnet) == "192.168.129.0/24"  # type: ignore[union-attr]
    # What no guard covers comes first.
    some = replace(surroundings, guards=guards[2:])
    assert str(allocate(asked, some).range(4).subnet) == "172.16.0.0/24"  # type: ignore[union-attr]
    # One that is requested by name is nobody's.
    assert allocate(spec(subnet="10.7.0.0/24"), surroundings)


@pytest.mark.parametrize(
    ("given", "pools", "expected"),
    [
        (list(DEFAULT_POOLS), ["10.20.0.0/16"], "10.20.0.0/24"),
        (list(DEFAULT_POOLS), ["10.20.0.0/28"], "10.20.0.0/28"),
        (["10.30.0.0/16"], ["10.20.0.0/16"], "10.30.0.0/24"),
        (list(DEFAULT_POOLS), [], "192.168.128.0/24"),
    ],
    ids=["engine's", "small", "task's", "none"],
)
def test_pools_of_the_administrator(given: list[str], pools: list[str], expected: str) -> None:
    """The engine's own pools stand in for ours, but not for those of the task."""
    surroundings = replace(around(), pools=tuple(ipaddress.ip_network(item) for item in pools))
    assert str(allocate(spec(pools=given), surroundings).range(4).subnet) == expected  # type: ignore[union-attr]


def test_pools_of_the_engine() -> None:
    """Those of IPv4; what is no network there is for the engine to refuse."""
    engine = MemoryEngine(engine_info(address_pools=("10.20.0.0/16", "fd00::/48", "x", "10.21.0.9/16")))
    assert [str(pool) for pool in administrators_pools(engine)] == ["10.20.0.0/16", "10.21.0.0/16"]


@pytest.mark.parametrize(("asked", "route", "mtu"), [(None, 1400, 1400), (9000, 1400, 9000), (None, None, None)])
def test_mtu(asked: int | None, route: int | None, mtu: int | None) -> None:
    """The MTU is what was requested, else that of the host's way out."""
    assert allocate(spec(mtu=asked), around(mtu=route)).mtu == mtu


def test_labels() -> None:
    """A network carries the labels of its user and those that say whose it is."""
    found = allocate(spec(labels={"team": "a"}, cluster="one"), around())
    assert found.labels == {"team": "a", labels.SCHEMA: "1", labels.CLUSTER: "one"}
    assert found.driver == "bridge"


def test_creates() -> None:
    """A network that is not there is made, and the diff shows its subnet."""
    plan = planned(spec(), None)
    assert [str(item) for item in plan.actions] == ["create network kic"]
    assert plan.before == {}
    assert plan.after["subnet"] == "192.168.128.0/24"
    assert created(plan).name == "kic"


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"subnet": "10.5.0.0/24"},
        {"subnet": "10.5.0.0/24", "gateway": "10.5.0.1"},
        {"mtu": 1500},
        {"subnet6": "none"},
    ],
    ids=["nothing", "subnet", "gateway", "mtu", "no IPv6"],
)
def test_fits(asked: dict[str, Any]) -> None:
    """A network that is as it was requested is left alone, whatever was left out."""
    plan = planned(spec(**asked), seen("node-1"))
    assert not plan.changed
    assert plan.drift == ()
    assert plan.before == plan.after


DRIFT: list[tuple[str, dict[str, Any], dict[str, Any], str, Any, Any]] = [
    ("subnet", {"subnet": "10.6.0.0/24"}, {}, "subnet", "10.6.0.0/24", "10.5.0.0/24"),
    ("gateway", {"subnet": "10.5.0.0/24", "gateway": "10.5.0.9"}, {}, "gateway", "10.5.0.9", "10.5.0.1"),
    ("mtu", {"mtu": 1400}, {}, "mtu", 1400, 1500),
    ("subnet6", {"subnet6": "fd01::/64"}, {}, "subnet6", "fd01::/64", None),
    ("label", {"labels": {"a": "1"}}, {"labels": {**OURS, "a": "2"}}, "labels.a", "1", "2"),
    ("driver", {}, {"driver": "macvlan"}, "driver", "bridge", "macvlan"),
    (
        "no IPv6",
        {"subnet6": "none"},
        {"ranges": network("x", "10.5.0.0/24", "fd01::/64").ranges},
        "subnet6",
        "none",
        "fd01::/64",
    ),
]


@pytest.mark.parametrize(
    ("asked", "there", "field", "wanted", "found"), [item[1:] for item in DRIFT], ids=[item[0] for item in DRIFT]
)
def test_drift_is_told(asked: dict[str, Any], there: dict[str, Any], field: str, wanted: Any, found: Any) -> None:
    """What is otherwise than it was requested is told, and by itself nothing is done for it."""
    plan = planned(spec(**asked), seen("node-1", **there))
    assert [(item.field, item.asked, item.found) for item in plan.drift] == [(field, wanted, found)]
    assert not plan.changed


@pytest.mark.parametrize(("asked", "there"), [item[1:3] for item in DRIFT], ids=[item[0] for item in DRIFT])
def test_drift_is_mended(asked: dict[str, Any], there: dict[str, Any]) -> None:
    """With recreate: on_drift an unused network is made again as it is requested."""
    wanted = spec(**asked, recreate="on_drift")
    plan = planned(wanted, seen(**there))
    assert [item.verb for item in plan.operations] == ["try", "record", "remove", "create", "forget"]
    assert [item.verb for item in plan.actions] == ["remove", "create"]
    assert "expected" in str(plan.actions[0])
    assert plan.drift == ()
    assert find_drift(wanted, created(plan)) == ()


def test_used_network_is_not_made_again() -> None:
    """A network that containers use is not taken from them."""
    with fails("in_use", "is used by the containers node-1 node-2", "podman rm --force node-1 node-2"):
        planned(spec(mtu=1400, recreate="on_drift"), seen("node-1", "node-2"))


@pytest.mark.parametrize("state", ["present", "absent"])
@pytest.mark.parametrize(
    ("there", "cluster", "conditions"),
    [
        ({}, None, {"present": "name_taken", "absent": "not_ours"}),
        ({**OURS, labels.CLUSTER: "one"}, "two", {"present": "other_cluster", "absent": "other_cluster"}),
        (OURS, "two", {"present": "other_cluster", "absent": "other_cluster"}),
    ],
    ids=["not ours", "other cluster", "of no cluster"],
)
def test_foreign_network(there: dict[str, str], cluster: str | None, conditions: dict[str, str], state: str) -> None:
    """A network that is not ours, or of another cluster, is neither taken over nor removed."""
    with fails(conditions[state], "the network kic" if there or state == "absent" else "a network named kic"):
        planned(spec(state=state, cluster=cluster), seen(labels=there))


def test_two_of_one_name() -> None:
    """Two networks of one name are refused with their ids, whosoever they are; one is found, and none is none."""
    first, second, other = network("kic"), replace(network("kic"), id="id-second"), network("other")
    with fails("network_ambiguous", "docker has 2 networks named kic (id-kic id-second)", "docker network rm ID"):
        network_named([first, other, second], "kic", "docker")
    assert network_named([first, other], "kic", "docker") is first
    assert network_named([other], "kic", "docker") is None


def test_absent() -> None:
    """A network that is to be absent is removed, once, and not while it is used."""
    assert planned(spec(state="absent"), None) == Plan()
    plan = planned(spec(state="absent"), seen(labels={**OURS, labels.CLUSTER: "one"}))
    assert [str(item) for item in plan.actions] == ["remove network kic"]
    assert plan.before["subnet"] == "10.5.0.0/24"
    assert plan.after == {}
    with fails("in_use", "node-1"):
        planned(spec(state="absent"), seen("node-1"))


def test_describe() -> None:
    """A network is described by its subnets of both versions; what it lacks is None."""
    assert describe(network("kic", "10.5.0.0/24", mtu=1400)) == {
        "name": "kic",
        "mtu": 1400,
        "labels": OURS,
        "subnet": "10.5.0.0/24",
        "gateway": "10.5.0.1",
        "subnet6": None,
        "gateway6": None,
    }


@pytest.fixture
def quiet_host(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A host with the routes of the list that it returns, without IPv6, MTU 1500."""
    found: list[Any] = []
    monkeypatch.setattr(routes, "routed", lambda: list(found))
    monkeypatch.setattr(routes, "default_route_mtu", lambda: 1500)
    monkeypatch.setattr(routes, "has_ipv6", lambda: False)
    return found


def test_look_around(quiet_host: list[Any]) -> None:
    """Other networks and routes are in the way; the network's own range and the routes into it are not."""
    quiet_host.extend(
        ipaddress.ip_network(item) for item in ("10.5.0.0/24", "10.5.0.7/32", "10.6.0.0/24", "10.7.0.0/16")
    )
    found = look_around([network("kic", "10.5.0.0/24"), network("other", "10.6.0.0/24")], "kic", [])
    assert [(str(subnet), owner) for subnet, owner in found.taken] == [
        ("10.6.0.0/24", "the network other"),
        ("10.7.0.0/16", "a route of this host to 10.7.0.0/16"),
    ]
    assert (found.mtu, found.ipv6) == (1500, False)


def test_podman_networks_beside_docker(monkeypatch: pytest.MonkeyPatch, quiet_host: list[Any]) -> None:
    """docker knows nothing of podman's networks, podman knows its own; where one runs, its route is told once."""
    quiet_host.append(ipaddress.ip_network("10.8.0.0/24"))
    there = [(ipaddress.ip_network("10.8.0.0/24"), "kic")]
    monkeypatch.setattr(docker, "podman_networks", lambda: there)
    assert look_around([], "kic", docker.Docker.hidden_networks()).taken == ((there[0][0], "podman's network kic"),)
    assert [owner for _subnet, owner in look_around([], "kic", []).taken] == ["a route of this host to 10.8.0.0/24"]


def run(engine: MemoryEngine, check_mode: bool = False, **given: Any) -> Outcome:
    """What the module oci_network does."""
    return converge(NetworkResource(spec(**given), engine), check_mode=check_mode, lock=nullcontext)


def test_run(quiet_host: list[Any]) -> None:
    """A network is made, is there the second time, is made again for drift, and removed."""
    quiet_host.append(ipaddress.ip_network("192.168.128.0/24"))
    engine = MemoryEngine()
    first = run(engine)
    assert (first.value["subnet"], first.value["id"], first.value["containers"]) == ("192.168.129.0/24", "id-kic", [])
    assert first.diff["before"] == {}
    second = run(engine)
    assert not second.plan.changed
    assert second.value == first.value
    (warning,) = run(engine, mtu=1400).warnings
    assert warning.startswith("The network kic differs") and "expected 1400" in warning
    again = run(engine, mtu=1400, recreate="on_drift")
    assert (again.value["subnet"], again.value["mtu"]) == ("192.168.129.0/24", 1400)
    assert run(engine, state="absent").value == {}
    assert engine.done == [
        "create network kic",
        # What is requested now is tried under another name, and on another subnet, before the old one goes.
        "create network kic.kic-probe",
        "remove network id-kic.kic-probe",
        # And what the old one was is recorded until the new one is there.
        "create network kic.kic-probe",
        "remove network id-kic",
        "create network kic",
        "remove network id-kic.kic-probe",
        "remove network id-kic",
    ]


def test_check_mode(quiet_host: list[Any]) -> None:
    """In check mode the network is described as it would be, and nothing is done."""
    engine = MemoryEngine()
    found = run(engine, check_mode=True)
    assert found.plan.changed
    assert (found.value["subnet"], found.value["id"]) == ("192.168.128.0/24", None)
    engine.network_table["kic"] = network("kic", "10.5.0.0/24")
    assert run(engine, check_mode=True, state="absent").value == {}
    changed = run(engine, check_mode=True, mtu=1400, recreate="on_drift").value
    assert (changed["mtu"], changed["id"]) == (1400, "id-kic")
    assert engine.done == []
    assert quiet_host == []


def test_users_are_told(quiet_host: list[Any]) -> None:
    """The containers of a network are among what is returned, by name."""
    engine = MemoryEngine()
    engine.network_table["kic"] = network("kic", "10.5.0.0/24")
    engine.users["network kic"] = [Attached("2", "b", {}), Attached("1", "a", {})]
    assert run(engine).value["containers"] == ["a", "b"]
    assert quiet_host == []
