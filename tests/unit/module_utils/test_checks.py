# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what a user may write."""

from __future__ import annotations

import ipaddress
from typing import Any, Callable

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core import checks
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import fails

NET = ipaddress.ip_network("10.0.0.0/24")
DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("check", "value", "found"),
    [
        (checks.name, "a", "a"),
        (checks.name, "9A_.-", "9A_.-"),
        (checks.name, "n" * 128, "n" * 128),
        (checks.host_name, "a", "a"),
        (checks.host_name, "kic-control-plane-1", "kic-control-plane-1"),
        (checks.host_name, "n" * 63, "n" * 63),
        (checks.image, "node", "node:latest"),
        (checks.image, "node:v1", "node:v1"),
        (checks.image, "localhost:5000/node", "localhost:5000/node:latest"),
        (checks.image, "r.example/a/b_c/d.e-f:V1_x", "r.example/a/b_c/d.e-f:V1_x"),
        (checks.image, "[fd00::1]:5000/a:1", "[fd00::1]:5000/a:1"),
        (checks.image, "node@" + DIGEST, "node@" + DIGEST),
        (checks.image, "r.example:5000/node:v1@" + DIGEST, "r.example:5000/node:v1@" + DIGEST),
        (checks.image_reference, "r.example:5000/node:v1@" + DIGEST, "r.example:5000/node@" + DIGEST),
        (checks.image_reference, "r.example:5000/node@" + DIGEST, "r.example:5000/node@" + DIGEST),
        (checks.image_reference, "node", "node:latest"),
        (checks.full_host_name, "ipaserver.test.local", "ipaserver.test.local"),
        (checks.full_host_name, "a" * 60 + ".bcd", "a" * 60 + ".bcd"),
        (checks.full_host_name, "Web1", "Web1"),
        (checks.digest, DIGEST, DIGEST),
        (checks.network, "10.0.0.0/24", NET),
        (checks.network, "fd00::/64", ipaddress.ip_network("fd00::/64")),
        (checks.address, "10.0.0.1", ipaddress.ip_address("10.0.0.1")),
        (checks.address, "fd00::1", ipaddress.ip_address("fd00::1")),
    ],
)
def test_good(check: Callable[[str, str], Any], value: str, found: Any) -> None:
    """A good value comes back in the form in which it is worked with."""
    assert check("option", value) == found


@pytest.mark.parametrize(
    ("check", "value", "words"),
    [
        (checks.name, "", "option: is empty. Fix: give option a name"),
        (checks.name, "n" * 129, "option: has 129 characters, at most 128 are possible"),
        (checks.name, "-a", "'-a' is not a name"),
        (checks.name, "a/b", "'a/b' is not a name"),
        (checks.name, "a\n", "'a\\n' is not a name"),
        (checks.name, "é", "is not a name"),
        (checks.host_name, "", "is empty"),
        (checks.host_name, "n" * 64, "has 64 characters, at most 63"),
        (checks.host_name, "A", "'A' is not a host name"),
        (checks.host_name, "a-", "'a-' is not a host name"),
        (checks.host_name, "a.b", "'a.b' is not a host name"),
        (checks.image, "", "is empty"),
        (checks.image, "a@" + DIGEST[:-1], "does not end in a valid digest. Fix: write the digest as sha256: and 64"),
        (checks.image, "a:1@md5:0", "does not end in a valid digest"),
        (checks.image, "A@" + DIGEST, "is not an image name"),
        (checks.host_name, "feature/JIRA-12_x", "Fix: set option to feature-jira-12-x, or to another name"),
        (checks.host_name, "release-2.2", "Fix: set option to release-2-2, or"),
        (checks.host_name, "-" + "a" * 62 + "-b", "Fix: set option to " + "a" * 62 + ", or"),
        (checks.host_name, "é", "Fix: choose a name for option"),
        (checks.name, "feature/JIRA-12_x", "Fix: set option to feature-JIRA-12_x, or to another name"),
        (checks.name, "../etc", "Fix: set option to etc, or"),
        (checks.image, "docker://quay.io/x/y:1", "Fix: write it as quay.io/x/y:1"),
        (checks.image, "Registry.example:5000/Team/App:RC1", "Fix: write it as registry.example:5000/team/app:RC1"),
        (checks.image, "debian:12 ", "Fix: write it as debian:12"),
        (checks.image, "oci-archive:/x", "write it like docker.io/kindest/node"),
        (checks.full_host_name, "", "is empty"),
        (checks.full_host_name, "a" * 63 + ".b", "has 65 characters, at most 64"),
        (checks.full_host_name, "a" * 64, "each part has at most 63"),
        (checks.full_host_name, "no_host.example", "Fix: set option to no-host.example, or"),
        (checks.full_host_name, "a..b", "Fix: set option to a.b, or"),
        (checks.full_host_name, "a.b.", "is not a host name"),
        (checks.image, "A", "'A' is not an image name"),
        (checks.image, "a:", "'a:' is not an image name"),
        (checks.image, "a//b", "'a//b' is not an image name"),
        (checks.image, "a" * 256, "is not an image name"),
        (checks.image, "a:" + "t" * 129, "is not an image name"),
        (checks.digest, DIGEST[:-1], "is not a digest"),
        (checks.digest, DIGEST.upper(), "is not a digest"),
        (checks.digest, DIGEST + "\n", "is not a digest"),
        (checks.network, "10.0.0.0", "'10.0.0.0' is not a CIDR. Fix: write it with its prefix length"),
        (checks.network, "10.0.0.0/33", "'10.0.0.0/33' is not a CIDR"),
        (checks.network, "10.0.0.7/24", "'10.0.0.7/24' has host bits set. Fix: write 10.0.0.0/24"),
        (checks.address, "10.0.0.256", "'10.0.0.256' is not an IP address"),
        (checks.address, "", "'' is not an IP address"),
    ],
)
def test_bad(check: Callable[[str, str], Any], value: str, words: str) -> None:
    """A bad value is refused in words that name the option, the value and what to write."""
    with fails("invalid_option", "option: ", words):
        check("option", value)


