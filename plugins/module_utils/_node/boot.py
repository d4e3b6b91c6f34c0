# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's way from its start to a system that is up: waited for by systemd's own state, never by lines of a log."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .._core.diagnosis import KicError, failure
from .._engine.base import Engine
from .._engine.model import Container
from .._host.cgroup import settled
from .._host.files import read
from .._host.process import belongs

READY = ("running", "degraded")
"""States of systemd in which the system is up (systemctl(1), is-system-running)."""

LOG_LINES = 15
_SETTLED = (*READY, "maintenance", "stopping")
"""States that systemd does not leave by itself."""
_LOOK_SECONDS = 0.02
_ASK_SECONDS = 0.1
_PEEK_SECONDS = 10.0
_NOTICE_SECONDS = 1.0
"""How long an engine may take to see that a process has ended; podman 4.3 and docker 20.10 take some milliseconds."""

# How an entrypoint says why it gives up: ours by a line of its own, kind's (and with it minikube's) in words.
_REFUSED = re.compile(r"nodeforge\.kic: refused: (?P<id>\w+): (?P<text>[^\r\n]*)")
_NOT_DELEGATED = re.compile(r"UserNS: (?P<controller>\w+) controller needs to be delegated")


@dataclass(frozen=True)
class Boot:
    """What systemd says of itself: ``running``, ``degraded``, ``starting``, …, and the units that failed."""

    state: str
    failed_units: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether the system is up."""
        return self.state in READY


def decode_boot(out: str) -> Boot:
    """What a look at a node (look.sh) prints of it: the state, then lines of units that failed and that it waits for."""
    lines = out.split("\n")
    return Boot(
        state=lines[0].strip() or "unknown",
        failed_units=tuple(line[7:].strip() for line in lines[1:] if line.startswith("failed ")),
        waits_for=tuple(line[6:].strip() for line in lines[1:] if line.startswith("waits ")),
    )


def peek(engine: Engine, container: Container) -> Boot:
    """The state as it is now; nothing is waited for, and a node that does not answer is ``unknown``."""
    if not entered(engine, container):
        return Boot("initializing")
    try:
        return _ask(engine, container, 0, _PEEK_SECONDS)
    except KicError:
        return Boot("unknown")


def entered(engine: Engine, container: Container) -> bool:
    """Whether something may be run inside: systemd has taken its control group."""
    _refuse_stranger(engine, container)
    return settled(read(f"/proc/{container.pid}/cgroup") or "")


def enter(engine: Engine, container: Container, seconds: float) -> None:
    """Wait until something may be run inside: systemd has taken its control group.

    On version 2 a process that an engine puts into the root group before that keeps systemd from handing on its
    controllers. Raises ``node_died`` and ``node_not_ready``.
    """
    end = time.monotonic() + seconds
    while not entered(engine, container):
        if read(f"/proc/{container.pid}/cgroup") is None:
            raise died(engine, container.name)
        if time.monotonic() >= end:
            raise _not_ready(engine, container, Boot("initializing"), seconds)
        # The kernel has no event for it that Python's library could wait for; a look costs microseconds.
        time.sleep(_LOOK_SECONDS)


def wait(engine: Engine, container: Container, seconds: float) -> Boot:
    """Wait until the node's system is up. Raises ``node_died``, ``node_not_ready`` and what an entrypoint refused."""
    end = time.monotonic() + seconds
    enter(engine, container, seconds)
    left = max(1, int(end - time.monotonic()))
    with noticing_death(engine, container, seconds):
        found = _ask(engine, container, left, left + 5)
    refuse_unready(engine, container, found, seconds)
    return found


@contextmanager
def noticing_death(engine: Engine, container: Container, seconds: float) -> Iterator[None]:
    """Around a call that waits inside the node for ``seconds``: tell the cause and not what follows from it."""
    try:
        yield
    except KicError as error:
        _refuse_dead(engine, container, error)
        if error.diagnosis.id == "timed_out":
            raise _not_ready(engine, container, Boot("starting"), seconds) from error
        raise


def refuse_unready(engine: Engine, container: Container, boot: Boot, seconds: float) -> None:
    """Raise ``node_died`` or ``node_not_ready`` for a system that did not come up within ``seconds``."""
    if not boot.ready:
        _refuse_dead(engine, container, None)
        raise _not_ready(engine, container, boot, seconds)


def _refuse_dead(engine: Engine, container: Container, cause: KicError | None) -> None:
    now = engine.container(container.id)
    if now is None or not now.running or _gone(container.pid):
        raise died(engine, container.name) from cause


