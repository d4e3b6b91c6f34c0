# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Order and streams of the tests, and what becomes of a test that this machine cannot run.

A test that needs what the machine has not got calls `cannot_run` (or pytest.skip, which is the same). It is named
with its reason at the end of the run. With CI=true it is a failure: a machine that is there to prove something must
be able to. Works without ansible-core, because the unit tests of module_utils also run on Python 3.9.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Cheap and precise first: who breaks a plan function wants to hear it before a cluster is made.
ORDER = ("unit", "lint", "cleanroom", "integration")

BESIDE = (
    "tests/lint/",
    "tests/cleanroom/",
    "tests/integration/test_delegation.py",
    "tests/integration/test_host_nodes.py",
    "tests/integration/test_role_host.py",
)
"""What can run beside the tests of this machine's engines."""

STORIES = "tests/integration/test_story.py"


def cannot_run(reason: str) -> NoReturn:
    """End the test as one that this machine cannot run; the reason says what is missing."""
    pytest.skip(reason)


def in_ci() -> bool:
    """Tell whether a test that cannot run is a failure (CI=true)."""
    return os.environ.get("CI", "").lower() == "true"


def _kind(item: pytest.Item) -> str:
    try:
        return item.path.relative_to(ROOT / "tests").parts[0]
    except ValueError:
        return ""


def stream(nodeid: str) -> str:
    """In which stream of `make test` a test runs; a unit test is in one of its file's own, which runs anywhere.

    Tests on this machine's podman look at a whole store and at free ports and subnets, so they run one at a time, and with
    them most of those on docker. Beside them goes what leaves podman alone: the linters, the virtual host, one at a time too
    for its memory, and then the stories on docker, whose daemon, store and subnets are their own. What does not bear company
    there is marked with ``alone``.
    """
    path, _colons, test = nodeid.partition("::")
    if path.startswith("tests/unit/"):
        return path
    if path == STORIES and "docker" in test:
        return "docker"
    return "beside" if path.startswith(BESIDE) else "engines"


def _lock(path: Path, kind: int) -> int:
    """Wait for the lock of a file or directory; closing what is returned gives it back."""
    descriptor = os.open(path, os.O_RDONLY)
    flock(descriptor, kind)
    return descriptor


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that is marked to need the machine alone, and those of this machine's engines, wait for each other."""
    alone = item.get_closest_marker("alone") is not None
    if not alone and stream(item.nodeid) not in ("engines", "docker"):
        return (yield)
    # Who waits holds the turn: between two of its tests a stream does not come first again.
    turn = _lock(ROOT / "tests", LOCK_EX)
    machine = _lock(ROOT / "tests" / "integration", LOCK_EX if alone else LOCK_SH)
    os.close(turn)
    try:
        return (yield)
    finally:
        os.close(machine)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let pytest-xdist (make test) keep the streams together."""
    from xdist.scheduler import LoadScopeScheduling

    class Streams(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return stream(nodeid)

    return Streams(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by kind; within a kind the order of collection stays (sort is stable)."""
    items.sort(key=lambda item: ORDER.index(kind) if (kind := _kind(item)) in ORDER else len(ORDER))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Take the reason out of a skipped report, whose longrepr is (file, line, "Skipped: reason")."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI make a failure of what could not run."""
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        reason = _reason(report)
        report.outcome = "failed"
        report.longrepr = f"cannot run on this machine, which is a failure with CI=true: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge skipped tests."""
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge whole modules that were skipped."""
    report = yield
    _judge(report)
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name what could not run, and why; with CI=true it stands among the failures."""
    skipped = terminalreporter.stats.get("skipped", ())
    if skipped:
        terminalreporter.section("cannot run on this machine")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {_reason(report)}")
