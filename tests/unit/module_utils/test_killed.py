# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are killed before and after each operation of their plan: one plain run ends in the state of an undisturbed one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Plan, Resource
from ansible_collections.nodeforge.kic.plugins.module_utils._state import record

from .lives import LIVES, Life, foreign, machine, plain_machine, planned_only, run, state
from .support import Killed, MemoryEngine


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of which nothing differs by where the test runs."""
    plain_machine(monkeypatch)


class Killing:
    """Ends a run at operation number ``at`` of all that are run, before it is done or after."""

    def __init__(self, at: int, done: bool) -> None:
        self.at, self.done = at, done
        self.begun: list[str] = []

    def armed(self, resource: Resource[Any, Any]) -> Resource[Any, Any]:
        """The resource, whose plans end in it."""
        plan = resource.plan

        def killing(observed: Any, survey: Any) -> Plan:
            made = plan(observed, survey)
            return replace(made, operations=tuple(self._killing(item) for item in made.operations))

        resource.plan = killing  # type: ignore[method-assign]
        return resource

    def _killing(self, operation: Operation) -> Operation:
        return replace(operation, run=lambda seam: self.end(str(operation), lambda: operation.run(seam)))

    def end(self, name: str, act: Callable[[], Any]) -> Any:
        """Do it, unless this is where the run ends."""
        self.begun.append(name)
        here = len(self.begun) - 1 == self.at
        if here and not self.done:
            raise Killed
        result = act()
        if here:
            raise Killed
        return result


def ends(work: Callable[[Killing], object], at: int, done: bool) -> bool:
    """Whether the run came as far as its end."""
    try:
        work(Killing(at, done))
    except Killed:
        return True
    return False


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.name)
def test_killed_at_every_operation(
    life: Life, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same run again ends in the state of one that nobody disturbed, and touches nothing of others."""

    def prepared() -> MemoryEngine:
        folder = str(tmp_path_factory.mktemp("state"))
        monkeypatch.setattr(record, "state_directory", lambda: folder)
        engine = machine()
        life.before(engine)
        return engine

    engine = prepared()
    others = foreign(engine)
    run(planned_only(life.resource(engine)))
    expected = state(engine)
    assert not run(life.resource(engine)).plan.changed or "restarted" in life.name
    at = 0
    while True:
        for done in (False, True):
            engine = prepared()
            if not ends(lambda killing: run(killing.armed(life.resource(engine))), at, done):  # noqa: B023
                assert at > 0, "the plan has no operation"
                return
            run(life.resource(engine))
            assert state(engine) == expected, (at, done)
            assert foreign(engine) == others, (at, done)
        at += 1
