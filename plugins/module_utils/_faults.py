# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every exception as a diagnosis: what the machine refused is named with its path and errno, the rest as a defect of ours.

Loaded when something has failed, as Python compiles a module's source at each task.
"""

from __future__ import annotations

import errno
import os
import traceback

from ._command import CommandNotFound
from ._core.diagnosis import KicError, failure
from ._host.permission import refused

_PARTS = ("module_utils", "modules", "action", "lookup", "inventory", "callback", "filter")


def as_failure(error: BaseException) -> KicError:
    """``error`` with cause and fix; what was done before it stays noted."""
    if isinstance(error, KicError):
        return error
    found = _of(error)
    found.done = getattr(error, "done", ())
    return found


def _of(error: BaseException) -> KicError:
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, CommandNotFound):
        return failure("program_missing", program=error.args[0])
    if isinstance(error, UnicodeError):
        return failure("text_unreadable", problem=str(error), place=_place(error), output=_frames(error))
    if isinstance(error, KeyError) and "getpw" in str(error):
        # "getpwuid(): uid not found: 54321" (CPython).
        return failure("user_unlisted", uid=os.geteuid())
    if isinstance(error, MemoryError):
        return failure("memory_exhausted", place=_place(error))
    problem = f"{type(error).__name__}: {error}".rstrip(": ")
    return failure("internal_error", problem=problem, place=_place(error), output=_frames(error))


def _of_system(error: OSError) -> KicError:
    path = _path(error)
    number = error.errno or 0
    fields = {"path": path or "a file", "directory": _existing(path) if path else "/", "name": _name(number)}
    output = _frames(error) if path is None else str(error)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return failure("file_system_full", output=output, **fields)
    if number == errno.EROFS:
        return failure("file_system_read_only", output=output, **fields)
    if number in (errno.EACCES, errno.EPERM):
        return refused(error, path, output)
    problem = f"{error.strerror or error}" + (f" ({fields['name']})" if number else "")
    return failure("system_refused", output=output, path=path or "a system call", problem=problem, place=_place(error))


def _path(error: OSError) -> str | None:
    """What the call was about: of a rename that into which it was to go. A write has no name of its own; the function
    that wrote knows it."""
    for name in (error.filename2, error.filename):
        if isinstance(name, bytes):
            return os.fsdecode(name)
        if isinstance(name, str):
            return name
    frames = [frame for frame, _line in traceback.walk_tb(error.__traceback__) if _is_ours(frame.f_code.co_filename)]
    found = (frame.f_locals.get("path") for frame in reversed(frames))
    return next((path for path in found if isinstance(path, str)), None)


def _existing(path: str) -> str:
    """The path, or of what is above it the first that is there."""
    found = os.path.abspath(path)
    while not os.path.lexists(found) and found != "/":
        found = os.path.dirname(found)
    return found


def _name(number: int) -> str:
    return errno.errorcode.get(number, str(number))


def _is_ours(filename: str) -> bool:
    return any(f"/plugins/{part}/" in filename for part in _PARTS)


def _ours(error: BaseException) -> list[traceback.FrameSummary]:
    found = traceback.extract_tb(error.__traceback__)
    return [frame for frame in found if _is_ours(frame.filename)] or list(found)


def _place(error: BaseException) -> str:
    """Where in the collection it happened."""
    frames = _ours(error)
    return f"{_short(frames[-1].filename)}:{frames[-1].lineno}" if frames else "an unknown place"


def _frames(error: BaseException) -> str:
    """The calls that led there, one in a line, for a report; not the source."""
    return "\n".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in _ours(error))


def _short(filename: str) -> str:
    return filename.rpartition("/plugins/")[2]
