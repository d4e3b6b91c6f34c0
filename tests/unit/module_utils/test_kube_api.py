# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An API is asked in one way, inside a node of an engine or by a kubeconfig."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.access.api import Api, ByKubeconfig, InNode
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import Unplugged

ANSWER = CommandResult((), 1, b"no", b"")


class Asked(Unplugged):
    """An engine and a runner that remember what they ran."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[tuple[list[str], Any, Any]] = []

    def call(self, arguments: Sequence[str], **more: Any) -> CommandResult:
        assert more["check"] is False
        return self.run(arguments, timeout=more["timeout"], stdin=more["stdin"])

    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes | None = None, env: Any = None) -> CommandResult:
        """As of a runner."""
        self.ran.append((list(argv), timeout, stdin))
        return ANSWER


def test_both_ways() -> None:
    """The same question, and an exit code is an answer."""
    seam = Asked()
    ways: list[Api] = [InNode(seam, "lab-control-plane-1"), ByKubeconfig(seam, "/home/a/.kube/config", "kic-lab")]
    assert [way.ask("get", "nodes", timeout=5, stdin=b"x", action="asking") for way in ways] == [ANSWER, ANSWER]
    node = ["exec", "--interactive", "lab-control-plane-1", "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"]
    here = ["kubectl", "--kubeconfig=/home/a/.kube/config", "--context=kic-lab"]
    assert seam.ran == [([*begin, "get", "nodes"], 5, b"x") for begin in (node, here)]
