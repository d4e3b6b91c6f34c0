# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which steps of the role kic_host one look gives a reason for."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import CONTROLLERS
from ansible_collections.nodeforge.kic.plugins.module_utils._host.kernel import MODULES, PORT_START
from ansible_collections.nodeforge.kic.plugins.plugin_utils.host_needs import needs, package_names

INSTANCES = "fs.inotify.max_user_instances"
KEYS = "kernel.keys.maxkeys"


def asked(**changed: Any) -> dict[str, Any]:
    """The role's variables without their prefix, for root."""
    switches = dict.fromkeys(("packages", "service", "delegation", "linger"), True)
    return {"user": "", "sub_ids": 65536, "sysctls": {INSTANCES: 512}, "modules": [], **switches, **changed}


def for_user(**changed: Any) -> dict[str, Any]:
    """The role's variables for an ordinary user."""
    return asked(**{"user": "dev", "modules": list(MODULES), **changed})


def look(
    user: dict[str, Any] | None = None, *, version: str = "5.4.2", reason: str = "", **host: Any
) -> dict[str, Any]:
    """What oci_engine_info says of a Debian 13 on which nothing is missing."""
    facts = {
        "cgroup_version": 2,
        "runtimes": ["crun"],
        "packet_filters": ["iptables", "nft"],
        "systemd": True,
        "distribution": {"id": "debian", "version": "13", "family": "Debian"},
        "disabled_units": [],
        "sysctls": {INSTANCES: 512, PORT_START: 1024, KEYS: 200},
        "modules": dict.fromkeys(MODULES, True),
        "user": user,
    }
    found: dict[str, Any] = {"engine": "podman", "host": {**facts, **host}}
    if reason:
        return {**found, "failed": True, "diagnosis": {"id": reason}}
    return {**found, "engine_facts": {"version": version}}


def dev(**changed: Any) -> dict[str, Any]:
    """A user who has all."""
    return {
        "sub_ids": 65536,
        "maps_ids": True,
        "controllers": list(CONTROLLERS),
        "lingers": True,
        "bus": True,
        "programs": ["newuidmap", "newgidmap", "pasta"],
        "native_overlay": True,
        **changed,
    }


OF_ROOT: dict[str, Any] = {
    **look(dev(controllers=[], maps_ids=False, sub_ids=0, programs=[], bus=False, lingers=None), cgroup_version=2),
    "engine": "docker",
    "engine_facts": {"version": "20.10.24", "rootless": False},
}


