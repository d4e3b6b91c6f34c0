# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container of a node that is to be made: what was requested, checked, and the rest chosen. Pure."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from .._core import checks, labels
from .._core.checks import IPAddress, IPNetwork
from .._core.diagnosis import failure
from .._core.plan import Missing
from .._core.subnet import first_free_address
from .._engine.model import Container, EngineInfo, Image, Mount, Network, NewContainer, Publication
from .._engine.proxy import exceptions, of_environment
from .._host.machine import HostLimits
from .._host.ports import Ports
from .node_options import engine_arguments
from .node_spec import DEFAULT_TMPFS, NodeSpec, decode_published, encode_asked, encode_published

ROOTLESS_PIDS = 32768
"""The pids limit of a rootless node for which none was asked: without one, podman sets its own default of 2048, which
a few dozen pods use up; "no limit" is not for an ordinary user to give."""

NPROC = 1048576
NOFILE = 1048576
"""What a machine's systemd gives its services (systemd 240 and later); fewer where this machine cannot give as many."""

MODULES = "/lib/modules"
CGROUPS = "/sys/fs/cgroup"
MAPPER = "/dev/mapper"

DEVICELESS = ("btrfs", "zfs")
"""File systems whose files have no device's number: kubelet looks for the device that the table of mounts names
(cadvisor, fs/fs.go; minikube #7923, kind #2524)."""

WRITABLE = f"""\
for path in /proc/sys {CGROUPS} {CGROUPS}/*; do
  [ -d "$path" ] && mount -o remount,rw,bind "$path"
done 2>/dev/null
exec "$@"
"""
"""What a node with a list of capabilities begins with: docker mounts these read-only for all but privileged containers
(moby, oci/defaults.go), and neither kind's entrypoint nor systemd can do without them."""


@dataclass(frozen=True)
class Refused:
    """Values that turned out to be taken by others when the engine was to use them."""

    addresses: frozenset[IPAddress] = frozenset()
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True)
class PortSurvey:
    """What the machine says of the ports that a node is to publish."""

    busy: frozenset[Publication] = frozenset()
    """Publications whose port of the host something listens on."""
    offered: Mapping[Publication, int] = field(default_factory=dict)
    """A free port for each publication that leaves it open and that keeps none."""
    lowest: int = 0
    """The lowest port that needs no privilege."""


@dataclass(frozen=True)
class Around:
    """What a create needs to know of the engine and the machine."""

    info: EngineInfo
    image: Image | None
    networks: tuple[Network, ...]
    volume: bool
    """Whether the volume that is requested is there."""
    addresses: Mapping[IPAddress, str]
    """Addresses on the network that others have or are promised, with their names."""
    host_ports: frozenset[tuple[str, int]]
    """Protocol and port of the host that other nodes of ours hold, also those that do not run."""
    missing: tuple[tuple[str, str], ...]
    """Options and paths of this machine that they name and that are not there."""
    ports: PortSurvey = PortSurvey()
    refused: Refused = Refused()
    proxies: Mapping[str, str] = field(default_factory=dict)
    """Proxy variables that the engine gives a new container by itself."""
    storage_device: str = ""
    """The device of the engine's storage, where a node has to see it (DEVICELESS)."""


def allocate(
    spec: NodeSpec, around: Around, host: HostLimits, old: Container | None, *, engine: str
) -> tuple[NewContainer, tuple[Missing, ...]]:
    """The container to create: what was requested, checked, and the rest chosen; and what it needs and is not there yet.

    ``old`` is the one that it replaces. Its address and ports are taken again: others know them.
    """
    _refuse_image(spec, around, engine)
    network = next((item for item in around.networks if item.name == spec.network), None)
    ip, ip6 = (_choose_address(spec, network, version, around, old) for version in (4, 6))
    adaptations: list[dict[str, str]] = []
    capabilities = _choose_capabilities(spec, around.info, host, adaptations)
    runtime = _choose_runtime(spec, around.info, host, adaptations)
    image_volumes = _choose_image_volumes(spec, around.image, around.info, adaptations)
    ulimits = _choose_ulimits(spec, host, adaptations)
    published = _choose_ports(spec, around, old)
    entrypoint, command = _choose_start(spec, around.image, by_name=bool(capabilities))
    mounts, devices = _choose_mounts(spec, around, host, adaptations, by_name=bool(capabilities))
    security_opts = _choose_security(spec, around.info, adaptations, mounts=bool(mounts))
    limits = spec.limits
    if limits.pids is None and around.info.rootless:
        limits = replace(limits, pids=ROOTLESS_PIDS)
    new = NewContainer(
        name=spec.name,
        image=str(spec.image),
        hostname=spec.hostname,
        network=spec.network,
        ip=ip,
        ip6=ip6,
        volume=spec.volume,
        mounts=mounts,
        tmpfs={**DEFAULT_TMPFS, **spec.tmpfs},
        publish=published,
        devices=devices,
        limits=limits,
        ulimits=ulimits,
        sysctls=spec.sysctls,
        security_opts=security_opts,
        env={**spec.env, **exceptions(_proxies(around), spec.env, _direct(spec, network))},
        labels={},
        privileged=spec.privileged != "false" and not capabilities,
        capabilities=capabilities,
        image_volumes=image_volumes,
        runtime=runtime,
        command=command,
        restart_policy=spec.restart_policy,
        entrypoint=entrypoint,
        passed_on=engine_arguments(spec.passed_on),
    )
    return replace(new, labels=_labels(spec, new, around.image, adaptations)), _missing(spec, around, engine)


