# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what a user may write, made before anything is changed. Each raises ``invalid_option`` with a fix."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Union

from .diagnosis import KicError, failure

IPNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
IPAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

# What both docker and podman take as a name of a container, volume or network (both: [a-zA-Z0-9][a-zA-Z0-9_.-]*).
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")

NAME_MAX = 128
"""Longest name of a network or volume that we accept; the engines keep them as file names (NAME_MAX is 255)."""

HOSTNAME_MAX = 63
"""Longest name of a node: it is its host name and a DNS label (RFC 1123), and Kubernetes' node name."""


def invalid(option: str, problem: str, fix: str) -> KicError:
    """The error for an option that can not be used as it was written."""
    return failure("invalid_option", option=option, problem=problem, fix=fix)


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
            f"set {option} to such a name, for example kic",
        )
    return value


def host_name(option: str, value: str) -> str:
    """``value`` if it can name a node: a DNS label in lower case."""
    name(option, value, HOSTNAME_MAX)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", value):
        raise invalid(
            option,
            f"{value!r} is not a host name: lower-case letters, digits and '-' are possible, not '-' at its ends",
            f"set {option} to such a name, for example kic-control-plane-1",
        )
    return value


# The grammar of image names that all engines and registries share (github.com/distribution/reference).
_IMAGE = re.compile(
    r"(?:(?P<registry>(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|[a-zA-Z0-9-]+(?=:)|\[[0-9a-fA-F:]+\])(?::[0-9]+)?)/)?"
    r"(?P<path>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}))?"
)


def image(option: str, value: str) -> str:
    """``value`` as the name of an image with its tag; ``latest`` is added where none is given."""
    if not value:
        raise invalid(option, "is empty", f"give {option} a name such as docker.io/kindest/node:v1.35.0")
    if "@" in value:
        raise invalid(option, f"{value!r} holds a digest", "write the name without it, and the digest as option digest")
    match = _IMAGE.fullmatch(value)
    if match is None or len(value) > 255:
        raise invalid(option, f"{value!r} is no image name", "write it like docker.io/kindest/node:v1.35.0")
    return value if match.group("tag") else f"{value}:latest"


def image_registry(value: str) -> str | None:
    """The registry that the image name ``value`` names; None where it names none, or this machine's own store."""
    match = _IMAGE.fullmatch(value)
    registry = match.group("registry") if match else None
    # podman names what was built here localhost/…, without a port; a registry on this machine has one.
    return None if registry == "localhost" else registry


def digest(option: str, value: str) -> str:
    """``value`` as a digest of a registry manifest."""
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise invalid(option, f"{value!r} is no digest", "write it like sha256: and 64 hexadecimal digits")
    return value


def network(option: str, value: str, version: int | None = None) -> IPNetwork:
    """``value`` as a network in CIDR notation without host bits; ``version`` is 4, 6 or either."""
    if "/" not in value:
        raise invalid(option, f"{value!r} is no CIDR", "write it with its prefix length, like 192.168.200.0/24")
    try:
        found = ipaddress.ip_network(value)
    except ValueError:
        try:
            mended = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise invalid(option, f"{value!r} is no CIDR", "write it like 192.168.200.0/24") from None
        raise invalid(option, f"{value!r} has host bits set", f"write {mended}") from None
    if version is not None and found.version != version:
        raise invalid(option, f"{value!r} is not IPv{version}", f"give an IPv{version} network")
    return found


def address(option: str, value: str) -> IPAddress:
    """``value`` as an IP address."""
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        raise invalid(option, f"{value!r} is no IP address", "write it like 192.168.200.2") from None


def address_in(option: str, value: str, subnet: IPNetwork) -> IPAddress:
    """``value`` as an address that a host of ``subnet`` can have."""
    found = address(option, value)
    if found not in subnet:
        raise invalid(option, f"{value} is outside the subnet {subnet}", f"choose one inside {subnet}")
    if found in (subnet.network_address, subnet.broadcast_address) and subnet.num_addresses > 2:
        raise invalid(option, f"{value} is the network or broadcast address of {subnet}", "choose one between them")
    return found


def labels(option: str, value: Mapping[str, object]) -> dict[str, str]:
    """``value`` as labels: keys without our prefix, values as strings."""
    found: dict[str, str] = {}
    for key, content in value.items():
        if not key or "=" in key or any(character.isspace() for character in key):
            raise invalid(option, f"{key!r} is no label key", "leave out '=' and white space")
        if key.startswith("nodeforge.kic."):
            raise invalid(option, f"{key!r} has the prefix of the collection's own labels", "choose another key")
        if not isinstance(content, (str, int, float, bool)):
            raise invalid(option, f"the value of {key!r} is no string", f"quote it: {key}: 'text'")
        if isinstance(content, bool):
            # YAML made a boolean of a bare yes, true or on: which word the user wrote is lost.
            raise invalid(option, f"the value of {key!r} is a boolean, not a string", f"quote it: {key}: 'true'")
        found[key] = str(content)
    return found


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def size(option: str, value: str) -> int:
    """Bytes of a size like ``2g`` or ``1700MiB``; a unit is a power of 1024, as the engines count."""
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise invalid(option, f"{value!r} is no size", "write it like 2g or 2048MiB")
    return int(float(match.group(1)) * _UNITS[match.group(2).lower()])
