# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docker and podman have in common by their command lines, which is most of it."""

from __future__ import annotations

import importlib
import json
import re
import signal
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import IO, Any, ClassVar

from .._command import CommandNotFound, CommandResult, Feed, Runner, Sink, Unreadable
from .._core import labels as our_labels
from .._core.diagnosis import KicError, failure
from .._host.pipe import connect
from .base import Engine
from .limits import is_question, limit_of, verb
from .model import (
    Attached,
    Container,
    EngineInfo,
    Image,
    Limits,
    Mount,
    NewContainer,
    Offered,
    Publication,
    Reader,
    Stored,
    Writer,
)
from .proxy import without_proxy
from .secrecy import hand_over

Texts = tuple[tuple["re.Pattern[str]", str], ...]
"""Texts of failures that an engine has no code for, and their conditions. The first match wins."""

_NO_FILE = re.compile(r"could not be found on container|[Cc]ould not find the file|No such container:path")
"""podman 4.3; docker 26; docker 20.10. Of cp, where the container is there and the file is not."""

USER_NAMESPACES: Texts = (
    (
        re.compile(
            r"cannot clone: (?:No space left on device|Operation not permitted)|max_user_namespaces"
            r"|(?:clone|unshare)\S*user\S*:[^\n]*(?:no space left on device|operation not permitted)",
            re.IGNORECASE,
        ),
        "user_namespaces",
    ),
)
"""A limit of user namespaces that is reached or 0: clone(2) and unshare(2) say ENOSPC, as a full disk does."""

KERNEL_LIMITS: Texts = (
    (re.compile(r"(?P<path>/(?:sys/fs/cgroup|proc)/\S*?):? no space left on device", re.IGNORECASE), "kernel_limit"),
    (re.compile(r"(?P<path>inotify\w*)[^\n]*no space left on device", re.IGNORECASE), "kernel_limit"),
)
"""What the kernel has no room for in itself: control groups below a limit, watches of inotify (ENOSPC again)."""


def _published(error: str, condition: str, port: str = r"\d+", address: str = r"\[[^\]]*\]|[^\s:]*") -> Texts:
    """What the error of bind(2) means for a published port, wherever an engine has it in its output."""
    forms = (
        # Go's net, below every engine. podman 4.3, docker 20.10: "listen tcp4 127.0.0.1:80: bind: address already in use"
        rf"listen (?:tcp|udp)\w? (?P<address>{address}):(?P<port>{port}): bind: {error}",
        # docker 28: "failed to bind host port for 127.0.0.1:80:172.18.0.2:80/tcp: address already in use"; 29 without the
        # address of the container
        rf"failed to bind host port (?:for )?(?P<address>{address}):(?P<port>{port})(?::\S+)?/\w+: {error}",
        # pasta below podman 5: "Failed to bind port 80 (Address already in use) for option '-t 127.0.0.1/80-80:80-80'"
        rf"Failed to bind port (?P<port>{port}) \((?i:{error})\)(?: for option '-\w (?P<address>[^\s/%']+)[/%])?",
    )
    return tuple((re.compile(form), condition) for form in forms)


HOST_PORTS: Texts = (
    *_published("address already in use", "port_taken"),
    # Above these a permission is something else, such as SELinux.
    *_published("permission denied", "port_privileged", port=r"\d{1,3}|10[01]\d|102[0-3]"),
    *_published("address family not supported by protocol", "ipv6_off"),
    # 29: "failed to create socket for [::1]:80/tcp: address family not supported by protocol"
    (re.compile(r"create socket for (?P<address>\S+):(?P<port>\d+)/\w+: address family not supported"), "ipv6_off"),
    # Every machine that has IPv6 has this one.
    *_published("cannot assign requested address", "ipv6_off", address=r"\[::1\]")[:2],
    *_published("cannot assign requested address", "address_not_local"),
)
"""What the kernel refuses of a published port. What helps differs by the error, so each has a condition of its own."""

_LOG_SECONDS = 10.0

_NAME_IN_USE = re.compile(r"already in use")
"""Of rename. podman 4.3: "name y already in use, cannot rename container …"; docker 20.10: 'Error when allocating new name:
Conflict. The container name "/y" is already in use by container "…"'."""


