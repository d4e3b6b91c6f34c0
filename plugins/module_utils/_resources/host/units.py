# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of the machine's systemd that are to be enabled, and to run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from ..._command import Runner
from ..._core.diagnosis import failure
from ..._core.operations import Operation
from .part import Part, Step, run
from .record import HostRecord


@dataclass(frozen=True)
class Unit:
    """A unit of the machine's systemd, in the words of systemctl show."""

    load: str = "not-found"
    enabled: str = ""
    active: str = ""
    kind: str = ""
    """``Type=`` of a service."""

    @property
    def runs_on(self) -> bool:
        """Whether it is one that runs as long as the machine does, and not one that acts once."""
        return self.kind != "oneshot"


@dataclass(frozen=True)
class ObservedUnits:
    """The units that were requested, or are ours."""

    systemd: bool = False
    """Whether it manages the machine."""
    units: Mapping[str, Unit] = field(default_factory=dict)

    def named(self, name: str) -> Unit:
        """The unit, which may not be there."""
        return self.units.get(name, Unit())


def observe_units(names: Iterable[str], systemd: bool, runner: Runner) -> ObservedUnits:
    """Ask systemd for them."""
    return ObservedUnits(systemd, {name: _unit(name, runner) for name in names} if systemd else {})


def _unit(name: str, runner: Runner) -> Unit:
    said = _systemctl(["show", "--property=LoadState,UnitFileState,ActiveState,Type", "--", name], runner)
    values = dict(line.partition("=")[::2] for line in said.split("\n"))
    return Unit(*(values.get(key, "") for key in ("LoadState", "UnitFileState", "ActiveState", "Type")))


def enable_units(names: tuple[str, ...], observed: ObservedUnits, record: HostRecord) -> Part:
    """Enable those that are disabled, and start those that are to run."""
    if names and not observed.systemd:
        return Part(record, left_out=("units: systemd does not manage this machine",))
    for name in names:
        if observed.named(name).load == "masked":
            raise failure("engine_unit_masked", unit=name)
    missing = tuple(f"units: this machine has no {name}" for name in names if observed.named(name).load != "loaded")
    there = [name for name in names if observed.named(name).load == "loaded"]
    steps = tuple(step for name in there for step in _enabled(name, observed.named(name)))
    ours = [name for name in there if observed.named(name).enabled == "disabled"]
    return Part(replace(record, units=tuple(dict.fromkeys([*record.units, *ours]))), steps, missing)


def _enabled(name: str, unit: Unit) -> Iterator[Step]:
    if unit.enabled == "disabled":
        yield Step(_operation("enable", name), "disabled", "enabled")
    if unit.runs_on and unit.active != "active":
        yield Step(_operation("start", name))


def disable_units(observed: ObservedUnits, record: HostRecord) -> Part:
    """Disable those that were enabled; what runs goes on."""
    ours = [name for name in record.units if observed.named(name).enabled == "enabled"]
    # They are forgotten when they are disabled, under the same lock.
    steps = (Step(replace(_operation("disable", name), exclusive=True), "enabled", "disabled") for name in ours)
    return Part(replace(record, units=()), tuple(steps))


def _operation(verb: str, name: str) -> Operation:
    return Operation(verb, "unit", name, run=partial(_systemctl, [verb, name]))


def _systemctl(arguments: list[str], runner: Runner) -> str:
    answer = run(runner, ["systemctl", *arguments])
    if answer.rc != 0:
        action = f"systemctl {' '.join(arguments)}"
        raise failure("engine_failed", engine="systemd", action=action, rc=answer.rc, output=answer.words)
    return answer.out
