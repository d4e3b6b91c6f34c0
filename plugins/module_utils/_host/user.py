# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ordinary user needs of the machine to run containers: ids of their own, and processes that outlive their login."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from typing import Any, Callable

from .._command import Runner
from . import delegation
from .environment import client_environment
from .files import lines, read
from .kernel import kernel_release
from .machine import has_program, has_systemd
from .sub_ids import FILES, MAPPERS, count_of, held, unfit_mode


def user_name() -> str:
    """The user's name, or their number where they have none."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def ids_from_service() -> bool:
    """Whether a name service gives subordinate ids instead of files (nsswitch.conf, subid)."""
    for line in lines(read("/etc/nsswitch.conf") or ""):
        key, _separator, services = line.partition(":")
        if key.strip() == "subid" and services.split() not in ([], ["files"]):
            return True
    return False


def sub_ids() -> int | None:
    """The lesser of the user's subordinate user and group ids; None where a name service gives them instead of files."""
    if ids_from_service():
        return None
    user, uid = user_name(), os.geteuid()
    given = min(count_of(read(path) or "", user, uid) for path in FILES.values())
    # What podman has not taken up yet is of no use to a node.
    taken_up = held(uid)
    return given if taken_up is None else min(given, taken_up)


def lingers() -> bool | None:
    """Whether the user's systemd goes on without a login (loginctl(1), enable-linger); None without systemd."""
    if not has_systemd():
        return None
    return os.path.exists(f"/var/lib/systemd/linger/{user_name()}")


PROGRAMS = ("newuidmap", "newgidmap", "pasta", "slirp4netns", "fuse-overlayfs", "setfacl")
"""What maps their ids, brings them network and storage, and lets another user hand files to them."""

_BECOME = ("sudo", "su", "doas")
"""Programs that make one user another, as the kernel names their processes; doas is none, once it has."""

_STARTS = ("sh", "dash", "bash", "python")
"""How the names of what Ansible starts a module by begin."""


def handed_over(reader: Callable[[str], str | None] = read, pid: int | None = None) -> bool:
    """Whether this task was started by another ordinary user, who became this one: that user's Ansible has to let this
    one read its files, for which it runs setfacl."""
    me = os.geteuid()
    pid = pid or os.getpid()
    for _step in range(32):
        fields = dict(line.partition(":")[::2] for line in lines(reader(f"/proc/{pid}/status") or ""))
        if not fields:
            break
        name, uid = fields["Name"].strip(), int(fields["Uid"].split()[0])
        if name not in _BECOME and not (uid == me and name.startswith(_STARTS)):
            return uid not in (0, me)
        pid = int(fields["PPid"])
    return False


def user_facts(runner: Runner) -> dict[str, Any] | None:
    """What of the machine decides whether this user's nodes run on it, for the role kic_host; None for root."""
    uid = os.geteuid()
    if uid == 0:
        return None
    way = delegation.look(uid, runner)
    environment: dict[str, str] = {}
    with suppress(KeyError):  # a user without an entry in passwd, who has no home
        environment = client_environment()
    ready = way.mode == "v2" and way.systemd
    return {
        "name": user_name(),
        "uid": uid,
        "environment": environment,
        "sub_ids": sub_ids(),
        "maps_ids": all(unfit_mode(path) is None for path in MAPPERS),
        "controllers": [name for name in delegation.CONTROLLERS if ready and way.lost(name) is None],
        "manager_running": way.runs,
        "lingers": lingers(),
        "bus": os.path.exists("/usr/lib/systemd/user/dbus.socket"),
        "programs": [name for name in PROGRAMS if has_program(name)],
        "handed_over": handed_over(),
        # Who may mount an overlay in a namespace of their own (Linux 5.11, overlayfs.rst) needs no program for it.
        "native_overlay": kernel_release() >= (5, 11),
    }
