# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Molecule's platforms as options of kic_node: in our words, and in those of the drivers that people come from.

Each key that the drivers docker and podman of molecule-plugins know is taken, translated, or ignored with a warning that
says what it would have done. A key that nobody knows is refused, as it is most likely misspelt.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Callable

import yaml

from ansible_collections.nodeforge.kic.plugins.module_utils._core import checks

OPTIONS = frozenset(
    (
        *("image", "hostname", "command", "mounts", "tmpfs", "publish", "devices", "memory", "cpus", "pids_limit"),
        *("ulimits", "sysctls", "security_opts", "env", "labels", "privileged", "runtime", "restart_policy"),
        *("dns", "dns_search", "extra_hosts", "shm_size", "wait_timeout"),
    )
)
"""Options of kic_node that a platform may set."""

_MOLECULE = frozenset(("name", "groups", "children"))

_TRUE: tuple[Any, ...] = (True, "true", "True", "yes")
_FALSE: tuple[Any, ...] = (False, "false", "False", "no")
_EITHER = (*_TRUE, *_FALSE)

# Keys of the drivers with the values that say what is so for each platform; these are ignored without a warning.
_SO_ANYHOW: Mapping[str, tuple[Any, ...]] = {
    "pre_build_image": _TRUE,
    "systemd": (*_TRUE, "always"),
    "tty": _EITHER,
    "detach": _TRUE,
    "rootless": _TRUE,
    "keep_volumes": _FALSE,
    "force": _EITHER,
    "force_kill": _EITHER,
    "pull": _FALSE,
    "cgroupns_mode": ("private",),
    "purge_networks": _EITHER,
    "networks_cli_compatible": _EITHER,
    "command_handling": ("compatibility", "correct"),
    "container_default_behavior": ("compatibility", "no_defaults"),
}

# Ports of a platform are open to the others of its network without being named.
_NOTHING = frozenset(("exposed_ports",))

_CGROUPS = "a platform has control groups of its own, and may write them"
_NETWORK = "all platforms of a scenario are on one network of their own, and know each other by name"
_SPACES = "a platform has namespaces of its own"
_BUILD = "no image is built; the image is taken as it is, and needs systemd and Python"
_STORE = "the engine's own configuration says how it stores containers"
_TLS = "the engine of this machine is used"
_LOGIN = "log in to the registry before, with podman login or docker login"
_NO_OPTION = "there is no such option for a platform"

_MODULES_ONLY = (
    *("cap_drop", "cap_add", "cpu_shares", "cpuset_cpus", "group_add", "groups_add", "healthcheck", "oom_killer"),
    *("read_only", "auto_remove", "interactive", "domainname", "domain_name", "container_name", "device_requests"),
)
"""Options of the modules that the drivers call, which the drivers do not pass on."""

# Why a key of the drivers is ignored. Those of the second half the drivers ignore as well; people write them all the same.
_IGNORED: Mapping[str, str] = {
    **dict.fromkeys(("cgroupns_mode", "cgroup_manager", "cgroup_parent", "cgroups", "cgroupns"), _CGROUPS),
    **dict.fromkeys(
        ("network", "networks", "network_mode", "docker_networks", "links", "ip", "ip6", "subnet", "network_aliases"),
        _NETWORK,
    ),
    **dict.fromkeys(
        ("pid_mode", "ipc_mode", "uts", "uts_mode", "userns_mode", "userns", "user_ns", "pid", "ipc"), _SPACES
    ),
    **dict.fromkeys(("pre_build_image", "dockerfile", "buildargs", "cache_from"), _BUILD),
    "pull": "an image is pulled where it is missing, and not again",
    "platform": "an image of the machine's own architecture is run",
    **dict.fromkeys(("storage_opt", "storage_opts", "storage_driver", "log_driver", "log_options"), _STORE),
    **dict.fromkeys(("docker_host", "cacert_path", "cert_path", "key_path", "tls_verify"), _TLS),
    "dns_opts": "the resolver's options are the engine's",
    "systemd": "a platform runs systemd as its first process",
    "detach": "a platform runs in the background",
    "rootless": "platforms are created as the user who runs Molecule",
    "keep_volumes": "a platform has no volumes that outlive it",
    "user": "systemd runs as root; name a user in the tasks",
    "working_dir": "systemd starts in /",
    "entrypoint": "the image's own entrypoint is run; use command",
    "init": "systemd is the first process",
    "restart_retries": "the engine's own number of retries holds",
    "memory_swap": "swap is not given on top of memory",
    **dict.fromkeys(("stop_signal", "kill_signal", "stop_timeout"), "a platform is stopped as its systemd wants it"),
    "extra_opts": "flags of the engine's client are not passed on; use the options of a platform, such as memory",
    "command_handling": "a command is split as a shell splits it",
    **dict.fromkeys(_MODULES_ONLY, _NO_OPTION),
}

