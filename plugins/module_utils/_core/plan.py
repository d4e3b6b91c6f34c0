# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spec → observe → survey → plan → operations: the one shape of everything that the collection keeps in a declared state.

A resource says what is there (:meth:`Resource.observe`), what a change needs to know (:meth:`Resource.survey`), and what
there is to do (:meth:`Resource.plan`, pure). :func:`converge` is written once for all, and the only code that knows check
mode, the lock and the order: check mode prints the plan, the diff is the plan's, and idempotence is "the plan is empty".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Generic, TypeVar

from .diagnosis import KicError, failure, keep_done
from .operations import Again, Operation, Taken, in_order

Observed = TypeVar("Observed")
Survey = TypeVar("Survey")

ALLOCATION = "lock"
"""The lock of all that is allocated: subnets, addresses, ports. Under it only creates happen, a second or two each."""

RETRIES = 3
"""How often other values are chosen for some that turned out to be taken."""

RACES = ("name_taken", "name_conflict", "subnet_overlap")
"""How an engine refuses what another run made between our look and our create."""


@dataclass(frozen=True)
class Drift:
    """A field of what is there that differs from what was requested."""

    field: str
    asked: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.field} is {self.found!r}, expected {self.asked!r}"


def drift_warning(subject: str, drift: Iterable[Drift]) -> str:
    """What a person is told of a thing that differs and stays."""
    differences = "; ".join(str(item) for item in drift)
    return (
        f"{subject} differs from what was requested and was left as it is: {differences}. With recreate: on_drift it is"
        " replaced."
    )


@dataclass(frozen=True)
class Missing:
    """What has to be there before: a run fails with ``error``. In check mode an earlier task may be about to create it, so
    that there is only a ``warning``; "" where there is nothing to say."""

    error: KicError
    warning: str = ""


@dataclass(frozen=True)
class Plan:
    """What there is to do, and how it will look.

    ``before`` and ``after`` hold the fields that a diff shows: {} where nothing is or will be there. ``drift`` is what
    differs and is *not* repaired by ``operations``. The order of the operations is the one in which they are reported, and
    in which they run where ``needs`` says nothing else.
    """

    operations: tuple[Operation, ...] = ()
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    drift: tuple[Drift, ...] = ()
    warnings: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()

    @property
    def actions(self) -> tuple[Operation, ...]:
        """The operations that are reported."""
        return tuple(item for item in self.operations if item.changes)

    @property
    def changed(self) -> bool:
        """Whether anything changes."""
        return bool(self.actions)

    @property
    def exclusive(self) -> bool:
        """Whether anything of it runs under the lock."""
        return any(item.exclusive for item in self.operations)

    def warned(self, *texts: str) -> Plan:
        """The plan with more warnings."""
        return replace(self, warnings=(*self.warnings, *texts))


class Resource(ABC, Generic[Observed, Survey]):
    """One thing in a declared state. ``kind`` and ``name`` are for messages."""

    kind: str
    name: str
    seam: Any = None
    """What its operations run on."""
    lock_name: str = ALLOCATION
    """The lock of its exclusive operations; "" where nothing of it is allocated and nothing else may wait for it."""

    @abstractmethod
    def observe(self) -> Observed | None:
        """What is there now, cheaply: nothing is waited for. None when the engine says that nothing is; failing to look is
        an error, not None."""

    def exists(self, observed: Observed | None) -> bool:
        """Whether ``observed`` says that the thing is there."""
        return observed is not None

    @abstractmethod
    def survey(self, observed: Observed | None, refused: frozenset[Any] = frozenset()) -> Survey:
        """What only a change needs to know: what is taken, what a registry has.

        :param refused: values that turned out to be taken when they were to be used.
        """

    @abstractmethod
    def plan(self, observed: Observed | None, survey: Survey) -> Plan:
        """What there is to do. Pure: starts no process and reads no file; raises KicError for what cannot be done."""

    def inspect(self, results: Mapping[str, Any]) -> Observed | None:
        """What is there after the operations, whose ``results`` by key are not queried a second time."""
        return self.observe()

    @abstractmethod
    def describe(self, observed: Observed | None, plan: Plan) -> dict[str, Any]:
        """What the task returns under the resource's key; {} when it is absent."""

    def drift_warning(self, plan: Plan) -> str:
        """What a person is told of drift that is not repaired."""
        return drift_warning(f"The {self.kind} {self.name}", plan.drift)

    def predict(self, observed: Observed | None, survey: Survey, plan: Plan) -> dict[str, Any]:
        """The same before anything of the plan is done."""
        return self.describe(observed, plan)


