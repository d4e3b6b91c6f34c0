# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is given for nodes next to packages: ids for a user, settings and modules of the kernel, units."""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from .._command import CommandNotFound, CommandResult, Runner
from .._core import checks
from .._core.diagnosis import failure
from .._core.former import Action, Plan, Resource
from .._host import kernel, sub_ids
from .._host.delegation import as_user
from .._host.files import drop_ins, make_directory, read
from .._host.files import replace as write_file
from .._host.user import ids_from_service
from .._state.lock import MACHINE, state_directory
from .._state.record import write_private

SYSCTL_FILE = "/etc/sysctl.d/60-nodeforge.kic.conf"
MODULE_FILE = "/etc/modules-load.d/nodeforge.kic.conf"
HEADER = "# Written by nodeforge.kic.kic_host, which also removes it (state: absent).\n"
_OWN = (HEADER, "# Written by the role nodeforge.kic.kic_host.")
"""How our files begin; the second is what the role wrote before there was a record."""

_VERSION = 1
_SECONDS = 120.0
_SETUID = 0o4000


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
class HostRecord:
    """What of this machine is ours, and what was there before; kept next to the lock, so that ``absent`` need not guess."""

    users: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """By user and file, the texts that were added to it."""
    created: tuple[str, ...] = ()
    """Files and directories that were not there."""
    modes: Mapping[str, int] = field(default_factory=dict)
    """By path, the mode of a program before it was made set-uid."""
    sysctls: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By name, the value ``before`` and the one that was ``set``."""
    modules: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    """Units that were enabled."""
    packages: tuple[str, ...] = ()

    @classmethod
    def load(cls, directory: str | None = None) -> HostRecord:
        """The record; an empty one when there is none or it cannot be read as ours."""
        try:
            found = json.loads(read(_record_path(directory)) or "null")
        except ValueError:
            return cls()
        if not isinstance(found, dict) or found.pop("version", None) != _VERSION:
            return cls()
        fields: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in found.items()}
        return cls(**fields)

    def save(self, directory: str | None = None) -> None:
        """Write it whole or not at all; an empty one removes its file. Call it under the lock."""
        kept = vars(self) if any(vars(self).values()) else None
        write_private(_record_path(directory), dict(kept, version=_VERSION) if kept else None)

    def files(self) -> dict[str, str | None]:
        """Our own files and their text; None for one that is not to be."""
        lines = [f"{name} = {value['set']}\n" for name, value in sorted(self.sysctls.items())]
        modules = [f"{name}\n" for name in self.modules]
        return {
            SYSCTL_FILE: f"{HEADER}{''.join(lines)}" if lines else None,
            MODULE_FILE: f"{HEADER}{''.join(modules)}" if modules else None,
        }


def _record_path(directory: str | None) -> str:
    return os.path.join(directory or state_directory(), "host.json")


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
class ObservedHost:
    """What there is of the parts that were requested, or are ours."""

    record: HostRecord
    root: bool
    writable: bool = True
    """Whether /etc can be written."""
    files: Mapping[str, str | None] = field(default_factory=dict)
    """Text by path: our own files, and those of subordinate ids."""
    directories: frozenset[str] = frozenset()
    """Directories of our files that are there."""
    uid: int | None = None
    login_defs: str = ""
    id_service: bool = False
    """Whether a name service gives subordinate ids instead of files."""
    owned: tuple[int, ...] = ()
    """Ids of users and groups themselves."""
    mappers: Mapping[str, int] = field(default_factory=dict)
    """By path of newuidmap and newgidmap, the mode of one that cannot do its work."""
    podman: str = ""
    """How the user's podman holds the ids that it has: ``idle``, ``running`` with containers, or not at all."""
    held: int | None = None
    """How many ids the user's podman holds; None where none of its processes runs."""
    sysctls: Mapping[str, int | None] = field(default_factory=dict)
    several: frozenset[str] = frozenset()
    """Settings that are no single number."""
    later: Sequence[tuple[str, str]] = ()
    """Path and text of all files of sysctl.d."""
    module_directory: bool = False
    built_in: frozenset[str] = frozenset()
    loaded: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    """Modules that there are none of."""
    at_boot: frozenset[str] = frozenset()
    """Modules that files have loaded at the start of the machine, ours among them."""
    systemd: bool = False
    units: Mapping[str, Unit] = field(default_factory=dict)


