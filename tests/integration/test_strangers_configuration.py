# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Engines that are set up by others: what they say for all containers does not change the nature of a node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..conftest import ROOT, cannot_run
from .conftest import Client
from .dockerd import Daemon

# As in the image quay.io/podman/stable, and what else that file can give to every container.
CONTAINERS_CONF = """
[containers]
netns = "host"
userns = "host"
ipcns = "host"
utsns = "host"
pidns = "host"
cgroupns = "host"
cgroups = "disabled"
umask = "0077"
env_host = true
init = true
log_driver = "none"
"""


def test_namespaces_of_the_machine(
    run_module: Callable[..., dict[str, Any]],
    podman: Client,
    unique: Callable[[str], str],
    node_image: str,
    tmp_path: Path,
) -> None:
    """A node has namespaces of its own whatever containers.conf gives to all containers."""
    conf = tmp_path / "containers.conf"
    conf.write_text(CONTAINERS_CONF)
    name = unique("ns")
    environment = {"CONTAINERS_CONF": str(conf), "STRANGER": "x"}
    made = run_module("kic_node", name=name, image=node_image, volume="none", hostname="first", process_env=environment)
    assert not made.get("failed"), made
    pid = podman.out("container", "inspect", "--format", "{{.State.Pid}}", name)
    for kind in ("net", "ipc", "uts", "pid", "cgroup", "mnt"):
        assert Path(f"/proc/{pid}/ns/{kind}").readlink() != Path(f"/proc/self/ns/{kind}").readlink(), kind
    inside = podman.out("exec", name, "sh", "-c", "cat /proc/sys/kernel/hostname; cat /proc/1/comm; env")
    assert inside.splitlines()[:2] == ["first", "systemd"] and "STRANGER" not in inside


@pytest.mark.full("a node each; all lines at once are in the quick set")
@pytest.mark.parametrize("line", ['cgroups = "disabled"', 'pidns = "host"', 'utsns = "host"'])
def test_one_line(
    run_module: Callable[..., dict[str, Any]],
    unique: Callable[[str], str],
    node_image: str,
    tmp_path: Path,
    line: str,
) -> None:
    """Each of them alone, as it was seen to end a node."""
    conf = tmp_path / "containers.conf"
    conf.write_text(f"[containers]\n{line}\n")
    made = run_module(
        "kic_node",
        name=unique("ns"),
        image=node_image,
        volume="none",
        memory="256m",
        process_env={"CONTAINERS_CONF": str(conf)},
    )
    assert not made.get("failed"), made


ASK = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nodeforge.kic.plugins.modules import oci_volume

with patch_module_args(json.loads(sys.argv[1])):
    oci_volume.main()
"""


def test_daemon_around_this_container(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of a dockerd of another PID namespace nothing is asked, and nothing made: its processes are not to be seen."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        cannot_run("needs root and unshare, for a PID namespace of its own")
    with Daemon.running(tmp_path_factory.mktemp("docker")) as daemon:
        arguments = json.dumps({"name": "kictest-elsewhere", "engine": "docker"})
        done = subprocess.run(
            ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", ASK, arguments],
            env={**daemon.client.environment, "PYTHONPATH": os.environ["ANSIBLE_COLLECTIONS_PATH"]},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["diagnosis"]["id"] == "engine_elsewhere" and daemon.endpoint in found["msg"], found
        assert daemon.client.out("volume", "ls", "--quiet") == ""


def test_service_of_podman(run_module: Callable[..., dict[str, Any]], podman: Client, tmp_path: Path) -> None:
    """docker's client on podman's socket is podman."""
    if shutil.which("docker") is None:
        cannot_run("needs docker's client; on Debian: apt-get install docker.io")
    endpoint = f"unix://{tmp_path}/s"
    command = [podman.program, "system", "service", "--time=0", endpoint]
    with subprocess.Popen(command, env=podman.environment, stderr=subprocess.DEVNULL) as service:
        try:
            while not (tmp_path / "s").exists():
                assert service.poll() is None
            found = run_module("oci_volume", name="kictest-x", engine="docker", process_env={"DOCKER_HOST": endpoint})
        finally:
            service.terminate()
    assert found["diagnosis"]["id"] == "engine_is_another" and endpoint in found["msg"], found
