# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Subordinate ids of a user: a range in each file, programs that may map them, and podman that takes them up."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from ..._command import Runner
from ..._core.diagnosis import failure
from ..._core.operations import Operation, Taken
from ..._host import sub_ids
from ..._host.delegation import as_user
from ..._host.files import lines, read
from ..._host.machine import has_program
from ..._host.user import ids_from_service
from .own_files import put
from .part import Part, Step, run
from .record import HostRecord

_SETUID = 0o4000


@dataclass(frozen=True)
class ObservedIds:
    """The files of subordinate ids, and the user who is to have some."""

    texts: Mapping[str, str | None] = field(default_factory=dict)
    """By path of each file; None where there is none."""
    uid: int | None = None
    login_defs: str = ""
    from_service: bool = False
    """Whether a name service gives subordinate ids instead of files."""
    owned: tuple[int, ...] = ()
    """Ids of users and groups themselves."""
    mappers: Mapping[str, int] = field(default_factory=dict)
    """By path of newuidmap and newgidmap, the mode of one that cannot do its work."""
    podman: str = ""
    """How the user's podman holds the ids that it has: ``idle``, ``running`` with containers, or not at all."""
    held: int | None = None
    """How many ids the user's podman holds; None where none of its processes runs."""
    usermod: frozenset[str] = frozenset()
    """The users whose ids usermod(8) can write; without that program, as on busybox, there are none."""

    def taken(self, path: str) -> list[sub_ids.Range]:
        """The ranges of a file, and the ids of users and groups."""
        ranges = sub_ids.parse(self.texts[path] or "")
        return [*ranges, *(sub_ids.Range("", number, 1) for number in self.owned)]

    def count(self, path: str, user: str) -> int:
        """How many ids the user has in a file, by name or by number."""
        return sub_ids.count_of(self.texts[path] or "", user, self.uid if self.uid is not None else -1)

    def by_usermod(self, path: str, user: str) -> bool:
        """Whether usermod writes the file for the user: it needs the file, and ends a last line that has no end."""
        text = self.texts[path]
        return user in self.usermod and text is not None and (not text or text.endswith("\n"))


def observe_ids(user: str) -> ObservedIds:
    """Read the files.

    :param user: who is to have ids; "" for nobody.
    """
    passwd = read("/etc/passwd") or ""
    local = frozenset(line.partition(":")[0] for line in lines(passwd)) if has_program("usermod") else frozenset()
    found = ObservedIds({path: _exact(path) for path in sub_ids.FILES.values()}, usermod=local)
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        return found
    return replace(
        found,
        uid=uid,
        login_defs=read("/etc/login.defs") or "",
        from_service=ids_from_service(),
        owned=(*_numbers(passwd), *_numbers(read("/etc/group") or "")),
        mappers={path: mode for path in sub_ids.MAPPERS if (mode := sub_ids.unfit_mode(path)) is not None},
        podman=sub_ids.podman(uid),
        held=sub_ids.held(uid),
    )


def give_ids(user: str, count: int, observed: ObservedIds, record: HostRecord) -> Part:
    """Give the user as many as requested, of each kind, and have them taken up."""
    if not count:
        return Part(record)
    if observed.uid is None:
        raise failure("user_unknown", user=user)
    if observed.from_service:
        reason = "sub_ids: a name service gives them here (subid in /etc/nsswitch.conf)"
        return Part(record, left_out=(reason,))
    few = [(kind, path) for kind, path in sub_ids.FILES.items() if observed.count(path, user) < count]
    lines = {path: _new_line(user, count, kind, path, observed) for kind, path in few}
    part = Part(
        _with_lines(user, lines, observed, record), tuple(_add(path, line, observed) for path, line in lines.items())
    )
    # A run that was interrupted has written them, and podman has not taken them up.
    if lines or (observed.held is not None and observed.held < count):
        part = _taken_up(user, observed, part)
    modes = {path: mode for path, mode in observed.mappers.items() if path not in record.modes}
    steps = (_set_mode(path, mode, mode | _SETUID) for path, mode in observed.mappers.items())
    return replace(part, record=replace(part.record, modes={**modes, **record.modes}), steps=(*part.steps, *steps))


def _new_line(user: str, count: int, kind: str, path: str, observed: ObservedIds) -> str:
    first = sub_ids.free_range(sub_ids.bounds(observed.login_defs, kind), count, observed.taken(path))
    if first is None:
        raise failure("no_free_ids", count=count, path=path, kind=kind.upper())
    return f"{user}:{first}:{count}"


def _added(line: str, text: str | None) -> str:
    """What is added to a file, whose last line may have no end."""
    return f"{line}\n" if not text or text.endswith("\n") else f"\n{line}\n"


def _with_lines(user: str, lines: Mapping[str, str], observed: ObservedIds, record: HostRecord) -> HostRecord:
    if not lines:
        return record
    ours = dict(record.users.get(user, {}))
    for path, line in lines.items():
        text = observed.texts[path]
        # A run that was interrupted has recorded more than it wrote.
        kept = [item for item in ours.get(path, ()) if sub_ids.position(text or "", item) is not None]
        ours[path] = [*kept, _added(line, text)]
    new = [path for path in lines if observed.texts[path] is None]
    created = tuple(dict.fromkeys([*record.created, *new]))
    return replace(record, users={**record.users, user: ours}, created=created)


def _add(path: str, line: str, observed: ObservedIds) -> Step:
    by_usermod = observed.by_usermod(path, line.partition(":")[0])
    run_ = partial(_give, path, line) if by_usermod else partial(_append, path, observed.texts[path], line)
    return Step(Operation("add", "range", path, line, exclusive=True, run=run_), "", line)


