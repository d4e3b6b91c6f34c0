# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A docker whose socket is here and whose containers are not: of a virtual machine, of the machine around this
container, behind a hidden /proc."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._engine import docker
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.docker import Docker
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.docker_socket import listener
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Limits, Mount
from ansible_collections.nodeforge.kic.plugins.module_utils._host import process
from ansible_collections.nodeforge.kic.plugins.module_utils._host.process import Mounted, belongs
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._resources import node_readback
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    DOCKER,
    NO_PROCESS,
    MemoryEngine,
    TableRunner,
    container,
    fails,
    recorded,
    said,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.test_docker import NEW

# Before the fixture of conftest.py replaces it.
REFUSE = Docker._refuse_elsewhere
HERE = {"KernelVersion": os.uname().release}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, same_machine: None) -> None:
    """Look for the daemon for good; it is the machine's own, and its own process listens."""
    del same_machine
    monkeypatch.setattr(Docker, "_refuse_elsewhere", REFUSE)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(docker, "listener", lambda _endpoint: 7)
    monkeypatch.setattr(docker, "read", {"/proc/1/cgroup": "0::/", "/proc/7/comm": "dockerd\n"}.get)


def daemon(**given: Any) -> Docker:
    """A docker that gives the recorded answer, with some fields otherwise."""
    (running,) = recorded("container-inspect-running.json", DOCKER)
    info = {**recorded("info.json", DOCKER), **HERE, "ContainersRunning": 1, **given}
    table = {
        "docker info": said(json.dumps(info)),
        "docker ps": said(running["Id"]),
        "docker container inspect": said(json.dumps([running])),
        "docker image inspect": said(json.dumps(recorded("image-inspect.json", DOCKER))),
    }
    return Docker(TableRunner(table))


def test_daemon_of_this_machine() -> None:
    """It is taken, and asked for nothing more."""
    found = daemon()
    assert found.info.name == "docker"
    assert [command.split()[1] for command in found._runner.commands] == ["info"]  # type: ignore[attr-defined]


def test_virtual_machine() -> None:
    """One with another kernel (Docker Desktop) is of another machine."""
    with fails("engine_remote", "kernel 6.6.0-linuxkit", os.uname().release):
        assert daemon(KernelVersion="6.6.0-linuxkit").info


def test_other_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose process is not among ours is that of the machine around this container."""
    monkeypatch.setattr(docker, "listener", lambda _endpoint: 0)
    with fails("engine_elsewhere", "unix:///var/run/docker.sock", "--pid=host"):
        assert daemon().info


def test_hidden_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is mounted with hidepid, a member of group docker can verify nothing."""
    monkeypatch.setattr(docker, "read", lambda _path: None)
    with fails("processes_hidden", "hidepid", "become: true"):
        assert daemon().info


@pytest.mark.parametrize(("running", "refused"), [(1, True), (0, False)])
def test_forwarded_socket(monkeypatch: pytest.MonkeyPatch, running: int, refused: bool) -> None:
    """A socket that something else hands on (socat in a dev container) is asked for the process of a container."""
    monkeypatch.setattr(docker, "read", {"/proc/1/cgroup": "0::/", "/proc/7/comm": "socat\n"}.get)
    found = daemon(ContainersRunning=running)
    if refused:
        with fails("engine_elsewhere", "runs there as process"):
            assert found.info
    else:
        assert found.info


def test_listener(tmp_path: Path) -> None:
    """The kernel says who listens; of no socket nobody does."""
    path = tmp_path / "s"
    assert listener(f"unix://{path}") is None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert listener(f"unix://{path}") == os.getpid()


class Watched(MemoryEngine):
    """One whose daemon watches its containers."""

    name = "docker"
    capabilities = docker.CAPABILITIES


@pytest.mark.parametrize("pid", [NO_PROCESS, os.getpid()], ids=["none", "a stranger's"])
def test_never_lost(monkeypatch: pytest.MonkeyPatch, pid: int) -> None:
    """A node that a daemon calls running and that is not here is well elsewhere, and not to be removed."""
    monkeypatch.setattr(boot, "_NOTICE_SECONDS", 0.0)
    engine = Watched()
    engine.add(container(pid=pid))
    with fails("engine_elsewhere", f"node-1 runs there as process {pid}"):
        boot.enter(engine, container(pid=pid), 0.1)
    assert "rm --force" not in str(boot.died(engine, "node-1"))


def test_belongs() -> None:
    """A process is one of a container by its control group."""
    own = Path("/proc/self/cgroup").read_text().rpartition(":")[2].strip()
    assert belongs(os.getpid(), own) and not belongs(os.getpid(), "f" * 64) and not belongs(NO_PROCESS, "f")


MOUNTED = {target: Mounted(target, "ext4", True) for target in ("/usr/lib/modules", "/run/secrets", "/var", "/proc")}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/lib/modules", "/usr/lib/modules"),
        ("/var/run/secrets", "/run/secrets"),
        ("/var", "/var"),
        ("/srv/x", None),
    ],
)
def test_mounts_of_a_closed_root(monkeypatch: pytest.MonkeyPatch, path: str, expected: str | None) -> None:
    """A member of group docker may not follow the links of the node's root: the end of the path tells."""
    monkeypatch.setattr(process, "is_open", lambda _pid: False)
    found = process.mounted_at(NO_PROCESS, path, MOUNTED)
    assert (found.target if found is not None else None) == expected


@pytest.mark.parametrize(("is_open", "found"), [(True, ["nothing is mounted at /srv/x"]), (False, [])])
def test_what_cannot_be_seen_is_no_difference(monkeypatch: pytest.MonkeyPatch, is_open: bool, found: list[str]) -> None:
    """A mount that nobody but root could find is not said to be missing; one that is writable is."""
    monkeypatch.setattr(process, "is_open", lambda _pid: is_open)
    monkeypatch.setattr(process, "mounts", lambda _pid: MOUNTED)
    new = replace(NEW, mounts=(Mount("/srv", "/srv/x"),), env={}, limits=Limits())
    assert node_readback.differences(new, container()) == found
