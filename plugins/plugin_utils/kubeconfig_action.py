# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action plugins that write a cluster's entries into a kubeconfig: who asked, and the merge of what the module read.

Nothing to change costs no run of a module here. What the two halves tell each other holds credentials and is not part of
the result.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Plan
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.kubeconfig_file import ORIGINAL
from ansible_collections.nodeforge.kic.plugins.plugin_utils.diagnosed_action import DiagnosedAction
from ansible_collections.nodeforge.kic.plugins.plugin_utils.kubeconfig_plan import (
    KubeconfigSpec,
    ObservedKubeconfig,
    changes,
    describe,
    flag,
    plan_kubeconfig,
)
from ansible_collections.nodeforge.kic.plugins.plugin_utils.plain import plain

PATIENCE = 60.0
"""Seconds for which a merge is made again because others, such as the other hosts of the play, wrote the file meanwhile."""

_INTERNAL = ("files", "admin", "server", "uid", "place", "unrecorded", "written", "invocation")

_READ = ("files", "admin", "server", "uid", "place", "context", "unrecorded")
"""What a merge is made from. Warnings, which a newer ansible-core keeps as objects, are none of it."""

# What AnsibleModule adds of the file that a result's path names, as it was before.
_OF_FILE = ("gid", "group", "mode", "owner", "size", "state", "secontext")


class KubeconfigAction(DiagnosedAction):
    """What a plugin needs for it."""

    def asked_by(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Which file is ``wanted``, with what the module cannot know: the one who asked, and their KUBECONFIG."""
        found = dict(wanted)
        searched = self._searched(wanted)
        if searched:
            found["search"] = searched
        asker = self._asker() if not found.get("owner") else None
        if asker:
            found["owner"] = asker
        return found

    def bring(
        self, arguments: dict[str, Any], task_vars: dict[str, Any] | None, read: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The result of kic_kubeconfig with ``arguments``, without what only the two halves need.

        ``read`` is what a module has read already. In check mode, and for a probe, nothing is written.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            found = read if read is not None else self.module("kic_kubeconfig", arguments, task_vars)
            if found.get("failed") or "files" not in found:
                return _public(found)
            observed = ObservedKubeconfig.from_result(plain({key: found[key] for key in _READ if key in found}))
            spec = KubeconfigSpec.from_params(plain(arguments))
            plan = plan_kubeconfig(spec, observed)
            probes = flag(arguments.get("probe", False))
            outcome = self._outcome({**_public(found), **describe(spec, observed)}, spec, observed, plan, probes=probes)
            written = changes(plan)
            if probes or self._task.check_mode or not written:
                return outcome
            answer = self.module(
                "kic_kubeconfig", {**arguments, "write": [vars(change) for change in written]}, task_vars
            )
            if answer.get("failed"):
                return _public(answer)
            if answer["written"]:
                return outcome
            if time.monotonic() >= deadline:
                break
            read = None
        raise failure(
            "kubeconfig_unusable", path=found["path"], reason="others keep writing to it", fix="run again later"
        )

    def _outcome(
        self, found: dict[str, Any], spec: KubeconfigSpec, observed: ObservedKubeconfig, plan: Plan, *, probes: bool
    ) -> dict[str, Any]:
        """The task's result of a plan that is done, or in check mode would be."""
        complete = spec.present and observed.admin is not None and not plan.operations
        if probes:
            return {**found, "changed": False, "actions": [], "complete": complete}
        outcome = {**found, "changed": plan.changed, "actions": [*map(str, plan.actions)], "complete": complete}
        if self._task.diff and plan.changed:
            outcome["diff"] = {"before": dict(plan.before), "after": dict(plan.after)}
        if plan.warnings:
            kept = "is then kept" if self._task.check_mode else "was kept"
            where = f"The file as it was {kept} next to it, with {ORIGINAL} at the end of its name."
            outcome["warnings"] = [*outcome.get("warnings", ()), *(f"{text} {where}" for text in plan.warnings)]
        return outcome

    def _asker(self) -> str | None:
        """Who asked, where the module cannot tell: it runs as root, and only sudo and doas leave word of who became it."""
        become = self._connection.become
        if getattr(self._connection, "transport", "") == "local":
            root = os.geteuid() == 0 if become is None else self._becomes() == "root"
            return _this_user() if root else None
        if become is None or self._becomes() != "root" or _is_plain_sudo(become):
            return None
        # su, "sudo su -" and others: before that, the connection is that of the one who asks.
        ansible: Any = self  # its methods have no types
        told = ansible._low_level_execute_command("id -un", sudoable=False)
        name: str = told.get("stdout", "").strip() if told.get("rc") == 0 else ""
        return name.splitlines()[-1] if name else None

    def _becomes(self) -> str:
        """The user as whom the module runs; empty where the task becomes nobody."""
        become = self._connection.become
        return _option(become, "become_user") or "root" if become is not None else ""

    def _searched(self, wanted: Mapping[str, Any]) -> str | None:
        """KUBECONFIG of the one who asks: the task's, or on this very machine the one of this user.

        sudo does not hand it on, and what it names is of no use to another user than this one.
        """
        task: dict[str, Any] = {}
        if any(self._task.environment or ()):
            ansible: Any = self
            ansible._compute_environment_string(task)
        if task.get("KUBECONFIG"):
            return str(task["KUBECONFIG"])
        here, user = os.environ.get("KUBECONFIG"), _this_user()
        owner = wanted.get("owner") or (user if self._becomes() in ("", "root") else self._becomes())
        if not here or owner != user or getattr(self._connection, "transport", "") != "local":
            return None
        listed = [one for one in here.split(os.pathsep) if one]
        return os.pathsep.join(one if one.startswith("~") else os.path.abspath(one) for one in listed)


def _this_user() -> str:
    """The one who runs Ansible here, also where they became root for it."""
    if os.geteuid() == 0:
        for name in ("SUDO_USER", "DOAS_USER"):
            if os.environ.get(name):
                return os.environ[name]
    return pwd.getpwuid(os.geteuid()).pw_name


def _is_plain_sudo(become: Any) -> bool:
    """Whether the module finds SUDO_USER: after "sudo su -" it does not."""
    program = _option(become, "become_exe") or "sudo"
    return str(become.name).rpartition(".")[2] == "sudo" and os.path.basename(program) == "sudo"


def _option(become: Any, name: str) -> str:
    """An option of a become plugin; empty where the plugin does not have it, as not all have all."""
    try:
        return str(become.get_option(name) or "")
    except KeyError:
        return ""


def _public(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in (*_INTERNAL, *_OF_FILE)}
