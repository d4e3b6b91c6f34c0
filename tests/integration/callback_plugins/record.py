# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes what every task returned to the file that RECORD_FILE names, a JSON object a line, for tests to read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: record
type: aggregate
short_description: Record results of tasks for tests
description: Appends a JSON object a line to the file that the environment variable RECORD_FILE names.
author: nodeforge.kic contributors (@nodeforge)
"""


class CallbackModule(CallbackBase):
    """Records each task's end, and the counters."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, **line: Any) -> None:
        with Path(os.environ["RECORD_FILE"]).open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line, default=str) + "\n")

    def _task(self, status: str, result: Any) -> None:
        task = result.task if hasattr(result, "task") else result._task
        host = result.host if hasattr(result, "host") else result._host
        values = result.result if hasattr(result, "result") else result._result
        self._write(status=status, task=task.get_name(), action=task.action, host=host.get_name(), result=values)

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task ended well."""
        self._task("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed."""
        self._task("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host could not be reached."""
        self._task("unreachable", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end: counters of each host."""
        self._write(stats={host: stats.summarize(host) for host in stats.processed})
