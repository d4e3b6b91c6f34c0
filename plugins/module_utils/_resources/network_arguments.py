# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of the module oci_network; the module for a whole cluster takes some of them too."""

from __future__ import annotations

from typing import Any

from .._core.subnet import DEFAULT_POOLS

NETWORK: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "subnet": {"type": "str"},
    "subnet6": {"type": "str"},
    "pools": {"type": "list", "elements": "str", "default": list(DEFAULT_POOLS)},
    "prefix": {"type": "int", "default": 24},
    "avoid": {"type": "list", "elements": "str", "default": []},
    "gateway": {"type": "str"},
    "mtu": {"type": "int"},
    "labels": {"type": "dict", "default": {}},
    "cluster": {"type": "str"},
    "recreate": {"type": "str", "choices": ["never", "on_drift"], "default": "never"},
    "removed_nodes": {"type": "list", "elements": "str", "default": []},
}
