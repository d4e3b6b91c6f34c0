# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system below a path: how much room it has, by statvfs(3), and its device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from .process import Mounted


@dataclass(frozen=True)
class Space:
    """Bytes and inodes that a file system can still give to this user. ``inodes`` is None where it has no limit."""

    bytes: int
    inodes: int | None


def space(path: str) -> Space | None:
    """The room at ``path`` or, where that is not made yet, at the directory that it will be made in; None: not to see."""
    while path and not os.path.exists(path):
        path = os.path.dirname(path) if path != "/" else ""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    # btrfs and others make inodes as they are needed and say 0.
    return Space(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)


def _mount_of(path: str, mounted: Mapping[str, Mounted]) -> Mounted | None:
    path = os.path.realpath(path)
    while path not in mounted and path != "/":
        path = os.path.dirname(path)
    return mounted.get(path)


def filesystem_below(path: str, mounted: Mapping[str, Mounted]) -> str:
    """The type of the file system that holds ``path``, as the kernel names it; "" where that cannot be seen."""
    found = _mount_of(path, mounted) if path else None
    return found.kind if found is not None else ""


def device_below(path: str, mounted: Mapping[str, Mounted]) -> str:
    """The device whose file system holds ``path``, as it was named when it was mounted; "" where that is none."""
    found = _mount_of(path, mounted)
    return found.source if found is not None and found.source.startswith("/dev/") else ""
