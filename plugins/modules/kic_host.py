#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kic_host: documentation and arguments; the logic is in module_utils/_resources/host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kic_host
short_description: Give a machine what nodes need of it next to packages
version_added: 0.1.0
description:
  - Gives an ordinary user subordinate ids, raises settings of the kernel, loads modules and enables units. What is there already
    is left alone; each option that is left out is too.
  - What is changed takes effect at once and is kept for the next start of the machine. It is read back from the kernel.
  - What was made, and what was there before, is recorded on the machine, so that O(state=absent) takes back just that.
  - The role P(nodeforge.kic.kic_host#role) calls it step by step.
options:
  user:
    description: The ordinary user that runs the nodes.
    type: str
  sub_ids:
    description:
      - How many subordinate user and group ids O(user) is to have; V(0) leaves them as they are. Who has less gets a range of so
        many, where C(/etc/login.defs) has it and nobody else has one.
      - C(newuidmap) and C(newgidmap) are made set-uid where they may not map ids, and their podman takes up the ids at once.
    type: int
    default: 0
  sysctls:
    description:
      - The least that settings of the kernel are to be, by name; of C(net.ipv4.ip_unprivileged_port_start) the most. They are kept
        in C(/etc/sysctl.d/60-nodeforge.kic.conf).
    type: dict
    default: {}
  modules:
    description:
      - Modules of the kernel that are to be there, now and at each start, by C(/etc/modules-load.d/nodeforge.kic.conf). Those that
        are part of the kernel are, and a kernel without a directory of modules has no others.
    type: list
    elements: str
    default: []
  units:
    description: Units of the machine's systemd that are to be enabled, and to run where they are no one-shot services.
    type: list
    elements: str
    default: []
  packages:
    description: Packages that are about to be installed for nodes. They are recorded, and listed when all else is taken back.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(absent) takes back what was made for O(user), or for every user where none is named, and with the last one what they
        share. Modules stay loaded and packages installed.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - nodeforge.kic.engine.attributes
notes:
  - Changes take root; a user without privileges may look, with C(check_mode) or where nothing is to be done.
seealso:
  - module: nodeforge.kic.cgroup_delegation
  - module: nodeforge.kic.oci_engine_info
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Let the user dev unpack images, whose files belong to many users
  nodeforge.kic.kic_host:
    user: dev
    sub_ids: 65536

- name: Let many nodes watch files, and an ordinary user publish port 80
  nodeforge.kic.kic_host:
    sysctls:
      fs.inotify.max_user_instances: 512
      net.ipv4.ip_unprivileged_port_start: 80

- name: Take all of it back
  nodeforge.kic.kic_host:
    state: absent
"""

RETURN = r"""
host:
  description: What of this machine is ours, or in check mode would be; with O(state=absent) what is left of it.
  type: dict
  returned: success
  contains:
    user: {description: The user., type: str, returned: success}
    files: {description: Files of ours., type: list, elements: str, returned: success}
    ranges: {description: 'By user and file, the ranges that were added.', type: dict, returned: success}
    sysctls: {description: 'By name, the value C(before) and the one that was C(set).', type: dict, returned: success}
    modules: {description: Modules that are loaded at each start., type: list, elements: str, returned: success}
    units: {description: Units that were enabled., type: list, elements: str, returned: success}
    packages:
      description: Packages that were installed for nodes; with O(state=absent) those that stay.
      type: list
      elements: str
      returned: success
    left_out: {description: 'What has no place on this machine, with its reason.', type: list, elements: str, returned: success}
  sample:
    files: [/etc/sysctl.d/60-nodeforge.kic.conf]
    left_out: ['units: systemd does not manage this machine']
    modules: []
    packages: [uidmap]
    ranges:
      dev: {/etc/subgid: ['dev:100000:65536'], /etc/subuid: ['dev:100000:65536']}
    sysctls:
      fs.inotify.max_user_instances: {before: 128, set: 512}
    units: []
    user: dev
drift:
  description: Always empty, as what differs is changed.
  type: list
  elements: dict
  returned: success
  sample: []
actions:
  description: What was done, or in check mode would be.
  type: list
  elements: str
  returned: always
  sample: ['add range /etc/subuid: dev:100000:65536', 'set setting fs.inotify.max_user_instances: 128 becomes 512']
diagnosis:
  description: Why the task failed.
  type: dict
  returned: failure
  contains:
    id: {description: Stable name of the cause., type: str, returned: failure}
    cause: {description: What went wrong., type: str, returned: failure}
    fix: {description: What to type., type: str, returned: failure}
    output: {description: The words of the program that failed., type: str, returned: failure}
"""

from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._module import HostTask, run_host_module
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.host.plan import HostResource, HostSpec


def body(task: HostTask) -> dict[str, Any]:
    """The parts of the machine that were requested."""
    return task.converge("host", HostResource(HostSpec.from_params(task.params), task.runner))


def main() -> None:
    """Run the module."""
    run_host_module(
        {
            "user": {"type": "str"},
            "sub_ids": {"type": "int", "default": 0},
            "sysctls": {"type": "dict", "default": {}},
            "modules": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "packages": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        body,
        failure_facts=dict,
    )


if __name__ == "__main__":
    main()
