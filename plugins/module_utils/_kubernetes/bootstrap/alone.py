# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One kubeadm at a time on a node: two that make certificates at once leave a cluster that nobody can repair.

Runs of this machine wait for each other by a name of the kernel, which all its users share and which is gone with its
holder. A kubeadm goes on in the node when the run that started it was killed, so it holds a lock of the node as well.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..._core.diagnosis import KicError, failure
from ..._engine.base import Engine
from ..._host.files import read
from ..._host.process import peer
from ..._node.scripts import Scripts, script

BUSY = 75
"""The exit code of a command that did not run, as another holds the lock of the node (EX_TEMPFAIL of sysexits.h)."""

LOCK = "/run/nodeforge.kic/kubeadm"
"""In the node; gone with its restart, as is what it is about."""

_LOOK_SECONDS = 0.2


def alone(scripts: Scripts, command: Sequence[str]) -> list[str]:
    """The command, to be run only where no other one holds the lock of the node."""
    since = time.strftime("%H:%M:%S")
    return script(scripts, "alone", LOCK, f"process {os.getpid()} of {os.uname().nodename}, since {since}", *command)


def wait_for_other(scripts: Scripts, engine: Engine, node: str, seconds: float, spare: float, seen: str = "") -> bool:
    """Wait until no kubeadm runs in the node, as one that an ended run has left; whether there was one since the node was seen.

    :param seconds: after which ``node_busy`` is raised.
    :param spare: how many seconds longer the client may take.
    :param seen: what a look at the node saw of the lock. A kubeadm that ended since then is not there to be waited for.
    """
    command = script(scripts, "wait-for-other", LOCK, str(int(seconds)), seen)
    result = engine.exec(node, command, action=f"waiting for kubeadm in {node}", timeout=seconds + spare, check=False)
    if result.rc == BUSY:
        raise _busy(engine, node, seconds, result.out.strip() or "an unknown process")
    return "waited" in result.out


@contextmanager
def only_run(engine: Engine, node: str, seconds: float) -> Iterator[None]:
    """Be the only run of this machine that works on Kubernetes of the node. Raises ``node_busy`` after ``seconds``."""
    # A daemon's nodes are those of all who may use it.
    user = os.geteuid() if engine.capabilities.per_user else 0
    name = f"\0nodeforge.kic/kubeadm/{engine.name}/{user}/{node}"
    end = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        while True:
            try:
                held.bind(name)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            if time.monotonic() >= end:
                raise _busy(engine, node, seconds, _holder(name))
            time.sleep(_LOOK_SECONDS)
        # Whoever waits may ask who it is that they wait for.
        held.listen()
        yield


def _holder(name: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(1.0)
        try:
            asking.connect(name)
            pid, uid = peer(asking)
        except OSError:
            return "a process that has just ended"
    words = (read(f"/proc/{pid}/cmdline") or "").replace("\0", " ").strip()
    return f"process {pid} of the user {uid}" + (f" ({words[:80]})" if words else "")


def _busy(engine: Engine, node: str, seconds: float, holder: str) -> KicError:
    return failure("node_busy", node=node, seconds=seconds, holder=holder, engine=engine.name)
