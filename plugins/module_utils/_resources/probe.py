# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away container on a throw-away network, started as a node would be: the proof that this machine can run nodes.

Its image is one program of some 150 bytes that sleeps and ends by itself. A process of its own waits for the end of the
module and removes what is left where the module was killed; what even that one could not, the next probe removes.
"""

from __future__ import annotations

import io
import os
import struct
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from .._command import SubprocessRunner
from .._core import labels
from .._core.diagnosis import KicError, failure
from .._core.plan import converge
from .._core.subnet import DEFAULT_POOLS
from .._engine.base import Engine
from .._engine.drivers import driver
from .._engine.model import NewContainer, Publication
from .._host.machine import architecture
from .._host.podman_networks import DIRECTORY
from .._state.lock import host_lock, lock_of
from .network import NetworkResource, NetworkSpec, network_named
from .throw_away import new_container

PREFIX = "kic-probe-"
"""Names are this, the process id of the module that probes, and random digits."""

LABEL = f"{labels.PREFIX}probe"
SECONDS = 60
"""After which the program ends by itself."""

_BASE = 0x400000


def _elf(machine: int, code: bytes) -> bytes:
    """A static program for Linux: the two headers that elf(5) asks for, 64 and 56 bytes, and the code after them."""
    size = 64 + 56 + len(code)
    identity = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)  # 64 bits, little-endian, version 1
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)  # loaded, readable and executable
    return identity + header + segment + code


PROGRAMS = {
    # push 0 (nanoseconds); push SECONDS; mov rdi, rsp; xor esi, esi; eax = 35 (nanosleep); syscall;
    # xor edi, edi; eax = 60 (exit); syscall. Numbers: linux, arch/x86/entry/syscalls/syscall_64.tbl.
    "amd64": _elf(62, bytes((0x6A, 0, 0x6A, SECONDS)) + bytes.fromhex("4889e731f6b8230000000f0531ffb83c0000000f05")),
    # mov x0, SECONDS; stp x0, xzr, [sp, -16]!; mov x0, sp; mov x1, 0; mov x8, 101 (nanosleep); svc 0;
    # mov x0, 0; mov x8, 93 (exit); svc 0. Numbers: linux, include/uapi/asm-generic/unistd.h.
    "arm64": _elf(
        183,
        struct.pack(
            "<9I",
            0xD2800000 | SECONDS << 5,
            0xA9BF7FE0,
            0x910003E0,
            0xD2800001,
            0xD2800CA8,
            0xD4000001,
            0xD2800000,
            0xD2800BA8,
            0xD4000001,
        ),
    ),
}
"""The program by architecture, from the instruction sets' manuals."""


