# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control group controllers delegated to a user, so that their own containers can be given limits."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .._command import Runner
from .._core import checks
from .._core.diagnosis import failure
from .._core.operations import Operation
from .._core.plan import Plan, Resource, always
from .._host import delegation as host
from .._host.delegation import Lost, Tried, Way
from .._host.files import make_directory, read
from .._state.lock import MACHINE, state_directory
from .._state.record import load_record, save_record
from .._state.writer import write_text

DROP_IN = "/etc/systemd/system/user@.service.d/99-nodeforge.kic.conf"
"""Ours, for the manager of every user: the number lets it stand after what distributions and most people write, so
that a ``Delegate=`` of theirs that empties the list is followed by what ours adds."""

HEADER = "# Written by nodeforge.kic.cgroup_delegation, which also removes it (state: absent).\n"
LINGER = "/var/lib/systemd/linger"

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


@dataclass(frozen=True)
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
        found = load_record(_record_path(directory))
        return cls(dict(found["users"]), list(found["linger"]), bool(found["directory"])) if found else cls()

    def save(self, directory: str | None = None) -> None:
        """Write it whole or not at all; an empty one removes its file. Call it under the lock."""
        save_record(_record_path(directory), vars(self) if any(vars(self).values()) else None)

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


def plan_delegation(spec: DelegationSpec, observed: ObservedDelegation) -> Plan:
    """What there is to do. Raises for what stands in the way and is not ours to change."""
    if spec.present:
        _refuse_machine(spec, observed)
    record = wanted_record(spec, observed)
    text, linger, works = record.drop_in, _wanted_linger(spec, observed), observed.works()
    asked = frozenset(spec.controllers)
    late = sorted(name for name in asked if observed.lost(name) is not None)
    takes_up = spec.present and spec.now and observed.way.runs and bool(late)
    operations = [*_unit_operations(spec, observed, record)]
    if linger != observed.lingers:
        operations += _linger_operations(spec, observed, linger)
    if takes_up:
        run = partial(_take_up, spec.user, observed.uid or 0)
        gained = f"to gain {', '.join(late)}"
        operations.append(Operation("reexecute", "manager", observed.way.manager.name, gained, run=run))
    if operations and not observed.root:
        raise failure("root_needed", actions="; ".join(str(item) for item in operations))
    gains = takes_up or (spec.present and linger and not observed.way.runs)
    return Plan(
        _recorded(spec, observed, record, operations),
        {"drop_in": observed.drop_in or "", "controllers": sorted(works), "linger": observed.lingers},
        {"drop_in": text or "", "controllers": sorted(works | asked) if gains else sorted(works), "linger": linger},
    )


def _unit_operations(
    spec: DelegationSpec, observed: ObservedDelegation, record: DelegationRecord
) -> tuple[Operation, ...]:
    """The drop-in, and systemd that reads it."""
    text, manager, asked = record.drop_in, observed.way.manager, frozenset(spec.controllers)
    files = _file_operations(spec, observed, record)
    # A run that was interrupted has removed what systemd still knows.
    outdated = not asked <= manager.delegates if spec.present else spec.user in observed.record.users
    missing = asked - host.delegated_by(_with_drop_in(manager, text)) if spec.present and outdated else ()
    if missing:
        file = manager.deciding_file("Delegate")
        raise failure("delegation_overruled", file=file, controllers=", ".join(sorted(missing)))
    if not files and not outdated:
        return ()
    reload = Operation("reload", "unit", "user@.service", run=partial(_reload, observed.way.systemd))
    return (*files, reload)


def _file_operations(
    spec: DelegationSpec, observed: ObservedDelegation, record: DelegationRecord
) -> tuple[Operation, ...]:
    """The drop-in in its requested form, and the record of it; none where it has that form."""
    text = record.drop_in
    if text == observed.drop_in:
        return ()
    if observed.drop_in is not None and not observed.drop_in.startswith(HEADER):
        raise failure("file_not_ours", path=DROP_IN)
    if not observed.writable:
        raise failure("etc_read_only", path=DROP_IN)
    # A directory of ours that is empty afterwards goes too.
    ours = observed.record.directory or record.directory
    if text is None:
        act = Operation("remove", "drop-in", DROP_IN, exclusive=True, run=partial(_remove_drop_in, ours))
    else:
        names = ", ".join(spec.controllers)
        act = Operation("write", "drop-in", DROP_IN, names, exclusive=True, run=partial(_write_drop_in, text))
    return (act,)


def _linger_operations(spec: DelegationSpec, observed: ObservedDelegation, linger: bool) -> tuple[Operation, ...]:
    user, manager = spec.user, observed.way.manager.name
    if not linger:
        action, argv = "ending the user's lingering", ["loginctl", "disable-linger", user]
        return (Operation("disable", "linger", user, run=partial(_systemd, action, argv)),)
    action, argv = "letting the user linger", ["loginctl", "enable-linger", user]
    # It returns at once; systemctl waits for the manager.
    start = partial(_systemd, "starting the user's manager", ["systemctl", "start", f"user@{observed.uid}.service"])
    return (
        Operation("enable", "linger", user, run=partial(_systemd, action, argv)),
        Operation("start", "manager", manager, changes=False, run=start),
    )


