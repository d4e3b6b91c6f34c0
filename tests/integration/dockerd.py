# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A docker whose daemon a test may stop."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client
from .docker_api import post


@dataclass
class Daemon:
    """A dockerd with a store, a socket and run-time files of its own. It changes no packet filter of the machine."""

    folder: Path
    run: Path
    process: subprocess.Popen[bytes] | None = None
    path: str = field(default_factory=lambda: f"{os.environ['PATH']}:/usr/sbin:/sbin")
    """Where its programs and those of its client are looked for."""
    options: tuple[str, ...] = ("--iptables=false", "--ip-forward=false")

    @classmethod
    @contextmanager
    def running(cls, folder: Path, **given: Any) -> Iterator[Daemon]:
        """Run one whose store is ``folder``, which is its own, and end it at the end of the block."""
        # A socket's name has at most 108 characters (unix(7)).
        found = cls(folder, Path(tempfile.mkdtemp(prefix="kictest-docker-", dir="/run")), **given)
        try:
            if shutil.which("dockerd", path=found.path) is None:
                pytest.skip("no dockerd here; on Debian: apt-get install docker.io")
            found.start()
            yield found
            if found.process is not None:
                found.client.empty()
        finally:
            found.stop()
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(found.run, ignore_errors=True)

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"unix://{self.run}/socket"

    @property
    def client(self) -> Client:
        """Its client."""
        there = {"DOCKER_HOST": self.endpoint, "DOCKER_CONFIG": str(self.run), "PATH": self.path}
        return Client({**os.environ, **there}, "docker")

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = ["dockerd", f"--host={self.endpoint}", f"--data-root={self.folder}", f"--exec-root={self.run}/exec"]
        command += [f"--pidfile={self.run}/pid", "--bridge=none", *self.options]
        # Five, with up to a minute between them, is the default: a transfer that breaks off is to be told soon.
        command += ["--max-download-attempts=1"]
        with (self.run / "log").open("ab") as log:
            environment = {**os.environ, "PATH": self.path}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
        deadline = time.monotonic() + 60
        while self.client.run("version", check=False).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < deadline, (self.run / "log").read_text()[-2000:]
            time.sleep(0.1)

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def make_network(self, name: str, subnet: str, labels: dict[str, str] | None = None) -> str:
        """Make a network as other programs do by the API, which takes a name twice; its id."""
        body = {
            "Name": name,
            "Driver": "bridge",
            "CheckDuplicate": False,
            "IPAM": {"Config": [{"Subnet": subnet}]},
            "Labels": labels or {},
        }
        return str(post(str(self.run / "socket"), "/networks/create", body)["Id"])

    def networks(self) -> set[str]:
        """Ids of all its networks."""
        return set(self.client.out("network", "ls", "--no-trunc", "--quiet").split())


class _OwnDocker(AbstractContextManager[Client]):
    """The client of a docker of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._running = Daemon.running(folder)

    def __enter__(self) -> Client:
        return self._running.__enter__().client

    def __exit__(self, *raised: Any) -> bool | None:
        return self._running.__exit__(*raised)


def client_of(engine: str, podman: Client, folder: Path) -> AbstractContextManager[Client]:
    """The machine's podman, or a docker of the test's own with its store below ``folder``."""
    return nullcontext(podman) if engine == "podman" else _OwnDocker(folder / "docker")
