# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings and modules of the running kernel, and those of its next start."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from typing import Callable

from .files import drop_ins, lines, read

PORT_START = "net.ipv4.ip_unprivileged_port_start"
"""The lowest port that a process without privileges may listen on."""

SYSCTLS = (
    # Each node's systemd, kubelet and containerd take some of them, and the user's are those of all nodes together.
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    # Each container of an ordinary user takes one of their keys; root has a limit of its own, a million.
    "kernel.keys.maxbytes",
    "kernel.keys.maxkeys",
    PORT_START,
)
"""Settings that decide how many nodes run, as far as they are looked at before anything is requested."""

MODULES = ("nf_conntrack", "nf_tables", "overlay", "tun")
"""Modules that containers of an ordinary user need, who can load none."""


def sysctl_path(name: str) -> str:
    """Where the kernel shows a setting."""
    return "/proc/sys/" + name.replace(".", "/")


def sysctl(name: str, reader: Callable[[str], str | None] = read) -> int | None:
    """The number that a setting has; None where this kernel has no such setting, or it is no number."""
    try:
        return int(reader(sysctl_path(name)) or "")
    except ValueError:
        return None


def satisfied(name: str, value: int, asked: int) -> bool:
    """Whether a setting is as asked for: at least so much, but a lowest port at the most."""
    return value <= asked if name == PORT_START else value >= asked


def assignments(text: str) -> dict[str, int]:
    """The numbers that a file of sysctl.d(5) assigns, by name with dots."""
    found = {}
    for line in lines(text):
        name, separator, value = line.strip().lstrip("-").partition("=")
        if separator and not line.lstrip().startswith(("#", ";")) and value.strip().isdecimal():
            found[name.strip().replace("/", ".")] = int(value)
    return found


def overruling(files: Sequence[tuple[str, str]], ours: str, name: str, asked: int) -> str:
    """The file that is read after ours and leaves the setting worse than asked for at the next start; empty for none."""
    found = ""
    for path, text in files:
        if os.path.basename(path) > os.path.basename(ours):
            value = assignments(text).get(name)
            if value is not None:
                found = "" if satisfied(name, value, asked) else path
    return found


def plain(module: str) -> str:
    """A module's name as the kernel has it, which knows no hyphen."""
    return module.replace("-", "_")


def names_of(text: str) -> frozenset[str]:
    """The modules that a file of modules-load.d(5) names."""
    rows = (line.strip() for line in lines(text))
    return frozenset(plain(line.split()[0]) for line in rows if line and line[0] not in "#;")


def built_in(text: str) -> frozenset[str]:
    """The modules of modules.builtin: a path each."""
    return frozenset(plain(os.path.basename(line).partition(".ko")[0]) for line in lines(text))


def loaded(text: str) -> frozenset[str]:
    """The modules of /proc/modules."""
    return frozenset(line.split()[0] for line in lines(text) if line)


def kernel_release() -> tuple[int, int]:
    """The running kernel's version."""
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def module_directory() -> str:
    """The directory of the running kernel's modules."""
    return f"/lib/modules/{platform.release()}"


def modules_now(reader: Callable[[str], str | None] = read) -> tuple[frozenset[str], frozenset[str]]:
    """The modules that are part of the kernel, and those that are loaded."""
    return (
        built_in(reader(f"{module_directory()}/modules.builtin") or ""),
        loaded(reader("/proc/modules") or ""),
    )


def modules_at_boot(reader: Callable[[str], str | None] = read) -> frozenset[str]:
    """The modules that files have loaded at the start of the machine."""
    texts = [text for _path, text in drop_ins("modules-load.d")]
    return frozenset().union(*(names_of(text) for text in [*texts, reader("/etc/modules") or ""]))


def kept(names: Iterable[str]) -> dict[str, bool]:
    """Whether each module is there now and after the next start too; {} where this kernel has no directory of them."""
    if not os.path.isdir(module_directory()):
        return {}
    built, running = modules_now()
    there = built | (running & modules_at_boot())
    return {name: plain(name) in there for name in names}