@dataclass(frozen=True)
class Result:
    """What a probe came to: ``skipped`` is the reason where none was made, ``seconds`` what it took."""

    skipped: str = ""
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The documented keys."""
        return {"started": not self.skipped, "skipped": self.skipped, "seconds": round(self.seconds, 1)}


def probe(engine: Engine, *, check_mode: bool) -> Result:
    """Start and remove a container as a node would be started. Raises what keeps it from starting; nothing of it stays."""
    if check_mode:
        return Result("Check mode starts no container.")
    program = PROGRAMS.get(architecture())
    if program is None:
        return Result(f"There is no probe program for the architecture {architecture()}.")
    running = sorted(item.name for item in engine.containers(labels.SCHEMA) if item.running)
    if running:
        return Result(f"The node {running[0]} already runs here.")
    start = time.monotonic()
    remove_stale(engine)
    name = f"{PREFIX}{os.getpid()}-{os.urandom(3).hex()}"
    with _removed_at_the_end(engine, name):
        _run(engine, name, program)
    return Result(seconds=time.monotonic() - start)


def _run(engine: Engine, name: str, program: bytes) -> None:
    with tempfile.TemporaryDirectory(prefix="nodeforge.kic-") as directory:
        path = os.path.join(directory, "probe.tar")
        with tarfile.open(path, "w") as archive:
            item = tarfile.TarInfo("probe")
            item.size, item.mode = len(program), 0o755
            archive.addfile(item, io.BytesIO(program))
        engine.import_image(path, _reference(name), f"{LABEL}=1")
    network = NetworkResource(_network(name), engine)
    converge(network, check_mode=False, lock=lock_of(network.lock_name))
    with host_lock():
        # A port is chosen, so no other run may choose until the container has it.
        identity = engine.create_container(_container(engine, name))
    engine.start_container(identity)
    container = engine.container(identity)
    if container is None or not container.running:
        raise failure(
            "engine_failed",
            output=engine.logs(identity, 20),
            engine=engine.name,
            action="starting the probe's container, which ended at once,",
            rc=0,
        )


def _reference(name: str) -> str:
    return f"localhost/{name}:1"


def _network(name: str) -> NetworkSpec:
    nothing = dict.fromkeys(("subnet", "subnet6", "gateway", "mtu", "cluster"))
    lists: dict[str, Any] = {"avoid": [], "pools": list(DEFAULT_POOLS), "labels": {}}
    return NetworkSpec.from_params(
        {"name": name, "state": "present", "prefix": 29, "recreate": "never", **nothing, **lists}
    )


def _container(engine: Engine, name: str) -> NewContainer:
    """What kic_node would create from no options but a published port, with the probe's own program."""
    network_named(tuple(engine.networks()), name, engine.name)
    publish = (Publication(6443, "tcp", "127.0.0.1", None),)
    new = new_container(engine, name, _reference(name), network=name, publish=publish, privileged="auto")
    # It has no shell to make anything writable first, and it is no node: nothing of ours counts it as one.
    return replace(new, entrypoint="/probe", command=(), labels={LABEL: "1"})


def remove_stale(engine: Engine) -> None:
    """Remove what probes left whose process is gone. The image comes first and goes last, so it names all of them."""
    names = [tag.rpartition("/")[2].partition(":")[0] for image in engine.images(LABEL) for tag in image.tags]
    for name in sorted(names):
        process = name[len(PREFIX) :].partition("-")[0]
        if name.startswith(PREFIX) and process.isdigit() and not os.path.exists(f"/proc/{process}"):
            _remove(engine, name)


def _remove(engine: Engine, name: str) -> None:
    """Remove container, network and image of a probe; what is not there is fine."""
    engine.remove_container(name, 0)
    engine.remove_network(name)
    engine.remove_image(_reference(name))


def _remove_own_directory(existed: bool) -> None:
    """Remove the directory below /etc that podman creates with its first network; not where another one is in it by now."""
    if not existed:
        with suppress(OSError):
            os.rmdir(DIRECTORY)


@contextmanager
def _removed_at_the_end(engine: Engine, name: str) -> Iterator[None]:
    """Remove the probe after the block, also where this process is killed in it: a pipe's other end sees its end."""
    existed = os.path.isdir(DIRECTORY)
    reading, writing = os.pipe()
    guard = os.fork()
    if guard == 0:
        _wait_and_remove(engine, name, reading, writing, existed)
    os.close(reading)
    failed = False
    try:
        yield
    except BaseException:
        failed = True
        raise
    finally:
        try:
            _remove(engine, name)
            _remove_own_directory(existed)
            os.write(writing, b"1")
        except Exception:
            # The first error is the one reported; the guard tries again.
            if not failed:
                raise
        finally:
            os.close(writing)
            os.waitpid(guard, 0)


def _wait_and_remove(engine: Engine, name: str, reading: int, writing: int, existed: bool) -> None:
    """The guard: a process that outlives the module, with none of its streams, for which Ansible would wait."""
    try:
        os.setsid()
        os.close(writing)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        if not os.read(reading, 1):
            own = driver(engine.name)(SubprocessRunner(), engine.info)
            for _attempt in range(5):
                # What the module's last call had begun may come into being a moment later.
                with suppress(KicError):
                    _remove(own, name)
                time.sleep(1)
            _remove_own_directory(existed)
    finally:
        os._exit(0)
