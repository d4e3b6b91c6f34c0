# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of all that is allocated, that of changes of the machine, and the directory that holds them.

flock(2) is released by the kernel when its holder dies, so a lock can never be stale. It is only as good as the
directory it lies in: whoever could write there could exchange the file, so the directory must belong to us alone.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Callable

from .._core.diagnosis import failure
from .._core.plan import ALLOCATION
from .._host.files import wait_for_lock

MACHINE = "machine-lock"
"""The lock of what changes the machine itself, which takes as long as its systemd and its engines take."""

POD_NETWORK = "pod-network-lock"
"""The lock of what a run writes into all nodes of a cluster, from who is in it at that time."""

LOCKS = {ALLOCATION: 120.0, MACHINE: 600.0, POD_NETWORK: 120.0}
"""How many seconds a run waits for another."""


def state_directory() -> str:
    """Where this user's lock and state files live: /var/lib/nodeforge.kic for root, else below XDG_STATE_HOME.

    The home directory is found by uid: under ``become`` the environment's HOME may be another user's.
    """
    if os.geteuid() == 0:
        return "/var/lib/nodeforge.kic"
    home = pwd.getpwuid(os.geteuid()).pw_dir
    base = os.environ.get("XDG_STATE_HOME", "")
    if not base.startswith(home + os.sep):
        base = os.path.join(home, ".local", "state")
    return os.path.join(base, "nodeforge.kic")


def private_directory(path: str) -> str:
    """Make ``path`` with mode 0700 if it is not there, and refuse it when others may write to it."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    found = os.lstat(path)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022 or not os.path.isdir(path) or os.path.islink(path):
        raise failure("unsafe_directory", path=path, user=str(os.geteuid()))
    return path


@contextmanager
def host_lock(directory: str | None = None, wait: float | None = None, name: str = ALLOCATION) -> Iterator[None]:
    """Hold one of this user's locks. Raises ``lock_timeout`` after ``wait`` seconds, by default those of LOCKS."""
    wait = LOCKS[name] if wait is None else wait
    path = os.path.join(private_directory(directory or state_directory()), name)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        wait_for_lock(handle, path, wait)
        yield
    finally:
        os.close(handle)


def lock_of(name: str) -> Callable[[], AbstractContextManager[Any]]:
    """What takes the lock of this name; "" is none."""
    return (lambda: host_lock(name=name)) if name else nullcontext
