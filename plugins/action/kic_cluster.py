# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a cluster is done on the controller: its declaration is checked, the nodes' files are read, and the kubeconfig is
merged; the module of the same name does the rest."""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.arguments import CLUSTER
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.declared import misplaced_labels
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.spec import validate
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import keep_done
from ansible_collections.nodeforge.kic.plugins.module_utils._module import completed
from ansible_collections.nodeforge.kic.plugins.plugin_utils.cluster_summary import leftover
from ansible_collections.nodeforge.kic.plugins.plugin_utils.kubeconfig_action import KubeconfigAction
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import FILES, files_below, node_scripts
from ansible_collections.nodeforge.kic.plugins.plugin_utils.plain import plain

_TOLD = ("path", "context", "needs_sudo")
"""What a result says of the kubeconfig."""


class ActionModule(KubeconfigAction):
    """One task: the module with the collection's own files, and its kubeconfig."""

    def converge(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The module's result; of a declaration that is only to be validated, nothing on the managed machine is needed."""
        arguments = {"node_files": files_below(FILES / "node"), "scripts": node_scripts(), **self._task.args}
        validate(completed(CLUSTER, _plain(arguments), "kic_cluster"), completed)
        if boolean(arguments.get("validate_only", False)):
            return {"changed": False, "actions": [], "drift": [], "cluster": {}, "kubeconfig": None}
        if arguments.get("kubeconfig") is None:
            return _warned(self.module("kic_cluster", arguments, task_vars), arguments)
        return _warned(self._with_access(arguments, self.asked_by(arguments["kubeconfig"]), task_vars), arguments)

    def _with_access(
        self, arguments: dict[str, Any], wanted: dict[str, Any], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        found = self.module("kic_cluster", {**arguments, "kubeconfig": wanted}, task_vars)
        read = found.pop("access", None)
        # As the module takes them: what it knows of the engine need not be asked again.
        engine = {key: found.get(key) for key in ("engine", "engine_facts")}
        entry = {"cluster": arguments["name"], **wanted, **engine}
        if read is not None and not found["cluster"]:
            self.bring({**entry, "probe": True}, task_vars, read)
            seen = {**wanted, "seen": read["files"][0]["sum"]}
            found = self.module("kic_cluster", {**arguments, "kubeconfig": seen, **engine}, task_vars)
            read = found.pop("access", None)
        if found.get("failed") or read is None:
            return found
        if self._task.check_mode and found["cluster"].get("renewed"):
            # A run reads what it has renewed.
            entry["renewed"] = True
        try:
            return _together(found, self.bring(entry, task_vars, read))
        except Exception as error:
            keep_done(error, tuple(found["actions"]))
            raise


def _together(cluster: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """The result of the cluster with that of its kubeconfig; what failed there does not undo what was done before."""
    done = {
        "changed": bool(cluster["changed"] or entry.get("changed")),
        "actions": [*cluster["actions"], *entry.get("actions", ())],
        "warnings": [*cluster.get("warnings", ()), *entry.get("warnings", ())],
    }
    if entry.get("failed"):
        return {**entry, **done}
    diffs = [*_parts(cluster), *({**part, **_headers(entry["path"])} for part in _parts(entry))]
    told = {"kubeconfig": {key: entry[key] for key in _TOLD}}
    return {**cluster, **done, **told, **({"diff": diffs} if diffs else {})}


def _parts(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a result's diff. Ansible shows nothing of a list in a list."""
    diff = found.get("diff") or []
    return [*diff] if isinstance(diff, list) else [diff]


def _headers(path: str) -> dict[str, str]:
    """What Ansible shows above the part of the kubeconfig, as each of the cluster's has the thing that it is of."""
    return dict.fromkeys(("before_header", "after_header"), f"kubeconfig {path}")


def _warned(found: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """The result, with a warning of nodes that are not declared, for which it matters who reads it, and of misplaced labels."""
    cluster, entry = found.get("cluster"), found.get("kubeconfig") or {}
    if found.get("failed") or not cluster:
        return found
    where = {"engine": found["engine"], "rootless": (found.get("engine_facts") or {}).get("rootless")}
    surplus = leftover({**cluster, **where, "needs_sudo": entry.get("needs_sudo")}, root=os.geteuid() == 0)
    texts = [text for text in (surplus, misplaced_labels(arguments)) if text]
    return {**found, "warnings": [*found.get("warnings", ()), *texts]} if texts else found


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the cluster, without those of the engine, of plain types."""
    return {key: plain(value, f"kic_cluster_{key}") for key, value in arguments.items() if key in CLUSTER}
