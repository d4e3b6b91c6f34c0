# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine that works could do better, seen before it makes a node fail."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .._core.capabilities import Capabilities
from .._core.diagnosis import Diagnosis, failure
from .delegation import MOUNT
from .files import read
from .forwarding import BRIDGED, FORWARD, Forwarding
from .storage import Space, space
from .user import lingers, sub_ids, user_name

ROOM = 4 << 30
"""Bytes: a node image of about 1 GB unpacked, its copy in the volume of a first node, and as much again to work with."""

INODES = 100_000
"""A node image has about 20,000 files, a cluster's images as many again (counted in ours)."""

SUB_IDS = 65536
"""What the owners of an image's files need (subuid(5)); podman's and docker's manuals ask for as many."""

CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
"""What kubelet asks of its control group (kubernetes, pkg/kubelet/cm/container_manager_linux.go)."""

COPYING = ("vfs", "native")
"""Storage drivers without layers: each container is a whole copy of its image (containers-storage.conf(5)). ``native`` is
containerd's, which docker takes where the file system has no overlay."""


class EngineFacts(Protocol):
    """What of an engine's facts (EngineInfo of the engines' room, which is above this one) is judged here."""

    @property
    def name(self) -> str: ...
    @property
    def capabilities(self) -> Capabilities: ...
    @property
    def rootless(self) -> bool: ...
    @property
    def cgroup_version(self) -> int: ...
    @property
    def cgroup_controllers(self) -> tuple[str, ...]: ...
    @property
    def network_backend(self) -> str: ...
    @property
    def storage_driver(self) -> str: ...
    @property
    def storage_path(self) -> str: ...


@dataclass(frozen=True)
class Surroundings:
    """What of machine and user is looked at. ``sub_ids`` and ``lingers`` are None where nobody can say; ``controllers``
    is empty there."""

    user: str
    space: Space | None
    sub_ids: int | None
    lingers: bool | None
    controllers: tuple[str, ...] = ()
    """Of the user's own systemd (cgroups(7))."""


def refuse_without_packet_filter(info: EngineFacts, programs: Sequence[str]) -> None:
    """Raise ``packet_filter_missing`` where no container can get a network: netavark runs one of ``programs``."""
    if info.network_backend == "netavark" and not programs:
        raise failure("packet_filter_missing", engine=info.name, program="iptables or nft")


def look(info: EngineFacts) -> Surroundings:
    """Look at the machine below the engine."""
    found = space(info.storage_path) if info.storage_path else None
    if not info.rootless:
        return Surroundings(user_name(), found, None, None)
    uid = os.geteuid()
    group = f"{MOUNT}/user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
    return Surroundings(user_name(), found, sub_ids(), lingers(), tuple((read(group) or "").split()))


def weaknesses(info: EngineFacts, around: Surroundings) -> tuple[Diagnosis, ...]:
    """What should be repaired, the worst first; () where there is nothing. Pure."""
    found = []
    if info.rootless and around.sub_ids is not None and around.sub_ids < SUB_IDS:
        found.append(failure("sub_ids_missing", user=around.user, found=around.sub_ids, asked=SUB_IDS))
    if around.space is not None and around.space.bytes < ROOM:
        mib = around.space.bytes >> 20
        found.append(failure("disk_low", engine=info.name, path=info.storage_path, free=f"{mib} MiB"))
    if around.space is not None and around.space.inodes is not None and around.space.inodes < INODES:
        found.append(failure("inodes_low", engine=info.name, path=info.storage_path, free=around.space.inodes))
    # docker does not say which controllers it has; run by a user's systemd, it has no more than that.
    has = info.cgroup_controllers or around.controllers
    missing = [item for item in CONTROLLERS if item not in has] if has else []
    if info.rootless and info.cgroup_version == 2 and missing:
        found.append(failure("delegation_incomplete", user=around.user, controllers=", ".join(missing)))
    if info.storage_driver in COPYING:
        found.append(failure("storage_unfit", engine=info.name, driver=info.storage_driver))
    if info.rootless and around.lingers is False:
        found.append(failure("no_linger", user=around.user))
    return tuple(error.diagnosis for error in found)


def of_network(info: EngineFacts, found: Forwarding) -> tuple[Diagnosis, ...]:
    """Why pods will reach nothing though nodes start and are Ready. It is the machine's, so no choice of an engine depends on
    it. Pure."""
    weak = []
    # An ordinary user's containers have a network of their own.
    if (
        not info.rootless
        and found.off
        and (not info.capabilities.forwards_at_each_start or found.bridges or found.files)
    ):
        where = f"take {FORWARD} out of {', '.join(found.files)}, then type" if found.files else "type"
        weak.append(failure("forwarding_off", engine=info.name, setting=FORWARD, where=where))
    if not info.rootless and not info.capabilities.opens_bridges and found.drops_bridged:
        weak.append(failure("bridge_filtered", setting=BRIDGED))
    return tuple(error.diagnosis for error in weak)
