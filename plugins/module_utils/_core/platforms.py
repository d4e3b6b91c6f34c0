# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule's platforms as options of kic_node: in our words, and in those of the drivers that people come from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import checks

OPTIONS = frozenset(
    (
        *("image", "hostname", "command", "mounts", "tmpfs", "publish", "devices", "memory", "cpus", "pids_limit"),
        *("ulimits", "sysctls", "security_opts", "env", "labels", "privileged", "runtime", "wait_timeout"),
    )
)
"""Options of kic_node that a platform may set."""

_MOLECULE = frozenset(("name", "groups", "children"))

# What the drivers docker and podman of molecule-plugins have to be told and a platform is anyhow.
_ANYHOW: Mapping[str, tuple[Any, ...]] = {
    "pre_build_image": (True,),
    "override_command": (False,),
    "systemd": (True, "true", "always"),
    "tty": (True,),
    "detach": (True,),
}
_CGROUPS = "a platform has control groups of its own, and may write them"
_NETWORK = "all platforms of a scenario are on one network, and know each other by name"
_NEEDLESS: Mapping[str, str] = {
    "capabilities": "a platform has all capabilities that the machine can give, but with privileged: false",
    "cgroupns_mode": _CGROUPS,
    "cgroup_manager": _CGROUPS,
    "network": _NETWORK,
    "networks": _NETWORK,
    "network_mode": _NETWORK,
}

_PORT = re.compile(
    r"(?:(?:(?P<address>\d+(?:\.\d+){3}|\[[0-9A-Fa-f:.]+\]):)?(?P<host>\d*):)?(?P<port>\d+)(?:/(?P<protocol>tcp|udp|sctp))?"
)
_PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_LABELS = {"z": "shared", "Z": "private"}


def platforms(given: Sequence[Mapping[str, Any]], suite: str) -> list[dict[str, Any]]:
    """Each platform's ``name`` and options of kic_node; without an ``image`` its ``suite``, which is ``suite`` by default.

    Raises ``invalid_option`` with the platform and the key.
    """
    found = []
    seen: set[str] = set()
    for platform in given:
        name = checks.host_name("platforms: name", str(platform.get("name") or ""))
        if name in seen:
            raise checks.invalid("platforms", f"two of them have the name {name}", "give each a name of its own")
        seen.add(name)
        options = _platform(name, platform)
        if not options.get("image"):
            options.setdefault("suite", suite)
        found.append(options)
    return found


def _platform(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    for key, value in given.items():
        where = f"platform {name}: {key}"
        if value is None or key in _MOLECULE:
            continue
        if key in _ANYHOW:
            if value not in _ANYHOW[key]:
                raise checks.invalid(where, f"{value!r} is not possible", f"leave {key} out")
        elif key in _NEEDLESS:
            raise checks.invalid(where, f"has no meaning here: {_NEEDLESS[key]}", f"leave {key} out")
        elif key == "suite":
            if given.get("image"):
                raise checks.invalid(where, "names a release, and image names an image", "leave out one of the two")
            found[key] = checks.name(where, str(value))
        elif key == "volumes":
            found.setdefault("mounts", []).extend(_mount(where, str(item)) for item in _listed(where, value))
        elif key == "published_ports":
            found.setdefault("publish", []).extend(_port(where, str(item)) for item in _listed(where, value))
        elif key in ("mounts", "publish"):
            found.setdefault(key, []).extend(_listed(where, value))
        elif key == "tmpfs":
            found[key] = dict.fromkeys(value, "") if isinstance(value, list) else value
        elif key == "ulimits":
            found[key] = dict(_limit(where, str(item)) for item in value) if isinstance(value, list) else value
        elif key == "command":
            found[key] = value.split() if isinstance(value, str) else value
        elif key in OPTIONS:
            found[key] = value
        else:
            known = ", ".join(sorted(OPTIONS | {"groups", "suite", "volumes", "published_ports"}))
            raise checks.invalid(where, "is no option of a platform", f"leave it out, or write one of {known}")
    return found


def _listed(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise checks.invalid(where, "is no list", "write each on a line of its own that begins with '-'")
    return value


def _mount(where: str, text: str) -> dict[str, Any]:
    source, _separator, rest = text.partition(":")
    target, _separator, options = rest.partition(":")
    if not source.startswith("/") or not target.startswith("/"):
        raise checks.invalid(where, f"{text!r} is no mount", "write absolute paths, like /srv/data:/mnt/data:ro")
    if target.rstrip("/") == "/sys/fs/cgroup":
        raise checks.invalid(where, f"{text!r} would hide the platform's own control groups", "leave it out")
    found: dict[str, Any] = {"source": source, "target": target}
    for option in filter(None, options.split(",")):
        if option in ("ro", "rw"):
            found["read_only"] = option == "ro"
        elif option in _LABELS:
            found["relabel"] = _LABELS[option]
        elif option in _PROPAGATION:
            found["propagation"] = option
        else:
            raise checks.invalid(where, f"{text!r} has an unknown option {option!r}", "use ro, rw, z or Z")
    return found


def _port(where: str, text: str) -> dict[str, Any]:
    match = _PORT.fullmatch(text)
    if match is None:
        raise checks.invalid(where, f"{text!r} is no published port", "write it like 127.0.0.1:8080:80/tcp")
    # As the drivers mean it: without an address it is every address of the machine.
    found: dict[str, Any] = {"port": int(match["port"]), "address": (match["address"] or "0.0.0.0").strip("[]")}
    if match["host"]:
        found["host_port"] = int(match["host"])
    if match["protocol"]:
        found["protocol"] = match["protocol"]
    return found


def _limit(where: str, text: str) -> tuple[str, str]:
    name, _separator, value = text.replace("=", ":", 1).partition(":")
    if not name or not value:
        raise checks.invalid(where, f"{text!r} is no limit", "write it like nofile:1024:2048")
    return name, value
