# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads on the controller what the nodes of a cluster get as files; the module of the same name does the rest."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.arguments import CLUSTER
from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.spec import validate
from ansible_collections.nodeforge.kic.plugins.module_utils._faults import as_failure
from ansible_collections.nodeforge.kic.plugins.module_utils._module import completed
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import FILES, files_below, node_scripts


class ActionModule(ActionBase):
    """One task: the module with the collection's own files."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result; a file that cannot be read, or a declaration that cannot be, is a diagnosis too."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        try:
            arguments.setdefault("node_files", files_below(FILES / "node"))
            arguments.setdefault("scripts", node_scripts())
            if boolean(arguments.get("validate_only", False)):
                # Nothing of it is on the managed machine.
                validate(completed(CLUSTER, _plain(arguments), "kic_cluster"), completed)
                return {**result, "changed": False, "actions": [], "drift": [], "cluster": {}}
        except Exception as error:
            found = as_failure(error)
            return {**result, "failed": True, "msg": str(found), "diagnosis": found.diagnosis.as_dict(), "actions": []}
        done: dict[str, Any] = self._execute_module(
            module_name="nodeforge.kic.kic_cluster", module_args=arguments, task_vars=task_vars
        )
        return {**result, **done}


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the cluster, without those of the engine; Ansible's strings know where they are from, plain ones do not."""
    found: dict[str, Any] = json.loads(json.dumps(arguments))
    return {key: value for key, value in found.items() if key in CLUSTER}
