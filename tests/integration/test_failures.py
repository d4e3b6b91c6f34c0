# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failures that really happen: each is told with its id, cause and fix, and following the fix ends it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .conftest import Client

Module = Callable[..., dict[str, Any]]
Names = Callable[[str], str]


def told(result: dict[str, Any], condition: str, *words: str) -> str:
    """Assert that the failure is of ``condition`` and its cause holds all of ``words``; its fix."""
    assert result.get("failed"), result
    assert result["diagnosis"]["id"] == condition, result["msg"]
    for word in words:
        assert word in result["diagnosis"]["cause"], result["diagnosis"]
    assert result["diagnosis"]["fix"] in result["msg"]
    return str(result["diagnosis"]["fix"])


def follow(fix: str, pattern: str, client: Client) -> None:
    """Type the part of the fix that ``pattern`` finds into a shell, where ``client`` is the engine."""
    found = re.search(pattern, fix)
    assert found, fix
    subprocess.run(found.group(), shell=True, check=True, env=client.environment, stdin=subprocess.DEVNULL)


def fine(result: dict[str, Any]) -> dict[str, Any]:
    """Assert that a module did its work; its result."""
    assert not result.get("failed"), result["msg"]
    return result


def lose_process(podman: Client, name: str) -> None:
    """Kill a container's process and the one that watches it: what a machine that is restored does to both."""
    state = podman.json("container", "inspect", name)[0]["State"]
    for pid in (state["ConmonPid"], state["Pid"]):
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}/exe").is_symlink():
            time.sleep(0.01)


def test_process_lost(run_module: Module, podman: Client, unique: Names, node_image: str) -> None:
    """A node whose process was killed with the one that watched it is no running node, whatever podman says of it."""
    name = unique("lost")
    fine(run_module("oci_volume", name=name))
    asked = {"name": name, "image": node_image, "volume": name}
    fine(run_module("kic_node", wait=False, **asked))
    podman.run("exec", name, "sh", "-c", "echo kept >/var/kic-test")
    lose_process(podman, name)
    assert podman.out("container", "inspect", "--format", "{{.State.Status}}", name) == "running"
    fix = told(run_module("kic_node", **asked), "process_lost", f"podman says that the node {name} runs", "is gone")
    follow(fix, rf"podman rm --force {name} \|\| podman rm --force {name}", podman)
    again = fine(run_module("kic_node", **asked))
    assert again["node"]["ready"] is True
    assert podman.out("exec", name, "cat", "/var/kic-test") == "kept"
    lose_process(podman, name)
    assert fine(run_module("kic_node", name=name, state="absent"))["actions"] == [f"remove node {name}"]
    assert name not in podman.holdings()["containers"]
