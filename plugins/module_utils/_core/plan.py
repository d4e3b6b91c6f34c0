# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spec → Observed → Plan → apply: the one shape of everything that the collection keeps in a declared state.

A resource says how it is looked at (:meth:`Resource.observe`), what there is to do (:meth:`Resource.plan`, pure) and
how it is done (:meth:`Resource.reserve`, :meth:`Resource.apply`). :func:`converge` does the rest once for all:
check mode is "do not apply", the diff is the plan's, and idempotence is "the plan is empty".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Generic, TypeVar

from .._state.lock import ALLOCATION, host_lock
from .diagnosis import KicError, failure, keep_done

Value = TypeVar("Value")


def known(value: Value | None) -> Value:
    """``value``, which an earlier look has found: where it cannot be None, and only the type says it could."""
    if value is None:
        raise AssertionError("a plan was made or done before the look that it needs")
    return value


@dataclass(frozen=True)
class Action:
    """One step of a plan: a verb (``create``, ``remove``, ``start`` …), the kind and name of what it changes."""

    verb: str
    kind: str
    name: str
    detail: str = ""

    def __str__(self) -> str:
        text = f"{self.verb} {self.kind} {self.name}"
        return f"{text}: {self.detail}" if self.detail else text


@dataclass(frozen=True)
class Drift:
    """A field of what is there that differs from what was requested."""

    field: str
    asked: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.field} is {self.found!r}, expected {self.asked!r}"


@dataclass(frozen=True)
class Plan:
    """What there is to do, and how it will look.

    ``before`` and ``after`` hold the fields that a diff shows; ``drift`` is what differs and is *not* repaired by
    ``actions``; ``chosen`` holds values that were allocated (an address, a subnet), for apply.
    """

    actions: tuple[Action, ...] = ()
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    drift: tuple[Drift, ...] = ()
    warnings: tuple[str, ...] = ()
    chosen: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.actions)

    def does(self, verb: str) -> bool:
        """Whether ``verb`` is among the actions."""
        return any(action.verb == verb for action in self.actions)


Observed = TypeVar("Observed")


class Resource(ABC, Generic[Observed]):
    """One thing in a declared state. ``kind`` and ``name`` are for messages."""

    kind: str
    name: str
    lock_name: str = ALLOCATION
    """The lock under which it is reserved; "" where nothing of it is allocated and nothing else may wait for it."""

    _noted: tuple[tuple[str, str], ...] = ()

    def did(self, verb: str = "", name: str = "") -> None:
        """Note that the plan's actions of this ``verb`` or ``name``, or of both where both are given, are done.

        A failure that comes later then says so. Call it right after the change itself.
        """
        self._noted += ((verb, name),)

    def undid(self) -> None:
        """Note that what was done has been taken back: the machine is as it was before."""
        self._noted = ()

    def performed(self, plan: Plan | None) -> tuple[Action, ...]:
        """The actions of ``plan`` that were noted, in its order."""
        actions = plan.actions if plan is not None else ()
        return tuple(item for item in actions if any(_fits(item, *noted) for noted in self._noted))

    @abstractmethod
    def observe(self) -> Observed | None:
        """What is there now; None when the engine says that nothing is. Failing to look is an error, not None."""

    def peek(self) -> Observed | None:
        """The same without waiting for anything: what is asked under the lock."""
        return self.observe()

    @abstractmethod
    def plan(self, observed: Observed | None) -> Plan:
        """What there is to do. Starts nothing and changes nothing; raises KicError for what cannot be done."""

    def reserve(self, plan: Plan) -> None:
        """Do what must happen under the lock: that which makes an allocation good. Nothing by default."""

    @abstractmethod
    def apply(self, plan: Plan) -> None:
        """Do the rest of the plan, outside the lock."""

    @abstractmethod
    def describe(self, observed: Observed | None, plan: Plan) -> dict[str, Any]:
        """What the task returns under the resource's key; {} when it is absent."""


def _fits(action: Action, verb: str, name: str) -> bool:
    return verb in ("", action.verb) and name in ("", action.name)


@dataclass(frozen=True)
class Outcome:
    """What a module returns: the plan that was made (and, unless in check mode, done) and what is there now."""

    plan: Plan
    value: dict[str, Any]

    @property
    def diff(self) -> dict[str, Any]:
        """Ansible's diff of the plan."""
        return {"before": dict(self.plan.before), "after": dict(self.plan.after)}


_RACES = ("name_taken", "name_conflict", "subnet_overlap")
"""How an engine refuses what another run made between our look and our create."""


def _lost(resource: Resource[Any], plan: Plan, lost: KicError | None) -> KicError | None:
    """Reserve; the error where another run was faster and one more try is due, else None.

    The lock is one user's. Another user of the same engine holds another lock, so the engine itself is asked who was first.

    :param lost: the error of the first try.
    """
    try:
        if plan.changed:
            resource.reserve(plan)
    except KicError as error:
        # What was replaced already is not gone through a second time.
        if error.diagnosis.id not in _RACES or plan.does("remove"):
            raise
        if lost is None:
            return error
        if error.diagnosis.id == "subnet_overlap":
            raise
        output = error.diagnosis.output
        raise failure("made_meanwhile", output=output, kind=resource.kind, name=resource.name) from error
    return None


def lock_of(resource: Resource[Any]) -> AbstractContextManager[Any]:
    """The lock of a resource, to be held."""
    return host_lock(name=resource.lock_name) if resource.lock_name else nullcontext()


def converge(
    resource: Resource[Observed],
    *,
    check_mode: bool,
    lock: Callable[[], AbstractContextManager[Any]] | None = None,
) -> Outcome:
    """Bring ``resource`` into its state, or in check mode say what that would take.

    The plan is made again under the lock: what was free when it was first looked at may be taken by now. Where nothing
    is there yet, it is made under the lock at once. With nothing to do to what is there, the lock is not even opened.

    :param lock: in place of the resource's own.
    """
    observed = resource.observe()
    if observed is not None or check_mode:
        plan = resource.plan(observed)
        if not plan.changed or check_mode:
            return Outcome(plan, resource.describe(observed, plan))
    made: Plan | None = None
    try:
        with lock() if lock is not None else lock_of(resource):
            observed = resource.peek()
            made = resource.plan(observed)
            lost = _lost(resource, made, None)
            if lost is not None:
                observed = resource.peek()
                made = resource.plan(observed)
                _lost(resource, made, lost)
                if not made.changed:
                    other = f"Another run made the {resource.kind} {resource.name} at the same moment; it is taken as it is."
                    made = replace(made, warnings=(*made.warnings, other))
        if made.changed:
            resource.apply(made)
            resource.did()
        if made.changed or made.after:
            # What another run has begun meanwhile is waited for here, where it keeps nobody off.
            observed = resource.observe()
            if made.changed and observed is None and made.after:
                raise failure("vanished", kind=resource.kind, name=resource.name)
        return Outcome(made, resource.describe(observed, made))
    except Exception as error:
        # What was changed is changed: whoever reads the failure has to know it.
        keep_done(error, tuple(str(action) for action in resource.performed(made)))
        raise
