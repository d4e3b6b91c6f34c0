# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What brings a cluster's nodes back when the machine boots: a unit of systemd, or the restart policy of each container.

An engine without a daemon starts nothing by itself. podman's own podman-restart.service takes every container of the policy
``always``, whoever stopped it, so a cluster has a unit of its own, which is disabled while the cluster is to be stopped.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .._command import Runner
from .._core.diagnosis import KicError, failure
from .._core.operations import Operation
from .._core.plan import Plan, Resource, always
from .._engine.base import Engine
from .._engine.drivers import driver
from .._engine.model import BootCommands, Limits
from .._host.files import make_directory, read
from .._host.machine import PROGRAMS, disabled_units, program
from .._host.systemd import Units, command_line, quoted, units
from .._host.user import lingers, user_name
from .._state.record import ClusterState, Subject
from .._state.writer import write_text
from .replacement import STOP_SECONDS

UNIT = "boot unit"
HEADER = "# Written by nodeforge.kic.kic_cluster, which also removes it (boot: false, state: absent).\n"
_START_SECONDS = 900
"""How long all nodes may take to start at a boot: podman unpacks nothing then, but a slow disk is read by all at once."""
_NETWORK_SECONDS = 60
_SYSTEMCTL_SECONDS = 120.0
_LIMITS, _AFTER = "ExecStartPost=", "After="
_NETWORK = "network-online.target"


@dataclass(frozen=True)
class BootSpec:
    """Whether the nodes of a cluster are started when the machine boots."""

    cluster: str
    goal: str
    """``enabled``; ``disabled``, as long as the cluster is to be stopped; ``absent``."""
    nodes: Mapping[str, str] = field(default_factory=dict)
    """Their containers' ids by name, in the order in which they are started; "" of one that is not created yet."""
    changed: bool = True
    """Whether this run changes anything of the nodes: what nobody can repair is said then, and not at each run."""

    @property
    def unit(self) -> str:
        """The name of the cluster's unit."""
        return f"nodeforge.kic-{self.cluster}.service"


@dataclass(frozen=True)
class ObservedUnit:
    """The unit as it is, and what it is to say."""

    units: Units | None = None
    """None where systemd does not manage the machine."""
    text: str | None = None
    enabled: bool = False
    wanted: str = ""
    ordered: frozenset[str] = frozenset()
    """The engine's units that end after this one when the machine shuts down."""
    to_order: frozenset[str] = frozenset()
    """Those that are to."""
    writable: bool = True
    lingers: bool = True
    user: str = ""


@dataclass(frozen=True)
class UnitSeam:
    """What the operations of a unit work on."""

    units: Units | None
    runner: Runner


class BootUnit(Resource[ObservedUnit, None]):
    """The unit of a cluster, of an engine that has no daemon to start containers."""

    kind = UNIT
    lock_name = ""

    def __init__(self, spec: BootSpec, engine: Engine, runner: Runner, found: Units | None = None) -> None:
        self.name = spec.unit
        self.seam = UnitSeam(found or units(), runner)
        self._spec = spec
        self._engine = engine

    def observe(self) -> ObservedUnit:
        spec, found = self._spec, self.seam.units
        if found is None:
            return ObservedUnit()
        enabled = spec.goal == "enabled"
        commands = self._commands() if enabled else None
        return ObservedUnit(
            units=found,
            text=read(found.path(spec.unit)),
            enabled=found.enabled(spec.unit),
            wanted=self._text(found, commands) if commands is not None else "",
            ordered=frozenset(_ordered(found, spec.unit)),
            to_order=frozenset(commands.units if commands is not None else ()),
            writable=not enabled or found.writable(),
            lingers=not found.user or lingers() is not False,
            user=user_name(),
        )

    def _commands(self) -> BootCommands:
        nodes, engine = self._spec.nodes, self._engine
        recorded = ClusterState.load(Subject(engine.store, self._spec.cluster)).limits
        limits = {name: Limits(**recorded[name]) for name in nodes if name in recorded}
        commands = engine.boot_commands(program(engine.name) or f"/usr/bin/{engine.name}", nodes, limits, STOP_SECONDS)
        if commands is None:
            raise TypeError(engine.name)
        return commands

    def _text(self, found: Units, commands: BootCommands) -> str:
        storage = "" if found.user else self._engine.info.storage_path
        return unit_text(self._spec.cluster, commands, found, storage)

    def survey(self, observed: ObservedUnit | None, refused: frozenset[Any] = frozenset()) -> None:
        """A plan needs no more than what was observed."""

    def plan(self, observed: ObservedUnit | None, survey: None) -> Plan:
        return plan_unit(self._spec, always(observed))

    def describe(self, observed: ObservedUnit | None, plan: Plan) -> dict[str, Any]:
        return {}