def _ask(engine: Engine, container: Container, seconds: int, limit: float) -> Boot:
    """systemd answers a little after it has taken its control group; from then on it is systemd itself that waits."""
    begin = time.monotonic()
    while True:
        wait_for = ("--wait",) if seconds else ()
        out = _systemctl(engine, container, limit - time.monotonic() + begin, "is-system-running", *wait_for)
        state = out.split("\n")[0].strip() or "unknown"
        if state in _SETTLED or time.monotonic() - begin >= seconds:
            break
        _refuse_dead(engine, container, None)
        time.sleep(_ASK_SECONDS)
    listing = ("--plain", "--no-legend", "--no-pager")
    left = max(1.0, limit - time.monotonic() + begin)
    failed = "" if state == "running" else _systemctl(engine, container, left, "list-units", "--failed", *listing)
    jobs = "" if state in READY else _systemctl(engine, container, left, "list-jobs", *listing)
    return Boot(state, _column(failed, 0), _column(jobs, 1))


def _systemctl(engine: Engine, container: Container, limit: float, *arguments: str) -> str:
    action = f"asking the systemd of {container.name}"
    # Its exit code says no more than the state that it prints.
    return engine.exec(container.id, ["systemctl", *arguments], action=action, timeout=limit, check=False).out


def _column(text: str, number: int) -> tuple[str, ...]:
    rows = (line.split() for line in text.split("\n"))
    return tuple(row[number] for row in rows if len(row) > number)


def _not_ready(engine: Engine, container: Container, boot: Boot, seconds: float) -> KicError:
    waits = ", ".join(boot.waits_for[:5])
    return failure(
        "node_not_ready",
        node=container.name,
        seconds=seconds,
        state=boot.state + (f", it waits for {waits}" if waits else ""),
        engine=engine.name,
        output=engine.logs(container.id, LOG_LINES),
    )


def _refuse_stranger(engine: Engine, container: Container) -> None:
    """Raise for a process of this machine that only has the number of the container's."""
    if (
        engine.capabilities.watches
        and read(f"/proc/{container.pid}/cgroup") is not None
        and not belongs(container.pid, container.id)
    ):
        raise engine.elsewhere(container)


def lost(engine: Engine, container: Container) -> bool:
    """Whether the engine says that it has a process, and that has ended: nobody was left to notice it."""
    if container.status not in ("running", "paused", "stopping") or engine.capabilities.watches:
        return False
    if container.pid <= 0 or not _gone(container.pid):
        return False
    # One that has only just ended is noted by now.
    now = engine.container(container.id)
    return now is not None and (now.status, now.pid) == (container.status, container.pid)


def _gone(pid: int) -> bool:
    """Whether the process has ended: it is not there, or nobody has yet asked how it ended (proc_pid_stat(5))."""
    stat = read(f"/proc/{pid}/stat")
    return stat is None or stat.rpartition(")")[2].split()[:1] in (["Z"], ["X"])


def died(engine: Engine, name: str) -> KicError:
    """Why a node is not running any more: what its entrypoint refused, else its exit code and last lines."""
    end = time.monotonic() + _NOTICE_SECONDS
    while True:
        found = engine.container(name)
        if found is None or not found.running or time.monotonic() >= end:
            break
        # Its monitor tells the engine a moment after the process has ended.
        time.sleep(_LOOK_SECONDS)
    if found is not None and found.running and engine.capabilities.watches and not belongs(found.pid, found.id):
        return engine.elsewhere(found)
    if found is not None and found.running and _gone(found.pid):
        # podman 4.3 goes by what conmon wrote down, and a conmon that was killed too (a machine that lost power or was
        # restored, the out-of-memory killer) wrote nothing.
        return failure("process_lost", node=name, pid=found.pid, engine=engine.name)
    if found is None:
        return failure("vanished", kind="node", name=name)
    log = engine.logs(found.id, LOG_LINES)
    lost = _NOT_DELEGATED.search(log)
    if lost:
        controller = lost.group("controller")
        return failure("controller_not_delegated", controller=controller, node=name, engine=engine.name, output=log)
    refused = _REFUSED.search(log)
    reason = refused.group("text") if refused else found.error
    if not reason:
        reason = "it ran out of memory" if found.oom_killed else "see its last lines below"
    return failure("node_died", node=name, rc=found.exit_code, reason=reason, engine=engine.name, output=log)
