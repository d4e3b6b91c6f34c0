# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine under both tools: its client, and where its store says that a container runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any


class BenchmarkError(Exception):
    """A round did not do what it measures."""


def podman_pid(info: dict[str, Any]) -> Callable[[str], int]:
    """Find the process of a container by the files of podman's store."""
    driver = info["store"]["graphDriverName"]
    index = Path(info["store"]["graphRoot"], f"{driver}-containers", "containers.json")
    run = Path(info["store"]["runRoot"], f"{driver}-containers")

    def find(name: str) -> int:
        containers: list[dict[str, Any]] = json.loads(index.read_bytes())
        (identity,) = [one["id"] for one in containers if name in one.get("names", [])]
        return int((run / identity / "userdata" / "pidfile").read_text())

    return find


def docker_pid(info: dict[str, Any]) -> Callable[[str], int]:
    """Find the process of a container by the files of docker's store."""
    containers = Path(info["DockerRootDir"], "containers")

    def find(name: str) -> int:
        all_of_them = [json.loads(path.read_bytes()) for path in containers.glob("*/config.v2.json")]
        (pid,) = [one["State"]["Pid"] for one in all_of_them if one["Name"] == f"/{name}"]
        return int(pid)

    return find


class Engine:
    """One of podman and docker, by the client on PATH. Raises BenchmarkError where it does not answer."""

    def __init__(self, program: str) -> None:
        self.program = program
        # The last call before anything is measured.
        info = json.loads(self.run("info", "--format", "json" if program == "podman" else "{{json .}}"))
        if info.get("ServerErrors"):
            raise BenchmarkError(f"{program}: {info['ServerErrors'][0]}")
        self._find = podman_pid(info) if program == "podman" else docker_pid(info)

    def run(self, *arguments: str) -> str:
        """Run the client and return its standard output, stripped."""
        done = subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkError(f"{self.program} {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine says of a container."""
        (found,) = json.loads(self.run("container", "inspect", container))
        return dict(found)

    def pid(self, name: str) -> int | None:
        """Process id of the container's first process, None as long as there is none."""
        try:
            pid = self._find(name)
        except (OSError, ValueError, KeyError):  # not there yet, or just being written
            return None
        return pid if pid and Path(f"/proc/{pid}").exists() else None

    def leftovers(self, name: str) -> list[str]:
        """Containers, volumes and networks whose name holds ``name``."""
        return [
            f"{kind} {line}"
            for kind, arguments in {
                "container": ("ps", "--all", "--format", "{{.Names}}"),
                "volume": ("volume", "ls", "--format", "{{.Name}}"),
                "network": ("network", "ls", "--format", "{{.Name}}"),
            }.items()
            for line in self.run(*arguments).splitlines()
            if name in line
        ]
