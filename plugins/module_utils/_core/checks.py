# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what a user may write, made before anything is changed. Each raises ``invalid_option`` with a fix."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Callable, TypeVar, Union, cast

from .diagnosis import Diagnosis, KicError, failure

T = TypeVar("T")

IPNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
IPAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

# What both docker and podman take as a name of a container, volume or network (both: [a-zA-Z0-9][a-zA-Z0-9_.-]*).
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")

NAME_MAX = 128
"""Longest name of a network or volume that we accept; the engines keep them as file names (NAME_MAX is 255)."""

LABEL_MAX = 63
"""Longest DNS label (RFC 1123), and so the longest name of a cluster's node, which is also Kubernetes' node name."""

HOSTNAME_MAX = 64
"""Longest host name that the kernel keeps (HOST_NAME_MAX, sethostname(2)); one with a domain may use all of it."""


def invalid(option: str, problem: str, fix: str) -> KicError:
    """The error for an option that cannot be used as it was written."""
    return failure("invalid_option", option=option, problem=problem, fix=fix)


class InvalidOptions(KicError):
    """More than one option cannot be used; ``problems`` has each by itself."""

    def __init__(self, problems: tuple[Diagnosis, ...]) -> None:
        cause, fix = (
            " ".join(f"({number}) {text}" for number, text in enumerate(texts, 1))
            for texts in ([item.cause for item in problems], [f"{item.fix}." for item in problems])
        )
        super().__init__(Diagnosis("invalid_option", f"{len(problems)} problems: {cause}", fix))
        self.problems = problems


class Problems:
    """Everything that is wrong with what a user wrote, so that one message names all of it.

    Wrong options are collected, any other failure passes through. Whoever collects ends with :meth:`finish`, and uses
    nothing of what :meth:`take` returned before it.
    """

    def __init__(self) -> None:
        self._found: list[Diagnosis] = []

    @contextmanager
    def collect(self, prefix: str = "") -> Iterator[None]:
        """Keep the problems of the block for later: the first one, or all that it collected itself. What they name is
        called ``prefix`` and that name where the user wrote it."""
        try:
            yield
        except KicError as error:
            self._keep(error, prefix)

    def _keep(self, error: KicError, prefix: str) -> None:
        """Keep the problems of a failure; raise it again if it is of another kind."""
        if isinstance(error, InvalidOptions):
            self._found += [replace(item, cause=prefix + item.cause) for item in error.problems]
        elif error.diagnosis.id == "invalid_option":
            self._found.append(replace(error.diagnosis, cause=prefix + error.diagnosis.cause))
        else:
            raise error

    def take(self, check: Callable[..., T], *arguments: object) -> T:
        """What ``check`` returns; where it finds a problem, nothing that may be used."""
        try:
            return check(*arguments)
        except KicError as error:
            self._keep(error, "")
            return cast(T, None)

    def add(self, option: str, problem: str, fix: str) -> None:
        """Note that an option cannot be used as it was written, where no more than that follows."""
        self._found.append(invalid(option, problem, fix).diagnosis)

    def optional(self, check: Callable[..., T], option: str, value: object, *arguments: object) -> T | None:
        """What ``check`` returns of an option that may be left out."""
        return self.take(check, option, value, *arguments) if value is not None else None

    def finish(self) -> None:
        """Raise what was found: one problem as it is, more than one numbered, each with its fix of the same number."""
        found = list(dict.fromkeys(self._found))
        if len(found) == 1:
            raise KicError(found[0])
        if found:
            raise InvalidOptions(tuple(found))


def taken(value: T | None) -> T:
    """``value``, which :meth:`Problems.take` returned: after :meth:`Problems.finish` it is None only where that is allowed."""
    if value is None:
        raise AssertionError("an option was used that has problems")
    return value


def name(option: str, value: str, longest: int = NAME_MAX) -> str:
    """``value`` if it can name a resource of an engine."""
    if not value:
        raise invalid(option, "is empty", f"give {option} a name of letters, digits, '.', '_' and '-'")
    if len(value) > longest:
        raise invalid(option, f"has {len(value)} characters, at most {longest} are possible", "choose a shorter name")
    if not _NAME.fullmatch(value):
        raise invalid(
            option,
            f"{value!r} is not a name: letters, digits, '.', '_' and '-' are possible, a letter or digit first",
            _proposal(option, re.sub(r"[^a-zA-Z0-9_.-]+", "-", value).strip("-_."), longest),
        )
    return value