def _give(path: str, line: str, runner: Runner) -> None:
    """Have usermod add the line. It does not mind another user's range in the same place: then another is chosen."""
    (mine,) = sub_ids.parse(line)
    option = f"--add-{os.path.basename(path)}s"
    answer = run(runner, ["usermod", option, f"{mine.first}-{mine.end - 1}", mine.owner])
    if answer.rc != 0:
        action = f"changing {path} (usermod {option})"
        raise failure("engine_failed", engine="usermod", action=action, rc=answer.rc, output=answer.words)
    others = [item for item in sub_ids.parse(_exact(path) or "") if item != mine]
    if any(item.first < mine.end and mine.first < item.end for item in others):
        _cut(path, f"{line}\n", False, runner)
        raise Taken(failure("made_meanwhile", kind="ids in", name=path), [line])


def _append(path: str, expected: str | None, line: str, _runner: Runner) -> None:
    """Add the line where usermod cannot, under the lock of those who write the file too; where one of them was faster,
    another is chosen."""
    with sub_ids.locked():
        if _exact(path) != expected:
            raise Taken(failure("made_meanwhile", kind="ids in", name=path), [line])
        put(path, (expected or "") + _added(line, expected))


def _taken_up(user: str, observed: ObservedIds, part: Part) -> Part:
    """podman goes on with the ids that it has; containers that run are not ended for it."""
    if observed.podman == "idle":
        renew = Operation("renew", "ids of podman", user, run=partial(_renew_ids, user))
        return replace(part, steps=(*part.steps, Step(renew)))
    if observed.podman != "running":
        return part
    warning = (
        f"The containers of {user} that run hold the ids that they had. Stop them and type, as them:"
        " podman system migrate"
    )
    return replace(part, warnings=(warning,))


def _renew_ids(name: str, runner: Runner) -> None:
    """Have the user's podman take up their new ids: a process of its holds the namespace with those that they had."""
    user = pwd.getpwnam(name)
    prefix, environment = as_user(user.pw_name, user.pw_uid)
    home = ["env", f"--chdir={user.pw_dir}", f"HOME={user.pw_dir}"]
    answer = run(runner, [*prefix, *home, "podman", "system", "migrate"], environment)
    if answer.rc != 0:
        action = "taking up new subordinate ids (podman system migrate)"
        raise failure("engine_failed", engine="podman", action=action, rc=answer.rc, output=answer.words)


def _set_mode(path: str, found: int, mode: int) -> Step:
    run_ = partial(_change_mode, path, mode)
    operation = Operation("set", "mode", path, f"{mode:04o}", exclusive=True, run=run_)
    return Step(operation, f"{found:04o}", f"{mode:04o}")


def _change_mode(path: str, mode: int, _runner: Runner) -> None:
    if os.path.exists(path):
        os.chmod(path, mode)
    if mode & _SETUID and sub_ids.unfit_mode(path) is not None:
        raise failure("id_mapper_unfit", path=path, mode=f"{mode:04o}")


def take_ids_back(user: str, observed: ObservedIds, record: HostRecord) -> Part:
    """Remove the ranges that were added for a user, or for all where ``user`` is ""."""
    gone = [name for name in record.users if user in ("", name)]
    ours = [
        (name, path, added)
        for path in sub_ids.FILES.values()
        for name in gone
        for added in record.users[name].get(path, ())
    ]
    left = dict(observed.texts)
    steps, warnings = [], []
    for name, path, added in ours:
        text = left[path]
        if text is None or sub_ids.position(text, added) is None:
            warnings.append(f"{path} no longer has the range that was added for {name}; it was left alone.")
            continue
        left[path] = _without(text, added)
        run_ = partial(_cut, path, added, path in record.created)
        steps.append(
            Step(Operation("remove", "range", path, added.strip(), exclusive=True, run=run_), added.strip(), "")
        )
    emptied = {path for path, text in left.items() if text == "" and text != observed.texts[path]}
    created = tuple(path for path in record.created if path not in emptied)
    users = {name: ranges for name, ranges in record.users.items() if name not in gone}
    return Part(replace(record, users=users, created=created), tuple(steps), warnings=tuple(warnings))


def _without(text: str, added: str) -> str:
    """The text before ``added`` was appended; a line that came after it stays one."""
    at = sub_ids.position(text, added) or 0
    before, after = text[:at], text[at + len(added) :]
    return before + ("\n" if added.startswith("\n") and after else "") + after


def _cut(path: str, added: str, ours: bool, _runner: Runner) -> None:
    """Take out what was added, and a file of ours with the last of it.

    usermod takes nothing from a user who has processes (shadow 4.13), as one whose systemd lingers always has.
    """
    with sub_ids.locked():
        text = _exact(path)
        if text is None or sub_ids.position(text, added) is None:
            return
        left = _without(text, added)
        put(path, None if ours and left == "" else left)


def restore_modes(record: HostRecord) -> Part:
    """Bring back the modes of the programs that map ids."""
    steps = (_set_mode(path, mode | _SETUID, mode) for path, mode in record.modes.items())
    return Part(replace(record, modes={}), tuple(steps))


def _exact(path: str) -> str | None:
    """The file's text such that it can be written again as it was; None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def _numbers(text: str) -> Iterator[int]:
    """The ids of /etc/passwd or /etc/group."""
    fields = (line.split(":") for line in lines(text))
    return (int(parts[2]) for parts in fields if len(parts) > 2 and parts[2].isdecimal())