def always(observed: Observed | None) -> Observed:
    """What was observed of a resource that is always there, as a machine is: its ``observe`` never returns None."""
    if observed is None:
        raise TypeError("what is always there was not observed")
    return observed


@dataclass(frozen=True)
class Outcome:
    """What a module returns: the plan that was made (and, unless in check mode, done) and what is there now."""

    plan: Plan
    value: dict[str, Any]
    observed: Any = None
    """What is there now, as the resource knows it."""
    warnings: tuple[str, ...] = ()
    """What a person has to know, of the plan and of drift."""

    @property
    def diff(self) -> dict[str, Any]:
        """Ansible's diff of the plan."""
        return {"before": dict(self.plan.before), "after": dict(self.plan.after)}


def _outcome(
    resource: Resource[Observed, Any], plan: Plan, value: dict[str, Any], observed: Observed | None
) -> Outcome:
    drift = (resource.drift_warning(plan),) if plan.drift else ()
    return Outcome(plan, value, observed, (*plan.warnings, *drift))


def converge(
    resource: Resource[Observed, Survey],
    *,
    check_mode: bool,
    lock: Callable[[], AbstractContextManager[Any]],
) -> Outcome:
    """Bring ``resource`` into its state, or in check mode say what that would take.

    Where the plan has exclusive operations, it is made again under the lock: what was free when it was first inspected may
    be taken by now. What is not there yet is planned under the lock at once. With nothing to do to what is there, the lock
    is not even opened.

    :param lock: takes the lock that ``lock_name`` of the resource names (:func:`lock.lock_of`).
    """
    observed, plan = resource.observe(), None
    if check_mode or resource.exists(observed) or not resource.lock_name:
        survey = resource.survey(observed)
        plan = resource.plan(observed, survey)
        if check_mode:
            predicted = plan.warned(*(item.warning for item in plan.missing if item.warning))
            return _outcome(resource, predicted, resource.predict(observed, survey, predicted), observed)
        _refuse_missing(plan)
        if not plan.operations:
            return _outcome(resource, plan, resource.describe(observed, plan), observed)
    return _Run(resource, lock).converge(observed, plan)


def _refuse_missing(plan: Plan) -> None:
    if plan.missing:
        raise plan.missing[0].error


