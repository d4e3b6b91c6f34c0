# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node as it was requested: the options of kic_node, checked before anything is looked at."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Callable, TypeVar

from .._core import checks, replaced
from .._core.checks import IPAddress
from .._engine.model import Limits, Mount, Publication
from .node_options import PASSED_ON, read_options

T = TypeVar("T")

VERSION = 1
"""Layout of the label that keeps what was requested."""

NO_VOLUME = "none"
"""What ``volume`` takes for a node without one."""

VAR = "/var"
"""Where a node's volume is."""

DEFAULT_TMPFS = {"/run": "rw,nosuid,nodev,exec,mode=755", "/tmp": "rw,nosuid,nodev,exec,mode=1777"}
"""systemd wants both empty at each start, and finds them read-only or on the container's own layer otherwise."""

MEMORY_MINIMUM = 16 << 20
"""Bytes below which no systemd starts; what a node needs for its work only its user knows."""

NO_ULIMIT = "-1"
"""What both engines take for a process without that limit."""

LIMIT_OPTIONS = {"memory": "memory", "cpus": "cpus", "pids": "pids_limit"}
"""The options by the fields of Limits."""

PROTOCOLS = ("tcp", "udp", "sctp")
PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
RESTART_POLICIES = ("no", "always", "on-failure", "unless-stopped")

# Fields of the label, with what each is when it is not there: an option that a later release adds has been left out.
_DEFAULTS: Mapping[str, Any] = {
    "image": None,
    "role": None,
    "network": None,
    "hostname": None,
    "volume": None,
    "mounts": [],
    "tmpfs": {},
    "devices": [],
    "ulimits": {},
    "sysctls": {},
    "security_opts": [],
    "env": [],
    "privileged": "auto",
    "runtime": None,
    "command": [],
    "restart_policy": "no",
    **{option.name: option.default for option in PASSED_ON},
}


@dataclass(frozen=True)
class File:
    """A file that a node gets before its first start."""

    path: str
    content: bytes
    mode: int


