# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman, by its command line. Structured answers (JSON, exit codes) come first, texts only where there is no other.

Seen on podman 4.3.1 (Debian 12) and 5.4.2 (Debian 13); the texts of :data:`_TEXTS` name the release they are from.
"""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from .._command import CommandResult
from .._core.capabilities import Capabilities
from .._core.checks import invalid
from .._core.diagnosis import KicError, failure
from .._host.containers_conf import subnet_pools, variables
from .._host.environment import client_environment
from .._host.machine import runtimes
from . import proxy
from .cli import (
    HOST_PORTS,
    KERNEL_LIMITS,
    USER_NAMESPACES,
    CommandLineEngine,
    common_arguments,
    decode_limits,
    explain_by,
    explain_registry_by,
    label_arguments,
    limit_arguments,
    read_manifest,
    release,
)
from .model import (
    Attached,
    BootCommands,
    Container,
    EngineInfo,
    Image,
    Limits,
    Network,
    NewContainer,
    Offered,
    Range,
    Volume,
)
from .secrecy import may_be_shown

CAPABILITIES = Capabilities(
    per_user=True,
    mounts_by_program=True,
    privileged_by_degrees=True,
    skips_image_volumes=True,
    forwards_at_each_start=True,
)
MINIMUM = (4, 3)

STORE = (
    *("CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_STORAGE_CONF", "STORAGE_DRIVER", "STORAGE_OPTS"),
    *("XDG_CONFIG_HOME", "XDG_DATA_HOME"),
)
"""Variables that say where its configuration and its containers are. A user's run-time directory is not among them: at boot
their systemd gives it."""

# Texts of failures that podman has no code for. The first match wins; each keeps podman's words as output.
_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    # 4.3.1, 5.4.2: "subnet 10.0.0.0/24 is already used on the host or by another config"
    (re.compile(r"subnet (?P<subnet>\S+) is already used on the host or by another config"), "subnet_overlap"),
    # 4.3.1: "network name x already used: network already exists", "volume with name x already exists: volume …"
    (re.compile(r"(?P<kind>network) name (?P<name>\S+) already used"), "name_taken"),
    (re.compile(r"(?P<kind>volume) with name (?P<name>\S+) already exists"), "name_taken"),
    # 4.3.1: "requested ip address 10.0.0.2 is already allocated to container ID …"
    (re.compile(r"requested ip address (?P<ip>\S+) is already allocated"), "address_taken"),
    *HOST_PORTS,
    # netavark 1.4.0 below 4.3.1 does not name the program: "netavark: No such file or directory (os error 2)"; with
    # nftables: "unable to execute nft: No such file or directory (os error 2)"
    (
        re.compile(
            r"netavark: (?:(?:[\w ]+: )?unable to execute (?P<program>\w+): )?No such file or directory \(os error 2\)"
        ),
        "packet_filter_missing",
    ),
    # What is no disk, though the kernel has the same word for it. 4.3.1, of a user: "cannot clone: No space left on device"
    *USER_NAMESPACES,
    # 4.3.1: "allocation failed; exceeded num_locks (2048)"; older: "error allocating lock for new volume: no space left …"
    (re.compile(r"exceeded num_locks \((?P<count>\d+)\)"), "engine_locks"),
    (re.compile(r"allocating lock for new \w+:[^\n]*no space left on device"), "engine_locks"),
    (
        re.compile(
            r"no sub[ug]id ranges found for user \"(?P<user>[^\"]+)\"|insufficient UIDs or GIDs available in user namespace"
        ),
        "sub_ids_missing",
    ),
    # Of what an administrator wrote. 4.3.1: "decode configuration /etc/containers/containers.conf: toml: line 2 (…): …",
    # 'loading registries configuration "/etc/…": toml: …', "Failed to read /etc/containers/storage.conf toml: …"
    (re.compile(r"(?P<path>/[^\s\":\\]+)\\?\"?:? toml: (?P<problem>[^\n]*[^\n\"])"), "engine_configuration_unreadable"),
    # 4.3.1, of a file that a variable names: "finding config on system: CONTAINERS_CONF file: stat /x: no such file or directory"
    (
        re.compile(r"CONTAINERS_CONF\w* file: stat (?P<path>\S+): (?P<problem>no such file or directory)"),
        "engine_configuration_unreadable",
    ),
    (
        re.compile(r"loading registries configuration \"(?P<path>[^\"]+)\": (?P<problem>[^\n]+)"),
        "engine_configuration_unreadable",
    ),
    # 4.3.1 with CONTAINER_HOST or CONTAINER_CONNECTION: "unable to connect to Podman socket: Get "http://d/…": dial unix /x: …"
    (re.compile(r"unable to connect to Podman socket:[^\n]*\bdial (?P<endpoint>\w+ [^\s]+):"), "engine_remote"),
    # 4.3.1: 'database graph driver "overlay" does not match our graph driver "vfs": database configuration mismatch'
    (
        re.compile(r"(?P<problem>database [^\n:]+ does not match our [^\n:]+): database configuration"),
        "engine_store_differs",
    ),
    # 4.3.1: "configure storage: kernel does not support overlay fs: 'overlay' is not supported over nfs at "/home/…": backing …"
    (re.compile(r"(?P<problem>'\w+' is not supported over \w+ at \"[^\"]+\")"), "engine_store_unfit"),
    # 4.3.1: 'could not find "netavark" in one of [/usr/libexec/podman …]'; 5.4.2: "could not find pasta, the network namespace …"
    (
        re.compile(r"could not find \"?(?P<program>[a-z0-9-]+)\"?(?: in one of|, the network namespace)"),
        "engine_program_missing",
    ),
    *KERNEL_LIMITS,
    (re.compile(r"no space left on device", re.IGNORECASE), "disk_full"),
    # crun 1.21 below podman 5.4.2: "crun: controller `cpuset` is not available under …"
    (re.compile(r"crun: controller `?(?P<controller>\w+)`? is not available under"), "controller_not_delegated"),
    # 4.3.1: 'OCI runtime "x" not found: invalid argument', "no valid executable found for OCI runtime x: invalid …"
    (re.compile(r'OCI runtime "(?P<runtime>[^"]+)" not found'), "runtime_missing"),
    (re.compile(r"no valid executable found for OCI runtime (?P<runtime>[^\s:]+)"), "runtime_missing"),
)


_DENIED = re.compile(
    r"\b(?:mkdir|open|chmod|l?stat|unlink|rename) (?P<path>/[^\s:]+): permission denied", re.IGNORECASE
)
"""4.3.1: "creating runtime static files directory: mkdir /home/x/.local/share/containers: permission denied"."""


def explain(result: CommandResult, action: str) -> KicError:
    """The cause of a failed call, as far as podman's words tell it."""
    found = explain_by("podman", _TEXTS, result, action)
    denied = _DENIED.search(result.words)
    if found.diagnosis.id != "engine_failed" or denied is None:
        return found
    # podman works with this user's own ids: whose directory it is can be seen, as after a program that was run with sudo.
    from .._host.permission import refused

    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    seen = refused(error, denied["path"], result.words)
    return seen if seen.diagnosis.id == "permission_denied" else found


