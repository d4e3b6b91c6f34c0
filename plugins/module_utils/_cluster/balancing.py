# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load balancer of a cluster: it leads to the control planes that are there."""

from __future__ import annotations

from collections.abc import Mapping

from .._core import labels
from .._core.diagnosis import KicError, failure
from .._core.operations import Operation
from .._core.plan import Plan, always
from .._engine.model import Container
from .._engine.selection import cluster_nodes
from .._kubernetes.access.balancer import configuration, configure
from .._kubernetes.network.connect import own_addresses
from .._node.boot import died
from .converging import Converging
from .kinds import BALANCER
from .outcome import Done
from .spec import BALANCER_CONFIGURATION, ClusterSpec


def balance(run: Converging, spec: ClusterSpec, acted: Mapping[str, Done], expected: Mapping[str, str]) -> Done:
    """Have the load balancer lead to the control planes. Of one that is new it is part of its creation.

    :param acted: what this run did to nodes, or in check mode would do.
    :param expected: the addresses that control planes have, or in check mode would have.
    """
    name = always(spec.balancer).name
    node, container = acted[name], run.engine.container(name)
    if container is None:
        return Done(Plan(), {})
    wanted = _configuration(run, spec, container, expected)
    text = run.engine.read_file(container.id, BALANCER_CONFIGURATION) or b""
    if text.decode("utf-8", "replace") == wanted:
        return Done(Plan(), {})
    if container.running and not run.check_mode:
        _configure(run, spec, container, wanted)
    new = any(action.verb == "create" for action in node.plan.actions)
    idle = not container.running and not node.plan.changed
    return Done(Plan(() if new or idle else (Operation("configure", BALANCER, name),)), {})


def _configuration(run: Converging, spec: ClusterSpec, container: Container, expected: Mapping[str, str]) -> str:
    planes = {item.name: own_addresses(item) for item in cluster_nodes(run.engine, spec.name)}
    found = {plane: planes[plane][0] for plane in spec.planes if planes.get(plane)}
    known = {**expected, **found}
    return configuration(known, ["::" if container.labels.get(labels.ADDRESS6) else "0.0.0.0"])


def _configure(run: Converging, spec: ClusterSpec, container: Container, text: str) -> None:
    """Give the configuration to a load balancer that runs; where that ended it, raises why."""
    name, scripts = always(spec.balancer).name, spec.kubernetes[spec.control_plane].scripts
    try:
        configure(run.engine, name, BALANCER_CONFIGURATION, text, scripts)
    except KicError as error:
        now = run.engine.container(container.id)
        if now is not None and now.running:
            raise
        raise without_haproxy(died(run.engine, name), spec, name) from error


def without_haproxy(error: KicError, spec: ClusterSpec, name: str) -> KicError:
    """What the end of a load balancer means that has only just begun: there is no other program in it."""
    if spec.balancer is None or name != spec.balancer.name or "haproxy_missing" not in error.diagnosis.output:
        return error
    return failure("haproxy_missing", output=error.diagnosis.output, image=spec.balancer.image)
