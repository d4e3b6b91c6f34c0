# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an engine can be used here, and if not, why; whether it could be better."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .._command import Runner
from .._core.diagnosis import Diagnosis, KicError, link
from .._host.preflight import ENGINE, USER, Facts, warnings
from .absent import AbsentEngine
from .base import EngineReader
from .drivers import driver
from .model import BY_PRIORITY, EngineInfo


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


def status(engine: EngineReader) -> Status:
    """Look at ``engine`` and say what is wrong with it."""
    try:
        info = engine.info
    except KicError as error:
        return Status(engine.name, error.diagnosis, engine.answer, priority=engine.priority)
    return Status(engine.name, None, info, warnings(Facts(info), ENGINE, USER), engine.priority)


def statuses(runner: Runner, chosen: EngineReader) -> list[Status]:
    """What is known of each engine, the preferred one first; the one that was chosen is not asked again."""
    if isinstance(chosen, AbsentEngine):
        return [Status(chosen.name, chosen.reason.diagnosis)]
    engines = [chosen if chosen.name == name else driver(name)(runner) for name in BY_PRIORITY]
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


def _endpoint(engine: EngineReader, found: Status) -> str:
    problem = found.problem.id if found.problem is not None else ""
    if problem in ("engine_not_installed", "engine_is_another"):
        return ""
    try:
        return engine.endpoint()
    except KicError:
        # Why it does not work is told already, or it works and this is no reason to fail a look.
        return ""
