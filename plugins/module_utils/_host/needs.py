# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine lacks for nodes, by one look at it: which steps of the role kic_host there is a reason for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core import checks
from .delegation import CONTROLLERS
from .kernel import SYSCTLS, plain, satisfied
from .machine import PACKET_FILTERS

PACKAGES: dict[str, dict[str, tuple[str, ...]]] = {
    "podman": {"Debian": ("podman", "netavark", "aardvark-dns")},
    "docker": {"Debian": ("docker.io",), "RedHat": ("moby-engine",), "Suse": ("docker",)},
    "newuidmap": {"Debian": ("uidmap",), "RedHat": ("shadow-utils",), "Suse": ("shadow",)},
    "bus": {"Debian": ("dbus-user-session",), "RedHat": ("dbus-daemon",), "Suse": ("dbus-1",)},
    "pasta": {"Debian": ("passt",)},
    "iptables": {"RedHat": ("iptables-nft",)},
    "nft": {"Debian": ("nftables",), "RedHat": ("nftables",), "Suse": ("nftables",)},
}
"""Packages by what they bring and by family of distributions. What is not listed has one name everywhere. Those of Debian
are tested, the others are taken from their distributions' lists."""

_ABSENT = ("engine_not_installed", "network_backend_unsupported")


def package_names(lacks: tuple[str, ...], family: str) -> list[str]:
    """The packages that bring what a machine lacks."""
    found: list[str] = []
    for name in lacks:
        names = PACKAGES.get(name, {})
        found += names.get(family) or names.get("Debian") or (name,)
    return list(dict.fromkeys(found))


def _user(look: Mapping[str, Any]) -> Any:
    """The user whose own engine runs the nodes; None for root, and for a member of group docker, whose nodes are root's."""
    return look["host"]["user"] if (look.get("engine_facts") or {}).get("rootless", True) else None


def lacks(look: Mapping[str, Any], docker: bool, absent: bool) -> tuple[str, ...]:
    """What packages would bring, in the words of PACKAGES."""
    host, user = look["host"], _user(look)
    found: list[str] = []
    if absent:
        found += ["docker"] if docker else ["podman", "newuidmap"]
    # crun makes no node on control groups of version 1.
    if host["cgroup_version"] == 1 and "runc" not in host["runtimes"]:
        found.append("runc")
    # Which of them netavark runs depends on its release and configuration: only without any it is certain to fail.
    if not docker and not host["packet_filters"]:
        found += PACKET_FILTERS
    if user is not None:
        found += _lacks_of(user, _major(look))
    return tuple(dict.fromkeys(found))


def _lacks_of(user: Mapping[str, Any], engine: int) -> list[str]:
    """What an ordinary user's podman needs besides; ``engine`` is its major version, 0 where it is not known."""
    programs = user["programs"]
    found = [] if {"newuidmap", "newgidmap"} <= set(programs) else ["newuidmap"]
    # podman 4 asks for slirp4netns, 5 for pasta.
    if engine != 4 and "pasta" not in programs:
        found.append("pasta")
    if engine in (0, 4) and "slirp4netns" not in programs:
        found.append("slirp4netns")
    if not user["native_overlay"] and "fuse-overlayfs" not in programs:
        found.append("fuse-overlayfs")
    if not user["bus"]:
        found.append("bus")
    return found


def _major(look: Mapping[str, Any]) -> int:
    number = str((look.get("engine_facts") or {}).get("version", "")).partition(".")[0]
    return int(number) if number.isdigit() else 0


def needs(look: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The steps that there is a reason for, each with what it is about; ``any`` is whether there is one.

    ``look`` is what oci_engine_info returned, also as a failure; ``asked`` are the variables of the role.
    """
    host = look["host"]
    user = _user(look) if asked["user"] else None
    reason = (look.get("diagnosis") or {}).get("id", "")
    # In check mode a machine without an engine is looked at as an empty one, of version 0.
    absent = reason in _ABSENT or (look.get("engine_facts") or {}).get("version") == "0"
    docker = look.get("engine") == "docker"
    settings = {name: _number("kic_host_sysctls", name, value) for name, value in asked["sysctls"].items()}
    found: dict[str, Any] = {
        "lacks": list(lacks(look, docker, absent)),
        "packages": [],
        "units": [],
        "delegation": False,
        "sub_ids": False,
        "sysctls": any(_low(host["sysctls"], name, value) for name, value in settings.items()),
        "modules": any(not host["modules"].get(plain(name)) for name in asked["modules"]) and bool(host["modules"]),
    }
    if asked["packages"]:
        # Both are installed, as each is small.
        filters = () if docker else tuple(name for name in PACKET_FILTERS if name not in host["packet_filters"])
        # Not among what a machine lacks: with pipelining Ansible does without.
        someone = host["user"] or {}
        handover = (
            ("acl",) if asked["user"] and someone.get("handed_over") and "setfacl" not in someone["programs"] else ()
        )
        found["packages"] = package_names((*found["lacks"], *filters, *handover), host["distribution"]["family"])
    if asked["service"] and host["systemd"] and not asked["user"]:
        unit = "docker.service" if docker else "podman-restart.service"
        if absent or unit in host["disabled_units"] or reason == "engine_not_running":
            found["units"] = [unit]
    if user is not None:
        found["delegation"] = asked["delegation"] and not _delegated(user, asked["linger"])
        count = int(asked["sub_ids"])
        found["sub_ids"] = count > 0 and not (
            user["maps_ids"] and (user["sub_ids"] is None or user["sub_ids"] >= count)
        )
    steps = ("packages", "units", "delegation", "sub_ids", "sysctls", "modules")
    return dict(found, any=any(found[step] for step in steps))


def _number(option: str, name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise checks.invalid(option, f"{name}: {value!r} is not a whole number", f"write: {name}: 512") from None


def _low(values: Mapping[str, int], name: str, asked: int) -> bool:
    if name in values:
        return not satisfied(name, values[name], asked)
    # The look tells all settings of SYSCTLS that this kernel has; of others it cannot be said without another one.
    return name not in SYSCTLS


def _delegated(user: Mapping[str, Any], linger: bool) -> bool:
    return set(CONTROLLERS) <= set(user["controllers"]) and (user["lingers"] is not False or not linger)
