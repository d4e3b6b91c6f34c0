# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oci_network on podman."""

from __future__ import annotations

import ipaddress
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nodeforge.kic.plugins.modules import oci_network

from .conftest import Client, Predicted, unique_local_subnet
from .dockerd import Daemon

Module = Callable[..., dict[str, Any]]
Names = Callable[[str], str]

# Option: the one changed, its values before and after as functions of a free /24, and the field of the drift.
DRIFT: dict[str, tuple[str, str, str]] = {
    "subnet": ("{half}", "{other_half}", "subnet"),
    "gateway": ("{gateway}", "{other_gateway}", "gateway"),
    "subnet6": ("{half6}", "{other_half6}", "subnet6"),
    "mtu": ("1400", "1300", "mtu"),
    "labels": ("one", "two", "labels.tier"),
}
# It is found by its name; the subnet that was chosen is kept, however it would be chosen now; another cluster's is
# refused; the others say what is to be done.
NO_DRIFT = {"name", "state", "pools", "prefix", "avoid", "cluster", "recreate", "removed_nodes"}


def inspect(podman: Client, name: str) -> dict[str, Any]:
    """podman's own word for a network."""
    found: dict[str, Any] = json.loads(podman.out("network", "inspect", name))[0]
    return found


def routes() -> list[ipaddress.IPv4Network]:
    """What the kernel routes, but for default routes, and for bridges of docker's that may go at any time."""
    found = []
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        address, mask = (int.from_bytes(bytes.fromhex(fields[index]), sys.byteorder) for index in (1, 7))
        if mask and not fields[0].startswith("br-"):
            found.append(ipaddress.IPv4Network((address, mask.bit_count())))
    return found


@pytest.fixture
def free(run_module: Module, unique: Names) -> ipaddress.IPv4Network:
    """A /24 that nothing here uses."""
    chosen = run_module("oci_network", check=True, name=unique("network"), subnet6="none", pools=["10.0.0.0/8"])
    return ipaddress.IPv4Network(chosen["network"]["subnet"])


def test_every_option_has_a_case() -> None:
    """Each documented option of the module is in the table or is one that cannot drift."""
    assert set(yaml.safe_load(oci_network.DOCUMENTATION)["options"]) == DRIFT.keys() | NO_DRIFT


@pytest.mark.full("eight seconds; test_states.py makes, changes and removes one in the quick set")
def test_present_and_absent(predicted: Predicted, podman: Client, unique: Names) -> None:
    """Made once, as a bridge with our labels, the chosen subnet and the default route's MTU; removed once."""
    name = unique("network")
    made = predicted("oci_network", name=name, cluster="kictest", labels={"tier": "one"})
    assert made["actions"] == [f"create network {name}"]
    found = inspect(podman, name)
    assert found["driver"] == "bridge"
    assert found["labels"] == {"nodeforge.kic.schema": "1", "nodeforge.kic.cluster": "kictest", "tier": "one"}
    assert found["subnets"][0] == {"subnet": made["network"]["subnet"], "gateway": made["network"]["gateway"]}
    assert made["network"]["id"] == found["id"]
    again = predicted("oci_network", name=name, cluster="kictest", labels={"tier": "one"})
    assert (again["changed"], again["actions"], again["drift"]) == (False, [], [])
    assert again["network"] == made["network"]
    gone = predicted("oci_network", name=name, state="absent")
    assert (gone["actions"], gone["network"]) == ([f"remove network {name}"], {})
    assert name not in podman.holdings()["networks"]
    assert predicted("oci_network", name=name, state="absent")["changed"] is False


@pytest.mark.full("ten seconds; two runs at once choose from a pool in the quick set, and the choice has unit tests")
def test_a_free_subnet_is_chosen(predicted: Predicted, unique: Names, free: ipaddress.IPv4Network) -> None:
    """Each network gets the lowest range of the pool that no other has and that is not to be avoided, until it is full."""
    parts = list(free.subnets(new_prefix=26))
    common: dict[str, Any] = {"pools": [str(free)], "prefix": 26, "subnet6": "none", "avoid": [str(parts[1])]}
    chosen = [predicted("oci_network", name=unique("network"), **common)["network"]["subnet"] for _number in range(3)]
    assert chosen == [str(parts[0]), str(parts[2]), str(parts[3])]
    full = predicted("oci_network", name=unique("network"), **common)
    assert full["diagnosis"]["id"] == "no_free_subnet"
    assert str(free) in full["diagnosis"]["cause"]


