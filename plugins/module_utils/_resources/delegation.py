# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control group controllers delegated to a user, so that their own containers can be given limits."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from .._command import Runner
from .._core import checks
from .._core.diagnosis import KicError, failure
from .._core.former import Action, Plan, Resource
from .._host import delegation as host
from .._host.delegation import Lost, Tried, Way
from .._host.files import make_directory, read
from .._host.files import replace as write_file
from .._state.lock import MACHINE, state_directory
from .._state.record import write_private

DROP_IN = "/etc/systemd/system/user@.service.d/99-nodeforge.kic.conf"
"""Ours, for the manager of every user: the number lets it stand after what distributions and most people write, so
that a ``Delegate=`` of theirs that empties the list is followed by what ours adds."""

HEADER = "# Written by nodeforge.kic.cgroup_delegation, which also removes it (state: absent).\n"
LINGER = "/var/lib/systemd/linger"

_VERSION = 1
_SECONDS = 120.0


@dataclass(frozen=True)
class DelegationSpec:
    """Controllers that a user is to have, as they were requested."""

    user: str
    controllers: tuple[str, ...]
    present: bool
    now: bool
    """Whether the running manager is to have them too, not only the next one."""
    linger: bool | None
    """Whether the manager runs without a session; None leaves that as it is."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> DelegationSpec:
        """From a module's parameters; raises ``invalid_option`` with all problems."""
        problems = checks.Problems()
        user = params["user"]
        if not user or "/" in user or user.startswith((".", "-")):
            problems.add("user", f"{user!r} is not a user's name", "name the user that runs the nodes")
        controllers = tuple(sorted(set(params["controllers"])))
        if not controllers:
            problems.add("controllers", "names none", "leave it out, or use state: absent")
        problems.finish()
        return cls(user, controllers, params["state"] == "present", params["apply"] == "now", params["linger"])


@dataclass
class DelegationRecord:
    """What on this machine is ours, and for whom; kept next to the lock, so that ``absent`` need not guess.

    ``users`` are controllers by user, which the drop-in holds together; ``linger`` the users whose manager we made
    linger; ``directory`` whether we made the drop-in's directory.
    """

    users: dict[str, list[str]] = field(default_factory=dict)
    linger: list[str] = field(default_factory=list)
    directory: bool = False

    @classmethod
    def load(cls, directory: str | None = None) -> DelegationRecord:
        """The record; an empty one when there is none or it cannot be read as ours."""
        try:
            found = json.loads(read(_record_path(directory)) or "null")
        except ValueError:
            return cls()
        if not isinstance(found, dict) or found.get("version") != _VERSION:
            return cls()
        return cls(dict(found["users"]), list(found["linger"]), bool(found["directory"]))

    def save(self, directory: str | None = None) -> None:
        """Write it whole or not at all; an empty one removes its file. Call it under the lock."""
        kept = vars(self) if any(vars(self).values()) else None
        write_private(_record_path(directory), dict(kept, version=_VERSION) if kept else None)

    @property
    def drop_in(self) -> str | None:
        """The text of the drop-in that it comes to; None where there is to be none."""
        controllers = sorted({name for names in self.users.values() for name in names})
        if not controllers:
            return None
        lines = [f"# For {user}: {' '.join(names)}\n" for user, names in sorted(self.users.items())]
        # A list adds to those that are read before; nothing of others is taken away.
        return f"{HEADER}{''.join(lines)}[Service]\nDelegate={' '.join(controllers)}\n"


def _record_path(directory: str | None) -> str:
    return os.path.join(directory or state_directory(), "delegation.json")


@dataclass(frozen=True)
class ObservedDelegation:
    """The way to the user's manager, and what of it is ours."""

    uid: int | None
    """None where this machine has no such user."""
    way: Way
    tried: Tried | None
    """What a scope of the user's showed; None where their manager does not run."""
    drop_in: str | None
    directory: bool
    """Whether the drop-in's directory is there."""
    writable: bool
    lingers: bool
    root: bool
    record: DelegationRecord
    init: str = "systemd"
    """The name of the machine's first process."""

    def works(self) -> frozenset[str]:
        """The controllers whose limits the user's manager can set now."""
        return self.tried.works & self.way.given() if self.tried is not None else frozenset()

    def lost(self, controller: str) -> Lost | None:
        """Where ``controller`` is lost; None when its limits can be set."""
        found = self.way.lost(controller)
        if found is not None or controller in self.works():
            return found
        manager = self.way.manager.name
        return Lost(controller, manager, "not_in_effect" if self.way.runs else "not_running", manager)


def refusal(lost: Lost, user: str) -> KicError | None:
    """The error for a loss that no drop-in of ours can repair; None for the others."""
    if lost.reason == "disabled_by_unit":
        return failure(
            "controller_disabled_by_unit",
            controller=lost.controller,
            unit=lost.unit,
            file=lost.file or f"its properties (systemctl cat {lost.unit})",
            user=user,
        )
    if lost.reason in ("not_built", "disabled_at_boot", "not_given"):
        return failure(f"controller_{lost.reason}", controller=lost.controller, user=user)
    return None