def _recorded(
    spec: DelegationSpec, observed: ObservedDelegation, record: DelegationRecord, operations: Sequence[Operation]
) -> tuple[Operation, ...]:
    """The operations between those of the record. What is about to be ours is recorded before it is there, and what was
    ours until it is gone: an interrupted run leaves nothing that none knows of."""
    before = observed.record
    if not operations and (before == record or not observed.root):
        return ()
    users = {**before.users, **record.users}
    linger = sorted({*before.linger, *record.linger})
    both = DelegationRecord(users, linger, record.directory or before.directory)
    note = Operation("record", "delegation", spec.user, exclusive=True, changes=False, run=partial(_save, both))
    if both != record:
        forget = replace(note, verb="forget", run=partial(_save, record))
        operations = (*(replace(item, exclusive=True) for item in operations), forget)
    check = Operation("check", "delegation", spec.user, changes=False, run=partial(_read_back, spec))
    return (note, *operations, *((check,) if spec.present else ()))


def _refuse_machine(spec: DelegationSpec, observed: ObservedDelegation) -> None:
    way = observed.way
    if observed.uid is None:
        raise failure("user_unknown", user=spec.user)
    if way.mode != "v2":
        raise failure("cgroup_not_unified", mode=host.MODES[way.mode])
    if not way.systemd:
        raise failure("no_systemd", init=observed.init)
    for name in spec.controllers:
        lost = way.lost(name)
        error = host.refusal(lost, spec.user) if lost is not None else None
        if error is not None:
            raise error
    if way.manager.load == "masked":
        raise failure("unit_masked", unit=way.manager.name, user=spec.user)


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


def _save(record: DelegationRecord, _runner: Runner) -> None:
    record.save()


def _write_drop_in(text: str, _runner: Runner) -> None:
    make_directory(os.path.dirname(DROP_IN))
    write_text(DROP_IN, text)


def _remove_drop_in(directory_too: bool, _runner: Runner) -> None:
    directory = os.path.dirname(DROP_IN)
    os.unlink(DROP_IN)
    if directory_too and not os.listdir(directory):
        os.rmdir(directory)


def _reload(systemd: bool, runner: Runner) -> None:
    if systemd:
        _systemd("reloading systemd", ["systemctl", "daemon-reload"], runner)


def _systemd(action: str, argv: list[str], runner: Runner) -> None:
    answer = runner.run(argv, timeout=_SECONDS)
    if answer.rc != 0:
        raise failure("engine_failed", engine="systemd", action=action, rc=answer.rc, output=answer.words)


def _take_up(user: str, uid: int, runner: Runner) -> None:
    host.take_up(user, uid, runner)


def _read_back(spec: DelegationSpec, runner: Runner) -> ObservedDelegation:
    """What a login repairs is told by ``relogin_required``; anything else that is still lost is an error."""
    found = _look(spec.user, runner)
    for name in spec.controllers:
        lost = found.lost(name)
        if lost is not None and lost.reason not in ("not_in_effect", "not_running"):
            raise host.refusal(lost, spec.user) or failure(
                "delegation_overruled", file=lost.file or lost.unit, controllers=name
            )
    return found


def _look(user: str, runner: Runner) -> ObservedDelegation:
    uid = _uid(user)
    way = host.look(-1 if uid is None else uid, runner)
    usable = uid is not None and way.mode == "v2" and way.systemd and way.runs
    directory = os.path.dirname(DROP_IN)
    return ObservedDelegation(
        uid=uid,
        way=way,
        tried=host.try_limits(user, uid or 0, runner) if usable else None,
        drop_in=read(DROP_IN),
        directory=os.path.isdir(directory),
        # Also root is told of a file system that is mounted read-only (access(2), EROFS).
        writable=os.access(directory if os.path.isdir(directory) else os.path.dirname(directory), os.W_OK),
        lingers=os.path.exists(os.path.join(LINGER, user)),
        root=os.geteuid() == 0,
        record=DelegationRecord.load(),
        init=(read("/proc/1/comm") or "unknown").strip(),
    )


class DelegationResource(Resource[ObservedDelegation, None]):
    """The controllers of a :class:`DelegationSpec` on this machine."""

    kind = "delegation"
    lock_name = MACHINE

    def __init__(self, spec: DelegationSpec, runner: Runner) -> None:
        self.name = spec.user
        self.seam = runner
        self._spec = spec

    def observe(self) -> ObservedDelegation:
        return _look(self.name, self.seam)

    def survey(self, observed: ObservedDelegation | None, refused: frozenset[Any] = frozenset()) -> None:
        """A plan needs no more than what was observed."""

    def plan(self, observed: ObservedDelegation | None, survey: None) -> Plan:
        return plan_delegation(self._spec, always(observed))

    def inspect(self, results: Mapping[str, Any]) -> ObservedDelegation:
        checked: ObservedDelegation | None = results.get(f"check delegation {self.name}")
        return checked or self.observe()

    def describe(self, observed: ObservedDelegation | None, plan: Plan) -> dict[str, Any]:
        return _describe(self._spec, always(observed), {})

    def predict(self, observed: ObservedDelegation | None, survey: None, plan: Plan) -> dict[str, Any]:
        return _describe(self._spec, always(observed), plan.after if plan.changed else {})


def _describe(spec: DelegationSpec, observed: ObservedDelegation, after: Mapping[str, Any]) -> dict[str, Any]:
    """What the task returns; what ``after`` says will be otherwise."""
    way, expected = observed.way, frozenset(after.get("controllers", ()))
    losses = {name: None if name in expected else observed.lost(name) for name in spec.controllers}
    reasons = {lost.reason for lost in losses.values() if lost is not None}
    return {
        "user": spec.user,
        "uid": observed.uid,
        "cgroup_mode": way.mode,
        "manager_running": way.runs,
        "linger": after.get("linger", observed.lingers),
        "drop_in": DROP_IN if after.get("drop_in", observed.drop_in) else None,
        "controllers": [_controller(name, lost) for name, lost in losses.items()],
        "reboot_required": "disabled_at_boot" in reasons,
        "relogin_required": spec.present and bool(reasons & {"not_in_effect", "not_running", "not_delegated"}),
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
