# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nodes need of an engine, its user and the machine: one table of checks.

Three things are filters of it: what keeps a node from starting is refused before one is created, what goes wrong later is
reported by oci_engine_info, and what kic_host repairs is a step of that role.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Callable, Protocol, Union

from .._command import Runner
from .._core.capabilities import Capabilities
from .._core.diagnosis import Diagnosis, KicError, failure
from . import delegation
from .files import read
from .forwarding import BRIDGED, FORWARD, Forwarding, forwarding
from .kernel import plain, satisfied, sysctl
from .machine import PACKET_FILTERS, packet_filters
from .storage import Space, space
from .sub_ids import MAPPERS, unfit_mode
from .user import lingers, sub_ids, user_name

ROOM = 4 << 30
"""Bytes: a node image of about 1 GB unpacked, its copy in the volume of a first node, and as much again to work with."""

INODES = 100_000
"""A node image has about 20,000 files, a cluster's images as many again (counted in ours)."""

SUB_IDS = 65536
"""What the owners of an image's files need (subuid(5)); podman's and docker's manuals ask for as many."""

COPYING = ("vfs", "native")
"""Storage drivers without layers: each container is a whole copy of its image (containers-storage.conf(5)). ``native`` is
containerd's, which docker takes where the file system has no overlay."""

USER_NAMESPACES = {"user.max_user_namespaces": 1, "kernel.unprivileged_userns_clone": 1}
"""What the kernel's settings must be at least for an ordinary user's namespaces; the second is Debian's own."""

ABSENT = ("engine_not_installed", "network_backend_unsupported", "engine_program_missing")
"""Why an engine cannot be asked, where packages help."""

UNCLEAR = (
    *("engine_failed", "runtime_missing", "timed_out"),
    *("sub_ids_missing", "engine_program_missing", "permission_denied"),
)
"""Answers of a user's podman behind which there may be what their machine lacks: without a run-time directory, which their
manager makes, 5.4 says that it finds no runtime."""

_WHY = {
    "not_delegated": "Delegate= of its file {file} leaves it out",
    "not_in_effect": "it is requested, but not in effect yet",
}


