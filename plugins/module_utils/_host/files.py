# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files of the kernel and of /etc: their text, or that they are not there; and locks of open files."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from typing import Callable

from .._core.diagnosis import failure

DROP_INS = ("/usr/lib", "/usr/local/lib", "/run", "/etc")
"""Where systemd looks for drop-ins of a kind; of two with one name the later directory's counts (sysctl.d(5))."""


def read(path: str) -> str | None:
    """The file's text; None when there is none (any more), as of a process that has ended, or it is not for this user."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as handle:
            return handle.read()
    except (FileNotFoundError, NotADirectoryError, PermissionError, ProcessLookupError):
        return None


def drop_ins(kind: str) -> list[tuple[str, str]]:
    """Path and text of the drop-ins of a kind (``sysctl.d``, ``modules-load.d``), in the order in which they are read."""
    found: dict[str, str] = {}
    for base in DROP_INS:
        directory = f"{base}/{kind}"
        names = os.listdir(directory) if os.path.isdir(directory) else []
        found.update({name: f"{directory}/{name}" for name in names if name.endswith(".conf")})
    return [(found[name], read(found[name]) or "") for name in sorted(found)]


def wait_for_lock(handle: int, path: str, seconds: float, take: Callable[[int, int], None] = fcntl.flock) -> None:
    """Take the lock of an open file, by flock(2) or lockf(3). Raises ``lock_timeout`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return take(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if time.monotonic() >= deadline:
            raise failure("lock_timeout", path=path, seconds=seconds)
        # A lock has no limit of its own, and an alarm signal would be the module's, not ours: look again soon.
        time.sleep(0.05)


def make_directory(path: str) -> None:
    """Have a directory of the machine's configuration, open to all readers whatever the umask; makedirs obeys that."""
    if os.path.isdir(path):
        return
    make_directory(os.path.dirname(path))
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    os.chmod(path, 0o755)
