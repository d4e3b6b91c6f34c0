# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a long task is waiting for, in a file that the callback progress reads where it runs on the same machine.

The file is its user's alone, and gone when the task ends; one that a killed task left is known by its process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Callable

from .._core.diagnosis import KicError
from .._core.operations import Operation
from .lock import private_directory, state_directory
from .writer import write

Report = Callable[[Collection[Operation], int], None]


def progress_directory(base: str | None = None) -> str:
    """Where the files are, below the state directory of the task's user."""
    return os.path.join(base or state_directory(), "progress")


@contextmanager
def reported(base: str | None = None) -> Iterator[Report]:
    """A function that writes what runs and how much is left. A file that cannot be written is no reason to fail."""
    path = os.path.join(progress_directory(base), f"{os.getpid()}.json")

    def report(running: Collection[Operation], left: int) -> None:
        with suppress(OSError, KicError):
            private_directory(base or state_directory())
            private_directory(os.path.dirname(path))
            found = {"pid": os.getpid(), "running": [str(item) for item in running], "left": left}
            write(path, json.dumps(found).encode(), private=True, durable=False)

    try:
        yield report
    finally:
        with suppress(OSError):
            os.unlink(path)


def waited_for(since: float, base: str | None = None) -> str:
    """What the one task that has begun after ``since`` (seconds of the epoch) is waiting for; "" where that is not known."""
    found = [item for item in _files(progress_directory(base), since) if _lives(item.get("pid"))]
    if len(found) != 1 or not found[0].get("running"):
        return ""
    running, left = found[0]["running"], found[0].get("left", 0)
    return ", ".join(map(str, running)) + (f"; then {left} more" if left else "")


def _files(folder: str, since: float) -> Iterator[dict[str, Any]]:
    entries: list[os.DirEntry[str]] = []
    with suppress(OSError):
        entries = list(os.scandir(folder))
    for entry in entries:
        found = _content(entry, since) if entry.name.endswith(".json") else None
        if isinstance(found, dict):
            yield found


def _content(entry: os.DirEntry[str], since: float) -> Any:
    """What a file holds that was written since then; None where it is older, or gone, or not complete."""
    with suppress(OSError, ValueError):
        if entry.stat().st_mtime >= since:
            with open(entry.path, encoding="utf-8") as stream:
                return json.load(stream)
    return None


def _lives(pid: Any) -> bool:
    return isinstance(pid, int) and os.path.exists(f"/proc/{pid}")
