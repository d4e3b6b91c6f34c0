# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Subordinate ids by the conventions of shadow: its files, where its range lies, and its locks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .files import lines, read, wait_for_lock

FILES = {"uid": "/etc/subuid", "gid": "/etc/subgid"}
PASSWORD_LOCK = "/etc/.pwd.lock"
MAPPERS = ("/usr/bin/newuidmap", "/usr/bin/newgidmap")

_DEFAULTS = {"MIN": 100_000, "MAX": 600_100_000}
_HOLDERS = ("conmon", "catatonit", "podman pause", "podman")
"""Programs of podman that hold a namespace. The one that only waits calls itself by what it does (podman, pkg/rootless:
catatonit -P, before that "podman pause")."""
_WAIT_SECONDS = 15.0
"""How long lckpwdf(3) waits for the lock."""


@dataclass(frozen=True)
class Range:
    """A line of /etc/subuid or /etc/subgid (subuid(5))."""

    owner: str
    first: int
    count: int

    @property
    def end(self) -> int:
        """The first id after it."""
        return self.first + self.count


def parse(text: str) -> list[Range]:
    """The ranges of a file; other lines are skipped."""
    rows = (line.strip().split(":") for line in lines(text))
    return [
        Range(parts[0], int(parts[1]), int(parts[2]))
        for parts in rows
        if len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal()
    ]


def count_of(text: str, user: str, uid: int) -> int:
    """How many ids a file gives to the user, by name or by number."""
    return sum(item.count for item in parse(text) if item.owner in (user, str(uid)))


def position(text: str, added: str) -> int | None:
    """Where ``added`` is in a file, as whole lines: another user's line may end like it. The last, as it was appended."""
    at = text.rfind(added)
    while at > 0 and not (added.startswith("\n") or text[at - 1] == "\n"):
        at = text.rfind(added, 0, at + len(added) - 1)
    return at if at >= 0 else None


def bounds(login_defs: str, kind: str) -> tuple[int, int]:
    """The lowest and the highest id that /etc/login.defs allows (login.defs(5), SUB_UID_MIN and its like)."""
    found = {f"SUB_{kind.upper()}_{name}": value for name, value in _DEFAULTS.items()}
    for line in lines(login_defs):
        words = line.split()
        if len(words) >= 2 and words[0] in found and words[1].isdecimal():
            found[words[0]] = int(words[1])
    lowest, highest = found.values()
    return lowest, highest


def free_range(limits: tuple[int, int], count: int, taken: Collection[Range]) -> int | None:
    """The first id of the lowest range of ``count`` that touches none of ``taken``; None where there is no room."""
    first, highest = limits
    for other in sorted(taken, key=lambda item: item.first):
        if other.end > first:
            if other.first >= first + count:
                break
            first = other.end
    return first if first + count - 1 <= highest else None


def unfit_mode(path: str) -> int | None:
    """The mode of a program that is to map ids and may not: it is neither root's set-uid nor has capabilities.

    None for one that may, and where there is none.
    """
    try:
        found = os.stat(path)
        if "security.capability" in os.listxattr(path) or (found.st_uid == 0 and found.st_mode & 0o4000):
            return None
    except FileNotFoundError:
        return None
    return found.st_mode & 0o7777


def _processes(uid: int) -> list[tuple[str, str]]:
    """The processes of a user's podman that hold a namespace: number and program."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if not name.isdigit() or os.stat(f"/proc/{name}").st_uid != uid:
                continue
        except FileNotFoundError:
            continue
        program = (read(f"/proc/{name}/comm") or "").strip()
        if program in _HOLDERS:
            found.append((name, program))
    return found


def podman(uid: int) -> str:
    """How a user's podman holds the user's ids, by its processes: conmon of each container, and one that only waits."""
    programs = {program for _name, program in _processes(uid)}
    return "running" if "conmon" in programs else "idle" if programs else ""


def held(uid: int) -> int | None:
    """How many ids the user's podman holds: those of the namespace that one of its processes keeps; None without one."""
    counts = [mapped(read(f"/proc/{name}/uid_map") or "") for name, _program in _processes(uid)]
    return min((count for count in counts if count > 0), default=None)


def mapped(uid_map: str) -> int:
    """The subordinate ids of a namespace (user_namespaces(7)): all but the user's own."""
    counts = [int(words[2]) for words in map(str.split, lines(uid_map)) if len(words) == 3]
    return sum(counts) - 1


@contextmanager
def locked() -> Iterator[None]:
    """Keep shadow's programs, and whoever follows their ways, from writing both files: they begin with lckpwdf(3)."""
    handle = os.open(PASSWORD_LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        wait_for_lock(handle, PASSWORD_LOCK, _WAIT_SECONDS, fcntl.lockf)
        yield
    finally:
        os.close(handle)
