# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a cluster is there: what a declaration without numbers means, and which control plane has what the cluster is."""

from __future__ import annotations

from collections.abc import Sequence

from .._core import labels, replaced
from .._core.labels import CONTROL_PLANE, LOAD_BALANCER, WORKER
from .._engine.base import Engine
from .._engine.model import Container
from .._kubernetes.access.paths import API_PORT
from .._kubernetes.bootstrap.look import recorded_state
from .._resources.node_spec import decode_published
from .declared import NOTHING, There


def find_there(engine: Engine, containers: Sequence[Container], declared: int, source: There = NOTHING) -> There:
    """From the containers of the cluster.

    :param source: what the snapshot has that its nodes get their data from.
    :param declared: how many control planes are declared: of a single one that is alone nothing has to be asked.
    """
    found = by_node(containers)
    of_role = {
        role: [name for name, item in sorted(found.items()) if item.labels.get(labels.ROLE) == role]
        for role in (CONTROL_PLANE, WORKER, LOAD_BALANCER)
    }
    planes = of_role[CONTROL_PLANE]
    several = max(declared, len(planes)) > 1
    complete = [name for name in planes if several and recorded_state(engine, found[name].id) == "initialized"]
    ports = {
        name: port
        for name in (*planes, *of_role[LOAD_BALANCER])
        for port in [_api_port(found[name])]
        if port is not None
    }
    return There(
        planes=tuple(dict.fromkeys((*planes, *source.planes))),
        workers=tuple(dict.fromkeys((*of_role[WORKER], *source.workers))),
        complete=tuple(sorted(complete, key=lambda name: (not found[name].running, name))) or source.complete,
        api_ports=ports,
        node_names=_node_names(engine, containers),
    )


def _node_names(engine: Engine, containers: Sequence[Container]) -> dict[str, str]:
    """The names in Kubernetes of nodes that have others than their containers."""
    found = {item.name: item.labels[labels.NODE_NAME] for item in containers if labels.NODE_NAME in item.labels}
    if not found:
        return {}
    # One that has lost its container is known by its volume.
    cluster = next(item.labels[labels.CLUSTER] for item in containers if labels.NODE_NAME in item.labels)
    volumes = engine.volumes(f"{labels.CLUSTER}={cluster}")
    kept = {item.name: item.labels[labels.NODE_NAME] for item in volumes if labels.NODE_NAME in item.labels}
    return {**kept, **found}


def _api_port(container: Container) -> int | None:
    """The port of the host on which it offers the API."""
    published = decode_published(container.labels.get(labels.PUBLISH, ""))
    return next((item.host_port for item in published if item.port == API_PORT), None)


def by_node(containers: Sequence[Container]) -> dict[str, Container]:
    """The containers by the names of their nodes; the old one of a node that is being replaced only where it is alone."""
    aside = {replaced.node_of(item.name): item for item in containers if replaced.is_aside(item.name)}
    return {**aside, **{item.name: item for item in containers if not replaced.is_aside(item.name)}}
