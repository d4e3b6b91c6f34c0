# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each part of a machine adds to the plan of the whole, and how programs of the machine are run for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..._command import CommandResult, Runner, run_if_there
from ..._core.operations import Operation
from .record import HostRecord

_SECONDS = 120.0


@dataclass(frozen=True)
class Step:
    """An operation, and what a diff shows of what it is done to; None where that is nothing."""

    operation: Operation
    before: Any = None
    after: Any = None


@dataclass(frozen=True)
class Part:
    """What there is to do for one part of the machine."""

    record: HostRecord
    """The record with the part's share of what will be ours."""
    steps: tuple[Step, ...] = ()
    left_out: tuple[str, ...] = ()
    """What has no place on this machine, with its reason."""
    warnings: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Those that stay, where all that was ours goes."""


def run(runner: Runner, argv: list[str], env: Mapping[str, str] | None = None) -> CommandResult:
    """Run a program that may be missing."""
    return run_if_there(runner, argv, timeout=_SECONDS, env=env)
