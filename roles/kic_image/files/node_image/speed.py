# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a program takes to compile on this machine, from its processor time on another and the speed of both."""

from __future__ import annotations

import os
import random
import time
import zlib

REFERENCE = 0.0034
"""What `measured` is where the recipe's seconds, of one processor, were taken."""


def measured() -> float:
    """Processor seconds of compressing 128 KiB: what C takes, however this Python was built; the best of three.

    So little, because a play whose image comes from elsewhere asks for a plan in each run.
    """
    sample = random.Random(0).randbytes(1 << 16).hex().encode()
    found = []
    for _attempt in range(3):
        started = time.process_time()
        zlib.compress(sample)
        found.append(time.process_time() - started)
    return min(found)


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def told(seconds: float) -> str:
    """A duration as a person says it: ``5 s``, ``40 s``, ``3 min``."""
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 90:
        return f"{round(seconds, -1):.0f} s"
    return f"{round(seconds / 60)} min"
