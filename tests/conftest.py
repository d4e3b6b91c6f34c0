# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Order of the tests, and what becomes of a test that this machine cannot run.

A test that needs what the machine has not got calls `cannot_run` (or pytest.skip, which is the same). It is named
with its reason at the end of the run. With CI=true it is a failure: a machine that is there to prove something must
be able to. Works without ansible-core, because the unit tests of module_utils also run on Python 3.9.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any, NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Cheap and precise first: who breaks a plan function wants to hear it before a cluster is made.
ORDER = ("unit", "lint", "integration")

COULD_NOT_RUN = pytest.StashKey[list[tuple[str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the names of what could not run."""
    config.stash[COULD_NOT_RUN] = []


def cannot_run(reason: str) -> NoReturn:
    """End the test as one that this machine cannot run; the reason says what is missing."""
    pytest.skip(reason)


def in_ci() -> bool:
    """Tell whether a test that cannot run is a failure (CI=true)."""
    return os.environ.get("CI", "").lower() == "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by kind; within a kind the order of collection stays (sort is stable)."""

    def rank(item: pytest.Item) -> int:
        try:
            kind = item.path.relative_to(ROOT / "tests").parts[0]
        except ValueError:
            return len(ORDER)
        return ORDER.index(kind) if kind in ORDER else len(ORDER)

    items.sort(key=rank)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Take the reason out of a skipped report, whose longrepr is (file, line, "Skipped: reason")."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def _judge(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    """Note a report of something that could not run; in CI make it a failure."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = _reason(report)
    config.stash[COULD_NOT_RUN].append((report.nodeid, reason))
    if in_ci():
        report.outcome = "failed"
        report.longrepr = f"cannot run on this machine, which is a failure with CI=true: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge skipped tests."""
    report = yield
    _judge(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge whole modules that were skipped."""
    report = yield
    _judge(report, collector.config)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Name what could not run, and why."""
    if config.stash[COULD_NOT_RUN]:
        terminalreporter.section("cannot run on this machine")
        for nodeid, reason in config.stash[COULD_NOT_RUN]:
            terminalreporter.line(f"{nodeid}: {reason}")