def test_what_the_machine_routes_is_avoided(predicted: Predicted, unique: Names) -> None:
    """A range that the machine has a route to is not chosen, also where no network of the engine has it."""
    known = routes()
    assert known, "this machine has no route to test with"
    route = max(known, key=lambda item: item.prefixlen)
    full = predicted(
        "oci_network", name=unique("network"), pools=[str(route)], prefix=max(route.prefixlen, 8), subnet6="none"
    )
    assert full["diagnosis"]["id"] == "no_free_subnet"
    chosen = predicted("oci_network", name=unique("network"), subnet6="none")["network"]["subnet"]
    assert not [item for item in known if item.overlaps(ipaddress.IPv4Network(chosen))]


@pytest.mark.full("a docker of its own; what it finds of podman has unit tests")
def test_docker_keeps_off_podmans_networks(
    run_module: Module, podman: Client, unique: Names, free: ipaddress.IPv4Network, tmp_path: Path
) -> None:
    """A subnet of a podman network in which nothing runs, and which is in no route, is neither chosen by docker nor made."""
    theirs, ours = unique("podman"), unique("docker")
    lower, upper = free.subnets(new_prefix=25)
    podman.run("network", "create", "--subnet", str(lower), theirs)
    assert not [route for route in routes() if route.overlaps(free)]
    with Daemon.running(tmp_path / "docker") as daemon:
        asked: dict[str, Any] = {"name": ours, "engine": "docker", "subnet6": "none"}
        asked["process_env"] = {"DOCKER_HOST": daemon.endpoint}
        for check in (True, False):
            refused = run_module("oci_network", check=check, subnet=str(free), **asked)
            assert refused["diagnosis"]["id"] == "subnet_overlap"
            assert f"podman's network {theirs}" in refused["diagnosis"]["cause"]
        for check in (True, False):
            made = run_module("oci_network", check=check, pools=[str(free)], prefix=25, **asked)
            assert made["network"]["subnet"] == str(upper)
    assert not [route for route in routes() if route.overlaps(free)], "the tests' docker left a bridge"


def test_two_runs_at_once(run_module: Module, unique: Names, free: ipaddress.IPv4Network) -> None:
    """Networks that are made at the same time from one pool get subnets of their own; of one name there is one."""
    same = unique("network")
    names = [unique("network"), unique("network"), same, same]
    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(lambda name: run_module("oci_network", name=name, pools=[str(free)], prefix=26), names))
    assert not [result for result in results if result.get("failed")]
    assert len({result["network"]["subnet"] for result in results}) == 3
    assert sorted(result["changed"] for result in results) == [False, True, True, True]


@pytest.mark.full("ten seconds; the story has names much like its own around it in the quick set")
def test_names_are_compared_whole(predicted: Predicted, podman: Client, unique: Names) -> None:
    """A network whose name begins with another's is another network: to make, to keep and to remove."""
    name = unique("kic")
    longer, around = f"{name}-2", unique("my") + f"-{name}"
    for other in (longer, around):
        podman.run("network", "create", other)
    assert predicted("oci_network", name=name, state="absent")["changed"] is False
    assert predicted("oci_network", name=name)["actions"] == [f"create network {name}"]
    assert predicted("oci_network", name=name)["changed"] is False
    assert predicted("oci_network", name=name, state="absent")["actions"] == [f"remove network {name}"]
    assert predicted("oci_network", name=longer[:-1], state="absent")["changed"] is False
    assert {longer, around} <= podman.holdings()["networks"]


@pytest.mark.full("fifteen seconds; a node's and a volume's are in the quick set")
def test_what_is_not_ours(predicted: Predicted, podman: Client, unique: Names) -> None:
    """A network that somebody else made is neither taken, changed nor removed; nor is another cluster's."""
    foreign, other = unique("foreign"), unique("network")
    podman.run("network", "create", foreign)
    before = inspect(podman, foreign)
    for recreate in ("never", "on_drift"):
        refused = predicted("oci_network", name=foreign, labels={"tier": "one"}, recreate=recreate)
        assert refused["diagnosis"]["id"] == "name_taken"
    assert predicted("oci_network", name=foreign, state="absent")["diagnosis"]["id"] == "not_ours"
    assert inspect(podman, foreign) == before

    predicted("oci_network", name=other, cluster="kictest-a")
    for params in ({"cluster": "kictest-b"}, {}, {"cluster": "kictest-b", "state": "absent"}):
        refused = predicted("oci_network", name=other, **params)
        assert refused["diagnosis"]["id"] == "other_cluster"
        assert "belongs to the cluster kictest-a" in refused["diagnosis"]["cause"]
    assert other in podman.holdings()["networks"]


