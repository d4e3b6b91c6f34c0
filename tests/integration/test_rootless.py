# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An ordinary user on this machine, where it is one on which they can have no nodes: refused before anything is made."""

from __future__ import annotations

import os
import pwd
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import cgroup_mode

from .conftest import Client, Play


@pytest.fixture(scope="module")
def user(podman: Client) -> Iterator[pwd.struct_passwd]:
    """An ordinary user of the tests, with a home and an empty store of podman's."""
    del podman
    if cgroup_mode() == "v2":
        pytest.skip("this machine has control groups of version 2; what is refused needs version 1 or hybrid ones")
    name = f"kictest-{secrets.token_hex(3)}"
    home = Path("/home") / name
    subprocess.run(["useradd", "--create-home", "--home-dir", home, name], check=True)
    found = pwd.getpwnam(name)
    try:
        yield found
    finally:
        _end_processes(found.pw_uid)
        subprocess.run(["userdel", "--remove", name], check=True, capture_output=True)


def _end_processes(uid: int) -> None:
    """End what the user left running: podman's pause process, which holds their namespaces."""
    for _attempt in range(50):
        mine = [path for path in Path("/proc").glob("[0-9]*") if _owner(path) == uid]
        if not mine:
            return
        for path in mine:
            os.kill(int(path.name), signal.SIGKILL)
        time.sleep(0.1)


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None


@pytest.mark.parametrize("check", [(), ("--check",)], ids=["run", "check"])
@pytest.mark.parametrize("role", ["kic_cluster", "kic_node"])
def test_refused_without_version_2(play: Play, user: pwd.struct_passwd, role: str, check: tuple[str, ...]) -> None:
    """Both roles name the control groups as the reason, at their first look, and the user's store stays empty."""
    variables: dict[str, Any] = {
        "test_user": user.pw_name,
        "test_role": f"nodeforge.kic.{role}",
        "kic_engine": "podman",
        f"{role}_name": user.pw_name,
        f"{role}_image": "localhost/kictest/none:1",
    }
    # The tests' own configuration lies where this user may not read, and su hands the variable on.
    played = play("rootless.yml", *check, ok=False, process_env={"CONTAINERS_CONF": os.devnull}, **variables)
    (failed,) = [task["result"] for task in played.tasks if task["status"] == "failed"]
    assert failed["diagnosis"]["id"] == "cgroup_not_unified", played.text
    assert "no rootless nodes here" in failed["msg"] and "become: true" in failed["diagnosis"]["fix"]
    assert played.changed == []
    environment = {"HOME": user.pw_dir, "PATH": os.environ["PATH"]}
    for kind in ("volume", "network", "container"):
        listed = subprocess.run(
            ["runuser", "-u", user.pw_name, "--", "podman", kind, "ls", "--quiet"],
            capture_output=True,
            text=True,
            env=environment,
            cwd=user.pw_dir,
            check=True,
        )
        assert listed.stdout.split() in ([], ["podman"]), f"{kind}: {listed.stdout}"
