# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node image on a host that is not the controller: made once, brought there by ssh and loaded there.

The host is this machine, by an sshd of our own on loopback, with a podman that has another store.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import Client, Play, Played, reference_of

pytestmark = pytest.mark.full("a machine over ssh; the parts that differ have unit tests")

SSHD = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
Subsystem sftp internal-sftp
"""
COPIES = "nodeforge.kic-*"


@dataclass(frozen=True)
class Further:
    """A host that is reached by ssh."""

    folder: Path
    port: int
    podman: Client
    play: Play

    @property
    def environment(self) -> dict[str, str]:
        """What leads its podman to its own store."""
        return {"CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"), "CONTAINERS_CONF": "/dev/null"}

    def store(self, root: Path) -> Client:
        """Let its podman have its store there."""
        text = f'[storage]\ndriver = "overlay"\ngraphroot = "{root}"\nrunroot = "{self.folder / "run"}"\n'
        (self.folder / "storage.conf").write_text(text)
        return Client({**self.podman.environment, **self.environment})

    def run(self, *arguments: str, ok: bool = True) -> Played:
        """Run the role against it."""
        inventory = self.folder / "inventory.yml"
        options = f"-F none -i {self.folder}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        reached: dict[str, Any] = {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": "root",
            "ansible_ssh_common_args": f"{options} -o LogLevel=ERROR",
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        inventory.write_text(json.dumps({"all": {"hosts": {"further": reached}}}))
        asked: dict[str, Any] = {
            "test_environment": self.environment,
            "kic_image_source": "built",
            "kic_engine": "podman",
        }
        return self.play("further.yml", "-i", str(inventory), *arguments, ok=ok, **asked)


@pytest.fixture(scope="module")
def further(podman: Client, play: Play, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Further]:
    """The host, while its sshd runs."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("there is no sshd here; on Debian: apt-get install openssh-server")
    folder = tmp_path_factory.mktemp("further")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    (folder / "config").write_text(SSHD.format(port=port, folder=folder))
    # Where sshd gives its privileges up; Debian's service makes it, and nothing else does.
    Path("/run/sshd").mkdir(exist_ok=True)
    log = folder / "log"
    with (
        log.open("w") as stream,
        subprocess.Popen(
            [program, "-D", "-e", "-f", folder / "config"], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        ) as process,
    ):
        deadline = time.monotonic() + 20
        while "listening" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        try:
            yield Further(folder, port, podman, play)
        finally:
            process.terminate()


def copies() -> set[Path]:
    """What is left of what was brought to the machine, also by a run of the tests that was killed."""
    return set(Path("/var/tmp").glob(COPIES))


def test_image_on_a_further_host(further: Further, node_image: str, podman: Client, tmp_path: Path) -> None:
    """Foretold, then brought and loaded, with the id that it has everywhere; a second run changes nothing."""
    before = copies()
    store = further.store(tmp_path / "store")
    foretold = further.run("--check", "--diff")
    assert copies() == before and store.out("images", "--quiet") == ""
    try:
        done = further.run("--diff")
        loaded = [result["actions"] for result in done.results("oci_image") if result.get("changed")]
        assert [result["actions"] for result in foretold.results("oci_image") if result.get("changed")] == loaded
        assert len(loaded) == 1
        assert reference_of(done) == node_image
        identity = ("image", "inspect", "--format", "{{.Id}}", node_image)
        assert store.out(*identity) == podman.out(*identity)
        assert copies() == before
        assert further.run().changed == []
    finally:
        store.run("rmi", "--all", "--force")


def test_further_host_with_a_full_disk(further: Further, node_image: str, tmp_path: Path) -> None:
    """What cannot be loaded is told with its cause, and its copy does not stay."""
    del node_image
    before = copies()
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "kictest", small], check=True)
    try:
        further.store(small / "store")
        failed = further.run(ok=False)
        (result,) = [task["result"] for task in failed.tasks if task["status"] == "failed"]
        assert result["diagnosis"]["id"] == "disk_full", failed.text
        assert copies() == before
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", small], check=True)