def explain_registry(result: CommandResult, reference: str, seconds: float, action: str) -> KicError:
    """The cause of a failed talk with the registry of ``reference``."""
    return explain_registry_by("podman", _TEXTS, result, reference, seconds, action)


_NO_PACKAGES = {"DPKG_ADMINDIR": "/nonexistent"}
"""podman info says of which package each of its programs is, for which ``dpkg --search`` reads the lists of all installed
files: three quarters of its time on Debian (packageVersion of podman's libpod). Nobody here asks."""


class Podman(CommandLineEngine):
    """The podman of the user that runs the module.

    :param facts: what oci_engine_info returned earlier; left out, podman is asked when first needed.
    """

    name = "podman"
    package = "podman"
    packages: ClassVar[Mapping[str, tuple[str, ...]]] = {"Debian": ("podman", "netavark", "aardvark-dns")}
    unit = "podman-restart.service"
    network_backend = "netavark"
    # It needs no daemon, and takes no group of users who are as good as root.
    priority = 20
    # It answers in a second, but waits for the lock of its store while another podman unpacks a layer of an image.
    question_seconds = 60.0
    stuck = (
        "see whether it answers: timeout 5 podman ps --all; if not, see what holds its store: ps -ef | grep podman; wait for"
        " that to end, or end it; where one is in state D, see whether the disk below its store answers"
    )
    capabilities = CAPABILITIES
    connections = dict.fromkeys(("cli", "api"), "containers.podman.podman")

    def _explain(self, result: CommandResult, action: str) -> KicError:
        return explain(result, action)

    def proxies(self) -> dict[str, str]:
        # As podman puts them together: what its configuration gives to all containers, then its own, where it hands these on;
        # of these what its configuration has does not stand in for what is set already.
        containers, engine, hands_on = variables()
        own = {**engine, **os.environ} if hands_on else {}
        return proxy.of_environment({**containers, **proxy.of_environment(own)})

    def address_pools(self) -> tuple[str, ...]:
        return tuple(subnet_pools())

    def _environment(self) -> dict[str, str]:
        return client_environment()

    def put_files(self, identity: str, archive: bytes) -> None:
        # Before 4.7 podman leaves what it read from standard input among the temporary files, /var/tmp if not told
        # otherwise, where it stays for weeks (podman #19496).
        with tempfile.TemporaryDirectory(prefix="nodeforge.kic-") as temporary:
            self._put_files(identity, archive, {"TMPDIR": temporary})

    def _explain_registry(self, result: CommandResult, reference: str, seconds: float, action: str) -> KicError:
        return explain_registry(result, reference, seconds, action)

    def _decode_image(self, found: Mapping[str, Any]) -> Image:
        return decode_image(found)

    def _decode_container(self, found: Mapping[str, Any]) -> Container:
        return decode_container(found)

    def _says_no(self, kind: str, reference: str) -> bool:
        # Exit code 1 is its no; 125 is that the question itself failed.
        action = f"looking for the {kind} {reference}"
        return self.call([kind, "exists", "--", reference], action=action, check=False).rc == 1

    # The engine.
    @property
    def info(self) -> EngineInfo:
        if self._info is None:
            action = "asking podman for its facts"
            result = self.call(["info", "--format", "json"], action=action, environment=_NO_PACKAGES)
            found = self._decode(result, action)
            if not found:
                raise self._failed(result, action)
            if found["host"].get("serviceIsRemote"):
                # CONTAINER_HOST or a connection of podman's own configuration.
                endpoint = os.environ.get("CONTAINER_HOST") or "another machine"
                raise failure("engine_remote", engine=self.name, endpoint=endpoint)
            self.answer = decode_info(found)
            check_info(self.answer)
            self._info = self.answer
        return self._info

    @staticmethod
    def boot_commands(
        program: str, containers: Mapping[str, str], limits: Mapping[str, Limits], seconds: int
    ) -> BootCommands | None:
        names = tuple(containers)
        updates = [(program, "update", *limit_arguments(limits[name]), name) for name in names if name in limits]
        return BootCommands(
            start=tuple((program, "start", name) for name in names),
            started=tuple(tuple(part for part in item if part != "--pids-limit=-1") for item in updates),
            resume=tuple((program, "unpause", name) for name in names),
            stop=(program, "stop", "--ignore", "--time", str(seconds), *reversed(names)),
            environment={key: os.environ[key] for key in STORE if os.environ.get(key)},
            # Where podman has systemd manage control groups, that of the container and that of its monitor.
            units=tuple(
                f"libpod-{kind}{item}.scope" for item in containers.values() if item for kind in ("", "conmon-")
            ),
        )

    # Networks.
    def networks(self) -> list[Network]:
        listed = self._json(["network", "ls", "--format", "json"], "listing networks")
        return [decode_network(item) for item in listed or []]

    def create_network(self, network: Network) -> None:
        arguments = ["network", "create", "--driver", network.driver]
        for item in network.ranges:
            arguments += ["--subnet", str(item.subnet)]
            if item.gateway is not None:
                arguments += ["--gateway", str(item.gateway)]
        if network.range(6):
            arguments.append("--ipv6")
        if network.mtu is not None:
            arguments += ["--opt", f"mtu={network.mtu}"]
        arguments += label_arguments(network.labels)
        self.call([*arguments, "--", network.name], action=f"creating the network {network.name}")

    # Volumes.
    def volume(self, name: str) -> Volume | None:
        # A listing says also that there is none, for which an inspect needs a second question. The filter is a pattern
        # that all names fit which hold this one; we mean this very one.
        listed = self._json(
            ["volume", "ls", "--filter", f"name={name}", "--format", "json"], f"looking for the volume {name}"
        )
        return next((decode_volume(item) for item in listed or [] if item["Name"] == name), None)

    def volumes(self, label: str) -> list[Volume]:
        listed = self._json(["volume", "ls", "--filter", f"label={label}", "--format", "json"], "listing volumes")
        return [decode_volume(item) for item in listed or []]

    def create_volume(self, volume: Volume) -> None:
        plain = all(_LISTED.isdisjoint(text) for label in volume.labels.items() for text in label)
        if not (plain and may_be_shown(volume.options)):
            # ``volume create`` takes options only as arguments, and reads each label as a line of CSV (StringSlice of spf13/pflag);
            # a claim of Kubernetes comes on standard input.
            action = f"creating the volume {volume.name}"
            # Without a word on networks it makes one for pods, which stays.
            self.call(["kube", "play", "--network=none", "-"], action=action, stdin=claim(volume))
            return
        options = [part for key, value in volume.options.items() for part in ("--opt", f"{key}={value}")]
        self.call(
            [
                "volume",
                "create",
                "--driver",
                volume.driver,
                *options,
                *label_arguments(volume.labels),
                "--",
                volume.name,
            ],
            action=f"creating the volume {volume.name}",
        )

    # Images.
    def ask_registry(self, reference: str, seconds: float) -> Offered:
        # podman goes the way that a pull would go: registries.conf with its mirrors and insecure registries, proxies,
        # and the user's credentials. What it says of a manifest that is no list (4.3.1: 'parsing manifest blob "{…}" as
        # …: Treating single images as manifest lists is not implemented') is an answer of the registry too.
        result = self._manifest(["manifest", "inspect"], reference, seconds)
        if result.rc == 0:
            return read_manifest(result.out)
        if "parsing manifest blob" in result.err:
            # Go's %q quotes as JSON does.
            blob = re.search(r'"(?:[^"\\]|\\.)*"', result.err)
            return read_manifest(json.loads(blob.group())) if blob else Offered()
        refused = explain_registry(result, reference, seconds, f"asking the registry for {reference}")
        if refused.diagnosis.id == "registry_refused" and os.environ.get("REGISTRY_AUTH_FILE"):
            # Only the pull uses these credentials (4.3.1); this command looks where podman login puts them.
            return Offered()
        raise refused

    def save_arguments(self, references: Sequence[str]) -> list[str]:
        several = ["--multi-image-archive"] if len(references) > 1 else []
        return ["save", "--quiet", *several, *references]

    # Containers.
    def create_container(self, new: NewContainer) -> str:
        action = f"creating the container {new.name}"
        result = self._create([*self._runtime(new.runtime), *create_arguments(new)], new)
        if result.rc != 0:
            # 4.3.1: 'the container name "x" is already in use by …'
            if "is already in use" in result.err and "container name" in result.err:
                raise failure("name_conflict", output=result.words, engine="podman", name=new.name)
            raise explain(result, action)
        return result.out.split()[-1]

    @staticmethod
    def _runtime(runtime: str | None) -> list[str]:
        return ["--runtime", runtime] if runtime else []

    def stop_container(self, identity: str, seconds: int) -> None:
        action = f"stopping the container {identity}"
        result = self.call(["stop", "--time", str(seconds), identity], action=action, check=False)
        # 4.3.1, of one whose monitor was killed: its process has ended, and podman gives up waiting for the file with its exit
        # code, which nobody writes. The container is "stopped" then, and can be started.
        if result.rc != 0 and "timed out waiting for file" not in result.err:
            raise explain(result, action)

    def remove_container(self, identity: str, seconds: int) -> None:
        action = f"removing the container {identity}"
        # Volumes without a name are the container's own; those with one stay.
        command = ["rm", "--force", "--volumes", "--time", str(seconds), identity]
        result = self.call(command, action=action, check=False)
        if result.rc != 0 and "as it could not be stopped" in result.err:
            # 4.3.1, of one whose process and monitor were killed: it has noted the end now, and the next call removes it.
            result = self.call(command, action=action, check=False)
        if result.rc != 0 and not self._says_no("container", identity):
            raise explain(result, action)

    @property
    def updatable(self) -> frozenset[str]:
        # podman update: 4.3 knows memory and processors; --pids-limit came with 4.4.
        return frozenset(("memory", "cpus", "pids") if release(self.info.version) >= (4, 4) else ("memory", "cpus"))

    # Both.
    def _attached(self, use: str) -> list[Attached]:
        # --external would list build containers too; they hold no network.
        listed = self._json(["ps", "--all", "--no-trunc", "--filter", use, "--format", "json"], "listing containers")
        return [
            Attached(
                item["Id"], item["Names"][0], self._own_labels(item.get("Labels") or {}, str(item.get("ImageID", "")))
            )
            for item in listed or []
        ]


