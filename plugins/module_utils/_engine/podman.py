# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman, by its command line. Structured answers (JSON, exit codes) come first, texts only where there is no other.

Seen on podman 4.3.1 (Debian 12) and 5.4.2 (Debian 13); the texts of :data:`_TEXTS` name the release they are from.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .._command import TIMED_OUT, CommandNotFound, CommandResult, Runner
from .._core.diagnosis import KicError, failure
from .._host.machine import runtimes
from .base import Engine
from .model import Attached, Container, EngineInfo, Image, Limits, Mount, Network, NewContainer, Range, Volume

MINIMUM = (4, 3)
_LOG_SECONDS = 10.0

# Texts of failures that podman has no code for. The first match wins; each keeps podman's words as output.
_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    # 4.3.1, 5.4.2: "subnet 10.0.0.0/24 is already used on the host or by another config"
    (re.compile(r"subnet (?P<subnet>\S+) is already used on the host or by another config"), "subnet_overlap"),
    # 4.3.1: "network name x already used: network already exists", "volume with name x already exists: volume …"
    (re.compile(r"(?P<kind>network) name (?P<name>\S+) already used"), "name_taken"),
    (re.compile(r"(?P<kind>volume) with name (?P<name>\S+) already exists"), "name_taken"),
    # 4.3.1: "requested ip address 10.0.0.2 is already allocated to container ID …"
    (re.compile(r"requested ip address (?P<ip>\S+) is already allocated"), "address_taken"),
    # 4.3.1: "rootlessport listen tcp 127.0.0.1:80: bind: address already in use", also of conmon/netavark
    (re.compile(r"listen (?:tcp|udp)\w? (?P<address>\S+):(?P<port>\d+): bind: address already in use"), "port_taken"),
    (re.compile(r"cannot listen on the (?:TCP|UDP) port: listen \w+ \S*:(?P<port>\d+): bind"), "port_taken"),
    (re.compile(r"no space left on device", re.IGNORECASE), "disk_full"),
    # crun 1.21 below podman 5.4.2: "crun: controller `cpuset` is not available under …"
    (re.compile(r"crun: controller `?(?P<controller>\w+)`? is not available under"), "controller_not_delegated"),
    # 4.3.1: 'OCI runtime "x" not found: invalid argument', "no valid executable found for OCI runtime x: invalid …"
    (re.compile(r'OCI runtime "(?P<runtime>[^"]+)" not found'), "runtime_missing"),
    (re.compile(r"no valid executable found for OCI runtime (?P<runtime>[^\s:]+)"), "runtime_missing"),
)


def explain(result: CommandResult, action: str) -> KicError:
    """The cause of a failed call, as far as podman's words tell it."""
    words = result.words
    for pattern, condition in _TEXTS:
        match = pattern.search(words)
        if match:
            fields = {"engine": "podman", "other": "a network of this host", "address": "this machine"}
            fields.update({"network": "asked for", "owner": "another container", "node": "NAME"})
            fields.update({key: value for key, value in match.groupdict().items() if value})
            return failure(condition, output=words, **fields)
    return failure("engine_failed", output=words, engine="podman", action=action, rc=result.rc)


# How a registry failed us, in the words of the libraries that every podman shares (containers/image, Go's net). Seen
# on 4.3.1 with Debian's docker-registry 2.8.2; a refused name of Docker Hub reads "requested access … is denied".
_REGISTRY_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"x509:|certificate|server gave HTTP response to HTTPS client|does not look like a TLS handshake"),
        "registry_untrusted",
    ),
    (re.compile(r"manifest unknown|name unknown|repository name not known|manifest \S+ not found"), "image_unknown"),
    (
        re.compile(
            r"unauthorized|authentication required|access to the resource is denied|: denied\b|403 \(?Forbidden"
        ),
        "registry_refused",
    ),
    (
        re.compile(
            r"dial (?:tcp|udp)|no such host|connection refused|connection reset|i/o timeout|TLS handshake timeout"
            r"|context deadline exceeded|Client\.Timeout|network is unreachable|no route to host|proxyconnect"
        ),
        "registry_unreachable",
    ),
)


def explain_registry(result: CommandResult, reference: str, seconds: float, action: str) -> KicError:
    """The cause of a failed talk with the registry of ``reference``."""
    registry = reference.partition("/")[0]
    repository = re.sub(r"(@.*|:[^:/]*)$", "", reference)
    for pattern, condition in _REGISTRY_TEXTS:
        if pattern.search(result.words):
            return failure(
                condition,
                output=result.words,
                engine="podman",
                name=reference,
                registry=registry,
                repository=repository,
                seconds=seconds,
            )
    return explain(result, action)


