# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merges kubeconfigs on the controller, where there is a YAML parser; the module of the same name reads and writes."""

from __future__ import annotations

from typing import Any

from ansible_collections.nodeforge.kic.plugins.plugin_utils.kubeconfig_action import KubeconfigAction


class ActionModule(KubeconfigAction):
    """One task: read, merge, write. Nothing to change costs one run of the module."""

    def converge(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The module's result, without what only the two halves need."""
        return self.bring(self.asked_by(self._task.args), task_vars)
