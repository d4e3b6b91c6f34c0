# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that are installed for nodes: they are recorded, and named when all else is taken back."""

from __future__ import annotations

from dataclasses import replace

from ..._core.operations import Operation
from .part import Part, Step
from .record import HostRecord


def record_packages(packages: tuple[str, ...], record: HostRecord) -> Part:
    """Record those that are about to be installed."""
    new = [name for name in packages if name not in record.packages]
    if not new:
        return Part(record)
    recorded = replace(record, packages=(*record.packages, *new))
    return Part(recorded, (Step(Operation("record", "packages", ", ".join(new), exclusive=True)),))


def forget_packages(record: HostRecord) -> Part:
    """Forget those that were installed for nodes: others may need them by now."""
    if not record.packages:
        return Part(record)
    forget = Operation("forget", "packages", ", ".join(record.packages), "they stay installed", exclusive=True)
    return Part(replace(record, packages=()), (Step(forget),), packages=record.packages)
