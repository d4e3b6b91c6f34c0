#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kic_snapshot: documentation and arguments; the logic is in module_utils/_cluster/snapshot*.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kic_snapshot
short_description: Keep snapshots of clusters
version_added: 0.1.0
description:
  - Copies the data of all nodes of a cluster, at one moment, into volumes of the engine. Clusters are created from it, or brought
    back to it, by O(nodeforge.kic.kic_cluster#module:snapshot).
  - Nodes that run are paused for the copy, and go on after it; RV(gap) is how long that took. On control groups of version 1 only
    root can pause; other nodes are stopped, and started again.
  - Blocks are shared with the original where the engine's file system can do that (btrfs, xfs).
  - A snapshot outlives its cluster. It holds all keys of the cluster; who may use the engine may read them.
options:
  cluster:
    description: The cluster that the snapshot is of.
    type: str
    required: true
  name:
    description: Name of the snapshot.
    type: str
    required: true
  state:
    description:
      - V(present) takes the snapshot, unless the cluster has one of this name, which stays as it is.
      - V(absent) removes it. Clusters that were created from it stay.
    type: str
    choices: [present, absent]
    default: present
  scripts:
    description: What is run in containers. The action plugin gives the scripts of the collection.
    type: dict
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.attributes
seealso:
  - module: nodeforge.kic.kic_cluster
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Take a snapshot of the cluster lab
  nodeforge.kic.kic_snapshot:
    cluster: lab
    name: before-tests

- name: Remove it
  nodeforge.kic.kic_snapshot:
    cluster: lab
    name: before-tests
    state: absent
"""

RETURN = r"""
snapshot:
  description: The snapshot; {} where there is none any more.
  type: dict
  returned: success
  sample:
    cluster: lab
    image: sha256:5e3a1c3d0b17325f3dd23748295bda70b4d9b61bd7a91af06db537e257dfee0b
    kubernetes: v1.35.4
    name: before-tests
    nodes: [lab-control-plane-1, lab-worker-1]
    taken: '2026-11-30T12:00:00Z'
snapshots:
  description: All snapshots of the cluster, the oldest first, as RV(snapshot); in check mode as they would be.
  type: list
  elements: dict
  returned: success
  sample: []
gap:
  description: Seconds for which the nodes held still; 0 where none ran or nothing was copied.
  type: float
  returned: success
  sample: 1.2
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: [create volume lab.snapshot.before-tests.lab-control-plane-1, pause node lab-control-plane-1]
engine:
  description: The engine that was used.
  type: str
  returned: always
  sample: podman
diagnosis:
  description: Why the task failed.
  type: dict
  returned: failure
  contains:
    id: {description: Stable name of the cause., type: str, returned: failure}
    cause: {description: What went wrong., type: str, returned: failure}
    fix: {description: What to type., type: str, returned: failure}
    output: {description: The output of the engine or of the node., type: str, returned: failure}
"""

from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._cluster.snapshotting import SnapshotRun, SnapshotSpec
from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task, run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._state.progress import reported


def body(task: Task) -> dict[str, Any]:
    """Bring the snapshot into its state."""
    spec = SnapshotSpec.from_params(task.params)
    if task.check_mode:
        return _result(task, SnapshotRun(task.engine, task.runner, spec, check_mode=True))
    with reported() as report:
        return _result(task, SnapshotRun(task.engine, task.runner, spec, check_mode=False, report=report))


def _result(task: Task, run: SnapshotRun) -> dict[str, Any]:
    taken = run.converge()
    if taken.warning:
        task.warn(taken.warning)
    others = [item.as_dict() for item in run.snapshots() if item.name != run.spec.name]
    result: dict[str, Any] = {
        "changed": bool(taken.actions),
        "actions": list(taken.actions),
        "snapshot": dict(taken.snapshot),
        "snapshots": sorted(
            [*others, *([dict(taken.snapshot)] if taken.snapshot else [])], key=lambda item: item["taken"]
        ),
        "gap": taken.gap,
    }
    if task.module._diff:
        result["diff"] = {"before": dict(taken.before), "after": dict(taken.snapshot)}
    return result


def main() -> None:
    """Run the module."""
    run_module(
        {
            "cluster": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "scripts": {"type": "dict", "no_log": True},
        },
        body,
        held="cluster:snapshots",
    )


if __name__ == "__main__":
    main()
