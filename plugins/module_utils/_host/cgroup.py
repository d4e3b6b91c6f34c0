# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups of a process, read from the kernel: where they are and which limits are set in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable

from .files import lines, read
from .process import parse_mountinfo

_ALL_MEMORY = 1 << 62
"""More than this is what version 1 shows for no limit (PAGE_COUNTER_MAX, the largest multiple of a page in an s64)."""


@dataclass(frozen=True)
class Hierarchy:
    """A mounted tree of control groups. ``controllers`` is None for version 2, which tells them by file."""

    mountpoint: str
    root: str
    """The group that the mount point shows; / but where another mount of the tree hides what is above."""
    controllers: tuple[str, ...] | None


def parse_hierarchies(mountinfo: str) -> list[Hierarchy]:
    """The trees of /proc/self/mountinfo (proc_pid_mountinfo(5)), each once."""
    found: dict[tuple[str, ...] | None, Hierarchy] = {}
    for item in parse_mountinfo(mountinfo):
        if item.kind not in ("cgroup", "cgroup2"):
            continue
        # "cgroup rw,cpu,cpuacct": its controllers are among the options of the superblock.
        names = tuple(sorted(option for option in item.options if option not in ("rw", "ro")))
        controllers = names if item.kind == "cgroup" else None
        found.setdefault(controllers, Hierarchy(item.target, item.root, controllers))
    return list(found.values())


def parse_groups(proc_cgroup: str) -> dict[tuple[str, ...] | None, str]:
    """/proc/PID/cgroup (cgroups(7)): the group's path by controllers; None is version 2's."""
    found: dict[tuple[str, ...] | None, str] = {}
    for line in lines(proc_cgroup):
        number, _separator, rest = line.partition(":")
        controllers, _separator, path = rest.partition(":")
        found[None if number == "0" else tuple(sorted(controllers.split(",")))] = path
    return found


def settled(proc_cgroup: str) -> bool:
    """Whether PID 1 of a container is a systemd that has taken its tree: it moved itself to init.scope."""
    return any(path.endswith("/init.scope") for path in parse_groups(proc_cgroup).values())


def container_path(path: str, identity: str) -> str:
    """The container's own group of a process that may lie below it: the part up to what the engine named by its id."""
    parts = path.split("/")
    for index, part in enumerate(parts):
        if identity in part:
            # crun puts another one below on version 2, which has the limits of this one above it.
            return "/".join(parts[: index + 1])
    return path


def find_limits(pid: int, identity: str, reader: Callable[[str], str | None] = read) -> dict[str, int | float | None]:
    """Limits of a container's control group by field: memory (bytes), cpus, pids; None is no limit.

    A field whose controller the kernel does not give to the group is left out.
    """
    found: dict[str, int | float | None] = {}
    for directory, controllers in _directories(pid, identity, reader):
        found.update(_read_limits(directory, controllers, reader))
    return found


def find_use(pid: int, identity: str, reader: Callable[[str], str | None] = read) -> dict[str, int | float | None]:
    """What a container uses, by its control group: memory (bytes, without files that the kernel could drop at once), cpu_seconds
    since its start, pids (tasks); None where the kernel does not count it."""
    found: dict[str, int | float | None] = dict.fromkeys(("memory", "cpu_seconds", "pids"))
    for directory, controllers in _directories(pid, identity, reader):
        found.update(_read_use(directory, controllers, reader))
    return found


def _directories(
    pid: int, identity: str, reader: Callable[[str], str | None]
) -> Iterator[tuple[str, tuple[str, ...] | None]]:
    """Where the container's groups are, each with its controllers; None is version 2."""
    groups = parse_groups(reader(f"/proc/{pid}/cgroup") or "")
    for hierarchy in parse_hierarchies(reader("/proc/self/mountinfo") or ""):
        path = groups.get(hierarchy.controllers)
        if path is None:
            continue
        path = container_path(path, identity)
        if hierarchy.root != "/" and f"{path}/".startswith(hierarchy.root + "/"):
            path = path[len(hierarchy.root) :]
        yield hierarchy.mountpoint + path, hierarchy.controllers


def _read_limits(
    directory: str, controllers: tuple[str, ...] | None, reader: Callable[[str], str | None]
) -> Mapping[str, Any]:
    def content(name: str) -> str | None:
        return _content(directory, name, reader)

    found: dict[str, Any] = {}
    if controllers is None:
        memory, cpu, pids = content("memory.max"), content("cpu.max"), content("pids.max")
        if memory is not None:
            found["memory"] = None if memory == "max" else int(memory)
        if cpu is not None:
            quota, _separator, period = cpu.partition(" ")
            found["cpus"] = None if quota == "max" else round(int(quota) / int(period), 3)
    else:
        memory, pids = content("memory.limit_in_bytes"), content("pids.max")
        cfs_quota, cfs_period = content("cpu.cfs_quota_us"), content("cpu.cfs_period_us")
        if memory is not None:
            found["memory"] = None if int(memory) >= _ALL_MEMORY else int(memory)
        if cfs_quota is not None and cfs_period is not None:
            found["cpus"] = None if int(cfs_quota) < 0 else round(int(cfs_quota) / int(cfs_period), 3)
    if pids is not None:
        found["pids"] = None if pids == "max" else int(pids)
    return found


def _read_use(
    directory: str, controllers: tuple[str, ...] | None, reader: Callable[[str], str | None]
) -> Mapping[str, Any]:
    def number(name: str) -> int | None:
        text = _content(directory, name, reader)
        return int(text) if text is not None and text.isdigit() else None

    def field(name: str, key: str) -> int:
        pairs = (line.split() for line in lines(_content(directory, name, reader) or ""))
        return next((int(pair[1]) for pair in pairs if len(pair) == 2 and pair[0] == key), 0)

    found: dict[str, Any] = {"pids": number("pids.current")}
    if controllers is None:
        memory, dropped = number("memory.current"), field("memory.stat", "inactive_file")
        found["cpu_seconds"] = round(field("cpu.stat", "usage_usec") / 1e6, 3) or None
    else:
        memory, dropped = number("memory.usage_in_bytes"), field("memory.stat", "total_inactive_file")
        spent = number("cpuacct.usage")
        found["cpu_seconds"] = round(spent / 1e9, 3) if spent is not None else None
    found["memory"] = max(0, memory - dropped) if memory is not None else None
    return {key: value for key, value in found.items() if value is not None}


def _content(directory: str, name: str, reader: Callable[[str], str | None]) -> str | None:
    text = reader(os.path.join(directory, name))
    return text.strip() if text is not None else None
