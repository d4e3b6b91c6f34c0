# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""oci_engine_probe: a container as a node's, of which nothing stays.

There is no probe where a node runs, as on a machine with a cluster; so podman has a store of the test's own here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host.machine import architecture
from ansible_collections.nodeforge.kic.plugins.module_utils._host.podman_networks import DIRECTORY
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.probe import LABEL, PREFIX, PROGRAMS

from .conftest import Client
from .dockerd import client_of

Module = Callable[..., dict[str, Any]]

LIMIT = 12.0
"""Seconds. Alone on a slow machine a probe takes less than 4; next to other tests it was seen to take 4.5."""


def test_the_program_runs(tmp_path: Path) -> None:
    """The kernel of this machine takes the bytes for a program; it sleeps until it is ended."""
    program = tmp_path / "probe"
    program.write_bytes(PROGRAMS[architecture()])
    program.chmod(0o755)
    with subprocess.Popen([program]) as running:
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.5)
        running.terminate()
        assert running.wait(5) == -signal.SIGTERM


@pytest.mark.parametrize("engine", ["podman", "docker"])
def test_a_probe_leaves_nothing(engine: str, run_module: Module, own_store: Client, tmp_path: Path) -> None:
    """It starts a container, changes nothing, is quick, and everything in the store is as before."""
    with client_of(engine, own_store, tmp_path) as client:
        before = client.holdings()
        existed = Path(DIRECTORY).exists()
        found = run_module("oci_engine_probe", engine=engine, process_env=client.environment)
        assert found.get("failed") is not True, found
        assert found["changed"] is False
        assert found["probe"]["started"] is True, found
        assert 0 < found["probe"]["seconds"] <= LIMIT
        assert client.holdings() == before
        # podman creates it with its first network, below /etc.
        assert Path(DIRECTORY).exists() is existed


def test_check_mode_starts_nothing(run_module: Module, podman: Client) -> None:
    """It says so."""
    del podman
    found = run_module("oci_engine_probe", check=True, engine="podman")
    assert found["changed"] is False
    assert found["probe"] == {"started": False, "skipped": "Check mode starts no container.", "seconds": 0.0}


def test_what_keeps_nodes_from_starting_is_reported(run_module: Module, own_store: Client, tmp_path: Path) -> None:
    """A runtime that fails fails the probe, with the engine's output; nothing is left."""
    before = own_store.holdings()
    broken = tmp_path / "runc"
    broken.write_text(
        '#!/bin/sh\ncase " $* " in *" create "*) echo "kictest: refused" >&2; exit 1;; esac\nexec runc "$@"\n'
    )
    broken.chmod(0o755)
    settings = tmp_path / "containers.conf"
    settings.write_text(f'[engine]\nruntime = "runc"\n[engine.runtimes]\nrunc = ["{broken}"]\n')
    process_env = {**own_store.environment, "CONTAINERS_CONF": str(settings)}
    found = run_module("oci_engine_probe", engine="podman", process_env=process_env)
    assert found["failed"] is True
    assert "kictest: refused" in found["diagnosis"]["output"]
    assert own_store.holdings() == before


@pytest.mark.full("four kills, some seconds each; what one left goes with the next probe in the quick set")
def test_a_killed_probe_leaves_nothing(own_store: Client, tmp_path: Path) -> None:
    """Killed at any of its steps, what it had made goes all the same."""
    before = own_store.holdings()
    program = (
        "import json, runpy\n"
        "from ansible.module_utils.testing import patch_module_args\n"
        "with patch_module_args({'engine': 'podman'}):\n"
        "    runpy.run_module('ansible_collections.nodeforge.kic.plugins.modules.oci_engine_probe', run_name='__main__')\n"
    )
    # The client tells when a step begins, so that each kill comes in another one.
    wrapper = tmp_path / "podman"
    wrapper.write_text(f'#!/bin/sh\necho "$1 $2" >>{tmp_path}/calls\nexec {shutil.which("podman")} "$@"\n')
    wrapper.chmod(0o755)
    # "--runtime" stands before create.
    for step in ("import", "network create", "--runtime", "start"):
        (tmp_path / "calls").write_text("")
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env={
                **own_store.environment,
                "PATH": f"{tmp_path}:{own_store.environment['PATH']}",
                "PYTHONPATH": own_store.environment["ANSIBLE_COLLECTIONS_PATH"],
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while not any(line.startswith(step) for line in (tmp_path / "calls").read_text().splitlines()):
            assert time.monotonic() < deadline and process.poll() is None, (
                f"no call {step}: {(tmp_path / 'calls').read_text()}"
            )
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        while (tmp_path / "calls").exists() and own_store.holdings() != before:
            assert time.monotonic() < deadline, f"killed at {step}: {own_store.holdings()}"
            time.sleep(0.3)
        # The guard makes five rounds, as what was begun may come into being late.
        time.sleep(1)
        assert own_store.holdings() == before, step


def test_what_a_probe_left_goes_with_the_next(run_module: Module, own_store: Client, tmp_path: Path) -> None:
    """One whose process is gone is removed by the next; one whose process lives is left."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = {process: f"{PREFIX}{process}-kictest" for process in (gone.pid, os.getpid())}
    empty = tmp_path / "empty.tar"
    tarfile.open(empty, "w").close()
    try:
        for name in names.values():
            own_store.run("import", "--change", f"LABEL {LABEL}=1", str(empty), f"localhost/{name}:1")
            own_store.run("network", "create", "--label", "nodeforge.kic.schema=1", name)
        found = run_module("oci_engine_probe", engine="podman", process_env=own_store.environment)
        assert found["probe"]["started"] is True
        assert own_store.held(names[gone.pid]) == []
        assert names[os.getpid()] in own_store.holdings()["networks"]
        assert own_store.run("image", "exists", f"localhost/{names[gone.pid]}:1", check=False).returncode == 1
    finally:
        for name in names.values():
            own_store.run("network", "rm", name, check=False)
            own_store.run("image", "rm", f"localhost/{name}:1", check=False)
