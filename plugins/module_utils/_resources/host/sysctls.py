# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the kernel: raised to what nodes need, and brought back to what they were."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..._core import checks
from ..._core.diagnosis import failure
from ..._core.operations import Operation
from ..._host import kernel
from ..._host.files import drop_ins
from .part import Part, Step
from .record import SYSCTL_FILE, HostRecord


@dataclass(frozen=True)
class ObservedSysctls:
    """The settings that were requested, or are ours."""

    values: Mapping[str, int | None] = field(default_factory=dict)
    """None for one that this kernel does not have, or that is no single number."""
    several: frozenset[str] = frozenset()
    """Settings that are no single number."""
    later: Sequence[tuple[str, str]] = ()
    """Path and text of all files of sysctl.d."""


def observe_sysctls(names: set[str]) -> ObservedSysctls:
    """Ask the kernel for them."""
    if not names:
        return ObservedSysctls()
    values = {name: kernel.sysctl(name) for name in names}
    none = (name for name, value in values.items() if value is None)
    several = frozenset(name for name in none if os.path.isfile(kernel.sysctl_path(name)))
    return ObservedSysctls(values, several, drop_ins("sysctl.d"))


def raise_sysctls(asked: Mapping[str, int], observed: ObservedSysctls, record: HostRecord) -> Part:
    """Set those that are not enough, now and at each start."""
    for name in asked:
        if name in observed.several:
            reason = f"{name} is not a single number, and nobody can say which of two texts is enough"
            raise checks.invalid("sysctls", reason, f"set it with ansible.posix.sysctl and leave {name} out")
    there = {name: value for name in asked if (value := observed.values[name]) is not None}
    left_out = tuple(f"sysctls: this kernel has no {name}" for name in asked if name not in there)
    low = {name: value for name, value in there.items() if not kernel.satisfied(name, value, asked[name])}
    for name in low:
        file = kernel.overruling(observed.later, SYSCTL_FILE, name, asked[name])
        if file:
            raise failure("sysctl_overruled", name=name, file=file, asked=asked[name])
    settings = dict(record.sysctls)
    for name, value in low.items():
        before = settings[name]["before"] if name in settings else value
        settings[name] = {"before": before, "set": asked[name]}
    steps = (_step(name, value, asked[name]) for name, value in low.items())
    return Part(replace(record, sysctls=settings), tuple(steps), left_out)


def restore_sysctls(observed: ObservedSysctls, record: HostRecord) -> Part:
    """Bring back those that are as they were set; what somebody else has set since is theirs."""
    ours = (item for item in record.sysctls.items() if observed.values[item[0]] == item[1]["set"])
    steps = (_step(name, value["set"], value["before"]) for name, value in ours)
    return Part(replace(record, sysctls={}), tuple(steps))


def _step(name: str, value: int, asked: int) -> Step:
    detail = f"{value} becomes {asked}"
    operation = Operation("set", "setting", name, detail, exclusive=True, run=partial(_set, name, asked))
    return Step(operation, value, asked)


def _set(name: str, asked: int, _runner: Any) -> None:
    try:
        with open(kernel.sysctl_path(name), "w", encoding="ascii") as handle:
            handle.write(f"{asked}\n")
    except OSError as error:
        raise failure("setting_refused", name=name, value=asked, output=str(error)) from error
    value = kernel.sysctl(name)
    if value != asked:
        raise failure("setting_not_taken", name=name, asked=asked, value=value)
