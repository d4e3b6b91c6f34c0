# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads on the controller what the nodes of a cluster get as files; the module of the same name does the rest."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.arguments import CLUSTER
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.spec import validate
from ansible_collections.nodeforge.kic.plugins.module_utils._module import completed
from ansible_collections.nodeforge.kic.plugins.plugin_utils.diagnosed_action import DiagnosedAction
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import FILES, files_below, node_scripts


class ActionModule(DiagnosedAction):
    """One task: the module with the collection's own files."""

    def converge(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The module's result; of a declaration that is only to be validated, nothing on the managed machine is needed."""
        arguments = {"node_files": files_below(FILES / "node"), "scripts": node_scripts(), **self._task.args}
        if not boolean(arguments.get("validate_only", False)):
            return self.module("kic_cluster", arguments, task_vars)
        validate(completed(CLUSTER, _plain(arguments), "kic_cluster"), completed)
        return {"changed": False, "actions": [], "drift": [], "cluster": {}}


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the cluster, without those of the engine; Ansible's strings know where they are from, plain ones do not."""
    found: dict[str, Any] = json.loads(json.dumps(arguments))
    return {key: value for key, value in found.items() if key in CLUSTER}
