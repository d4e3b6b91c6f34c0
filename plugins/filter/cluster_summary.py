# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter cluster_summary: the logic is in plugin_utils/cluster_summary.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster_summary
short_description: A table of a cluster's nodes and the lines to type next
version_added: 0.1.0
description: Makes the text with which the role P(nodeforge.kic.kic_cluster#role) ends.
options:
  _input:
    description:
      - A mapping with C(engine), C(rootless), C(control_plane), C(nodes) (of M(nodeforge.kic.kic_node)), C(statuses) (of
        M(nodeforge.kic.kic_kubeadm)), C(kubeconfig) and C(context).
    type: dict
    required: true
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Show the cluster
  ansible.builtin.debug:
    msg: "{{ cluster | nodeforge.kic.cluster_summary }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

import os
from typing import Any, Callable

from ansible_collections.nodeforge.kic.plugins.plugin_utils.cluster_summary import summary
from ansible_collections.nodeforge.kic.plugins.plugin_utils.diagnosed import diagnosed

FIELDS = {"engine": str, "control_plane": str, "nodes": list, "statuses": list, "kubeconfig": str, "context": str}


@diagnosed("cluster_summary", FIELDS)
def cluster_summary(cluster: dict[str, Any]) -> str:
    """The text for the one who runs the play."""
    return summary(cluster, root=os.geteuid() == 0)


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {"cluster_summary": cluster_summary}
