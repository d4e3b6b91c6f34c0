# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of the module kic_cluster, whose names are those of the role's variables without their prefix."""

from __future__ import annotations

from typing import Any

from .._kubernetes.kubeconfig_entry import WANTED

CLUSTER: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {
        "type": "str",
        "choices": ["present", "started", "stopped", "restarted", "restored", "paused", "absent"],
        "default": "started",
    },
    "image": {"type": "str"},
    "load_balancer_image": {"type": "str"},
    "control_planes": {"type": "int"},
    "workers": {"type": "int"},
    "snapshot": {"type": "str"},
    "upgrade": {"type": "bool", "default": False},
    "prune": {"type": "bool", "default": False},
    "prune_data": {"type": "bool", "default": False},
    "drain_timeout": {"type": "int", "default": 300},
    "kubernetes_version": {"type": "str"},
    "pod_subnet": {"type": "str", "default": "10.244.0.0/16"},
    "service_subnet": {"type": "str", "default": "10.96.0.0/16"},
    "pod_network": {"type": "str", "choices": ["kic", "none"], "default": "kic"},
    "network": {"type": "dict", "default": {}},
    # Not logged: values of its environment may be secrets.
    "node": {"type": "dict", "default": {}, "no_log": True},
    "control_plane_node": {"type": "dict", "default": {}, "no_log": True},
    "worker_node": {"type": "dict", "default": {}, "no_log": True},
    "nodes": {"type": "list", "elements": "dict", "no_log": True},
    "control_plane_labels": {"type": "dict", "default": {}},
    "worker_labels": {"type": "dict", "default": {}},
    "api_address": {"type": "str", "default": "127.0.0.1"},
    "api_port": {"type": "int"},
    "api_sans": {"type": "list", "elements": "str", "default": []},
    # Not logged: there may be tokens in it.
    "configuration": {"type": "raw", "no_log": True},
    "patches": {"type": "dict", "no_log": True},
    "images": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 600},
    "boot": {"type": "bool", "default": True},
    "kubeconfig": {"type": "dict", "options": {**WANTED, "seen": {"type": "str"}}},
    "node_files": {
        "type": "list",
        "no_log": True,
        "elements": "dict",
        "options": {
            "path": {"type": "str", "required": True},
            "content": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0644"},
        },
    },
    "scripts": {"type": "dict", "no_log": True},
    "validate_only": {"type": "bool", "default": False},
}
