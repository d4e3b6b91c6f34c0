# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual machine that goes on from a saved state, a few seconds after it was requested.

The state is kept next to the disk, by what it depends on: the memory of the booted machine, and what its boot wrote.
Each machine has a disk of its own, which lies over the kept one, and is gone with it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from .disk import RECIPE, HostError, build_disk, cache, digest, run

USER = "dev"
"""The ordinary user of the host; root can be reached too."""
KERNEL = (
    # What guards against other programs on a real processor costs here, and guards nothing.
    "mitigations=off",
    # qemu keeps what it translated by its address. At addresses of chance the code of each process is translated again, and its
    # start takes three times as long.
    "norandmaps",
    # The kernel patches itself while it boots, and panics where another processor still has the half-patched code translated
    # (int3 in sched_clock_cpu). So that one comes when the kernel has booted, by a rule of udev's on the disk, which also
    # brings about a later patch that hit (put_prev_entity).
    "maxcpus=1",
    # The clock is the real machine's. Watched, it is late by its own measure, and the running kernel patches itself once more.
    "tsc=reliable",
    # Should it panic all the same, it boots again.
    "panic=-1",
)
COMMAND_LINE = f"root=/dev/vda rw console=ttyS0 quiet {' '.join(KERNEL)}"
HARDWARE = (
    *("-accel", "tcg,thread=multi,tb-size=2048", "-cpu", "Nehalem", "-machine", "q35", "-smp", "2"),
    # MiB. Enough for a host and a node with 2 GiB; all of it that was touched is in the saved state.
    *("-m", "3072"),
    *("-device", "virtio-net-pci,netdev=net", "-device", "virtio-rng-pci"),
    *("-append", COMMAND_LINE),
)
"""Without KVM: that of a machine that is itself virtual need not be able to run a kernel of Debian's. The translated code
(tb-size, MiB, of which is taken what is used) holds a whole Kubernetes: where it is full, all is translated again. What a newer
processor has (SMAP, five levels of pages, XSAVE) has to be emulated too: with the one named, processes start a sixth faster
than with "max"."""
BOOT_SECONDS = 300
"""Also for what takes seconds: a machine that does not come up is seen by its process, and a busy one is waited for."""
_MONTH = 30 * 86400


def _state_key(disk: Path) -> str:
    """Key of the saved state, which only the same qemu with the same hardware can go on with."""
    version = run(["qemu-system-x86_64", "--version"]).stdout
    return digest(disk.name.encode(), (RECIPE / "warm").read_bytes(), version.encode(), repr(HARDWARE).encode())


