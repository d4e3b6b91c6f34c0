# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine that a task uses, and which engines have a cluster.

What only a choice between engines needs is imported there: Python compiles a module's source at each start of a task.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Callable

from .._command import Runner
from .._core.diagnosis import Diagnosis, KicError, failure
from .._core.labels import CLUSTER, CONTROL_PLANE, LOAD_BALANCER, ROLE, is_ours
from .._core.replaced import is_aside
from .base import Engine, EngineReader
from .drivers import driver
from .model import BY_PRIORITY, Container, EngineInfo

if TYPE_CHECKING:
    from .status import Status


def select(
    engine: str,
    runner: Runner,
    facts: EngineInfo | None = None,
    holds: Callable[[Engine], bool] | None = None,
    warn: Callable[[str], None] | None = None,
    recorded: Callable[[str], str | None] | None = None,
) -> Engine:
    """The engine to use. What was requested by name is used or refused, never replaced silently.

    ``auto`` is the engine that ``holds`` what the task is about, else the one of ``facts``, else of those that can be used
    one that needs no improvement, else the preferred one. Raises why the best one that is installed cannot be used, when
    none can. One that does not answer in time is one that cannot be used; ``warn`` is told, as it may hold what is asked
    for. Where ``recorded`` names a cluster that was made on an engine that cannot be asked, the other one is not taken
    in its place: that would make the cluster a second time.
    """
    if facts is not None and engine not in ("auto", facts.name):
        raise failure(
            "invalid_option",
            option="engine_facts",
            problem=f"they are of {facts.name}, but engine is {engine}",
            fix="hand in the facts of the engine that is requested",
        )
    if facts is not None and (engine != "auto" or holds is None):
        return driver(facts.name)(runner, facts)
    if engine != "auto":
        named = driver(engine)(runner)
        # Asked first: a podman in disguise or an engine of another machine would do what is asked, at the wrong place.
        named.info  # noqa: B018
        return named
    return _Choice(runner, facts, holds, recorded).made(warn)


class _Choice:
    """The choice between the engines of a machine; each is asked only as far as it matters."""

    def __init__(
        self,
        runner: Runner,
        facts: EngineInfo | None,
        holds: Callable[[Engine], bool] | None,
        recorded: Callable[[str], str | None] | None,
    ) -> None:
        self._runner = runner
        self._facts = facts
        self._holds = holds
        self._recorded = recorded
        self._usable: list[tuple[Status, Engine]] = []
        self._refused: list[tuple[str, Diagnosis]] = []

    def made(self, warn: Callable[[str], None] | None) -> Engine:
        """The engine, or why there is none."""
        given: Engine | None = None
        if self._facts is not None:
            # It was asked already.
            given = driver(self._facts.name)(self._runner, self._facts)
            if self._holds is not None and self._holds(given):
                return given
        for name in BY_PRIORITY:
            if given is None or name != given.name:
                holder = self._look(name)
                if holder is not None:
                    return holder
        if given is None and not self._usable:
            raise KicError(self._refusal())
        best = given or min(self._usable, key=lambda item: item[0].rank)[1]
        self._refuse_second(best)
        for _name, problem in self._refused:
            if problem.id == "timed_out" and warn is not None:
                warn(f"The other engine does not answer, so {best.name} is used: {problem.cause} Fix: {problem.fix}")
        return best

    def _refusal(self) -> Diagnosis:
        """Why no engine can be used. What is installed and does not work tells more than what is not installed; where both
        are installed, it may be either that the user means, as a member of group docker who may have no rootless podman."""
        installed = [(name, problem) for name, problem in self._refused if not _not_installed(problem)]
        if not installed:
            return self._refused[0][1]
        first = installed[0][1]
        if len(installed) == 1:
            return first
        cause = " The other engine: ".join(problem.cause for _name, problem in installed)
        return replace(first, cause=cause, fix="; ".join(f"for {name}: {problem.fix}" for name, problem in installed))

    def _look(self, name: str) -> Engine | None:
        """The engine, where it holds what is requested."""
        from .status import status

        candidate = driver(name)(self._runner)
        found = status(candidate)
        problem = found.problem
        if problem is None and self._holds is not None:
            try:
                if self._holds(candidate):
                    return candidate
            except KicError as error:
                if error.diagnosis.id != "timed_out":
                    raise
                problem = error.diagnosis
        if problem is None:
            self._usable.append((found, candidate))
        else:
            self._refused.append((name, problem))
        return None

    def _refuse_second(self, best: Engine) -> None:
        """Refuse what would make a cluster on ``best`` that is known to be on an engine that cannot be asked."""
        for name, problem in self._refused:
            cluster = self._recorded(name) if self._recorded is not None and not _not_installed(problem) else None
            if cluster is not None:
                raise failure(
                    "cluster_elsewhere",
                    output=problem.output,
                    cluster=cluster,
                    engine=name,
                    problem=problem.cause,
                    fix=problem.fix,
                    other=best.name,
                )


def _not_installed(problem: Diagnosis) -> bool:
    # podman under docker's name is no second engine.
    return problem.id in ("engine_not_installed", "engine_is_another")


def cluster_nodes(engine: EngineReader, cluster: str) -> list[Container]:
    """The nodes of a cluster that the engine holds; a container of others with such a label is none."""
    return [item for item in engine.containers(f"{CLUSTER}={cluster}") if is_ours(item.labels)]


def control_plane(nodes: Iterable[Container], *, stopped: bool = False) -> Container | None:
    """The first control plane among the nodes of a cluster that runs; with ``stopped`` also one that does not."""
    found = [container for container in nodes if is_control_plane(container) and (container.running or stopped)]
    return min(found, key=lambda item: (not item.running, item.name)) if found else None


def is_control_plane(container: Container) -> bool:
    """Whether the container is a control plane, by its labels."""
    return container.labels.get(ROLE) == CONTROL_PLANE and not is_aside(container.name)


def load_balancer(nodes: Iterable[Container]) -> Container | None:
    """The container among those of a cluster that offers its API on the host; None where a control plane does."""
    return next((item for item in nodes if item.labels.get(ROLE) == LOAD_BALANCER and not is_aside(item.name)), None)


def holds_cluster(engine: EngineReader, cluster: str) -> bool | None:
    """Whether the engine has nodes of the cluster; None when it cannot be asked.

    One that is not installed has none, nor has podman under docker's name any that podman has not.
    """
    try:
        engine.info  # noqa: B018
        return bool(cluster_nodes(engine, cluster))
    except KicError as error:
        return False if _not_installed(error.diagnosis) else None


def holders(runner: Runner, cluster: str, besides: str) -> tuple[str, ...]:
    """The other engines of this machine that hold containers of ``cluster``, or do not say whether they do."""
    others = (name for name in BY_PRIORITY if name != besides)
    return tuple(name for name in others if holds_cluster(driver(name)(runner), cluster) is not False)
