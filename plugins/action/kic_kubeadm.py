# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads on the controller what is run in nodes; the module of the same name does the rest."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts


class ActionModule(ActionBase):
    """One task: the module with the collection's own scripts."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The module's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = {"scripts": node_scripts(), **self._task.args}
        done: dict[str, Any] = self._execute_module(
            module_name="nodeforge.kic.kic_kubeadm", module_args=arguments, task_vars=task_vars
        )
        return {**result, **done}
