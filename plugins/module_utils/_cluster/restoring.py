# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of a cluster's nodes from a snapshot: which one, to which nodes, and what of it an interrupted run has left to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from .._core import checks, labels
from .._core.diagnosis import KicError, failure
from .._core.labels import CONTROL_PLANE, WORKER
from .._engine.base import Engine
from .._engine.model import Container
from .._kubernetes.bootstrap import staging
from .._kubernetes.bootstrap.configuration import release_of
from .._kubernetes.bootstrap.look import recorded_state
from .._node.scripts import Scripts
from .._resources.network import NetworkSpec
from .._resources.throw_away import container_of
from .._resources.volume_copy import copy_volume
from .._state.lock import host_lock
from .._state.record import ClusterState, Subject
from .declared import There, counted_name
from .snapshot import SavedNode, Snapshot, Wanted, found_in, volume_of
from .snapshotting import data_volume, new_snapshot, nodes_of
from .spec import ClusterSpec


@dataclass(frozen=True)
class Source:
    """A snapshot and the nodes that get its data."""

    snapshot: Snapshot
    cluster: str
    nodes: Mapping[str, SavedNode] = field(default_factory=dict)
    """By the names of the containers that get it."""
    pending: frozenset[str] | None = None
    """Those that an interrupted run has left; None of a run that begins."""

    @property
    def clone(self) -> bool:
        """Whether it is another cluster's, so that nothing that opens the original may open it."""
        return self.snapshot.cluster != self.cluster

    @property
    def fills(self) -> tuple[str, ...]:
        """The nodes that get data in this run."""
        return tuple(name for name in self.nodes if self.pending is None or name in self.pending)

    @property
    def workers(self) -> tuple[str, ...]:
        """The workers of a clone that begins."""
        return tuple(name for name, item in self.nodes.items() if self.clone and item.role != CONTROL_PLANE)

    @property
    def as_it_was(self) -> tuple[str, ...]:
        """The nodes that have Kubernetes as soon as they have their data."""
        return () if self.clone else tuple(self.nodes)

    @property
    def there(self) -> There:
        """What a declaration without numbers means."""
        planes, others = self.snapshot.of_role(plane=True), self.snapshot.of_role(plane=False)
        if not self.clone:
            names = tuple(item.name for item in planes)
            return There(names, tuple(item.name for item in others), complete=names)
        counted, other = (
            tuple(counted_name(self.cluster, role, number + 1) for number in range(len(found)))
            for role, found in ((CONTROL_PLANE, planes), (WORKER, others))
        )
        return There(counted, other)

    def declared_by(self, spec: ClusterSpec) -> Source:
        """The same for the nodes of a declaration; raises ``snapshot_nodes`` where it has not all of them."""
        found: dict[str, SavedNode] = {}
        left: list[str] = []
        planes = [name for name in spec.nodes if name not in spec.workers]
        for plane, names in ((True, planes), (False, [*spec.workers])):
            saved = self.snapshot.of_role(plane)
            given = {item.name: item for item in saved if not self.clone} or dict(zip(names, saved))
            found.update({name: item for name, item in given.items() if name in spec.nodes})
            left += [item.name for item in saved if item not in found.values()]
        if left:
            counts = [len(self.snapshot.of_role(plane)) for plane in (True, False)]
            raise failure(
                "snapshot_nodes", name=self.snapshot.name, nodes=", ".join(left), planes=counts[0], workers=counts[1]
            )
        return replace(self, nodes=found)

    def applied(self, spec: ClusterSpec, there: Mapping[str, Container], image: str) -> ClusterSpec:
        """The declaration with what the data requires of its nodes: their names in Kubernetes, and the addresses that it knows.

        :param image: the id of the declared image.
        """
        if self.clone:
            names = {name: item.node_name for name, item in self.nodes.items()}
        else:
            names = {name: item.node_name for name, item in self.nodes.items() if item.node_name != name}
        spec = spec.named({**spec.node_names, **names})
        if self.clone:
            return spec
        nodes = dict(spec.nodes)
        for name, saved in self.nodes.items():
            node = nodes[name]
            replaced = name in there and self._replaces(there[name], saved, image)
            nodes[name] = replace(
                node,
                ip=checks.address("ip", saved.ip) if saved.ip else node.ip,
                ip6=checks.address("ip6", saved.ip6) if saved.ip6 and spec.network.ipv6 else node.ip6,
                replace=node.replace or replaced,
            )
        return replace(spec, nodes=nodes, network=self._network(spec))

    def _replaces(self, container: Container, saved: SavedNode, image: str) -> bool:
        """Whether a container cannot be that of the data: it has other addresses, or another image than is declared now."""
        have = [container.labels.get(key, "") for key in (labels.ADDRESS, labels.ADDRESS6)]
        return have != [saved.ip, saved.ip6] or container.image_id not in (self.snapshot.image, image)

    def _network(self, spec: ClusterSpec) -> NetworkSpec:
        """The network, on the subnets that the nodes' addresses are of where no other is requested."""
        network = spec.network
        for text in self.snapshot.subnets:
            version = 6 if ":" in text else 4
            subnet = checks.network("subnet", text, version)
            if version == 4 and network.subnet is None:
                network = replace(network, subnet=subnet)
            elif version == 6 and network.subnet6 is None and network.ipv6:
                network = replace(network, subnet6=subnet)
        return network


