# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter host_needs: the logic is in plugin_utils/host_needs.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: host_needs
short_description: What a machine lacks for nodes
version_added: 0.1.0
description:
  - Says by one look of M(nodeforge.kic.oci_engine_info), which may have failed, which steps of the role
    P(nodeforge.kic.kic_host#role) there is a reason for.
options:
  _input:
    description: What the module returned.
    type: dict
    required: true
  asked:
    description: The role's variables without their prefix.
    type: dict
    required: true
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Show what is missing
  ansible.builtin.debug:
    msg: "{{ look | nodeforge.kic.host_needs(variables) }}"
"""

RETURN = r"""
_value:
  description:
    - C(any), whether there is a reason for a step; C(packages) by their names on this distribution; C(units);
      C(delegation), C(sub_ids), C(sysctls) and C(modules), whether there is a reason for that step; C(lacks), what packages
      would bring.
  type: dict
"""

import json
from collections.abc import Mapping
from typing import Any, Callable

from ansible_collections.nodeforge.kic.plugins.plugin_utils.diagnosed import diagnosed
from ansible_collections.nodeforge.kic.plugins.plugin_utils.host_needs import needs

ASKED = dict.fromkeys(("user", "packages", "service", "delegation", "linger", "sub_ids"), object)


@diagnosed("host_needs", {"host": Mapping}, {**ASKED, "sysctls": Mapping, "modules": list})
def host_needs(look: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """The steps that there is a reason for."""
    # Through JSON, as the strings of ansible-core know where they are from and are not plain ones.
    return needs(json.loads(json.dumps(look)), json.loads(json.dumps(asked)))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {"host_needs": host_needs}