def unit_text(cluster: str, commands: BootCommands, found: Units, storage: str) -> str:
    """The unit's file.

    :param storage: the directory of the engine's store, which may be on a file system of its own.
    """
    lines = [f"[Unit]\nDescription=Nodes of the Kubernetes cluster {cluster} (nodeforge.kic)"]
    if not found.user:
        lines += [f"Wants={_NETWORK}", f"{_AFTER}{_NETWORK}"]
    lines += [f"RequiresMountsFor={quoted(storage)}"] if storage else []
    lines += ["\n[Service]", "Type=oneshot", "RemainAfterExit=yes"]
    lines += ["# What the engine leaves running next to the nodes may serve other clusters too.", "KillMode=process"]
    lines += [f"TimeoutStartSec={_START_SECONDS}", f"TimeoutStopSec={2 * STOP_SECONDS + 30}"]
    # A user's systemd has a PATH without the directories in which packet filters are.
    environment = {"PATH": PROGRAMS, **commands.environment}
    lines += [f"Environment={quoted(f'{key}={value}')}" for key, value in sorted(environment.items())]
    if found.user:
        # A user's systemd does not know the machine's targets: the network is there when the machine's boot is over.
        wait = ("/usr/bin/env", "timeout", str(_NETWORK_SECONDS), "systemctl", "is-system-running", "--wait")
        lines.append(f"ExecStartPre=-{command_line(wait)}")
    lines += [f"ExecStart=-{command_line(item)}" for item in commands.start]
    lines += [f"{_LIMITS}-{command_line(item)}" for item in commands.started]
    lines += [f"ExecStop=-{command_line(item)}" for item in commands.resume]
    lines += [f"ExecStop=-{command_line(commands.stop)}", f"\n[Install]\nWantedBy={found.target}\n"]
    return HEADER + "\n".join(lines)


def _order(unit: str) -> str:
    """What has the unit stop before one of the engine's when the machine shuts down: else systemd ends all of a node's processes at
    once. It stands with the engine's unit, as systemd forgets no unit that is named in another one, and takes none twice: a node
    that was stopped could not be started again."""
    return f"{HEADER}[Unit]\nBefore={unit}\n"


def _ordered(found: Units, unit: str) -> Iterator[str]:
    """The engine's units that have the drop-in."""
    return (name for name in found.with_drop_in() if read(found.drop_in(name)) == _order(unit))


def _put_in_order(found: Units, unit: str, before: Collection[str], after: Collection[str]) -> None:
    for name in sorted(set(after) - set(before)):
        path = found.drop_in(name)
        make_directory(os.path.dirname(path))
        write_text(path, _order(unit))
    for name in sorted(set(before) - set(after)):
        path = found.drop_in(name)
        with suppress(FileNotFoundError):
            os.unlink(path)
        # Somebody else may have one for the same unit.
        with suppress(OSError):
            os.rmdir(os.path.dirname(path))


