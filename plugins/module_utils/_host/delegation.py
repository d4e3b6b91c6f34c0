# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which controllers reach a user's systemd, and where each of the others is lost on the way.

The way is that of the kernel: its controllers, the root group, user.slice, user-UID.slice, user@UID.service. A group
gives its children what is in its cgroup.subtree_control (kernel, admin-guide/cgroup-v2, "Enabling and Disabling");
systemd writes that file for what units below ask for, unless DisableControllers= forbids it, and asks on a user's
behalf for what Delegate= of user@UID.service lists (systemd.resource-control(5)).
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable

from .._command import Runner, run_if_there
from .._core.diagnosis import KicError, failure
from .files import lines, read

START, KUBELET, LIMITS = "start", "kubelet", "limits"

CONTROLLERS = {
    # Without these neither kind's entrypoint nor ours starts a node in a user namespace.
    "cpu": START,
    # kubelet asks for it in its control group (kubernetes, pkg/kubelet/cm/container_manager_linux.go).
    "cpuset": KUBELET,
    # Only limits of what a pod reads and writes need it.
    "io": LIMITS,
    "memory": START,
    "pids": START,
}
"""Controllers of version 2 that systemd can delegate (systemd.resource-control(5), Delegate=), and who needs each."""


def needed_by(*users: str) -> tuple[str, ...]:
    """The controllers that some of START, KUBELET and LIMITS need."""
    return tuple(name for name, user in CONTROLLERS.items() if user in users)


MODES = {"v1": "of version 1", "hybrid": "hybrid (version 2 is there, but the controllers are version 1's)"}

MOUNT = "/sys/fs/cgroup"
_OLD_NAMES = {"io": "blkio"}
"""What cgroup_disable= of the kernel's command line also calls them."""

_SECONDS = 60.0


@dataclass(frozen=True)
class Unit:
    """A unit of the machine's systemd, as far as it decides on controllers."""

    name: str
    load: str = "loaded"
    """``loaded``, ``masked``, …"""
    active: str = "inactive"
    delegates: frozenset[str] = frozenset()
    disables: frozenset[str] = frozenset()
    files: tuple[tuple[str, str], ...] = ()
    """Path and text of its file and its drop-ins, in the order in which they are read."""

    def deciding_file(self, option: str) -> str:
        """The last of its files that sets ``option``; empty when none does."""
        found = [path for path, text in self.files if values(text, option)]
        return found[-1] if found else ""


@dataclass(frozen=True)
class Group:
    """A control group: what it is given, and what it gives on. None where the group does not exist."""

    unit: str
    controllers: frozenset[str] | None
    gives: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Lost:
    """Where a controller is lost. ``reason`` is one of the words that the documentation of cgroup_delegation lists."""

    controller: str
    level: str
    """``kernel``, ``container``, ``root``, ``user.slice``, ``user-UID.slice`` or ``user@UID.service``."""
    reason: str
    unit: str = ""
    file: str = ""


@dataclass(frozen=True)
class Way:
    """All that lies between the kernel and a user's manager."""

    uid: int
    mode: str
    """``v1``, ``hybrid`` or ``v2``."""
    systemd: bool
    container: bool
    """Whether a container is around the whole machine, so that what it has not was not the kernel's decision."""
    disabled: frozenset[str]
    """Controllers that the kernel's command line switches off."""
    groups: tuple[Group, ...]
    """From the root group down to the user's manager."""
    units: tuple[Unit, ...]
    """The units of ``groups``."""

    @property
    def manager(self) -> Unit:
        """The unit of the user's manager."""
        return self.units[-1]

    @property
    def runs(self) -> bool:
        """Whether the user's manager runs."""
        return self.manager.active == "active" and self.groups[-1].controllers is not None

    def given(self) -> frozenset[str]:
        """The controllers that the user's manager has now."""
        return self.groups[-1].controllers or frozenset()

    def lost(self, controller: str) -> Lost | None:
        """Where ``controller`` is lost; None when it reaches the manager, or would if the manager ran."""
        top = self.groups[0]
        if controller not in (top.controllers or ()):
            if {controller, _OLD_NAMES.get(controller)} & self.disabled:
                return Lost(controller, "kernel", "disabled_at_boot")
            if self.container:
                return Lost(controller, "container", "not_given")
            return Lost(controller, "kernel", "not_built")
        for unit in self.units:
            if controller in unit.disables:
                return Lost(
                    controller,
                    level(unit.name),
                    "disabled_by_unit",
                    unit.name,
                    unit.deciding_file("DisableControllers"),
                )
        if controller not in self.manager.delegates:
            file = self.manager.deciding_file("Delegate")
            return Lost(controller, self.manager.name, "not_delegated", self.manager.name, file)
        for group, below in zip(self.groups, self.groups[1:]):
            if below.controllers is not None and controller not in group.gives:
                return Lost(controller, level(group.unit), "not_in_effect", group.unit)
        return None


