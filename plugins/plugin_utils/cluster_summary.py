# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads at the end: a table of the nodes, and the lines to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

HEADINGS = ("NODE", "ROLE", "ADDRESS", "STATUS", "VERSION")


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def _engine(result: Mapping[str, Any], root: bool) -> str:
    """The engine's name as the reader types it. Whose kubeconfig was written there says who that is; where none was, it is
    the one who runs the play, and ``root`` whether that is root."""
    needs_sudo = result.get("needs_sudo")
    if result.get("rootless") or (root if needs_sudo is None else not needs_sudo):
        return str(result["engine"])
    return f"sudo {result['engine']}"


def leftover(result: Mapping[str, Any], *, root: bool) -> str:
    """What is said of nodes of the cluster that its variables do not name; empty where there are none."""
    names = list(result.get("surplus") or ())
    if not names:
        return ""
    engine = _engine(result, root)
    inside = f"{engine} exec {result['control_plane']} kubectl"
    # A control plane is a member of etcd too: its way out is the role's.
    workers = [name for name in names if name not in (result.get("control_planes") or ())]
    commands = [
        f"{inside} drain {name} --ignore-daemonsets --delete-emptydir-data; {inside} delete node {name};"
        f" {engine} rm --force {name}; {engine} volume rm {name}"
        for name in workers
    ]
    options = [
        option
        for option, found in (("kic_cluster_control_planes", workers != names), ("kic_cluster_workers", workers))
        if found
    ]
    text = (
        f"The cluster has more nodes than {' and '.join(options)} says, and they stay as they are: {', '.join(names)}."
    )
    fix = f"set {' and '.join(options)} to their number, or leave it out; or have them drained and removed: add -e kic_cluster_prune=true"
    by_hand = (
        f"; or remove {'them' if workers == names else 'the workers'} yourself: {'; '.join(commands)}"
        if commands
        else ""
    )
    return f"{text} Fix: {fix}{by_hand}"


def _reasons(statuses: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Why nodes are not Ready, each in one line."""
    unready = [status for status in statuses.values() if not status.get("ready")]
    whys = [(str(status["name"]), " ".join(str(status.get("why") or "").split())) for status in unready]
    return [f"{name} is not Ready: {why}" for name, why in whys if why]


def _names(container: str, node: str) -> str:
    """The name of a node's container, with that in Kubernetes where it is another one."""
    return container if container == node else f"{container} ({node})"


def summary(result: Mapping[str, Any], *, root: bool) -> str:
    """The closing text. ``root`` is whether the one who runs the play is root."""
    rows: list[Sequence[str]] = [HEADINGS]
    statuses = {status["name"]: status for status in result["statuses"] if status}
    for node in result["nodes"]:
        if not node:
            continue
        # A clone's nodes keep the names that the original's have in Kubernetes.
        own = str(node.get("node_name") or node["name"])
        status = statuses.get(own, {})
        ready = "Ready" if status.get("ready") else "NotReady" if status else str(node.get("state", ""))
        rows.append(
            (
                _names(node["name"], own),
                node.get("role") or "-",
                str(node.get("ip") or "-"),
                ready,
                status.get("version") or "-",
            )
        )
    lines = table(rows) + _reasons(statuses)
    own_network = result.get("pod_network", True)
    if statuses and (not own_network or any(status.get("ready") for status in statuses.values())):
        # An ordinary user's cluster is seen by nobody else, root included.
        rootless = result.get("rootless")
        engine = _engine(result, root)
        inside = f"{engine} exec {result['control_plane']} kubectl"
        who = "The cluster, for the user whose it is and" if rootless else "The cluster,"
        lines += ["", f"{who} also where kubectl is not installed:", f"  {inside} get nodes"]
        lines += [f"  {inside} get pods --all-namespaces"]
        if not own_network:
            lines += ["Nodes become Ready when you have installed a pod network, such as Calico or Cilium:"]
            lines += [f"  {engine} exec -i {result['control_plane']} kubectl apply -f - <FILE"]
        if result["kubeconfig"]:
            path = shlex.quote(result["kubeconfig"])
            lines += [
                "With kubectl on this machine:",
                f"  export KUBECONFIG={path}",
                f"  kubectl --context {result['context']} get nodes",
            ]
    return "\n".join(lines)
