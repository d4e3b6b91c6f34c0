# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ordinary user needs of the machine to run containers: ids of his own, and processes that outlive his login."""

from __future__ import annotations

import os
import pwd

from .files import read


def user_name() -> str:
    """The user's name, or his number where he has none."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def parse_sub_ids(text: str, user: str, uid: int) -> int:
    """How many ids /etc/subuid or /etc/subgid gives to the user (subuid(5): ``name or number:first:count``)."""
    found = 0
    for line in text.splitlines():
        owner, _separator, numbers = line.strip().partition(":")
        count = numbers.rpartition(":")[2]
        if owner in (user, str(uid)) and count.isdigit():
            found += int(count)
    return found


def sub_ids() -> int | None:
    """The lesser of the user's subordinate user and group ids; None where a name service gives them instead of files."""
    for line in (read("/etc/nsswitch.conf") or "").splitlines():
        key, _separator, services = line.partition(":")
        if key.strip() == "subid" and services.split() not in ([], ["files"]):
            return None
    user, uid = user_name(), os.geteuid()
    return min(parse_sub_ids(read(f"/etc/{name}") or "", user, uid) for name in ("subuid", "subgid"))


def lingers() -> bool | None:
    """Whether the user's systemd goes on without a login (loginctl(1), enable-linger); None without systemd."""
    if not os.path.isdir("/run/systemd/system"):
        return None
    return os.path.exists(f"/var/lib/systemd/linger/{user_name()}")
