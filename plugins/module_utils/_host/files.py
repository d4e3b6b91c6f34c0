# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files of the kernel and of /etc: their text, or that they are not there; and locks of open files."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from typing import Callable

from .._core.diagnosis import failure

DROP_INS = ("/usr/lib", "/usr/local/lib", "/run", "/etc")
"""Where systemd looks for drop-ins of a kind; of two with one name the later directory's counts (sysctl.d(5))."""


_NOTHING = frozenset(
    (
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP),
        # Not for this user.
        *(errno.EACCES, errno.EPERM),
        # Of a process or a control group that has ended, or a socket.
        *(errno.ESRCH, errno.ENODEV, errno.ENXIO),
    )
)
"""Errors of a file that says nothing; others, such as those of a broken disk, are failures."""


def read(path: str) -> str | None:
    """The file's text; None when there is none (any more), as of a process that has ended, or it is not for this user.

    Only a regular file is opened, whatever its name promises: a FIFO would hold the reader for ever. A device counts as empty,
    as /dev/null is, by which a file of a distribution is masked.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            return "" if stat.S_ISCHR(mode) else None
        with open(path, encoding="utf-8", errors="backslashreplace", opener=_not_waiting) as handle:
            return handle.read() if stat.S_ISREG(os.fstat(handle.fileno()).st_mode) else None
    except OSError as error:
        # Of mountinfo of a process that is ending (fs/proc_namespace.c), where anything else is one of those above.
        ended = error.errno == errno.EINVAL and path.startswith("/proc/")
        if error.errno not in _NOTHING and not ended:
            raise
        return None


def _not_waiting(path: str, flags: int) -> int:
    # What was a file a moment ago may be something else by now.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def lines(text: str) -> list[str]:
    """The lines of a file. Only its own line end divides them: a name in it may hold others (U+2028, U+0085, form feed)."""
    return text.removesuffix("\n").split("\n") if text else []


def listed(directory: str) -> list[str]:
    """The names in a directory; [] where there is none, or it is not for this user, as on a hardened machine."""
    try:
        return sorted(os.listdir(directory))
    except OSError as error:
        if error.errno not in _NOTHING:
            raise
        return []


def drop_ins(kind: str) -> list[tuple[str, str]]:
    """Path and text of the drop-ins of a kind (``sysctl.d``, ``modules-load.d``), in the order in which they are read.

    One that cannot be read by this user is empty.
    """
    found: dict[str, str] = {}
    for base in DROP_INS:
        directory = f"{base}/{kind}"
        found.update({name: f"{directory}/{name}" for name in listed(directory) if name.endswith(".conf")})
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
