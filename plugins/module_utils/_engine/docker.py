# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docker, by its command line. Structured answers (JSON, listings) come first, texts only where there is no other.

Seen on docker 20.10.24 (Debian 12), with its own client and with a client 28.2.2; texts name the release they are from.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, ClassVar

from .._command import CommandResult
from .._core import labels as our_labels
from .._core.capabilities import Capabilities
from .._core.checks import IPNetwork, image_registry
from .._core.diagnosis import KicError, failure
from .._host.files import read
from .._host.machine import architecture_of, has_program, runtimes
from .._host.podman_networks import podman_networks
from .._host.process import belongs, mounts
from .._host.storage import filesystem_below
from . import proxy
from .cli import (
    HOST_PORTS,
    KERNEL_LIMITS,
    USER_NAMESPACES,
    CommandLineEngine,
    Texts,
    common_arguments,
    decode_limits,
    explain_by,
    explain_registry_by,
    label_arguments,
    read_manifest,
    release,
)
from .docker_socket import listener, post
from .model import Attached, Container, EngineInfo, Image, Network, NewContainer, Offered, Range, Volume
from .secrecy import may_be_shown

CAPABILITIES = Capabilities(watches=True, restarts=True, opens_bridges=True)
MINIMUM = (20, 10)
_SOCKET_SECONDS = 60.0
_SECOND_LOOKS = 10
_SECOND_PAUSE = 0.3
"""How often, and at which distance in seconds, it is seen whether another run takes its network back."""
_SOCKET = "/var/run/docker.sock"
_LISTENERS = ("dockerd", "systemd", "init", "rootlesskit")
"""Who listens at the socket of a daemon of this machine: it itself, or who keeps the socket for it."""
_LICENSE_OF_PODMAN = "Apache-2.0"
"""What podman says for docker's ProductLicense; docker says "Community Engine"."""
_MTU = "com.docker.network.driver.mtu"
_SNAPSHOTTER = "io.containerd.snapshotter.v1"
"""What docker says of a storage driver that is containerd's (docker 29's default, a feature since 23)."""
_CONTAINERD = "/var/lib/containerd"
_CONTAINERD_SOCKETS = ("/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock")
"""Of the machine's containerd, which a docker uses that has started none of its own."""

