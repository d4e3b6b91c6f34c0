# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule's platforms: our own words, those of molecule-plugins, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.platforms import platforms

from .support import fails


def test_own_words() -> None:
    """Options of kic_node go through, Molecule's own do not, and what is not set is not there."""
    given: list[dict[str, Any]] = [
        {"name": "a", "groups": ["x"], "memory": "1g", "env": None},
        {"name": "b", "image": "debian:12"},
    ]
    assert platforms(given, "trixie") == [
        {"name": "a", "memory": "1g", "suite": "trixie"},
        {"name": "b", "image": "debian:12"},
    ]
    assert platforms([{"name": "a", "suite": "bookworm"}], "trixie")[0]["suite"] == "bookworm"


@pytest.mark.parametrize(
    ("key", "value", "meaning"),
    [
        ("volumes", ["/a:/b"], {"mounts": [{"source": "/a", "target": "/b"}]}),
        (
            "volumes",
            ["/a:/b:ro,Z,rslave", "/c:/d:rw,z"],
            {
                "mounts": [
                    {"source": "/a", "target": "/b", "read_only": True, "relabel": "private", "propagation": "rslave"},
                    {"source": "/c", "target": "/d", "read_only": False, "relabel": "shared"},
                ]
            },
        ),
        ("published_ports", ["80", 81], {"publish": [{"port": port, "address": "0.0.0.0"} for port in (80, 81)]}),
        (
            "published_ports",
            ["127.0.0.1:8080:80/udp", "[::1]::80"],
            {
                "publish": [
                    {"port": 80, "address": "127.0.0.1", "host_port": 8080, "protocol": "udp"},
                    {"port": 80, "address": "::1"},
                ]
            },
        ),
        ("tmpfs", ["/run", "/x"], {"tmpfs": {"/run": "", "/x": ""}}),
        ("tmpfs", {"/x": "size=1m"}, {"tmpfs": {"/x": "size=1m"}}),
        ("ulimits", ["nofile:1024:2048", "nproc=5"], {"ulimits": {"nofile": "1024:2048", "nproc": "5"}}),
        ("command", "/sbin/init --log-target=console", {"command": ["/sbin/init", "--log-target=console"]}),
        ("pre_build_image", True, {}),
        ("override_command", False, {}),
        ("systemd", "always", {}),
        ("privileged", True, {"privileged": True}),
    ],
)
def test_words_of_the_drivers(key: str, value: Any, meaning: dict[str, Any]) -> None:
    """What means the same is translated, and what is so anyhow may be said."""
    assert platforms([{"name": "a", "image": "x", key: value}], "trixie") == [{"name": "a", "image": "x", **meaning}]


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ([{"image": "x"}], "platforms: name: is empty"),
        ([{"name": "a_b"}], "platforms: name: 'a_b' is not a host name"),
        ([{"name": "a"}, {"name": "a"}], "platforms: two of them have the name a"),
        ([{"name": "a", "memroy": "1g"}], "platform a: memroy: is no option of a platform"),
        ([{"name": "a", "image": "x", "suite": "trixie"}], "platform a: suite: names a release"),
        ([{"name": "a", "pre_build_image": False}], "platform a: pre_build_image: False is not possible"),
        ([{"name": "a", "cgroupns_mode": "host"}], "platform a: cgroupns_mode: has no meaning here"),
        ([{"name": "a", "volumes": "/a:/b"}], "platform a: volumes: is no list"),
        ([{"name": "a", "volumes": ["data:/b"]}], "platform a: volumes: 'data:/b' is no mount"),
        ([{"name": "a", "volumes": ["/a:/b:nocopy"]}], "platform a: volumes: '/a:/b:nocopy' has an unknown option"),
        ([{"name": "a", "volumes": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"]}], "would hide the platform's own control"),
        ([{"name": "a", "published_ports": ["8000-8010:80"]}], "'8000-8010:80' is no published port"),
        ([{"name": "a", "ulimits": ["nofile"]}], "'nofile' is no limit"),
    ],
)
def test_refused(given: list[dict[str, Any]], cause: str) -> None:
    """The platform and the key are named, with what to do."""
    with fails("invalid_option", cause):
        platforms(given, "trixie")