def options(option: str, which: int, free: ipaddress.IPv4Network, free6: ipaddress.IPv6Network) -> dict[str, Any]:
    """Options of a network before (0) and after (1) one of them has changed."""
    halves = [str(item) for item in free.subnets(new_prefix=25)]
    halves6 = [str(item) for item in free6.subnets(new_prefix=64)][:2]
    words = {
        "half": halves[0],
        "other_half": halves[1],
        "gateway": str(free[1]),
        "other_gateway": str(free[2]),
        "half6": halves6[0],
        "other_half6": halves6[1],
    }
    value: Any = DRIFT[option][which].format(**words)
    if option == "labels":
        value = {"tier": value}
    found = {option: int(value) if option == "mtu" else value}
    if option == "gateway":
        found["subnet"] = halves[0]
    return found if option == "subnet6" else {**found, "subnet6": "none"}


@pytest.mark.full("ten seconds each; test_states.py changes an MTU in the quick set, and the comparison has unit tests")
@pytest.mark.parametrize("option", DRIFT)
def test_drift(predicted: Predicted, podman: Client, unique: Names, free: ipaddress.IPv4Network, option: str) -> None:
    """A changed option is reported and its network left; with on_drift it is made again, and then fits."""
    name, field = unique("network"), DRIFT[option][2]
    free6 = unique_local_subnet(48)
    before, after = (options(option, which, free, free6) for which in (0, 1))
    predicted("oci_network", name=name, **before)
    made = inspect(podman, name)
    left = predicted("oci_network", name=name, **after)
    key = field.partition(".")[2]
    shown = [options[option][key] if key else options[option] for options in (after, before)]
    assert (left["changed"], left["drift"]) == (False, [{"field": field, "asked": shown[0], "found": shown[1]}])
    assert inspect(podman, name) == made
    # Left out, it fits as it is.
    assert predicted("oci_network", name=name, recreate="on_drift")["drift"] == []
    repaired = predicted("oci_network", name=name, recreate="on_drift", **after)
    assert [action.partition(":")[0] for action in repaired["actions"]] == [
        f"remove network {name}",
        f"create network {name}",
    ]
    assert inspect(podman, name) != made
    again = predicted("oci_network", name=name, recreate="on_drift", **after)
    assert (again["changed"], again["drift"]) == (False, [])


@pytest.mark.full("ten seconds; the comparison has unit tests")
def test_ipv6_that_is_not_wanted_is_drift(predicted: Predicted, podman: Client, unique: Names) -> None:
    """subnet6: none keeps IPv6 away, also from a network that has it; the IPv4 subnet stays what it was."""
    name = unique("network")
    subnet6 = unique_local_subnet()
    # With all zeros written out it is the same subnet.
    made, again = (predicted("oci_network", name=name, subnet6=subnet6.exploded) for _run in range(2))
    assert (again["changed"], again["drift"]) == (False, [])
    left = predicted("oci_network", name=name, subnet6="none")
    assert left["drift"] == [{"field": "subnet6", "asked": "none", "found": str(subnet6)}]
    subnet = made["network"]["subnet"]
    repaired = predicted("oci_network", name=name, subnet6="none", subnet=subnet, recreate="on_drift")
    assert repaired["network"]["subnet"] == subnet
    assert [item["subnet"] for item in inspect(podman, name)["subnets"]] == [subnet]


@pytest.mark.full("ten seconds; test_check_mode.py has a used one in the quick set, and its users have unit tests")
def test_a_used_network_is_kept(predicted: Predicted, podman: Client, unique: Names, node_image: str) -> None:
    """A network with containers, running or not, is not removed; the containers are named. Drift is still reported."""
    name, user = unique("network"), unique("user")
    predicted("oci_network", name=name)
    made = inspect(podman, name)
    podman.run("create", "--name", user, "--network", name, node_image)
    assert predicted("oci_network", name=name)["network"]["containers"] == [user]
    for params in ({"state": "absent"}, {"mtu": 1300, "recreate": "on_drift"}):
        refused = predicted("oci_network", name=name, **params)
        assert refused["diagnosis"]["id"] == "in_use"
        assert user in refused["diagnosis"]["cause"]
    left = predicted("oci_network", name=name, mtu=1300)
    assert [item["field"] for item in left["drift"]] == ["mtu"]
    assert inspect(podman, name) == made
    podman.run("rm", user)
    assert predicted("oci_network", name=name, state="absent")["changed"]
