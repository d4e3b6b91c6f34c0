#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module cgroup_delegation: documentation and arguments; the logic is in module_utils/_resources/delegation.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cgroup_delegation
short_description: Give an ordinary user the cgroup controllers that their containers need
version_added: 0.1.0
description:
  - Containers of an ordinary user can be given limits only of the controllers that the machine's systemd delegates to the
    user's own manager, C(user@UID.service). Distributions delegate some; rootless nodes need the five of O(controllers).
  - Says of each controller whether it reaches the user, and if not, which level on the way from the kernel withholds it and in
    which file.
  - Mends it by one drop-in, C(/etc/systemd/system/user@.service.d/99-nodeforge.kic.conf), and brings it into effect in the
    running manager, without ending sessions or containers. It is then read back from the kernel, and limits are set in a scope
    of the user's that ends at once.
  - The drop-in adds to what others delegate and, as systemd has it, holds for the managers of all users. What another unit
    takes away by C(DisableControllers=) is a decision of the machine's administrator and is named, not undone.
options:
  user:
    description: The user that the nodes run as, with podman or with rootless docker.
    type: str
    required: true
  controllers:
    description: Controllers that the user is to have. Those that they have besides stay.
    type: list
    elements: str
    choices: [cpu, cpuset, io, memory, pids]
    default: [cpu, cpuset, io, memory, pids]
  state:
    description:
      - V(absent) removes what the module made for this user, and the drop-in with its last user. A manager that runs may keep the
        controllers until it ends.
    type: str
    choices: [present, absent]
    default: present
  apply:
    description:
      - V(now) has a manager that runs take them up. V(next_login) leaves it alone, and the manager that starts next has them.
    type: str
    choices: [now, next_login]
    default: now
  linger:
    description:
      - Whether the user's manager, and with it their containers, runs without a session, from the start of the machine. Left out,
        that stays as it is.
    type: bool
extends_documentation_fragment:
  - nodeforge.kic.engine.attributes
notes:
  - Changes take root; a user without privileges may look, with C(check_mode) or where nothing is to be done.
  - To learn what works, the module starts a scope in the user's manager, also in C(check_mode). It leaves nothing behind.
  - Needs systemd and control groups of version 2. What is not there is refused with its reason.
seealso:
  - module: nodeforge.kic.kic_node
  - module: nodeforge.kic.oci_engine_info
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Let the user dev run nodes, also while nobody is logged in
  nodeforge.kic.cgroup_delegation:
    user: dev
    linger: true

- name: See what is missing, and where
  nodeforge.kic.cgroup_delegation:
    user: dev
  check_mode: true
  register: delegation

- name: Only processor and memory, from the next login on
  nodeforge.kic.cgroup_delegation:
    user: ci
    controllers: [cpu, memory]
    apply: next_login

- name: Take it back
  nodeforge.kic.cgroup_delegation:
    user: dev
    state: absent
"""

RETURN = r"""
delegation:
  description: What reaches the user now, or in check mode would. A failure has it too, as far as the module came.
  type: dict
  returned: always
  contains:
    user: {description: The user., type: str, returned: always}
    uid: {description: Their number; none where there is no such user., type: int, returned: always}
    cgroup_mode: {description: V(v1) or V(hybrid) or V(v2)., type: str, returned: always}
    manager_running: {description: Whether their manager runs., type: bool, returned: always}
    linger: {description: Whether it runs without a session., type: bool, returned: always}
    drop_in: {description: The drop-in of ours; none where there is none., type: str, returned: always}
    controllers:
      description:
        - Each controller of O(controllers). C(lost_at) is V(kernel), V(container) (one around the machine), V(root), V(user.slice),
          V(user-UID.slice) or V(user@UID.service), and empty for one that reaches the user.
        - C(reason) is V(not_built), V(disabled_at_boot), V(not_given), V(disabled_by_unit), V(not_delegated), V(not_in_effect) or
          V(not_running). C(file) is the one that decides, where there is one.
      type: list
      elements: dict
      returned: always
    reboot_required: {description: Whether only another start of the machine helps., type: bool, returned: always}
    relogin_required: {description: Whether it takes a new manager of the user to have all., type: bool, returned: always}
    output: {description: What the user's manager said where it set no limits., type: str, returned: always}
  sample:
    cgroup_mode: v2
    controllers:
      - {delegated: true, file: '', lost_at: '', name: cpu, reason: '', unit: ''}
    drop_in: /etc/systemd/system/user@.service.d/99-nodeforge.kic.conf
    linger: true
    manager_running: true
    output: ''
    reboot_required: false
    relogin_required: false
    uid: 1000
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
  sample: ['reload unit user@.service', 'reexecute manager user@1000.service: to gain cpuset, io']
diagnosis:
  description: Why the task failed.
  type: dict
  returned: failure
  contains:
    id: {description: Stable name of the cause., type: str, returned: failure}
    cause: {description: What went wrong., type: str, returned: failure}
    fix: {description: What to type., type: str, returned: failure}
    output: {description: The words of systemd., type: str, returned: failure}
"""

from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Plan
from ansible_collections.nodeforge.kic.plugins.module_utils._host.delegation import CONTROLLERS
from ansible_collections.nodeforge.kic.plugins.module_utils._module import HostTask, run_host_module
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.delegation import (
    DelegationResource,
    DelegationSpec,
)


def main() -> None:
    """Run the module."""
    resources: list[DelegationResource] = []

    def body(task: HostTask) -> dict[str, Any]:
        resources.append(DelegationResource(DelegationSpec.from_params(task.params), task.runner))
        result = task.converge("delegation", resources[0])
        found = result["delegation"]
        if found["relogin_required"]:
            restart = f"systemctl restart user@{found['uid']}.service"
            task.warn(f"{found['user']} has all controllers after a new login, or: {restart}")
        return result

    run_host_module(
        {
            "user": {"type": "str", "required": True},
            "controllers": {
                "type": "list",
                "elements": "str",
                "choices": list(CONTROLLERS),
                "default": list(CONTROLLERS),
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "apply": {"type": "str", "choices": ["now", "next_login"], "default": "now"},
            "linger": {"type": "bool"},
        },
        body,
        failure_facts=lambda: {
            "delegation": resources[0].describe(resources[0].observe(), Plan()) if resources else {}
        },
    )


if __name__ == "__main__":
    main()
