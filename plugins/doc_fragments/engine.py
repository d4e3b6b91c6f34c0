# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation that all modules share: the engine and the attributes."""

from __future__ import annotations


class ModuleDocFragment:
    """Options that choose the engine."""

    DOCUMENTATION = r"""
options:
  engine:
    description:
      - The container engine. V(auto) takes the one that holds what the task is about or its cluster, whatever O(engine_facts)
        says, else the one of O(engine_facts), else podman where it can be used, else docker.
      - Where this user's records say that the cluster is on an engine that cannot be asked now, V(auto) fails rather than take the
        other one. Where nothing is recorded and an engine does not answer in time, it is left out with a warning.
      - An engine that is requested by name is used or refused with its reason, never replaced silently.
      - A rootless engine is that of another user, chosen as for any task by C(become_user).
    type: str
    choices: [auto, docker, podman]
    default: auto
  engine_facts:
    description:
      - The RV(nodeforge.kic.oci_engine_info#module:engine_facts) of a former task of the play on this host, so that
        the engine is not asked again.
    type: dict
notes:
  - The managed machine needs Python 3.9 or later and the command line client of the engine, nothing else.
"""

    ATTRIBUTES = r"""
attributes:
  action_group:
    description: Options that C(module_defaults) sets for the group reach this module.
    membership: [nodeforge.kic.kic]
    support: full
  check_mode:
    description: Whether the module can run in C(check_mode) and say what it would do without doing it.
    support: full
  diff_mode:
    description: Whether the module returns details of what changed, or would change, when in C(diff_mode).
    support: full
"""

    INFO = r"""
attributes:
  action_group:
    description: Options that C(module_defaults) sets for the group reach this module.
    membership: [nodeforge.kic.kic]
    support: full
  check_mode:
    description: Whether the module can run in C(check_mode). It changes nothing.
    support: full
  diff_mode:
    description: Whether the module returns details of what changed. It changes nothing, so there are none.
    support: none
"""