_LISTED = frozenset(',"\n\r')
"""What divides or quotes in a line of CSV."""


def create_arguments(new: NewContainer) -> list[str]:
    """The arguments of ``podman create`` for a node; each is there because containers.conf or podman's own default may
    say otherwise, or because a machine has what a container has not."""
    found = ["create", "--name", new.name, "--hostname", new.hostname]
    # The image was looked at before; nothing is fetched on the way.
    found += ["--pull=never"]
    # systemd is the first process. Of podman's systemd mode a privileged node needs nothing; without privileges it is
    # what makes the control group writable.
    found += ["--init=false", f"--systemd={'false' if new.privileged else 'always'}"]
    # The console: what systemd and the entrypoint say at start ends in the log, of which not more than this is kept.
    found += ["--tty", "--log-driver=k8s-file", "--log-opt=max-size=10mb"]
    # Namespaces of its own, and a control group: containers.conf may give those of the machine to every container, as
    # that of the image quay.io/podman/stable does. On cgroup v1 the engine's own default is the host's tree.
    found += [f"--{kind}=private" for kind in ("cgroupns", "uts", "ipc", "pid")]
    found += ["--userns=host", "--cgroups=enabled"]
    found += [] if new.network else ["--network=private"]
    # More of what a node is that containers.conf may decide for all.
    found += ["--umask=0022", "--env-host=false", "--read-only=false", "--no-hosts=false"]
    # What makes systemd power the machine off (systemd(1)); an image need not name it.
    found += ["--stop-signal=SIGRTMIN+3"]
    found += [f"--restart={new.restart_policy}"]
    if new.privileged:
        # Mounts, namespaces and control groups of its own children are a node's daily work.
        found += ["--privileged"]
    # By it systemd knows that it is in a container (container interface of systemd.io).
    found += ["--env", "container=podman"]
    if new.volume:
        # podman mounts volumes nosuid, nodev and noexec (containers/podman #5103); programs lie there.
        found += ["--volume", f"{new.volume}:/var:suid,exec,dev"]
    if new.image_volumes is not None:
        found += ["--image-volume=ignore", *(part for path in new.image_volumes for part in ("--volume", path))]
    found += [part for device in new.devices for part in _device(device, new.privileged)]
    return [*found, *common_arguments(new)]