@dataclass(frozen=True)
class NodeSpec:
    """A node as it was requested. Without an image only its state is, and the other options say nothing."""

    name: str
    state: str
    """present, started, stopped, restarted, paused or absent."""
    cluster: str | None
    role: str | None
    image: str | None
    network: str | None
    ip: IPAddress | None
    ip6: IPAddress | None
    hostname: str
    volume: str | None
    mounts: tuple[Mount, ...]
    tmpfs: Mapping[str, str]
    publish: tuple[Publication, ...]
    devices: tuple[str, ...]
    limits: Limits
    ulimits: Mapping[str, str]
    sysctls: Mapping[str, str]
    security_opts: tuple[str, ...]
    env: Mapping[str, str]
    labels: Mapping[str, str]
    privileged: str
    """auto, true or false."""
    runtime: str | None
    command: tuple[str, ...]
    restart_policy: str
    files: tuple[File, ...]
    replace: bool
    """Whether drift is repaired by making it again (``recreate: on_drift``)."""
    wait: bool
    wait_timeout: float
    no_proxy: tuple[str, ...] = ()
    """What is reached without a proxy; it depends on the machine whether there is one, so it is no drift."""
    node_name: str | None = None
    """Its name in Kubernetes, where that is not its own: a clone keeps those of the original."""
    passed_on: Mapping[str, Any] = field(default_factory=lambda: {option.name: option.default for option in PASSED_ON})
    """Options that the engine is given as they are (node_options.py), by name."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> NodeSpec:
        """From a module's parameters; raises ``invalid_option`` with all problems before anything was inspected."""
        problems = checks.Problems()
        take = problems.take

        def optional(check: Callable[[str, str], T], option: str) -> T | None:
            value = params[option]
            return take(check, option, value) if value is not None else None

        def each(check: Callable[[Any], T], option: str) -> tuple[T, ...]:
            return tuple(take(check, item) for item in params[option])

        name = take(_node_name, params["name"])
        take(_wait_timeout, params["wait_timeout"])
        # Left out, it is the node's name.
        volume = name if params["volume"] is None else optional(checks.name, "volume")
        volume = None if volume == NO_VOLUME else volume
        mounts = each(_mount, "mounts")
        tmpfs = {take(_target, "tmpfs", path): str(options or "rw") for path, options in params["tmpfs"].items()}
        files = each(_file, "files")
        if all(mounts) and all(tmpfs) and all(files):
            take(_refuse_same_target, mounts, tmpfs, volume)
            targets = [mount.target for mount in mounts] + [*DEFAULT_TMPFS, *tmpfs] + ([VAR] if volume else [])
            take(_refuse_hidden, files, targets)
        given = cls(
            name=name,
            state=params["state"],
            cluster=optional(checks.name, "cluster"),
            role=optional(checks.name, "role"),
            image=optional(checks.image_reference, "image"),
            network=optional(checks.name, "network"),
            ip=take(_address, "ip", params["ip"], 4),
            ip6=take(_address, "ip6", params["ip6"], 6),
            hostname=optional(checks.full_host_name, "hostname") or checks.derived_host_name(params["name"]),
            volume=volume,
            mounts=mounts,
            tmpfs=tmpfs,
            publish=take(_publications, params["publish"]),
            devices=each(_device, "devices"),
            limits=take(_limits, params),
            ulimits={
                take(_word, "ulimits", key): take(_ulimit, key, value) for key, value in params["ulimits"].items()
            },
            sysctls=take(checks.entries, partial(_sysctl, "sysctls"), params["sysctls"]),
            security_opts=each(lambda item: _option("security_opts", item), "security_opts"),
            env=take(checks.entries, partial(_text, "env"), params["env"]),
            labels=take(checks.labels, "labels", params["labels"]),
            privileged=params["privileged"],
            runtime=optional(_option, "runtime"),
            command=each(_argument, "command"),
            restart_policy=params["restart_policy"],
            files=files,
            no_proxy=each(_no_proxy, "no_proxy"),
            replace=params["recreate"] == "on_drift",
            wait=params["wait"],
            wait_timeout=float(params["wait_timeout"]),
            passed_on=read_options(params, problems),
        )
        problems.finish()
        return given

    @property
    def described(self) -> bool:
        """Whether more than the state is requested."""
        return self.image is not None

    @property
    def asked(self) -> dict[str, Any]:
        """What the label keeps, all of its fields. Of the environment the names only; limits, addresses and ports are
        not in it: the kernel and labels of their own have them."""
        return {
            "image": self.image,
            "role": self.role,
            "network": self.network,
            "hostname": self.hostname if self.hostname != self.name else None,
            "volume": self.volume,
            "mounts": [item.as_dict() for item in self.mounts],
            "tmpfs": dict(sorted(self.tmpfs.items())),
            "devices": list(self.devices),
            "ulimits": dict(sorted(self.ulimits.items())),
            "sysctls": dict(sorted(self.sysctls.items())),
            "security_opts": list(self.security_opts),
            "env": sorted(self.env),
            "privileged": self.privileged,
            "runtime": self.runtime,
            "command": list(self.command),
            "restart_policy": self.restart_policy,
            **self.passed_on,
        }


def _no_proxy(value: str) -> str:
    if not value or re.search(r"[\s,]", value):
        problem = f"{value!r} is not a host, domain, address or range"
        raise checks.invalid("no_proxy", problem, "write each by itself, such as .example.com or 192.0.2.0/24")
    return value


def encode_asked(asked: Mapping[str, Any]) -> str:
    """The label's text: what differs from the defaults, so that a later release with more options reads the same."""
    kept = {key: value for key, value in asked.items() if value != _DEFAULTS[key]}
    return json.dumps({"version": VERSION, **kept}, sort_keys=True, separators=(",", ":"))


def decode_asked(text: str) -> dict[str, Any]:
    """The label's fields, all of them; of a label that is missing or of a later layout, the defaults."""
    try:
        found = json.loads(text)
    except ValueError:
        found = {}
    if not isinstance(found, dict) or found.get("version") != VERSION:
        found = {}
    return {key: found.get(key, default) for key, default in _DEFAULTS.items()}


def encode_published(published: Sequence[Publication]) -> str:
    """The text of the label that keeps ports."""
    return json.dumps([item.as_dict() for item in published], sort_keys=True, separators=(",", ":"))


def decode_published(text: str) -> tuple[Publication, ...]:
    """Ports from the label's text; () when it is missing."""
    try:
        return tuple(
            Publication(int(item["port"]), str(item["protocol"]), str(item["address"]), int(item["host_port"]))
            for item in json.loads(text or "[]")
        )
    except (ValueError, KeyError, TypeError):
        return ()


