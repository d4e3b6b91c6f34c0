# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan is made of: operations that need each other. They run in their order, at the same time where they can."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any, Callable, Generic, Optional, TypeVar

Result = TypeVar("Result")

PARALLEL = 8
"""How many operations run at the same time at most. Most of them wait for an engine or for a node."""

Run = Callable[..., Any]
"""Does it. Its arguments are what the resource works on, an engine or a machine, and the results that it ``takes``. What it
returns, a later look may use."""

Undo = Callable[[Any, Any, Exception], Optional[Exception]]
"""Takes back what was done. Its arguments are what the resource works on, what ``run`` returned (None where it failed) and
the failure. It returns the failure to report, with what became of the old thing; None where what was done is kept. It raises
the failure to report where it could not be taken back."""


def _nothing(_seam: Any) -> None:
    """An operation of which only the order matters: its run is with the one who has the plan."""


@dataclass(frozen=True)
class Operation:
    """One part of a plan: what is done (``create``, ``start``, ``join`` …) to which thing, and after which others.

    What it needs is bound in ``run``: a pure function has made the plan, and nothing is decided when it runs.
    """

    verb: str
    kind: str
    name: str
    detail: str = ""
    needs: tuple[str, ...] = ()
    """Keys of the operations that have to be done before; those that are no part of the plan are done."""
    exclusive: bool = False
    """Whether it runs under the lock: it makes good what was allocated."""
    changes: bool = True
    """Whether it is reported. A wait, a probe, or reading back what was set changes nothing for the user."""
    takes: tuple[str, ...] = ()
    """Keys of operations that are done before, whose results ``run`` is given; None of one that is not part of the plan."""
    commits: bool = False
    """Whether what was done before it is not taken back any more, when it or a later one fails."""
    run: Run = field(default=_nothing, compare=False, repr=False)
    undo: Undo | None = field(default=None, compare=False, repr=False)
    """Called when this operation or a later one has failed, in the reverse order of what was done."""

    @property
    def key(self) -> str:
        """What names the operation in ``needs`` of others."""
        return f"{self.verb} {self.kind} {self.name}"

    @property
    def subject(self) -> str:
        """What it is done to."""
        return f"{self.kind} {self.name}"

    def __str__(self) -> str:
        return f"{self.key}: {self.detail}" if self.detail else self.key


class Taken(Exception):
    """``values`` that were chosen turned out to be taken by others, as ``error`` says: others are to be chosen."""

    def __init__(self, error: Exception, values: Collection[Any]) -> None:
        super().__init__(str(error))
        self.error = error
        self.values = frozenset(values)


class Again(Exception):
    """What an operation waited for may have changed what there is to do: it is planned again, and what was done is kept.

    :param observed: what is there now, where the operation has just seen it; None where it has to be inspected.
    """

    def __init__(self, observed: Any = None) -> None:
        super().__init__("to be planned again")
        self.observed = observed


@dataclass(frozen=True)
class Performed(Generic[Result]):
    """Results of the operations that were done, by key, and the first failure; None where there was none."""

    results: Mapping[str, Result]
    failed: Operation | None = None
    error: Exception | None = None


def in_order(operations: Sequence[Operation]) -> list[Operation]:
    """The operations, each after those that it needs; else in the order of the plan."""
    found: list[Operation] = []
    left = list(operations)
    while left:
        waiting = {item.key for item in left}
        ready = [item for item in left if waiting.isdisjoint(item.needs)]
        if not ready:
            raise ValueError(f"operations need each other: {', '.join(sorted(waiting))}")
        found.append(ready[0])
        left.remove(ready[0])
    return found


def perform(
    operations: Sequence[Operation],
    run: Callable[[Operation], Result],
    *,
    parallel: int = PARALLEL,
    report: Callable[[Collection[Operation], int], None] = lambda _running, _left: None,
) -> Performed[Result]:
    """Run each operation when all that it needs is done. After the first failure none begins; those that run end.

    :param run: called in threads of its own where ``parallel`` is more than 1.
    :param report: told of each change: the operations that run, and how many are neither done nor running.
    """
    if parallel == 1:
        return _one_by_one(operations, run, report)
    by_key = {item.key: item for item in operations}
    sorter = TopologicalSorter({item.key: [key for key in item.needs if key in by_key] for item in operations})
    sorter.prepare()
    results: dict[str, Result] = {}
    running: dict[Future[Result], Operation] = {}
    failed: Operation | None = None
    error: Exception | None = None
    with ThreadPoolExecutor(max_workers=parallel) as pool:
        while True:
            for key in sorter.get_ready() if error is None else ():
                running[pool.submit(run, by_key[key])] = by_key[key]
            report(tuple(running.values()), len(operations) - len(results) - len(running))
            if not running:
                return Performed(results, failed, error)
            done, _others = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                operation = running.pop(future)
                problem = future.exception()
                if problem is None:
                    results[operation.key] = future.result()
                    sorter.done(operation.key)
                elif not isinstance(problem, Exception):
                    raise problem
                elif error is None:
                    failed, error = operation, problem


def _one_by_one(
    operations: Sequence[Operation],
    run: Callable[[Operation], Result],
    report: Callable[[Collection[Operation], int], None],
) -> Performed[Result]:
    results: dict[str, Result] = {}
    for number, operation in enumerate(in_order(operations), 1):
        report((operation,), len(operations) - number)
        try:
            results[operation.key] = run(operation)
        except Exception as error:
            return Performed(results, operation, error)
    return Performed(results)
