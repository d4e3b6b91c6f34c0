# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image of a few megabytes whose containers start and stop at once: for tests of what engines do with containers.

It holds this machine's shell with the libraries that it needs, and a program that waits for a signal and ends.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

from ansible_collections.nodeforge.kic.plugins.module_utils._host.machine import architecture

from .workload import docker_archive, tar

PROGRAMS = ("sh", "cat", "mount")
"""``mount`` is for the beginning of a node on docker, which makes its control groups writable."""

_BASE = 0x400000


def _elf(machine: int, code: bytes) -> bytes:
    """A static program (elf(5)): a header, one segment, the code."""
    identity = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, _BASE + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = 120 + len(code)
    return identity + header + struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000) + code


WAIT = {
    # push -1 (all signals); rt_sigprocmask(SIG_BLOCK, rsp, 0, 8); rt_sigtimedwait(rsp, 0, 0, 8); exit(0). The kernel gives
    # process 1 no signal that it does not handle, but those that it blocks it may wait for.
    "amd64": _elf(
        62,
        bytes.fromhex("6aff31ff4889e631d241ba08000000b80e0000000f05")
        + bytes.fromhex("4889e731f631d241ba08000000b8800000000f0531ffb83c0000000f05"),
    ),
    # mov x0, -1; str x0, [sp, -16]!; mov x0, 0; mov x1, sp; mov x2, 0; mov x3, 8; mov x8, 135; svc 0;
    # mov x0, sp; mov x1, 0; mov x2, 0; mov x3, 8; mov x8, 137; svc 0; mov x0, 0; mov x8, 93; svc 0.
    "arm64": _elf(
        183,
        struct.pack(
            "<17I",
            *(0x92800000, 0xF81F0FE0, 0xD2800000, 0x910003E1, 0xD2800002, 0xD2800103, 0xD28010E8, 0xD4000001),
            *(0x910003E0, 0xD2800001, 0xD2800002, 0xD2800103, 0xD2801128, 0xD4000001),
            *(0xD2800000, 0xD2800BA8, 0xD4000001),
        ),
    ),
}
"""``/wait`` by architecture. Numbers of the calls: linux, syscall_64.tbl and asm-generic/unistd.h."""


def archive(name: str, command: tuple[str, ...] = ("/wait",)) -> bytes:
    """The image as ``docker save`` would write it; it is called ``name``."""
    files = {"wait": (WAIT[architecture()], 0o755)}
    for program in PROGRAMS:
        path = shutil.which(program)
        assert path is not None, f"there is no {program} on this machine"
        files[f"bin/{program}"] = (Path(path).read_bytes(), 0o755)
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            files[library.lstrip("/")] = (Path(library).read_bytes(), 0o755)
    config = {"Cmd": list(command), "Env": ["PATH=/bin"]}
    return docker_archive(name, tar(files, directories=("tmp", "var", "run")), architecture(), config)
