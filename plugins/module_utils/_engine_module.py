# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that work on an engine: which one it is, and what a machine answers that has none."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ansible.module_utils.basic import AnsibleModule

from ._command import Runner, SubprocessRunner
from ._core.diagnosis import KicError
from ._core.labels import SCHEMA, SNAPSHOT, is_ours
from ._core.replaced import is_aside, node_of
from ._engine.base import Engine, EngineReader
from ._engine.drivers import ENGINES, driver
from ._engine.model import BY_PRIORITY, Container, EngineInfo, Volume
from ._engine.selection import cluster_nodes, holders, select
from ._module import HostTask, finish

ENGINE_ARGUMENTS: dict[str, dict[str, Any]] = {
    "engine": {"type": "str", "default": "auto", "choices": list(ENGINES)},
    "engine_facts": {"type": "dict"},
}


@dataclass
class Task(HostTask):
    """One run of a module that works on an engine."""

    engine: Engine
    seen: Any = None
    """What the engine that ``auto`` took holds of what the task is about, as it was found; else None."""

    def elsewhere(self, cluster: str) -> bool:
        """Whether another engine of this machine holds the cluster, or does not say that it holds none."""
        return holders(self.runner, cluster, besides=self.engine.name) != ()


def run_module(
    argument_spec: Mapping[str, Any],
    body: Callable[[Task], dict[str, Any]],
    *,
    supports_check_mode: bool = True,
    mutually_exclusive: Sequence[Sequence[str]] = (),
    required_if: Sequence[Sequence[Any]] = (),
    required_one_of: Sequence[Sequence[str]] = (),
    failure_facts: Callable[[Runner], dict[str, Any]] | None = None,
    held: str = "",
) -> None:
    """Run a module that works on an engine: ``body`` returns the result, a :class:`KicError` becomes the failure.

    ``failure_facts`` gives what a failure returns next to its diagnosis. ``held`` names the parameters, and what they
    name, that tell which of two engines the task is about: ``name:volume``, ``name:container,cluster:cluster``.
    """
    module = AnsibleModule(
        argument_spec=dict(argument_spec, **ENGINE_ARGUMENTS),
        supports_check_mode=supports_check_mode,
        mutually_exclusive=mutually_exclusive,
        required_if=required_if,
        required_one_of=required_one_of,
    )

    used = {"engine": module.params["engine"]}

    def on_engine() -> dict[str, Any]:
        engine, seen = _engine(module, held, SubprocessRunner())
        used["engine"] = engine.name
        result = body(Task(module, engine, seen))
        result.setdefault("engine", engine.name)
        return result

    def facts() -> dict[str, Any]:
        return {**(failure_facts(SubprocessRunner()) if failure_facts is not None else {}), **used}

    finish(module, on_engine, facts)


def _aside(engine: EngineReader, name: str) -> Container | None:
    """The old container of a node whose replacement was interrupted."""
    found = (item for item in engine.containers(SCHEMA) if is_aside(item.name))
    return next((item for item in found if node_of(item.name) == name), None)


def _snapshots(engine: EngineReader, cluster: str) -> list[Volume]:
    """The volumes by which an engine knows the snapshots of a cluster, which may be gone itself."""
    return [item for item in engine.volumes(SNAPSHOT) if is_ours(item.labels) and item.name.startswith(f"{cluster}.")]


_HOLDS: dict[str, Callable[[Engine, Any], Any]] = {
    # What others made under this name is no reason to go to their engine.
    "network": lambda engine, name: [item for item in engine.networks() if item.name == name and is_ours(item.labels)],
    "volume": lambda engine, name: _ours(engine.volume(name)),
    "container": lambda engine, name: _ours(engine.container(name)) or _aside(engine, name),
    "nodes": lambda engine, names: [found for name in names if (found := _ours(engine.container(name))) is not None],
    "cluster": cluster_nodes,
    "snapshots": lambda engine, cluster: cluster_nodes(engine, cluster) or _snapshots(engine, cluster),
}


def _ours(found: Any) -> Any:
    return found if found is not None and is_ours(found.labels) else None


def _asked(module: AnsibleModule, held: str) -> tuple[str, Any]:
    """The kind and the name of what the task is about: the first of the parameters in ``held`` that is set; or nothing."""
    for pair in held.split(","):
        parameter, _separator, kind = pair.partition(":")
        if module.params.get(parameter):
            return kind, module.params[parameter]
    return "", ""


def _engine(module: AnsibleModule, held: str, runner: Runner) -> tuple[Engine, Any]:
    given = module.params["engine_facts"]
    # The facts of a machine that had no engine when they were taken (check mode) say nothing about it.
    facts = EngineInfo.from_dict(given) if given and given.get("version") != "0" else None
    kind, name = _asked(module, held)
    # A node, network or volume that is not there yet goes where its cluster is.
    cluster = module.params.get("cluster") or (name if kind == "cluster" else "")
    seen: dict[str, Any] = {}

    def holds(candidate: Engine) -> bool:
        seen[candidate.name] = _HOLDS[kind](candidate, name)
        return bool(seen[candidate.name] or (cluster and kind != "cluster" and cluster_nodes(candidate, cluster)))

    def recorded(engine: str) -> str | None:
        from ._state.record import recorded_cluster

        return recorded_cluster(engine, cluster) if cluster else None

    try:
        engine = select(module.params["engine"], runner, facts, holds if name else None, module.warn, recorded)
    except KicError as error:
        asked = module.params["engine"]
        return _absent(module, BY_PRIORITY[0] if asked == "auto" else asked, error), None
    if module.check_mode and facts is None:
        try:
            engine.info  # noqa: B018  # asked here, so that every later question may rely on an answer
        except KicError as error:
            return _absent(module, engine.name, error), None
    return engine, seen.get(engine.name)


def _absent(module: AnsibleModule, name: str, error: KicError) -> Engine:
    """In check mode the engine of a machine that has none yet; else the error, or what is behind it."""
    from ._engine.absent import AbsentEngine
    from ._host.preflight import UNCLEAR, ReportedEngine, refuse_unfit

    if driver(name).capabilities.per_user and os.geteuid() != 0 and error.diagnosis.id in UNCLEAR:
        refuse_unfit(ReportedEngine(name), SubprocessRunner())
    if not module.check_mode or error.diagnosis.id != "engine_not_installed":
        raise error
    module.warn(f"{error.diagnosis.cause} The plan is made against an empty engine.")
    return AbsentEngine(name, error)
