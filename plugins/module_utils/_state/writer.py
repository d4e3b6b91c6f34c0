# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way in which a file is written: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress


def write(path: str, content: bytes, *, private: bool, durable: bool = True) -> None:
    """Write the file whole or not at all.

    :param private: it is its user's alone. Else it keeps its owner, mode and label, and a new one can be read by everyone.
    :param durable: it survives a power failure; not what is gone with the run in any case.
    """
    # What reads a directory of drop-ins takes those that end in .conf; this does not.
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".nodeforge.kic-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            if not private:
                _dress(stream.fileno(), path)
            if durable:
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_text(path: str, text: str) -> None:
    """Write a file of the machine's configuration. Bytes that are not UTF-8, read to be written again, stay what they are."""
    write(path, text.encode("utf-8", "surrogateescape"), private=False)


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
