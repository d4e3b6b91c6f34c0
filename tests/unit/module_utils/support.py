# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of module_utils share: parameters as a module hands them on, an engine in memory, recorded answers."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.absent import AbsentEngine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.base import Engine
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.drivers import driver
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import (
    Attached,
    Container,
    EngineInfo,
    Image,
    Limits,
    Network,
    NewContainer,
    Offered,
    Range,
    Reader,
    Stored,
    Volume,
    Writer,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._host.machine import HostLimits
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_options import PASSED_ON

RECORDED = Path(__file__).resolve().parent / "recorded"
PODMAN = RECORDED / "podman-4.3.1"
DOCKER = RECORDED / "docker-20.10.24"
PROC = RECORDED / "proc"

GIB = 1 << 30
NO_PROCESS = 1 << 30
"""An id that no process can have (the kernel's largest is 4194304), so nothing of it is found below /proc."""

OURS = {labels.SCHEMA: "1"}
IMAGE_ID = "a" * 64
IMAGE_NAME = "localhost/nodeforge/kic-node:v1"


@contextmanager
def fails(condition: str, *words: str) -> Iterator[None]:
    """Assert that the block raises KicError of ``condition`` and that its message holds all of ``words``."""
    with pytest.raises(KicError) as caught:
        yield
    message = str(caught.value)
    assert caught.value.diagnosis.id == condition, message
    for word in words:
        assert word in message


def recorded(name: str, engine: Path = PODMAN) -> Any:
    """A recorded answer of an engine."""
    return json.loads((engine / name).read_text())


def proc(name: str) -> str:
    """A recorded file of /proc."""
    return (PROC / name).read_text()


def recorded_errors(engine: Path = PODMAN) -> dict[str, CommandResult]:
    """The recorded failures by what they are about, or by their names."""
    return {
        item.get("about") or item["name"]: CommandResult(
            tuple(item["command"]), item["rc"], item.get("stdout", "").encode(), item["stderr"].encode()
        )
        for item in recorded("errors.json", engine)
    }


def node_params(**given: Any) -> dict[str, Any]:
    """Parameters of kic_node with the module's defaults."""
    found: dict[str, Any] = {
        "name": "node-1",
        "state": "started",
        "cluster": None,
        "role": None,
        "image": IMAGE_NAME,
        "network": None,
        "ip": None,
        "ip6": None,
        "hostname": None,
        "volume": "none",
        "mounts": [],
        "tmpfs": {},
        "publish": [],
        "devices": [],
        "memory": None,
        "cpus": None,
        "pids_limit": None,
        "ulimits": {},
        "sysctls": {},
        "security_opts": [],
        **{option.name: option.default for option in PASSED_ON},
        "env": {},
        "no_proxy": [],
        "labels": {},
        "privileged": "auto",
        "runtime": None,
        "command": [],
        "restart_policy": "no",
        "files": [],
        "recreate": "never",
        "wait": False,
        "wait_timeout": 120,
    }
    assert not given.keys() - found.keys()
    return {**found, **given}


def mount_params(source: str, target: str, **given: Any) -> dict[str, Any]:
    """One item of the option mounts with the module's defaults."""
    defaults = {"read_only": False, "propagation": "rprivate", "relabel": "none"}
    return {"source": source, "target": target, **defaults, **given}


def publish_params(port: int, host_port: int | None = None, **given: Any) -> dict[str, Any]:
    """One item of the option publish with the module's defaults."""
    return {"port": port, "host_port": host_port, "protocol": "tcp", "address": "127.0.0.1", **given}


def network_params(**given: Any) -> dict[str, Any]:
    """Parameters of oci_network with the module's defaults."""
    found: dict[str, Any] = {
        "name": "kic",
        "state": "present",
        "subnet": None,
        "subnet6": None,
        "pools": ["192.168.128.0/17"],
        "prefix": 24,
        "avoid": [],
        "gateway": None,
        "mtu": None,
        "labels": {},
        "cluster": None,
        "recreate": "never",
    }
    assert not given.keys() - found.keys()
    return {**found, **given}


def volume_params(**given: Any) -> dict[str, Any]:
    """Parameters of oci_volume with the module's defaults."""
    found: dict[str, Any] = {
        "name": "data",
        "state": "present",
        "labels": {},
        "options": None,
        "cluster": None,
        "recreate": "never",
    }
    assert not given.keys() - found.keys()
    return {**found, **given}


def image_params(**given: Any) -> dict[str, Any]:
    """Parameters of oci_image with the module's defaults."""
    found: dict[str, Any] = {
        "name": "registry.example/team/node:v1",
        "state": "present",
        "digest": None,
        "source": "auto",
        "archive": None,
        "image_id": None,
    }
    assert not given.keys() - found.keys()
    return {**found, **given}


def der(begins: float, ends: float, issuer: str = "kubernetes") -> bytes:
    """A certificate as far as its times, which is as far as ours is read."""

    def element(tag: int, content: bytes) -> bytes:
        size = len(content)
        length = bytes([size]) if size < 128 else bytes([0x82, *size.to_bytes(2, "big")])
        return bytes([tag]) + length + content

    def moment(seconds: float) -> bytes:
        text = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y%m%d%H%M%SZ")
        return element(0x18, text.encode()) if text >= "2050" else element(0x17, text[2:].encode())

    version = element(0xA0, element(0x02, b"\x02"))
    fields = version + element(0x02, b"\x7f" * 8) + element(0x30, b"") + element(0x30, element(0x0C, issuer.encode()))
    return element(0x30, element(0x30, fields + element(0x30, moment(begins) + moment(ends))))


def engine_info(**given: Any) -> EngineInfo:
    """Facts of a rootful podman on a machine with cgroup version 2."""
    found = EngineInfo(
        name="podman",
        version="4.3.1",
        rootless=False,
        cgroup_version=2,
        cgroup_manager="systemd",
        cgroup_controllers=("cpu", "memory", "pids"),
        network_backend="netavark",
        runtime="crun",
        runtimes=("crun", "runc"),
        storage_driver="overlay",
        storage_filesystem="extfs",
        storage_path="/var/lib/containers/storage",
        architecture="amd64",
        cpus=4,
        memory=8 * GIB,
        selinux=False,
        apparmor=False,
    )
    capabilities = driver(given.get("name", found.name)).capabilities
    return replace(found, **{"capabilities": capabilities, **given})


def host(**given: Any) -> HostLimits:
    """A machine with four processors and 8 GiB that can give what a node likes to have."""
    found = HostLimits(
        cpus=4,
        memory=8 * GIB,
        nofile=1 << 20,
        nproc=1 << 20,
        runtimes=frozenset(("crun", "runc")),
        modules=True,
    )
    return replace(found, **given)


def image(**given: Any) -> Image:
    """A node image of the store."""
    found = Image(IMAGE_ID, (IMAGE_NAME,), (), 1000, "amd64", {}, (), ())
    return replace(found, **given)


def network(name: str = "kic", subnet: str = "10.5.0.0/24", *more: str, **given: Any) -> Network:
    """A network of ours whose gateways are the first addresses of its subnets."""
    ranges = []
    for text in (subnet, *more):
        found = Range.of(text, None)
        ranges.append(replace(found, gateway=found.subnet.network_address + 1))
    return replace(Network(f"id-{name}", name, "bridge", tuple(ranges), None, OURS), **given)


def container(name: str = "node-1", **given: Any) -> Container:
    """A running container of ours that has no process on this machine."""
    found = Container(
        id=f"id-{name}",
        name=name,
        image_id=IMAGE_ID,
        image_name=IMAGE_NAME,
        status="running",
        pid=NO_PROCESS,
        exit_code=0,
        error="",
        oom_killed=False,
        labels=OURS,
        environment={},
        addresses={},
        runtime="crun",
        limits=Limits(),
    )
    return replace(found, **given)


class MemoryPorts:
    """Ports of a machine on which ``busy`` are in use; those it picks count up from 40000."""

    def __init__(self, busy: Collection[int] = (), lowest: int = 1024) -> None:
        self._busy = frozenset(busy)
        self._lowest = lowest

    def free(self, address: str, protocol: str, port: int) -> bool:
        """Whether it is not busy."""
        return port not in self._busy

    def pick(self, address: str, protocol: str, taken: Collection[int]) -> int:
        """The first from 40000 on."""
        return next(port for port in range(40000, 50000) if port not in self._busy and port not in taken)

    def lowest(self) -> int:
        """As it was set."""
        return self._lowest


class ByClient(Engine):
    """An engine whose client is played by ``call``: what runs in a container comes there as ``exec``."""

    @abstractmethod
    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        """What the client answers to ``arguments``."""

    def exec(
        self,
        container: str,
        command: Sequence[str],
        *,
        action: str = "",
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        arguments = ["exec", *(["--interactive"] if stdin is not None else []), container, *command]
        return self.call(arguments, action=action, stdin=stdin, timeout=timeout, check=check)


class Unplugged(ByClient, AbsentEngine):  # type: ignore[misc]
    """One that holds nothing but what a test gives it, and answers by ``call``."""

    def __init__(self) -> None:
        super().__init__("podman", failure("engine_not_installed", engine="podman", package="podman"))


IMAGE_SCRIPTS = dict.fromkeys(("images-look", "images-load", "images-remove"), "")
"""What is run in nodes for their images; :class:`MemoryEngine` knows it by name."""


def target(identity: str) -> str:
    """The digest of the manifest by which a containerd knows an image."""
    return hashlib.sha256(identity.encode()).hexdigest()


def listing(held: Mapping[str, str], machine: str = "x86_64") -> str:
    """What images-look.sh prints where a containerd holds images, given with their ids by name."""
    names = {**held, **{f"sha256:{identity}": identity for identity in held.values()}}
    rows = [
        f"{name} application/vnd.oci.image.manifest.v1+json sha256:{target(identity)} 1.0 KiB linux/amd64 x=y"
        for name, identity in names.items()
    ]
    return "\n".join([machine, "REF TYPE DIGEST SIZE PLATFORMS LABELS", *rows, ""])


class MemoryEngine(ByClient):
    """An engine that keeps everything in dictionaries and writes down what was done to it in ``done``."""

    name = "podman"
    capabilities = driver("podman").capabilities
    priority = driver("podman").priority
    boot_commands = staticmethod(driver("podman").boot_commands)

    def __init__(self, info: EngineInfo | None = None) -> None:
        self.facts = info or engine_info()
        self.contents: dict[tuple[str, str], bytes] = {}
        self.containerd: dict[str, dict[str, str]] = {}
        """Images that nodes hold: ids by name."""
        self.machine = "x86_64"
        self.load_fails: dict[str, CommandResult] = {}
        """How a load ends in a node."""
        self.network_table: dict[str, Network] = {}
        self.volume_table: dict[str, Volume] = {}
        self.image_table: dict[str, Image] = {}
        self.container_table: dict[str, Container] = {}
        self.users: dict[str, list[Attached]] = {}
        self.registry: dict[str, Image] = {}
        self.lists: dict[str, tuple[tuple[str, str], ...]] = {}
        """Architecture and digest of each image of a list that the registry has."""
        self.archives: dict[str, list[Image]] = {}
        self.refuses_start: list[KicError] = []
        self.refused_as: str | None = None
        self.starts_as = "running"
        self.log = ""
        self.answers: list[CommandResult | KicError] = []
        self.made: list[NewContainer] = []
        self.done: list[str] = []
        self.can_update = frozenset(("memory", "cpus"))

    @property
    def info(self) -> EngineInfo:
        return self.facts

    def networks(self) -> list[Network]:
        return list(self.network_table.values())

    def create_network(self, network: Network) -> None:
        self.done.append(f"create network {network.name}")
        if network.name in self.network_table:
            raise failure("name_taken", kind="network", name=network.name, engine=self.name)
        for other in self.network_table.values():
            for mine in network.ranges:
                if any(
                    mine.subnet.version == item.subnet.version and mine.subnet.overlaps(item.subnet)
                    for item in other.ranges
                ):
                    raise failure("subnet_overlap", subnet=mine.subnet, other=f"the network {other.name}")
        self.network_table[network.name] = replace(network, id=f"id-{network.name}")

    def remove_network(self, identity: str) -> None:
        self.done.append(f"remove network {identity}")
        self.network_table = {key: item for key, item in self.network_table.items() if item.id != identity}

    def attached_to_network(self, name: str) -> list[Attached]:
        return [
            *self.users.get(f"network {name}", []),
            *(Attached(item.id, item.name, item.labels) for item in self._containers() if name in item.addresses),
        ]

    def volume(self, name: str) -> Volume | None:
        return self.volume_table.get(name)

    def volumes(self, label: str) -> list[Volume]:
        return [item for item in self.volume_table.values() if labels.carries(item.labels, label)]

    def create_volume(self, volume: Volume) -> None:
        self.done.append(f"create volume {volume.name}")
        self.volume_table[volume.name] = replace(volume, mountpoint=f"/volumes/{volume.name}")

    def remove_volume(self, name: str) -> None:
        self.done.append(f"remove volume {name}")
        self.volume_table.pop(name, None)

    def attached_to_volume(self, name: str) -> list[Attached]:
        return self.users.get(f"volume {name}", [])

    def image(self, reference: str) -> Image | None:
        for found in self.image_table.values():
            digests = {f"{tag.rpartition(':')[0]}@{digest}" for tag in found.tags for digest in found.digests}
            if reference in (found.id, *found.tags, *digests):
                return found
        return None

    def images_named(self, references: Sequence[str]) -> list[Image | None]:
        return [self.image(reference) for reference in references]

    def feed_images(
        self, source: str | Sequence[str] | Writer, commands: Mapping[str, Reader], seconds: float
    ) -> dict[str, CommandResult]:
        if isinstance(source, Writer):
            what = f"{source.command[3]} {source.command[-1]} of {source.container}"
        else:
            what = source if isinstance(source, str) else " ".join(source)
        self.done.append(f"feed {what} to {' '.join(commands)}")
        ended = {}
        for node, reader in commands.items():
            ended[node] = self.load_fails.get(node, CommandResult((), 0, b"", b""))
            if ended[node].rc != 0 or isinstance(source, Writer):
                continue
            for item in json.loads(reader.command[-1]):
                self.containerd.setdefault(node, {}).update(dict.fromkeys(item["names"], item["id"]))
        return ended

    def exec(
        self,
        container: str,
        command: Sequence[str],
        *,
        action: str = "",
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        held = self.containerd.setdefault(container, {})
        words = command[3] if command[0] == "bash" else command[0]
        if words == "images-look":
            return CommandResult((), 0, listing(held, self.machine).encode(), b"")
        if words == "images-remove":
            self.done.append(f"images-remove {container} {' '.join(command[4:])}")
            for name in command[4:]:
                held.pop(name, None)
            return CommandResult((), 0, b"", b"")
        if words == "ctr":
            self.done.append(f"tag {container} {' '.join(command[6:])}")
            identity = command[6].partition("sha256:")[2] or held[command[6]]
            held.update(dict.fromkeys(command[7:], identity))
            return CommandResult((), 0, b"", b"")
        return super().exec(container, command, action=action, stdin=stdin, timeout=timeout, check=check)

    def images(self, label: str) -> list[Image]:
        return [item for item in self.image_table.values() if labels.carries(item.labels, label)]

    def nameless_images(self) -> list[Image]:
        return [item for item in self.image_table.values() if not item.tags]

    def ask_registry(self, reference: str, seconds: float) -> Offered | None:
        self.done.append(f"ask registry {reference}")
        if reference in self.lists:
            return Offered(platforms=self.lists[reference])
        if reference not in self.registry:
            raise failure("image_unknown", engine=self.name, name=reference, repository=reference)
        return Offered(self.registry[reference].id)

    def pull_image(self, reference: str, seconds: float) -> None:
        self.done.append(f"pull {reference}")
        found = self.registry[reference]
        self.image_table[found.id] = found

    def load_image(self, path: str) -> None:
        self.done.append(f"load {path}")
        self.image_table.update({item.id: item for item in self.archives[path]})

    def import_image(self, path: str, name: str, label: str) -> None:
        self.done.append(f"import {name}")

    def tag_image(self, identity: str, name: str) -> None:
        self.done.append(f"tag {identity} {name}")
        for key, item in self.image_table.items():
            self.image_table[key] = replace(item, tags=tuple(tag for tag in item.tags if tag != name))
        found = self.image_table[identity]
        self.image_table[identity] = replace(found, tags=(*found.tags, name))

    def remove_image(self, name: str) -> None:
        self.done.append(f"remove image {name}")
        found = self.image(name)
        if found is not None:
            del self.image_table[found.id]

    def attached_to_image(self, identity: str) -> list[Attached]:
        return self.users.get(f"image {identity}", [])

    def _containers(self) -> list[Container]:
        return list(self.container_table.values())

    def add(self, found: Container) -> None:
        """Put a container there."""
        self.container_table[found.name] = found

    def container(self, name: str) -> Container | None:
        return next((item for item in self._containers() if name in (item.name, item.id)), None)

    def containers(self, label: str) -> list[Container]:
        return [item for item in self._containers() if labels.carries(item.labels, label)]

    def create_container(self, new: NewContainer) -> str:
        self.done.append(f"create container {new.name}")
        if new.name in self.container_table:
            raise failure("name_conflict", engine=self.name, name=new.name)
        self.made.append(new)
        addresses = tuple(item for item in (new.ip, new.ip6) if item)
        ids = {item.id for item in self._containers()}
        identity = next(
            item for item in (f"id-{new.name}", *(f"id-{new.name}-{n}" for n in range(2, 99))) if item not in ids
        )
        self.add(
            container(
                new.name,
                id=identity,
                status="created",
                labels=new.labels,
                environment=new.env,
                limits=new.limits,
                restart_policy=new.restart_policy,
                addresses={new.network: addresses} if new.network else {},
            )
        )
        return identity

    def set_restart_policy(self, identity: str, policy: str) -> None:
        self.done.append(f"restart policy {identity} {policy}")
        found = self.container(identity)
        assert found is not None
        self.add(replace(found, restart_policy=policy))

    def read_file(self, identity: str, path: str) -> bytes | None:
        return self.contents.get((identity, path))

    def read_directory(self, identity: str, path: str, wanted: Collection[str]) -> dict[str, Stored]:
        return {}

    def put_files(self, identity: str, archive: bytes) -> None:
        self.done.append(f"put files {identity}")

    def _become(self, identity: str, status: str) -> None:
        found = self.container(identity)
        assert found is not None
        self.add(replace(found, status=status))

    def start_container(self, identity: str) -> None:
        self.done.append(f"start {identity}")
        if self.refuses_start:
            if self.refused_as is not None:
                self._become(identity, self.refused_as)
            raise self.refuses_start.pop(0)
        self._refuse_taken(identity)
        self._become(identity, self.starts_as)

    def _refuse_taken(self, identity: str) -> None:
        """What runs holds its address and its ports; what does not run holds nothing."""
        found = self.container(identity)
        assert found is not None
        for other in self._containers():
            if other.id == found.id or not other.running:
                continue
            for network, addresses in found.addresses.items():
                for ip in set(addresses) & set(other.addresses.get(network, ())):
                    raise failure("address_taken", ip=ip, network=network, owner=other.name)
            held = {item["host_port"] for item in json.loads(other.labels.get(labels.PUBLISH, "[]"))}
            for item in json.loads(found.labels.get(labels.PUBLISH, "[]")):
                if item["host_port"] in held:
                    raise failure("port_taken", port=item["host_port"], address=item["address"])

    def stop_container(self, identity: str, seconds: int) -> None:
        self.done.append(f"stop {identity}")
        self._become(identity, "exited")

    def pause_container(self, identity: str) -> None:
        self.done.append(f"pause {identity}")
        found = self.container(identity)
        assert found is not None and found.running
        self._become(identity, "paused")

    def resume_container(self, identity: str) -> None:
        self.done.append(f"resume {identity}")
        self._become(identity, "running")

    def rename_container(self, identity: str, name: str) -> None:
        self.done.append(f"rename {identity} {name}")
        found = self.container(identity)
        assert found is not None and found.name != name
        if name in self.container_table:
            raise failure("name_conflict", engine=self.name, name=name)
        del self.container_table[found.name]
        self.add(replace(found, name=name))

    def remove_container(self, identity: str, seconds: int) -> None:
        self.done.append(f"remove container {identity}")
        found = self.container(identity)
        if found is not None:
            del self.container_table[found.name]

    @property
    def updatable(self) -> frozenset[str]:
        return self.can_update

    def update_limits(self, identity: str, limits: Limits) -> None:
        kept = {key: value for key, value in vars(limits).items() if value is not None}
        self.done.append(f"update {identity} {kept}")

    def logs(self, identity: str, lines: int) -> str:
        return self.log

    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        """What its client would be asked; tests answer it."""
        self.done.append(f"call {arguments[0]} {arguments[1]}")
        answer = self.answers.pop(0)
        if isinstance(answer, KicError):
            raise answer
        return answer


ACTS = (
    "create_container",
    "put_files",
    "start_container",
    "stop_container",
    "pause_container",
    "resume_container",
    "rename_container",
    "remove_container",
)
"""What is done to a container."""

CALLS = (
    *ACTS,
    "container",
    "containers",
    "image",
    "create_network",
    "remove_network",
    "networks",
    "attached_to_network",
    "create_volume",
    "remove_volume",
    "volume",
    "attached_to_volume",
)
"""What a test can break."""


class Killed(BaseException):
    """The run has ended: nothing of it goes on."""


@dataclass
class Fault:
    """What happens at the call number ``at`` of an engine."""

    at: int
    error: BaseException
    done: bool
    """Whether the call was done all the same."""


class Breakable(MemoryEngine):
    """An engine that counts its calls, of which one breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.counted: Collection[str] = CALLS
        self.fault: Fault | None = None
        self.inside = False
        self.raised: KicError | None = None
        self.broke_in: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return self._breaking(name, found) if name in CALLS else found

    def _breaking(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self.inside or name not in self.counted:
                return act(*arguments)
            self.calls.append(name)
            fault = self.fault if self.fault is not None and len(self.calls) - 1 == self.fault.at else None
            if fault is not None and not fault.done:
                raise fault.error
            self.inside = True
            try:
                result = act(*arguments)
            finally:
                self.inside = False
            if fault is not None:
                raise fault.error
            return result

        return call

    def arm(self, fault: Fault | None, counted: Collection[str] = CALLS) -> None:
        """Begin to count again."""
        self.calls, self.fault, self.counted = [], fault, counted


def broken_at_each(
    count: int,
    prepared: Callable[[], Breakable],
    work: Callable[[Breakable], object],
    error: Callable[[], BaseException],
    counted: Collection[str] = CALLS,
) -> Iterator[tuple[Fault, Breakable]]:
    """Each engine after ``work`` on it broke: at each of its ``count`` calls, before and after the call was done."""
    for at in range(count):
        for done in (False, True):
            engine, fault = prepared(), Fault(at, error(), done)
            engine.arm(fault, counted)
            try:
                work(engine)
            except KicError as caught:
                engine.raised = caught
            except Killed:
                pass
            else:
                raise AssertionError(f"{engine.calls[at]} broke, and the run went on")
            engine.broke_in = engine.calls[: at + 1]
            engine.arm(None)
            yield fault, engine


class TableRunner:
    """A Runner that answers from a table by how a command begins, and keeps the commands.

    The longest beginning that fits is taken; a command that nothing fits is an error of the test.
    """

    def __init__(self, table: Mapping[str, CommandResult | Exception]) -> None:
        self._table = table
        self.commands: list[str] = []
        self.stdin: list[bytes | None] = []
        self.timeouts: list[float] = []
        self.environments: list[dict[str, str]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Look it up."""
        command = " ".join(argv)
        self.commands.append(command)
        self.stdin.append(stdin)
        self.timeouts.append(timeout)
        self.environments.append(dict(env or {}))
        answer = self._table[max((key for key in self._table if command.startswith(key)), key=len)]
        if isinstance(answer, Exception):
            raise answer
        return answer


def said(out: str | bytes = "", rc: int = 0, err: str = "") -> CommandResult:
    """An answer of a program."""
    return CommandResult((), rc, out.encode() if isinstance(out, str) else out, err.encode())