class EngineFacts(Protocol):
    """What of an engine's facts (EngineInfo of the engines' room, which is above this one) is judged here."""

    @property
    def name(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def rootless(self) -> bool: ...
    @property
    def cgroup_version(self) -> int: ...
    @property
    def cgroup_controllers(self) -> tuple[str, ...]: ...
    @property
    def network_backend(self) -> str: ...
    @property
    def storage_driver(self) -> str: ...
    @property
    def storage_path(self) -> str: ...


@dataclass(frozen=True)
class ReportedEngine:
    """An engine of which not all is known: one that does not answer, or one that an earlier task has reported."""

    name: str = ""
    capabilities: Capabilities = Capabilities()  # noqa: RUF009  # it is frozen
    rootless: bool = True
    cgroup_version: int = 2
    cgroup_controllers: tuple[str, ...] = ()
    network_backend: str = ""
    storage_driver: str = ""
    storage_path: str = ""


class Facts:
    """An engine, its user and this machine. Each fact is asked when a check needs it first.

    :param known: facts that are known already, as those that another machine has reported.
    """

    # What is only looked at where a role prepares a machine, and then reported to it.
    absent = False
    """Whether there is no engine, or one that packages replace."""
    reason = ""
    """Why the engine cannot be asked, by its id."""
    major = 0
    """The engine's major version; 0 where it is not known."""
    unit = ""
    """The unit that brings the engine, or its containers, back at the start of the machine."""
    disabled_units: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    programs: frozenset[str] = frozenset()
    """Those of user.PROGRAMS that the user has."""
    native_overlay = bus = True
    sysctls: Mapping[str, int] = {}
    modules: Mapping[str, bool] = {}
    delegated: frozenset[str] = frozenset()
    """The controllers that reach the user's manager, or would if it ran."""
    # What is wanted, where a role says so.
    wanted_ids = SUB_IDS
    wanted_linger = True
    wanted_sysctls: Mapping[str, int] = {}
    wanted_modules: tuple[str, ...] = ()

    def __init__(
        self,
        engine: EngineFacts,
        runner: Runner | None = None,
        reader: Callable[[str], str | None] = read,
        **known: Any,
    ) -> None:
        self.engine = engine
        self.reader = reader
        self._runner = runner
        vars(self).update(known)

    @property
    def _asks(self) -> Runner:
        if self._runner is None:
            raise AssertionError("a check that starts programs was given none to start them with")
        return self._runner

    @cached_property
    def user(self) -> str:
        """The user's name, or their number."""
        return user_name()

    @cached_property
    def space(self) -> Space | None:
        """The room below the engine's storage."""
        return space(self.engine.storage_path) if self.engine.storage_path else None

    @cached_property
    def sub_ids(self) -> int | None:
        """How many subordinate ids the user has; None where nobody can say."""
        return sub_ids()

    @cached_property
    def unfit_mappers(self) -> tuple[tuple[str, int], ...]:
        """The programs that are to map them and may not, with their modes."""
        found = ((path, unfit_mode(path)) for path in MAPPERS)
        return tuple((path, mode) for path, mode in found if mode is not None)

    @cached_property
    def lingers(self) -> bool | None:
        """Whether the user's systemd goes on without a login; None where nobody can say."""
        return lingers()

    @cached_property
    def controllers(self) -> tuple[str, ...]:
        """What the engine's containers are given; () where nobody can say."""
        # docker does not say which controllers it has; run by a user's systemd, it has no more than that (cgroups(7)).
        uid = os.geteuid()
        group = f"{delegation.MOUNT}/user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
        return self.engine.cgroup_controllers or tuple((read(group) or "").split())

    @cached_property
    def way(self) -> delegation.Way:
        """The way of the controllers to the user's manager."""
        return delegation.look(os.geteuid(), self._asks, self.reader)

    @cached_property
    def forwarding(self) -> Forwarding:
        """What the machine does with what containers send."""
        return forwarding(self._asks)

    @cached_property
    def packet_filters(self) -> tuple[str, ...]:
        """Programs by which an engine publishes ports."""
        return packet_filters()


Found = Union[KicError, bool, None]
"""What is wrong: the error by its catalogue, or only that it is; None or False where all is well."""

ENGINE, USER, MACHINE = "engine", "user", "machine"
"""Whose matter it is. A user's is asked only of a rootless engine; a machine's is the same for each of its engines."""

REFUSED, WARNED = "refused", "warned"


@dataclass(frozen=True)
class Check:
    """One thing that nodes need.

    A step of kic_host (packages, units, delegation, sub_ids, sysctls, modules) repairs it where there is one; ``brings``
    is what packages have to bring for that, "engine" being the engine itself.
    """

    id: str
    """What the catalogue calls it; of what only a step cares for, a name."""
    about: str
    find: Callable[[Facts], Found]
    severity: frozenset[str] = frozenset()
    """REFUSED: no node can start. WARNED: it is reported, the worst first."""
    step: str = ""
    brings: tuple[str, ...] = ()

    def found(self, facts: Facts) -> Found:
        """What is wrong, where it applies."""
        return self.find(facts) if self.about != USER or facts.engine.rootless else None


def _user_namespaces(facts: Facts) -> Found:
    for setting, least in USER_NAMESPACES.items():
        value = sysctl(setting, facts.reader)
        if value is not None and value < least:
            return failure("user_namespaces", user=facts.user, setting=setting, value=value)
    return None


def _not_unified(facts: Facts) -> Found:
    mode = delegation.cgroup_mode(facts.reader)
    return failure("cgroup_not_unified", mode=delegation.MODES[mode]) if mode != "v2" else None


def _no_systemd(facts: Facts) -> Found:
    if facts.way.systemd:
        return None
    return failure("no_systemd", init=(facts.reader("/proc/1/comm") or "unknown").strip())


def _withheld(facts: Facts) -> Found:
    # What counts is what the user's manager has, not the group of the process that asks: a task that came by sudo or su
    # is in another one.
    for name in delegation.needed_by(delegation.START):
        lost = facts.way.lost(name)
        if lost is not None:
            why = _WHY.get(lost.reason, "").format(file=lost.file)
            withheld = {"controller": name, "user": facts.user, "unit": lost.unit, "why": why}
            return delegation.refusal(lost, facts.user) or failure("controller_withheld", **withheld)
    return None


def _no_manager(facts: Facts) -> Found:
    way = facts.way
    return None if way.runs else failure("manager_not_running", user=facts.user, unit=way.manager.name)


def _few_ids(facts: Facts) -> Found:
    if facts.sub_ids is None or facts.sub_ids >= facts.wanted_ids:
        return None
    return failure("sub_ids_missing", user=facts.user, found=facts.sub_ids, asked=facts.wanted_ids)


def _unfit_mapper(facts: Facts) -> Found:
    for path, mode in facts.unfit_mappers:
        return failure("id_mapper_unfit", path=path, mode=f"{mode:04o}")
    return None


def _no_packet_filter(facts: Facts) -> Found:
    # Which of them netavark runs depends on its release and configuration: only without any it is certain to fail.
    if facts.engine.network_backend != "netavark" or facts.packet_filters:
        return None
    return failure("packet_filter_missing", engine=facts.engine.name, program="iptables or nft")


def _little_room(facts: Facts) -> Found:
    if facts.space is None or facts.space.bytes >= ROOM:
        return None
    free = f"{facts.space.bytes >> 20} MiB"
    return failure("disk_low", engine=facts.engine.name, path=facts.engine.storage_path, free=free)


def _few_inodes(facts: Facts) -> Found:
    if facts.space is None or facts.space.inodes is None or facts.space.inodes >= INODES:
        return None
    free = facts.space.inodes
    return failure("inodes_low", engine=facts.engine.name, path=facts.engine.storage_path, free=free)


def _incomplete(facts: Facts) -> Found:
    if facts.engine.cgroup_version != 2 or not facts.controllers:
        return None
    needed = delegation.needed_by(delegation.START, delegation.KUBELET)
    missing = ", ".join(name for name in needed if name not in facts.controllers)
    return failure("delegation_incomplete", user=facts.user, controllers=missing) if missing else None


def _copies(facts: Facts) -> Found:
    driver = facts.engine.storage_driver
    return failure("storage_unfit", engine=facts.engine.name, driver=driver) if driver in COPYING else None


def _no_linger(facts: Facts) -> Found:
    return failure("no_linger", user=facts.user) if facts.lingers is False and facts.wanted_linger else None


def _not_forwarding(facts: Facts) -> Found:
    """Pods will reach nothing though nodes start and are Ready. An ordinary user's containers have a network of their own."""
    if facts.engine.rootless or not facts.forwarding.off:
        return None
    found = facts.forwarding
    if facts.engine.capabilities.forwards_at_each_start and not found.bridges and not found.files:
        return None
    where = f"take {FORWARD} out of {', '.join(found.files)}, then type" if found.files else "type"
    return failure("forwarding_off", engine=facts.engine.name, setting=FORWARD, where=where)


def _filters_bridges(facts: Facts) -> Found:
    if facts.engine.rootless or facts.engine.capabilities.opens_bridges or not facts.forwarding.drops_bridged:
        return None
    return failure("bridge_filtered", setting=BRIDGED)


def _no_mapper(facts: Facts) -> Found:
    if facts.absent:
        return facts.engine.capabilities.per_user
    return facts.engine.rootless and not {*map(os.path.basename, MAPPERS)} <= facts.programs


def _low_sysctl(facts: Facts) -> Found:
    # A setting that is not reported was not looked at.
    known = facts.sysctls
    return any(
        name not in known or not satisfied(name, known[name], value) for name, value in facts.wanted_sysctls.items()
    )


_REFUSED, _WARNED, _BOTH = frozenset({REFUSED}), frozenset({WARNED}), frozenset({REFUSED, WARNED})

CHECKS = (
    Check("user_namespaces", USER, _user_namespaces, _REFUSED),
    Check("cgroup_not_unified", USER, _not_unified, _REFUSED),
    Check("no_systemd", USER, _no_systemd, _REFUSED),
    Check("controller_withheld", USER, _withheld, _REFUSED),
    Check("manager_not_running", USER, _no_manager, _REFUSED),
    Check("sub_ids_missing", USER, _few_ids, _BOTH, "sub_ids"),
    Check("id_mapper_unfit", USER, _unfit_mapper, _REFUSED, "sub_ids"),
    Check("engine_not_installed", ENGINE, lambda facts: facts.absent, step="packages", brings=("engine",)),
    Check("newuidmap", ENGINE, _no_mapper, step="packages", brings=("newuidmap",)),
    # crun makes no node on control groups of version 1.
    Check(
        "runtime_unfit",
        ENGINE,
        lambda facts: facts.engine.cgroup_version == 1 and "runc" not in facts.runtimes,
        step="packages",
        brings=("runc",),
    ),
    Check("packet_filter_missing", ENGINE, _no_packet_filter, _REFUSED, "packages", PACKET_FILTERS),
    # podman 4 asks for slirp4netns, 5 for pasta.
    Check(
        "pasta",
        USER,
        lambda facts: facts.major != 4 and "pasta" not in facts.programs,
        step="packages",
        brings=("pasta",),
    ),
    Check(
        "slirp4netns",
        USER,
        lambda facts: facts.major in (0, 4) and "slirp4netns" not in facts.programs,
        step="packages",
        brings=("slirp4netns",),
    ),
    Check(
        "fuse-overlayfs",
        USER,
        lambda facts: not facts.native_overlay and "fuse-overlayfs" not in facts.programs,
        step="packages",
        brings=("fuse-overlayfs",),
    ),
    Check("bus", USER, lambda facts: not facts.bus, step="packages", brings=("bus",)),
    Check(
        "engine_not_running",
        ENGINE,
        lambda facts: facts.absent or facts.unit in facts.disabled_units or facts.reason == "engine_not_running",
        step="units",
    ),
    Check("disk_low", ENGINE, _little_room, _WARNED),
    Check("inodes_low", ENGINE, _few_inodes, _WARNED),
    Check("delegation_incomplete", USER, _incomplete, _WARNED),
    Check("delegation", USER, lambda facts: not {*delegation.CONTROLLERS} <= facts.delegated, step="delegation"),
    Check("storage_unfit", ENGINE, _copies, _WARNED),
    Check("no_linger", USER, _no_linger, _WARNED, "delegation"),
    Check("forwarding_off", MACHINE, _not_forwarding, _WARNED),
    Check("bridge_filtered", MACHINE, _filters_bridges, _WARNED),
    Check("sysctls", MACHINE, _low_sysctl, step="sysctls"),
    # A kernel that is not said to have modules has all in one piece.
    Check(
        "modules",
        MACHINE,
        lambda facts: bool(facts.modules) and any(not facts.modules.get(plain(name)) for name in facts.wanted_modules),
        step="modules",
    ),
)
"""The order is that of what is refused first and of what is reported as the worst."""


def refuse(facts: Facts, *about: str) -> None:
    """Raise the first thing that keeps nodes from starting."""
    for check in CHECKS:
        error = check.found(facts) if REFUSED in check.severity and check.about in about else None
        if isinstance(error, KicError):
            raise error


def refuse_unfit(engine: EngineFacts, runner: Runner, reader: Callable[[str], str | None] = read) -> None:
    """Raise what keeps this user's engine from holding nodes; nothing for a rootful one."""
    refuse(Facts(engine, runner, reader), USER)


def warnings(facts: Facts, *about: str) -> tuple[Diagnosis, ...]:
    """What should be repaired, the worst first; () where there is nothing."""
    found = (check.found(facts) for check in CHECKS if WARNED in check.severity and check.about in about)
    return tuple(error.diagnosis for error in found if isinstance(error, KicError))


def steps(facts: Facts) -> tuple[Check, ...]:
    """The checks that give a step of kic_host a reason."""
    return tuple(check for check in CHECKS if check.step and check.found(facts))
