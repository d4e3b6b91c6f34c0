# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load balancer in front of the APIs of a cluster: its configuration, and how it gets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.access.balancer import (
    LOOPBACK,
    configuration,
    configure,
)
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts

from .support import MemoryEngine, said

PLANES = {"lab-control-plane-2": "192.168.128.3", "lab-control-plane-1": "192.168.128.2"}


def lines(text: str, *words: str) -> list[str]:
    """The lines that begin with one of the words."""
    return [line.strip() for line in text.splitlines() if line.split()[:1] and line.split()[0] in words]


@pytest.mark.parametrize(
    ("planes", "expected"),
    [
        pytest.param({}, ["option allbackups"], id="none"),
        pytest.param(
            PLANES,
            [
                "server lab-control-plane-1 192.168.128.2:6443 check",
                "server lab-control-plane-2 192.168.128.3:6443 check",
                "option allbackups",
                "server lab-control-plane-1-unchecked 192.168.128.2:6443 backup",
                "server lab-control-plane-2-unchecked 192.168.128.3:6443 backup",
            ],
            id="two-by-name",
        ),
        pytest.param(
            {"a": "fd00::2"},
            ["server a [fd00::2]:6443 check", "option allbackups", "server a-unchecked [fd00::2]:6443 backup"],
            id="ipv6",
        ),
    ],
)
def test_servers(planes: Mapping[str, str], expected: list[str]) -> None:
    """Each control plane is checked; when none passes, each is tried all the same."""
    found = lines(configuration(planes, [LOOPBACK]), "server", "option")
    assert [line for line in found if line.startswith("server") or "backup" in line] == expected


@pytest.mark.parametrize(
    ("listens", "expected"),
    [
        pytest.param(["127.0.0.1"], ["bind 127.0.0.1:6443"], id="loopback"),
        pytest.param(["0.0.0.0"], ["bind 0.0.0.0:6443"], id="ipv4"),
        pytest.param(["::"], ["bind [::]:6443 v4v6"], id="both-versions"),
        pytest.param(["fd00::9"], ["bind [fd00::9]:6443"], id="one-of-ipv6"),
        pytest.param(["127.0.0.1", "::1"], ["bind 127.0.0.1:6443", "bind [::1]:6443"], id="two"),
    ],
)
def test_binds(listens: Sequence[str], expected: list[str]) -> None:
    """An IPv6 address is in brackets, and the unspecified one takes connections of IPv4 too."""
    assert lines(configuration(PLANES, listens), "bind") == expected


def test_the_order_of_control_planes_makes_no_difference() -> None:
    """The text is compared with that of the last run."""
    assert configuration(PLANES, [LOOPBACK]) == configuration(dict(sorted(PLANES.items())), [LOOPBACK])


def test_text_ends_with_a_line_end() -> None:
    """HAProxy refuses a last line without one."""
    for planes in ({}, PLANES):
        text = configuration(planes, [LOOPBACK])
        assert text.endswith("\n") and not text.endswith("\n\n") and "{" not in text


def test_configure() -> None:
    """The text goes by standard input to the script, with the path of the file."""
    calls: list[tuple[list[str], bytes | None]] = []

    class Engine(MemoryEngine):
        """Remembers what is run."""

        def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
            calls.append(([*arguments], given["stdin"]))
            return said()

    configure(Engine(), "lab-load-balancer", "/etc/x.cfg", "text\n", node_scripts())
    ((command, stdin),) = calls
    assert "lab-load-balancer" in command and command[-2:] == ["balance", "/etc/x.cfg"] and stdin == b"text\n"
