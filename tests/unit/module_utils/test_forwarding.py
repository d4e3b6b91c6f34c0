# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a machine forwards packets, as the kernel and the packet filter say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandNotFound, CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import Diagnosis
from ansible_collections.nodeforge.kic.plugins.module_utils._host import forwarding, preflight

from .support import engine_info, said

# iptables 1.8.9 next to dockerd 20.10.24, and next to podman alone.
DOCKER = """\
-P FORWARD DROP
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A FORWARD -m comment --comment "netavark firewall plugin rules" -j NETAVARK_FORWARD
"""
ACCEPTED = DOCKER.replace("-A FORWARD -j DOCKER-USER", "-A FORWARD -m physdev  --physdev-is-bridged -j ACCEPT")
NFT = "table ip filter {\n chain FORWARD {\n  type filter hook forward priority filter; policy drop;\n }\n}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(DOCKER, True, id="docker"),
        pytest.param(ACCEPTED, False, id="accepted"),
        pytest.param("-P FORWARD ACCEPT\n-A FORWARD -j NETAVARK_FORWARD\n", False, id="podman-alone"),
        pytest.param(NFT, True, id="nft"),
        pytest.param(NFT.replace("drop", "accept"), False, id="nft-accept"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_drops_bridged(text: str, expected: bool) -> None:
    """A chain that drops by its policy drops what goes from port to port, unless a rule accepts just that."""
    assert forwarding.drops_bridged(text) is expected


class Machine:
    """Settings, files and the answers of programs."""

    def __init__(self, sysctls: Mapping[str, int], **answers: CommandResult) -> None:
        self.sysctls = sysctls
        self.answers = answers
        self.asked: list[str] = []

    def run(self, argv: Sequence[str], **_options: object) -> CommandResult:
        """What a program prints."""
        self.asked.append(argv[0])
        if argv[0] not in self.answers:
            raise CommandNotFound(argv[0])
        return self.answers[argv[0]]


def look(monkeypatch: pytest.MonkeyPatch, machine: Machine, *settings: tuple[str, str]) -> forwarding.Forwarding:
    """Look at a machine without bridges."""
    monkeypatch.setattr(forwarding, "sysctl", machine.sysctls.get)
    monkeypatch.setattr(forwarding, "_settings", lambda: list(settings))
    monkeypatch.setattr(forwarding, "_has_bridges", lambda: False)
    return forwarding.forwarding(machine)


def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that switches it off is named; one that assigns something else is not."""
    files = (("/etc/sysctl.d/99-cis.conf", "net.ipv4.ip_forward = 0\n"), ("/etc/sysctl.d/a.conf", "kernel.x = 0\n"))
    found = look(monkeypatch, Machine({forwarding.FORWARD: 0}), *files)
    assert found == forwarding.Forwarding(off=True, files=("/etc/sysctl.d/99-cis.conf",))
    assert look(monkeypatch, Machine({forwarding.FORWARD: 1}), *files) == forwarding.Forwarding()
    assert look(monkeypatch, Machine({})) == forwarding.Forwarding()


def test_filter_is_asked_only_where_bridges_are_filtered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the setting no program runs; without iptables nft is asked, and who may not ask says nothing."""
    idle = Machine({forwarding.BRIDGED: 0}, iptables=said(DOCKER))
    assert not look(monkeypatch, idle).drops_bridged and idle.asked == []
    assert look(monkeypatch, Machine({forwarding.BRIDGED: 1}, iptables=said(DOCKER))).drops_bridged
    assert look(monkeypatch, Machine({forwarding.BRIDGED: 1}, nft=said(NFT))).drops_bridged
    assert not look(monkeypatch, Machine({forwarding.BRIDGED: 1}, iptables=said(DOCKER, rc=4))).drops_bridged
    assert not look(monkeypatch, Machine({forwarding.BRIDGED: 1})).drops_bridged


def warned(found: forwarding.Forwarding, **info: Any) -> tuple[Diagnosis, ...]:
    """What is reported of the machine."""
    return preflight.warnings(preflight.Facts(engine_info(**info), forwarding=found), preflight.MACHINE)


ROOTLESS = {"rootless": True}


@pytest.mark.parametrize(
    ("info", "found", "expected"),
    [
        pytest.param({}, {}, [], id="fine"),
        # podman changes it with its first container; docker did when its daemon started.
        pytest.param({}, {"off": True}, [], id="before-the-first-container"),
        pytest.param({}, {"off": True, "bridges": True}, ["forwarding_off"], id="switched-off-later"),
        pytest.param({}, {"off": True, "files": ("/x.conf",)}, ["forwarding_off"], id="by-a-file"),
        pytest.param({"name": "docker"}, {"off": True}, ["forwarding_off"], id="docker"),
        pytest.param({}, {"drops_bridged": True}, ["bridge_filtered"], id="podman-next to-docker"),
        pytest.param({"name": "docker"}, {"drops_bridged": True}, [], id="docker-accepts-its-own"),
        pytest.param(ROOTLESS, {"off": True, "bridges": True, "drops_bridged": True}, [], id="rootless"),
    ],
)
def test_weaknesses_of_the_network(info: dict[str, Any], found: dict[str, Any], expected: list[str]) -> None:
    """What keeps pods from the outside and from each other is reported of the engines that it is true of."""
    weak = warned(forwarding.Forwarding(**found), **info)
    assert [item.id for item in weak] == expected


def test_what_is_typed() -> None:
    """The fix names the file and the setting."""
    (found,) = warned(forwarding.Forwarding(True, True, ("/etc/x.conf",)))
    assert found.fix == "take net.ipv4.ip_forward out of /etc/x.conf, then type: sysctl -w net.ipv4.ip_forward=1"
    (found,) = warned(forwarding.Forwarding(True, True))
    assert found.fix == "type: sysctl -w net.ipv4.ip_forward=1"