# Keys of the drivers for options of ours.
_RENAMED: Mapping[str, str] = {"dns_servers": "dns", "dns_search_domains": "dns_search"}

# Words that people use for an option that has another name. The drivers do not know them either.
_MEANT: Mapping[str, str] = {
    "environment": "env",
    "env_vars": "env",
    "ports": "published_ports",
    "port_bindings": "published_ports",
    "publish_ports": "published_ports",
    "published": "published_ports",
    "image_version": "the tag of image",
    "tag": "the tag of image",
    "dns_server": "dns_servers",
    "hosts": "etc_hosts",
    "volume": "volumes",
    "mem_limit": "memory",
    "host_name": "hostname",
    "security_opt": "security_opts",
    "sysctl": "sysctls",
    "ulimit": "ulimits",
    "device": "devices",
    "restart": "restart_policy",
    "release": "suite",
    "add_host": "extra_hosts",
}

_PORT = re.compile(
    r"(?:(?:(?P<address>\d+(?:\.\d+){3}|\[[0-9A-Fa-f:.]+\]):)?(?P<host>\d*(?:-\d+)?):)?"
    r"(?P<port>\d+(?:-\d+)?)(?:/(?P<protocol>tcp|udp|sctp))?",
    re.IGNORECASE,
)
_PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
_LABELS = {"z": "shared", "Z": "private"}
_DOCKER = re.compile("^docker://")
"""How podman names what comes from a registry; docker's client takes the name alone."""
_OLD_SEPARATOR = re.compile("^(seccomp|apparmor|label):")
# Of no effect on Linux, or only on volumes of the engine; and flags that a mount has without them.
_MOUNT_IDLE = ("cached", "delegated", "consistent", "default", "nocopy", "copy", "bind", "rbind", "exec", "suid", "dev")
_MOUNT_IGNORED = ("noexec", "nosuid", "nodev", "U", "idmap", "nobind")


