# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads on the controller what the nodes of a cluster get as files; the module of the same name does the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.nodeforge.kic.plugins.module_utils._faults import as_failure
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import files_below

FILES = Path(__file__).resolve().parents[2] / "roles" / "kic_cluster" / "files"


class ActionModule(ActionBase):
    """One task: the module with the collection's own files."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result; a file that cannot be read is a diagnosis too."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        try:
            arguments.setdefault("node_files", files_below(FILES / "node"))
            arguments.setdefault("pod_network_manifest", (FILES / "manifests/pod-network.yaml").read_text("utf-8"))
        except Exception as error:
            found = as_failure(error)
            return {**result, "failed": True, "msg": str(found), "diagnosis": found.diagnosis.as_dict(), "actions": []}
        done: dict[str, Any] = self._execute_module(
            module_name="nodeforge.kic.kic_cluster", module_args=arguments, task_vars=task_vars
        )
        return {**result, **done}
