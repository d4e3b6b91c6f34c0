# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a cluster is there: what a declaration without numbers means, and which control plane has what the cluster is."""

from __future__ import annotations

from collections.abc import Sequence

from .._core import labels
from .._core.labels import CONTROL_PLANE, LOAD_BALANCER, WORKER
from .._engine.base import Engine
from .._engine.model import Container
from .._kubernetes.access.paths import API_PORT
from .._kubernetes.bootstrap.look import recorded_state
from .._resources.node_spec import decode_published
from .declared import There
from .run import by_node


def find_there(engine: Engine, containers: Sequence[Container], declared: int) -> There:
    """From the containers of the cluster.

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
        planes=tuple(planes),
        workers=tuple(of_role[WORKER]),
        complete=tuple(sorted(complete, key=lambda name: (not found[name].running, name))),
        api_ports=ports,
    )


def _api_port(container: Container) -> int | None:
    """The port of the host on which it offers the API."""
    published = decode_published(container.labels.get(labels.PUBLISH, ""))
    return next((item.host_port for item in published if item.port == API_PORT), None)