def host_name(option: str, value: str, longest: int = LABEL_MAX) -> str:
    """``value`` if it can name a cluster or a node of one: a DNS label in lower case."""
    if value and not (len(value) <= longest and _LABEL.fullmatch(value)):
        # The proposal is of this kind: a name that only an engine takes would be refused the next time.
        if len(value) > longest:
            problem = f"has {len(value)} characters, at most {longest} are possible"
        else:
            what = "a host name" if _NAME.fullmatch(value) else "a name"
            problem = f"{value!r} is not {what}: lower-case letters, digits and '-' are possible, not '-' at its ends"
        raise invalid(option, problem, _proposal(option, label(value), longest))
    return name(option, value, longest)


def full_host_name(option: str, value: str) -> str:
    """``value`` if a machine can have it as its host name: one label, or several of a domain, up to 64 characters."""
    if not value:
        raise invalid(option, "is empty", f"leave {option} out, or set it to a host name such as web.example.com")
    if len(value) > HOSTNAME_MAX:
        problem = f"has {len(value)} characters, at most {HOSTNAME_MAX} are possible"
        raise invalid(option, problem, "choose a shorter one; the kernel keeps no longer host name")
    if not all(len(part) <= LABEL_MAX and _LABEL.fullmatch(part.lower()) for part in value.split(".")):
        problem = (
            f"{value!r} is not a host name: letters, digits and '-' are possible, with '.' between the parts,"
            f" and each part has at most {LABEL_MAX} characters and no '-' at its ends"
        )
        raise invalid(
            option, problem, _proposal(option, ".".join(filter(None, map(label, value.split(".")))), HOSTNAME_MAX)
        )
    return value


def derived_host_name(value: str) -> str:
    """The host name of a container that is called ``value``: the name itself where it is one, else a label like it.

    ``web.example.com`` is one; ``ubuntu-22.04`` is a release and no host of a domain ``04``, so it gives ``ubuntu-22-04``.
    """
    parts = value.split(".")
    top = parts[-1]
    domain = len(parts) > 1 and top[:1].isalpha()
    valid = all(len(part) <= LABEL_MAX and _LABEL.fullmatch(part) for part in parts)
    if len(value) <= HOSTNAME_MAX and valid and (domain or len(parts) == 1):
        return value
    return label(value) or "node"


def label(value: str) -> str:
    """A DNS label as close to ``value`` as possible; empty where it holds no letter and no digit."""
    return re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:LABEL_MAX].strip("-")


def closest(name: str, known: Iterable[str]) -> str:
    """Which of the known names a misspelt one most likely means; "" where none is close."""
    import difflib  # only where something is misspelt

    return next(iter(difflib.get_close_matches(name, list(known), 1, 0.75)), "")


def _proposal(option: str, value: str, longest: int) -> str:
    value = value[:longest].rstrip("-_.")
    return (
        f"set {option} to {value}, or to another name of these characters" if value else f"choose a name for {option}"
    )


