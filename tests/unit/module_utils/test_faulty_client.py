# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An engine's client that fails at any of its calls: the run ends with a diagnosis, and a plain one after it ends the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import Engine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.cli import CommandLineEngine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.docker import Docker
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Offered
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.podman import Podman
from ansible_collections.nodeforge.kic.plugins.module_utils._state import record

from .lives import LIVES, Life, foreign, machine, plain_machine, run, state
from .support import MemoryEngine

CALLS = tuple(sorted(name for name in Engine.__abstractmethods__ if callable(getattr(MemoryEngine, name))))
"""What is a call of the client each."""


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of which nothing differs by where the test runs."""
    plain_machine(monkeypatch)


class Faults:
    """Lets call number ``at`` of an engine fail.

    :param done: whether the engine does what it is told, and only its answer is lost, as when the client hangs until its limit;
        else the client says something that is no answer, such as half of its JSON.
    """

    def __init__(self, engine: MemoryEngine, at: int, done: bool) -> None:
        self._at, self._done = at, done
        self._count, self._inside = -1, False
        for name in CALLS:
            setattr(engine, name, self._faulty(name, getattr(engine, name)))

    @property
    def reached(self) -> bool:
        """Whether there was such a call."""
        return self._count >= self._at

    def _faulty(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def faulty(*given: Any, **more: Any) -> Any:
            if self._inside:
                return call(*given, **more)
            self._count += 1
            here = self._count == self._at
            if here and not self._done:
                raise failure("engine_failed", output='[{"Id": "3f', engine="podman", action=name, rc=0)
            self._inside = True
            try:
                answer = call(*given, **more)
            finally:
                self._inside = False
            if here:
                raise failure("timed_out", action=name, seconds=60, why="podman hangs", fix="see whether it answers")
            return answer

        return faulty


@pytest.mark.parametrize("done", [False, True], ids=["half an answer", "no answer"])
@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_a_client_that_fails_at_each_call(
    life: Life, done: bool, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What the engine holds after one more run is what an undisturbed run leaves, and nothing of others is touched."""

    def prepared() -> MemoryEngine:
        folder = str(tmp_path_factory.mktemp("state"))
        monkeypatch.setattr(record, "state_directory", lambda: folder)
        engine = machine()
        life.before(engine)
        return engine

    engine = prepared()
    others = foreign(engine)
    run(life.resource(engine))
    expected = state(engine)
    at = 0
    while True:
        engine = prepared()
        faults = Faults(engine, at, done)
        with suppress(KicError):
            run(life.resource(engine))
        if not faults.reached:
            assert at > 0, "no call was made"
            return
        run(life.resource(engine))
        assert state(engine) == expected, at
        assert foreign(engine) == others, at
        at += 1


class HalfAnswers:
    """A Runner whose every command ends well and prints this."""

    def __init__(self, out: bytes) -> None:
        self._out = out

    def run(self, argv: Sequence[str], **_more: Any) -> CommandResult:
        """The same for all."""
        return CommandResult(tuple(argv), 0, self._out, b"")


QUESTIONS: dict[str, tuple[Any, ...]] = {
    "networks": (),
    "attached_to_network": ("x",),
    "volume": ("x",),
    "volumes": ("x",),
    "attached_to_volume": ("x",),
    "image": ("x",),
    "images": ("x",),
    "nameless_images": (),
    "ask_registry": ("registry.example/x:1", 5.0),
    "attached_to_image": ("x",),
    "container": ("x",),
    "containers": ("x",),
    "logs": ("x", 3),
}


@pytest.mark.parametrize("out", [b"", b'[{"Id": "3f', b'{"host": {"arch'], ids=["nothing", "a list", "a mapping"])
@pytest.mark.parametrize("question", ["info", *QUESTIONS])
@pytest.mark.parametrize("program", [Podman, Docker])
def test_half_an_answer(program: type[CommandLineEngine], question: str, out: bytes) -> None:
    """Where an answer ends too early, it is a failure with the engine's words or it means nothing there, and no traceback."""
    engine = program(HalfAnswers(out))
    answer = None
    with suppress(KicError):
        found = getattr(engine, question)
        answer = found(*QUESTIONS[question]) if callable(found) else found
    assert not answer or question == "logs" or answer == Offered()
