# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A named pipe inside a container, written from its machine: an engine's client copies each byte three times on that way."""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import IO, Callable

from .process import belongs

_LOOK_SECONDS = 0.01


def reachable(pid: int, identity: str) -> bool:
    """Whether this user may open files of the container, by the process that is its first one."""
    if pid <= 0 or not belongs(pid, identity):
        return False
    try:
        os.close(os.open(f"/proc/{pid}/root/run", os.O_RDONLY | os.O_DIRECTORY))
    except OSError:
        return False
    return True


def connect(pid: int, path: str, alive: Callable[[], bool]) -> IO[bytes] | None:
    """The pipe, as soon as the one that reads it has made it; None where that has ended before.

    What is in a container belongs to whoever is root there, so no link is followed, and nothing but a pipe is written to.
    """
    while True:
        try:
            return _opened(pid, path)
        except OSError as error:
            # Not made yet, or nobody has it open.
            if error.errno not in (errno.ENOENT, errno.ENXIO):
                raise
        if not alive():
            return None
        # The kernel has no event for it that Python's library could wait for.
        time.sleep(_LOOK_SECONDS)


def _opened(pid: int, path: str) -> IO[bytes]:
    *folders, name = path.strip("/").split("/")
    here = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        pipe = os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
        os.close(pipe)
        raise OSError(errno.EINVAL, "it is not a named pipe", path)
    os.set_blocking(pipe, True)
    return os.fdopen(pipe, "wb")
