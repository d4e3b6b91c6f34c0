# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads on the controller what is run in nodes; the module of the same name does the rest."""

from __future__ import annotations

from typing import Any

from ansible_collections.nodeforge.kic.plugins.plugin_utils.diagnosed_action import DiagnosedAction
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts


class ActionModule(DiagnosedAction):
    """One task: the module with the collection's own scripts."""

    def converge(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The module's result."""
        return self.module("kic_node_image", {"scripts": node_scripts(), **self._task.args}, task_vars)
