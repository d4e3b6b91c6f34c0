# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of action plugins that only hand on what is run in nodes."""

from __future__ import annotations

from typing import Any

from ansible_collections.nodeforge.kic.plugins.plugin_utils.diagnosed_action import DiagnosedAction
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts


class ScriptedAction(DiagnosedAction):
    """A plugin names its module; the result is that of the module with the collection's own scripts."""

    name: str
    """The module's, which is the plugin's too."""

    def converge(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The module's result."""
        return self.module(self.name, {"scripts": node_scripts(), **self._task.args}, task_vars)
