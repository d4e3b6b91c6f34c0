# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of the user that a task became, which are those of another one where become did not set them."""

from __future__ import annotations

import os
import pwd


def home() -> str:
    """The directory of the user that this process is of, whatever a task before ``become`` has left in HOME; empty where
    passwd does not list them."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return os.environ.get("HOME", "")


def client_environment() -> dict[str, str]:
    """What podman needs and a task under ``become`` may lack: the user's own home and run-time directory.

    Without them rootless podman looks at another user's files or refuses to start (podman #13338). sudo may keep HOME, and su
    keeps the run-time directory of the user before.
    """
    uid = os.geteuid()
    if uid == 0:
        return {}
    found = {"HOME": pwd.getpwuid(uid).pw_dir}
    directory = f"/run/user/{uid}"
    if os.path.isdir(directory):
        found["XDG_RUNTIME_DIR"] = directory
        if os.path.exists(f"{directory}/bus"):
            found["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={directory}/bus"
    elif not _owned(os.environ.get("XDG_RUNTIME_DIR", ""), uid):
        # Empty is as good as unset: podman 4.3 then has a directory of its own below /tmp.
        found["XDG_RUNTIME_DIR"] = ""
    return found


def _owned(path: str, uid: int) -> bool:
    """Whether a directory is the user's; one that is not named cannot be another's."""
    try:
        return not path or os.stat(path).st_uid == uid
    except OSError:
        return False