def _proxies(around: Around) -> dict[str, str]:
    """Those that the node has without being asked for, by its engine or by its image."""
    own = around.image.environment if around.image is not None else ()
    return {**of_environment(dict(item.partition("=")[::2] for item in own)), **around.proxies}


def _refuse_image(spec: NodeSpec, around: Around, engine: str) -> None:
    image = around.image
    if image is not None and image.architecture != around.info.architecture:
        machine = around.info.architecture
        raise failure("image_platform", name=spec.image, found=image.architecture, machine=machine)
    if image is not None and labels.claims(image.labels):
        claims = ", ".join(labels.claims(image.labels))
        raise failure("image_claims", name=spec.image, labels=claims, engine=engine)


def _labels(
    spec: NodeSpec, new: NewContainer, image: Image | None, adaptations: list[dict[str, str]]
) -> dict[str, str]:
    """Whose it is, what was requested and what was chosen, for later runs."""
    own = {
        **labels.ownership(spec.cluster),
        labels.SPEC: encode_asked(spec.asked),
        labels.PUBLISH: encode_published(new.publish),
        labels.ADAPTATIONS: json.dumps(adaptations, sort_keys=True),
    }
    created_from = image.id if image is not None else None
    known = (
        *((labels.ROLE, spec.role), (labels.ADDRESS, new.ip), (labels.ADDRESS6, new.ip6)),
        (labels.CREATED_FROM, created_from),
        (labels.NODE_NAME, spec.node_name),
    )
    return {**spec.labels, **own, **{key: value for key, value in known if value}}


def _choose_start(spec: NodeSpec, image: Image | None, *, by_name: bool) -> tuple[str | None, tuple[str, ...]]:
    """The entry point and the command. ``by_name`` is whether the node gets its capabilities one by one."""
    if spec.role == labels.LOAD_BALANCER:
        # The image's own makes a machine of a container, for which this one has no privileges.
        return spec.command[0], spec.command[1:]
    if not by_name or image is None:
        return None, spec.command
    return "/bin/sh", ("-c", WRITABLE, "sh", *image.entrypoint, *(spec.command or image.command))


def _choose_mounts(
    spec: NodeSpec, around: Around, host: HostLimits, adaptations: list[dict[str, str]], *, by_name: bool
) -> tuple[tuple[Mount, ...], tuple[str, ...]]:
    """What is mounted, and the devices."""
    if spec.role == labels.LOAD_BALANCER:
        # It asks nothing of the kernel.
        return spec.mounts, spec.devices
    mounts, devices, device = spec.mounts, spec.devices, around.storage_device
    targets = [mount.target for mount in mounts]
    reason = f"the engine's storage is on a file system whose device kubelet looks up by its name, {device}"
    # Those names are links, and engines give a privileged container no links.
    mapped = device.startswith(f"{MAPPER}/")
    if mapped and MAPPER not in targets:
        mounts += (Mount(MAPPER, MAPPER),)
        adaptations.append(_adaptation("mounts", MAPPER, reason))
    elif device and by_name and not mapped:
        devices += (device,)
        adaptations.append(_adaptation("devices", device, reason))
    # What a node asks its kernel for, it looks up here.
    if MODULES not in targets and host.modules:
        mounts += (Mount(MODULES, MODULES, read_only=True),)
    elif MODULES not in targets:
        adaptations.append(_adaptation("mounts", f"no {MODULES}", "this machine has none"))
    # A privileged one has all of them.
    return mounts, tuple(dict.fromkeys((*devices, *(host.devices if by_name else ()))))


