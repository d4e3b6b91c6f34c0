# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of steps, each in a directory named by its key. A step that failed or was interrupted leaves none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

# Results that no build has requested in this time are removed by the next one. In seconds.
UNUSED = 30 * 24 * 3600

KINDS = ("programs", "base", "store", "archives")
"""The folders of results."""


def writable(path: Path) -> bool:
    return os.access(path, os.W_OK | os.X_OK)


class Cache:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, kind: str, key: str) -> Path:
        return self.directory / kind / key[:24]

    def has(self, kind: str, key: str) -> bool:
        # One that may not be looked into holds nothing for this user; pathlib would raise.
        return os.path.isdir(self.path(kind, key))  # noqa: PTH112

    def folders(self) -> None:
        """Creates the cache and its folders, as the user who builds: root's steps come later and write into them."""
        for kind in (*KINDS, "go"):
            (self.directory / kind).mkdir(parents=True, exist_ok=True)

    def closed(self) -> str:
        """The first of the cache's directories, or of those above, that this user may not write to; else empty."""
        if not os.path.lexists(self.directory):
            above = self.directory
            while not os.path.lexists(above):
                above = above.parent
            return "" if writable(above) else str(above)
        folders = [self.directory, *(self.directory / kind for kind in (*KINDS, "go"))]
        return next((str(path) for path in folders if os.path.lexists(path) and not writable(path)), "")

    @contextlib.contextmanager
    def make(self, kind: str, key: str) -> Iterator[Path | None]:
        """Gives a directory to fill, which becomes the result when the block ends well; None when it is there already.

        A second process that wants the same waits for the first.
        """
        result = self.path(kind, key)
        result.parent.mkdir(parents=True, exist_ok=True)
        with Path(f"{result}.lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if result.is_dir():
                os.utime(result)
                yield None
                return
            work = Path(f"{result}.part")
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            # A root file system inside must be passable whatever the umask.
            work.chmod(0o755)
            try:
                yield work
            except BaseException:
                shutil.rmtree(work, ignore_errors=True)
                raise
            work.rename(result)

    def clean(self) -> None:
        for kind in (*KINDS, "plain"):
            for path in (self.directory / kind).glob("*"):
                # Another run may be removing the same.
                with contextlib.suppress(FileNotFoundError):
                    if path.is_dir() and path.suffix == "" and time.time() - path.stat().st_mtime > UNUSED:
                        shutil.rmtree(path)