@dataclass
class _Reader:
    """Reads one platform; warnings are kept by reason, so that a scenario of ten says each thing once."""

    name: str
    suite: str
    problems: checks.Problems
    warnings: dict[tuple[str, str], list[str]]
    found: dict[str, Any] = field(default_factory=dict)

    def warn(self, key: str, reason: str) -> None:
        """Say that ``key`` of this platform is ignored."""
        names = self.warnings.setdefault((key, reason), [])
        if self.name not in names:
            names.append(self.name)

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The platform's name and options."""
        self.found["name"] = self.name
        for key, value in given.items():
            if value is not None and key not in _MOLECULE:
                with self.problems.collect():
                    self._key(str(key), value, f"platform {self.name}: {key}", given)
        if not self.found.get("image"):
            self.found.pop("image", None)
            self.found.setdefault("suite", self.suite)
        if "hostname" not in self.found:
            host = checks.derived_host_name(self.name)
            if host != self.name:
                self.found["hostname"] = host
        return self.found

    def _key(self, key: str, value: Any, where: str, given: Mapping[str, Any]) -> None:
        if key in _READERS:
            _READERS[key](self, where, value, given)
        elif key in OPTIONS:
            self.found[key] = value
        elif key in _NOTHING or (key in _SO_ANYHOW and value in _SO_ANYHOW[key]):
            return
        elif key in _IGNORED or key in _SO_ANYHOW:
            self.warn(key, _IGNORED.get(key, _NO_OPTION))
        elif key in _MEANT:
            self.warn(key, f"the drivers of molecule-plugins ignore it too; {_MEANT[key]} is meant")
        else:
            raise checks.invalid(where, "is not an option of a platform", _suggestion(key))

    def _image(self, where: str, value: Any, given: Mapping[str, Any]) -> None:
        if value:
            text = _DOCKER.sub("", str(value))
            self.found["image"] = text
            checks.image(where, text)
            url = _registry(given)
            if url and checks.image_registry(text) is None and not text.startswith("localhost/"):
                self.found["image"] = f"{url}/{text}"
                checks.image(where, self.found["image"])

    def _suite(self, where: str, value: Any, given: Mapping[str, Any]) -> None:
        if given.get("image"):
            raise checks.invalid(where, "names a release, and image names an image", "leave out one of the two")
        self.found["suite"] = checks.name(where, str(value))

    def _hostname(self, where: str, value: Any, _given: Mapping[str, Any]) -> None:
        self.found["hostname"] = str(value)
        checks.full_host_name(where, str(value))

    def _command(self, where: str, value: Any, given: Mapping[str, Any]) -> None:
        if given.get("override_command") in _FALSE and given.get("override_command") is not None:
            if value:
                self.warn("command", "override_command is false, so the image's own command is run")
            return
        words = [str(item) for item in value] if isinstance(value, list) else _words(where, str(value))
        if words:
            self.found["command"] = words

    def _override_command(self, _where: str, value: Any, given: Mapping[str, Any]) -> None:
        if value not in _FALSE and not given.get("command"):
            self.warn("override_command", "no command is named, so the image's own is run; it has to be systemd")

    def _registry(self, _where: str, value: Any, _given: Mapping[str, Any]) -> None:
        # Its url is a part of the image's name, where the drivers put it there.
        if not isinstance(value, Mapping):
            self.warn("registry", _LOGIN)
        elif value.get("credentials"):
            self.warn("registry: credentials", _LOGIN)

    def _privileged(self, _where: str, value: Any, _given: Mapping[str, Any]) -> None:
        self.found["privileged"] = True if value in _TRUE else False if value in _FALSE else value

    def _capabilities(self, _where: str, _value: Any, given: Mapping[str, Any]) -> None:
        if given.get("privileged") in _FALSE and given.get("privileged") is not None:
            reason = "a platform with privileged: false has the engine's own capabilities; without it, it has all"
            self.warn("capabilities", reason)

    def _volumes(self, where: str, value: Any, _given: Mapping[str, Any]) -> None:
        for item in _listed(where, value):
            with self.problems.collect():
                mounts = self._volume(where, str(item))
                if mounts:
                    self.found.setdefault("mounts", []).extend(mounts)

    def _volume(self, where: str, text: str) -> list[dict[str, Any]]:
        source, separator, rest = text.partition(":")
        target, _separator, options = rest.partition(":")
        if not separator:
            source, target = "", text
        if source == "~" or source.startswith("~/"):
            # Platforms are made on the machine that Molecule runs on, by its user.
            source = os.path.expanduser(source)
        if not target.startswith("/") or source.startswith((".", "~")):
            fix = "write absolute paths, like /srv/data:/mnt/data:ro or ${MOLECULE_PROJECT_DIRECTORY}/data:/mnt/data"
            raise checks.invalid(where, f"{text!r} is not a mount of an absolute path", fix)
        if re.sub("/+", "/", target).rstrip("/") == "/sys/fs/cgroup":
            self.warn("volumes: /sys/fs/cgroup", _CGROUPS)
            return []
        if not source.startswith("/"):
            reason = (
                "it is not a volume, but files in the platform itself, that go with it; name a directory to keep them"
            )
            self.warn(f"volumes: {target}", reason)
            return []
        found: dict[str, Any] = {"source": source, "target": target}
        for option in filter(None, options.split(",")):
            found.update(self._mount_option(where, text, option))
        return [found]

    def _mount_option(self, where: str, text: str, option: str) -> dict[str, Any]:
        if option in ("ro", "rw"):
            return {"read_only": option == "ro"}
        if option in _LABELS:
            return {"relabel": _LABELS[option]}
        if option in _PROPAGATION:
            return {"propagation": option}
        if option in _MOUNT_IGNORED:
            self.warn(f"volumes: the option {option}", "a mount of a platform has no such option")
        elif option not in _MOUNT_IDLE:
            raise checks.invalid(where, f"{text!r} has an unknown option {option!r}", "use ro, rw, z or Z")
        return {}

    def _published(self, where: str, value: Any, _given: Mapping[str, Any]) -> None:
        for item in _listed(where, value):
            with self.problems.collect():
                self.found.setdefault("publish", []).extend(_ports(where, str(item)))

    def _own_list(self, where: str, value: Any, _given: Mapping[str, Any]) -> None:
        key = where.rpartition(" ")[2]
        for item in _listed(where, value):
            if key == "mounts" and isinstance(item, Mapping) and item.get("type", "bind") != "bind":
                self.warn("mounts", f"one of the type {item['type']} is not made; use volumes, tmpfs or a bind mount")
            else:
                own = (
                    {name: content for name, content in item.items() if name != "type"}
                    if isinstance(item, Mapping)
                    else item
                )
                self.found.setdefault(key, []).append(own)

    def _tmpfs(self, where: str, value: Any, _given: Mapping[str, Any]) -> None:
        if isinstance(value, Mapping):
            self.found["tmpfs"] = dict(value)
            return
        parts = [str(item).partition(":") for item in ([value] if isinstance(value, str) else _listed(where, value))]
        self.found["tmpfs"] = {path: options for path, _separator, options in parts}

    def _domains(self, where: str, value: Any, _given: Mapping[str, Any]) -> None:
        name = _RENAMED.get(where.rpartition(" ")[2], where.rpartition(" ")[2])
        self.found[name] = [str(item) for item in ([value] if isinstance(value, str) else _listed(where, value))]

    def _hosts(self, where: str, value: Any, _given: Mapping[str, Any]) -> None:
        value = _written_as_text(value)
        if isinstance(value, list):
            # As the engines' --add-host has it.
            value = {name: address for name, _separator, address in (str(item).partition(":") for item in value)}
        if not isinstance(value, Mapping):
            raise checks.invalid(where, "is not a mapping", "write each as host name: address on a line of its own")
        self.found["extra_hosts"] = {str(name): str(address) for name, address in value.items()}

    def _ulimits(self, where: str, value: Any, _given: Mapping[str, Any]) -> None:
        if isinstance(value, Mapping):
            self.found["ulimits"] = dict(value)
            return
        found = self.found.setdefault("ulimits", {})
        for item in _listed(where, value):
            if item == "host":
                self.warn(
                    "ulimits: host", "a platform has what a machine's systemd gives, or the most that this machine can"
                )
                continue
            with self.problems.collect():
                found.update([_limit(where, item)])

    def _security_opts(self, where: str, value: Any, _given: Mapping[str, Any]) -> None:
        # docker took a colon first, and its client still does; podman's does not.
        self.found["security_opts"] = [_OLD_SEPARATOR.sub(r"\1=", str(item), count=1) for item in _listed(where, value)]

    def _pairs(self, where: str, value: Any, _given: Mapping[str, Any]) -> None:
        key = where.rpartition(" ")[2]
        value = _written_as_text(value)
        if isinstance(value, list):
            pairs = [str(item).partition("=") for item in value]
            if not all(separator for _name, separator, _content in pairs):
                # Not the line itself, which may hold a secret.
                raise checks.invalid(where, "has a line without '='", f"write {key} as a mapping, name: value")
            value = {name: content for name, _separator, content in pairs}
        if not isinstance(value, Mapping):
            raise checks.invalid(where, "is not a mapping", "write each as name: value on a line of its own")
        kept = {}
        for item, content in value.items():
            if content is None:
                # What is left of ${VARIABLE} where nobody has set it.
                self.warn(f"{key}: {item}", "it has no value")
                continue
            if isinstance(content, (bool, list, Mapping)):
                # YAML made something else of the word: which one the user wrote is lost.
                raise checks.invalid(where, f"the value of {item} is not a string", f"quote it: {item}: '...'")
            kept[item] = content
        self.found[key] = checks.labels(where, kept) if key == "labels" else kept


