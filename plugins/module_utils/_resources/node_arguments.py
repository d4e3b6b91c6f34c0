# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of the module kic_node; the module for a whole cluster takes some of them too."""

from __future__ import annotations

from typing import Any

from .node_options import PASSED_ON
from .node_spec import PROPAGATIONS, PROTOCOLS, RESTART_POLICIES

NODE: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {
        "type": "str",
        "choices": ["present", "started", "stopped", "restarted", "paused", "absent"],
        "default": "started",
    },
    "cluster": {"type": "str"},
    "role": {"type": "str"},
    "image": {"type": "str"},
    "network": {"type": "str"},
    "ip": {"type": "str"},
    "ip6": {"type": "str"},
    "hostname": {"type": "str"},
    "volume": {"type": "str"},
    "mounts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "source": {"type": "path", "required": True},
            "target": {"type": "str", "required": True},
            "read_only": {"type": "bool", "default": False},
            "propagation": {"type": "str", "choices": list(PROPAGATIONS), "default": "rprivate"},
            "relabel": {"type": "str", "choices": ["none", "shared", "private"], "default": "none"},
        },
    },
    "tmpfs": {"type": "dict", "default": {}},
    "publish": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "port": {"type": "int", "required": True},
            "protocol": {"type": "str", "choices": list(PROTOCOLS), "default": "tcp"},
            "address": {"type": "str", "default": "127.0.0.1"},
            "host_port": {"type": "int"},
        },
    },
    "devices": {"type": "list", "elements": "str", "default": []},
    "memory": {"type": "str"},
    "cpus": {"type": "float"},
    "pids_limit": {"type": "int"},
    "ulimits": {"type": "dict", "default": {}},
    "sysctls": {"type": "dict", "default": {}},
    "security_opts": {"type": "list", "elements": "str", "default": []},
    # Not logged: their values may be secrets, whose number and names the results show.
    "env": {"type": "dict", "default": {}, "no_log": True},
    "no_proxy": {"type": "list", "elements": "str", "default": []},
    "labels": {"type": "dict", "default": {}},
    "files": {
        "type": "list",
        "no_log": True,
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "str", "required": True},
            "content": {"type": "str", "required": True},
            "mode": {"type": "str", "default": "0644"},
        },
    },
    **{option.name: dict(option.argument) for option in PASSED_ON},
    "privileged": {"type": "str", "choices": ["auto", "true", "false"], "default": "auto"},
    "runtime": {"type": "str"},
    "command": {"type": "list", "elements": "str", "default": []},
    "restart_policy": {"type": "str", "choices": list(RESTART_POLICIES), "default": "no"},
    "recreate": {"type": "str", "choices": ["never", "on_drift"], "default": "never"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 120},
}
