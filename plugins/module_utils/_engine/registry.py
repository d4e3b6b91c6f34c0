# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engines there are, and the one that a task uses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable

from .._command import Runner
from .._core.diagnosis import Diagnosis, KicError, failure, link
from .base import Engine
from .cli import CommandLineEngine
from .docker import Docker
from .health import look, weaknesses
from .model import EngineInfo
from .podman import Podman

DRIVERS: dict[str, type[CommandLineEngine]] = {"podman": Podman, "docker": Docker}
"""The engines by their priority, the highest first."""

ENGINES = ("auto", "docker", "podman")
"""What the option ``engine`` takes."""


def select(
    engine: str, runner: Runner, facts: EngineInfo | None = None, holds: Callable[[Engine], bool] | None = None
) -> Engine:
    """The engine to use. What was asked for by name is used or refused, never replaced silently.

    ``auto`` is the engine that ``holds`` what the task is about, else of those that can be used one that needs no
    improvement, else the preferred one. Raises why the best one that is installed can not be used, when none can.
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
        named = DRIVERS[engine](runner)
        # Asked first: a podman in disguise or an engine of another machine would do what is asked, at the wrong place.
        named.info  # noqa: B018
        return named
    usable: list[tuple[Status, Engine]] = []
    refused = []
    for driver in DRIVERS.values():
        candidate = driver(runner)
        found = status(candidate)
        if found.problem is not None:
            refused.append(found.problem)
        elif holds is not None and holds(candidate):
            return candidate
        else:
            usable.append((found, candidate))
    if usable:
        return min(usable, key=lambda item: item[0].rank)[1]
    # What is there and does not work tells more than what is not there.
    raise KicError(min(refused, key=lambda problem: problem.id == "engine_not_installed"))


@dataclass(frozen=True)
class Status:
    """What is known of an engine: whether it can be used here, and if not, why; whether it could be better."""

    name: str
    problem: Diagnosis | None
    info: EngineInfo | None = None
    """What it said of itself, where it answered."""
    improvements: tuple[Diagnosis, ...] = ()
    priority: int = 0
    endpoint: str = ""
    aliases: tuple[str, ...] = ()
    """Other programs of this machine that are this engine."""
    default: bool = False

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """The lowest is the best: by status, then by priority."""
        return (self.problem is not None, bool(self.improvements), -self.priority)

    def as_dict(self) -> dict[str, Any]:
        """The documented keys."""
        problem = self.problem or Diagnosis("", "", "")
        info = self.info
        return {
            "name": self.name,
            "aliases": list(self.aliases),
            "priority": self.priority,
            "default": self.default,
            "version": info.version if info else "",
            "endpoint": self.endpoint,
            "rootless": info.rootless if info else None,
            "storage_driver": info.storage_driver if info else "",
            "cgroup_version": info.cgroup_version if info else None,
            "cgroup_manager": info.cgroup_manager if info else "",
            "runtimes": list(info.runtimes) if info else [],
            "installed": problem.id != "engine_not_installed",
            "running": info is not None,
            "healthy": self.problem is None,
            "needs_improvement": bool(self.improvements),
            "usable": self.problem is None,
            "reason": problem.id,
            "cause": problem.cause,
            "fix": problem.fix,
            "link": link(problem.id) if problem.id else "",
            "improvements": [
                {"id": item.id, "cause": item.cause, "fix": item.fix, "link": link(item.id)}
                for item in self.improvements
            ],
        }


def status(engine: Engine) -> Status:
    """Look at ``engine`` and say what is wrong with it."""
    priority = DRIVERS[engine.name].priority
    try:
        info = engine.info
    except KicError as error:
        return Status(engine.name, error.diagnosis, getattr(engine, "answer", None), priority=priority)
    return Status(engine.name, None, info, weaknesses(info, look(info)), priority)


def statuses(runner: Runner, chosen: Engine) -> list[Status]:
    """What is known of each engine, the preferred one first; the one that was chosen is not asked again."""
    engines = [chosen if chosen.name == name else driver(runner) for name, driver in DRIVERS.items()]
    found = [status(engine) for engine in engines]
    best = min(found, key=lambda item: item.rank)
    # Nothing but podman answers under the name of another engine (podman-docker).
    others = tuple(item.name for item in found if item.problem and item.problem.id == "engine_is_another")
    return [
        replace(
            item,
            endpoint=_endpoint(engine, item),
            aliases=others if item.name == "podman" else (),
            default=item is best and item.problem is None,
        )
        for item, engine in zip(found, engines)
    ]


def _endpoint(engine: Engine, found: Status) -> str:
    problem = found.problem.id if found.problem is not None else ""
    if problem in ("engine_not_installed", "engine_is_another") or not isinstance(engine, CommandLineEngine):
        return ""
    try:
        return engine.endpoint()
    except KicError:
        # Why it does not work is told already, or it works and this is no reason to fail a look.
        return ""
