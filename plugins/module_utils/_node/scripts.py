# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is run inside nodes: scripts of this collection, which are files on the controller.

Ansible brings no other files to a machine than Python's, so the action plugin hands their texts on with the task.
"""

from __future__ import annotations

from collections.abc import Mapping

Scripts = Mapping[str, str]
"""Texts by name."""


def script(scripts: Scripts, name: str, *arguments: str) -> list[str]:
    """The command that runs a script in a node."""
    return ["bash", "-c", scripts[name], name, *arguments]