# The grammar of image names that all engines and registries share (github.com/distribution/reference).
_IMAGE = re.compile(
    r"(?:(?P<registry>(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9-]+(?=:)|\[[0-9a-fA-F:]+\])(?::[0-9]+)?)/)?"
    r"(?P<path>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


def image(option: str, value: str) -> str:
    """``value`` as the name of an image; ``latest`` is added where it names neither a tag nor a digest."""
    if not value:
        raise invalid(option, "is empty", f"give {option} a name such as docker.io/kindest/node:v1.35.0")
    match = _IMAGE.fullmatch(value)
    if match is None or len(value.partition("@")[0]) > 255:
        if "@" in value and _IMAGE.fullmatch(value.partition("@")[0]):
            problem = f"{value!r} does not end in a valid digest"
            raise invalid(option, problem, "write the digest as sha256: and 64 hexadecimal digits, or leave it out")
        raise invalid(option, f"{value!r} is not an image name", _image_proposal(value))
    return value if match.group("tag") or match.group("digest") else f"{value}:latest"


def _image_proposal(value: str) -> str:
    """What is an image name and close to ``value``: how podman and skopeo name where an image is, and capitals, are often left
    in it."""
    plain = re.sub(r"^(?:docker|https?)://|^containers-storage:", "", value.strip())
    # A tag may have capitals, a repository may not.
    lower = re.sub(r"^(.*?)((?::[\w.-]+)?(?:@.*)?)$", lambda match: match[1].lower() + match[2], plain)
    for close in (plain, lower):
        if close != value and _IMAGE.fullmatch(close):
            return f"write it as {close}"
    return "write it like docker.io/kindest/node:v1.35.0"


def image_reference(option: str, value: str) -> str:
    """``value`` as an engine takes it: with a digest the tag is redundant, and engines differ in accepting both."""
    base, found = split_digest(image(option, value))
    return f"{re.sub(r':[^:/]*$', '', base)}@{found}" if found else base


def split_digest(value: str) -> tuple[str, str | None]:
    """The name of an image without its digest, and the digest; None where it has none."""
    base, _separator, found = value.partition("@")
    return base, found or None


def image_registry(value: str) -> str | None:
    """The registry that the image name ``value`` names; None where it names none, or this machine's own store."""
    match = _IMAGE.fullmatch(value)
    registry = match.group("registry") if match else None
    # podman names what was built here localhost/…, without a port; a registry on this machine has one.
    return None if registry == "localhost" else registry


def digest(option: str, value: str) -> str:
    """``value`` as a digest of a registry manifest."""
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise invalid(option, f"{value!r} is not a digest", "write it like sha256: and 64 hexadecimal digits")
    return value


def network(option: str, value: str, version: int | None = None) -> IPNetwork:
    """``value`` as a network in CIDR notation without host bits; ``version`` is 4, 6 or either."""
    if "/" not in value:
        raise invalid(option, f"{value!r} is not a CIDR", "write it with its prefix length, like 192.168.200.0/24")
    try:
        found = ipaddress.ip_network(value)
    except ValueError:
        try:
            repaired = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise invalid(option, f"{value!r} is not a CIDR", "write it like 192.168.200.0/24") from None
        raise invalid(option, f"{value!r} has host bits set", f"write {repaired}") from None
    if version is not None and found.version != version:
        raise invalid(option, f"{value!r} is not IPv{version}", f"give an IPv{version} network")
    return found


def address(option: str, value: str) -> IPAddress:
    """``value`` as an IP address."""
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        raise invalid(option, f"{value!r} is not an IP address", "write it like 192.168.200.2") from None


def address_in(option: str, value: str, subnet: IPNetwork) -> IPAddress:
    """``value`` as an address that a host of ``subnet`` can have."""
    found = address(option, value)
    if found not in subnet:
        raise invalid(option, f"{value} is outside the subnet {subnet}", f"choose one inside {subnet}")
    if found in (subnet.network_address, subnet.broadcast_address) and subnet.num_addresses > 2:
        raise invalid(option, f"{value} is the network or broadcast address of {subnet}", "choose one between them")
    return found


def entries(check: Callable[[str, Any], T], value: Mapping[str, Any]) -> dict[str, T]:
    """What ``check`` returns of each key of a mapping with its value; raises ``invalid_option`` with the problems of all."""
    return dict(items(lambda pair: (str(pair[0]), check(str(pair[0]), pair[1])), value.items()))


def items(check: Callable[[Any], T], value: Iterable[Any]) -> list[T]:
    """What ``check`` returns of each item; raises ``invalid_option`` with the problems of all."""
    problems = Problems()
    found = [problems.take(check, item) for item in value]
    problems.finish()
    return found


def labels(option: str, value: Mapping[str, object]) -> dict[str, str]:
    """``value`` as labels: keys without our prefix, values as strings."""
    return entries(partial(label_value, option), value)


def label_value(option: str, key: str, content: object) -> str:
    """``content`` as the value of a label, if both can be one."""
    if not key or "=" in key or any(character.isspace() for character in key):
        raise invalid(option, f"{key!r} is not a label key", "leave out '=' and white space")
    if key.startswith("nodeforge.kic."):
        raise invalid(option, f"{key!r} has the prefix of the collection's own labels", "choose another key")
    if not isinstance(content, (str, int, float, bool)):
        raise invalid(option, f"the value of {key!r} is not a string", f"quote it: {key}: 'text'")
    if isinstance(content, bool):
        # YAML made a boolean of a bare yes, true or on: which word the user wrote is lost.
        raise invalid(option, f"the value of {key!r} is a boolean, not a string", f"quote it: {key}: 'true'")
    if "\0" in f"{key}{content}":
        raise invalid(option, f"{key!r} or its value has a NUL, which no program takes", "leave it out")
    return str(content)


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def size(option: str, value: str) -> int:
    """Bytes of a size like ``2g`` or ``1700MiB``; a unit is a power of 1024, as the engines count."""
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise invalid(option, f"{value!r} is not a size", "write it like 2g or 2048MiB")
    return int(float(match.group(1)) * _UNITS[match.group(2).lower()])
