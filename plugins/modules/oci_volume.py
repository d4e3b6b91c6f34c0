#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module oci_volume: documentation and arguments; the logic is in module_utils/_resources/volume.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: oci_volume
short_description: Keep a volume of a container engine in a declared state
version_added: 0.1.0
description:
  - Makes a volume with labels of ownership, or removes it.
  - A volume that is there, is ours and fits is a success, and one of a similar name is another volume.
  - A volume that was not made by this collection is never changed and never removed.
options:
  name:
    description: Name of the volume, matched exactly.
    type: str
    required: true
  state:
    description: Whether it is to be there. V(absent) removes it with its data.
    type: str
    choices: [present, absent]
    default: present
  labels:
    description: Labels of your own. Keys that begin with C(nodeforge.kic.) are the collection's.
    type: dict
    default: {}
  cluster:
    description: The cluster it belongs to, kept in a label. A volume of another cluster is refused.
    type: str
  options:
    description:
      - Options of the engine's local volume driver, such as C(type), C(device) and C(o).
      - They are neither logged nor arguments of the engine's client where they may hold a secret, and a result shows
        C(********) for its value. podman itself gives them to mount(8) as an argument at each start of a container, so
        a file is better there, for example C(credentials=/root/share.cred) in C(o).
    type: dict
  recreate:
    description:
      - V(never) leaves a volume that differs as it is and reports RV(drift).
      - V(on_drift) removes it B(with its data) and makes it again, when no container uses it.
      - A volume C(NAME.kic-probe) with the new options is made and removed first, so that what the engine refuses is
        refused while the old volume is there. RV(actions) names C(discard) where an interrupted run left one.
    type: str
    choices: [never, on_drift]
    default: never
  removed_nodes:
    description:
      - Names of nodes that earlier tasks of the same run remove. In check mode they are still there, and do not count as
        users of the volume. A container that was not made by this collection counts whatever its name is.
      - Outside of check mode the option has no effect.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.attributes
seealso:
  - module: nodeforge.kic.kic_node
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: The volume of a node
  nodeforge.kic.oci_volume:
    name: lab-control-plane-1
    cluster: lab

- name: Remove it with its data
  nodeforge.kic.oci_volume:
    name: lab-control-plane-1
    state: absent
"""

RETURN = r"""
volume:
  description: The volume as it is, or in check mode as it would be; V({}) when it is absent.
  type: dict
  returned: success
  contains:
    name: {description: Its name., type: str, returned: present}
    mountpoint: {description: Where its data lies on the host; none before it is made., type: str, returned: present}
    labels: {description: All its labels., type: dict, returned: present}
    options: {description: Options of the driver., type: dict, returned: present}
  sample:
    labels: {nodeforge.kic.cluster: lab, nodeforge.kic.schema: '1'}
    mountpoint: /var/lib/containers/storage/volumes/lab-control-plane-1/_data
    name: lab-control-plane-1
    options: {}
drift:
  description: What differs from what was requested and was left as it is.
  type: list
  elements: dict
  returned: success
  sample: [{asked: blue, field: labels.team, found: red}]
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: [create volume lab-control-plane-1]
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
    output: {description: The engine's own words., type: str, returned: failure}
"""

from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.volume import VolumeResource, VolumeSpec


def main() -> None:
    """Run the module."""
    run_module(
        {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "labels": {"type": "dict", "default": {}},
            "cluster": {"type": "str"},
            "options": {"type": "dict", "no_log": True},
            "recreate": {"type": "str", "choices": ["never", "on_drift"], "default": "never"},
            "removed_nodes": {"type": "list", "elements": "str", "default": []},
        },
        lambda task: task.converge(
            "volume", VolumeResource(VolumeSpec.from_params(task.params), task.engine, task.removed_nodes)
        ),
        held="name:volume",
    )


if __name__ == "__main__":
    main()
