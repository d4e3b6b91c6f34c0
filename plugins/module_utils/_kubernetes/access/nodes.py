# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kubernetes says of nodes that were found on an engine: one question to each cluster's control plane."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..._core.diagnosis import KicError
from ..._core.labels import LOAD_BALANCER
from ..._engine.base import Engine
from ..._engine.model import Container
from ..._engine.selection import cluster_nodes, control_plane
from ..._node import boot
from .api import InNode

_REQUEST_SECONDS = 5
"""After which the API has not answered: whoever only looks does not wait for one that comes up."""
_SECONDS = 10.0
"""In which kubectl has ended, whatever it waits for."""
_NO_KUBERNETES = (125, 126, 127)
"""How an engine or a shell says that there is no such program in the node."""


def statuses(engine: Engine, nodes: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any] | None]:
    """What the API of its cluster says of each node, by name; None of one that does not run or has no Kubernetes.

    :param nodes: descriptions of nodes, of which those that run are looked up.
    """
    found: dict[str, dict[str, Any] | None] = {node["name"]: None for node in nodes}
    clusters: dict[str, dict[str, str]] = {}
    for node in nodes:
        if node["cluster"] and node["state"] == "running" and node["role"] != LOAD_BALANCER:
            clusters.setdefault(node["cluster"], {})[node["name"]] = node["node_name"]
    for cluster, names in clusters.items():
        found.update(_of_cluster(engine, cluster, names))
    return found


def _of_cluster(engine: Engine, cluster: str, names: Mapping[str, str]) -> dict[str, dict[str, Any] | None]:
    """Of one cluster, whose nodes' names in Kubernetes are known by container."""
    plane = control_plane(cluster_nodes(engine, cluster), stopped=True)
    if plane is None:
        return {}
    try:
        answer = _ask(engine, plane)
    except KicError as error:
        answer = error.diagnosis.cause
    if isinstance(answer, str):
        return {name: _status(why=answer) for name in names}
    return {name: answer.get(own) or _absent(own) for name, own in names.items()} if answer is not None else {}


def _ask(engine: Engine, plane: Container) -> dict[str, dict[str, Any]] | str | None:
    """The nodes that the API has, or why it does not answer; None where there is no Kubernetes."""
    if not plane.running:
        return f"The control plane {plane.name} does not run, it is {plane.status}: its API does not answer."
    if not boot.entered(engine, plane):
        return f"The system of the control plane {plane.name} is starting: its API does not answer yet."
    api = InNode(engine, plane.name)
    request = f"--request-timeout={_REQUEST_SECONDS}s"
    result = api.ask(
        "get", request, "--raw", "/api/v1/nodes", timeout=_SECONDS, action=f"asking the API of {plane.name}"
    )
    if result.rc in _NO_KUBERNETES or (result.rc != 0 and "no such file" in result.words):
        return None
    try:
        return {item["metadata"]["name"]: _decode(item) for item in json.loads(result.out)["items"]}
    except (ValueError, TypeError, KeyError, AttributeError):
        last = (result.words.splitlines() or ["it says nothing"])[-1]
        return f"The API of {plane.name} does not answer: {last[:300]}"


def _decode(item: Mapping[str, Any]) -> dict[str, Any]:
    status = item.get("status") or {}
    conditions: dict[str, Mapping[str, Any]] = {one["type"]: one for one in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    is_ready = ready.get("status") == "True"
    address = next((one["address"] for one in status.get("addresses") or () if one["type"] == "InternalIP"), None)
    why = "" if is_ready else ready.get("message") or "kubelet has not reported yet."
    return _status(is_ready, why, (status.get("nodeInfo") or {}).get("kubeletVersion"), address)


def _absent(name: str) -> dict[str, Any]:
    return _status(ready=False, why=f"The API has no node {name}: it has not joined the cluster.")


def _status(
    ready: bool | None = None, why: str = "", version: str | None = None, address: str | None = None
) -> dict[str, Any]:
    """The documented keys; not Ready is False, and None where nobody knows."""
    return {"ready": ready, "why": why, "version": version, "address": address}