@pytest.mark.parametrize(
    ("value", "registry"),
    [
        ("node:v1", None),
        ("team/node:v1", None),
        ("localhost/node:v1", None),
        ("localhost:5000/node:v1", "localhost:5000"),
        ("docker.io/kindest/node:v1", "docker.io"),
        ("registry:5000/node", "registry:5000"),
        ("[fd00::1]:5000/node", "[fd00::1]:5000"),
        ("NOT AN IMAGE", None),
    ],
)
def test_image_registry(value: str, registry: str | None) -> None:
    """Only a name with a dot, a port or the like names a registry; localhost alone is the machine's own store."""
    assert checks.image_registry(value) == registry


@pytest.mark.parametrize(("value", "version"), [("10.0.0.0/24", 6), ("fd00::/64", 4)])
def test_network_of_other_version(value: str, version: int) -> None:
    """A network of the other IP version is refused."""
    with fails("invalid_option", f"'{value}' is not IPv{version}", f"give an IPv{version} network"):
        checks.network("option", value, version)


@pytest.mark.parametrize(
    ("value", "subnet", "words"),
    [
        ("10.0.1.1", "10.0.0.0/24", "10.0.1.1 is outside the subnet 10.0.0.0/24"),
        ("fd00::1", "10.0.0.0/24", "fd00::1 is outside the subnet 10.0.0.0/24"),
        ("10.0.0.0", "10.0.0.0/24", "is the network or broadcast address"),
        ("10.0.0.255", "10.0.0.0/24", "is the network or broadcast address"),
        ("x", "10.0.0.0/24", "'x' is not an IP address"),
    ],
)
def test_address_not_in(value: str, subnet: str, words: str) -> None:
    """An address that no host of the subnet can have is refused."""
    with fails("invalid_option", words):
        checks.address_in("option", value, ipaddress.ip_network(subnet))


@pytest.mark.parametrize(
    ("value", "subnet"), [("10.0.0.1", "10.0.0.0/24"), ("10.0.0.0", "10.0.0.0/31"), ("10.0.0.1", "10.0.0.1/32")]
)
def test_address_in(value: str, subnet: str) -> None:
    """A host's address is taken; in a subnet of two or one all addresses are hosts' (RFC 3021)."""
    assert str(checks.address_in("option", value, ipaddress.ip_network(subnet))) == value


def test_labels() -> None:
    """Values become strings."""
    given: dict[str, object] = {"a": "x", "b": 1, "c": 1.5, "d.e/f": ""}
    assert checks.labels("labels", given) == {"a": "x", "b": "1", "c": "1.5", "d.e/f": ""}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("", "x", "'' is not a label key"),
        ("a=b", "x", "'a=b' is not a label key"),
        ("a b", "x", "'a b' is not a label key"),
        ("nodeforge.kic.cluster", "x", "has the prefix of the collection's own labels"),
        ("a", True, "the value of 'a' is a boolean, not a string. Fix: quote it: a: 'true'"),
        ("a", None, "the value of 'a' is not a string"),
        ("a", ["x"], "the value of 'a' is not a string"),
    ],
)
def test_bad_label(key: str, value: object, words: str) -> None:
    """A label that an engine would not keep as it was meant is refused."""
    with fails("invalid_option", words):
        checks.labels("labels", {key: value})


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("0", 0),
        ("1024", 1024),
        ("1b", 1),
        ("1k", 1 << 10),
        ("1 KiB", 1 << 10),
        ("1700MiB", 1700 << 20),
        (" 2g ", 2 << 30),
        ("1.5G", 3 << 29),
        ("1tb", 1 << 40),
    ],
)
def test_size(value: str, found: int) -> None:
    """A unit is a power of 1024 in every way of writing it."""
    assert checks.size("memory", value) == found


@pytest.mark.parametrize("value", ["", "g", "-1g", "1x", "1e9", "2 g g", "1,5g", "50%"])
def test_bad_size(value: str) -> None:
    """What is not a size is refused."""
    with fails("invalid_option", f"memory: {value!r} is not a size", "write it like 2g or 2048MiB"):
        checks.size("memory", value)
