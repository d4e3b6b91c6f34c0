# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What on the way to a file does not let this user on, as the directories do that a program run with sudo has created.

Loaded when something has failed, as Python compiles a module's source at each task.
"""

from __future__ import annotations

import errno
import os
import pwd

from .._core.diagnosis import KicError, failure


def refused(error: OSError, path: str | None, output: str) -> KicError:
    """The failure of a call that the system refused to this user: whose the directory or file is that stands in the way."""
    uid = os.geteuid()
    user = _user(uid)
    closed = closed_on_the_way(path) if path else None
    if closed is None:
        # Not a matter of modes: a security module, an immutable file, a mount that another user owns.
        fields = {
            "path": path or "a file",
            "user": user,
            "problem": f"{error.strerror} ({errno.errorcode.get(error.errno or 0, '')})",
        }
        return failure("access_refused", output=output, **fields)
    found = os.stat(closed)
    owner = _user(found.st_uid)
    if owner == user:
        fix = f"chmod u+rwx {closed}"
    else:
        other = "with become: true" if owner == "root" else f"as {owner}"
        fix = f"if it is meant for {user}, as root: chown {user} {closed}; else run the task {other}"
    fields = {"closed": closed, "owner": owner, "mode": f"{found.st_mode & 0o7777:04o}", "fix": fix}
    return failure("permission_denied", output=output, path=path, user=user, **fields)


def closed_on_the_way(path: str) -> str | None:
    """What on the way to ``path`` does not let this user on; None where modes are not what refuses."""
    way = ["/"]
    for part in os.path.abspath(path).strip("/").split("/"):
        way.append(os.path.join(way[-1], part))
    for here, following in zip(way, way[1:]):
        if not os.access(here, os.X_OK, effective_ids=True):
            return here
        if not os.path.lexists(following):
            return None if _writable(here) else here
    if not os.access(path, os.R_OK, effective_ids=True) or not _writable(path):
        return path
    # It is open itself, so something was to be exchanged or removed in its directory.
    return None if _writable(way[-2]) else way[-2]


def _writable(path: str) -> bool:
    return os.access(path, os.W_OK, effective_ids=True)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
