# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes snapshots of clusters, and removes them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Callable

from .._command import Runner
from .._core import checks, labels
from .._core.diagnosis import failure, keep_done
from .._core.labels import CONTROL_PLANE, LOAD_BALANCER
from .._core.operations import PARALLEL, Operation, Performed, in_order, perform
from .._core.plan import converge
from .._engine.base import Engine
from .._engine.model import Container, Volume
from .._engine.selection import cluster_nodes
from .._kubernetes.bootstrap import staging
from .._kubernetes.bootstrap.look import read_record
from .._kubernetes.network.connect import own_addresses
from .._node.scripts import Scripts
from .._resources.node import NodeResource
from .._resources.throw_away import remove_stale
from .._resources.volume_copy import copy_volume
from .._state.lock import lock_of
from .kinds import DATA, NODE, SNAPSHOT, VOLUME
from .snapshot import SavedNode, Snapshot, check_name, found_in, plan_discard, plan_remove, plan_take, volume_of
from .spec import bare_node
from .there import by_node


@dataclass(frozen=True)
class SnapshotSpec:
    """A snapshot as it was requested."""

    name: str
    cluster: str
    present: bool
    scripts: Scripts

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> SnapshotSpec:
        """From a module's parameters; raises ``invalid_option`` with all problems."""
        problems = checks.Problems()
        cluster = problems.take(checks.host_name, "cluster", params["cluster"])
        name = problems.take(check_name, "name", params["name"])
        problems.finish()
        return cls(name, cluster, params["state"] == "present", params["scripts"] or {})


@dataclass(frozen=True)
class Taken:
    """What a run did, or in check mode would do."""

    actions: tuple[str, ...] = ()
    snapshot: Mapping[str, Any] = field(default_factory=dict)
    """What is there of it now; {} where it is not there."""
    gap: float = 0.0
    """Seconds in which the cluster held still."""
    before: Mapping[str, Any] = field(default_factory=dict)
    warning: str = ""
    """What a person has to know of a forecast."""


@dataclass
class SnapshotRun:
    """One run on an engine.

    :param report: told of the operations that run and how many are left, for the one who waits.
    """

    engine: Engine
    runner: Runner
    spec: SnapshotSpec
    check_mode: bool
    report: Callable[[Collection[Operation], int], None] = lambda _running, _left: None
    _held: float = 0.0
    """When the first node was to hold still."""
    _gap: float = 0.0

    def snapshots(self) -> tuple[Snapshot, ...]:
        """All of the cluster, the oldest first."""
        return found_in(self.engine.volumes(labels.SNAPSHOT), self.spec.cluster)

    def converge(self) -> Taken:
        """Bring the snapshot into its state."""
        found = next((item for item in self.snapshots() if item.name == self.spec.name), None)
        if not self.spec.present:
            return self._removed(found)
        return Taken(snapshot=found.as_dict(), before=found.as_dict()) if found is not None else self._taken()

    def _removed(self, found: Snapshot | None) -> Taken:
        nodes = nodes_of(self.engine, self.spec.cluster) if found is None else {}
        snapshot = found or Snapshot(self.spec.name, self.spec.cluster, "", "", "", (), ())
        plan = plan_remove(found) if found is not None else plan_discard(snapshot, _statuses(nodes), self._left())
        if plan and not self.check_mode:
            # A copy that was interrupted still has its volumes.
            remove_stale(self.engine)
        performed = self._perform(plan, lambda item: self._run(item, snapshot, nodes))
        if performed.error is not None:
            keep_done(performed.error, _reported([item for item in plan if item.key in performed.results]))
            raise performed.error
        return Taken(_reported(plan), before=found.as_dict() if found is not None else {})

    def _left(self) -> dict[str, bool]:
        """Volumes that a run left which did not come to its end, with whether their nodes were to hold still."""
        found = self.engine.volumes(f"{labels.PART_OF}={volume_of(self.spec.cluster, self.spec.name)}")
        return {item.name: labels.HELD in item.labels for item in found if labels.is_ours(item.labels)}

    def _taken(self) -> Taken:
        spec, engine = self.spec, self.engine
        nodes = nodes_of(engine, spec.cluster)
        if not nodes and self.check_mode:
            text = f"There is no cluster {spec.cluster} yet; it is taken as one that an earlier task will create."
            return Taken((str(Operation("create", SNAPSHOT, spec.name)),), warning=text)
        snapshot = new_snapshot(engine, spec.cluster, spec.name, nodes)
        left = self._left()
        if left and not self.check_mode:
            remove_stale(engine)
        ordered = {item.name: nodes[item.name] for item in snapshot.nodes}
        plan = plan_take(snapshot, _statuses(ordered), left, freezes=engine.info.freezes)
        performed = self._perform(plan, lambda item: self._run(item, snapshot, ordered))
        if performed.error is not None:
            self._undone(plan, snapshot, ordered)
            raise performed.error
        return Taken(_reported(plan), snapshot.as_dict(), round(self._gap, 1))

    def _run(self, operation: Operation, snapshot: Snapshot, nodes: Mapping[str, Container]) -> None:
        if self.check_mode:
            return
        engine, verb, name = self.engine, operation.verb, operation.name
        if verb in ("discard", "remove"):
            engine.remove_volume(snapshot.volume if operation.kind == SNAPSHOT else name)
        elif operation.kind == VOLUME:
            held = any(item.running for node, item in nodes.items() if snapshot.data_of(node) == name)
            engine.create_volume(Volume(name, "local", "", snapshot.part_label(held=held), {}))
        elif operation.kind == SNAPSHOT:
            engine.create_volume(Volume(snapshot.volume, "local", "", snapshot.label, {}))
        elif operation.kind == DATA:
            volume = data_volume(nodes[name])
            copy_volume(engine, nodes[name].image_id, volume, snapshot.data_of(name), self.spec.scripts)
        elif verb in ("pause", "stop"):
            self._held = self._held or time.monotonic()
            self._hold(operation, nodes[name])
        else:
            self._go_on(operation, nodes[name])
            self._gap = time.monotonic() - self._held if self._held else 0.0

    def _hold(self, operation: Operation, container: Container) -> None:
        if operation.verb == "pause":
            self.engine.pause_container(container.id)
        else:
            self._node(operation.name, "stopped")

    def _go_on(self, operation: Operation, container: Container) -> None:
        if operation.verb == "resume":
            self.engine.resume_container(container.id)
        else:
            self._node(operation.name, "started")

    def _node(self, name: str, state: str) -> None:
        spec = bare_node(name, self.spec.cluster, state)
        resource = NodeResource(spec, self.engine, runner=self.runner)
        converge(resource, check_mode=False, lock=lock_of(resource.lock_name))

    def _undone(self, plan: Sequence[Operation], snapshot: Snapshot, nodes: Mapping[str, Container]) -> None:
        """After a failure: what held still goes on, and what was created for nothing goes. The first error is the one to report.

        What failed may have been done all the same, and next to it more that nobody has waited for: the engine is asked.
        """
        engine, failed, held = self.engine, False, {"resume": "paused", "start": "exited"}
        for item in plan:
            if item.kind == NODE and item.verb in held:
                try:
                    now = engine.container(nodes[item.name].id)
                    if now is not None and now.status == held[item.verb]:
                        self._go_on(item, now)
                except Exception:
                    failed = True
        if failed:
            # By the volumes a later run knows that the nodes hold still for a snapshot.
            return
        with suppress(Exception):
            if snapshot in found_in(engine.volumes(labels.SNAPSHOT)):
                engine.remove_volume(snapshot.volume)
            for name in self._left():
                with suppress(Exception):
                    engine.remove_volume(name)

    def _perform(self, plan: Sequence[Operation], run: Callable[[Operation], None]) -> Performed[None]:
        if self.check_mode:
            return Performed({item.key: None for item in plan})
        return perform(plan, run, parallel=PARALLEL, report=self.report)