class _Run(Generic[Observed, Survey]):
    """The run of one plan: what of it was done, so that it can be taken back or reported."""

    def __init__(self, resource: Resource[Observed, Survey], lock: Callable[[], AbstractContextManager[Any]]) -> None:
        self._resource = resource
        self._lock = lock
        self._refused: frozenset[Any] = frozenset()
        self._lost = 0
        """How often what was chosen turned out to be taken."""
        self._done: list[tuple[Operation, Any]] = []
        self._kept = 0
        """How many of them are not taken back any more."""
        self._plan: Plan | None = None
        """The latest."""

    def converge(self, observed: Observed | None, plan: Plan | None) -> Outcome:
        resource = self._resource
        try:
            observed, plan = self._performed(observed, plan)
            # Of what is gone there is nothing to say.
            if plan.operations and plan.after:
                observed = resource.inspect({item.key: result for item, result in self._done})
                if plan.changed and not resource.exists(observed):
                    raise failure("vanished", kind=resource.kind, name=resource.name)
            return _outcome(resource, plan, resource.describe(observed, plan), observed)
        except Exception as error:
            # What was changed is changed: whoever reads the failure has to know it.
            keep_done(error, tuple(str(item) for item in self._reported()))
            raise

    def _performed(self, observed: Observed | None, plan: Plan | None) -> tuple[Observed | None, Plan]:
        """Run the plan, or the one that has to be made in its place; what it was made for, and all that was done."""
        over = False
        while plan is None or not over:
            observed, plan, over = self._attempt(observed, plan)
        earlier = tuple(item for item in self._reported() if item not in plan.operations)
        return observed, replace(plan, operations=(*earlier, *plan.operations))

    def _attempt(self, observed: Observed | None, plan: Plan | None) -> tuple[Observed | None, Plan | None, bool]:
        """Run the plan; where it has to be made again, what it is to be made for, or the plan, and that it is not over."""
        resource = self._resource
        try:
            if plan is None or plan.exclusive:
                observed, plan = self._exclusively()
            self._plan = plan
            self._perform(plan, exclusive=False)
        except Again as again:
            observed = again.observed if again.observed is not None else resource.observe()
            plan = resource.plan(observed, resource.survey(observed, self._refused))
            _refuse_missing(plan)
            return observed, plan, False
        except Taken as taken:
            self._lost += 1
            if self._lost > RETRIES:
                raise taken.error from taken.__cause__
            self._refused |= taken.values
            return None, None, False
        return observed, plan, True

    def _exclusively(self) -> tuple[Observed | None, Plan]:
        """Plan and run the exclusive operations under the lock; once more where another run was faster.

        The lock is one user's. Another user of the same engine holds another lock, so the engine itself is asked who was
        first.
        """
        resource = self._resource
        lost = False
        with self._lock():
            while True:
                observed = resource.observe()
                plan = resource.plan(observed, resource.survey(observed, self._refused))
                _refuse_missing(plan)
                self._plan = plan
                try:
                    self._perform(plan, exclusive=True)
                except KicError as error:
                    race = error.diagnosis.id
                    # What was there already is not gone through a second time.
                    if race not in RACES or plan.before or (lost and race == "subnet_overlap"):
                        raise
                    if lost:
                        output, kind, name = error.diagnosis.output, resource.kind, resource.name
                        raise failure("made_meanwhile", output=output, kind=kind, name=name) from error
                    lost = True
                    continue
                if lost and not plan.changed:
                    made = f"Another run made the {resource.kind} {resource.name} at the same moment; it is taken as it is."
                    plan = plan.warned(made)
                return observed, plan

    def _perform(self, plan: Plan, *, exclusive: bool) -> None:
        for operation in in_order(plan.operations):
            if operation.exclusive != exclusive:
                continue
            if operation.commits:
                self._kept = len(self._done)
            results = {item.key: result for item, result in self._done} if operation.takes else {}
            try:
                result = operation.run(self._resource.seam, *(results.get(key) for key in operation.takes))
            except Again:
                raise
            except Taken as taken:
                error = self._taken_back(operation, taken.error)
                raise Taken(error, taken.values) from taken.error
            except Exception as failed:
                error = self._taken_back(operation, failed)
                if error is failed:
                    raise
                raise error from failed
            self._done.append((operation, result))

    def _taken_back(self, failed: Operation, error: Exception) -> Exception:
        """Take back what can be, the last first; the failure to report."""
        begun: Iterable[tuple[int, Operation, Any]] = (
            (number, *self._done[number]) for number in range(len(self._done) - 1, self._kept - 1, -1)
        )
        for number, operation, result in [(len(self._done), failed, None), *begun]:
            undone = operation.undo(self._resource.seam, result, error) if operation.undo is not None else None
            if undone is not None:
                error = undone
                del self._done[number:]
        return error

    def _reported(self) -> list[Operation]:
        """The operations that were done and are reported, in the order of the plan."""
        done = [item for item, _result in self._done if item.changes]
        planned = self._plan.actions if self._plan is not None else ()
        return [item for item in done if item not in planned] + [item for item in planned if item in done]
