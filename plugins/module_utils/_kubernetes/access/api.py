# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One way to ask an API as its administrator, wherever it is: inside a node of this engine, or by a kubeconfig from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..._command import CommandResult, Runner
from ..._engine.base import Engine
from .paths import ADMIN


class Api(Protocol):
    """An API that can be asked."""

    def ask(self, *arguments: str, timeout: float, stdin: bytes | None = None, action: str = "") -> CommandResult:
        """Run kubectl; its exit code is an answer."""


@dataclass(frozen=True)
class InNode:
    """Asked by the kubectl of a control plane, which every node image has."""

    engine: Engine
    node: str

    def ask(self, *arguments: str, timeout: float, stdin: bytes | None = None, action: str = "") -> CommandResult:
        """See :class:`Api`."""
        command = ["kubectl", f"--kubeconfig={ADMIN}", *arguments]
        return self.engine.exec(self.node, command, action=action, stdin=stdin, timeout=timeout, check=False)


@dataclass(frozen=True)
class ByKubeconfig:
    """Asked by the kubectl of this machine."""

    runner: Runner
    path: str
    context: str

    def ask(self, *arguments: str, timeout: float, stdin: bytes | None = None, action: str = "") -> CommandResult:
        """See :class:`Api`."""
        command = ["kubectl", f"--kubeconfig={self.path}", f"--context={self.context}", *arguments]
        return self.runner.run(command, timeout=timeout, stdin=stdin)