def explain_by(engine: str, texts: Texts, result: CommandResult, action: str) -> KicError:
    """The cause of a failed call, as far as the engine's words tell it; they are kept as output."""
    words = result.words
    for pattern, condition in texts:
        match = pattern.search(words)
        if match:
            fields = {"engine": engine, "other": "a network of this host", "address": "this machine"}
            fields.update({"network": "asked for", "owner": "another container", "node": "NAME", "ip": "asked for"})
            fields.update({"subnet": "asked for", "endpoint": "its socket", "program": "iptables or nft"})
            fields["lowest"] = "net.ipv4.ip_unprivileged_port_start (1024 unless it was changed)"
            fields.update(
                {
                    "count": "its value",
                    "setting": "user.max_user_namespaces",
                    "user": "this user",
                    "value": "0 or reached",
                }
            )
            if condition == "sub_ids_missing":
                from .._host.user import user_name

                fields.update({"user": user_name(), "found": "no or too few", "asked": "65536"})
            fields.update({key: value.rstrip(". ") for key, value in match.groupdict().items() if value})
            return failure(condition, output=words, **fields)
    return failure("engine_failed", output=words, engine=engine, action=action, rc=result.rc)


# How a registry failed us, in the words of the libraries that every podman shares (containers/image, Go's net). Seen
# on 4.3.1 with Debian's docker-registry 2.8.2, and the words of containerd's resolver on docker 29; a refused name of Docker
# Hub reads "requested access … is denied".
_REGISTRY_TEXTS: Texts = (
    (
        re.compile(r"toomanyrequests|429 Too Many Requests|reached your (?:unauthenticated )?pull rate limit"),
        "registry_limited",
    ),
    (
        re.compile(
            r"error getting credentials - err: (?P<problem>exec: \"(?P<program>docker-credential-[^\"]+)\": [^\n,]+|[^\n]+)"
        ),
        "credential_helper_unusable",
    ),
    (
        re.compile(r"(?P<problem>registry \S+ is blocked in [^\n]+|[^\n:]+ is rejected by policy)"),
        "image_refused_by_policy",
    ),
    (
        re.compile(r"(?P<problem>open \S*/policy\.json: no such file or directory|invalid policy in [^\n]+)"),
        "image_policy_unusable",
    ),
    (re.compile(r"remote trust data does not exist|does not have trust data for"), "image_unsigned"),
    (
        re.compile(
            r"no matching manifest for linux/(?P<machine>[\w/]+)"
            r"|no image found in (?:manifest list|image index) for architecture \"?(?P<architecture>\w+)"
        ),
        # Not image_platform, after which what a pull has brought is removed: this one has brought nothing.
        "image_platform_missing",
    ),
    (
        re.compile(r"x509:|certificate|server gave HTTP response to HTTPS client|does not look like a TLS handshake"),
        "registry_untrusted",
    ),
    (
        re.compile(
            r"unauthorized|authentication required|no basic auth credentials|access to the resource is denied|: denied\b"
            r"|40[13] \(?(?:Forbidden|Unauthorized)|authorization failed|failed to authorize|insufficient_scope"
        ),
        "registry_refused",
    ),
    (
        re.compile(
            r"manifest unknown|name unknown|repository name not known|manifest \S+ not found|no such manifest"
            r"|failed to resolve reference \S+: \S+: not found"
        ),
        "image_unknown",
    ),
    # Before the words of one that cannot be reached: a reset of a connection that stood, after the first word to it.
    (re.compile(r"(?<!/v2/\": )\bread tcp \S+: read: connection reset"), "pull_interrupted"),
    (
        re.compile(
            r"dial (?:tcp|udp)|no such host|connection refused|connection reset|i/o timeout|TLS handshake timeout"
            r"|context deadline exceeded|Client\.Timeout|network is unreachable|no route to host|proxyconnect"
        ),
        "registry_unreachable",
    ),
    (re.compile(r"unexpected EOF|: EOF\b|http: server closed idle connection"), "pull_interrupted"),
    (
        re.compile(
            r"(?P<problem>(?:received unexpected HTTP status|unexpected status|invalid status)\b[^\n]*?\b5\d\d\b[^\n]*)"
        ),
        "registry_failing",
    ),
)


