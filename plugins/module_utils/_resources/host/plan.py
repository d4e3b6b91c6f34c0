# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a machine, in the order in which they are planned."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..._command import Runner
from ..._core import checks
from ..._core.diagnosis import failure
from ..._core.operations import Operation
from ..._core.plan import Plan, Resource, always
from ..._host import kernel
from ..._host.machine import has_systemd
from ..._state.lock import MACHINE
from .kernel_modules import ObservedModules, load_modules, observe_modules
from .own_files import ObservedFiles, observe_files, own_files
from .packages import forget_packages, record_packages
from .part import Part
from .record import HostRecord
from .sub_ids import ObservedIds, give_ids, observe_ids, restore_modes, take_ids_back
from .sysctls import ObservedSysctls, observe_sysctls, raise_sysctls, restore_sysctls
from .units import ObservedUnits, disable_units, enable_units, observe_units


@dataclass(frozen=True)
class HostSpec:
    """What a machine is to have, as it was requested. A part that asks for nothing is left as it is."""

    present: bool
    user: str = ""
    sub_ids: int = 0
    """How many subordinate ids the user is to have."""
    sysctls: Mapping[str, int] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Names of packages that are about to be installed for us."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> HostSpec:
        """From a module's parameters; raises ``invalid_option`` with all problems."""
        problems = checks.Problems()
        user = params["user"] or ""
        if user and ("/" in user or ":" in user or user.startswith((".", "-"))):
            problems.add("user", f"{user!r} is not a user's name", "name the user that runs the nodes")
        count = params["sub_ids"] or 0
        if count and not user:
            problems.add("sub_ids", "nobody is named who is to have them", "set user too")
        if count < 0:
            problems.add("sub_ids", f"{count} is not a number of ids", "set 65536, or 0 to leave them as they are")
        sysctls: dict[str, int] = {}
        for name, value in (params["sysctls"] or {}).items():
            if not re.fullmatch(r"[a-z0-9_]+(\.[A-Za-z0-9_-]+)+", name):
                problems.add("sysctls", f"{name!r} is not a setting's name", "write it as: sysctl --all shows it")
            if not re.fullmatch(r"\d+", str(value)):
                problems.add("sysctls", f"{name}: {value!r} is not a whole number", f"write: {name}: 512")
            else:
                sysctls[name] = int(value)
        for name in params["modules"] or ():
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
                problems.add("modules", f"{name!r} is not a module's name", "write it as lsmod shows it")
        problems.finish()
        return cls(
            present=params["state"] == "present",
            user=user,
            sub_ids=count,
            sysctls=sysctls,
            modules=tuple(sorted({kernel.plain(name) for name in params["modules"] or ()})),
            units=tuple(params["units"] or ()),
            packages=tuple(params["packages"] or ()),
        )


@dataclass(frozen=True)
class ObservedHost:
    """What there is of the parts that were requested, or are ours."""

    record: HostRecord
    root: bool
    writable: bool = True
    """Whether /etc can be written."""
    files: ObservedFiles = field(default_factory=ObservedFiles)
    ids: ObservedIds = field(default_factory=ObservedIds)
    sysctls: ObservedSysctls = field(default_factory=ObservedSysctls)
    modules: ObservedModules = field(default_factory=ObservedModules)
    units: ObservedUnits = field(default_factory=ObservedUnits)


@dataclass(frozen=True)
class HostPlan(Plan):
    """The plan of all parts, and what the machine is described by when it is done."""

    record: HostRecord = field(default_factory=HostRecord)
    left_out: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    """Those that stay, where all that was ours goes."""


def plan_host(spec: HostSpec, observed: ObservedHost) -> HostPlan:
    """What there is to do. Raises for what stands in the way and is not ours to change."""
    part = (_present if spec.present else _absent)(spec, observed)
    part = _then(part, partial(own_files, observed.files, keep_unrecorded=spec.present))
    written = [item.operation.name for item in part.steps if item.operation.kind in ("range", "file")]
    if written and not observed.writable:
        raise failure("etc_read_only", path=written[0])
    operations = [item.operation for item in part.steps]
    if operations and not observed.root:
        raise failure("root_needed", actions="; ".join(map(str, operations)))
    return HostPlan(
        operations=_recorded(spec, observed.record, part.record, operations),
        before={item.operation.name: item.before for item in part.steps if item.before is not None},
        after={item.operation.name: item.after for item in part.steps if item.after is not None},
        warnings=part.warnings,
        record=part.record,
        left_out=part.left_out,
        packages=part.packages,
    )


