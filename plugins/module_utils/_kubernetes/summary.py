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


def summary(result: Mapping[str, Any], *, root: bool) -> str:
    """The closing words. ``root`` is whether the reader is root, who needs no sudo before the engine's name."""
    rows: list[Sequence[str]] = [HEADINGS]
    statuses = {status["name"]: status for status in result["statuses"] if status}
    for node in result["nodes"]:
        if not node:
            continue
        status = statuses.get(node["name"], {})
        ready = "Ready" if status.get("ready") else "NotReady" if status else str(node.get("state", ""))
        rows.append(
            (node["name"], node.get("role") or "-", str(node.get("ip") or "-"), ready, status.get("version") or "-")
        )
    lines = table(rows)
    if any(status.get("ready") for status in statuses.values()):
        # An ordinary user's cluster is seen by nobody else, root included.
        rootless = result.get("rootless")
        engine = result["engine"] if root or rootless else f"sudo {result['engine']}"
        inside = f"{engine} exec {result['control_plane']} kubectl"
        who = "The cluster, for the user whose it is and" if rootless else "The cluster,"
        lines += ["", f"{who} also where kubectl is not installed:", f"  {inside} get nodes"]
        lines += [f"  {inside} get pods --all-namespaces"]
        if result["kubeconfig"]:
            path = shlex.quote(result["kubeconfig"])
            lines += [
                "With kubectl on this machine:",
                f"  export KUBECONFIG={path}",
                f"  kubectl --context {result['context']} get nodes",
            ]
    return "\n".join(lines)