def explain_registry_by(
    engine: str, texts: Texts, result: CommandResult, reference: str, seconds: float, action: str
) -> KicError:
    """The cause of a failed talk with the registry of ``reference``."""
    for pattern, condition in _REGISTRY_TEXTS:
        match = pattern.search(result.words)
        if match:
            named = {key: value.rstrip(". ") for key, value in match.groupdict().items() if value}
            fields = {"program": "of its configuration", "machine": named.get("architecture", ""), **named}
            return failure(
                condition,
                output=result.words,
                engine=engine,
                name=reference,
                registry=reference.partition("/")[0],
                repository=re.sub(r"(@.*|:[^:/]*)$", "", reference),
                seconds=seconds,
                **fields,
            )
    return explain_by(engine, texts, result, action)


def read_manifest(text: str) -> Offered:
    """What a manifest offers, or a list of manifests: docker's or OCI's (image-spec, manifest.md and image-index.md)."""
    try:
        found = json.loads(text)
        platforms = tuple(
            (str(item["platform"]["architecture"]), str(item["digest"]))
            for item in found.get("manifests") or ()
            # buildkit lists its attestations as images for "unknown".
            if item["platform"].get("os") == "linux"
        )
        return Offered(str((found.get("config") or {}).get("digest", "")).partition(":")[2], platforms)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # It is there; whether it is the one that is here cannot be told.
        return Offered()