@dataclass
class Restoring:
    """The copies of one run."""

    engine: Engine
    source: Source
    scripts: Scripts
    image: str

    def begin(self) -> None:
        """Remember which nodes are without data, and where the others have theirs from, until the cluster is complete."""
        state = {"snapshot": self.source.snapshot.volume, "nodes": sorted(self.source.fills)}
        _record(self.engine, self.source.cluster, lambda _begun: state)

    def fill(self, node: str) -> None:
        """Give a node its data; its container does not run."""
        saved, source = self.source.nodes[node], self.source
        plane = saved.role == CONTROL_PLANE
        part = ("first" if node == next(iter(source.nodes)) else "further") if plane else "worker"
        container = self.engine.container(node)
        target = data_volume(container) if container is not None else node
        copy_volume(
            self.engine,
            self.image,
            source.snapshot.data_of(saved.name),
            target,
            self.scripts,
            part if source.clone else "",
        )
        _record(
            self.engine,
            source.cluster,
            lambda begun: {**begun, "nodes": [name for name in begun.get("nodes", ()) if name != node]},
        )

    def end(self) -> None:
        """Forget it: nodes that are there know all that their data requires."""
        forget(self.engine, self.source.cluster)


def _record(engine: Engine, cluster: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change what the record of a cluster knows of a restore. Nodes that get their data at the same time do so too."""
    with host_lock():
        state = ClusterState.load(Subject(engine.store, cluster))
        changed = change(state.restoring)
        if changed != state.restoring:
            state.restoring = changed
            state.save()


def forget(engine: Engine, cluster: str) -> None:
    """Forget a restore: it is complete, or the cluster is gone."""
    if ClusterState.load(Subject(engine.store, cluster)).restoring:
        _record(engine, cluster, lambda _begun: {})


def find_source(
    engine: Engine,
    cluster: str,
    state: str,
    wanted: Wanted | None,
    there: Sequence[Container],
    *,
    check_mode: bool,
) -> Source | None:
    """The snapshot that nodes get their data from in this run; None where they have theirs. Raises ``snapshot_missing``.

    :param wanted: the one that is requested, which matters where the cluster is not there, or is to be restored.
    :param check_mode: whether an earlier task may be about to take it, of the cluster as it is.
    """
    begun = ClusterState.load(Subject(engine.store, cluster)).restoring
    if begun and state != "restored":
        pending = frozenset(map(str, begun.get("nodes", ())))
        volumes = engine.volumes(labels.SNAPSHOT)
        found = next((item for item in found_in(volumes) if item.volume == begun.get("snapshot")), None)
        if found is not None:
            return Source(found, cluster, pending=pending)
        if pending:
            raise _missing(engine, str(begun.get("snapshot")), found_in(volumes))
    if wanted is None or (state != "restored" and (there or _has_data(engine, cluster))):
        return None
    volumes = engine.volumes(labels.SNAPSHOT)
    found = next(
        (item for item in found_in(volumes) if (item.cluster, item.name) == (wanted.cluster, wanted.name)), None
    )
    nodes = nodes_of(engine, wanted.cluster) if check_mode and found is None else {}
    if nodes:
        found = new_snapshot(engine, wanted.cluster, wanted.name, nodes)
    if found is None:
        raise _missing(engine, volume_of(wanted.cluster, wanted.name), found_in(volumes))
    return Source(found, cluster)


def _has_data(engine: Engine, cluster: str) -> bool:
    """Whether nodes of the cluster have left their data, which is not to be lost."""
    return any(labels.is_ours(item.labels) for item in engine.volumes(f"{labels.CLUSTER}={cluster}"))


def _missing(engine: Engine, volume: str, known: Sequence[Snapshot]) -> KicError:
    others = ", ".join(f"{item.cluster}/{item.name}" for item in known)
    name = volume.replace(".snapshot.", "/", 1)
    return failure("snapshot_missing", name=name, engine=engine.name, others=f", which has {others}" if others else "")


def refuse_planes(engine: Engine, source: Source, there: Mapping[str, Container]) -> None:
    """Raise ``snapshot_planes`` for control planes that joined after the snapshot was taken: with the data that they have, etcd
    would be two, which know each other.

    :param there: the containers of the cluster's nodes.
    """
    others = sorted(
        name
        for name, item in there.items()
        if source.pending is None
        and name not in source.nodes
        and item.labels.get(labels.ROLE) == CONTROL_PLANE
        and recorded_state(engine, item.id)
    )
    if others:
        planes = len(source.snapshot.of_role(plane=True))
        raise failure("snapshot_planes", name=source.snapshot.name, nodes=", ".join(others), planes=planes)


def refuse_release(engine: Engine, source: Source, image: str, image_id: str) -> None:
    """Raise ``snapshot_release`` where the image has another release of Kubernetes than the data was written by."""
    if image_id == source.snapshot.image:
        return
    with container_of(engine, image_id) as identity:
        target = staging.release_of_container(engine, identity)
    if target != source.snapshot.kubernetes:
        found = source.snapshot.kubernetes
        minor = ".".join(map(str, release_of(found)))
        raise failure(
            "snapshot_release",
            name=source.snapshot.name,
            found=found,
            image=image,
            target=target or "no Kubernetes",
            minor=minor,
        )
