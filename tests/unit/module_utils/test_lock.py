# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock of a user, and the directory that it is in."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._state import lock
from ansible_collections.nodeforge.kic.plugins.module_utils._state.lock import (
    host_lock,
    private_directory,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import fails

# Taken now: while a test runs the module's own is replaced by that of conftest.py.
real_state_directory = lock.state_directory

# A process of its own that holds the lock until its standard input ends.
HOLDER = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def taken() -> None:
    """Stands where a lock must not have been taken."""
    raise AssertionError("the lock was taken")


class Holder:
    """Another process that holds the lock."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", HOLDER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"held\n"

    def release(self) -> None:
        """Let it end by itself."""
        self.process.communicate()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.communicate()


def test_other_process_keeps_us_out(tmp_path: Path) -> None:
    """A lock that another process holds is waited for only so long, and the message names the file."""
    tmp_path.chmod(0o700)
    holder = Holder(tmp_path / "lock")
    try:
        with (
            fails("lock_timeout", f"another run holds the lock {tmp_path}/lock", "0.1 seconds", "fuser -v"),
            host_lock(str(tmp_path), wait=0.1),
        ):
            taken()
    finally:
        holder.release()
    with host_lock(str(tmp_path), wait=0):
        pass


def test_dead_process_keeps_nobody_out(tmp_path: Path) -> None:
    """A holder that was killed leaves no lock behind."""
    tmp_path.chmod(0o700)
    holder = Holder(tmp_path / "lock")
    holder.kill()
    with host_lock(str(tmp_path), wait=0):
        pass


def test_waits_for_the_other(tmp_path: Path) -> None:
    """A lock that is let go while we wait is taken then."""
    tmp_path.chmod(0o700)
    holder = Holder(tmp_path / "lock")
    begin = time.monotonic()
    timer = threading.Timer(0.15, holder.release)
    timer.start()
    try:
        with host_lock(str(tmp_path), wait=30):
            assert 0.1 < time.monotonic() - begin < 20
    finally:
        timer.join()


def test_is_exclusive(tmp_path: Path) -> None:
    """While we hold it no other gets it, and nobody else can open its file."""
    tmp_path.chmod(0o700)
    with host_lock(str(tmp_path), wait=0), fails("lock_timeout"), host_lock(str(tmp_path), wait=0):
        taken()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_ends_with_its_block(tmp_path: Path) -> None:
    """After the block, also one that failed, it is free."""
    tmp_path.chmod(0o700)
    with pytest.raises(ZeroDivisionError), host_lock(str(tmp_path), wait=0):
        raise ZeroDivisionError
    with host_lock(str(tmp_path), wait=0):
        pass


def test_makes_its_directory(state_directory: Path) -> None:
    """The user's directory is made for the user alone."""
    with host_lock():
        assert (state_directory / "lock").exists()
    assert state_directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702, 0o1777], ids=oct)
def test_directory_that_others_write_to(tmp_path: Path, mode: int) -> None:
    """A directory in which others could exchange the file is refused, and no lock is made in it."""
    tmp_path.chmod(mode)
    with fails("unsafe_directory", str(tmp_path), f"chmod 0700 {tmp_path}"), host_lock(str(tmp_path)):
        taken()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750], ids=oct)
def test_directory_that_others_read(tmp_path: Path, mode: int) -> None:
    """Others may look."""
    tmp_path.chmod(mode)
    assert private_directory(str(tmp_path)) == str(tmp_path)


def test_directory_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of another user is refused."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with fails("unsafe_directory", f"chown 12345 {tmp_path}"):
        private_directory(str(tmp_path))


def test_link_is_no_directory(tmp_path: Path) -> None:
    """A link to a directory is refused: who owns the link decides where it leads."""
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    link = tmp_path / "link"
    link.symlink_to(real)
    with fails("unsafe_directory", str(link)):
        private_directory(str(link))


def test_lock_that_is_a_link(tmp_path: Path) -> None:
    """A link in the place of the lock is not followed."""
    tmp_path.chmod(0o700)
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), host_lock(str(tmp_path)):
        taken()
    assert not (tmp_path / "victim").exists()


def test_lock_is_not_inherited(tmp_path: Path) -> None:
    """A program that is started while we hold the lock does not hold it after us."""
    tmp_path.chmod(0o700)
    with host_lock(str(tmp_path)):
        child = subprocess.Popen(["sleep", "5"], close_fds=False)
    try:
        with host_lock(str(tmp_path), wait=0):
            pass
    finally:
        child.kill()
        child.wait()


def test_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """root's is below /var/lib; another user's below their home by the password file, or XDG_STATE_HOME in it."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("XDG_STATE_HOME", "/root/elsewhere")
    assert real_state_directory() == "/var/lib/nodeforge.kic"
    user = pwd.struct_passwd(("kic", "x", 1234, 1234, "", "/home/kic", "/bin/sh"))
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(pwd, "getpwuid", {1234: user}.__getitem__)
    monkeypatch.setenv("HOME", "/root")
    assert real_state_directory() == "/home/kic/.local/state/nodeforge.kic"
    monkeypatch.setenv("XDG_STATE_HOME", "/home/kic/state")
    assert real_state_directory() == "/home/kic/state/nodeforge.kic"
    monkeypatch.setenv("XDG_STATE_HOME", "/home/kicker/state")
    assert real_state_directory() == "/home/kic/.local/state/nodeforge.kic"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert real_state_directory() == "/home/kic/.local/state/nodeforge.kic"
