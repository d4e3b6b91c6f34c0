# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files of the kernel and of /etc: their text, or that they are not there; written whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
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


def replace(path: str, text: str) -> None:
    """Write the file whole or not at all. It keeps its owner, mode and label; a new one is readable for everyone."""
    # What reads a directory of drop-ins takes those that end in .conf; this does not.
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".nodeforge.kic-")
    try:
        # Bytes that are no UTF-8, as read by whoever reads to write again, stay what they are.
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
            stream.flush()
            _dress(stream.fileno(), path)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _dress(handle: int, path: str) -> None:
    try:
        like = os.stat(path)
    except FileNotFoundError:
        os.fchmod(handle, 0o644)
        return
    os.fchown(handle, like.st_uid, like.st_gid)
    os.fchmod(handle, like.st_mode & 0o7777)
    if "security.selinux" in os.listxattr(path):
        os.setxattr(handle, "security.selinux", os.getxattr(path, "security.selinux"))