_TEXTS: Texts = (
    # Of the client, 20.10: "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon …"
    (re.compile(r"[Cc]annot connect to the Docker daemon at (?P<endpoint>\S+?)\. Is the docker"), "engine_not_running"),
    # 28.2: "failed to connect to the docker API at unix:///…; check if the path is correct and if the daemon is running"
    (re.compile(r"failed to connect to the docker API at (?P<endpoint>[^;\s]+)"), "engine_not_running"),
    # 20.10: "Got permission denied while trying to connect to the Docker daemon socket at unix:///…: Get …"
    (
        re.compile(
            r"permission denied while trying to connect to the [Dd]ocker (?:daemon socket|API) at (?P<endpoint>\S+?):?(?:\s|$)"
        ),
        "socket_denied",
    ),
    # Of a daemon 29.0: "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client …",
    # and the same with "too new" and "Maximum"; of a client 29: "API version 1.39 is not supported by this client: the …"
    (
        re.compile(
            r"(?P<versions>client version [\d.]+ is too (?:old|new)\. M(?:in|ax)imum supported API version is [\d.]*\d"
            r"|API version [\d.]+ is not supported by this client: the \w+ supported API version is [\d.]*\d)"
        ),
        "api_mismatch",
    ),
    # 28.2: 'unable to resolve docker endpoint: context "x": context not found: open /home/…'; 20.10: 'context "x" does not
    # exist', 'Current context "x" is not found on the file system'
    (
        re.compile(
            r"[Cc]ontext \"(?P<context>[^\"]+)\"(?:: context not found| does not exist| is not found on the file system)"
        ),
        "engine_context_missing",
    ),
    # 20.10: "… (iptables failed: iptables --wait -t nat -A DOCKER …: iptables: No chain/target/match by that name.", also of networks
    (re.compile(r"ip6?tables(?: v[\d.]+[^:]*)?: No chain/target/match by that name"), "packet_filter_reset"),
    # 20.10: "authorization denied by plugin opa-docker-authz: request rejected by administrative policy"
    (
        re.compile(
            r"(?:authorization denied by plugin|plugin(?= \S+ failed with error: AuthZ)) (?P<plugin>[^\s:]+)"
            r"(?:: | failed with error: AuthZPlugin\.\w+: )(?P<problem>[^\n]+)"
        ),
        "engine_plugin_refuses",
    ),
    # 20.10: "network with name x already exists"
    (re.compile(r"(?P<kind>network) with name (?P<name>\S+) already exists"), "name_taken"),
    # 20.10: "Pool overlaps with other one on this address space"
    (re.compile(r"Pool overlaps with other one on this address space"), "subnet_overlap"),
    # 20.10: "cannot create network 1 (br-1): conflicts with network 2 (br-2): networks have overlapping IPv4"
    (re.compile(r"conflicts with network \S+ \S+: networks have overlapping IPv"), "subnet_overlap"),
    *HOST_PORTS,
    # 20.10: "Bind for 127.0.0.1:80 failed: port is already allocated"
    (re.compile(r"Bind for (?P<address>\S+):(?P<port>\d+) failed: port is already allocated"), "port_taken"),
    # 20.10: "Error response from daemon: Address already in use"; 28: "…: failed to set up container networking: Address …"
    (
        re.compile(r"Error response from daemon: (?:failed to set up container networking: )?Address already in use"),
        "address_taken",
    ),
    *USER_NAMESPACES,
    *KERNEL_LIMITS,
    (re.compile(r"no space left on device", re.IGNORECASE), "disk_full"),
    # 20.10: "Unknown runtime specified x", 28: "unknown or invalid runtime name: x"
    (re.compile(r"[Uu]nknown (?:or invalid )?runtime (?:specified|name:) (?P<runtime>[^\s.]+)"), "runtime_missing"),
    # 29 with runc 1.1: 'OCI runtime create failed: runc create failed: namespace {"time" ""} does not exist'
    (re.compile(r'namespace \{"(?P<namespace>\w+)" "[^"]*"\} does not exist'), "runtime_too_old"),
    # 20.10 with runc 1.1, of --privileged where the bounding set is not whole
    (re.compile(r"unable to apply caps: operation not permitted"), "privileged_refused"),
)


_NOT_SEEN = re.compile(r"\b(?:open|stat|lstat) (?P<path>/[^\s:]+): no such file or directory")
"""Of the client, about a file that it is given."""


def explain(result: CommandResult, action: str) -> KicError:
    """The cause of a failed call, as far as docker's words tell it."""
    missing = _NOT_SEEN.search(result.words)
    if missing and os.path.lexists(missing["path"]) and (shutil.which("docker") or "").startswith("/snap/"):
        return failure("engine_confined", output=result.words, path=missing["path"])
    return explain_by("docker", _TEXTS, result, action)