def refusal(lost: Lost, user: str) -> KicError | None:
    """The error for a loss that no drop-in of ours can repair; None for the others."""
    if lost.reason == "disabled_by_unit":
        return failure(
            "controller_disabled_by_unit",
            controller=lost.controller,
            unit=lost.unit,
            file=lost.file or f"its properties (systemctl cat {lost.unit})",
            user=user,
        )
    if lost.reason in ("not_built", "disabled_at_boot", "not_given"):
        return failure(f"controller_{lost.reason}", controller=lost.controller, user=user)
    return None


def level(unit: str) -> str:
    """The name of a level: that of its unit, the root group's being in the words of the kernel."""
    return "root" if unit == "-.slice" else unit


def unit_names(uid: int) -> tuple[str, ...]:
    """The units from the root group to the manager of a user."""
    return ("-.slice", "user.slice", f"user-{uid}.slice", f"user@{uid}.service")


def values(text: str, option: str) -> list[str]:
    """What a unit file assigns to ``option``, in order."""
    return re.findall(rf"^[ \t]*{option}[ \t]*=[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)


def delegated_by(files: Sequence[tuple[str, str]]) -> frozenset[str]:
    """What the ``Delegate=`` lines of a unit's files come to.

    A list adds to what there is, an empty value and "no" take all away, "yes" gives all (systemd,
    config_parse_delegate).
    """
    found: frozenset[str] = frozenset()
    for _path, text in files:
        for value in values(text, "Delegate"):
            if value.lower() in ("1", "yes", "y", "true", "t", "on"):
                found = frozenset(CONTROLLERS)
            elif value.lower() in ("", "0", "no", "n", "false", "f", "off"):
                found = frozenset()
            else:
                found |= frozenset(value.split())
    return found


def cgroup_mode(reader: Callable[[str], str | None] = read) -> str:
    """``v2``; ``hybrid`` where version 2 is mounted next to the controllers of version 1; else ``v1``."""
    if reader(f"{MOUNT}/cgroup.controllers") is not None:
        return "v2"
    return "hybrid" if reader(f"{MOUNT}/unified/cgroup.controllers") is not None else "v1"


def look(uid: int, runner: Runner, reader: Callable[[str], str | None] = read, systemd: bool | None = None) -> Way:
    """Look at the way to the manager of a user. ``systemd`` tells whether it manages the machine; None is to look."""
    names = unit_names(uid)
    if systemd is None:
        systemd = os.path.isdir("/run/systemd/system")
    groups, path = [], MOUNT
    for name in names:
        path = path if name == "-.slice" else f"{path}/{name}"
        groups.append(Group(name, _words(reader(f"{path}/cgroup.controllers")), _given(reader, path)))
    return Way(
        uid=uid,
        mode=cgroup_mode(reader),
        systemd=systemd,
        # The true root group has no type; a control group's own root, as a container sees it, has.
        container=reader(f"{MOUNT}/cgroup.type") is not None,
        disabled=frozenset(
            name
            for word in (reader("/proc/cmdline") or "").split()
            if word.startswith("cgroup_disable=")
            for name in word.partition("=")[2].split(",")
        ),
        groups=tuple(groups),
        units=_units(names, runner, reader) if systemd else tuple(Unit(name, "not-found") for name in names),
    )


def _words(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(text.split())


def _given(reader: Callable[[str], str | None], path: str) -> frozenset[str]:
    return _words(reader(f"{path}/cgroup.subtree_control")) or frozenset()


def _units(names: tuple[str, ...], runner: Runner, reader: Callable[[str], str | None]) -> tuple[Unit, ...]:
    properties = "Id,LoadState,ActiveState,DelegateControllers,DisableControllers,FragmentPath,DropInPaths"
    # Any user may ask the machine's systemd; without the variable it is not asked for a terminal's width or colours.
    answer = runner.run(["systemctl", "show", f"--property={properties}", "--", *names], timeout=_SECONDS)
    found = {unit.name: unit for unit in (_unit(block, reader) for block in answer.out.split("\n\n"))}
    return tuple(found.get(name, Unit(name, "not-found")) for name in names)


def _unit(block: str, reader: Callable[[str], str | None]) -> Unit:
    """One unit of systemctl show: NAME=VALUE lines."""
    said = dict(line.partition("=")[::2] for line in lines(block) if "=" in line)
    paths = [said.get("FragmentPath", ""), *said.get("DropInPaths", "").split()]
    return Unit(
        name=said.get("Id", ""),
        load=said.get("LoadState", ""),
        active=said.get("ActiveState", ""),
        delegates=frozenset(said.get("DelegateControllers", "").split()),
        disables=frozenset(said.get("DisableControllers", "").split()),
        files=tuple((path, reader(path) or "") for path in paths if path),
    )


# What is asked of a transient scope, and the file in which the kernel shows that it was set.
_LIMITS = {
    "cpu": ("CPUQuota=50%", "cpu.max", "50000 100000"),
    "cpuset": ("AllowedCPUs={cpu}", "cpuset.cpus", "{cpu}"),
    "io": ("IOWeight=77", "io.weight", "default 77"),
    "memory": ("MemoryMax=64M", "memory.max", "67108864"),
    "pids": ("TasksMax=64", "pids.max", "64"),
}
# A kernel without the cost model of block devices has no io.weight; what is left to show of io is then its presence.
_SCRIPT = r"""
group=/sys/fs/cgroup$(sed -n 's,^0::,,p' /proc/self/cgroup)
for name in cpu.max cpuset.cpus io.weight memory.max pids.max; do
  if [ -f "$group/$name" ]; then echo "$name=$(cat "$group/$name")"; fi
done
if [ ! -f "$group/io.weight" ] && [ -f "$group/io.stat" ]; then echo "io.weight=default 77"; fi
"""


@dataclass(frozen=True)
class Tried:
    """What a scope of the user's showed: the controllers whose limit was really set, and its words if it did not run."""

    works: frozenset[str]
    words: str = ""


def as_user(user: str, uid: int) -> tuple[list[str], dict[str, str]]:
    """The beginning of a command that talks to a user's manager, and its environment: found by uid, without a login."""
    prefix = [] if os.geteuid() == uid else ["runuser", "-u", user, "--"]
    run_time = f"/run/user/{uid}"
    return prefix, {"XDG_RUNTIME_DIR": run_time, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={run_time}/bus"}


def try_limits(user: str, uid: int, runner: Runner, reader: Callable[[str], str | None] = read) -> Tried:
    """Have the user's manager set a limit of every controller in a scope that ends at once.

    It is how an engine makes a container's group, and the only question to which a manager that has not heard of its
    new controllers gives another answer than the kernel does.
    """
    online = reader(f"{MOUNT}/cpuset.cpus.effective") or "0"
    cpu = re.split(r"[-,\s]", online.strip())[0] or "0"
    limits = {name: tuple(part.format(cpu=cpu) for part in parts) for name, parts in _LIMITS.items()}
    prefix, environment = as_user(user, uid)
    command = [*prefix, "systemd-run", "--user", "--scope", "--quiet", "--collect"]
    command += [f"--property={limit}" for limit, _file, _value in limits.values()]
    answer = run_if_there(runner, [*command, "sh", "-c", _SCRIPT], timeout=_SECONDS, env=environment)
    if answer.rc != 0:
        return Tried(frozenset(), answer.words)
    shown = dict(line.partition("=")[::2] for line in lines(answer.out))
    return Tried(frozenset(name for name, (_limit, file, value) in limits.items() if shown.get(file) == value))


def take_up(user: str, uid: int, runner: Runner) -> str:
    """Make a change of a user's unit reach their running manager; the words of what did not work, or empty.

    Neither step ends anything: the machine's systemd gives controllers on to a slice when a unit starts in it (the
    siblings are looked at with it), and a manager learns of new controllers when it executes itself again.
    """
    slice_unit = unit_names(uid)[2]
    prefix, environment = as_user(user, uid)
    steps: list[tuple[Collection[str], Mapping[str, str]]] = [
        (["systemd-run", "--quiet", "--wait", "--collect", f"--slice={slice_unit}", "true"], {}),
        ([*prefix, "systemctl", "--user", "daemon-reexec"], environment),
    ]
    words = [
        answer.words
        for answer in (run_if_there(runner, list(argv), timeout=_SECONDS, env=env) for argv, env in steps)
        if answer.rc != 0
    ]
    return "\n".join(words)
