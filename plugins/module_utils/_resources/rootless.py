# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an ordinary user's engine can hold nodes here: asked before anything is made for one."""

from __future__ import annotations

import os
import pwd
from typing import Callable

from .._command import Runner
from .._core.diagnosis import failure
from .._engine.model import EngineInfo
from .._host import delegation as host
from .._host.files import read
from .._host.kernel import sysctl
from .._host.preflight import SUB_IDS
from .._host.sub_ids import MAPPERS, unfit_mode
from .._host.user import sub_ids
from .delegation import MODES, refusal

USER_NAMESPACES = {"user.max_user_namespaces": 1, "kernel.unprivileged_userns_clone": 1}
"""What the kernel's settings must be at least for an ordinary user's namespaces; the second is Debian's own."""

NEEDED = ("cpu", "memory", "pids")
"""Without these neither kind's entrypoint nor ours starts a node in a user namespace."""

_WHY = {
    "not_delegated": "Delegate= of its file {file} leaves it out",
    "not_in_effect": "it is requested, but not in effect yet",
}


UNCLEAR = ("engine_failed", "runtime_missing", "timed_out")
"""Answers of a user's podman behind which there may be what their machine lacks: without a run-time directory, which their
manager makes, 5.4 says that it finds no runtime."""


def refuse_unfit(info: EngineInfo, runner: Runner, reader: Callable[[str], str | None] = read) -> None:
    """Raise what keeps this user's engine from holding nodes; nothing for a rootful one."""
    if info.rootless:
        refuse_user(runner, reader)


def refuse_user(runner: Runner, reader: Callable[[str], str | None] = read) -> None:
    """Raise what this machine lacks for nodes of the user that asks.

    What counts is what the user's manager has, not the group of the process that asks: a task that came by sudo or su is
    in another one.
    """
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    for setting, least in USER_NAMESPACES.items():
        value = sysctl(setting, reader)
        if value is not None and value < least:
            raise failure("user_namespaces", user=user, setting=setting, value=value)
    mode = host.cgroup_mode(reader)
    if mode != "v2":
        raise failure("cgroup_not_unified", mode=MODES[mode])
    way = host.look(uid, runner, reader)
    if not way.systemd:
        raise failure("no_systemd", init=(reader("/proc/1/comm") or "unknown").strip())
    for controller in NEEDED:
        lost = way.lost(controller)
        if lost is not None:
            why = _WHY.get(lost.reason, "").format(file=lost.file)
            raise refusal(lost, user) or failure(
                "controller_withheld", controller=controller, user=user, unit=lost.unit, why=why
            )
    if not way.runs:
        raise failure("manager_not_running", user=user, unit=way.manager.name)
    _refuse_ids(user)


def _refuse_ids(user: str) -> None:
    """The files of a node's image belong to many users, each of which needs an id of this one's."""
    found = sub_ids()
    if found is not None and found < SUB_IDS:
        raise failure("sub_ids_missing", user=user, found=found, asked=SUB_IDS)
    for path in MAPPERS:
        mode = unfit_mode(path)
        if mode is not None:
            raise failure("id_mapper_unfit", path=path, mode=f"{mode:04o}")