@pytest.mark.parametrize(
    ("seen", "variables", "expected"),
    [
        (look(), asked(), {}),
        (look(dev()), for_user(), {}),
        (look(dev(handed_over=True)), for_user(), {"packages": ["acl"]}),
        # A member of group docker: docker's nodes are root's.
        (OF_ROOT, for_user(), {}),
        (look(dev(handed_over=True)), for_user(packages=False), {}),
        (look(dev(handed_over=True, programs=["newuidmap", "newgidmap", "pasta", "setfacl"])), for_user(), {}),
        (look(sysctls={INSTANCES: 128}), asked(), {"sysctls": True}),
        (look(), asked(sysctls={}), {}),
        (look(), asked(sysctls={PORT_START: 80}), {"sysctls": True}),
        (look(), asked(sysctls={PORT_START: 2000}), {}),
        (look(sysctls={}), asked(sysctls={KEYS: 2000}), {}),
        (look(), asked(sysctls={"vm.overcommit_memory": 1}), {"sysctls": True}),
        (look(dev(), modules={**dict.fromkeys(MODULES, True), "tun": False}), for_user(), {"modules": True}),
        (look(dev(), modules={}), for_user(), {}),
        (look(), asked(modules=["br_netfilter"]), {"modules": True}),
        (look(disabled_units=["podman-restart.service"]), asked(), {"units": ["podman-restart.service"]}),
        (look(disabled_units=["podman-restart.service"]), asked(service=False), {}),
        (look(disabled_units=["podman-restart.service"], systemd=False), asked(), {}),
        (look(dev(), disabled_units=["podman-restart.service"]), for_user(), {}),
        (
            {**look(reason="engine_not_running"), "engine": "docker"},
            asked(),
            {"units": ["docker.service"]},
        ),
        (look(cgroup_version=1), asked(), {"packages": ["runc"]}),
        (look(cgroup_version=1), asked(packages=False), {}),
        (
            look(reason="engine_not_installed", systemd=False),
            asked(),
            {"packages": ["podman", "netavark", "aardvark-dns", "uidmap"]},
        ),
        # podman without what it only recommends, as after apt-get install --no-install-recommends.
        (
            look(reason="engine_program_missing", systemd=False),
            asked(),
            {"packages": ["podman", "netavark", "aardvark-dns", "uidmap"]},
        ),
        (
            look(version="0"),
            asked(service=False),
            {"packages": ["podman", "netavark", "aardvark-dns", "uidmap"]},
        ),
        (
            {**look(reason="engine_not_installed", systemd=False), "engine": "docker"},
            asked(),
            {"packages": ["docker.io"]},
        ),
        (look(dev(sub_ids=0)), for_user(), {"sub_ids": True}),
        (look(dev(sub_ids=0)), for_user(sub_ids=0), {}),
        (look(dev(sub_ids=None)), for_user(), {}),
        (look(dev(maps_ids=False)), for_user(), {"sub_ids": True}),
        (look(dev(controllers=["cpu", "memory", "pids"])), for_user(), {"delegation": True}),
        (look(dev(controllers=[])), for_user(delegation=False), {}),
        (look(dev(lingers=False)), for_user(), {"delegation": True}),
        (look(dev(lingers=False)), for_user(linger=False), {}),
        (look(dev(programs=["pasta"])), for_user(), {"packages": ["uidmap"]}),
        (look(dev(bus=False)), for_user(), {"packages": ["dbus-user-session"]}),
        (look(dev(native_overlay=False)), for_user(), {"packages": ["fuse-overlayfs"]}),
        (look(dev(programs=["newuidmap", "newgidmap", "slirp4netns"])), for_user(), {"packages": ["passt"]}),
        (look(dev(), version="4.3.1"), for_user(), {"packages": ["slirp4netns"]}),
        (
            look(dev(programs=[]), reason="engine_not_installed"),
            for_user(),
            {"packages": ["podman", "netavark", "aardvark-dns", "uidmap", "passt", "slirp4netns"]},
        ),
    ],
)
def test_needs(seen: dict[str, Any], variables: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each lack is the reason for one step, unless that is switched off or has no place on the machine."""
    found = needs(seen, variables)
    assert found.pop("any") is bool(expected)
    found.pop("lacks")
    assert {name: value for name, value in found.items() if value} == expected


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("Debian", ["docker.io", "uidmap", "passt", "runc"]),
        ("RedHat", ["moby-engine", "shadow-utils", "passt", "runc"]),
        ("Suse", ["docker", "shadow", "passt", "runc"]),
        ("", ["docker.io", "uidmap", "passt", "runc"]),
    ],
)
def test_package_names(family: str, names: list[str]) -> None:
    """Packages by the names of each family of distributions."""
    assert package_names(("docker", "newuidmap", "pasta", "runc"), family) == names


@pytest.mark.parametrize(
    ("there", "family", "packages"),
    [
        (["iptables", "nft"], "Debian", []),
        ([], "Debian", ["iptables", "nftables"]),
        (["iptables"], "Debian", ["nftables"]),
        (["nft"], "RedHat", ["iptables-nft"]),
        (["nft"], "Suse", ["iptables"]),
    ],
)
def test_packet_filters(there: list[str], family: str, packages: list[str]) -> None:
    """podman's netavark runs programs that none of its packages depends on: a bare Debian 12 has none of them."""
    machine = look(packet_filters=there, distribution={"id": "", "version": "", "family": family})
    assert needs(machine, asked())["packages"] == packages


@pytest.mark.parametrize(("there", "lacks"), [([], ["iptables", "nft"]), (["iptables"], []), (["nft"], [])])
def test_one_packet_filter_is_enough_to_go_on(there: list[str], lacks: list[str]) -> None:
    """Where the role may install nothing, a machine is refused only when its containers cannot get a network."""
    assert needs(look(packet_filters=there), asked(packages=False))["lacks"] == lacks


def test_docker_brings_its_own_packet_filter() -> None:
    """docker's packages depend on it."""
    assert needs({**look(packet_filters=[]), "engine": "docker"}, asked())["packages"] == []


def test_setting_that_is_not_a_number() -> None:
    """The user's own variable is named, with what to write."""
    with pytest.raises(KicError) as refused:
        needs(look(), asked(sysctls={"vm.x": "many"}))
    assert str(refused.value) == "kic_host_sysctls: vm.x: 'many' is not a whole number. Fix: write: vm.x: 512"