@dataclass
class _Draft:
    """A plan in the making: each part adds its actions, and its share of what will be ours."""

    record: HostRecord
    actions: list[Action] = field(default_factory=list)
    texts: dict[str, str | None] = field(default_factory=dict)
    """Text by path, for what is to be written; None removes the file."""
    modes: dict[str, int] = field(default_factory=dict)
    sysctls: dict[str, int] = field(default_factory=dict)
    load: list[str] = field(default_factory=list)
    systemctl: list[list[str]] = field(default_factory=list)
    migrate: bool = False
    packages: tuple[str, ...] = ()
    """Those that stay, where all that was ours goes."""
    left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)

    def do(self, verb: str, kind: str, name: str, before: Any = None, after: Any = None, detail: str = "") -> None:
        """Add an action, and what a diff shows of it."""
        self.actions.append(Action(verb, kind, name, detail))
        self.before.update({} if before is None else {name: before})
        self.after.update({} if after is None else {name: after})

    def left(self, reason: str) -> None:
        """Say why something has no place on this machine."""
        self.left_out.append(reason)


def plan_host(spec: HostSpec, observed: ObservedHost) -> Plan:
    """What there is to do. Raises for what stands in the way and is not ours to change."""
    draft = _Draft(observed.record)
    parts = _PRESENT if spec.present else _ABSENT
    for part in parts:
        part(spec, observed, draft)
    _own_files(spec, observed, draft)
    if draft.texts and not observed.writable:
        raise failure("etc_read_only", path=next(iter(draft.texts)))
    if draft.actions and not observed.root:
        raise failure("root_needed", actions="; ".join(str(action) for action in draft.actions))
    return Plan(
        tuple(draft.actions),
        draft.before,
        draft.after,
        warnings=tuple(draft.warnings),
        chosen={"draft": draft},
    )


def _note_packages(spec: HostSpec, observed: ObservedHost, draft: _Draft) -> None:
    new = [name for name in spec.packages if name not in observed.record.packages]
    if new:
        draft.record = replace(draft.record, packages=(*observed.record.packages, *new))
        draft.do("record", "packages", ", ".join(new))


def _give_ids(spec: HostSpec, observed: ObservedHost, draft: _Draft) -> None:
    if not spec.sub_ids:
        return
    if observed.uid is None:
        raise failure("user_unknown", user=spec.user)
    if observed.id_service:
        draft.left("sub_ids: a name service gives them here (subid in /etc/nsswitch.conf)")
        return
    names = (spec.user, str(observed.uid))
    ours = dict(observed.record.users.get(spec.user, {}))
    created = list(observed.record.created)
    for kind, path in sub_ids.FILES.items():
        text = observed.files[path] or ""
        ranges = sub_ids.parse(text)
        if sum(item.count for item in ranges if item.owner in names) >= spec.sub_ids:
            continue
        taken = [*ranges, *(sub_ids.Range("", number, 1) for number in observed.owned)]
        first = sub_ids.free_range(sub_ids.bounds(observed.login_defs, kind), spec.sub_ids, taken)
        if first is None:
            raise failure("no_free_ids", count=spec.sub_ids, path=path, kind=kind.upper())
        line = f"{spec.user}:{first}:{spec.sub_ids}"
        added = f"{line}\n" if not text or text.endswith("\n") else f"\n{line}\n"
        draft.texts[path] = text + added
        # A run that was interrupted has recorded more than it wrote.
        ours[path] = [*(item for item in ours.get(path, ()) if sub_ids.position(text, item) is not None), added]
        if observed.files[path] is None and path not in created:
            created.append(path)
        draft.do("add", "range", path, "", line, line)
    if draft.texts:
        draft.record = replace(draft.record, users={**observed.record.users, spec.user: ours}, created=tuple(created))
    # A run that was interrupted has written them, and podman has not taken them up.
    if draft.texts or (observed.held is not None and observed.held < spec.sub_ids):
        if observed.podman == "idle":
            draft.migrate = True
            draft.do("renew", "ids of podman", spec.user)
        elif observed.podman == "running":
            draft.warnings.append(
                f"The containers of {spec.user} that run hold the ids that they had. Stop them and type, as them:"
                " podman system migrate"
            )
    for path, mode in observed.mappers.items():
        draft.modes[path] = mode | _SETUID
        draft.record = replace(draft.record, modes={path: mode, **draft.record.modes})
        draft.do("set", "mode", path, f"{mode:04o}", f"{mode | _SETUID:04o}", f"{mode | _SETUID:04o}")


