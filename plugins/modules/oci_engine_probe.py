#!/usr/bin/python
# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module oci_engine_probe: documentation and arguments; the logic is in module_utils/_resources/probe.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: oci_engine_probe
short_description: Prove that nodes can start on a machine, by a container that is removed at once
version_added: 0.1.0
description:
  - Starts a container of one tiny program on a network of its own, with the runtime, namespaces, cgroup options, limits and a
    published port of a node, and removes container, network and image. Fails with the cause where one does not start.
  - Run it as the user who is to run nodes, before anything that takes long. It takes about two seconds.
  - Skipped where a node already runs, and in check mode.
  - Nothing of it stays, also when the task is killed.
extends_documentation_fragment:
  - nodeforge.kic.engine
  - nodeforge.kic.engine.info
attributes:
  check_mode:
    details: Starts nothing in check mode and returns that as the reason in RV(probe.skipped).
seealso:
  - module: nodeforge.kic.oci_engine_info
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Check that nodes can start here
  nodeforge.kic.oci_engine_probe:

- name: Check it for an ordinary user
  nodeforge.kic.oci_engine_probe:
    engine: podman
  become: true
  become_user: dev
"""

RETURN = r"""
probe:
  description: What the probe came to.
  type: dict
  returned: success
  contains:
    started: {description: Whether a container was started and removed., type: bool, returned: success}
    skipped: {description: Why no container was started; empty where one was., type: str, returned: success}
    seconds: {description: How long it took., type: float, returned: success}
  sample: {seconds: 1.4, skipped: '', started: true}
actions:
  description: Always empty, as nothing stays changed.
  type: list
  elements: str
  returned: always
  sample: []
engine:
  description: The engine that was probed.
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
    output: {description: The engine's output., type: str, returned: failure}
"""

from typing import Any

from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import Task, run_module
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.probe import probe


def body(task: Task) -> dict[str, Any]:
    """Probe the engine."""
    return {"changed": False, "probe": probe(task.engine, check_mode=task.check_mode).as_dict()}


def main() -> None:
    """Run the module."""
    run_module({}, body)


if __name__ == "__main__":
    main()