def _choose_security(
    spec: NodeSpec, info: EngineInfo, adaptations: list[dict[str, str]], *, mounts: bool
) -> tuple[str, ...]:
    labelled = any(item.startswith("label") for item in spec.security_opts)
    if not info.selinux or spec.privileged != "false" or not mounts or labelled:
        return spec.security_opts
    # What is mounted belongs to the machine, so it is not given a container's label (":z").
    reason = "SELinux keeps a container that is not privileged from the files that are mounted into it"
    adaptations.append(_adaptation("security_opts", "label=disable", reason))
    return (*spec.security_opts, "label=disable")


def _missing(spec: NodeSpec, around: Around, engine: str) -> tuple[Missing, ...]:
    """What has to be there before."""
    found = [
        (path, checks.invalid(option, f"there is no {path} on this machine", "make it first, or name another"))
        for option, path in around.missing
    ]
    if around.image is None:
        found.append((f"image {spec.image}", failure("image_missing", name=spec.image, engine=engine)))
    if spec.volume is not None and not around.volume:
        found.append((f"volume {spec.volume}", failure("volume_missing", name=spec.volume)))
    if spec.network is not None and all(item.name != spec.network for item in around.networks):
        found.append((f"network {spec.network}", failure("network_missing", name=spec.network)))
    end = "yet; it is taken as one that an earlier task will make."
    return tuple(Missing(error, f"There is no {what} {end}") for what, error in found)


def _direct(spec: NodeSpec, network: Network | None) -> list[str]:
    """What a node reaches without any proxy: itself, its network, and what was requested."""
    subnets = [str(item.subnet) for item in network.ranges] if network is not None else []
    return [*spec.no_proxy, *dict.fromkeys((spec.name, spec.hostname)), *subnets]


def _choose_address(
    spec: NodeSpec,
    network: Network | None,
    version: int,
    around: Around,
    old: Container | None,
) -> str | None:
    option, asked = ("ip", spec.ip) if version == 4 else ("ip6", spec.ip6)
    found = network.range(version) if network is not None else None
    if found is None:
        # A network that is not there yet may have it.
        if asked is not None and not (network is None and spec.network):
            where = f"the network {spec.network} has no IPv{version} subnet" if spec.network else "no network is named"
            raise checks.invalid(option, f"{asked} cannot be given, as {where}", "leave it out, or name a network")
        return str(asked) if asked is not None else None
    if asked is not None:
        checks.address_in(option, str(asked), found.subnet)
        if asked == found.gateway:
            raise checks.invalid(option, f"{asked} is the gateway of {spec.network}", "choose another, or leave it out")
        if asked in around.addresses:
            raise failure("address_taken", ip=asked, network=spec.network, owner=around.addresses[asked])
        return str(asked)
    taken = {*around.addresses, *around.refused.addresses} | ({found.gateway} if found.gateway else set())
    before = old.labels.get(labels.ADDRESS if version == 4 else labels.ADDRESS6) if old is not None else None
    if before and _usable(checks.address(option, before), found.subnet, taken):
        return before
    free = first_free_address(found.subnet, taken)
    if free is None:
        raise failure("no_free_address", network=spec.network, subnet=found.subnet)
    return str(free)


def _usable(address: IPAddress, subnet: IPNetwork, taken: Collection[IPAddress]) -> bool:
    ends = (subnet.network_address, subnet.broadcast_address)
    return address in subnet and address not in ends and address not in taken


def survey_ports(spec: NodeSpec, around: Around, old: Container | None, ports: Ports) -> PortSurvey:
    """Ask the machine for the ports that :func:`allocate` needs."""
    lowest = ports.lowest() if around.info.rootless else 0
    own = _ports_of(old)
    busy = [
        item
        for item in spec.publish
        if item.host_port is not None
        and item.host_port >= lowest
        and (item.protocol, item.host_port) not in {*own, *around.host_ports}
        and not ports.free(item.address, item.protocol, item.host_port)
    ]
    kept = _kept_ports(spec, around, old)
    # What is picked must not be one of those that are known.
    used = {port for _protocol, port in around.host_ports} | around.refused.ports | set(kept.values())
    used |= {item.host_port for item in spec.publish if item.host_port is not None}
    offered: dict[Publication, int] = {}
    for item in spec.publish:
        if item.host_port is None and item not in kept:
            offered[item] = ports.pick(item.address, item.protocol, {*used, *offered.values()})
    return PortSurvey(frozenset(busy), offered, lowest)