def _raise_settings(spec: HostSpec, observed: ObservedHost, draft: _Draft) -> None:
    settings = dict(observed.record.sysctls)
    for name, asked in spec.sysctls.items():
        value = observed.sysctls[name]
        if value is None and name in observed.several:
            reason = f"{name} is not a single number, and nobody can say which of two texts is enough"
            raise checks.invalid("sysctls", reason, f"set it with ansible.posix.sysctl and leave {name} out")
        if value is None:
            draft.left(f"sysctls: this kernel has no {name}")
            continue
        if kernel.satisfied(name, value, asked):
            continue
        file = kernel.overruling(observed.later, SYSCTL_FILE, name, asked)
        if file:
            raise failure("sysctl_overruled", name=name, file=file, asked=asked)
        before = settings[name]["before"] if name in settings else value
        settings[name] = {"before": before, "set": asked}
        draft.sysctls[name] = asked
        draft.do("set", "setting", name, value, asked, f"{value} becomes {asked}")
    draft.record = replace(draft.record, sysctls=settings)


def _load_modules(spec: HostSpec, observed: ObservedHost, draft: _Draft) -> None:
    if not spec.modules:
        return
    if not observed.module_directory:
        draft.left("modules: there is no directory of modules for this kernel, it is all in one piece")
        return
    wanted = [name for name in spec.modules if name not in observed.built_in]
    draft.load = [name for name in wanted if name not in observed.loaded]
    for name in draft.load:
        if name in observed.unknown:
            raise failure("module_unknown", name=name)
        draft.do("load", "module", name)
    lasting = [name for name in wanted if name not in observed.at_boot]
    draft.record = replace(draft.record, modules=tuple(sorted({*observed.record.modules, *lasting})))


def _enable_units(spec: HostSpec, observed: ObservedHost, draft: _Draft) -> None:
    if not spec.units:
        return
    if not observed.systemd:
        draft.left("units: systemd does not manage this machine")
        return
    ours = list(observed.record.units)
    for name in spec.units:
        unit = observed.units.get(name, Unit())
        if unit.load == "masked":
            raise failure("engine_unit_masked", unit=name)
        if unit.load != "loaded":
            draft.left(f"units: this machine has no {name}")
            continue
        if unit.enabled == "disabled":
            draft.systemctl.append(["enable", name])
            draft.do("enable", "unit", name, "disabled", "enabled")
            ours.append(name)
        if unit.runs_on and unit.active != "active":
            draft.systemctl.append(["start", name])
            draft.do("start", "unit", name)
    draft.record = replace(draft.record, units=tuple(dict.fromkeys(ours)))


