# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Engines that are set up by others: what they say for all containers does not change the nature of a node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client

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
