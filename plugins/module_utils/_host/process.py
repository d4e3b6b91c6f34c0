# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a process really has, read from the host's /proc: no program is run in its container for it."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .._core.checks import IPAddress
from .files import lines, read
from .routes import parse_trie

_LINKS = 40
"""As many links as the kernel follows (path_resolution(7))."""


@dataclass(frozen=True)
class Mounted:
    """A mount as the kernel has it."""

    target: str
    kind: str
    """File system type: ext4, tmpfs, …"""
    read_only: bool
    source: str = ""
    """What is mounted, by the name that was given: a device, or a word such as tmpfs."""
    root: str = field(default="/", compare=False)
    """What of its file system the mount shows."""
    options: tuple[str, ...] = field(default=(), compare=False)
    """Of the file system itself."""


def parse_mountinfo(text: str) -> list[Mounted]:
    """The lines of /proc/PID/mountinfo (proc_pid_mountinfo(5))."""
    found = []
    for line in lines(text):
        # Blanks in names are escaped by the kernel; other white space is part of them, and a source may be empty.
        fields, _separator, rest = line.partition(" - ")
        parts, (kind, source, *options) = fields.split(" "), rest.split(" ")
        root, target = (_unescape(part) for part in parts[3:5])
        settings = tuple(options[-1].split(",")) if options else ()
        found.append(Mounted(target, kind, "ro" in parts[5].split(","), source, root, settings))
    return found


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def parse_mounts(mountinfo: str) -> dict[str, Mounted]:
    """The mounts by their place; of several at one place the last, which hides the others."""
    return {found.target: found for found in parse_mountinfo(mountinfo)}


def parse_local_addresses(fib_trie: str) -> set[IPAddress]:
    """Own IPv4 addresses of a network namespace, from its fib_trie ("|-- 10.0.0.2", then "/32 host LOCAL")."""
    entries = parse_trie(fib_trie)
    return {
        item.network.network_address for item in entries if (item.scope, item.kind) == ("host", "LOCAL") and item.single
    }


def parse_if_inet6(text: str) -> set[IPAddress]:
    """Own IPv6 addresses of a network namespace (ip6 addresses of if_inet6, 32 hexadecimal digits each)."""
    return {ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines(text) if line.strip()}


def followed(path: str, readlink: Callable[[str], str | None]) -> str:
    """``path`` with all links in it followed, as the kernel did when it mounted there (/lib is a link in most images).

    ``readlink`` tells where a link leads, and None for anything else.
    """
    done, todo, links = "", [part for part in path.split("/") if part], 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        target = readlink(f"{done}/{part}") if links < _LINKS else None
        if target is None:
            done = f"{done}/{part}"
            continue
        links += 1
        if target.startswith("/"):
            done = ""
        todo = [piece for piece in target.split("/") if piece not in ("", ".")] + todo
    return done or "/"


def mounted_at(pid: int, path: str, mounted: Mapping[str, Mounted]) -> Mounted | None:
    """What is mounted at ``path`` for the process, whose links may lead elsewhere. Where its root is closed to this user
    (a member of group docker), what is mounted at a longer path with the same end: /usr/lib/modules for /lib/modules."""
    found = mounted.get(place(pid, path))
    if found is not None or is_open(pid):
        return found
    return next((item for target, item in mounted.items() if target.endswith((path, path.replace("/var/", "/")))), None)


def is_open(pid: int) -> bool:
    """Whether this user may follow links inside the process's root."""
    return os.access(f"/proc/{pid}/root/", os.X_OK)


def place(pid: int, path: str) -> str:
    """Where ``path`` is for the process, links followed inside its own root."""

    def readlink(name: str) -> str | None:
        try:
            return os.readlink(f"/proc/{pid}/root{name}")
        except OSError:
            # No link, or not there, or not for us to see.
            return None

    return followed(path, readlink)


def belongs(pid: int, identity: str) -> bool:
    """Whether the process is one of the container with this id, by its control group; False also when it is not here."""
    return identity in (read(f"/proc/{pid}/cgroup") or "")


def mounts(pid: int | str) -> dict[str, Mounted]:
    """The mounts that the process (or "self") sees; {} when it has ended."""
    return parse_mounts(read(f"/proc/{pid}/mountinfo") or "")


def addresses(pid: int) -> set[IPAddress]:
    """The addresses of the process's network namespace."""
    return parse_local_addresses(read(f"/proc/{pid}/net/fib_trie") or "") | parse_if_inet6(
        read(f"/proc/{pid}/net/if_inet6") or ""
    )


def peer(connection: socket.socket) -> tuple[int, int]:
    """The process and the user at the other end of a connected local socket (SO_PEERCRED of unix(7)).

    The process as this PID namespace numbers it: 0 for one that is not in it. Raises OSError.
    """
    form = "3i"
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(form))
    pid, uid, _gid = struct.unpack(form, found)
    return pid, uid
