# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules of the kernel: loaded now, and at each start of the machine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from ..._command import Runner
from ..._core.diagnosis import failure
from ..._core.operations import Operation
from ..._host import kernel
from .part import Part, Step, run
from .record import HostRecord


@dataclass(frozen=True)
class ObservedModules:
    """The modules of the running kernel, and those of its next start."""

    built_in: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    """Requested ones that there are none of."""
    at_boot: frozenset[str] = frozenset()
    """Those that files have loaded at the start of the machine, ours among them."""
    directory: bool = True
    """Whether there is a directory of modules for this kernel."""


def observe_modules(names: tuple[str, ...], directory: bool, runner: Runner) -> ObservedModules:
    """Look for them."""
    if not names:
        return ObservedModules()
    built, running = kernel.modules_now()
    dry_run = ["modprobe", "--dry-run", "--quiet", "--"]
    absent = (name for name in names if name not in built | running)
    unknown = frozenset(name for name in absent if run(runner, [*dry_run, name]).rc != 0)
    return ObservedModules(built, running, unknown, kernel.modules_at_boot(), directory)


def load_modules(names: tuple[str, ...], observed: ObservedModules, record: HostRecord) -> Part:
    """Load those that are missing; one that is part of the kernel needs no more."""
    if names and not observed.directory:
        reason = "modules: there is no directory of modules for this kernel, it is all in one piece"
        return Part(record, left_out=(reason,))
    wanted = [name for name in names if name not in observed.built_in]
    missing = [name for name in wanted if name not in observed.loaded]
    for name in missing:
        if name in observed.unknown:
            raise failure("module_unknown", name=name)
    lasting = [name for name in wanted if name not in observed.at_boot]
    steps = (Step(Operation("load", "module", name, run=partial(_load, name))) for name in missing)
    return Part(replace(record, modules=tuple(sorted({*record.modules, *lasting}))), tuple(steps))


def _load(name: str, runner: Runner) -> None:
    answer = run(runner, ["modprobe", "--", name])
    if answer.rc != 0 or name not in kernel.modules_now()[1]:
        raise failure("module_not_loaded", name=name, output=answer.words)