def claim(volume: Volume) -> bytes:
    """A volume as ``podman kube play`` takes it (podman-kube-play(1)). Raises ``invalid_option`` for what has no word
    there."""
    other = sorted(set(volume.options) - {"type", "device", "o"})
    if other:
        problem = f"podman takes {', '.join(other)} only as an argument, where a secret must not be"
        raise invalid("options", problem, "leave it out, or write the secret to a file: o: credentials=FILE")
    prefix = "volume.podman.io/"
    names = {"type": "type", "device": "device", "o": "mount-options"}
    found = {prefix + "driver": volume.driver}
    found.update({prefix + names[key]: value for key, value in volume.options.items()})
    # podman takes owners out of o itself, but not here.
    pieces = [piece.partition("=") for piece in volume.options.get("o", "").split(",")]
    found.update({prefix + key: value for key, _separator, value in pieces if key in ("uid", "gid")})
    metadata = {"name": volume.name, "labels": dict(volume.labels), "annotations": found}
    return json.dumps({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}).encode()


def _device(device: str, privileged: bool) -> list[str]:
    source, *more = device.split(":")
    if privileged and more and more[0].startswith("/dev/"):
        # A privileged container has all devices under their own names, and 4.3.1 ignores --device: the other name is
        # a mount of the same device.
        return ["--volume", f"{source}:{more[0]}"]
    return ["--device", device]


