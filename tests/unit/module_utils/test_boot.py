# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node's way from its start to a system that is up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._node.boot import (
    Boot,
    decode_boot,
    died,
    peek,
    wait,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    MemoryEngine,
    container,
    fails,
    said,
)

SETTLED = "0::/machine.slice/libpod-x.scope/init.scope\n"
EARLY = "0::/machine.slice/libpod-x.scope\n"


@pytest.fixture
def engine() -> MemoryEngine:
    """An engine that holds one running node."""
    found = MemoryEngine()
    found.add(container())
    return found


def group(monkeypatch: pytest.MonkeyPatch, *texts: str | None) -> None:
    """Let the control group of PID 1 be these in turn, the last of them from then on."""
    left: Iterator[str | None] = iter(texts[:-1])
    monkeypatch.setattr(boot, "read", lambda _path: next(left, texts[-1]))


@pytest.mark.parametrize(
    ("out", "boot", "ready"),
    [
        ("running\n", Boot("running"), True),
        ("degraded\nfailed a.service\nfailed b.mount\n", Boot("degraded", ("a.service", "b.mount")), True),
        ("starting\nwaits x.service\n", Boot("starting", (), ("x.service",)), False),
        ("maintenance\nfailed a.service\nwaits b\n", Boot("maintenance", ("a.service",), ("b",)), False),
        ("", Boot("unknown"), False),
        ("\nfailed a\n", Boot("unknown", ("a",)), False),
        ("running\r\nnoise\n", Boot("running"), True),
    ],
)
def test_decode_boot(out: str, boot: Boot, ready: bool) -> None:
    """The state is the first line; units that failed and that it waits for follow."""
    assert decode_boot(out) == boot
    assert boot.ready is ready