def plan_delegation(spec: DelegationSpec, observed: ObservedDelegation) -> Plan:
    """What there is to do. Raises for what stands in the way and is not ours to change."""
    actions: list[Action] = []
    wanted = wanted_record(spec, observed)
    text = wanted.drop_in
    if spec.present:
        _refuse_machine(spec, observed)
    if text != observed.drop_in:
        if observed.drop_in is not None and not observed.drop_in.startswith(HEADER):
            raise failure("file_not_ours", path=DROP_IN)
        if not observed.writable:
            raise failure("etc_read_only", path=DROP_IN)
        names = ", ".join(spec.controllers)
        actions.append(Action("write", "drop-in", DROP_IN, names) if text else Action("remove", "drop-in", DROP_IN))
    manager = observed.way.manager
    asked = frozenset(spec.controllers)
    if actions or (spec.present and not asked <= manager.delegates):
        actions.append(Action("reload", "unit", "user@.service"))
    if spec.present:
        missing = asked - host.delegated_by(_with_drop_in(manager, text))
        if missing and not asked <= manager.delegates:
            file = manager.deciding_file("Delegate")
            raise failure("delegation_overruled", file=file, controllers=", ".join(sorted(missing)))
    linger = _wanted_linger(spec, observed)
    if linger != observed.lingers:
        actions.append(Action("enable" if linger else "disable", "linger", spec.user))
    late = sorted(name for name in asked if observed.lost(name) is not None)
    takes_up = spec.present and spec.now and observed.way.runs and bool(late)
    if takes_up:
        actions.append(Action("reexecute", "manager", manager.name, f"to gain {', '.join(late)}"))
    if actions and not observed.root:
        raise failure("root_needed", actions="; ".join(str(action) for action in actions))
    works = observed.works()
    gains = takes_up or (spec.present and linger and not observed.way.runs)
    return Plan(
        tuple(actions),
        {"drop_in": observed.drop_in or "", "controllers": sorted(works), "linger": observed.lingers},
        {"drop_in": text or "", "controllers": sorted(works | asked) if gains else sorted(works), "linger": linger},
        chosen={"record": wanted},
    )


def _refuse_machine(spec: DelegationSpec, observed: ObservedDelegation) -> None:
    way = observed.way
    if observed.uid is None:
        raise failure("user_unknown", user=spec.user)
    if way.mode != "v2":
        raise failure("cgroup_not_unified", mode=MODES[way.mode])
    if not way.systemd:
        raise failure("no_systemd", init=observed.init)
    for name in spec.controllers:
        lost = way.lost(name)
        error = refusal(lost, spec.user) if lost is not None else None
        if error is not None:
            raise error
    if way.manager.load == "masked":
        raise failure("unit_masked", unit=way.manager.name, user=spec.user)


MODES = {"v1": "of version 1", "hybrid": "hybrid (version 2 is there, but the controllers are version 1's)"}


def wanted_record(spec: DelegationSpec, observed: ObservedDelegation) -> DelegationRecord:
    """What is to be ours: the part of this user as it is requested, that of others as it is."""
    before = observed.record
    users = {user: names for user, names in before.users.items() if user != spec.user}
    linger = [user for user in before.linger if user != spec.user]
    if spec.present:
        asked = frozenset(spec.controllers)
        ours = host.delegated_by([(DROP_IN, observed.drop_in or "")])
        # What others delegate already needs no file of ours, until one of ours is among those that do.
        if not asked <= observed.way.manager.delegates or asked & ours:
            users[spec.user] = sorted(asked)
        if (spec.linger and not observed.lingers) or (spec.user in before.linger and spec.linger is not False):
            linger.append(spec.user)
    directory = bool(users) and (before.directory or not observed.directory)
    return DelegationRecord(users, sorted(linger), directory)


def _wanted_linger(spec: DelegationSpec, observed: ObservedDelegation) -> bool:
    if spec.present:
        return observed.lingers if spec.linger is None else spec.linger
    return observed.lingers and spec.user not in observed.record.linger


def _with_drop_in(unit: host.Unit, text: str | None) -> list[tuple[str, str]]:
    """The unit's files with ours at its place: drop-ins are read in the order of their names, wherever they lie."""
    main = [item for item in unit.files if not item[0].endswith(".conf")]
    drop_ins = [item for item in unit.files if item[0].endswith(".conf") and item[0] != DROP_IN]
    if text is not None:
        drop_ins.append((DROP_IN, text))
    return main + sorted(drop_ins, key=lambda item: os.path.basename(item[0]))


