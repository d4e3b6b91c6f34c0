# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engines there are, and the one that a task uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from .._command import Runner
from .._core.diagnosis import Diagnosis, KicError, failure
from .base import Engine
from .cli import CommandLineEngine
from .docker import Docker
from .model import EngineInfo
from .podman import Podman

DRIVERS: dict[str, type[CommandLineEngine]] = {"podman": Podman, "docker": Docker}
"""The engines, the preferred one first: podman needs no daemon, and takes no group of users who are as good as root."""

ENGINES = ("auto", "docker", "podman")
"""What the option ``engine`` takes."""


def select(
    engine: str, runner: Runner, facts: EngineInfo | None = None, holds: Callable[[Engine], bool] | None = None
) -> Engine:
    """The engine to use. What was asked for by name is used or refused, never replaced silently.

    ``auto`` is the engine that ``holds`` what the task is about, else the first that can be used. Raises why the best
    one that is installed can not be, when none can.
    """
    if facts is not None and engine not in ("auto", facts.name):
        raise failure(
            "invalid_option",
            option="engine_facts",
            problem=f"they are of {facts.name}, but engine is {engine}",
            fix="hand in the facts of the engine that is asked for",
        )
    if facts is not None:
        return DRIVERS[facts.name](runner, facts)
    if engine != "auto":
        return DRIVERS[engine](runner)
    usable, refused = [], []
    for driver in DRIVERS.values():
        candidate = driver(runner)
        found = status(candidate)
        if found.problem is not None:
            refused.append(found.problem)
        elif holds is not None and holds(candidate):
            return candidate
        else:
            usable.append(candidate)
    if usable:
        return usable[0]
    # What is there and does not work tells more than what is not there.
    raise KicError(min(refused, key=lambda problem: problem.id == "engine_not_installed"))


def statuses(runner: Runner, chosen: Engine) -> list[Status]:
    """What is known of each engine; the one that was chosen is not asked again."""
    return [status(chosen if chosen.name == name else driver(runner)) for name, driver in DRIVERS.items()]


@dataclass(frozen=True)
class Status:
    """Whether an engine can be used here, and if not, why."""

    name: str
    problem: Diagnosis | None

    def as_dict(self) -> dict[str, Any]:
        """The documented keys."""
        problem = self.problem or Diagnosis("", "", "")
        return {
            "name": self.name,
            "installed": problem.id != "engine_not_installed",
            "usable": self.problem is None,
            "reason": problem.id,
            "cause": problem.cause,
            "fix": problem.fix,
        }


def status(engine: Engine) -> Status:
    """Look at ``engine`` and say what is wrong with it."""
    try:
        engine.info  # noqa: B018  # asks the engine, and refuses one that can not hold nodes
    except KicError as error:
        return Status(engine.name, error.diagnosis)
    return Status(engine.name, None)
