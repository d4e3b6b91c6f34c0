# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merges kubeconfigs on the controller, where there is a YAML parser; the module of the same name reads and writes.

Nothing to change costs one run of the module. What the two halves tell each other holds credentials and is not part of
the result.
"""

from __future__ import annotations

import json
import os
import pwd
import time
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._faults import as_failure
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.kubeconfig_file import ORIGINAL
from ansible_collections.nodeforge.kic.plugins.plugin_utils import kubeconfig_yaml

PATIENCE = 60.0
"""Seconds for which a merge is made again because others, such as the other hosts of the play, wrote the file meanwhile."""

_INTERNAL = ("files", "admin", "server", "uid", "place", "unrecorded", "written", "invocation")

# What AnsibleModule adds of the file that a result's path names, as it was before.
_READ = ("files", "admin", "server", "uid", "place", "context")
"""What a merge is made from. Warnings, which a newer ansible-core keeps as objects, are none of it."""

_OF_FILE = ("gid", "group", "mode", "owner", "size", "state", "secontext")


class ActionModule(ActionBase):
    """One task: read, merge, write."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result, without what only the two halves need; whatever fails here is a diagnosis too."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            return self._converge(result, task_vars)
        except AnsibleError:
            # Ansible's own: of the connection, or of what the user wrote.
            raise
        except Exception as error:
            found = as_failure(error)
            failed = {"failed": True, "msg": str(found), "diagnosis": found.diagnosis.as_dict()}
            return {**result, **failed, "actions": [*found.done], "changed": bool(found.done)}

    def _converge(self, result: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        arguments = dict(self._task.args)
        searched = self._searched()
        if searched:
            arguments["search"] = searched
        if not arguments.get("owner"):
            asker = self._asker()
            if asker:
                arguments["owner"] = asker
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self._module(arguments, task_vars)
            if found.get("failed") or "files" not in found:
                return {**result, **_public(found)}
            try:
                plan, actions, diff = _plan(
                    _plain({key: found[key] for key in _READ if key in found}), _plain(dict(self._task.args))
                )
            except KicError as error:
                return {
                    **result,
                    "failed": True,
                    "msg": str(error),
                    "diagnosis": error.diagnosis.as_dict(),
                    "actions": [],
                }
            outcome = {**result, **_public(found), "changed": bool(actions), "actions": actions}
            present = self._task.args.get("state", "present") == "present"
            outcome["complete"] = present and "admin" in found and not actions and not found.get("unrecorded")
            if plan and plan[0].get("context"):
                outcome["context"] = plan[0]["context"]
            if _flag(self._task.args.get("probe", False)):
                return {**outcome, "changed": False, "actions": []}
            if self._task.diff and diff:
                outcome["diff"] = diff
            lost = [(item["path"], item.pop("lost", [])) for item in plan]
            warnings = [_warning(path, kinds, check=self._task.check_mode) for path, kinds in lost if kinds and actions]
            if warnings:
                outcome["warnings"] = [*outcome.get("warnings", ()), *warnings]
            if self._task.check_mode or not (plan if actions else found.get("unrecorded") and plan):
                return outcome
            written = self._module({**arguments, "write": plan}, task_vars)
            if written.get("failed"):
                return {**result, **_public(written)}
            if written["written"]:
                return outcome
            if time.monotonic() >= deadline:
                break
        path = found["path"]
        refused = failure("kubeconfig_unusable", path=path, reason="others keep writing to it", fix="run again later")
        return {**result, "failed": True, "msg": str(refused), "diagnosis": refused.diagnosis.as_dict(), "actions": []}

    def _module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        found: dict[str, Any] = self._execute_module(
            module_name="nodeforge.kic.kic_kubeconfig", module_args=arguments, task_vars=task_vars
        )
        return found

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

    def _searched(self) -> str | None:
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
        owner = self._task.args.get("owner") or (user if self._becomes() in ("", "root") else self._becomes())
        if not here or owner != user or getattr(self._connection, "transport", "") != "local":
            return None
        return os.pathsep.join(os.path.abspath(one) for one in here.split(os.pathsep) if one)


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


def _plain(value: Any) -> Any:
    """``value`` of plain types: Ansible's strings know where they are from, which YAML cannot write."""
    return json.loads(json.dumps(value))


def _warning(path: str, kinds: list[str], *, check: bool) -> str:
    """What a user has to know of a file that could not be changed without losing something in it."""
    kept = "is then kept" if check else "was kept"
    return (
        f"{path} cannot be changed without losing some of its {' and '.join(kinds)}. "
        f"The file as it was {kept} next to it, with {ORIGINAL} at the end of its name."
    )


def _public(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in (*_INTERNAL, *_OF_FILE)}


def _plan(found: dict[str, Any], arguments: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str], dict[str, Any]]:
    """Files to write, what that is for a person, and a diff without secrets."""
    if arguments.get("state", "present") == "absent":
        return _plan_absent(found, arguments["cluster"])
    cluster, file = arguments["cluster"], found["files"][0]
    before, path, place = _decode(file), file["path"], found.get("place")
    known = "admin" in found
    if known:
        admin = kubeconfig_yaml.load(found["admin"]) or {}
        ours = kubeconfig.entries(admin, cluster=cluster, name=found["context"], server=found["server"], place=place)
    else:  # in check mode, before there is a cluster
        ours = kubeconfig.expected(cluster=cluster, name=found["context"], place=place)
    merged, name = _merged(before, ours, arguments, file)
    if not known:
        return (
            [],
            [f"write context {name}: {path}"],
            {"before": kubeconfig.summary(before), "after": kubeconfig.summary(merged)},
        )
    text, lost = kubeconfig_yaml.changed(file["text"], before, merged)
    if kubeconfig.others(before, cluster) - kubeconfig.others(merged, cluster):
        lost = [*lost, "other entries"]
    mounted = bool(file.get("mounted"))
    # A file that is mounted by itself keeps the mode and owner that whoever mounted it chose.
    fits = merged == before and (mounted or (file["mode"] == 0o600 and file["uid"] == found["uid"]))
    plan = [{"path": path, "sum": file["sum"], "text": text, "context": name, "lost": lost, "lossy": bool(lost)}]
    shown = _shown(before, file)
    access = {"mode": "0600", "uid": found["uid"]}
    diff = {"before": shown, "after": {**shown, **({} if mounted else access), **kubeconfig.summary(merged)}}
    return plan, [] if fits else [f"write context {name}: {path}"], {} if fits else diff