_READERS: Mapping[str, Callable[[_Reader, str, Any, Mapping[str, Any]], None]] = {
    "image": _Reader._image,
    "suite": _Reader._suite,
    "hostname": _Reader._hostname,
    "command": _Reader._command,
    "override_command": _Reader._override_command,
    "capabilities": _Reader._capabilities,
    "privileged": _Reader._privileged,
    "registry": _Reader._registry,
    "security_opts": _Reader._security_opts,
    "volumes": _Reader._volumes,
    "published_ports": _Reader._published,
    "mounts": _Reader._own_list,
    "publish": _Reader._own_list,
    "tmpfs": _Reader._tmpfs,
    "ulimits": _Reader._ulimits,
    **dict.fromkeys(("dns", "dns_servers", "dns_search", "dns_search_domains"), _Reader._domains),
    **dict.fromkeys(("extra_hosts", "etc_hosts"), _Reader._hosts),
    **dict.fromkeys(("env", "labels", "sysctls"), _Reader._pairs),
}


def platforms(given: Sequence[Mapping[str, Any]], suite: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Each platform's ``name`` and options of kic_node, and warnings; without an ``image`` it has a ``suite``.

    Raises ``invalid_option`` with all problems of all platforms.
    """
    found: list[dict[str, Any]] = []
    problems = checks.Problems()
    warnings: dict[tuple[str, str], list[str]] = {}
    hosts: dict[str, str] = {}
    if not isinstance(given, list):
        raise checks.invalid("platforms", "is not a list", "write each on a line of its own that begins with '- name:'")
    for platform in given:
        if not isinstance(platform, Mapping):
            problem = f"{str(platform)[:40]!r} is not a platform"
            problems.add("platforms", problem, "write it as a mapping, like - name: web")
            continue
        name = str(platform.get("name") or "")
        with problems.collect():
            checks.name("platforms: name", name)
        if name and name in [item["name"] for item in found]:
            with problems.collect():
                raise checks.invalid("platforms", f"two of them have the name {name}", "give each a name of its own")
        read = _Reader(name, suite, problems, warnings).read(platform)
        host = read.get("hostname", name)
        if name and hosts.setdefault(host, name) != name and "hostname" not in platform:
            with problems.collect():
                problem = f"{hosts[host]} and {name} would have the host name {host}"
                raise checks.invalid("platforms", problem, "give one of them another name, or a hostname")
        found.append(read)
    problems.finish()
    said = [
        f"{'Platform' if len(names) == 1 else 'Platforms'} {', '.join(names)}: {key} is ignored: {reason}."
        for (key, reason), names in warnings.items()
    ]
    return found, said


def _suggestion(key: str) -> str:
    known = sorted((OPTIONS | _READERS.keys() | {"groups"}) - {"override_command", "capabilities"})
    close = checks.closest(key, [*known, *_IGNORED])
    return f"write {close}, or leave it out" if close else f"leave it out, or write one of {', '.join(known)}"


def _registry(given: Mapping[str, Any]) -> str:
    """What stands before the image's name: the drivers build from URL/IMAGE, but take a finished image by its name alone."""
    registry = given.get("registry")
    if not isinstance(registry, Mapping) or given.get("pre_build_image", False) in _TRUE:
        return ""
    return re.sub("^https?://", "", str(registry.get("url") or "")).rstrip("/")


def _written_as_text(value: Any) -> Any:
    """A mapping or list that stands in quotation marks, as the drivers' own documentation writes etc_hosts."""
    if isinstance(value, str) and value.strip()[:1] in ("{", "["):
        try:
            return yaml.safe_load(value)
        except yaml.YAMLError:
            return value
    return value


def _listed(where: str, value: Any) -> list[Any]:
    if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
        # Ansible makes a list of a single text, so the drivers run such a file.
        return [value]
    if not isinstance(value, list):
        raise checks.invalid(where, "is not a list", "write each on a line of its own that begins with '-'")
    return value


def _words(where: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise checks.invalid(where, "has a quotation mark without its pair", "close it, or write a list") from None


def _ports(where: str, text: str) -> list[dict[str, Any]]:
    match = _PORT.fullmatch(text)
    if match is None:
        raise checks.invalid(where, f"{text!r} is not a published port", "write it like 127.0.0.1:8080:80/tcp")
    inner, outer = _range(match["port"]), _range(match["host"] or "")
    if outer and len(inner) != len(outer):
        problem = f"{text!r} has {len(outer)} ports of the machine for {len(inner)} of the platform"
        raise checks.invalid(where, problem, "give as many, or leave the machine's out to have free ones chosen")
    if not inner or not all(1 <= port <= 65535 for port in (*inner, *outer)):
        # 8080:80 without quotes is a number of base 60 to YAML.
        raise checks.invalid(where, f"{text!r} is not a port from 1 to 65535", "quote it, like '8080:80'")
    # As the drivers mean it: without an address it is every address of the machine.
    address = (match["address"] or "0.0.0.0").strip("[]")
    found: list[dict[str, Any]] = []
    for index, port in enumerate(inner):
        one: dict[str, Any] = {"port": port, "address": address}
        if outer:
            one["host_port"] = outer[index]
        if match["protocol"]:
            one["protocol"] = match["protocol"].lower()
        found.append(one)
    return found


def _range(text: str) -> Sequence[int]:
    first, _separator, last = text.partition("-")
    return range(int(first), min(int(last or first), int(first) + 65536) + 1) if first else ()


def _limit(where: str, item: Any) -> tuple[str, str]:
    if isinstance(item, Mapping) and "name" in item:
        values = [str(item[key]) for key in ("soft", "hard") if item.get(key) is not None]
        return str(item["name"]), ":".join(values)
    name, _separator, value = str(item).replace("=", ":", 1).partition(":")
    if not name or not value:
        raise checks.invalid(where, f"{str(item)!r} is not a limit", "write it like nofile:1024:2048")
    return name, value
