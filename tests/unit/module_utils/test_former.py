# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bridge for resources that converge by reserve and apply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.former import Action, Plan, Resource
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Drift, converge
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import fails


class Number(Resource[int]):
    """A number that is to be ``wanted``; it writes down what is done and whether that is under the lock."""

    kind = "number"
    name = "n"

    def __init__(self, wanted: int, found: int | None, meanwhile: int | None = None, keeps: bool = True) -> None:
        self.wanted = wanted
        self.found = found
        self.meanwhile = meanwhile
        self.keeps = keeps
        self.done: list[str] = []
        self.locked = False

    def note(self, what: str) -> None:
        """Write it down."""
        self.done.append(f"{what} locked" if self.locked else what)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """A lock, while another run may change the number first."""
        if self.meanwhile is not None:
            self.found = self.meanwhile
        self.locked = True
        yield
        self.locked = False

    def observe(self) -> int | None:
        self.note("observe")
        return self.found

    def plan(self, observed: int | None) -> Plan:
        self.note("plan")
        if observed == self.wanted:
            return Plan((), {"n": observed}, {"n": observed})
        before = {} if observed is None else {"n": observed}
        return Plan((Action("set", "number", "n", f"from {observed}"),), before, {"n": self.wanted})

    def reserve(self, plan: Plan) -> None:
        self.note("reserve")

    def apply(self, plan: Plan) -> None:
        self.note("apply")
        self.found = self.wanted if self.keeps else None

    def describe(self, observed: int | None, plan: Plan) -> dict[str, Any]:
        return {"observed": observed}


def test_changes() -> None:
    """The plan is made again under the lock, what reserves is done there, and the rest after it."""
    number = Number(2, 1)
    outcome = converge(number, check_mode=False, lock=number.lock)
    assert number.done == [
        "observe",
        "plan",
        "observe locked",
        "plan locked",
        "reserve locked",
        "apply",
        "observe",
    ]
    assert outcome.value == {"observed": 2}
    assert outcome.diff == {"before": {"n": 1}, "after": {"n": 2}}


@pytest.mark.parametrize("check_mode", [True, False])
def test_nothing_to_do(check_mode: bool) -> None:
    """Without anything to do the lock is not even opened."""
    number = Number(2, 2, meanwhile=7)
    outcome = converge(number, check_mode=check_mode, lock=number.lock)
    assert number.done == ["observe", "plan"]
    assert not outcome.plan.changed
    assert number.found == 2


def test_check_mode() -> None:
    """Check mode makes the same plan and applies nothing."""
    number = Number(2, None, meanwhile=7)
    outcome = converge(number, check_mode=True, lock=number.lock)
    assert number.done == ["observe", "plan"]
    assert outcome.plan.changed
    assert outcome.diff == {"before": {}, "after": {"n": 2}}
    assert outcome.value == {"observed": None}


def test_changed_meanwhile() -> None:
    """The plan that is done is the one made under the lock."""
    number = Number(2, 1, meanwhile=7)
    outcome = converge(number, check_mode=False, lock=number.lock)
    assert outcome.diff["before"] == {"n": 7}


def test_done_meanwhile_by_another() -> None:
    """What another run did meanwhile is not done a second time, and is no change of ours."""
    number = Number(2, 1, meanwhile=2)
    outcome = converge(number, check_mode=False, lock=number.lock)
    assert number.done == ["observe", "plan", "observe locked", "plan locked", "observe"]
    assert not outcome.plan.changed
    assert outcome.value == {"observed": 2}


class Raced(Number):
    """A number that another user's run, which holds another lock, sets to ``other`` whenever ours is about to be set."""

    def __init__(self, races: int, other: int | None, condition: str = "name_taken") -> None:
        super().__init__(2, None)
        self.races = races
        self.other = other
        self.condition = condition

    def reserve(self, plan: Plan) -> None:
        super().reserve(plan)
        if self.races:
            self.races -= 1
            self.found = self.other
            fields = {"kind": "number", "name": "n", "engine": "docker", "subnet": "10.0.0.0/24", "other": "another"}
            raise failure(self.condition, **fields)


def test_race_that_was_lost() -> None:
    """What another user's run made at the same moment is taken, with a word; nothing is done twice."""
    number = Raced(1, 2)
    outcome = converge(number, check_mode=False, lock=number.lock)
    assert not outcome.plan.changed and outcome.value == {"observed": 2}
    assert outcome.plan.warnings == ("Another run made the number n at the same moment; it is taken as it is.",)
    assert "apply" not in number.done


@pytest.mark.parametrize("condition", ["name_taken", "name_conflict", "subnet_overlap"])
def test_race_that_is_over(condition: str) -> None:
    """Where the other run took its own back, ours is made at the second try."""
    number = Raced(1, None, condition)
    outcome = converge(number, check_mode=False, lock=number.lock)
    assert outcome.plan.changed and outcome.plan.warnings == () and number.found == 2


@pytest.mark.parametrize(
    ("condition", "told"),
    [("name_taken", "made_meanwhile"), ("name_conflict", "made_meanwhile"), ("subnet_overlap", "subnet_overlap")],
)
def test_race_that_goes_on(condition: str, told: str) -> None:
    """There is one more try, and then the failure names the other run."""
    number = Raced(5, None, condition)
    with fails(told, "another"):
        converge(number, check_mode=False, lock=number.lock)
    assert number.done.count("reserve locked") == 2


def test_vanished() -> None:
    """What is gone right after it was made is an error."""
    number = Number(2, None, keeps=False)
    with fails("vanished", "the number n is gone again right after it was made"):
        converge(number, check_mode=False, lock=number.lock)


def test_removed() -> None:
    """What was to be removed and is gone is none."""

    class Gone(Number):
        def plan(self, observed: int | None) -> Plan:
            return Plan((Action("remove", "number", "n"),), {"n": observed}, {}) if observed is not None else Plan()

    number = Gone(2, 1, keeps=False)
    outcome = converge(number, check_mode=False, lock=number.lock)
    assert outcome.diff == {"before": {"n": 1}, "after": {}}
    assert outcome.value == {"observed": None}


def test_default_reserves_nothing() -> None:
    """A resource that allocates nothing need not say how to reserve."""

    class Plain(Number):
        reserve = Resource.reserve

    number = Plain(2, 1)
    converge(number, check_mode=False, lock=number.lock)
    assert number.found == 2


def test_plan_asks() -> None:
    """A plan knows whether it changes anything, and what."""
    plan = Plan((Action("stop", "node", "n1"), Action("start", "node", "n1")))
    assert plan.changed
    assert plan.does("stop") and plan.does("start") and not plan.does("remove")
    assert not Plan(drift=(Drift("a", 1, 2),)).changed
