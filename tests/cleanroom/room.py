# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bare Debian next to this machine: what a container image of Debian has and no more, with namespaces of its own.

Own are mounts, processes, host name, System V IPC and the network, whose way out is slirp4netns, a program without
privileges. So the engine in it has a store, bridges and packet filter of its own, and all of it ends with the room's first
process. The kernel and its control groups are this machine's. Settings for package registries are copied from this machine.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..hosts.disk import mirror
from ..hosts.registries import SOURCES, apt_settings, furnish

SUITE = "bookworm"

# What the room's first process does in its namespaces before it waits: mounts of a machine, then another root. Not chroot
# alone: what enters a container later (setns) would end at the root of the whole machine.
_BEGIN = r"""
set -eu
root=$1
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir -p "$root/run/lock"
hostname bare
ip link set lo up 2>/dev/null || true
mkdir -p "$root/.old"
cd "$root"
pivot_root . .old
exec chroot . /bin/sh -c 'umount -l /.old; echo ready; exec sleep infinity'
"""


def obstacle() -> str | None:
    """What this machine lacks for a room; None where one can be had."""
    if os.geteuid() != 0:
        return "only root can make a clean room"
    for program, package in (("mmdebstrap", "mmdebstrap"), ("slirp4netns", "slirp4netns"), ("nsenter", "util-linux")):
        if shutil.which(program) is None:
            return f"no {program} here; on Debian: apt-get install {package}"
    return None


@dataclass(frozen=True)
class Typed:
    """A line that was typed: its exit code, all that it printed, and how long it took."""

    line: str
    rc: int
    text: str
    seconds: float

    def ok(self) -> Typed:
        """See that it ended well; else fail with its last words."""
        assert self.rc == 0, f"{self.line} ended with {self.rc} after {self.seconds:.0f} s:\n{self.text[-6000:]}"
        return self


@dataclass(frozen=True)
class Room:
    """A room that runs. ``root`` is its file system as this machine sees it, ``pid`` its first process."""

    root: Path
    pid: int

    def type(self, line: str, *, user: str = "root", folder: str = "/root", seconds: float = 1200) -> Typed:
        """Type ``line`` at a shell of ``user``, as after a login; all of its output is kept."""
        login = ["su", "--login", user, "--shell", "/bin/bash", "--command", f"cd {folder} && {line}"]
        start = time.monotonic()
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--all", "--", "/usr/bin/env", "-i", *_environment(), *login],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            check=False,
            timeout=seconds,
        )
        return Typed(line, done.returncode, done.stdout, time.monotonic() - start)


def _environment() -> list[str]:
    return ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=dumb"]


def _unpacked(cache: Path) -> Path:
    """The files of a bare Debian, unpacked on first use and kept by what they were made from."""
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--include=ca-certificates"]
    command += [f"--aptopt={path}" for path in apt_settings()]
    # This machine's own sources where they are of the suite: a mirror need not have all that mmdebstrap adds.
    sources = SOURCES.read_text() if SOURCES.exists() else ""
    where = ["-"] if SUITE in sources else mirror()
    settings = [path.read_text() for path in apt_settings()]
    made_from = "\0".join([*command, SUITE, *where, sources, *settings])
    kept = cache / f"{SUITE}-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            new = Path(folder) / "root"
            done = subprocess.run(
                [*command, SUITE, str(new), *where],
                input=sources,
                text=True,
                capture_output=True,
                timeout=600,
                check=False,
            )
            assert done.returncode == 0, f"mmdebstrap: {done.stderr[-3000:]}"
            new.rename(kept)
    return kept


@contextmanager
def room(cache: Path) -> Iterator[Room]:
    """A room whose files lie below ``cache`` while it runs; afterwards nothing of it is left."""
    unpacked = _unpacked(cache)
    folder = Path(tempfile.mkdtemp(prefix="room-", dir=cache))
    root = folder / "root"
    subprocess.run(["cp", "--archive", "--reflink=auto", str(unpacked), str(root)], check=True)
    furnish(root, SUITE, mirror())
    names = ("--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--kill-child", "--propagation=private")
    first = subprocess.Popen(
        ["unshare", *names, "bash", "-c", _BEGIN, "bash", str(root)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    network: subprocess.Popen[bytes] | None = None
    try:
        assert first.stdout is not None and first.stdout.readline().strip() == "ready", "the clean room did not start"
        children = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        pid = int(children[0])
        network = _way_out(pid, folder)
        yield Room(root, pid)
    finally:
        first.kill()
        first.wait()
        if network is not None:
            network.terminate()
            network.wait()
        # Mounts of the room were in its namespace and went with its last process, a moment after its first.
        for _attempt in range(50):
            # Python's own way takes twice as long for that many files.
            subprocess.run(["rm", "-rf", "--one-file-system", folder], stderr=subprocess.DEVNULL, check=False)
            if not folder.exists():
                break
            time.sleep(0.2)


def _way_out(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Give the room a network by slirp4netns, and wait until it is there."""
    reading, writing = os.pipe()
    with (folder / "network.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "slirp4netns",
                "--configure",
                "--mtu=65520",
                "--disable-host-loopback",
                f"--ready-fd={writing}",
                str(pid),
                "tap0",
            ],
            pass_fds=[writing],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    os.close(writing)
    with os.fdopen(reading, "rb") as ready:
        assert ready.read(1) == b"1", (folder / "network.log").read_text()
    return process