def build_state(archive: Path | None) -> tuple[Path, Path]:
    """The directories of the disk and of the saved state (``memory`` and ``changes``), built where they are missing.

    ``archive`` is that of the image in the host's stores.
    """
    hosts = cache()
    hosts.mkdir(parents=True, exist_ok=True)
    with (hosts / "lock").open("w") as lock:
        # Two at once would build the same.
        flock(lock, LOCK_EX)
        disk = build_disk(archive)
        target = hosts / f"state-{_state_key(disk)}"
        if not target.exists():
            work = hosts / f"{target.name}.{os.getpid()}"
            work.mkdir()
            try:
                with Host.started(disk, work, disk / "disk", "raw") as host:
                    host.wait_for_ssh(BOOT_SECONDS)
                    host.ssh("bash -s", stdin=(RECIPE / "warm").read_text())
                    host.save(work / "memory")
                for name in ("monitor", "serial", "log"):
                    (work / name).unlink(missing_ok=True)
                work.rename(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        for path in (disk, target):
            os.utime(path)
        for path in hosts.glob("*-*"):
            if path.stat().st_mtime < time.time() - _MONTH:
                shutil.rmtree(path)
    return disk, target


@dataclass
class Host:
    """A virtual machine that runs. ``folder`` holds what is its own: disk, monitor, console."""

    folder: Path
    key: Path
    port: int
    pid: int

    @classmethod
    @contextmanager
    def started(
        cls, disk: Path, folder: Path, below: Path, kind: str, *kernel: str, outside: bool = False
    ) -> Iterator[Host]:
        """Boot one on a new disk over ``below`` (of the format ``kind``), and end it at the end of the block."""
        host = cls.start(disk, folder, below, kind, kernel=kernel, outside=outside)
        try:
            yield host
        finally:
            host.end()

    @classmethod
    def start(
        cls,
        disk: Path,
        folder: Path,
        below: Path,
        kind: str,
        memory: Path | None = None,
        kernel: Sequence[str] = (),
        outside: bool = False,
    ) -> Host:
        """Start one; with ``memory`` it goes on from there, else it boots, with the further arguments ``kernel``. With
        ``outside`` it reaches what this machine reaches."""
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", below.resolve(), "-F", kind, folder / "changes"])
        port = _free_port()
        command: list[str | Path] = ["qemu-system-x86_64"]
        command += ["-netdev", f"user,id=net,restrict={'off' if outside else 'on'},hostfwd=tcp:127.0.0.1:{port}-:22"]
        command += [*HARDWARE, "-display", "none", "-serial", f"file:{folder / 'serial'}"]
        command += ["-kernel", disk / "kernel", "-initrd", disk / "initrd"]
        # Nothing on it is to outlive the machine that it runs on.
        command += ["-drive", f"file={folder / 'changes'},if=virtio,format=qcow2,cache=unsafe"]
        command += ["-qmp", f"unix:{folder / 'monitor'},server,nowait"]
        if memory is not None:
            command += ["-incoming", f"exec:cat {memory}"]
        if kernel:
            # The last one counts.
            command += ["-append", " ".join([COMMAND_LINE, *kernel])]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        host = cls(folder, disk / "key", port, process.pid)
        if memory is not None:
            host._go_on()
        return host

    def _go_on(self) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        while not (self.folder / "monitor").exists():
            self._check(deadline, "the monitor of qemu does not answer")
            time.sleep(0.05)
        with self._monitor() as ask:
            while ask("query-status")["status"] == "inmigrate":
                self._check(deadline, "the saved state was not read")
                time.sleep(0.1)
            ask("cont")

    def _check(self, deadline: float, problem: str) -> None:
        if not self.alive():
            raise HostError(f"qemu ended: {(self.folder / 'log').read_text()[-2000:]}")
        if time.monotonic() > deadline:
            console = (self.folder / "serial").read_text(errors="replace") if (self.folder / "serial").exists() else ""
            raise HostError(f"{problem}. The end of its console:\n{console[-2000:]}")

    def alive(self) -> bool:
        """Whether its process runs."""
        try:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return False
        except ChildProcessError:
            # Another process started it, or it is known to have ended.
            try:
                return Path(f"/proc/{self.pid}/comm").read_text().startswith("qemu-system")
            except FileNotFoundError:
                return False
        return True

    @contextmanager
    def _monitor(self) -> Iterator[Any]:
        """Ask qemu (QMP, the machine protocol of its monitor)."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "monitor"))
            stream = connection.makefile("rw")

            def ask(command: str, **arguments: Any) -> Any:
                stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
                stream.flush()
                for line in stream:
                    answer = json.loads(line)
                    if "error" in answer:
                        raise HostError(f"{command}: {answer['error']['desc']}")
                    if "return" in answer:
                        return answer["return"]
                raise HostError(f"qemu ended at {command}")

            stream.readline()
            ask("qmp_capabilities")
            yield ask

    def save(self, memory: Path) -> None:
        """Write the memory to a file and end; what is on disk then belongs to it."""
        with self._monitor() as ask:
            ask("stop")
            # The default is made for a network with other users.
            ask("migrate-set-parameters", **{"max-bandwidth": 1 << 40})
            ask("migrate", uri=f"exec:cat >{memory}")
            deadline = time.monotonic() + 300
            while (status := ask("query-migrate")["status"]) != "completed":
                if status == "failed":
                    raise HostError("the state could not be saved")
                self._check(deadline, "the state was not saved in time")
                time.sleep(0.1)
        self.end()

    def end(self) -> None:
        """End it as if the power failed; what is on its disk goes with it."""
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)
            while self.alive():
                time.sleep(0.05)

    # Talking to it.
    def ssh_options(self) -> list[str]:
        """Options by which ssh, and Ansible with it, reaches the host."""
        return [
            *("-i", str(self.key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "LogLevel=ERROR", "-o", "ConnectTimeout=20", "-o", "IdentitiesOnly=yes"),
            # Ansible keeps a connection open; one from before the host's reboot is to end, not to be waited for.
            *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"),
        ]

    def command(self, user: str = "root") -> list[str]:
        """The beginning of a command line on the host."""
        return ["ssh", "-F", "none", *self.ssh_options(), "-p", str(self.port), f"{user}@127.0.0.1"]

    def ssh(self, script: str, *, user: str = "root", stdin: str = "", check: bool = True) -> str:
        """Run a line of shell on the host; its standard output, stripped. HostError with its words where it fails."""
        done = subprocess.run(
            [*self.command(user), script], input=stdin, capture_output=True, text=True, check=False, timeout=600
        )
        if check and done.returncode != 0:
            raise HostError(f"{script} ended with {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout.strip()

    def wait_for_ssh(self, seconds: float) -> None:
        """Wait until the host lets root in."""
        deadline = time.monotonic() + seconds
        while subprocess.run([*self.command(), "true"], capture_output=True, check=False).returncode != 0:
            self._check(deadline, f"the host did not answer within {seconds:g} s")
            time.sleep(0.3)

    def inventory(self, **variables: Any) -> dict[str, Any]:
        """An inventory with this host, as JSON, which is YAML."""
        reached = {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": "root",
            # While it boots, sshd of an emulated machine is slow to say its first word.
            "ansible_ssh_timeout": 60,
            "ansible_ssh_common_args": " ".join(["-F", "none", *self.ssh_options()]),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        return {"all": {"hosts": {"testhost": {**reached, **variables}}}}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def resume(folder: Path, archive: Path | None = None) -> Host:
    """A fresh host that goes on from the saved state, with its own files in ``folder``; end it when done.

    With ``archive`` its stores hold that image.
    """
    disk, state = build_state(archive)
    host = Host.start(disk, folder, state / "changes", "qcow2", state / "memory")
    try:
        host.wait_for_ssh(BOOT_SECONDS)
    except HostError:
        host.end()
        raise
    return host


@contextmanager
def booted(folder: Path, archive: Path | None, *kernel: str) -> Iterator[Host]:
    """A fresh host that boots from its disk with further arguments of the kernel, which takes a minute; else as ``resume``."""
    disk, _state = build_state(archive)
    with Host.started(disk, folder, disk / "disk", "raw", *kernel) as host:
        host.wait_for_ssh(BOOT_SECONDS)
        yield host


@contextmanager
def bare(folder: Path) -> Iterator[Host]:
    """A fresh Debian that has no engine, and a way to package registries."""
    hosts = cache()
    hosts.mkdir(parents=True, exist_ok=True)
    with (hosts / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        disk = build_disk(None, bare=True)
    with Host.started(disk, folder, disk / "disk", "raw", outside=True) as host:
        host.wait_for_ssh(BOOT_SECONDS)
        yield host