def test_peek(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look asks systemd once it has taken its control group, and nothing before."""
    group(monkeypatch, EARLY)
    assert peek(engine, container()) == Boot("initializing")
    assert engine.done == []
    group(monkeypatch, SETTLED)
    engine.answers = [said("running\n"), failure("engine_failed", engine="podman", action="x", rc=1)]
    assert peek(engine, container()) == Boot("running")
    assert peek(engine, container()) == Boot("unknown")


def test_peek_at_ended_node(engine: MemoryEngine) -> None:
    """A node whose process has ended is not asked."""
    assert peek(engine, container()) == Boot("initializing")
    assert engine.done == []


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param(["running\n"], Boot("running"), id="up"),
        pytest.param(["\n", "offline\n", "running\n"], Boot("running"), id="does-not-answer-at-first"),
        pytest.param(
            ["degraded\n", "a.service loaded failed failed A\nb.mount loaded failed failed B\n"],
            Boot("degraded", ("a.service", "b.mount")),
            id="with-failed-units",
        ),
    ],
)
def test_wait(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch, answers: list[str], expected: Boot) -> None:
    """The wait goes on until systemd has its control group, and then until it answers; units are asked for that failed."""
    group(monkeypatch, EARLY, EARLY, EARLY, SETTLED)
    engine.answers = [said(text) for text in answers]
    assert wait(engine, container(), 30) == expected
    assert engine.done == ["call exec id-node-1"] * len(answers)


JOBS = "1 a.service start running\n2 b.service start waiting\n"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (
            [said("starting\n"), said("starting\n"), said(""), said(JOBS)],
            "its systemd is starting, it waits for a.service, b.service",
        ),
        ([said("maintenance\n"), said(""), said("")], "its systemd is maintenance"),
        ([failure("timed_out", action="x", seconds=1.0, why="x", fix="x")], "its systemd is starting"),
    ],
    ids=["waits", "maintenance", "no answer"],
)
def test_not_ready(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch, answers: list[Any], words: str) -> None:
    """A node that is not up in time is kept; the message says what it waits for and shows its last lines."""
    group(monkeypatch, SETTLED)
    monkeypatch.setattr(boot, "_ASK_SECONDS", 1.1)
    engine.answers, engine.log = [*answers], "last lines"
    with fails("node_not_ready", "was not up within 1 seconds", words, "last lines", "podman exec node-1 systemctl"):
        wait(engine, container(), 1)
    assert engine.container("node-1") is not None


def test_systemd_never_settles(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first process that never becomes a systemd of its own is told at the end of the time."""
    group(monkeypatch, EARLY)
    begin = time.monotonic()
    with fails("node_not_ready", "its systemd is initializing"):
        wait(engine, container(), 0.05)
    assert time.monotonic() - begin < 5
    assert engine.done == []


def test_dies_before_it_settles(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first process that ends is not waited for."""
    group(monkeypatch, EARLY, EARLY, EARLY, None)
    engine.add(container(status="exited", exit_code=3))
    with fails("node_died", "exit code 3"):
        wait(engine, container(), 30)


@pytest.mark.parametrize(
    "answer",
    [said("stopping\n"), said("", rc=255), failure("engine_failed", engine="podman", action="x", rc=255)],
    ids=["systemd stops", "no answer", "asking fails"],
)
def test_dies_while_asked(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """A node that ends while its systemd is asked is told as one that ended."""
    group(monkeypatch, SETTLED)
    engine.answers = [answer, said(""), said("")]
    engine.add(container(status="exited", exit_code=255))
    with fails("node_died", "exit code 255"):
        wait(engine, container(), 30)


def test_engine_fails(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another failure of the engine is not taken for a slow node."""
    group(monkeypatch, SETTLED)
    engine.answers = [failure("engine_failed", engine="podman", action="asking", rc=125)]
    with fails("engine_failed", "asking"):
        wait(engine, container(), 30)


@pytest.mark.parametrize(
    ("given", "log", "condition", "words"),
    [
        ({}, "", "node_died", "ended with exit code 3 before it was up: see its last lines below"),
        ({"oom_killed": True}, "", "node_died", "it ran out of memory"),
        ({"error": "exec: no such file"}, "", "node_died", "before it was up: exec: no such file"),
        (
            {},
            "x\nnodeforge.kic: refused: no_kmsg: there is no /dev/kmsg\r\ny",
            "node_died",
            "up: there is no /dev/kmsg.",
        ),
        (
            {},
            "ERROR: UserNS: cpuset controller needs to be delegated",
            "controller_not_delegated",
            "controller cpuset is not delegated",
        ),
    ],
    ids=["unknown", "memory", "engine's word", "our entrypoint", "kind's entrypoint"],
)
def test_died(given: dict[str, Any], log: str, condition: str, words: str) -> None:
    """Why a node ended: its entrypoint's word, else the engine's, else its exit code; its log is shown."""
    engine = MemoryEngine()
    engine.log = log
    engine.add(container(status="exited", exit_code=3, **given))
    error = died(engine, "node-1")
    assert error.diagnosis.id == condition
    assert words in str(error)
    assert error.diagnosis.output == log.strip()
    assert "podman rm --force node-1" in str(error)


def test_process_lost(engine: MemoryEngine) -> None:
    """A node that the engine still calls running, without its process, is told as that, and not as one that ended."""
    error = died(engine, "node-1")
    assert error.diagnosis.id == "process_lost"
    assert "podman says that the node node-1 runs" in error.diagnosis.cause
    assert error.diagnosis.fix.startswith("podman rm --force node-1")


def test_died_a_moment_ago(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that has not yet seen the end of the process is given the time to see it."""
    seen: Iterator[str] = iter(("running", "running"))
    ended = engine.container("node-1")
    assert ended is not None
    monkeypatch.setattr(engine, "container", lambda _name: replace(ended, status=next(seen, "exited"), exit_code=3))
    error = died(engine, "node-1")
    assert error.diagnosis.id == "node_died" and "exit code 3" in error.diagnosis.cause


def test_died_and_gone() -> None:
    """A node that is not even there any more is told as that."""
    assert died(MemoryEngine(), "node-1").diagnosis.id == "vanished"
