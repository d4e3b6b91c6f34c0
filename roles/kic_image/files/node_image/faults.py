# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What failed in the words of a person, with a fix: a step has no other way to its user than its standard error."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import traceback
from collections.abc import Iterator
from pathlib import Path

LIMIT = 2 * 3600
"""Seconds of a step, the wait for another run that makes the same included. Compiling Kubernetes takes 15 minutes on two slow
cores."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Late(Exception):
    """A step that takes longer than it may."""


class Unusable(Exception):
    """A recipe that is none; its text is the whole message."""


@contextlib.contextmanager
def limited(seconds: int = LIMIT) -> Iterator[None]:
    """Raises Late in what takes longer; a program that it has started is ended, and its result is not kept."""

    def late(_number: int, _frame: object) -> None:
        raise Late(
            f"It took longer than {seconds} seconds, as downloads that get no answer do, or a wait for another run."
        )

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def told(error: Exception) -> str:
    """The cause and what to do about it."""
    if isinstance(error, subprocess.CalledProcessError):
        name = Path(error.cmd[0]).name
        ended = f"exit code {error.returncode}" if error.returncode >= 0 else f"signal {-error.returncode}"
        fix = "see what it said before this line"
        if -error.returncode == signal.SIGKILL:
            fix = "end other programs, if the machine had no memory left (dmesg says so)"
        return f"{name} ended with {ended}. Fix: {fix}; the next run goes on where this one ended."
    if isinstance(error, (Late, Unusable)):
        return str(error)
    if isinstance(error, OSError) and error.errno is not None:
        about = f"{error.filename}: " if error.filename is not None else ""
        return f"{about}{os.strerror(error.errno)}. Fix: {_fix(error.errno)}."
    if isinstance(error, RuntimeError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    return f"An error of the builder itself: {type(error).__name__}: {error} ({place}). Fix: report it with this line."


def _fix(number: int) -> str:
    if number in _FULL:
        return "free space there, or set kic_image_cache to a directory of another file system"
    if number in _CLOSED:
        return "set kic_image_cache to a directory that this user may write to"
    return "see that it is there and can be read"