def decode_info(found: Mapping[str, Any]) -> EngineInfo:
    """``podman info --format json``."""
    host, store = found["host"], found["store"]
    security = host["security"]
    return EngineInfo(
        name="podman",
        version=str(found["version"]["Version"]),
        rootless=bool(security["rootless"]),
        cgroup_version=2 if host["cgroupVersion"] == "v2" else 1,
        cgroup_manager=str(host["cgroupManager"]),
        cgroup_controllers=tuple(host.get("cgroupControllers") or ()),
        network_backend=str(host.get("networkBackend", "cni")),
        runtime=str(host["ociRuntime"]["name"]),
        runtimes=runtimes(),
        storage_driver=str(store["graphDriverName"]),
        storage_filesystem=str((store.get("graphStatus") or {}).get("Backing Filesystem", "")),
        storage_path=str(store["graphRoot"]),
        architecture=str(host["arch"]),
        cpus=int(host["cpus"]),
        memory=int(host["memTotal"]),
        selinux=bool(security.get("selinuxEnabled")),
        apparmor=bool(security.get("apparmorEnabled")),
        capabilities=CAPABILITIES,
    )


def check_info(info: EngineInfo) -> None:
    """Refuse a podman that cannot do what nodes need, with its reason."""
    if release(info.version) < MINIMUM:
        raise failure(
            "engine_too_old", engine="podman", version=info.version, minimum=".".join(str(part) for part in MINIMUM)
        )
    if info.network_backend != Podman.network_backend:
        raise failure("network_backend_unsupported", backend=info.network_backend)
    if info.rootless and info.cgroup_version == 1:
        raise failure("cgroup_not_unified", mode="of version 1 or hybrid")