def same_limit(asked: Any, found: Any) -> bool:
    """Whether two limits are one to the kernel; None is no limit."""
    if asked is None or found is None:
        return asked is found
    # The kernel keeps a quota per period, in microseconds.
    return bool(abs(asked - found) < 0.005)


def _address(option: str, value: str | None, version: int) -> IPAddress | None:
    if value is None:
        return None
    found = checks.address(option, value)
    if found.version != version:
        raise checks.invalid(option, f"{value} is not IPv{version}", f"give an IPv{version} address, or leave it out")
    return found


def _node_name(value: str) -> str:
    if replaced.is_aside(value):
        problem = f"{value} is the name of an old container of the node {replaced.node_of(value)}"
        raise checks.invalid("name", problem, f"name the node: {replaced.node_of(value)}")
    return checks.name("name", value)


def _wait_timeout(value: float) -> None:
    if value < 1:
        raise checks.invalid("wait_timeout", "is not a time", "give it in seconds, like 120")


def _limits(params: Mapping[str, Any]) -> Limits:
    memory, cpus, pids = params["memory"], params["cpus"], params["pids_limit"]
    size = checks.size("memory", memory) if memory is not None else None
    if size is not None and size < MEMORY_MINIMUM:
        raise checks.invalid("memory", f"{memory} is too little for any systemd", "set it to 64m or more")
    # The kernel's least quota is a millisecond of a period of 100 (cpu.cfs_quota_us, sched-bwc.rst).
    if cpus is not None and not 0.01 <= cpus < 100_000:
        raise checks.invalid("cpus", f"{cpus:g} is not a number of processors", "set it to 0.01 or more, like 1.5")
    if pids is not None and pids < 1:
        raise checks.invalid(
            "pids_limit", f"{pids} is not a number of processes", "leave it out for no limit of its own"
        )
    # A page is the kernel's unit; what is requested is what it will show.
    return Limits(size // 4096 * 4096 if size is not None else None, cpus, pids)


def _plain(option: str, value: str) -> str:
    if not value or any(ord(character) < 32 for character in value):
        raise checks.invalid(option, f"{value!r} is empty or has control characters", "write it as one line of text")
    return value


def _option(option: str, value: str) -> str:
    if _plain(option, value).startswith("-"):
        raise checks.invalid(option, f"{value!r} begins with '-'", "write the value alone, without the engine's flag")
    return value


def _argument(value: str) -> str:
    if "\0" in value:
        raise checks.invalid("command", f"{value!r} has a NUL, which no program takes", "leave it out")
    return value


def _word(option: str, value: str) -> str:
    if not re.fullmatch(r"[a-z]+", value):
        raise checks.invalid(option, f"{value!r} is not a name of a limit", "use a name like nofile or nproc")
    return value


def _target(option: str, value: str) -> str:
    if not os.path.isabs(value) or os.path.normpath(value) in ("/", "//") or ":" in _plain(option, value):
        raise checks.invalid(
            option, f"{value!r} is not an absolute path below / without ':'", "write it like /srv/data"
        )
    return os.path.normpath(value)


def _mount(item: Mapping[str, Any]) -> Mount:
    source = str(item["source"])
    if not os.path.isabs(source) or ":" in _plain("mounts.source", source):
        raise checks.invalid(
            "mounts.source", f"{source!r} is not an absolute path without ':'", "write it like /srv/data"
        )
    return Mount(
        source=os.path.normpath(source),
        target=_target("mounts.target", str(item["target"])),
        read_only=item["read_only"],
        propagation=item["propagation"],
        relabel=item["relabel"],
    )


def _refuse_same_target(mounts: Sequence[Mount], tmpfs: Mapping[str, str], volume: str | None) -> None:
    targets = [mount.target for mount in mounts] + list(tmpfs) + ([VAR] if volume else [])
    for target in targets:
        if targets.count(target) > 1:
            raise checks.invalid(
                "mounts", f"{target} would be mounted twice", "keep one of them (see mounts, tmpfs, volume)"
            )


def _refuse_hidden(files: Sequence[File], targets: Sequence[str]) -> None:
    for file in files:
        over = next((target for target in targets if file.path.startswith(target + "/")), None)
        if over is not None:
            raise checks.invalid(
                "files.path", f"{file.path} would be hidden by what is mounted at {over}", "choose another"
            )


def _publication(item: Mapping[str, Any]) -> Publication:
    for key in ("port", "host_port"):
        if item[key] is not None and not 1 <= item[key] <= 65535:
            raise checks.invalid(f"publish.{key}", f"{item[key]} is not a port", "choose one from 1 to 65535")
    address = str(checks.address("publish.address", item["address"]))
    return Publication(item["port"], item["protocol"], address, item["host_port"])


def _publications(items: Sequence[Mapping[str, Any]]) -> tuple[Publication, ...]:
    found = checks.items(_publication, items)
    for index, one in enumerate(found):
        for other in found[:index]:
            if one.host_port and (one.host_port, one.protocol, one.address) == (
                other.host_port,
                other.protocol,
                other.address,
            ):
                problem = f"port {one.host_port} of {one.address} is given twice"
                raise checks.invalid("publish.host_port", problem, "leave one of them out to have a free one chosen")
            if (one.port, one.protocol, one.address) == (other.port, other.protocol, other.address):
                problem = f"{one.port}/{one.protocol} is published twice on {one.address}"
                raise checks.invalid("publish.port", problem, "keep one of them")
    return tuple(found)


def _device(value: str) -> str:
    if not re.fullmatch(r"/dev/[^:]+(:/dev/[^:]+)?(:[rwm]{1,3})?", _plain("devices", value)):
        raise checks.invalid(
            "devices", f"{value!r} is not a device", "write it like /dev/fuse or /dev/sdb:/dev/xvdb:rw"
        )
    return value


_OF_THE_MACHINE = ("nofile", "nproc")
"""Limits that the kernel, or who starts the node, bounds: without one they would be refused."""


def _ulimit(name: str, value: Any) -> str:
    soft, separator, hard = str(value).replace("unlimited", NO_ULIMIT).partition(":")
    parts = [soft, hard if separator else soft]
    if NO_ULIMIT in parts and name in _OF_THE_MACHINE:
        problem = f"{value!r} is not a limit for {name}, which no machine has without one"
        raise checks.invalid("ulimits", problem, "write it like 65536 or 1024:65536, or leave it out for the most")
    least, most = (math.inf if part == NO_ULIMIT else int(part) if part.isdecimal() else -1 for part in parts)
    if least < 0 or most < least:
        raise checks.invalid("ulimits", f"{value!r} is not a limit for {name}", "write it like 65536 or 1024:65536")
    return ":".join(parts)


_NAMESPACED = re.compile(
    r"net\..+|fs\.mqueue\..+|kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced|domainname)"
)
"""The kernel parameters that a container has of its own (sysctl in runc's libcontainer/configs/validate, and in crun)."""


def _sysctl(option: str, key: str, value: object) -> str:
    content = _text(option, key, value)
    # sysctl(8) takes a slash in the place of each dot too.
    if not _NAMESPACED.fullmatch(key.replace("/", ".")):
        machine = f"set it on the machine: sysctl -w {key}={content}; with the role kic_host: kic_host_sysctls"
        raise checks.invalid(option, f"{key} is the same for the whole machine, and no container can set it", machine)
    return content


def _text(option: str, key: str, content: object) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_./-]+", key) or key.startswith("-"):
        raise checks.invalid(option, f"{key!r} is not a name", "use letters, digits, '_', '.', '/' and '-'")
    if isinstance(content, bool) or not isinstance(content, (str, int, float)):
        # YAML made something else of the word: which one the user wrote is lost.
        raise checks.invalid(option, f"the value of {key} is not a string", f"quote it: {key}: '...'")
    if "\0" in str(content) or "\n" in str(content):
        raise checks.invalid(option, f"the value of {key} has more than one line", "give it one line")
    return str(content)


def _file(item: Mapping[str, Any]) -> File:
    path, mode = _target("files.path", str(item["path"])), str(item["mode"])
    if not re.fullmatch(r"0?[0-7]{3,4}", mode):
        raise checks.invalid("files.mode", f"{mode!r} is not a mode", "quote four octal digits, like '0644'")
    return File(path, str(item["content"]).encode(), int(mode, 8))