class CommandLineEngine(Engine):
    """An engine that is asked by its client.

    :param facts: what oci_engine_info returned earlier; left out, the engine is asked when first needed.
    """

    package: str
    """What Debian calls its package."""

    packages: ClassVar[Mapping[str, tuple[str, ...]]]
    """What brings it, by family of distributions; elsewhere the package has its name."""

    unit: str
    """The unit of systemd that brings it, or its containers, back at the start of the machine."""

    network_backend: str
    """What makes its networks, as its facts name it."""

    connections: ClassVar[Mapping[str, str]]
    """Connection plugins that reach its containers, by the option ``connection`` of the inventory."""

    question_seconds: float
    """How long a call may take that only asks."""

    stuck: str
    """What a user types when it does not answer."""

    def __init__(self, runner: Runner, facts: EngineInfo | None = None) -> None:
        self._runner = runner
        if facts is not None and facts.capabilities != self.capabilities:
            facts = replace(facts, capabilities=self.capabilities)
        self._info = facts
        self._image_labels: dict[str, Mapping[str, str] | None] = {}

    # What each engine has its own way for.
    @abstractmethod
    def _explain(self, result: CommandResult, action: str) -> KicError:
        """The cause of a failed call."""

    @abstractmethod
    def _explain_registry(self, result: CommandResult, reference: str, seconds: float, action: str) -> KicError:
        """The cause of a failed talk with a registry."""

    @abstractmethod
    def _environment(self) -> dict[str, str]:
        """What its client needs in its environment."""

    @abstractmethod
    def _says_no(self, kind: str, reference: str) -> bool:
        """Whether the engine says that it holds none; False also when it could not say."""

    @abstractmethod
    def _decode_image(self, found: Mapping[str, Any]) -> Image:
        """One item of ``image inspect``."""

    @abstractmethod
    def _decode_container(self, found: Mapping[str, Any]) -> Container:
        """One item of ``container inspect``."""

    @abstractmethod
    def _attached(self, use: str) -> list[Attached]:
        """Containers, running or not, by a filter of ``ps``."""

    # Calling.
    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> CommandResult:
        """Run the client. With ``check`` a failure raises its cause; ``action`` names it for a person."""
        env = {**self._environment(), **(environment or {})}
        limit = limit_of(arguments, self.question_seconds) if timeout is None else timeout
        try:
            result = self._runner.run([self.name, *without_proxy(arguments)], stdin=stdin, timeout=limit, env=env)
        except CommandNotFound:
            raise failure("engine_not_installed", engine=self.name, package=self.package) from None
        if result.timed_out:
            raise self._timed_out(arguments, action, limit, result)
        if check and result.rc != 0:
            raise self._explain(result, action)
        return result

    def _timed_out(self, arguments: Sequence[str], action: str, seconds: float, result: CommandResult) -> KicError:
        """The failure of a call that was ended at its limit."""
        # Only what is done is named: the rest of a command may hold what is not for everyone.
        command = f"{self.name} {verb(arguments)}"
        if is_question(arguments):
            why = f"{self.name} hangs, or this machine is too busy to answer"
        else:
            why = f"{self.name} hangs, or what it was told to do takes longer than that on this machine"
        fields = {"action": f"{action} ({command})", "seconds": seconds, "why": why, "fix": self.stuck}
        return failure("timed_out", output=result.words, **fields)

    def _json(self, arguments: Sequence[str], action: str) -> Any:
        return self._decode(self.call(arguments, action=action), action)

    def _decode(self, result: CommandResult, action: str) -> Any:
        try:
            return json.loads(result.stdout or b"null")
        except ValueError:
            raise self._failed(result, action) from None

    def _failed(self, result: CommandResult, action: str) -> KicError:
        """The failure of a call that ended well and did not answer."""
        return failure("engine_failed", output=result.out, engine=self.name, action=action, rc=result.rc)

    def _inspect(self, kind: str, reference: str) -> dict[str, Any] | None:
        """``KIND inspect``; None when the engine says that it has none, else the failure."""
        action = f"inspecting the {kind} {reference}"
        result = self._look(kind, reference, action)
        if result.rc != 0:
            if self._says_no(kind, reference):
                return None
            # It is there, or the engine could not say. Another run may have made it between the two questions.
            result = self._look(kind, reference, action)
        if result.rc != 0:
            raise self._explain(result, action)
        found: list[dict[str, Any]] = self._decode(result, action)
        if not found:
            raise self._failed(result, action)
        return found[0]

    def _look(self, kind: str, reference: str, action: str) -> CommandResult:
        return self.call([kind, "inspect", "--", reference], action=action, check=False)

    def _inspect_all(self, kind: str, listed: Sequence[str]) -> list[dict[str, Any]]:
        """What was just listed, without what somebody has removed meanwhile."""
        if not listed:
            return []
        action = f"inspecting {kind}s"
        result = self.call([kind, "inspect", "--", *listed], action=action, check=False)
        if result.rc == 0:
            every: list[dict[str, Any]] = self._decode(result, action)
            return every
        found = [self._inspect(kind, item) for item in listed]
        return [item for item in found if item is not None]

    def _remove(self, kind: str, identity: str) -> None:
        action = f"removing the {kind} {identity}"
        result = self.call([kind, "rm", "--", identity], action=action, check=False)
        if result.rc != 0 and not self._says_no(kind, identity):
            raise self._explain(result, action)

    # Networks and volumes.
    def remove_network(self, identity: str) -> None:
        self._remove("network", identity)

    def attached_to_network(self, name: str) -> list[Attached]:
        return self._attached(f"network={name}")

    def remove_volume(self, name: str) -> None:
        self._remove("volume", name)

    def attached_to_volume(self, name: str) -> list[Attached]:
        return self._attached(f"volume={name}")

    # Images.
    def image(self, reference: str) -> Image | None:
        found = self._inspect("image", reference)
        return self._decode_image(found) if found else None

    def images_named(self, references: Sequence[str]) -> list[Image | None]:
        if not references:
            return []
        action = f"inspecting the images {', '.join(references)}"
        result = self.call(["image", "inspect", "--", *references], action=action, check=False)
        found = self._decode(result, action) if result.rc == 0 else []
        if len(found) == len(references):
            return [self._decode_image(item) for item in found]
        return [self.image(reference) for reference in references]

    def images(self, label: str) -> list[Image]:
        return self._images(f"label={label}")

    def nameless_images(self) -> list[Image]:
        return self._images("dangling=true")

    def _images(self, use: str) -> list[Image]:
        command = ["images", "--no-trunc", "--quiet", "--filter", use]
        listed = self.call(command, action="listing images").out.split()
        return [self._decode_image(item) for item in self._inspect_all("image", list(dict.fromkeys(listed)))]

    def _manifest(self, arguments: Sequence[str], reference: str, seconds: float) -> CommandResult:
        """Ask the registry for the manifest of ``reference`` by a command; silence counts as one that cannot be reached."""
        action = f"asking the registry for {reference}"
        try:
            return self.call([*arguments, reference], action=action, timeout=seconds, check=False)
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

    def pull_image(self, reference: str, seconds: float) -> None:
        action = f"pulling the image {reference}"
        result = self.call(["pull", "--quiet", reference], action=action, timeout=seconds, check=False)
        if result.rc != 0:
            raise self._explain_registry(result, reference, seconds, action)

    def load_image(self, path: str) -> None:
        self.call(["load", "--quiet", "--input", path], action=f"loading the images of {path}")

    def feed_images(
        self, source: str | Sequence[str] | Writer, commands: Mapping[str, Reader], seconds: float
    ) -> dict[str, CommandResult]:
        sinks = [self._sink(node, reader) for node, reader in commands.items()]
        try:
            if isinstance(source, str):
                with opened(source) as stream:
                    fed = Feed().run(stream, sinks, timeout=seconds, env=self._environment())
            else:
                saving = [self.name, *self._written_by(source)]
                fed = Feed().run(saving, sinks, timeout=seconds, env=self._environment())
        except CommandNotFound:
            raise failure("engine_not_installed", engine=self.name, package=self.package) from None
        if fed.source is not None and fed.source.rc != 0:
            if isinstance(source, Writer):
                action = f"reading from the container {source.container}"
            else:
                action = f"saving the images {', '.join(source)}"
            # Where no node reads to the end, that is what went wrong.
            unread = fed.source.rc == -signal.SIGPIPE or "broken pipe" in fed.source.err
            if not unread or any(item.rc == 0 for item in fed.sinks):
                if fed.source.timed_out:
                    raise self._timed_out(saving[1:2], action, seconds, fed.source)
                raise self._explain(fed.source, action)
        return dict(zip(commands, fed.sinks))

    def _sink(self, container: str, reader: Reader) -> Sink:
        if not reader.pipe:
            return Sink([self.name, "exec", "--interactive", container, *reader.command])
        return Sink([self.name, "exec", container, *reader.command], partial(connect, reader.pid, reader.pipe))

    def _written_by(self, source: Sequence[str] | Writer) -> list[str]:
        """What writes ``source`` to standard output."""
        if isinstance(source, Writer):
            return ["exec", source.container, *source.command]
        return self.save_arguments(source)

    def save_arguments(self, references: Sequence[str]) -> list[str]:
        """What writes an archive of images to standard output."""
        return ["save", *references]

    def import_image(self, path: str, name: str, label: str) -> None:
        self.call(["import", "--change", f"LABEL {label}", path, name], action=f"importing the image {name}")

    def tag_image(self, identity: str, name: str) -> None:
        self.call(["tag", identity, name], action=f"naming the image {identity} {name}")

    def remove_image(self, name: str) -> None:
        self._remove("image", name)

    def attached_to_image(self, identity: str) -> list[Attached]:
        return self._attached(f"ancestor={identity}")

    # Containers.
    def container(self, name: str) -> Container | None:
        found = self._inspect("container", name)
        # A beginning of an id means a container too; we mean this very name or id.
        if found is None or name not in (found["Name"].lstrip("/"), found["Id"]):
            return None
        return self._owned(self._decode_container(found))

    def containers(self, label: str) -> list[Container]:
        # The engine's filter finds labels of images too.
        return [item for item in self._containers(f"label={label}") if our_labels.carries(item.labels, label)]

    def _owned(self, found: Container) -> Container:
        """The container with those of our labels alone that it has itself, not from its image."""
        labels = self._own_labels(found.labels, found.image_id)
        return found if labels is found.labels else replace(found, labels=labels)

    def _own_labels(self, found: Mapping[str, str], image_id: str) -> Mapping[str, str]:
        return our_labels.own(found, image_id, lambda: self._labels_of_image(image_id))

    def _labels_of_image(self, image_id: str) -> Mapping[str, str] | None:
        if image_id not in self._image_labels:
            image = self.image(image_id)
            self._image_labels[image_id] = image.labels if image is not None else None
        return self._image_labels[image_id]

    def _containers(self, use: str) -> list[Container]:
        command = ["ps", "--all", "--no-trunc", "--quiet", "--filter", use]
        listed = self.call(command, action="listing containers").out.split()
        return [self._owned(self._decode_container(item)) for item in self._inspect_all("container", listed)]

    def _create(
        self, arguments: Sequence[str], new: NewContainer, environment: Mapping[str, str] | None = None
    ) -> CommandResult:
        """``create``; the values of the node's environment go another way than its arguments."""
        env = hand_over(new.env)
        action = f"creating the container {new.name}"
        variables = {**env.environment, **(environment or {})}
        return self.call(arguments, action=action, stdin=env.stdin, environment=variables, check=False)

    def put_files(self, identity: str, archive: bytes) -> None:
        self._put_files(identity, archive)

    def _put_files(self, identity: str, archive: bytes, environment: Mapping[str, str] | None = None) -> None:
        action = f"putting files into the container {identity}"
        self.call(["cp", "-", f"{identity}:/"], action=action, stdin=archive, environment=environment)

    def read_file(self, identity: str, path: str) -> bytes | None:
        # Only check mode of a stopped node comes here; other tasks need not pay for the imports.
        import io
        import tarfile

        action = f"reading {path} in the container {identity}"
        result = self.call(["cp", f"{identity}:{path}", "-"], action=action, check=False)
        if result.rc != 0:
            if _NO_FILE.search(result.err):
                return None
            raise self._explain(result, action)
        with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archive:
            found = [archive.extractfile(member) for member in archive if member.isfile()]
        return found[0].read() if found and found[0] is not None else None

    def read_directory(self, identity: str, path: str, wanted: Collection[str]) -> dict[str, Stored]:
        import io
        import tarfile

        action = f"reading {path} in the container {identity}"
        result = self.call(["cp", f"{identity}:{path}", "-"], action=action, check=False)
        if result.rc != 0:
            if _NO_FILE.search(result.err):
                return {}
            raise self._explain(result, action)
        found: dict[str, Stored] = {}
        with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archive:
            members = {item.name.partition("/")[2]: item for item in archive}
            for name, item in members.items():
                # A link to a file next to it.
                target = f"{name.rpartition('/')[0]}/{item.linkname.rpartition('/')[2]}".lstrip("/")
                file = members.get(target, item) if item.issym() else item
                if file.isfile():
                    content = archive.extractfile(file) if name in wanted else None
                    found[name] = Stored(float(file.mtime), content.read() if content is not None else None)
        return found

    def start_container(self, identity: str) -> None:
        self.call(["start", identity], action=f"starting the container {identity}")

    def stop_container(self, identity: str, seconds: int) -> None:
        self.call(["stop", "--time", str(seconds), identity], action=f"stopping the container {identity}")

    def pause_container(self, identity: str) -> None:
        self.call(["pause", identity], action=f"pausing the container {identity}")

    def resume_container(self, identity: str) -> None:
        self.call(["unpause", identity], action=f"resuming the container {identity}")

    def rename_container(self, identity: str, name: str) -> None:
        action = f"renaming the container {identity} to {name}"
        result = self.call(["rename", identity, name], action=action, check=False)
        if result.rc != 0:
            if _NAME_IN_USE.search(result.err):
                raise failure("name_conflict", output=result.words, engine=self.name, name=name)
            raise self._explain(result, action)

    def update_limits(self, identity: str, limits: Limits) -> None:
        arguments = [argument for argument in limit_arguments(limits) if not argument.startswith("--pids-limit=-")]
        if arguments:
            self.call(["update", *arguments, identity], action=f"changing limits of the container {identity}")

    def set_restart_policy(self, identity: str, policy: str) -> None:
        action = f"changing the restart policy of the container {identity}"
        self.call(["update", f"--restart={policy}", identity], action=action)

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
        interactive = ["--interactive"] if stdin is not None else []
        return self.call(
            ["exec", *interactive, container, *command],
            action=action or f"running {command[0]} in {container}",
            stdin=stdin,
            timeout=timeout,
            check=check,
        )

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


