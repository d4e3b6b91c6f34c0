# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes and clusters as they are found, by labels and by the records of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Callable

from .._core import labels, replaced
from .._engine.base import Engine
from .._engine.model import Container
from .._host.cgroup import find_limits, find_use
from .._node.inside import Inside, peek_inside
from .._node.scripts import Scripts
from .._state.record import ClusterState, recorded_clusters
from .node_plan import ObservedNode, describe
from .node_run import record_of, recorded_limits


def find_nodes(
    engine: Engine,
    name: str | None,
    cluster: str | None,
    *,
    looks_inside: bool = True,
    scripts: Scripts | None = None,
) -> list[dict[str, Any]]:
    """Descriptions of the nodes by name; of one cluster or the one of this name, if that is asked.

    :param looks_inside: whether running nodes are asked how their system is, and when their certificates end.
    :param scripts: what is run in them; without it nothing is known of certificates.
    """
    label = f"{labels.CLUSTER}={cluster}" if cluster is not None else labels.SCHEMA
    found = []
    ours = [item for item in engine.containers(label) if labels.is_ours(item.labels)]
    for container in sorted(_one_per_node(ours), key=lambda item: item.name):
        if name is not None and container.name != name:
            continue
        # A load balancer has no system that could say something.
        system = container.labels.get(labels.ROLE) != labels.LOAD_BALANCER
        asked = container.running and looks_inside and system
        inside = peek_inside(engine, container, scripts or {}) if asked else Inside()
        limits = find_limits(container.pid, container.id) if container.running else None
        subject = record_of(engine, container.labels.get(labels.CLUSTER), container.name)
        recorded = recorded_limits(subject, container.name)
        use = find_use(container.pid, container.id) if asked else None
        certificates = [item.as_dict() for item in inside.certificates] if inside.certificates is not None else None
        node = describe(ObservedNode(container, limits, inside.boot, recorded=recorded))
        found.append({**node, "use": use, "certificates": certificates})
    return found


def _one_per_node(ours: Sequence[Container]) -> list[Container]:
    """Each node once, under its own name: the old container of one that is being replaced only where it is all there is."""
    names = {item.name for item in ours}
    found = [item for item in ours if not replaced.is_aside(item.name)]
    old = [replace(item, name=replaced.node_of(item.name)) for item in ours if replaced.is_aside(item.name)]
    return found + [item for item in old if item.name not in names]


def find_clusters(
    engine: Engine,
    nodes: Sequence[dict[str, Any]],
    cluster: str | None,
    elsewhere: Callable[[str], bool] = lambda _cluster: False,
) -> list[dict[str, Any]]:
    """What belongs to each cluster: on the engine by label, on this machine by the records of this engine.

    A record of the first layout names no engine: it is of this one where this one holds something of the cluster, else where
    the cluster is not ``elsewhere``, that is on another engine or maybe there.
    """
    found: dict[str, dict[str, Any]] = {}

    def add(owner: str | None, kind: str, name: str) -> None:
        if owner and cluster in (None, owner):
            entry: dict[str, Any] = {"name": owner, "nodes": [], "networks": [], "volumes": [], "kubeconfigs": []}
            names = found.setdefault(owner, entry)[kind]
            if name not in names:
                names.append(name)

    for node in nodes:
        add(node["cluster"], "nodes", node["name"])
    for network in engine.networks():
        if labels.is_ours(network.labels):
            add(network.labels.get(labels.CLUSTER), "networks", replaced.probed(network.name))
    for volume in engine.volumes(labels.SCHEMA):
        add(volume.labels.get(labels.CLUSTER), "volumes", replaced.probed(volume.name))
    for subject in recorded_clusters():
        owner = subject.name
        if cluster not in (None, owner) or subject.engine not in ("", engine.store):
            continue
        if subject.engine == "" and owner not in found and elsewhere(owner):
            continue
        for file in ClusterState.load(subject).files:
            add(owner, "kubeconfigs", str(file["path"]))
    return sorted(found.values(), key=lambda item: str(item["name"]))
