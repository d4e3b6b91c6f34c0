# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of the steps of a long task, and what a node said last when one of them failed."""

from __future__ import annotations

import time
from typing import Callable

from ..._core.diagnosis import KicError, failure
from ..._engine.base import Engine
from ..._node.scripts import Scripts, script

CLIENT_SECONDS = 60.0
"""How much longer the engine's client may take than what it runs inside, whose own limit is the one that tells why. On a
slow machine it takes seconds to begin."""

LINES = 15

MANIFESTS, LOGS = "/etc/kubernetes/manifests", "/var/log/pods"
PART_LINES = 6
"""Of each part of the control plane that does not answer."""

USUAL = 600.0
"""The total that the steps' own limits are made for. Who gives more has a slower machine, and each step gets more."""


class Deadline:
    """What is left of a total of ``seconds``, counted from its making."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._total = seconds
        self._end = clock() + seconds
        self.patience = max(1.0, seconds / USUAL)
        """How much longer than usual each step may take."""

    def limit(self, step: str, own: float) -> float:
        """Seconds that ``step`` may take: the smaller of its ``own`` limit, which grows with the total, and what is left.

        Raises ``out_of_time`` when nothing is left.
        """
        left = self._end - self._clock()
        if left < 1:
            raise failure("out_of_time", step=step, seconds=self._total)
        return min(own * self.patience, left)


def last_lines(engine: Engine, node: str) -> str:
    """What kubelet said last; "" where that cannot be read."""
    said = _told(engine, node, ["journalctl", "--unit=kubelet", f"--lines={LINES}", "--no-pager", "--output=cat"], 10)
    return f"kubelet's last lines:\n{said}" if said else ""


def silent_parts(engine: Engine, node: str, scripts: Scripts) -> str:
    """Which parts of the control plane do not answer in the node, with what they said last; "" where that cannot be read."""
    if "silent-parts" not in scripts:
        return ""
    return _told(engine, node, script(scripts, "silent-parts", MANIFESTS, LOGS, str(PART_LINES)), 20)


def _told(engine: Engine, node: str, command: list[str], seconds: float) -> str:
    """What a command in the node says. Best effort: its failure must not hide the failure that it would explain."""
    try:
        result = engine.exec(node, command, check=False, timeout=seconds)
    except KicError:
        return ""
    return result.out.strip() if result.rc == 0 else ""