def _own_files(spec: HostSpec, observed: ObservedHost, draft: _Draft) -> None:
    """Our own files follow from the record; what was not there before is noted in it."""
    created = list(draft.record.created)
    for path, text in draft.record.files().items():
        found = observed.files[path]
        # One that nothing is recorded of is left alone until all is taken back.
        if found == text or (text is None and (spec.present or not (found or "").startswith(_OWN))):
            continue
        if found is not None and not found.startswith(_OWN):
            raise failure("file_not_ours", path=path)
        draft.texts[path] = text
        draft.do("write" if text is not None else "remove", "file", path, found or "", text or "")
        directory = os.path.dirname(path)
        if text is not None and directory not in observed.directories:
            created.append(directory)
    draft.record = replace(draft.record, created=tuple(dict.fromkeys(created)))


def _take_ids_back(spec: HostSpec, observed: ObservedHost, draft: _Draft) -> None:
    # Without a name, all that is ours goes.
    gone = [name for name in observed.record.users if spec.user in ("", name)]
    created = list(observed.record.created)
    for path in sub_ids.FILES.values():
        text = observed.files[path]
        additions = [(user, added) for user in gone for added in observed.record.users[user].get(path, ())]
        for user, added in additions:
            if text is None or sub_ids.position(text, added) is None:
                draft.warnings.append(f"{path} no longer has the range that was added for {user}; it was left alone.")
            else:
                text = _without(text, added)
                draft.do("remove", "range", path, added.strip(), "", added.strip())
        if text != observed.files[path]:
            empty = text == "" and path in created
            draft.texts[path] = None if empty else text
            created = [item for item in created if not (empty and item == path)]
    left = {name: ranges for name, ranges in observed.record.users.items() if name not in gone}
    draft.record = replace(draft.record, users=left, created=tuple(created))


def _without(text: str, added: str) -> str:
    """The text before ``added`` was appended; a line that came after it stays one."""
    at = sub_ids.position(text, added) or 0
    before, after = text[:at], text[at + len(added) :]
    return before + ("\n" if added.startswith("\n") and after else "") + after


def _take_rest_back(_spec: HostSpec, observed: ObservedHost, draft: _Draft) -> None:
    if draft.record.users:
        others = ", ".join(sorted(draft.record.users))
        draft.warnings.append(f"What all users share stays, as it was made for {others} too.")
        return
    record = observed.record
    for path, mode in record.modes.items():
        draft.modes[path] = mode
        draft.do("set", "mode", path, f"{mode | _SETUID:04o}", f"{mode:04o}", f"{mode:04o}")
    for name, value in record.sysctls.items():
        # What somebody else has set since is theirs.
        if observed.sysctls[name] == value["set"]:
            draft.sysctls[name] = value["before"]
            detail = f"{value['set']} becomes {value['before']}"
            draft.do("set", "setting", name, value["set"], value["before"], detail)
    for name in record.units:
        if observed.units.get(name, Unit()).enabled == "enabled":
            draft.systemctl.append(["disable", name])
            draft.do("disable", "unit", name, "enabled", "disabled")
    if record.packages:
        draft.packages = record.packages
        draft.do("forget", "packages", ", ".join(record.packages), detail="they stay installed")
    draft.record = HostRecord(created=draft.record.created)


def _forget_directories(_spec: HostSpec, _observed: ObservedHost, draft: _Draft) -> None:
    # They are removed by apply, where nothing of others has come into them.
    if not draft.record.users:
        draft.record = replace(draft.record, created=())


_Part = Callable[[HostSpec, ObservedHost, _Draft], None]
_PRESENT: tuple[_Part, ...] = (_note_packages, _give_ids, _raise_settings, _load_modules, _enable_units)
_ABSENT: tuple[_Part, ...] = (_take_ids_back, _take_rest_back, _forget_directories)