class Docker(CommandLineEngine):
    """The docker that the client of the user who runs the module talks to."""

    name = "docker"
    package = "docker.io"
    packages: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Debian": ("docker.io",),
        "RedHat": ("moby-engine",),
        "Suse": ("docker",),
    }
    unit = "docker.service"
    network_backend = "bridge"
    priority = 10
    capabilities = CAPABILITIES
    connections: ClassVar[Mapping[str, str]] = {"cli": "community.docker.docker", "api": "community.docker.docker_api"}
    question_seconds = 20.0
    stuck = (
        "see whether its daemon answers: timeout 5 docker version; if not, restart it: systemctl restart docker (without"
        " systemd: service docker restart), or name another engine"
    )

    def _explain(self, result: CommandResult, action: str) -> KicError:
        return explain(result, action)

    def _explain_registry(self, result: CommandResult, reference: str, seconds: float, action: str) -> KicError:
        return explain_registry_by("docker", _TEXTS, result, reference, seconds, action)

    def _environment(self) -> dict[str, str]:
        # A node is of the machine's own platform, whatever its user builds for (kind #2718).
        return {"DOCKER_DEFAULT_PLATFORM": ""} if os.environ.get("DOCKER_DEFAULT_PLATFORM") else {}

    def _decode_image(self, found: Mapping[str, Any]) -> Image:
        return decode_image(found)

    def _decode_container(self, found: Mapping[str, Any]) -> Container:
        return decode_container(found)

    def _says_no(self, kind: str, reference: str) -> bool:
        # docker has no code for "not there", but a listing that does not hold it is an answer.
        listing = {
            "volume": ["volume", "ls", "--format", "{{.Name}}"],
            "network": ["network", "ls", "--no-trunc", "--format", "{{.Name}} {{.ID}}"],
            "container": ["ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.ID}}"],
            # The client of docker 29 leaves out images without a name.
            "image": [
                "images",
                "--all",
                "--no-trunc",
                "--digests",
                "--format",
                "{{.ID}} {{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}",
            ],
        }[kind]
        result = self.call(listing, action=f"listing {kind}s", check=False)
        if result.rc != 0:
            return False
        held = set(result.out.split())
        names = {reference, f"sha256:{reference}"}
        if kind == "image":
            held |= {full_name(word) for word in held}
            names.add(full_name(reference))
        return not names & held

    # The engine.
    @property
    def info(self) -> EngineInfo:
        if self._info is None:
            action = "asking docker for its facts"
            result = self.call(["info", "--format", "{{json .}}"], action=action, check=False)
            found = self._decode(result, action) if result.stdout.startswith(b"{") else {}
            # Without a daemon the client answers by itself, with the reasons in a list of their own.
            errors = found.get("ServerErrors") or []
            if "host" in found:
                # podman-docker: podman answers by its own keys.
                why, more = "it is podman under another name", ""
                raise failure("engine_is_another", engine=self.name, other="podman", why=why, more=more)
            context = (found.get("ClientInfo") or {}).get("Context") or "default"
            if errors or not found.get("ServerVersion"):
                # A daemon of another machine that does not answer is not to be started here.
                self._refuse_remote(context)
                words = "\n".join(errors) or result.words
                problem = explain(CommandResult(result.argv, result.rc or 1, b"", words.encode()), action)
                if problem.diagnosis.id == "engine_not_running" and not has_program("dockerd"):
                    problem = failure("engine_not_installed", engine=self.name, package=self.package, output=words)
                raise problem
            self._refuse_remote(context)
            self.answer = decode_info(found)
            if found.get("ProductLicense") == _LICENSE_OF_PODMAN:
                self._refuse_podman()
            check_info(self.answer)
            self._refuse_elsewhere(found, context)
            self._info = self.answer
        return self._info

    @property
    def store(self) -> str:
        # A user may have a daemon of their own next to the machine's.
        return f"{self.name}-rootless" if self.info.rootless else self.name

    def _refuse_podman(self) -> None:
        """Raise for podman's service behind docker's client: it answers docker's API, in part and with its own numbers."""
        action = "asking docker for its version"
        result = self.call(["version", "--format", "{{json .Server}}"], action=action, check=False)
        if "Podman Engine" in result.out:
            endpoint = self.endpoint()
            more = f"; or take DOCKER_HOST or the context that names {endpoint} out of the task's environment"
            why = f"podman's service answers at {endpoint}"
            raise failure("engine_is_another", engine=self.name, other="podman", why=why, more=more)

    def _refuse_remote(self, context: str) -> None:
        """Raise for a daemon of another machine, whose kernel cannot be read from here."""
        if context == "default" and not os.environ.get("DOCKER_HOST"):
            return
        endpoint = self.endpoint()
        # docker's client takes a path without a scheme for a part of a host's name.
        path = re.sub("^unix:(?!//)", "", endpoint)
        if path.startswith("/"):
            raise failure("engine_endpoint_unusable", endpoint=endpoint, path=path)
        if not endpoint.startswith("unix://"):
            raise failure("engine_remote", engine=self.name, endpoint=endpoint)

    def _refuse_elsewhere(self, found: Mapping[str, Any], context: str) -> None:
        """Raise for a daemon whose containers' processes cannot be read from here, though it has a socket here: that of a
        virtual machine or of the machine around this container, or one whose /proc shows a user only their own."""
        default = context == "default" and not os.environ.get("DOCKER_HOST")
        endpoint = f"unix://{_SOCKET}" if default else self.endpoint()
        kernel, here = str(found.get("KernelVersion") or ""), os.uname().release
        if kernel and kernel != here:
            where = f"{endpoint}, behind which is a machine with the kernel {kernel} (this one has {here})"
            raise failure("engine_remote", engine=self.name, endpoint=where)
        if read("/proc/1/cgroup") is None:
            raise failure("processes_hidden", engine=self.name)
        pid = listener(endpoint)
        if pid == 0:
            why = "the process that listens there is not among those that this task can see"
            raise failure("engine_elsewhere", engine=self.name, endpoint=endpoint, why=why)
        comm = (read(f"/proc/{pid}/comm") or "").strip()
        if pid is not None and comm not in _LISTENERS and found.get("ContainersRunning"):
            self._refuse_strangers()

    def _refuse_strangers(self) -> None:
        """Something else hands the socket on: ask a container that runs for its process."""
        command = ["ps", "--quiet", "--no-trunc", "--filter", "status=running"]
        listed = self.call(command, action="listing containers").out.split()
        container = self.container(listed[0]) if listed else None
        if container is not None and container.running and not belongs(container.pid, container.id):
            raise self.elsewhere(container)

    def endpoint(self) -> str:
        found = os.environ.get("DOCKER_HOST", "")
        if not found:
            command = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
            found = self.call(command, action="asking for the docker context").out.strip()
        return found

    def proxies(self) -> dict[str, str]:
        text = proxy.docker_config()
        # The daemon's address is asked for only where there may be an entry for it.
        return proxy.of_docker_config(text, self.endpoint()) if '"proxies"' in text else {}

    # Networks.
    @staticmethod
    def hidden_networks() -> list[tuple[IPNetwork, str]]:
        # podman makes a network's bridge with its first container, and docker's own list has only docker's.
        return [(subnet, f"podman's network {owner}") for subnet, owner in podman_networks()]

    def networks(self) -> list[Network]:
        listed = self.call(["network", "ls", "--no-trunc", "--quiet"], action="listing networks").out.split()
        return [decode_network(item) for item in self._inspect_all("network", listed)]

    def create_network(self, network: Network) -> None:
        arguments = ["network", "create", "--driver", network.driver]
        if network.driver == "bridge":
            # What daemon.json may switch off for all networks (default-network-opts, docker 24): nodes talk to each other.
            arguments += ["--opt", "com.docker.network.bridge.enable_icc=true"]
            arguments += ["--opt", "com.docker.network.bridge.enable_ip_masquerade=true"]
        for item in network.ranges:
            arguments += ["--subnet", str(item.subnet)]
            if item.gateway is not None:
                arguments += ["--gateway", str(item.gateway)]
        if network.range(6):
            arguments.append("--ipv6")
        if network.mtu is not None:
            arguments += ["--opt", f"{_MTU}={network.mtu}"]
        arguments += label_arguments(network.labels)
        made = self.call([*arguments, "--", network.name], action=f"creating the network {network.name}").out.strip()
        self._refuse_second(network, made)

    def _refuse_second(self, network: Network, made: str) -> None:
        """Take the network ``made`` back where another program made one of its name at the same moment.

        The API allows two. Of two runs of ours, which are of two users, the later one takes its own back and the first waits
        for that: were both to do so, or neither, there would be none or two. One that stays is not ours to remove.
        """
        for attempt in range(_SECOND_LOOKS):
            listed = self.call(["network", "ls", "--no-trunc", "--quiet"], action="listing networks").out.split()
            same = [item for item in self._inspect_all("network", listed) if item["Name"] == network.name]
            if all(item["Id"] == made for item in same):
                return
            first = min(same, key=lambda item: (str(item.get("Created", "")), item["Id"]))
            if first["Id"] != made or attempt == _SECOND_LOOKS - 1:
                break
            time.sleep(_SECOND_PAUSE)
        self.remove_network(made)
        raise failure("name_taken", kind="network", name=network.name, engine=self.name)

    # Volumes.
    def volume(self, name: str) -> Volume | None:
        found = self._inspect("volume", name)
        return decode_volume(found) if found and found["Name"] == name else None

    def volumes(self, label: str) -> list[Volume]:
        command = ["volume", "ls", "--quiet", "--filter", f"label={label}"]
        listed = self.call(command, action="listing volumes").out.split()
        return [decode_volume(item) for item in self._inspect_all("volume", listed)]

    def create_volume(self, volume: Volume) -> None:
        action = f"creating the volume {volume.name}"
        if may_be_shown(volume.options):
            options = [part for key, value in volume.options.items() for part in ("--opt", f"{key}={value}")]
            command = ["volume", "create", "--driver", volume.driver, *options, *label_arguments(volume.labels)]
            self.call([*command, "--", volume.name], action=action)
        else:
            self._create_secret_volume(volume, action)
        # docker says yes to a name that another program took a moment ago, and hands out that one as it is.
        made = self.volume(volume.name)
        owner = volume.labels.get(our_labels.CLUSTER)
        if made is None or not our_labels.is_ours(made.labels) or made.labels.get(our_labels.CLUSTER) != owner:
            raise failure("name_taken", kind="volume", name=volume.name, engine=self.name)

    def _create_secret_volume(self, volume: Volume, action: str) -> None:
        """Past the client, which takes options only as arguments. The daemon mounts by a system call, without mount(8)."""
        body = {"Name": volume.name, "Driver": volume.driver, "DriverOpts": volume.options, "Labels": volume.labels}
        endpoint = self.endpoint()
        try:
            status, words = post(endpoint, "/volumes/create", body, _SOCKET_SECONDS)
        except TimeoutError:
            why = "the daemon did not answer at its socket"
            raise failure("timed_out", action=action, seconds=_SOCKET_SECONDS, why=why, fix=self.stuck) from None
        except PermissionError as error:
            raise failure("socket_denied", engine=self.name, endpoint=endpoint, output=str(error)) from None
        except (OSError, HTTPException) as error:
            raise failure("engine_not_running", engine=self.name, endpoint=endpoint, output=str(error)) from None
        if status >= 300:
            raise explain(CommandResult((), 1, b"", words.encode()), action)

    # Images.
    def ask_registry(self, reference: str, seconds: float) -> Offered:
        # The client asks by itself, with the user's credentials; what only the daemon knows (mirrors) a pull will use.
        command = ["manifest", "inspect", *(["--insecure"] if is_loopback(reference) else [])]
        result = self._manifest(command, reference, seconds)
        if "no such manifest" in result.err:
            # It says that of a wrong password too (20.10, 28.2). What the registry answered only its debug lines tell.
            result = self._manifest(["--debug", *command], reference, seconds)
        if result.rc != 0:
            raise self._explain_registry(result, reference, seconds, f"asking the registry for {reference}")
        return read_manifest(result.out)

    # Containers.
    def create_container(self, new: NewContainer) -> str:
        action = f"creating the container {new.name}"
        # The image is in the store, where signatures are not looked for: they were when it was pulled.
        trust = {"DOCKER_CONTENT_TRUST": "0"} if os.environ.get("DOCKER_CONTENT_TRUST") else {}
        result = self._create(create_arguments(new), new, trust)
        if result.rc != 0:
            # 20.10: 'Conflict. The container name "/x" is already in use by container "…"'
            if "Conflict. The container name" in result.err:
                raise failure("name_conflict", output=result.words, engine=self.name, name=new.name)
            raise explain(result, action)
        return result.out.split()[-1]

    def remove_container(self, identity: str, seconds: int) -> None:
        action = f"removing the container {identity}"
        if seconds:
            # rm --force does not ask, it kills.
            self.call(["stop", "--time", str(seconds), identity], action=action, check=False)
        # Volumes without a name are the container's own; those with one stay.
        result = self.call(["rm", "--force", "--volumes", "--", identity], action=action, check=False)
        if result.rc != 0 and not self._says_no("container", identity):
            raise explain(result, action)

    @property
    def updatable(self) -> frozenset[str]:
        return frozenset(("memory", "cpus", "pids"))

    def _attached(self, use: str) -> list[Attached]:
        # A listing joins labels with commas, which ours hold too.
        return [Attached(item.id, item.name, item.labels) for item in self._containers(use)]