def decode_network(found: Mapping[str, Any]) -> Network:
    """One item of ``podman network ls --format json`` (the same shape as ``network inspect``'s)."""
    options = found.get("options") or {}
    return Network(
        id=found["id"],
        name=found["name"],
        driver=found["driver"],
        ranges=tuple(Range.of(item["subnet"], item.get("gateway")) for item in found.get("subnets") or ()),
        mtu=int(options["mtu"]) if "mtu" in options else None,
        labels=found.get("labels") or {},
    )


def decode_volume(found: Mapping[str, Any]) -> Volume:
    """``podman volume inspect``."""
    return Volume(
        name=found["Name"],
        driver=found["Driver"],
        mountpoint=found["Mountpoint"],
        labels=found.get("Labels") or {},
        options=found.get("Options") or {},
    )


def decode_image(found: Mapping[str, Any]) -> Image:
    """``podman image inspect``."""
    config = found.get("Config") or {}
    return Image(
        id=found["Id"].rpartition(":")[2],
        tags=tuple(found.get("RepoTags") or ()),
        digests=tuple(item.rpartition("@")[2] for item in found.get("RepoDigests") or ()),
        size=int(found["Size"]),
        architecture=found["Architecture"],
        labels=found.get("Labels") or {},
        environment=tuple(config.get("Env") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        volumes=tuple(config.get("Volumes") or ()),
        layers=tuple((found.get("RootFS") or {}).get("Layers") or ()),
        created=str(found.get("Created") or ""),
    )


def decode_container(found: Mapping[str, Any]) -> Container:
    """``podman container inspect``."""
    state, config = found["State"], found["Config"]
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    return Container(
        id=found["Id"],
        name=found["Name"],
        image_id=found["Image"],
        image_name=found.get("ImageName", ""),
        # 4.x shows its own "configured" for a moment of what it calls "created" otherwise.
        status={"configured": "created"}.get(state["Status"], state["Status"]),
        pid=int(state.get("Pid") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        error=state.get("Error") or "",
        oom_killed=bool(state.get("OOMKilled")),
        labels=config.get("Labels") or {},
        environment=dict(item.partition("=")[::2] for item in config.get("Env") or ()),
        addresses={
            name: tuple(item for item in (net.get("IPAddress"), net.get("GlobalIPv6Address")) if item)
            for name, net in networks.items()
        },
        runtime=found.get("OCIRuntime", ""),
        limits=decode_limits(found.get("HostConfig") or {}),
        raw=found,
    )
