# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads on the controller what is run in containers; the module of the same name does the rest."""

from __future__ import annotations

from ansible_collections.nodeforge.kic.plugins.plugin_utils.scripted_action import ScriptedAction


class ActionModule(ScriptedAction):
    """One task: the module with the collection's own scripts."""

    name = "kic_snapshot"