def _ports_of(old: Container | None) -> set[tuple[str, int]]:
    """Protocol and port that the old one holds: while it runs, its ports are busy with itself."""
    held = decode_published(old.labels.get(labels.PUBLISH, "")) if old is not None else ()
    return {(item.protocol, item.host_port) for item in held if item.host_port is not None}


def _kept_ports(spec: NodeSpec, around: Around, old: Container | None) -> dict[Publication, int]:
    """The ports of the old one that the new one has again."""
    held = decode_published(old.labels.get(labels.PUBLISH, "")) if old is not None else ()
    before = {(item.port, item.protocol, item.address): item.host_port for item in held}
    named = {(item.protocol, item.host_port) for item in spec.publish if item.host_port is not None}
    kept = {}
    for item in spec.publish:
        port = before.get((item.port, item.protocol, item.address))
        lost = (item.protocol, port) in {*around.host_ports, *named} or port in around.refused.ports
        if item.host_port is None and port is not None and not lost:
            kept[item] = port
    return kept


def _choose_ports(spec: NodeSpec, around: Around, old: Container | None) -> tuple[Publication, ...]:
    own, known = _ports_of(old), {**around.ports.offered, **_kept_ports(spec, around, old)}
    chosen = []
    for item in spec.publish:
        port = item.host_port
        if port is not None:
            _refuse_port(item, port, around, mine=(item.protocol, port) in own)
        chosen.append(replace(item, host_port=known[item] if port is None else port))
    return tuple(chosen)


def _refuse_port(item: Publication, port: int, around: Around, *, mine: bool) -> None:
    if port < around.ports.lowest:
        raise failure("port_privileged", port=port, lowest=around.ports.lowest)
    if not mine and ((item.protocol, port) in around.host_ports or item in around.ports.busy):
        raise failure("port_taken", port=port, address=item.address)


def _adaptation(option: str, value: str, reason: str) -> dict[str, str]:
    return {"option": option, "value": value, "reason": reason}


def _choose_capabilities(
    spec: NodeSpec, info: EngineInfo, host: HostLimits, adaptations: list[dict[str, str]]
) -> tuple[str, ...]:
    if spec.privileged != "auto" or info.capabilities.privileged_by_degrees or info.rootless or host.all_capabilities:
        return ()
    reason = (
        "this machine has not all capabilities, and docker's --privileged asks for all; it gets each that there is, and what "
        "docker mounts read-only without that flag is made writable before the image's own start"
    )
    adaptations.append(_adaptation("privileged", "capabilities by name", reason))
    return host.capabilities


def _choose_runtime(
    spec: NodeSpec, info: EngineInfo, host: HostLimits, adaptations: list[dict[str, str]]
) -> str | None:
    if spec.runtime is not None:
        return spec.runtime
    if info.cgroup_version == 1 and os.path.basename(info.runtime) == "crun":
        if "runc" not in host.runtimes:
            raise failure("runtime_unfit", engine=info.name)
        reason = "crun cannot give a node a control group of its own on cgroup version 1 and hybrid hosts"
        adaptations.append(_adaptation("runtime", "runc", reason))
        return "runc"
    return None


def _choose_image_volumes(
    spec: NodeSpec, image: Image | None, info: EngineInfo, adaptations: list[dict[str, str]]
) -> tuple[str, ...] | None:
    """Images that are made for Molecule often declare a volume at the control groups, for a mount of the host's."""
    hiding = [path for path in (image.volumes if image else ()) if f"{CGROUPS}/".startswith(f"{path.rstrip('/')}/")]
    if image is None or not hiding:
        return None
    if not info.capabilities.skips_image_volumes:
        raise failure("image_hides_cgroups", name=spec.image, path=hiding[0])
    adaptations.append(
        _adaptation("image", f"no volume at {hiding[0]}", "it would hide the control groups of the node")
    )
    taken = {"/var" if spec.volume else None, *(mount.target for mount in spec.mounts), *spec.tmpfs, *DEFAULT_TMPFS}
    return tuple(path for path in image.volumes if path not in hiding and path not in taken)


def _choose_ulimits(spec: NodeSpec, host: HostLimits, adaptations: list[dict[str, str]]) -> dict[str, str]:
    nofile = min(NOFILE, host.nofile)
    if nofile < NOFILE:
        reason = f"open files: this machine gives no process more than {nofile}"
        adaptations.append(_adaptation("ulimits.nofile", str(nofile), reason))
    nproc = min(NPROC, host.nproc)
    return {"nofile": f"{nofile}:{nofile}", "nproc": f"{nproc}:{nproc}", **spec.ulimits}