class DelegationResource(Resource[ObservedDelegation]):
    """The controllers of a :class:`DelegationSpec` on this machine.

    :param check_mode: the description is of what would be.
    """

    kind = "delegation"
    lock_name = MACHINE

    def __init__(
        self,
        spec: DelegationSpec,
        runner: Runner,
        check_mode: bool = False,
        reader: Callable[[str], str | None] = read,
    ) -> None:
        self.name = spec.user
        self._spec = spec
        self._runner = runner
        self._check_mode = check_mode
        self._reader = reader
        self._found: ObservedDelegation | None = None

    def observe(self) -> ObservedDelegation:
        uid = _uid(self.name)
        way = host.look(-1 if uid is None else uid, self._runner, self._reader)
        usable = uid is not None and way.mode == "v2" and way.systemd and way.runs
        tried = host.try_limits(self.name, uid or 0, self._runner, self._reader) if usable else None
        directory = os.path.dirname(DROP_IN)
        self._found = ObservedDelegation(
            uid=uid,
            way=way,
            tried=tried,
            drop_in=read(DROP_IN),
            directory=os.path.isdir(directory),
            # Also root is told of a file system that is mounted read-only (access(2), EROFS).
            writable=os.access(directory if os.path.isdir(directory) else os.path.dirname(directory), os.W_OK),
            lingers=os.path.exists(os.path.join(LINGER, self.name)),
            root=os.geteuid() == 0,
            record=DelegationRecord.load(),
            init=(read("/proc/1/comm") or "unknown").strip(),
        )
        return self._found

    def plan(self, observed: ObservedDelegation | None) -> Plan:
        return plan_delegation(self._spec, observed or self.observe())

    def reserve(self, plan: Plan) -> None:
        record: DelegationRecord = plan.chosen["record"]
        # What is about to be ours is recorded before it is there: an interrupted run leaves nothing that none knows of.
        both = replace(record, directory=record.directory or DelegationRecord.load().directory)
        both.save()
        if plan.does("write"):
            make_directory(os.path.dirname(DROP_IN))
            write_file(DROP_IN, record.drop_in or "")
            self.did("write")
        if plan.does("remove"):
            os.unlink(DROP_IN)
            self.did("remove")
            if both.directory and not os.listdir(os.path.dirname(DROP_IN)):
                os.rmdir(os.path.dirname(DROP_IN))
        record.save()

    def apply(self, plan: Plan) -> None:
        before = self._found
        if plan.does("reload") and before is not None and before.way.systemd:
            self._run("reloading systemd", ["systemctl", "daemon-reload"])
            self.did("reload")
        if plan.does("enable"):
            self._run("letting the user linger", ["loginctl", "enable-linger", self.name])
            self.did("enable")
            # It returns at once; this waits for the manager.
            self._run("starting the user's manager", ["systemctl", "start", f"user@{_uid(self.name)}.service"])
        if plan.does("disable"):
            self._run("ending the user's lingering", ["loginctl", "disable-linger", self.name])
            self.did("disable")
        if plan.does("reexecute"):
            host.take_up(self.name, _uid(self.name) or 0, self._runner)
            self.did("reexecute")
        if self._spec.present:
            self._read_back()

    def _read_back(self) -> None:
        """What a login repairs is told by ``relogin_required``; anything else that is still lost is an error."""
        found = self.observe()
        for name in self._spec.controllers:
            lost = found.lost(name)
            if lost is not None and lost.reason not in ("not_in_effect", "not_running"):
                raise refusal(lost, self.name) or failure(
                    "delegation_overruled", file=lost.file or lost.unit, controllers=name
                )

    def _run(self, action: str, argv: list[str]) -> None:
        answer = self._runner.run(argv, timeout=_SECONDS)
        if answer.rc != 0:
            raise failure("engine_failed", engine="systemd", action=action, rc=answer.rc, output=answer.words)

    @property
    def restart_command(self) -> str:
        """What starts the user's manager again, and ends what runs in it."""
        return f"systemctl restart user@{_uid(self.name)}.service"

    def last_seen(self) -> dict[str, Any]:
        """The description of what was seen last, for a failure; {} before the first look."""
        return {} if self._found is None else self._describe(self._found, None)

    def describe(self, observed: ObservedDelegation | None, plan: Plan) -> dict[str, Any]:
        return self._describe(observed or self.observe(), plan if self._check_mode and plan.changed else None)

    def _describe(self, observed: ObservedDelegation, predicted: Plan | None) -> dict[str, Any]:
        way = observed.way
        expected = frozenset(predicted.after["controllers"]) if predicted is not None else frozenset()
        losses = {name: None if name in expected else observed.lost(name) for name in self._spec.controllers}
        reasons = {lost.reason for lost in losses.values() if lost is not None}
        after = predicted.after if predicted is not None else {}
        return {
            "user": self.name,
            "uid": observed.uid,
            "cgroup_mode": way.mode,
            "manager_running": way.runs,
            "linger": after.get("linger", observed.lingers),
            "drop_in": DROP_IN if after.get("drop_in", observed.drop_in) else None,
            "controllers": [_controller(name, lost) for name, lost in losses.items()],
            "reboot_required": "disabled_at_boot" in reasons,
            "relogin_required": self._spec.present
            and bool(reasons & {"not_in_effect", "not_running", "not_delegated"}),
            "output": observed.tried.words if observed.tried is not None else "",
        }


def _controller(name: str, lost: Lost | None) -> dict[str, Any]:
    where = {"lost_at": "", "reason": "", "unit": "", "file": ""}
    if lost is not None:
        where = {"lost_at": lost.level, "reason": lost.reason, "unit": lost.unit, "file": lost.file}
    return {"name": name, "delegated": lost is None, **where}


def _uid(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None
