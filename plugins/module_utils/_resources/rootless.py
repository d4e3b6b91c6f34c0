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
from .delegation import MODES, refusal

NEEDED = ("cpu", "memory", "pids")
"""Without these neither kind's entrypoint nor ours starts a node in a user namespace."""

_WHY = {
    "not_delegated": "Delegate= of its file {file} leaves it out",
    "not_in_effect": "it is asked for, but not in effect yet",
}


def refuse_unfit(info: EngineInfo, runner: Runner, reader: Callable[[str], str | None] = read) -> None:
    """Raise what keeps this user's engine from holding nodes; nothing for a rootful one.

    What counts is what the user's manager has, not the group of the process that asks: a task that came by sudo or su is
    in another one.
    """
    if not info.rootless:
        return
    uid = os.geteuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
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
