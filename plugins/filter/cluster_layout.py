# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter cluster_layout: the logic is in module_utils/_kubernetes/layout.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster_layout
short_description: The nodes of a cluster from the variables of the role kic_cluster
version_added: 0.1.0
description:
  - Checks the variables of the role P(nodeforge.kic.kic_cluster#role) and says which nodes they mean.
  - It does not fail. A problem is returned as text, so that a task can show it as its message.
options:
  _input:
    description: The role's variables without their prefix.
    type: dict
    required: true
  files:
    description: A directory on the controller whose files each node gets, at the same path below C(/).
    type: str
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Show the nodes
  ansible.builtin.debug:
    msg: "{{ variables | nodeforge.kic.cluster_layout }}"
"""

RETURN = r"""
_value:
  description:
    - C(problem), empty when there is none; C(diagnosis) of it; C(nodes) with C(name), C(role) and C(publish);
      C(control_plane); C(workers); C(avoid), the ranges that the cluster's network must not touch; C(no_proxy), what is
      reached without a proxy; C(labels) in Kubernetes by node; C(pod_network), whether ours is used; C(files).
  type: dict
"""

import json
import os
from typing import Any, Callable

from ansible_collections.nodeforge.kic.plugins.module_utils._faults import as_failure
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.layout import layout


def cluster_layout(variables: dict[str, Any], files: str | None = None) -> dict[str, Any]:
    """The layout, or what is wrong with the variables."""
    found: dict[str, Any] = {
        "problem": "",
        "diagnosis": {},
        "nodes": [],
        "control_plane": "",
        "workers": [],
        "avoid": [],
        "no_proxy": [],
        "labels": {},
        "pod_network": True,
        "files": [],
    }
    try:
        found["files"] = files_below(files) if files else []
        # Through JSON, as the strings of ansible-core know where they are from and are not plain ones.
        found.update(layout(json.loads(json.dumps(variables))))
        if not found["pod_network"]:
            found["files"] = [item for item in found["files"] if "pod-network" not in item["path"]]
    except Exception as error:
        failed = as_failure(error)
        found.update(problem=str(failed), diagnosis=failed.diagnosis.as_dict())
    return found


def files_below(root: str) -> list[dict[str, str]]:
    """Each file below ``root`` with its path from there, its text and its mode."""
    found = []
    for directory, _directories, names in os.walk(root):
        for name in names:
            path = os.path.join(directory, name)
            with open(path, encoding="utf-8") as handle:
                content = handle.read()
            # git keeps no more of a mode than whether it can be run.
            mode = "0755" if os.stat(path).st_mode & 0o100 else "0644"
            found.append({"path": "/" + os.path.relpath(path, root), "content": content, "mode": mode})
    return sorted(found, key=lambda item: item["path"])


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {"cluster_layout": cluster_layout}
