# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engines there are, and the one that a task uses.

Ansible sends a module's source and Python compiles it anew at each start, so what one task in many needs is imported there.
"""

from __future__ import annotations

from typing import Callable

from .._command import Runner
from .._core.diagnosis import KicError, failure
from .._core.labels import CLUSTER, is_ours
from .base import Engine
from .cli import CommandLineEngine
from .model import Container, EngineInfo

BY_PRIORITY = ("podman", "docker")
"""The engines by their priority, the highest first."""

ENGINES = ("auto", "docker", "podman")
"""What the option ``engine`` takes."""


def driver(name: str) -> type[CommandLineEngine]:
    """The class of the engine ``name``, one of BY_PRIORITY."""
    if name == "podman":
        from .podman import Podman

        return Podman
    from .docker import Docker

    return Docker


def select(
    engine: str,
    runner: Runner,
    facts: EngineInfo | None = None,
    holds: Callable[[Engine], bool] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Engine:
    """The engine to use. What was asked for by name is used or refused, never replaced silently.

    ``auto`` is the engine that ``holds`` what the task is about, else of those that can be used one that needs no
    improvement, else the preferred one. Raises why the best one that is installed can not be used, when none can.
    One that does not answer in time is one that can not be used; ``warn`` is told, as it may hold what is asked for.
    """
    if facts is not None and engine not in ("auto", facts.name):
        raise failure(
            "invalid_option",
            option="engine_facts",
            problem=f"they are of {facts.name}, but engine is {engine}",
            fix="hand in the facts of the engine that is asked for",
        )
    if facts is not None:
        return driver(facts.name)(runner, facts)
    if engine != "auto":
        named = driver(engine)(runner)
        # Asked first: a podman in disguise or an engine of another machine would do what is asked, at the wrong place.
        named.info  # noqa: B018
        return named
    from .status import Status, status

    usable: list[tuple[Status, Engine]] = []
    refused = []
    for name in BY_PRIORITY:
        candidate = driver(name)(runner)
        found = status(candidate)
        problem = found.problem
        if problem is None and holds is not None:
            try:
                if holds(candidate):
                    return candidate
            except KicError as error:
                if error.diagnosis.id != "timed_out":
                    raise
                problem = error.diagnosis
        if problem is None:
            usable.append((found, candidate))
        else:
            refused.append(problem)
    if usable:
        best = min(usable, key=lambda item: item[0].rank)[1]
        for problem in refused:
            if problem.id == "timed_out" and warn is not None:
                warn(f"The other engine does not answer, so {best.name} is used: {problem.cause} Fix: {problem.fix}")
        return best
    # What is there and does not work tells more than what is not there.
    raise KicError(min(refused, key=lambda problem: problem.id == "engine_not_installed"))


def cluster_nodes(engine: Engine, cluster: str) -> list[Container]:
    """The nodes of a cluster that the engine holds; a container of others with such a label is none."""
    return [item for item in engine.containers(f"{CLUSTER}={cluster}") if is_ours(item.labels)]


def holders(runner: Runner, cluster: str, besides: str) -> tuple[str, ...]:
    """The other engines of this machine that hold containers of ``cluster``, or do not say whether they do."""
    found = []
    for name in BY_PRIORITY:
        if name == besides:
            continue
        try:
            holds = bool(cluster_nodes(driver(name)(runner), cluster))
        except KicError as error:
            # podman under docker's name is the same engine again.
            holds = error.diagnosis.id not in ("engine_not_installed", "engine_is_another")
        if holds:
            found.append(name)
    return tuple(found)
