# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Operations of a plan run after what they need, next to each other where they can, and stop at the first failure."""

from __future__ import annotations

import threading
from collections.abc import Collection

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.operations import Operation, in_order, perform


def operation(name: str, *needs: str) -> Operation:
    """One whose key is ``create thing NAME``."""
    return Operation("create", "thing", name, needs=tuple(f"create thing {item}" for item in needs))


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        pytest.param([], "", id="none"),
        pytest.param([operation("a"), operation("b")], "ab", id="as-they-stand-in-the-plan"),
        pytest.param([operation("b", "a"), operation("a")], "ab", id="what-is-needed-first"),
        pytest.param([operation("c", "b"), operation("b", "a"), operation("a"), operation("d")], "abcd", id="chain"),
        pytest.param([operation("a", "elsewhere")], "a", id="what-is-no-part-of-the-plan-is-done"),
    ],
)
def test_order(operations: list[Operation], expected: str) -> None:
    """Each operation comes after those that it needs, else where the plan has it."""
    assert "".join(item.name for item in in_order(operations)) == expected
    done: list[str] = []
    performed = perform(operations, lambda item: done.append(item.name), parallel=1)
    assert "".join(done) == expected and performed.error is None
    assert set(performed.results) == {item.key for item in operations}


def test_a_circle_is_a_defect_of_the_plan() -> None:
    """Operations that need each other are refused, not waited for."""
    with pytest.raises(ValueError, match="need each other: create thing a, create thing b"):
        in_order([operation("a", "b"), operation("b", "a")])


def test_what_does_not_need_each_other_runs_at_the_same_time() -> None:
    """Two that meet inside both run; the third has waited for both of them."""
    meeting = threading.Barrier(2, timeout=10)
    ended: list[str] = []

    def run(item: Operation) -> str:
        if item.name in "ab":
            meeting.wait()
        ended.append(item.name)
        return item.name

    performed = perform([operation("c", "a", "b"), operation("a"), operation("b")], run)
    assert performed.results == {f"create thing {item}": item for item in "abc"}
    assert ended[-1] == "c"


def test_after_a_failure_none_begins_and_those_that_run_end() -> None:
    """The first failure is the one that is reported; what ran next to it is among the results."""
    failed = threading.Event()

    def run(item: Operation) -> str:
        if item.name == "bad":
            failed.set()
            raise OSError("full")
        assert failed.wait(10)
        return item.name

    performed = perform([operation("bad"), operation("next to"), operation("later", "next to")], run)
    assert str(performed.error) == "full" and performed.failed == operation("bad")
    assert performed.results == {"create thing next to": "next to"}


@pytest.mark.parametrize("parallel", [1, 4])
def test_whoever_waits_is_told_what_runs_and_how_much_is_left(parallel: int) -> None:
    """Each change is reported; in the end nothing runs and nothing is left."""
    reports: list[tuple[list[str], int]] = []

    def report(running: Collection[Operation], left: int) -> None:
        reports.append((sorted(item.name for item in running), left))

    perform([operation("a"), operation("b", "a")], lambda _item: None, parallel=parallel, report=report)
    assert (["a"], 1) in reports and (["b"], 0) in reports