def _merged(
    before: kubeconfig.Config, ours: kubeconfig.Config, arguments: dict[str, Any], file: dict[str, Any]
) -> tuple[kubeconfig.Config, str]:
    """What the file is to hold, and the name that the cluster's context has in it."""
    cluster, recorded = arguments["cluster"], bool(file.get("known", True))
    together = _flag(arguments.get("merge", True))
    base = before if together else kubeconfig.only(before, ours, cluster=cluster, recorded=recorded)
    set_current = not together or _flag(arguments.get("set_current", True))
    merged = kubeconfig.merge(
        base, ours, cluster=cluster, path=file["path"], set_current=set_current, recorded=recorded
    )
    name = kubeconfig.name_of(merged, ours)
    return (merged if together else {**merged, "current-context": name}), name


def _plan_absent(found: dict[str, Any], cluster: str) -> tuple[list[dict[str, Any]], list[str], dict[str, Any]]:
    plan, actions = [], []
    diff: dict[str, Any] = {"before": {}, "after": {}}
    ca = kubeconfig.authority_of(kubeconfig_yaml.load(found["admin"])) if found.get("admin") else ""
    for file in found["files"]:
        before = _decode(file)
        identity = {**(found.get("place") or {}), "ca": ca, "recorded": file.get("known", True)}
        after = kubeconfig.remove(before, cluster=cluster, identity=identity)
        if after == before:
            if file.get("known") and kubeconfig.remove(before, cluster=cluster) == before:
                # Somebody took the entries out already; the record of them goes too.
                plan.append({**_key(file), "text": file["text"], "empty": False})
            continue
        empty = kubeconfig.is_empty(after)
        text, lost = kubeconfig_yaml.changed(file["text"], before, after)
        plan.append({**_key(file), "text": text, "empty": empty, "lost": lost, "lossy": bool(lost)})
        actions.append(f"remove context of {cluster}: {file['path']}")
        diff["before"][file["path"]] = kubeconfig.summary(before)
        diff["after"][file["path"]] = kubeconfig.summary(after)
    return plan, actions, diff if actions else {}


def _key(file: dict[str, Any]) -> dict[str, Any]:
    """Which file it is, as it was read, and in which engine's records."""
    return {key: file[key] for key in ("path", "sum", "store") if key in file}


def _shown(config: kubeconfig.Config, file: dict[str, Any]) -> dict[str, Any]:
    if file["text"] is None:
        return {}
    return {**kubeconfig.summary(config), "mode": f"{file['mode']:04o}", "uid": file["uid"]}


def _decode(file: dict[str, Any]) -> kubeconfig.Config:
    try:
        return kubeconfig.check(kubeconfig_yaml.load(file["text"] or ""), file["path"])
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # The text around the place may hold credentials: only the place is told.
        where = f" in line {mark.line + 1}" if mark else ""
        fix = "repair it, or name another file with the option path"
        raise failure("kubeconfig_unusable", path=file["path"], reason=f"it is not YAML{where}", fix=fix) from None


def _flag(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() in ("1", "true", "yes", "on", "y", "t")
