# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for each unit test."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SLEEP_SECONDS = 5.0
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 256 << 20
"""What the unit tests may need there at a time."""


class Folders:
    """Makes folders for a test as pytest's own factory does; they are removed after it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made = 0

    def getbasetemp(self) -> Path:
        """The folder that holds all others."""
        return self._root

    def mktemp(self, basename: str, numbered: bool = True) -> Path:
        """A new folder whose name begins with this, or is this."""
        folder = self._root / (f"{basename}{self._made}" if numbered else basename)
        self._made += 1
        folder.mkdir(mode=0o700)
        return folder


def _memory() -> str | None:
    """A folder that is in memory and lets programs run, where there is one."""
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return None
    usable = not found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY) and found.f_bavail * found.f_frsize >= MEMORY_BYTES
    return str(MEMORY) if usable and os.access(MEMORY, os.W_OK) else None


@pytest.fixture
def tmp_path_factory() -> Iterator[Folders]:
    """In memory: the tests that end runs write ten thousands of records, each of which is forced to the disk."""
    root = tempfile.mkdtemp(prefix="kictest-", dir=_memory())
    yield Folders(Path(root))
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def tmp_path(tmp_path_factory: Folders) -> Path:
    """A folder of the test."""
    return tmp_path_factory.mktemp("test")


@pytest.fixture(autouse=True)
def awake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A unit test that waits out a limit of minutes passes, and nobody sees why the whole set takes longer."""
    sleep, slept, process = time.sleep, 0.0, os.getpid()

    def counted(seconds: float) -> None:
        nonlocal slept
        # A child that a test makes in order to end it may sleep.
        slept += seconds if os.getpid() == process else 0
        refuse()
        sleep(seconds)

    def refuse() -> None:
        assert slept <= SLEEP_SECONDS, f"this test has slept for {slept:.0f} s: what does it wait for?"

    monkeypatch.setattr(time, "sleep", counted)
    yield
    # What is tested may make of any exception a diagnosis, or go on.
    refuse()
