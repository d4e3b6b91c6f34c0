# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what a play waits for while it waits."""

from __future__ import annotations

DOCUMENTATION = r"""
name: progress
type: notification
short_description: Say what a play waits for
version_added: 0.1.0
description:
  - A task that takes longer than O(after) is named, with the time it took so far, and again each O(every) seconds. What is
    over sooner, or skipped, says nothing.
  - Of M(nodeforge.kic.kic_cluster) on this machine it says as well which operations run and how many are left, as soon as they
    change, where its user may read the files of the module's user.
  - It goes well with C(display_skipped_hosts=false) of the default callback, which names a task only when it has ended.
  - It writes to the standard error output, so that the standard output holds what the stdout callback writes and no more,
    and a program can read the document of one such as C(ansible.posix.json). Where both outputs are one file or
    pipe and the stdout callback writes JSON, it writes nothing.
options:
  after:
    description: Seconds after which a task is named.
    type: float
    default: 3
    env:
      - name: NODEFORGE_KIC_PROGRESS_AFTER
    ini:
      - section: nodeforge_kic_progress
        key: after
  every:
    description: Seconds after which it is named again.
    type: float
    default: 30
    env:
      - name: NODEFORGE_KIC_PROGRESS_EVERY
    ini:
      - section: nodeforge_kic_progress
        key: every
requirements:
  - enabled in the configuration of Ansible, C(callbacks_enabled = nodeforge.kic.progress)
author:
  - nodeforge.kic contributors (@nodeforge)
"""

import os
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase

from ansible_collections.nodeforge.kic.plugins.module_utils._state.progress import waited_for

STRUCTURED = ("json", "jsonl")
"""Last parts of the names of stdout callbacks whose output is a document."""


ASK = 1.0
"""Seconds after which a module that writes what it is waiting for is asked again: a look at a directory."""

WRITES = "nodeforge.kic.kic_cluster"
"""The action whose module writes it."""


def _epoch(host: Any, task: Any) -> float:
    """Since when the module of the task writes what it is waiting for; 0 where it writes nothing that is read here."""
    local = host.get_name() == "localhost" or host.vars.get("ansible_connection") == "local"
    return time.time() if local and getattr(task, "resolved_action", None) == WRITES else 0.0


def one_output() -> bool:
    """Whether both standard outputs are one file or pipe, as with ``2>&1``. One that is closed is not the other."""
    try:
        return os.path.samestat(os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno()))
    except (AttributeError, OSError, ValueError):
        return False


def document_mixed() -> bool:
    """Whether a line on the standard error output would stand inside a document that a program reads."""
    stdout_callback = str(constants.DEFAULT_STDOUT_CALLBACK)  # type: ignore[attr-defined]
    return stdout_callback.rpartition(".")[2] in STRUCTURED and one_output()


@dataclass
class Wait:
    """A task that runs on some hosts. Times are of the monotonic clock."""

    task: str
    began: float
    due: float
    """When it is named next."""
    epoch: float = 0.0
    """When it began, in seconds of the epoch, where the module says what it waits for; else 0."""
    detail: str = ""
    """What it was waiting for when it was asked last."""
    hosts: set[str] = field(default_factory=set)

    def line(self, now: float) -> str:
        """What a person reads."""
        hosts = "" if self.hosts == {"localhost"} else f" ({', '.join(sorted(self.hosts))})"
        detail = f": {self.detail}" if self.detail else ""
        return f"... {now - self.began:.0f} s: {self.task}{hosts}{detail}"

    def changed(self) -> bool:
        """Ask what it is waiting for; whether that is something else than before."""
        before, self.detail = self.detail, waited_for(self.epoch) if self.epoch else ""
        return self.detail not in ("", before)


class CallbackModule(CallbackBase):
    """Keeps the tasks that run, and a thread that names those that take long."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "nodeforge.kic.progress"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._waits: dict[str, Wait] = {}
        self._changed = threading.Condition()
        self._ended = False

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Start the thread. Ansible forks under the lock of its display, so no worker inherits a line half written."""
        if not document_mixed():
            threading.Thread(target=self._watch, daemon=True).start()

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """End the thread."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A task begins on a host."""
        with self._changed:
            now = time.monotonic()
            due = now + self._seconds("after")
            wait = self._waits.setdefault(task._uuid, Wait(task.get_name(), now, due, _epoch(host, task)))
            wait.hosts.add(host.get_name())
            self._changed.notify()

    def _seconds(self, option: str) -> float:
        return float(self.get_option(option))  # type: ignore[no-untyped-call]

    def _over(self, result: Any) -> None:
        task, host = getattr(result, "task", None) or result._task, getattr(result, "host", None) or result._host
        with self._changed:
            wait = self._waits.get(task._uuid)
            if wait is not None:
                wait.hosts.discard(host.get_name())
                if not wait.hosts:
                    del self._waits[task._uuid]

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task has ended on a host."""
        self._over(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task has failed on a host."""
        self._over(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task was not for a host."""
        self._over(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host is gone."""
        self._over(result)

    def _said(self, line: str) -> bool:
        """Say it, or give up for good where nobody reads any more: a thread's exception would be shown as a traceback."""
        try:
            self._display.display(line, stderr=True)
        except Exception:
            return False
        return True

    def _watch(self) -> None:
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                if not all(self._shown(wait, now) for wait in self._waits.values()):
                    return
                due = min(
                    (min(wait.due, now + ASK) if wait.epoch else wait.due for wait in self._waits.values()),
                    default=None,
                )
                self._changed.wait(None if due is None else max(0.0, due - now))

    def _shown(self, wait: Wait, now: float) -> bool:
        """Print the line of a wait that is due; False where nothing can be printed any more."""
        # What is over soon says nothing, also of its operations.
        late = now - wait.began >= self._seconds("after")
        if not ((late and wait.changed()) or wait.due <= now):
            return True
        if not self._said(wait.line(now)):
            return False
        wait.due = now + self._seconds("every")
        return True
