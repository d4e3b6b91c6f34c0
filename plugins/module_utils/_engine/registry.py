# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engines there are, and the one that a task uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._command import Runner
from .._core.diagnosis import Diagnosis, KicError, failure
from .base import Engine
from .model import EngineInfo
from .podman import Podman

ENGINES = ("auto", "docker", "podman")
"""What the option ``engine`` takes. docker is refused with one clear error until it is built."""


def select(engine: str, runner: Runner, facts: EngineInfo | None = None) -> Engine:
    """The engine to use. What was asked for by name is used or refused, never replaced silently."""
    if engine == "docker":
        raise failure("engine_unsupported", engine=engine)
    if facts is not None and engine not in ("auto", facts.name):
        raise failure(
            "invalid_option",
            option="engine_facts",
            problem=f"they are of {facts.name}, but engine is {engine}",
            fix="hand in the facts of the engine that is asked for",
        )
    if facts is not None and facts.name != "podman":
        raise failure("engine_unsupported", engine=facts.name)
    return Podman(runner, facts)


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