def plan_unit(spec: BootSpec, observed: ObservedUnit) -> Plan:
    """What there is to do. The link that enables the unit is the last thing that is made and the first that goes."""
    if observed.units is None or not observed.writable:
        return Plan(warnings=tuple(_unmanaged(spec, observed)))
    text, name = observed.text, spec.unit
    path = observed.units.path(name)
    if text is not None and not text.startswith(HEADER):
        if spec.goal == "enabled":
            raise failure("file_not_ours", path=path)
        return Plan()
    before = _shown(path, text, observed.enabled)
    if spec.goal == "enabled":
        operations = tuple(_enabled(spec, observed, observed.units))
        warnings = () if observed.lingers else (_warning("boot_needs_login", cluster=spec.cluster, user=observed.user),)
        return Plan(operations, before, _shown(path, observed.wanted, enabled=True), warnings=warnings)
    if spec.goal == "disabled":
        disable = Operation("disable", UNIT, name, run=partial(_disable, name))
        return Plan((disable,) if observed.enabled else (), before, _shown(path, text, enabled=False))
    remove = Operation("remove", UNIT, name, run=partial(_remove, name, observed.ordered))
    return Plan((remove,) if text is not None or observed.enabled or observed.ordered else (), before, {})


def _shown(path: str, text: str | None, enabled: bool) -> dict[str, Any]:
    """The fields of a diff."""
    return {"path": path, "enabled": enabled, "text": _own(text)} if text is not None else {}


def _enabled(spec: BootSpec, observed: ObservedUnit, found: Units) -> Iterator[Operation]:
    name, text = spec.unit, observed.wanted
    fits = observed.text == text and observed.ordered == observed.to_order
    if not fits:
        changes = _own(observed.text) != _own(text)
        yield Operation("write", UNIT, name, changes=changes, run=partial(_write, observed, name))
    if found.manager and not (fits and observed.enabled):
        yield Operation("load", UNIT, name, changes=False, run=partial(_load, name))
    if not observed.enabled:
        yield Operation("enable", UNIT, name, run=partial(_enable, name))


def _own(text: str | None) -> str | None:
    """The text without what follows from a node's container and its limits, a change of which is an action of the node's."""
    kept = (line for line in (text or "").splitlines(keepends=True) if not _follows(line))
    return "".join(kept) if text is not None else None


def _follows(line: str) -> bool:
    # The second is of an earlier release.
    return line.startswith((_LIMITS, f"{_AFTER}libpod-"))


def _unmanaged(spec: BootSpec, observed: ObservedUnit) -> Iterator[str]:
    if spec.goal == "enabled" and spec.changed:
        why = "systemd does not manage this machine"
        if observed.units is not None:
            why = f"{observed.units.directory}, where systemd reads units, cannot be written"
        yield _warning("boot_unmanaged", cluster=spec.cluster, why=why)


def _warning(condition: str, **fields: str) -> str:
    return str(failure(condition, **fields))


def _there(seam: UnitSeam) -> Units:
    if seam.units is None:
        raise TypeError("there is no systemd, and yet a plan for it")
    return seam.units


def _write(observed: ObservedUnit, name: str, seam: UnitSeam) -> None:
    found = _there(seam)
    path = found.path(name)
    make_directory(os.path.dirname(path))
    write_text(path, observed.wanted)
    _put_in_order(found, name, observed.ordered, observed.to_order)


def _load(name: str, seam: UnitSeam) -> None:
    """Have systemd know the unit as active: only then it stops the nodes in an orderly way when the machine shuts down. Nodes
    that run go on."""
    _ask(seam, "daemon-reload")
    _ask(seam, "start", name)


def _enable(name: str, seam: UnitSeam) -> None:
    _there(seam).enable(name)


def _disable(name: str, seam: UnitSeam) -> None:
    _there(seam).disable(name)