class HostResource(Resource[ObservedHost]):
    """The parts of a :class:`HostSpec` on this machine."""

    kind = "machine"
    lock_name = MACHINE
    name = "localhost"

    def __init__(self, spec: HostSpec, runner: Runner) -> None:
        self._spec = spec
        self._runner = runner

    def observe(self) -> ObservedHost:
        record = HostRecord.load()
        spec = self._spec
        files = {path: read(path) for path in (SYSCTL_FILE, MODULE_FILE)}
        files.update({path: _exact(path) for path in sub_ids.FILES.values()})
        found = ObservedHost(
            record=record,
            root=os.geteuid() == 0,
            # Also root is told of a file system that is mounted read-only (access(2), EROFS).
            writable=os.access("/etc", os.W_OK),
            files=files,
            directories=frozenset(os.path.dirname(path) for path in files if os.path.isdir(os.path.dirname(path))),
            systemd=os.path.isdir("/run/systemd/system"),
        )
        if spec.sub_ids:
            found = self._observe_ids(found)
        names = {*spec.sysctls, *record.sysctls}
        if names:
            values = {name: kernel.sysctl(name) for name in names}
            several = frozenset(
                name for name, value in values.items() if value is None and os.path.isfile(kernel.sysctl_path(name))
            )
            found = replace(found, sysctls=values, several=several, later=drop_ins("sysctl.d"))
        if spec.modules:
            built, running = kernel.modules_now()
            absent = [name for name in spec.modules if name not in built | running]
            dry_run = ["modprobe", "--dry-run", "--quiet", "--"]
            found = replace(
                found,
                unknown=frozenset(name for name in absent if self._run([*dry_run, name]).rc != 0),
                module_directory=os.path.isdir(kernel.module_directory()),
                built_in=built,
                loaded=running,
                at_boot=kernel.modules_at_boot(),
            )
        units = [*spec.units, *record.units]
        if units and found.systemd:
            found = replace(found, units={name: self._observe_unit(name) for name in units})
        return found

    def _observe_ids(self, found: ObservedHost) -> ObservedHost:
        try:
            user = pwd.getpwnam(self._spec.user)
        except KeyError:
            return found
        numbers = [*_numbers(read("/etc/passwd") or ""), *_numbers(read("/etc/group") or "")]
        return replace(
            found,
            uid=user.pw_uid,
            login_defs=read("/etc/login.defs") or "",
            id_service=ids_from_service(),
            owned=tuple(numbers),
            mappers={path: mode for path in sub_ids.MAPPERS if (mode := sub_ids.unfit_mode(path)) is not None},
            podman=sub_ids.podman(user.pw_uid),
            held=sub_ids.held(user.pw_uid),
        )

    def _observe_unit(self, name: str) -> Unit:
        said = self._systemctl(["show", "--property=LoadState,UnitFileState,ActiveState,Type", "--", name])
        values = dict(line.partition("=")[::2] for line in said.splitlines())
        return Unit(*(values.get(key, "") for key in ("LoadState", "UnitFileState", "ActiveState", "Type")))

    def plan(self, observed: ObservedHost | None) -> Plan:
        return plan_host(self._spec, observed or self.observe())

    def reserve(self, plan: Plan) -> None:
        draft: _Draft = plan.chosen["draft"]
        before = HostRecord.load()
        if self._spec.present:
            # What is about to be ours is recorded before it is there: an interrupted run leaves nothing that none knows of.
            draft.record.save()
            self.did("record")
        own = {path: text for path, text in draft.texts.items() if path not in sub_ids.FILES.values()}
        if len(own) < len(draft.texts):
            self._write_ids()
        for path, text in own.items():
            _put(path, text)
            self.did(name=path)
        for path, mode in draft.modes.items():
            if os.path.exists(path):
                os.chmod(path, mode)
                self.did("set", path)
        for name, value in draft.sysctls.items():
            _set(name, value)
            self.did("set", name)
        for name in draft.load:
            self._load(name)
            self.did("load", name)
        for arguments in draft.systemctl:
            self._systemctl(arguments)
            self.did(arguments[0], arguments[-1])
        if draft.migrate:
            self._renew_ids()
            self.did("renew")
        if not self._spec.present:
            for path in before.created:
                if path not in draft.record.created and os.path.isdir(path) and not os.listdir(path):
                    os.rmdir(path)
            draft.record.save()

    def _write_ids(self) -> None:
        """Write the files of ids under the locks of those who write them too, by what is in them then."""
        with sub_ids.locked():
            draft: _Draft = self.plan(self.observe()).chosen["draft"]
            if self._spec.present:
                draft.record.save()
            for path in sub_ids.FILES.values():
                if path in draft.texts:
                    _put(path, draft.texts[path])
                    self.did(name=path)

    def _load(self, name: str) -> None:
        answer = self._run(["modprobe", "--", name])
        if answer.rc != 0:
            raise failure("module_not_loaded", name=name, output=answer.words)

    def _systemctl(self, arguments: list[str]) -> str:
        answer = self._run(["systemctl", *arguments])
        if answer.rc != 0:
            action = f"systemctl {' '.join(arguments)}"
            raise failure("engine_failed", engine="systemd", action=action, rc=answer.rc, output=answer.words)
        return answer.out

    def _renew_ids(self) -> None:
        """Have the user's podman take up their new ids: a process of its holds the namespace with those that they had."""
        user = pwd.getpwnam(self._spec.user)
        prefix, environment = as_user(user.pw_name, user.pw_uid)
        home = ["env", f"--chdir={user.pw_dir}", f"HOME={user.pw_dir}"]
        answer = self._run([*prefix, *home, "podman", "system", "migrate"], environment)
        if answer.rc != 0:
            action = "taking up new subordinate ids (podman system migrate)"
            raise failure("engine_failed", engine="podman", action=action, rc=answer.rc, output=answer.words)

    def _run(self, argv: list[str], env: Mapping[str, str] | None = None) -> CommandResult:
        try:
            return self._runner.run(argv, timeout=_SECONDS, env=env)
        except CommandNotFound as error:
            return CommandResult(tuple(argv), 127, b"", f"{error.args[0]} is not installed".encode())

    def apply(self, plan: Plan) -> None:
        draft: _Draft = plan.chosen["draft"]
        for name, asked in draft.sysctls.items():
            value = kernel.sysctl(name)
            if value != asked:
                raise failure("setting_not_taken", name=name, asked=asked, value=value)
        missing = set(draft.load) - kernel.modules_now()[1]
        if missing:
            raise failure("module_not_loaded", name=", ".join(sorted(missing)))
        for path, mode in draft.modes.items():
            if self._spec.present and sub_ids.unfit_mode(path) is not None:
                raise failure("id_mapper_unfit", path=path, mode=f"{mode:04o}")

    def describe(self, observed: ObservedHost | None, plan: Plan) -> dict[str, Any]:
        draft: _Draft = plan.chosen["draft"]
        # The record of a run is that of its plan; later looks find nothing to do and leave it.
        record = draft.record
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
            "packages": list(draft.packages or record.packages),
            "left_out": list(draft.left_out),
        }


def _exact(path: str) -> str | None:
    """The file's text such that it can be written again as it was; None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def _numbers(text: str) -> list[int]:
    """The ids of /etc/passwd or /etc/group."""
    fields = [line.split(":") for line in text.splitlines()]
    return [int(parts[2]) for parts in fields if len(parts) > 2 and parts[2].isdigit()]


def _put(path: str, text: str | None) -> None:
    if text is None:
        if os.path.exists(path):
            os.unlink(path)
        return
    make_directory(os.path.dirname(path))
    write_file(path, text)


def _set(name: str, value: int) -> None:
    try:
        with open(kernel.sysctl_path(name), "w", encoding="ascii") as handle:
            handle.write(f"{value}\n")
    except OSError as error:
        raise failure("setting_refused", name=name, value=value, output=str(error)) from error
