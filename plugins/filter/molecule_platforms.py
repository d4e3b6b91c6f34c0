# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter molecule_platforms: the logic is in plugin_utils/platforms.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: molecule_platforms
short_description: Molecule's platforms as options of kic_node
version_added: 0.1.0
description:
  - Translates the platforms of a C(molecule.yml) to options of M(nodeforge.kic.kic_node). Next to those it understands the words
    of the drivers docker and podman of molecule-plugins. What these know and a platform cannot have is ignored with a warning;
    a key that nobody knows is refused.
  - It does not fail. All problems are returned as one text, so that a task can show it as its message.
options:
  _input:
    description: The platforms.
    type: list
    elements: dict
    required: true
  suite:
    description: The release of Debian for platforms that name neither an image nor a release.
    type: str
    default: trixie
author:
  - nodeforge.kic contributors (@nodeforge)
"""

EXAMPLES = r"""
- name: Show what they mean
  ansible.builtin.debug:
    msg: "{{ molecule_yml.platforms | nodeforge.kic.molecule_platforms }}"
"""

RETURN = r"""
_value:
  description: C(problem), empty when there is none; C(diagnosis) of it; C(platforms), each with C(name) and its options;
    C(warnings), what is ignored and why, which it also shows.
  type: dict
"""

import json
from typing import Any, Callable

from ansible.utils.display import Display

from ansible_collections.nodeforge.kic.plugins.module_utils._faults import as_failure
from ansible_collections.nodeforge.kic.plugins.plugin_utils.platforms import platforms


def molecule_platforms(given: list[dict[str, Any]], suite: str = "trixie") -> dict[str, Any]:
    """The platforms, or what is wrong with them."""
    try:
        # Through JSON, as the strings of ansible-core know where they are from and are not plain ones. What YAML took for a date
        # is written as one again.
        found, warnings = platforms(json.loads(json.dumps(given, default=str)), str(suite))
    except Exception as error:
        failed = as_failure(error)
        return {"problem": str(failed), "diagnosis": failed.diagnosis.as_dict(), "platforms": [], "warnings": []}
    for warning in warnings:
        Display().warning(warning)
    return {"problem": "", "diagnosis": {}, "platforms": found, "warnings": warnings}


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Filters by name."""
        return {"molecule_platforms": molecule_platforms}