class Podman(Engine):
    """The podman of the user that runs the module.

    :param facts: what oci_engine_info returned earlier; left out, podman is asked when first needed.
    """

    name = "podman"

    def __init__(self, runner: Runner, facts: EngineInfo | None = None) -> None:
        self._runner = runner
        self._info = facts

    # Calling.
    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        try:
            result = self._runner.run(["podman", *arguments], stdin=stdin, timeout=timeout, env=environment())
        except CommandNotFound:
            raise failure("engine_not_installed", engine="podman") from None
        if timeout is not None and result.rc == TIMED_OUT:
            raise failure(
                "timed_out",
                output=result.words,
                action=action,
                seconds=timeout,
                fix="look what it waits for: podman ps --all; ps faux",
            )
        if check and result.rc != 0:
            raise explain(result, action)
        return result

    def _json(self, arguments: Sequence[str], action: str) -> Any:
        return self._decode(self.call(arguments, action=action), action)

    @staticmethod
    def _decode(result: CommandResult, action: str) -> Any:
        try:
            return json.loads(result.stdout or b"null")
        except ValueError:
            raise failure("engine_failed", output=result.out, engine="podman", action=action, rc=result.rc) from None

    def _inspect(self, kind: str, reference: str) -> dict[str, Any] | None:
        """``podman KIND inspect``; None when ``podman KIND exists`` says so by its exit code 1, else the failure."""
        action = f"inspecting the {kind} {reference}"
        result = self.call([kind, "inspect", "--", reference], action=action, check=False)
        if result.rc == 0:
            found: list[dict[str, Any]] = self._decode(result, action)
            if not found:
                raise failure("engine_failed", output=result.out, engine="podman", action=action, rc=result.rc)
            return found[0]
        exists = self.call([kind, "exists", "--", reference], action=action, check=False)
        if exists.rc == 1:
            return None
        raise explain(result, action)

    def _inspect_all(self, kind: str, listed: Sequence[str]) -> list[dict[str, Any]]:
        """What was just listed, without what somebody has removed meanwhile."""
        action = f"inspecting {kind}s"
        result = self.call([kind, "inspect", "--", *listed], action=action, check=False)
        if result.rc == 0:
            every: list[dict[str, Any]] = self._decode(result, action)
            return every
        found = [self._inspect(kind, item) for item in listed]
        return [item for item in found if item is not None]

    # The engine.
    @property
    def info(self) -> EngineInfo:
        if self._info is None:
            self._info = decode_info(self._json(["info", "--format", "json"], "asking podman for its facts"))
            check_info(self._info)
        return self._info

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
        arguments += _labels(network.labels)
        self.call([*arguments, "--", network.name], action=f"creating the network {network.name}")

    def remove_network(self, identity: str) -> None:
        self._remove("network", identity)

    def attached_to_network(self, name: str) -> list[Attached]:
        return self._attached(f"network={name}")

    # Volumes.
    def volume(self, name: str) -> Volume | None:
        found = self._inspect("volume", name)
        # podman also takes a unique beginning of a name; we mean this very one.
        return decode_volume(found) if found and found["Name"] == name else None

    def volumes(self, label: str) -> list[Volume]:
        listed = self._json(["volume", "ls", "--filter", f"label={label}", "--format", "json"], "listing volumes")
        return [decode_volume(item) for item in listed or []]

    def create_volume(self, volume: Volume) -> None:
        options = [part for key, value in volume.options.items() for part in ("--opt", f"{key}={value}")]
        self.call(
            ["volume", "create", "--driver", volume.driver, *options, *_labels(volume.labels), "--", volume.name],
            action=f"creating the volume {volume.name}",
        )

    def remove_volume(self, name: str) -> None:
        self._remove("volume", name)

    def attached_to_volume(self, name: str) -> list[Attached]:
        return self._attached(f"volume={name}")

    # Images.
    def image(self, reference: str) -> Image | None:
        found = self._inspect("image", reference)
        return decode_image(found) if found else None

    def images(self, label: str) -> list[Image]:
        listed = self.call(
            ["images", "--no-trunc", "--quiet", "--filter", f"label={label}"], action="listing images"
        ).out.split()
        if not listed:
            return []
        return [decode_image(item) for item in self._inspect_all("image", list(dict.fromkeys(listed)))]

    def ask_registry(self, reference: str, seconds: float) -> bool:
        # podman goes the way that a pull would go: registries.conf with its mirrors and insecure registries, proxies,
        # and the user's credentials. What it says of a manifest that is no list (4.3.1: "Treating single images as
        # manifest lists is not implemented", with the manifest) is an answer of the registry too.
        action = f"asking the registry for {reference}"
        try:
            result = self.call(["manifest", "inspect", reference], action=action, timeout=seconds, check=False)
        except KicError as error:
            if error.diagnosis.id != "timed_out":
                raise
            raise failure(
                "registry_unreachable",
                output=error.diagnosis.output,
                name=reference,
                registry=reference.partition("/")[0],
                seconds=seconds,
            ) from None
        if result.rc == 0 or "parsing manifest blob" in result.err:
            return True
        refused = explain_registry(result, reference, seconds, action)
        if refused.diagnosis.id == "registry_refused" and os.environ.get("REGISTRY_AUTH_FILE"):
            # Only the pull uses these credentials (4.3.1); this command looks where podman login puts them.
            return True
        raise refused

    def pull_image(self, reference: str, seconds: float) -> None:
        action = f"pulling the image {reference}"
        result = self.call(["pull", "--quiet", reference], action=action, timeout=seconds, check=False)
        if result.rc != 0:
            raise explain_registry(result, reference, seconds, action)

    def load_image(self, path: str) -> None:
        self.call(["load", "--quiet", "--input", path], action=f"loading the images of {path}")

    def tag_image(self, identity: str, name: str) -> None:
        self.call(["tag", identity, name], action=f"naming the image {identity} {name}")

    def remove_image(self, name: str) -> None:
        self._remove("image", name)

    def attached_to_image(self, identity: str) -> list[Attached]:
        return self._attached(f"ancestor={identity}")

    # Containers.
    def container(self, name: str) -> Container | None:
        found = self._inspect("container", name)
        if found is None or name not in (found["Name"], found["Id"]):
            return None
        return decode_container(found)

    def containers(self, label: str) -> list[Container]:
        listed = self.call(
            ["ps", "--all", "--no-trunc", "--quiet", "--filter", f"label={label}"], action="listing containers"
        ).out.split()
        if not listed:
            return []
        return [decode_container(item) for item in self._inspect_all("container", listed)]

    def create_container(self, new: NewContainer) -> str:
        action = f"creating the container {new.name}"
        result = self.call([*self._runtime(new.runtime), *create_arguments(new)], action=action, check=False)
        if result.rc != 0:
            # 4.3.1: 'the container name "x" is already in use by …'
            if "is already in use" in result.err and "container name" in result.err:
                raise failure("name_conflict", output=result.words, engine="podman", name=new.name)
            raise explain(result, action)
        return result.out.split()[-1]

    @staticmethod
    def _runtime(runtime: str | None) -> list[str]:
        return ["--runtime", runtime] if runtime else []

    def put_files(self, identity: str, archive: bytes) -> None:
        self.call(["cp", "-", f"{identity}:/"], action=f"putting files into the container {identity}", stdin=archive)

    def start_container(self, identity: str) -> None:
        self.call(["start", identity], action=f"starting the container {identity}")

    def stop_container(self, identity: str, seconds: int) -> None:
        self.call(["stop", "--time", str(seconds), identity], action=f"stopping the container {identity}")

    def resume_container(self, identity: str) -> None:
        self.call(["unpause", identity], action=f"resuming the container {identity}")

    def remove_container(self, identity: str, seconds: int) -> None:
        action = f"removing the container {identity}"
        result = self.call(["rm", "--force", "--time", str(seconds), identity], action=action, check=False)
        if result.rc == 0 or self.call(["container", "exists", identity], action=action, check=False).rc == 1:
            return
        raise explain(result, action)

    @property
    def updatable(self) -> frozenset[str]:
        # podman update: 4.3 knows memory and processors; --pids-limit came with 4.4.
        return frozenset(("memory", "cpus", "pids") if release(self.info.version) >= (4, 4) else ("memory", "cpus"))

    def update_limits(self, identity: str, limits: Limits) -> None:
        arguments = [argument for argument in _limits(limits) if not argument.startswith("--pids-limit=-")]
        if arguments:
            self.call(["update", *arguments, identity], action=f"changing limits of the container {identity}")

    def logs(self, identity: str, lines: int) -> str:
        try:
            result = self.call(
                ["logs", "--tail", str(lines), identity], action="reading a log", check=False, timeout=_LOG_SECONDS
            )
        except KicError:
            # What the log would explain must not be hidden by it.
            return ""
        # A node's console is a terminal: both streams are one, with its line ends.
        return (result.out + result.err).replace("\r", "") if result.rc == 0 else ""

    # Both.
    def _attached(self, use: str) -> list[Attached]:
        # --external would list build containers too; they hold no network.
        listed = self._json(["ps", "--all", "--no-trunc", "--filter", use, "--format", "json"], "listing containers")
        return [Attached(item["Id"], item["Names"][0], item.get("Labels") or {}) for item in listed or []]

    def _remove(self, kind: str, identity: str) -> None:
        action = f"removing the {kind} {identity}"
        result = self.call([kind, "rm", "--", identity], action=action, check=False)
        if result.rc == 0 or self.call([kind, "exists", "--", identity], action=action, check=False).rc == 1:
            return
        raise explain(result, action)


