# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which steps of the role kic_host there is a reason for, by what oci_engine_info reported of a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._core import checks
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.drivers import driver
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import BY_PRIORITY
from ansible_collections.nodeforge.kic.plugins.module_utils._host.kernel import SYSCTLS
from ansible_collections.nodeforge.kic.plugins.module_utils._host.machine import PACKET_FILTERS
from ansible_collections.nodeforge.kic.plugins.module_utils._host.preflight import ABSENT, Facts, ReportedEngine, steps

PACKAGES: dict[str, Mapping[str, tuple[str, ...]]] = {
    **{name: driver(name).packages for name in BY_PRIORITY},
    "newuidmap": {"Debian": ("uidmap",), "RedHat": ("shadow-utils",), "Suse": ("shadow",)},
    "bus": {"Debian": ("dbus-user-session",), "RedHat": ("dbus-daemon",), "Suse": ("dbus-1",)},
    "pasta": {"Debian": ("passt",)},
    "iptables": {"RedHat": ("iptables-nft",)},
    "nft": {"Debian": ("nftables",), "RedHat": ("nftables",), "Suse": ("nftables",)},
}
"""Packages by what they bring and by family of distributions. What is not listed has one name everywhere. Those of Debian
are tested, the others are taken from their distributions' lists."""


def package_names(lacks: Sequence[str], family: str) -> list[str]:
    """The packages that bring what a machine lacks."""
    found: list[str] = []
    for name in lacks:
        names = PACKAGES.get(name, {})
        found += names.get(family) or names.get("Debian") or (name,)
    return list(dict.fromkeys(found))


def facts_of(look: Mapping[str, Any], asked: Mapping[str, Any]) -> Facts:
    """What was reported of the machine, and what the role's variables want of it."""
    host, engine = look["host"], look.get("engine_facts") or {}
    # The user whose own engine runs the nodes; None for root, and for a member of group docker, whose nodes are root's.
    user = host["user"] if engine.get("rootless", True) else None
    reason = (look.get("diagnosis") or {}).get("id", "")
    real = driver(_engine_name(look))
    version = str(engine.get("version", ""))
    major = version.partition(".")[0]
    person = user or {}
    return Facts(
        ReportedEngine(
            name=real.name,
            capabilities=real.capabilities,
            rootless=user is not None,
            cgroup_version=host["cgroup_version"],
            network_backend=real.network_backend,
        ),
        # In check mode a machine without an engine is looked at as an empty one, of version 0.
        absent=reason in ABSENT or version == "0",
        reason=reason,
        major=int(major) if major.isdigit() else 0,
        unit=real.unit,
        user=str(person.get("name", "")),
        sub_ids=person.get("sub_ids"),
        unfit_mappers=() if person.get("maps_ids", True) else (("newuidmap", 0),),
        lingers=person.get("lingers"),
        delegated=frozenset(person.get("controllers", ())),
        programs=frozenset(person.get("programs", ())),
        bus=person.get("bus", True),
        native_overlay=person.get("native_overlay", True),
        packet_filters=tuple(host["packet_filters"]),
        runtimes=tuple(host["runtimes"]),
        disabled_units=tuple(host["disabled_units"]),
        sysctls=host["sysctls"],
        modules=host["modules"],
        wanted_ids=int(asked["sub_ids"]),
        wanted_linger=asked["linger"],
        wanted_sysctls=_wanted_sysctls(host["sysctls"], asked["sysctls"]),
        wanted_modules=tuple(asked["modules"]),
    )


def _engine_name(look: Mapping[str, Any]) -> str:
    name = look.get("engine")
    return name if name in BY_PRIORITY else BY_PRIORITY[0]


def needs(look: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The steps that there is a reason for, each with what it is about; ``any`` is whether there is one.

    ``look`` is what oci_engine_info returned, also as a failure; ``asked`` are the variables of the role.
    """
    facts = facts_of(look, asked)
    found = steps(facts)
    lacks = list(dict.fromkeys(_brought(facts, name) for check in found for name in check.brings))
    for_user = bool(asked["user"]) and facts.engine.rootless
    # Which steps the role's variables leave on.
    on = {
        "units": asked["service"] and look["host"]["systemd"] and not asked["user"],
        "delegation": asked["delegation"] and for_user,
        "sub_ids": facts.wanted_ids > 0 and for_user,
        "sysctls": True,
        "modules": True,
    }
    reasons = {name for name in {check.step for check in found} if on.get(name)}
    result: dict[str, Any] = {name: name in reasons for name in on}
    result["units"] = [facts.unit] if "units" in reasons else []
    result["packages"] = _packages(look, asked, facts, lacks) if asked["packages"] else []
    return {"lacks": lacks, **result, "any": any(result.values())}


def _brought(facts: Facts, name: str) -> str:
    return facts.engine.name if name == "engine" else name


def _packages(look: Mapping[str, Any], asked: Mapping[str, Any], facts: Facts, lacks: Sequence[str]) -> list[str]:
    # Both are installed, as each is small; without one nodes still run.
    needs_filter = facts.engine.network_backend == "netavark"
    filters = [name for name in PACKET_FILTERS if needs_filter and name not in facts.packet_filters]
    # Not among what a machine lacks: with pipelining Ansible does without.
    someone = look["host"]["user"] or {}
    handover = asked["user"] and someone.get("handed_over") and "setfacl" not in someone["programs"]
    names = (*lacks, *filters, *(["acl"] if handover else []))
    return package_names(names, look["host"]["distribution"]["family"])


def _wanted_sysctls(reported: Mapping[str, int], asked: Mapping[str, Any]) -> dict[str, int]:
    """The settings that are wanted, without those that this kernel does not have: of SYSCTLS all are reported."""
    wanted = {name: _number("kic_host_sysctls", name, value) for name, value in asked.items()}
    return {name: value for name, value in wanted.items() if name in reported or name not in SYSCTLS}


def _number(option: str, name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise checks.invalid(option, f"{name}: {value!r} is not a whole number", f"write: {name}: 512") from None
