# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge for resources that are not yet a plan of operations: they converge by ``reserve`` and ``apply``, as before.

Import Action, Plan, Resource and known from here in place of ``plan``. :func:`plan.converge` takes them too. A resource that
becomes a plan of operations leaves this module; with the last one the module goes, and the test of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Generic, TypeVar

from . import plan
from .diagnosis import KicError, failure, keep_done
from .operations import Operation
from .plan import Outcome, lock_of

Observed = TypeVar("Observed")
Value = TypeVar("Value")
Action = Operation


def known(value: Value | None) -> Value:
    """``value``, which an earlier look has found: where it cannot be None, and only the type says it could."""
    if value is None:
        raise AssertionError("a plan was made or done before the look that it needs")
    return value


@dataclass(frozen=True)
class Plan(plan.Plan):
    """A plan whose actions are read by ``apply``; ``chosen`` holds values that were allocated."""

    chosen: Mapping[str, Any] = field(default_factory=dict)

    def does(self, verb: str) -> bool:
        """Whether ``verb`` is among the actions."""
        return any(action.verb == verb for action in self.actions)


_Base: Any = plan.Resource[Any, None]


class Resource(Generic[Observed], _Base):  # type: ignore[misc]
    """One thing in a declared state that is done by ``reserve`` and ``apply``."""

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

    def peek(self) -> Observed | None:
        """The same without waiting for anything: what is asked under the lock."""
        found: Observed | None = self.observe()
        return found

    @abstractmethod
    def plan(self, observed: Observed | None) -> Plan:
        """What there is to do. Starts nothing and changes nothing; raises KicError for what cannot be done."""

    def reserve(self, plan: Plan) -> None:
        """Do what must happen under the lock: that which makes an allocation good. Nothing by default."""

    @abstractmethod
    def apply(self, plan: Plan) -> None:
        """Do the rest of the plan, outside the lock."""

    def survey(self, observed: Observed | None, refused: frozenset[Any] = frozenset()) -> None:
        """Its plan asks for what it needs."""

    @abstractmethod
    def describe(self, observed: Observed | None, plan: Plan) -> dict[str, Any]:
        """What the task returns under the resource's key; {} when it is absent."""


def _fits(action: Action, verb: str, name: str) -> bool:
    return verb in ("", action.verb) and name in ("", action.name)


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