_COMPRESSED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "lzma"))


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """An archive, as it is before it was compressed. Raises ``archive_missing`` and ``archive_unusable``."""
    try:
        with open(path, "rb") as stream:
            begin = stream.read(8)
            stream.seek(0)
            module = next((module for magic, module in _COMPRESSED if begin.startswith(magic)), None)
            if module is None:
                yield stream
                return
            # Few archives are compressed; the other tasks need not pay for the imports.
            with importlib.import_module(module).open(stream) as unpacked:
                yield unpacked
    except FileNotFoundError:
        raise failure("archive_missing", path=path) from None
    except Unreadable as error:
        reason = f"it cannot be read to its end ({error})"
        raise failure("archive_unusable", path=path, reason=reason, engine="podman", name="IMAGE") from error


def release(version: str) -> tuple[int, ...]:
    """Major and minor number of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def label_arguments(labels: Mapping[str, str]) -> list[str]:
    """``--label`` for each, in the order of their keys."""
    return [part for key in sorted(labels) for part in ("--label", f"{key}={labels[key]}")]


def bind_argument(mount: Mount) -> str:
    """The value of ``--volume`` for a file or directory of the machine."""
    options = ["ro" if mount.read_only else "rw", mount.propagation]
    options += {"shared": ["z"], "private": ["Z"]}.get(mount.relabel, [])
    return f"{mount.source}:{mount.target}:{','.join(options)}"


def publish_argument(item: Publication) -> str:
    """The value of ``--publish``."""
    address = f"[{item.address}]" if ":" in item.address else item.address
    return f"{address}:{item.host_port}:{item.port}/{item.protocol}"


def limit_arguments(limits: Limits) -> list[str]:
    """Arguments of ``create`` and ``update``; no limit of processes is said, as an engine may have one of its own."""
    found = [f"--pids-limit={-1 if limits.pids is None else limits.pids}"]
    if limits.memory is not None:
        # The same for both: no swap. kubelet counts on it, and an engine's default is as much swap again.
        found += [f"--memory={limits.memory}b", f"--memory-swap={limits.memory}b"]
    if limits.cpus is not None:
        found += [f"--cpus={limits.cpus:g}"]
    return found


def common_arguments(new: NewContainer) -> list[str]:
    """The part of ``create`` that is the same for every engine, up to the image."""
    found = [*hand_over(new.env).arguments]
    found += [part for path, options in sorted(new.tmpfs.items()) for part in ("--tmpfs", f"{path}:{options}")]
    found += [part for mount in new.mounts for part in ("--volume", bind_argument(mount))]
    for option, value in (("--network", new.network), ("--ip", new.ip), ("--ip6", new.ip6)):
        found += [option, value] if value else []
    found += [part for item in new.publish for part in ("--publish", publish_argument(item))]
    found += limit_arguments(new.limits)
    found += [part for name, value in sorted(new.ulimits.items()) for part in ("--ulimit", f"{name}={value}")]
    found += [part for key, value in sorted(new.sysctls.items()) for part in ("--sysctl", f"{key}={value}")]
    found += [part for option in new.security_opts for part in ("--security-opt", option)]
    found += new.passed_on
    found += ["--entrypoint", new.entrypoint] if new.entrypoint is not None else []
    return [*found, *label_arguments(new.labels), new.image, *new.command]


def decode_limits(host: Mapping[str, Any]) -> Limits:
    """Limits of a container's HostConfig. 0 and -1 are none."""
    cpus = int(host.get("NanoCpus") or 0) / 1e9
    if not cpus and (host.get("CpuQuota") or 0) > 0:
        cpus = host["CpuQuota"] / (host.get("CpuPeriod") or 100_000)
    pids = int(host.get("PidsLimit") or 0)
    return Limits(
        memory=int(host.get("Memory") or 0) or None, cpus=round(cpus, 3) or None, pids=pids if pids > 0 else None
    )