def environment() -> dict[str, str]:
    """What podman needs and a task under ``become`` may lack: the user's own home and run-time directory.

    Without them rootless podman looks at root's files or refuses to start (podman #13338).
    """
    uid = os.geteuid()
    if uid == 0:
        return {}
    import pwd

    found = {"HOME": pwd.getpwuid(uid).pw_dir}
    runtime_directory = f"/run/user/{uid}"
    if os.path.isdir(runtime_directory):
        found["XDG_RUNTIME_DIR"] = runtime_directory
        if os.path.exists(f"{runtime_directory}/bus"):
            found["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={runtime_directory}/bus"
    return found


def _labels(labels: Mapping[str, str]) -> list[str]:
    return [part for key in sorted(labels) for part in ("--label", f"{key}={labels[key]}")]


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
    # On cgroup v1 the engine's default is the host's own tree.
    found += ["--cgroupns=private"]
    # What makes systemd power the machine off (systemd(1)); an image need not name it.
    found += ["--stop-signal=SIGRTMIN+3"]
    found += [f"--restart={new.restart_policy}"]
    if new.privileged:
        # Mounts, namespaces and control groups of its own children are a node's daily work.
        found += ["--privileged"]
    # By it systemd knows that it is in a container (container interface of systemd.io).
    found += ["--env", "container=podman"]
    found += [part for key, value in sorted(new.env.items()) for part in ("--env", f"{key}={value}")]
    found += [part for path, options in sorted(new.tmpfs.items()) for part in ("--tmpfs", f"{path}:{options}")]
    if new.volume:
        # podman mounts volumes nosuid, nodev and noexec (containers/podman #5103); programs lie there.
        found += ["--volume", f"{new.volume}:/var:suid,exec,dev"]
    found += [part for mount in new.mounts for part in ("--volume", _bind(mount))]
    found += [part for device in new.devices for part in _device(device, new.privileged)]
    if new.network:
        found += ["--network", new.network]
    if new.ip:
        found += ["--ip", new.ip]
    if new.ip6:
        found += ["--ip6", new.ip6]
    for item in new.publish:
        address = f"[{item.address}]" if ":" in item.address else item.address
        found += ["--publish", f"{address}:{item.host_port}:{item.port}/{item.protocol}"]
    found += _limits(new.limits)
    found += [part for name, value in sorted(new.ulimits.items()) for part in ("--ulimit", f"{name}={value}")]
    found += [part for key, value in sorted(new.sysctls.items()) for part in ("--sysctl", f"{key}={value}")]
    found += [part for option in new.security_opts for part in ("--security-opt", option)]
    return [*found, *_labels(new.labels), new.image, *new.command]


def _device(device: str, privileged: bool) -> list[str]:
    source, *more = device.split(":")
    if privileged and more and more[0].startswith("/dev/"):
        # A privileged container has all devices under their own names, and 4.3.1 ignores --device: the other name is
        # a mount of the same device.
        return ["--volume", f"{source}:{more[0]}"]
    return ["--device", device]


def _bind(mount: Mount) -> str:
    options = ["ro" if mount.read_only else "rw", mount.propagation]
    options += {"shared": ["z"], "private": ["Z"]}.get(mount.relabel, [])
    return f"{mount.source}:{mount.target}:{','.join(options)}"


def _limits(limits: Limits) -> list[str]:
    found = [f"--pids-limit={-1 if limits.pids is None else limits.pids}"]
    if limits.memory is not None:
        # The same for both: no swap. kubelet counts on it, and an engine's default is as much swap again.
        found += [f"--memory={limits.memory}b", f"--memory-swap={limits.memory}b"]
    if limits.cpus is not None:
        found += [f"--cpus={limits.cpus:g}"]
    return found


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
    )


def release(version: str) -> tuple[int, ...]:
    """Major and minor number of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def check_info(info: EngineInfo) -> None:
    """Refuse a podman that can not do what nodes need, with its reason."""
    if release(info.version) < MINIMUM:
        raise failure(
            "engine_too_old", engine="podman", version=info.version, minimum=".".join(str(part) for part in MINIMUM)
        )
    if info.network_backend != "netavark":
        raise failure("network_backend_unsupported", backend=info.network_backend)


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


def decode_limits(host: Mapping[str, Any]) -> Limits:
    """Limits of a container's HostConfig. 0 and -1 are none."""
    cpus = int(host.get("NanoCpus") or 0) / 1e9
    if not cpus and (host.get("CpuQuota") or 0) > 0:
        cpus = host["CpuQuota"] / (host.get("CpuPeriod") or 100_000)
    pids = int(host.get("PidsLimit") or 0)
    return Limits(
        memory=int(host.get("Memory") or 0) or None, cpus=round(cpus, 3) or None, pids=pids if pids > 0 else None
    )
