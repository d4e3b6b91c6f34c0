# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files of the kernel: their text, or that they are not there."""

from __future__ import annotations


def read(path: str) -> str | None:
    """The file's text; None when there is none (any more), as of a process that has ended, or it is not for this user."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as handle:
            return handle.read()
    except (FileNotFoundError, NotADirectoryError, PermissionError, ProcessLookupError):
        return None