def is_loopback(reference: str) -> bool:
    """Whether the registry is on this machine: docker itself takes those as insecure (127.0.0.0/8)."""
    return bool(re.match(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?/", reference))


def full_name(name: str) -> str:
    """The whole name of an image that docker shortened: docker.io and its library are left out in listings."""
    if image_registry(name.partition("@")[0]) is not None or name.startswith(("localhost/", "sha256:", "<none>")):
        return name
    return f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"


def create_arguments(new: NewContainer) -> list[str]:
    """The arguments of ``docker create`` for a node; each is there because daemon.json or docker's own default may say
    otherwise, or because a machine has what a container has not."""
    found = ["create", "--name", new.name, "--hostname", new.hostname]
    # The image was looked at before; nothing is fetched on the way.
    found += ["--pull=never"]
    # systemd is the first process.
    found += ["--init=false"]
    # The console: what systemd and the entrypoint say at start ends in the log, of which not more than this is kept.
    found += ["--tty", "--log-driver=json-file", "--log-opt=max-size=10m", "--log-opt=max-file=1"]
    # On cgroup v1 the engine's default is the host's own tree; daemon.json may say otherwise of both.
    found += ["--cgroupns=private", "--ipc=private"]
    # What makes systemd power the machine off (systemd(1)); an image need not name it.
    found += ["--stop-signal=SIGRTMIN+3"]
    found += [f"--restart={new.restart_policy}"]
    if new.capabilities:
        # In place of --privileged: what the machine can give of it, and what it would have given next to capabilities,
        # all devices, all system calls and all of /proc and /sys.
        found += [part for capability in new.capabilities for part in ("--cap-add", capability)]
        found += ["--device-cgroup-rule", "a *:* rwm"]
        for option in ("seccomp=unconfined", "apparmor=unconfined", "label=disable", "systempaths=unconfined"):
            found += ["--security-opt", option]
    elif new.privileged:
        # Mounts, namespaces and control groups of its own children are a node's daily work.
        found += ["--privileged"]
    if new.capabilities or new.privileged:
        # daemon.json may deny it to all containers; sudo, ping and the runtime of a node gain what their files give.
        found += ["--security-opt", "no-new-privileges=false"]
    # By it systemd knows that it is in a container (container interface of systemd.io).
    found += ["--env", "container=docker"]
    if new.runtime:
        found += ["--runtime", new.runtime]
    if new.volume:
        found += ["--volume", f"{new.volume}:/var"]
    found += [part for device in new.devices for part in ("--device", device)]
    return [*found, *common_arguments(new)]


def decode_info(found: Mapping[str, Any]) -> EngineInfo:
    """``docker info --format '{{json .}}'``."""
    security = {item.partition(",")[0].removeprefix("name=") for item in found.get("SecurityOptions") or ()}
    status = {item[0]: item[1] for item in found.get("DriverStatus") or () if len(item) == 2}
    storage = storage_path(found, status)
    return EngineInfo(
        name="docker",
        version=str(found["ServerVersion"]),
        rootless="rootless" in security,
        # 20.10 and later name it.
        cgroup_version=2 if str(found.get("CgroupVersion", "1")) == "2" else 1,
        cgroup_manager=str(found.get("CgroupDriver", "")),
        cgroup_controllers=(),
        network_backend=Docker.network_backend,
        runtime=str(found.get("DefaultRuntime", "")),
        runtimes=tuple(sorted({*runtimes(), *(found.get("Runtimes") or {})})),
        storage_driver=str(found.get("Driver", "")),
        storage_filesystem=str(status.get("Backing Filesystem") or filesystem_below(storage, mounts(os.getpid()))),
        storage_path=storage,
        architecture=architecture_of(str(found.get("Architecture", ""))),
        cpus=int(found.get("NCPU") or 0),
        memory=int(found.get("MemTotal") or 0),
        selinux="selinux" in security,
        apparmor="apparmor" in security,
        capabilities=CAPABILITIES,
        userns_remap="userns" in security,
        # Only there where daemon.json says it.
        address_pools=tuple(str(item["Base"]) for item in found.get("DefaultAddressPools") or ()),
    )


def storage_path(found: Mapping[str, Any], status: Mapping[str, str]) -> str:
    """Where layers lie: below docker's directory, or below containerd's where that keeps the images."""
    root = str(found.get("DockerRootDir", ""))
    if status.get("driver-type") != _SNAPSHOTTER or not root:
        return root
    own = f"{root}/containerd/daemon"
    address = (found.get("Containerd") or {}).get("Address")
    if address:
        return _CONTAINERD if address in _CONTAINERD_SOCKETS else own
    # Before docker 27 it does not tell; an ordinary user may not see below docker's directory.
    driver = found.get("Driver", "")
    return next((path for path in (own, _CONTAINERD) if os.path.isdir(f"{path}/{_SNAPSHOTTER}.{driver}")), root)


def check_info(info: EngineInfo) -> None:
    """Refuse a docker that cannot do what nodes need, with its reason."""
    # One that was compiled without a number ("dev", "library-import") says nothing of its age.
    if release(info.version) and release(info.version) < MINIMUM:
        minimum = ".".join(str(part) for part in MINIMUM)
        raise failure("engine_too_old", engine="docker", version=info.version, minimum=minimum)
    if info.rootless and info.cgroup_version == 1:
        raise failure("cgroup_not_unified", mode="of version 1 or hybrid")
    if info.userns_remap:
        # --userns=host is no way out: the files of such a store belong to the other user, also those of mount(8), which
        # then is not root (20.10, seen on a daemon of Debian 12).
        raise failure("userns_remapped")


def decode_network(found: Mapping[str, Any]) -> Network:
    """One item of ``docker network inspect``. The networks host and none have no addresses."""
    options = found.get("Options") or {}
    configs = (found.get("IPAM") or {}).get("Config") or ()
    return Network(
        id=found["Id"],
        name=found["Name"],
        driver=found["Driver"],
        ranges=tuple(
            # 20.10 writes an IPv6 gateway with its prefix length.
            Range.of(item["Subnet"], str(item["Gateway"]).partition("/")[0] if item.get("Gateway") else None)
            for item in configs
            if item.get("Subnet")
        ),
        mtu=int(options[_MTU]) if _MTU in options else None,
        labels=found.get("Labels") or {},
    )


def decode_volume(found: Mapping[str, Any]) -> Volume:
    """``docker volume inspect``."""
    return Volume(
        name=found["Name"],
        driver=found["Driver"],
        mountpoint=found["Mountpoint"],
        labels=found.get("Labels") or {},
        options=found.get("Options") or {},
    )


def decode_image(found: Mapping[str, Any]) -> Image:
    """``docker image inspect``, its names made whole."""
    config = found.get("Config") or {}
    return Image(
        id=found["Id"].rpartition(":")[2],
        tags=tuple(full_name(item) for item in found.get("RepoTags") or ()),
        digests=tuple(item.rpartition("@")[2] for item in found.get("RepoDigests") or ()),
        size=int(found["Size"]),
        architecture=found["Architecture"],
        labels=config.get("Labels") or {},
        environment=tuple(config.get("Env") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        volumes=tuple(config.get("Volumes") or ()),
        layers=tuple((found.get("RootFS") or {}).get("Layers") or ()),
        created=str(found.get("Created") or ""),
    )


def decode_container(found: Mapping[str, Any]) -> Container:
    """``docker container inspect``."""
    state, config, host = found["State"], found["Config"], found.get("HostConfig") or {}
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    return Container(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        image_id=found["Image"].rpartition(":")[2],
        image_name=config.get("Image", ""),
        status=state["Status"],
        pid=int(state.get("Pid") or 0),
        exit_code=int(state.get("ExitCode") or 0),
        error=state.get("Error") or "",
        oom_killed=bool(state.get("OOMKilled")),
        labels=config.get("Labels") or {},
        environment=dict(item.partition("=")[::2] for item in config.get("Env") or ()),
        addresses={name: _addresses(net) for name, net in networks.items()},
        runtime=host.get("Runtime", ""),
        limits=decode_limits(host),
        restart_policy=(host.get("RestartPolicy") or {}).get("Name") or "no",
        raw=found,
    )


def _addresses(net: Mapping[str, Any]) -> tuple[str, ...]:
    # What it has while it runs, else what it was promised.
    fixed = net.get("IPAMConfig") or {}
    pairs = ((net.get("IPAddress"), fixed.get("IPv4Address")), (net.get("GlobalIPv6Address"), fixed.get("IPv6Address")))
    return tuple(item for item in (now or then for now, then in pairs) if item)
