# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports of this machine, tried on its loopback interface."""

from __future__ import annotations

import errno
import socket

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._host import ports
from ansible_collections.nodeforge.kic.plugins.module_utils._host.ports import HostPorts
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import fails

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_free(protocol: str) -> None:
    """A port is taken while another socket is bound to it, and free after that."""
    with socket.socket(socket.AF_INET, KINDS[protocol]) as other:
        other.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            other.listen()
        port = other.getsockname()[1]
        assert not HostPorts().free("127.0.0.1", protocol, port)
        assert not HostPorts().free("0.0.0.0", protocol, port)
    assert HostPorts().free("127.0.0.1", protocol, port)


def test_protocols_do_not_meet() -> None:
    """A port of TCP says nothing of the same number of UDP."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            assert not HostPorts().free("127.0.0.1", "tcp", port)
            assert HostPorts().free("127.0.0.1", "udp", port) or port == udp.getsockname()[1]


def test_port_of_closed_connection() -> None:
    """A port whose last connection was just closed is free, though the kernel still remembers it."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _address = server.accept()
            accepted.close()  # who closes first keeps the port in TIME_WAIT
            client.recv(1)
    assert HostPorts().free("127.0.0.1", "tcp", port)


def test_address_of_another_machine() -> None:
    """An address that this machine does not have is refused before an engine would, at the start of the node."""
    with fails("address_not_local", "at 203.0.113.9", "ip address add 203.0.113.9"):
        HostPorts().free("203.0.113.9", "tcp", 40000)


NO_ADDRESS = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
NO_FAMILY = OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
NOT_PERMITTED = PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize(
    ("error", "address", "off", "condition"),
    [
        (NO_ADDRESS, "203.0.113.9", "1", "address_not_local"),
        (NO_ADDRESS, "::1", None, "ipv6_off"),
        (NO_ADDRESS, "2001:db8::9", "0\n", "address_not_local"),
        (NO_ADDRESS, "2001:db8::9", "1\n", "ipv6_off"),
        (NO_FAMILY, "2001:db8::9", None, "ipv6_off"),
        (NOT_PERMITTED, "127.0.0.1", None, ""),
    ],
)
def test_refused_address(
    monkeypatch: pytest.MonkeyPatch, error: OSError, address: str, off: str | None, condition: str
) -> None:
    """What the kernel says of an address, for a port that is named and for one that is chosen."""

    def refuse(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(ports, "_bound", refuse)
    monkeypatch.setattr(ports, "read", {"/proc/sys/net/ipv6/conf/all/disable_ipv6": off}.get)
    if not condition:
        assert HostPorts().free(address, "tcp", 80)
        return
    with fails(condition, f"at {address}"):
        HostPorts().free(address, "tcp", 40000)
    with fails(condition, f"at {address}"):
        HostPorts().pick(address, "tcp", ())


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_pick(protocol: str) -> None:
    """A picked port can be listened on."""
    port = HostPorts().pick("127.0.0.1", protocol, ())
    assert 1024 <= port <= 65535
    with socket.socket(socket.AF_INET, KINDS[protocol]) as taker:
        taker.bind(("127.0.0.1", port))


def test_pick_beside_taken() -> None:
    """A port that is promised to another is not picked; when all are, that is an error."""
    with fails("no_free_port", "no free port was found on 127.0.0.1", "name one with host_port"):
        HostPorts().pick("127.0.0.1", "tcp", range(65536))


@pytest.mark.parametrize(("text", "lowest"), [("80\n", 80), ("0\n", 0), (None, 1024)])
def test_lowest(monkeypatch: pytest.MonkeyPatch, text: str | None, lowest: int) -> None:
    """The lowest port of an ordinary user is the kernel's, else 1024."""
    monkeypatch.setattr(ports, "read", {"/proc/sys/net/ipv4/ip_unprivileged_port_start": text}.get)
    assert HostPorts().lowest() == lowest
