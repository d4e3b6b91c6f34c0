# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a node has what it was to get, by the kernel's own word: an engine's inspect only echoes the request."""

from __future__ import annotations

from .._core import checks
from .._engine.model import Container, Limits, Mount, NewContainer
from .._host import process
from .._host.cgroup import find_limits
from .node_spec import LIMIT_OPTIONS, VAR, same_limit


def differences(new: NewContainer, container: Container) -> list[str]:
    """What a container that was just started has otherwise than it was requested, by the kernel's own word."""
    found = limit_differences(new.limits, container)
    here = process.addresses(container.pid)
    for option, address in (("ip", new.ip), ("ip6", new.ip6)):
        if address is not None and checks.address(option, address) not in here:
            found.append(f"{option} {address} is on none of its interfaces")
    found += [f"env {name} has another value" for name in new.env if container.environment.get(name) != new.env[name]]
    mounted = process.mounts(container.pid)
    wanted = [*new.mounts] + ([Mount(str(new.volume), VAR)] if new.volume else [])
    for mount in wanted:
        item = process.mounted_at(container.pid, mount.target, mounted)
        if item is None and not process.is_open(container.pid):
            # Nobody but root can say where the image's links lead.
            continue
        if item is None:
            found.append(f"nothing is mounted at {mount.target}")
        elif mount.read_only and not item.read_only:
            found.append(f"{mount.target} is writable")
    # A process that has ended meanwhile has nothing of it; why it ended is for the wait to tell.
    return found if mounted else []


def limit_differences(asked: Limits, container: Container) -> list[str]:
    now = find_limits(container.pid, container.id)
    found = []
    for key, option in LIMIT_OPTIONS.items():
        value = getattr(asked, key)
        if value is not None and key not in now:
            found.append(f"{option} {value} is not kept: its control group has no such controller")
        elif value is not None and not same_limit(value, now[key]):
            found.append(f"{option} is {now[key]}, expected {value}")
    return found
