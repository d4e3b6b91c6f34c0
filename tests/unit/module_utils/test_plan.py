# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one shape of everything that is kept in a declared state: how a plan is run, reported and taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Again, Operation, Taken
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import (
    Drift,
    Missing,
    Outcome,
    Plan,
    Resource,
    converge,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import fails


class Number(Resource[int, frozenset[Any]]):
    """A number that is to be ``wanted``; it writes down what is done and whether that is under the lock."""

    kind = "number"
    name = "n"

    def __init__(self, wanted: int, found: int | None, meanwhile: int | None = None, keeps: bool = True) -> None:
        self.seam = self
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
        try:
            yield
        finally:
            self.locked = False

    def observe(self) -> int | None:
        self.note("observe")
        return self.found

    def survey(self, observed: int | None, refused: frozenset[Any] = frozenset()) -> frozenset[Any]:
        return refused

    def plan(self, observed: int | None, survey: frozenset[Any]) -> Plan:
        self.note("plan")
        if observed == self.wanted:
            return Plan((), {"n": observed}, {"n": observed})
        before = {} if observed is None else {"n": observed}
        first = Operation("set", "number", "n", f"from {observed}", exclusive=True, run=Number.set)
        rest = Operation("wait for", "number", "n", changes=False, run=lambda number: number.note("wait"))
        return Plan((first, rest), before, {"n": self.wanted})

    def set(self) -> None:
        """What the operation does."""
        self.note("set")
        self.found = self.wanted if self.keeps else None

    def describe(self, observed: int | None, plan: Plan) -> dict[str, Any]:
        return {"observed": observed}


def run(number: Number, *, check_mode: bool = False) -> Outcome:
    """Converge it with its own lock."""
    return converge(number, check_mode=check_mode, lock=number.lock)


def test_changes() -> None:
    """The plan is made again under the lock, what is exclusive is done there, and the rest after it."""
    number = Number(2, 1)
    outcome = run(number)
    assert number.done == ["observe", "plan", "observe locked", "plan locked", "set locked", "wait", "observe"]
    assert outcome.value == {"observed": 2}
    assert outcome.diff == {"before": {"n": 1}, "after": {"n": 2}}
    assert [str(item) for item in outcome.plan.actions] == ["set number n: from 1"]


def test_nothing_exclusive() -> None:
    """Then the lock is not taken."""

    class Free(Number):
        def plan(self, observed: int | None, survey: frozenset[Any]) -> Plan:
            plan = super().plan(observed, survey)
            return replace(plan, operations=tuple(replace(item, exclusive=False) for item in plan.operations))

    number = Free(2, 1, meanwhile=7)
    assert run(number).value == {"observed": 2}
    assert number.done == ["observe", "plan", "set", "wait", "observe"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_nothing_to_do(check_mode: bool) -> None:
    """Without anything to do the lock is not even opened."""
    number = Number(2, 2, meanwhile=7)
    outcome = run(number, check_mode=check_mode)
    assert number.done == ["observe", "plan"]
    assert not outcome.plan.changed
    assert number.found == 2


def test_check_mode() -> None:
    """Check mode makes the same plan and runs none of it."""
    number = Number(2, None, meanwhile=7)
    outcome = run(number, check_mode=True)
    assert number.done == ["observe", "plan"]
    assert outcome.plan.changed
    assert outcome.diff == {"before": {}, "after": {"n": 2}}
    assert outcome.value == {"observed": None}


def test_created_under_the_lock_at_once() -> None:
    """What is not there is planned once."""
    number = Number(2, None)
    run(number)
    assert number.done == ["observe", "observe locked", "plan locked", "set locked", "wait", "observe"]


def test_changed_meanwhile() -> None:
    """The plan that is done is the one made under the lock."""
    assert run(Number(2, 1, meanwhile=7)).diff["before"] == {"n": 7}


def test_done_meanwhile_by_another() -> None:
    """What another run did meanwhile is not done a second time, and is no change of ours."""
    number = Number(2, 1, meanwhile=2)
    outcome = run(number)
    assert number.done == ["observe", "plan", "observe locked", "plan locked"]
    assert not outcome.plan.changed
    assert outcome.value == {"observed": 2}


@pytest.mark.parametrize("warning", ["There is no image yet.", ""])
def test_missing(warning: str) -> None:
    """What has to be there before fails a run and is a warning in check mode, in which an earlier task may create it."""

    class Lacking(Number):
        def plan(self, observed: int | None, survey: frozenset[Any]) -> Plan:
            error = failure("volume_missing", name="x")
            return replace(super().plan(observed, survey), missing=(Missing(error, warning),))

    assert run(Lacking(2, None), check_mode=True).plan.warnings == ((warning,) if warning else ())
    for found in (None, 1):
        number = Lacking(2, found)
        with fails("volume_missing"):
            run(number)
        assert number.found == found


class Raced(Number):
    """A number that another user's run, which holds another lock, sets to ``other`` whenever ours is about to be set."""

    def __init__(self, races: int, other: int | None, condition: str = "name_taken", found: int | None = None) -> None:
        super().__init__(2, found)
        self.races = races
        self.other = other
        self.condition = condition

    def set(self) -> None:
        """Lose the race."""
        if self.races:
            self.note("set")
            self.races -= 1
            self.found = self.other
            fields = {"kind": "number", "name": "n", "engine": "docker", "subnet": "10.0.0.0/24", "other": "another"}
            raise failure(self.condition, **fields)
        super().set()

    def plan(self, observed: int | None, survey: frozenset[Any]) -> Plan:
        plan = super().plan(observed, survey)
        return replace(
            plan, operations=tuple(replace(item, run=Raced.set) if item.changes else item for item in plan.operations)
        )


def test_race_that_was_lost() -> None:
    """What another user's run made at the same moment is taken, with a word; nothing is done twice."""
    number = Raced(1, 2)
    outcome = run(number)
    assert not outcome.plan.changed and outcome.value == {"observed": 2}
    assert outcome.plan.warnings == ("Another run made the number n at the same moment; it is taken as it is.",)
    assert "wait" not in number.done


@pytest.mark.parametrize("condition", ["name_taken", "name_conflict", "subnet_overlap"])
def test_race_that_is_over(condition: str) -> None:
    """Where the other run took its own back, ours is made at the second try."""
    number = Raced(1, None, condition)
    outcome = run(number)
    assert outcome.plan.changed and outcome.plan.warnings == () and number.found == 2


@pytest.mark.parametrize(
    ("condition", "told"),
    [("name_taken", "made_meanwhile"), ("name_conflict", "made_meanwhile"), ("subnet_overlap", "subnet_overlap")],
)
def test_race_that_goes_on(condition: str, told: str) -> None:
    """There is one more try, and then the failure names the other run."""
    number = Raced(5, None, condition)
    with fails(told, "another"):
        run(number)
    assert number.done.count("set locked") == 2


@pytest.mark.parametrize("condition", ["name_taken", "node_missing"])
def test_no_race(condition: str) -> None:
    """What was there already is not gone through a second time, and no other failure is."""
    number = Raced(5, None, condition, found=1 if condition == "name_taken" else None)
    number.condition = condition
    with pytest.raises((KicError, KeyError)):
        run(number)
    assert number.done.count("set locked") == 1


class Choosing(Number):
    """A number of which those below ``free`` are taken, which only shows when the chosen one is used."""

    def __init__(self, free: int) -> None:
        super().__init__(0, None)
        self.free = free

    def plan(self, observed: int | None, survey: frozenset[Any]) -> Plan:
        chosen = next(item for item in range(100) if item not in survey)

        def use(number: Choosing) -> None:
            number.note(f"use {chosen}")
            if chosen < number.free:
                raise Taken(failure("volume_missing", name=str(chosen)), (chosen,))

        def remove(number: Choosing, _result: None, error: Exception) -> Exception:
            number.note(f"remove {chosen}")
            return error

        create = Operation("create", "number", str(chosen), exclusive=True, undo=remove)
        return Plan((create, Operation("use", "number", str(chosen), run=use)), {}, {"n": chosen})

    def inspect(self, results: Any) -> int | None:
        return len(results)


def test_chosen_again() -> None:
    """What turned out to be taken is taken back, and other values are chosen, a few times."""
    number = Choosing(3)
    outcome = run(number)
    assert [item for item in number.done if item[:3] in ("use", "rem")] == [
        *("use 0", "remove 0", "use 1", "remove 1", "use 2", "remove 2", "use 3")
    ]
    assert (outcome.plan.after, outcome.value) == ({"n": 3}, {"observed": 2})
    with fails("volume_missing", "3"):
        run(Choosing(9))


class Waited(Number):
    """A number that another run still sets while it is waited for, and that is known then."""

    def __init__(self, sees: bool) -> None:
        super().__init__(3, 1)
        self.sees = sees

    def plan(self, observed: int | None, survey: frozenset[Any]) -> Plan:
        set_, _wait = super().plan(observed, survey).operations or (None, None)
        assert set_ is not None
        first = Operation("prepare", "number", "n", run=lambda number: number.note("prepare"))
        wait = Operation("wait for", "number", "n", changes=False, run=Waited.wait)
        last = replace(set_, exclusive=False, takes=("prepare number n",), run=lambda number, _prepared: number.set())
        return Plan((first, wait, last) if observed == 1 else (last,), {"n": observed}, {"n": 3})

    def wait(self) -> None:
        """What is waited for changes what there is to do."""
        self.note("wait")
        self.found = 2
        raise Again(2 if self.sees else None)


@pytest.mark.parametrize("sees", [True, False])
def test_planned_again_after_a_wait(sees: bool) -> None:
    """What was done before stays done and reported; what the wait has seen is not inspected again."""
    number = Waited(sees)
    outcome = run(number)
    looks = [] if sees else ["observe"]
    assert number.done == ["observe", "plan", "prepare", "wait", *looks, "plan", "set", "observe"]
    assert [str(item) for item in outcome.plan.actions] == ["prepare number n", "set number n: from 2"]


def test_vanished() -> None:
    """What is gone right after it was made is an error."""
    with fails("vanished", "the number n is gone again right after it was made"):
        run(Number(2, None, keeps=False))


def test_removed() -> None:
    """What was to be removed is not looked for when it is gone."""

    class Gone(Number):
        def plan(self, observed: int | None, survey: frozenset[Any]) -> Plan:
            remove = Operation("remove", "number", "n", run=Number.set)
            return Plan((remove,), {"n": observed}, {}) if observed is not None else Plan()

        def describe(self, observed: int | None, plan: Plan) -> dict[str, Any]:
            return super().describe(observed, plan) if plan.after else {}

    number = Gone(2, 1, keeps=False)
    outcome = run(number)
    assert outcome.diff == {"before": {"n": 1}, "after": {}}
    assert (outcome.value, number.found, number.done) == ({}, None, ["observe", "set"])


class Steps(Resource[int, None]):
    """Operations a to e of which one fails; ``undo`` says what becomes of each."""

    kind, name, lock_name = "thing", "t", ""

    def __init__(self, fails_at: str, error: Exception, undo: dict[str, str], commits: str = "") -> None:
        self.seam: list[str] = []
        self.fails_at, self.error, self.undo, self.commits = fails_at, error, undo, commits

    def observe(self) -> int | None:
        return 1

    def survey(self, observed: int | None, refused: frozenset[Any] = frozenset()) -> None:
        """Nothing."""

    def plan(self, observed: int | None, survey: None) -> Plan:
        return Plan(tuple(self._operation(name) for name in "abcde"), {}, {"t": 1})

    def _operation(self, name: str) -> Operation:
        def act(seam: list[str]) -> str:
            if name == self.fails_at:
                raise self.error
            seam.append(name)
            return f"result of {name}"

        undo: Callable[..., Any] | None = partial(self._undo, name) if name in self.undo else None
        return Operation("set", "thing", name, changes=name != "b", commits=name == self.commits, run=act, undo=undo)

    def _undo(self, name: str, seam: list[str], result: str | None, error: Exception) -> Exception | None:
        seam.append(f"undo {name} {result}")
        assert result == (None if name == self.fails_at else f"result of {name}")
        if self.undo[name] == "kept":
            return None
        if self.undo[name] == "lost":
            raise failure("volume_missing", name=f"not restored after {error}")
        return failure("volume_missing", name=f"{name} restored") if isinstance(error, KicError) else error

    def describe(self, observed: int | None, plan: Plan) -> dict[str, Any]:
        return {}


@pytest.mark.parametrize(
    ("fails_at", "undo", "commits", "done", "told"),
    [
        pytest.param("a", {}, "", "", "first", id="nothing-was-done"),
        pytest.param("d", {}, "", "ac", "first", id="only-what-changes-is-reported"),
        pytest.param("d", {"c": "back"}, "", "a", "c restored", id="and-not-what-was-taken-back"),
        pytest.param("d", {"a": "back", "c": "back"}, "", "", "a restored", id="the-last-first"),
        pytest.param("d", {"d": "back"}, "", "ac", "d restored", id="also-what-failed"),
        pytest.param("d", {"c": "kept"}, "", "ac", "first", id="kept"),
        pytest.param("d", {"a": "back", "c": "lost"}, "", "ac", "not restored", id="what-cannot-be-taken-back"),
        pytest.param("d", {"a": "back"}, "c", "ac", "first", id="committed"),
        pytest.param("c", {"a": "back"}, "c", "a", "first", id="failed-when-committed"),
        pytest.param("d", {"a": "back", "c": "back"}, "b", "a", "c restored", id="committed-before"),
    ],
)
def test_failure(fails_at: str, undo: dict[str, str], commits: str, done: str, told: str) -> None:
    """What was done is taken back where it can be, and a failure carries the rest, with the first cause."""
    steps = Steps(fails_at, failure("volume_missing", name="first"), undo, commits)
    with pytest.raises(KicError) as caught:
        converge(steps, check_mode=False, lock=nullcontext)
    assert told in str(caught.value)
    assert caught.value.done == tuple(f"set thing {name}" for name in done)


def test_failure_of_the_system() -> None:
    """An error of Python stays what it is."""
    steps = Steps("d", OSError("full"), {"a": "back"})
    with pytest.raises(OSError, match="full") as caught:
        converge(steps, check_mode=False, lock=nullcontext)
    assert vars(caught.value)["done"] == () and steps.seam[-1] == "undo a result of a"


def test_words() -> None:
    """Operations and drift read as sentences."""
    assert str(Operation("start", "node", "n1")) == "start node n1"
    assert str(Operation("pull", "image", "x", "from there")) == "pull image x: from there"
    assert str(Drift("mtu", 1400, 1500)) == "mtu is 1500, expected 1400"
    assert str(Drift("role", "a", None)) == "role is None, expected 'a'"


def test_plan_asks() -> None:
    """A plan knows whether it changes anything, and whether under the lock."""
    plan = Plan((Operation("stop", "node", "n1"), Operation("wait for", "node", "n1", changes=False)))
    assert plan.changed and not plan.exclusive
    assert [item.verb for item in plan.actions] == ["stop"]
    assert not Plan(plan.operations[1:], drift=(Drift("a", 1, 2),)).changed


def test_diff_is_plain() -> None:
    """The diff is made of plain dictionaries, as a module returns them."""
    diff = Outcome(Plan(before={"a": 1}), {}).diff
    assert diff == {"before": {"a": 1}, "after": {}}
    assert isinstance(diff["before"], dict)
