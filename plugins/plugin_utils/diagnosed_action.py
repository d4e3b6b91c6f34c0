# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of this collection's action plugins: whatever fails on the controller is a diagnosis, as a module's failure is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.nodeforge.kic.plugins.module_utils._faults import as_failure


class DiagnosedAction(ActionBase):
    """A plugin says in :meth:`converge` what the task does."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = True

    @abstractmethod
    def converge(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The task's result."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result, or the diagnosis of what failed here."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        try:
            return {**result, **self.converge(task_vars)}
        except AnsibleError:
            # Ansible's own: of the connection, or of what the user wrote.
            raise
        except Exception as error:
            found = as_failure(error)
            failed = {"failed": True, "msg": str(found), "diagnosis": found.diagnosis.as_dict()}
            return {**result, **failed, "actions": [*found.done], "changed": bool(found.done)}

    def module(self, name: str, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        """The result of one of this collection's modules on the managed machine."""
        found: dict[str, Any] = self._execute_module(
            module_name=f"nodeforge.kic.{name}", module_args=arguments, task_vars=task_vars
        )
        return found
