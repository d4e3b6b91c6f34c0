# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine says of its things, in one vocabulary for every engine. Values only, no behaviour of an engine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .._core.capabilities import Capabilities
from .._core.checks import IPAddress, IPNetwork
from .._core.diagnosis import failure

BY_PRIORITY = ("podman", "docker")
"""The engines by their priority, the highest first."""


@dataclass(frozen=True)
class EngineInfo:
    """The engine that was chosen and the facts of its host that decisions are made from.

    It travels between tasks as a plain dictionary (``engine_facts``), so a play asks the engine once:
    ``podman info`` alone costs as much as eight other calls.
    """

    name: str
    version: str
    rootless: bool
    cgroup_version: int
    """1 (also on hybrid hosts, whose controllers are version 1's) or 2."""
    cgroup_manager: str
    cgroup_controllers: tuple[str, ...]
    network_backend: str
    runtime: str
    """The engine's default OCI runtime."""
    runtimes: tuple[str, ...]
    """OCI runtimes that this machine has."""
    storage_driver: str
    storage_filesystem: str
    storage_path: str
    architecture: str
    cpus: int
    memory: int
    """Bytes of memory of the host."""
    selinux: bool
    apparmor: bool
    userns_remap: bool = False
    """Whether root of its containers is another user of the machine (dockerd's ``userns-remap``)."""
    address_pools: tuple[str, ...] = ()
    """Where its administrator lets it take networks from (dockerd's ``default-address-pools``)."""
    capabilities: Capabilities = field(default_factory=Capabilities, compare=False)
    """Of the program, which knows them without being asked; they do not travel."""

    @property
    def freezes(self) -> bool:
        """Whether its containers can be paused: of version 1 of control groups, the freezer belongs to root."""
        return not self.rootless or self.cgroup_version == 2

    def as_dict(self) -> dict[str, Any]:
        """Plain types only, for a module's result."""
        facts = {key: value for key, value in vars(self).items() if key != "capabilities"}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in facts.items()}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> EngineInfo:
        """The facts that an earlier task returned. Raises ``invalid_option`` when they are something else."""
        try:
            if facts["name"] not in BY_PRIORITY:
                raise ValueError(facts["name"])
            return cls(
                name=str(facts["name"]),
                version=str(facts["version"]),
                rootless=_flag(facts["rootless"]),
                cgroup_version=int(facts["cgroup_version"]),
                cgroup_manager=str(facts["cgroup_manager"]),
                cgroup_controllers=tuple(str(item) for item in facts["cgroup_controllers"]),
                network_backend=str(facts["network_backend"]),
                runtime=str(facts["runtime"]),
                runtimes=tuple(str(item) for item in facts["runtimes"]),
                storage_driver=str(facts["storage_driver"]),
                storage_filesystem=str(facts["storage_filesystem"]),
                storage_path=str(facts["storage_path"]),
                architecture=str(facts["architecture"]),
                cpus=int(facts["cpus"]),
                memory=int(facts["memory"]),
                selinux=_flag(facts["selinux"]),
                apparmor=_flag(facts["apparmor"]),
                userns_remap=_flag(facts["userns_remap"]),
                address_pools=tuple(str(item) for item in facts.get("address_pools") or ()),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise failure(
                "invalid_option",
                option="engine_facts",
                problem=f"this is not what oci_engine_info returned ({error!r})",
                fix="register nodeforge.kic.oci_engine_info and hand in its engine_facts, or leave the option out",
            ) from error


def _flag(value: object) -> bool:
    # A template may have made a string of it on the way.
    return value is True or str(value).lower() == "true"


@dataclass(frozen=True)
class Range:
    """One subnet of a network and its gateway."""

    subnet: IPNetwork
    gateway: IPAddress | None

    @classmethod
    def of(cls, subnet: str, gateway: str | None) -> Range:
        """From the engine's text."""
        return cls(ipaddress.ip_network(subnet, strict=False), ipaddress.ip_address(gateway) if gateway else None)


@dataclass(frozen=True)
class Network:
    """A network of the engine."""

    id: str
    name: str
    driver: str
    ranges: tuple[Range, ...]
    mtu: int | None
    """None when the engine was told none and so uses the kernel's default."""
    labels: Mapping[str, str]

    def range(self, version: int) -> Range | None:
        """The first range of IP ``version``."""
        for found in self.ranges:
            if found.subnet.version == version:
                return found
        return None


@dataclass(frozen=True)
class Stored:
    """A file in a container: when it was last changed, and what it holds where that was requested."""

    changed: float
    content: bytes | None = None


@dataclass(frozen=True)
class Volume:
    """A volume of the engine."""

    name: str
    driver: str
    mountpoint: str
    labels: Mapping[str, str]
    options: Mapping[str, str]


@dataclass(frozen=True)
class Image:
    """An image in the engine's store. ``size`` is in bytes, ``digests`` are of registry manifests."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    architecture: str
    labels: Mapping[str, str]
    environment: tuple[str, ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()
    """Arguments of the entrypoint, or all of what starts where there is none."""
    volumes: tuple[str, ...] = ()
    """Paths at which each container of it gets a volume without a name, unless something else is mounted there."""
    layers: tuple[str, ...] = ()
    """Digests of its layers, unpacked."""
    created: str = ""

    @property
    def content(self) -> tuple[Any, ...]:
        """What it is, whatever a store names it by: the digest of its configuration, or, where docker keeps images in
        containerd's store (29, and 26.1 if told so), of its manifest."""
        config = (self.environment, self.entrypoint, self.command, tuple(sorted(self.labels.items())))
        created = "" if self.created.startswith(_NEVER) else self.created[:_SECONDS]
        return (self.layers, created, self.architecture, *config)


_SECONDS = len("2026-01-01T00:00:00")
"""Engines write the fraction in different lengths."""
_NEVER = "0001-01-01T"
"""Go's word for a time that is not given."""


@dataclass(frozen=True)
class Offered:
    """What a registry has under a name: one image or several, each for a platform. Empty where it only says that it has."""

    id: str = ""
    """The id that the image has in a store: the digest of its configuration."""
    platforms: tuple[tuple[str, str], ...] = ()
    """Architecture and digest of the manifest of each image for Linux."""


@dataclass(frozen=True)
class Attached:
    """A container as seen from a network or volume that it uses. ``addresses`` are those on that network."""

    id: str
    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Publication:
    """A port of a container that leads from the host. ``host_port`` is None until one was chosen."""

    port: int
    protocol: str
    """tcp, udp or sctp."""
    address: str
    """The host's address that it is published on."""
    host_port: int | None

    def as_dict(self) -> dict[str, Any]:
        """The documented keys."""
        return dict(vars(self))


@dataclass(frozen=True)
class Mount:
    """A file or directory of the host inside a container."""

    source: str
    target: str
    read_only: bool = False
    propagation: str = "rprivate"
    """How mounts made below it later reach the other side (mount_namespaces(7)); ``r`` is for all below it."""
    relabel: str = "none"
    """On hosts with SELinux: ``shared`` or ``private`` label for containers."""

    def as_dict(self) -> dict[str, Any]:
        """The documented keys."""
        return dict(vars(self))


@dataclass(frozen=True)
class Reader:
    """A command in a container that reads its standard input, or a named pipe that it makes."""

    command: Sequence[str]
    pid: int = 0
    """The container's first process, by which the pipe is reached."""
    pipe: str = ""
    """Path in the container; empty for standard input."""


@dataclass(frozen=True)
class Writer:
    """A command in a container whose output is meant."""

    container: str
    command: Sequence[str]


@dataclass(frozen=True)
class Limits:
    """Limits of a control group; None is none."""

    memory: int | None = None
    """Bytes."""
    cpus: float | None = None
    pids: int | None = None


@dataclass(frozen=True)
class BootCommands:
    """What a unit of systemd runs for containers of an engine that has no daemon to do so."""

    start: tuple[tuple[str, ...], ...]
    """One for each: that one is missing is no reason to leave the others."""
    started: tuple[tuple[str, ...], ...]
    """When they are started: limits that the engine forgets at a stop."""
    resume: tuple[tuple[str, ...], ...]
    """One for each, before they stop: what is paused does not end in order. It fails for one that is not."""
    stop: tuple[str, ...]
    environment: Mapping[str, str]
    """By which the engine finds the containers where it has them now."""
    units: tuple[str, ...] = ()
    """Units of systemd that hold the containers' processes, and are not to be ended while they stop in order."""


@dataclass(frozen=True)
class NewContainer:
    """A node's container that is to be made, the same for every engine."""

    name: str
    image: str
    hostname: str
    network: str | None
    """None is the engine's own default."""
    ip: str | None
    ip6: str | None
    volume: str | None
    """The volume at /var."""
    mounts: tuple[Mount, ...]
    tmpfs: Mapping[str, str]
    """Options by path."""
    publish: tuple[Publication, ...]
    devices: tuple[str, ...]
    limits: Limits
    ulimits: Mapping[str, str]
    """``soft:hard`` by name."""
    sysctls: Mapping[str, str]
    security_opts: tuple[str, ...]
    env: Mapping[str, str]
    labels: Mapping[str, str]
    privileged: bool
    runtime: str | None
    """None is the engine's default."""
    command: tuple[str, ...]
    """() is the image's."""
    restart_policy: str
    entrypoint: str | None = None
    """None is the image's."""
    capabilities: tuple[str, ...] = ()
    """What it gets in place of being privileged, by name; () where it is or where that was not requested."""
    image_volumes: tuple[str, ...] | None = None
    """Those of the image's volumes that it gets; None is all, and that is all that docker can do."""
    passed_on: tuple[str, ...] = ()
    """Arguments that both engines take as they are."""


@dataclass(frozen=True)
class Container:
    """A container as the engine reports it. Of limits and mounts this echoes the request; see the node's own files."""

    id: str
    name: str
    image_id: str
    image_name: str
    status: str
    """created, running, exited, paused, …: the engine's own word."""
    pid: int
    """Process id of its PID 1 on the host, 0 when it does not run."""
    exit_code: int
    error: str
    oom_killed: bool
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    addresses: Mapping[str, tuple[str, ...]]
    """Addresses by network name; () while it does not run, unless they are fixed."""
    runtime: str
    limits: Limits
    """What the next start will set, not what is set now."""
    restart_policy: str = "no"
    """When a daemon starts it again; of an engine without one it says nothing."""
    raw: Mapping[str, Any] = field(repr=False, compare=False, default_factory=dict)
    """The engine's whole answer, for what only one resource asks."""

    @property
    def running(self) -> bool:
        """Whether its PID 1 is there."""
        return self.status == "running"

    @property
    def started(self) -> float:
        """When it was last started, in seconds since 1970; 0 where it never was, or the engine does not say it."""
        text = str((self.raw.get("State") or {}).get("StartedAt") or "")
        # docker writes nanoseconds, podman the machine's own zone (RFC 3339).
        found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", text)
        if found is None:
            return 0.0
        zone = "+00:00" if found[2] == "Z" else found[2]
        try:
            return max(0.0, datetime.fromisoformat(found[1] + zone).timestamp())
        except ValueError:
            return 0.0