def _then(part: Part, *more: Callable[[HostRecord], Part]) -> Part:
    """The part and others, each of which adds its share to the record."""
    for plan in more:
        new = plan(part.record)
        part = Part(
            new.record,
            (*part.steps, *new.steps),
            (*part.left_out, *new.left_out),
            (*part.warnings, *new.warnings),
            (*part.packages, *new.packages),
        )
    return part


def _present(spec: HostSpec, observed: ObservedHost) -> Part:
    return _then(
        record_packages(spec.packages, observed.record),
        partial(give_ids, spec.user, spec.sub_ids, observed.ids),
        partial(raise_sysctls, spec.sysctls, observed.sysctls),
        partial(load_modules, spec.modules, observed.modules),
        partial(enable_units, spec.units, observed.units),
    )


def _absent(spec: HostSpec, observed: ObservedHost) -> Part:
    part = take_ids_back(spec.user, observed.ids, observed.record)
    if part.record.users:
        others = ", ".join(sorted(part.record.users))
        stays = f"What all users share stays, as it was made for {others} too."
        return replace(part, warnings=(*part.warnings, stays))
    restored = (restore_modes, partial(restore_sysctls, observed.sysctls), partial(disable_units, observed.units))
    # Modules stay loaded until the next start; directories go with the record.
    return _then(part, *restored, forget_packages, lambda record: Part(replace(record, modules=(), created=())))


def _recorded(
    spec: HostSpec, before: HostRecord, record: HostRecord, operations: list[Operation]
) -> tuple[Operation, ...]:
    """The operations with that of the record. What is about to be ours is recorded before it is there, and what was ours
    until it is gone: an interrupted run leaves nothing that none knows of."""
    if not operations:
        return ()
    kept = Operation("keep", "record", "localhost", exclusive=True, changes=False, run=partial(_save, record))
    if spec.present:
        return (kept, *operations)
    gone = tuple(path for path in before.created if path not in record.created)
    return (*operations, replace(kept, run=partial(_forget, record, gone)))


def _save(record: HostRecord, _runner: Runner) -> None:
    record.save()


def _forget(record: HostRecord, created: Iterable[str], _runner: Runner) -> None:
    """Remove the directories that were not there, where nothing of others has come into them."""
    for path in created:
        if os.path.isdir(path) and not os.listdir(path):
            os.rmdir(path)
    record.save()


class HostResource(Resource[ObservedHost, None]):
    """The parts of a :class:`HostSpec` on this machine."""

    kind = "machine"
    lock_name = MACHINE
    name = "localhost"

    def __init__(self, spec: HostSpec, runner: Runner) -> None:
        self.seam = runner
        self._spec = spec

    def observe(self) -> ObservedHost:
        spec, record = self._spec, HostRecord.load()
        return ObservedHost(
            record=record,
            root=os.geteuid() == 0,
            # Also root is told of a file system that is mounted read-only (access(2), EROFS).
            writable=os.access("/etc", os.W_OK),
            files=observe_files(),
            ids=observe_ids(spec.user if spec.sub_ids else ""),
            sysctls=observe_sysctls({*spec.sysctls, *record.sysctls}),
            modules=observe_modules(spec.modules, os.path.isdir(kernel.module_directory()), self.seam),
            units=observe_units((*spec.units, *record.units), has_systemd(), self.seam),
        )

    def survey(self, observed: ObservedHost | None, refused: frozenset[Any] = frozenset()) -> None:
        """A plan needs no more than what was observed."""

    def plan(self, observed: ObservedHost | None, survey: None) -> HostPlan:
        return plan_host(self._spec, always(observed))

    def describe(self, observed: ObservedHost | None, plan: Plan) -> dict[str, Any]:
        if not isinstance(plan, HostPlan):
            raise TypeError(plan)
        # The record of a run is that of its plan; later looks find nothing to do and leave it.
        record = plan.record
        return {
            "user": self._spec.user,
            "files": sorted(path for path, text in record.files().items() if text is not None),
            "ranges": {
                user: {path: [text.strip() for text in texts] for path, texts in sorted(ranges.items())}
                for user, ranges in sorted(record.users.items())
            },
            "sysctls": {name: dict(value) for name, value in sorted(record.sysctls.items())},
            "modules": list(record.modules),
            "units": list(record.units),
            "packages": list(plan.packages or record.packages),
            "left_out": list(plan.left_out),
        }