def _statuses(nodes: Mapping[str, Container]) -> dict[str, str]:
    return {name: item.status for name, item in nodes.items()}


def nodes_of(engine: Engine, cluster: str) -> dict[str, Container]:
    """The containers of a cluster's nodes, by name."""
    there = by_node(cluster_nodes(engine, cluster))
    return {name: item for name, item in there.items() if item.labels.get(labels.ROLE) != LOAD_BALANCER}


def new_snapshot(engine: Engine, cluster: str, name: str, nodes: Mapping[str, Container]) -> Snapshot:
    """What is to be taken of these nodes; raises for what no cluster could be made of again."""
    if not nodes:
        raise failure("cluster_missing", cluster=cluster, engine=engine.name)
    records = {node: read_record(engine, item.id) for node, item in nodes.items()}
    planes = [
        node
        for node, item in nodes.items()
        if item.labels.get(labels.ROLE) == CONTROL_PLANE and records[node].get("state") == "initialized"
    ]
    if not planes:
        raise failure("snapshot_incomplete", cluster=cluster)
    ordered = sorted(nodes, key=lambda node: (node not in planes, not nodes[node].running, node))
    first = nodes[ordered[0]]
    release = records[ordered[0]].get("kubernetes") or staging.release_of_container(engine, first.id)
    network = next((item for item in engine.networks() if item.name == cluster), None)
    return Snapshot(
        name=name,
        cluster=cluster,
        taken=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        kubernetes=str(release),
        image=first.image_id,
        subnets=tuple(str(item.subnet) for item in network.ranges) if network is not None else (),
        nodes=tuple(_saved(node, nodes[node]) for node in ordered),
    )


def _reported(plan: Sequence[Operation]) -> tuple[str, ...]:
    return tuple(str(item) for item in in_order(plan) if item.changes)


def data_volume(container: Container) -> str:
    """The volume at a node's /var; raises ``snapshot_without_volume`` where it has none."""
    for item in container.raw.get("Mounts") or ():
        if item.get("Destination") == "/var" and item.get("Type") == "volume" and item.get("Name"):
            return str(item["Name"])
    raise failure("snapshot_without_volume", node=container.name)


def _saved(name: str, container: Container) -> SavedNode:
    """A node, whose container has another name where it is being replaced."""
    data_volume(container)
    addresses = own_addresses(container)
    return SavedNode(
        name=name,
        role=container.labels.get(labels.ROLE, ""),
        node_name=labels.node_name(name, container.labels),
        ip=next((item for item in addresses if ":" not in item), ""),
        ip6=next((item for item in addresses if ":" in item), ""),
    )
