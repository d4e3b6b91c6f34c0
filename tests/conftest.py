# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tests run, in which order and process, and what becomes of a test that this machine cannot run.

`make test` runs the quick set: all tests without the marker ``full``. `make test-full` runs those of some areas
(tests/areas.py), and no test again that has passed in this state of the checkout (tests/passes.py).

A test that needs what the machine has not got calls `cannot_run` (or pytest.skip, which is the same). It is named
with its reason at the end of the run. With CI=true it is a failure: a machine that is there to prove something must
be able to. Works without ansible-core, because the unit tests of module_utils also run on Python 3.9.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path
from typing import Any, NoReturn

import pytest

from .areas import AREAS, area_of, together
from .passes import Passes

ROOT = Path(__file__).resolve().parent.parent

REASONED = ("full", "alone", "outermost", "emulated_cluster", "one_python")
"""Markers that say why they are there: ``@pytest.mark.full("ten minutes; its parts are in the quick set")``."""

SAVE_SECONDS = 5.0
"""How often the passes of a run are written."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What make test-full gives."""
    group = parser.getgroup("nodeforge.kic")
    names = ", ".join(area.name for area in AREAS)
    group.addoption("--area", default="", help=f"run the tests of these areas, separated by commas: {names}")
    group.addoption("--record-passes", action="store_true", help="keep a record of what passed, for the options above")
    group.addoption("--affected", action="store_true", help="leave out what has passed in this state of the checkout")


def cannot_run(reason: str) -> NoReturn:
    """End the test as one that this machine cannot run; the reason says what is missing."""
    pytest.skip(reason)


def in_ci() -> bool:
    """Tell whether a test that cannot run is a failure (CI=true)."""
    return os.environ.get("CI", "").lower() == "true"


def stream(nodeid: str) -> str:
    """In which process of `make test` a test runs: those of one stream run one after the other.

    ``engines``
        This machine's podman and docker. These tests compare the whole store, free ports and subnets before and after.
    ``docker``
        The stories on docker and docker 29, whose daemons, stores and subnets are their own; the end of one takes the rules
        of the packet filter back that another needs.
    ``lint``, ``cleanroom``, ``host``
        What leaves this machine's engines as they are: the linters, the clean room, the virtual machine.

    A unit test, and what an area names as running beside the engines, is in a stream of its file's own. Of two processes one
    takes ``engines`` at once, which is half of all the time, and the other the rest, in which the first joins it when
    ``engines`` has ended. What fails next to other tests is marked with ``alone``.
    """
    path, _colons, test = nodeid.partition("::")
    area = area_of(nodeid)
    if area.name == "stories" and ("docker" in test or "containerd_image_store" in path):
        return "docker"
    return area.stream_of(nodeid) or path


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


def pytest_configure(config: pytest.Config) -> None:
    """Read the record of passes; a process of xdist is given the states, so that all leave out the same."""
    # Outside the checkout's own settings, as under Python 3.9 in tests/lint, nothing is recorded and no state is needed.
    states = getattr(config, "workerinput", {}).get("states", None if config.getoption("--record-passes") else {})
    config.stash[PASSES] = Passes(states=states)
    unknown = set(_areas(config)) - {area.name for area in AREAS}
    if unknown:
        raise pytest.UsageError(f"no area {', '.join(sorted(unknown))}; there are {', '.join(a.name for a in AREAS)}")
    if config.getoption("--record-passes") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(config.stash[PASSES]), RECORDER)


PASSES = pytest.StashKey[Passes]()
RECORDER = "nodeforge.kic-passes"


def _areas(config: pytest.Config) -> list[str]:
    return [name.strip() for name in config.getoption("--area").split(",") if name.strip()]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the states to a process of xdist."""
    node.workerinput["states"] = node.config.stash[PASSES].states


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what each area has before it, where not simply all is run."""
    asked = _areas(config)
    if not asked and not config.getoption("--affected"):
        return []
    lines = []
    for area in AREAS:
        passed, open_, seconds = config.stash[PASSES].of(area)
        if asked and area.name not in asked:
            continue
        told = f"{passed} passed in this state" if passed else "nothing passed in this state"
        if open_:
            told += f", {open_} passed in another and took {seconds / 60:.0f} min"
        lines.append(f"area {area.name} ({area.proves}): {told}")
    return lines


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take what was requested, cheap and precise first: who breaks a function wants to hear it before a cluster is made."""
    for item in items:
        for name in REASONED:
            for mark in item.iter_markers(name):
                if not mark.args:
                    raise pytest.UsageError(f"{item.nodeid}: the marker {name} has to say why")
    items.sort(key=lambda item: AREAS.index(area_of(item.nodeid)))
    if hasattr(config, "workerinput"):
        # The longest stream first, or its process would be the last to end.
        items.sort(key=lambda item: stream(item.nodeid) != "engines")
    asked, passes = _areas(config), config.stash[PASSES]
    resume = bool(asked) or config.getoption("--affected")
    wanted = [item for item in items if not asked or area_of(item.nodeid).name in asked]
    open_ = {together(item.nodeid) for item in wanted if not (resume and passes.passed(item.nodeid))}
    chosen = [item for item in wanted if together(item.nodeid) in open_]
    if len(chosen) < len(items):
        kept = set(chosen)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = chosen


class Recorder:
    """Keeps the record of passes: in the process that the user started, which hears of every test."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._parts: dict[str, list[pytest.TestReport]] = {}
        self._saved = time.monotonic()
        self.changed: list[str] = []
        """Areas whose files were changed during the run."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A pass is a test whose set-up, call and tear-down passed."""
        parts = self._parts.setdefault(report.nodeid, [])
        parts.append(report)
        if report.when != "teardown":
            return
        del self._parts[report.nodeid]
        if len(parts) == 3 and all(part.passed for part in parts):
            self._passes.add(report.nodeid, sum(part.duration for part in parts))
        else:
            self._passes.remove(report.nodeid)
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._passes.save()
            self._saved = time.monotonic()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """What had all passed before is no error."""
        self.changed = self._passes.drop_changed()
        self._passes.save()
        asked = session.config.getoption("--area") or session.config.getoption("--affected")
        if asked and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK


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


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Name what could not run, and why; with CI=true it stands among the failures."""
    recorder = config.pluginmanager.get_plugin(RECORDER)
    if recorder is not None and recorder.changed:
        areas = ", ".join(recorder.changed)
        terminalreporter.line(f"Files changed during this run, so its passes are not recorded for the areas {areas}.")
    skipped = terminalreporter.stats.get("skipped", ())
    if skipped:
        terminalreporter.section("cannot run on this machine")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {_reason(report)}")
