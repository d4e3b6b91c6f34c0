# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock that closes races between runs, held by real processes."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._state.lock import (
    host_lock,
    private_directory,
    state_directory,
)

from .conftest import Client

Module = Callable[..., dict[str, Any]]

HOLD = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(600)"


@contextmanager
def held_by_another(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_run_waits_for_another(run_module: Module, podman: Client, unique: Callable[[str], str]) -> None:
    """While another process holds the lock nothing is made; when it is given back, the run goes on."""
    name = unique("lock")
    path = Path(private_directory(state_directory())) / "lock"
    with path.open("w") as handle, ThreadPoolExecutor(1) as pool:
        fcntl.flock(handle, fcntl.LOCK_EX)
        running = pool.submit(run_module, "oci_volume", name=name)
        time.sleep(2)
        assert not running.done()
        assert name not in podman.holdings()["volumes"]
        fcntl.flock(handle, fcntl.LOCK_UN)
        assert running.result(timeout=60)["actions"] == [f"create volume {name}"]
    assert name in podman.holdings()["volumes"]


def test_nothing_to_do_needs_no_lock(run_module: Module, unique: Callable[[str], str]) -> None:
    """A run that changes nothing, and one in check mode, end while another process holds the lock."""
    name, other = unique("lock"), unique("lock")
    run_module("oci_volume", name=name)
    with (Path(state_directory()) / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert run_module("oci_volume", name=name)["changed"] is False
        assert run_module("oci_volume", name=other, check=True)["actions"] == [f"create volume {other}"]


def test_a_lock_that_is_held_too_long(tmp_path: Path) -> None:
    """The wait has an end, and the error names the file and how to find who holds it."""
    tmp_path.chmod(0o700)
    path = tmp_path / "lock"
    with held_by_another(path):
        started = time.monotonic()
        with pytest.raises(KicError) as caught, host_lock(str(tmp_path), wait=0.5):
            pytest.fail("the lock was given twice")
        assert 0.5 <= time.monotonic() - started < 5
    assert caught.value.diagnosis.id == "lock_timeout"
    assert str(path) in caught.value.diagnosis.cause
    assert f"fuser -v {path}" in caught.value.diagnosis.fix


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    """The lock of a process that was killed is free at once."""
    tmp_path.chmod(0o700)
    with held_by_another(tmp_path / "lock") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with host_lock(str(tmp_path), wait=0.0):
            pass


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_that_others_can_write_to(tmp_path: Path, mode: int) -> None:
    """Where others could exchange the file no lock is taken; the error says how to repair the directory."""
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(KicError) as caught, host_lock(str(folder)):
        pytest.fail("a lock was taken in a directory of others")
    assert caught.value.diagnosis.id == "unsafe_directory"
    assert f"chmod 0700 {folder}" in caught.value.diagnosis.fix
    assert list(folder.iterdir()) == []


def test_a_link_in_place_of_the_directory_or_file(tmp_path: Path) -> None:
    """A symbolic link is followed neither to a directory nor to a file that somebody else chose."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir(mode=0o700)
    link.symlink_to(real)
    with pytest.raises(KicError) as caught, host_lock(str(link)):
        pytest.fail("a lock was taken behind a link")
    assert caught.value.diagnosis.id == "unsafe_directory"
    (real / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), host_lock(str(real)):
        pytest.fail("a lock was taken behind a link")
    assert not (tmp_path / "victim").exists()


def test_a_directory_of_another_user(tmp_path: Path) -> None:
    """A directory that belongs to another user is not trusted, whatever its mode."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory to another user")
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(KicError) as caught, host_lock(str(folder)):
        pytest.fail("a lock was taken in a directory of another user")
    assert caught.value.diagnosis.id == "unsafe_directory"
