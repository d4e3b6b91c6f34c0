# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of root's podman, also those in which nothing runs, read from podman's files.

podman makes the bridge of a network with its first container and removes it with the last, so the kernel routes nothing to
the others (netavark; docker's bridges stay). An ordinary user's lie in a network namespace of podman's own and are in
nobody's way.
"""

from __future__ import annotations

import ipaddress
import json

from .._core.checks import IPNetwork
from .files import listed, read

DIRECTORY = "/etc/containers/networks"
"""Where root's podman keeps them with netavark, a file each (containers.conf(5), network_config_dir)."""


def podman_networks(directory: str = DIRECTORY) -> list[tuple[IPNetwork, str]]:
    """Each subnet and the name of its network, ordered by file; a file that is no network's says nothing."""
    files = [name for name in listed(directory) if name.endswith(".json")]
    return [found for name in files for found in _subnets(read(f"{directory}/{name}") or "")]


def _subnets(text: str) -> list[tuple[IPNetwork, str]]:
    """Those of one file: ``{"name": …, "subnets": [{"subnet": "10.89.0.0/24", …}]}`` (podman 4.3, 5.4)."""
    try:
        network = json.loads(text)
        return [(ipaddress.ip_network(item["subnet"]), str(network["name"])) for item in network.get("subnets") or ()]
    except (AttributeError, KeyError, TypeError, ValueError):
        # Half written, or of another program.
        return []