def _remove(name: str, ordered: Collection[str], seam: UnitSeam) -> None:
    found = _there(seam)
    found.disable(name)
    # It ends with what it knows of the unit; without the nodes there is nothing to stop. The file goes whatever it says.
    with suppress(KicError):
        if found.manager:
            _ask(seam, "stop", name)
    with suppress(FileNotFoundError):
        os.unlink(found.path(name))
    _put_in_order(found, name, ordered, ())
    with suppress(KicError):
        if found.manager:
            _ask(seam, "daemon-reload")


def _ask(seam: UnitSeam, *arguments: str) -> None:
    action = f"systemctl {' '.join(arguments)}"
    answer = _there(seam).systemctl(seam.runner, *arguments, seconds=_SYSTEMCTL_SECONDS)
    if answer.timed_out:
        why = "systemd hangs, or what it was told to do takes longer than that on this machine"
        fix = "see what it waits for: systemctl list-jobs"
        raise failure("timed_out", output=answer.words, action=action, seconds=_SYSTEMCTL_SECONDS, why=why, fix=fix)
    if answer.rc != 0:
        raise failure("engine_failed", engine="systemd", action=action, rc=answer.rc, output=answer.words)


@dataclass(frozen=True)
class ObservedPolicies:
    """The restart policies of the nodes, and what starts the engine itself."""

    policies: Mapping[str, str] = field(default_factory=dict)
    lingers: bool = True
    user: str = ""
    disabled: str = ""
    """The engine's unit, where it is there and not enabled."""


class RestartPolicies(Resource[ObservedPolicies, None]):
    """The restart policies of a cluster's nodes, of an engine whose daemon goes by them.

    :param found: the policies that the nodes have, as they were just listed.
    :param wanted: those that they are to have.
    """

    kind = "restart policies"
    lock_name = ""

    def __init__(self, spec: BootSpec, engine: Engine, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        self.name = spec.cluster
        self.seam = engine
        self._spec = spec
        self._found = found
        self._wanted = wanted

    def observe(self) -> ObservedPolicies:
        if self._spec.goal != "enabled":
            return ObservedPolicies(self._found)
        engine = self.seam
        if engine.info.rootless:
            return ObservedPolicies(self._found, lingers() is not False, user_name())
        unit = driver(engine.name).unit
        disabled = unit if units() is not None and unit in disabled_units() else ""
        return ObservedPolicies(self._found, disabled=disabled)

    def survey(self, observed: ObservedPolicies | None, refused: frozenset[Any] = frozenset()) -> None:
        """A plan needs no more than what was observed."""

    def plan(self, observed: ObservedPolicies | None, survey: None) -> Plan:
        return plan_policies(self._spec, always(observed), self._wanted, self.seam.name)

    def describe(self, observed: ObservedPolicies | None, plan: Plan) -> dict[str, Any]:
        return {}


def plan_policies(spec: BootSpec, observed: ObservedPolicies, wanted: Mapping[str, str], engine: str) -> Plan:
    """What there is to do."""
    changes = {name: policy for name, policy in wanted.items() if observed.policies.get(name, policy) != policy}
    operations = tuple(
        Operation("update", "restart policy", name, policy, run=partial(_set_policy, name, policy))
        for name, policy in changes.items()
    )
    warnings = []
    if not observed.lingers:
        warnings.append(_warning("boot_needs_login", cluster=spec.cluster, user=observed.user))
    if observed.disabled:
        warnings.append(_warning("boot_engine_disabled", cluster=spec.cluster, engine=engine, unit=observed.disabled))
    before = {name: observed.policies[name] for name in changes}
    return Plan(operations, before, changes, warnings=tuple(warnings))


def _set_policy(name: str, policy: str, engine: Engine) -> None:
    engine.set_restart_policy(name, policy)


def policy_at_boot(created_with: str, boots: bool) -> str:
    """The policy that a node is to have, by the one that it was created with: one of the user's own stays."""
    return "unless-stopped" if boots and created_with == "no" else created_with
