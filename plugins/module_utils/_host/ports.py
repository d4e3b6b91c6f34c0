# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports of this machine: which are free, and one that is."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection
from typing import Protocol

from .._core import checks
from .._core.diagnosis import failure
from .files import read

_TRIES = 50
_IPV6_OFF = "/proc/sys/net/ipv6/conf/all/disable_ipv6"


class Ports(Protocol):
    """What a plan asks of the machine's ports."""

    def free(self, address: str, protocol: str, port: int) -> bool:
        """Whether nothing listens there now. Raises ``address_not_local`` or ``ipv6_off`` where nothing ever could."""

    def pick(self, address: str, protocol: str, taken: Collection[int]) -> int:
        """One that is free and not in ``taken``. Raises ``no_free_port``, or what :meth:`free` raises."""

    def lowest(self) -> int:
        """The lowest port that needs no privilege."""


class HostPorts:
    """The ports of this machine's network namespace. A rootful engine listens in the same one."""

    def free(self, address: str, protocol: str, port: int) -> bool:
        try:
            with _bound(address, protocol, port):
                return True
        except OSError as error:
            _refuse_address(error, address)
            # A protocol that this machine does not know, a port that only root may take: that is not "taken".
            return error.errno != errno.EADDRINUSE

    def pick(self, address: str, protocol: str, taken: Collection[int]) -> int:
        for _attempt in range(_TRIES):
            try:
                with _bound(address, protocol, 0) as found:
                    port = int(found.getsockname()[1])
            except OSError as error:
                _refuse_address(error, address)
                problem = f"nothing can listen on {address} of this machine ({error.strerror})"
                raise checks.invalid("publish", problem, "name an address of this machine: ip address") from error
            if port not in taken:
                return port
        raise failure("no_free_port", address=address)

    def lowest(self) -> int:
        return int(read("/proc/sys/net/ipv4/ip_unprivileged_port_start") or 1024)


def _refuse_address(error: OSError, address: str) -> None:
    """Raise for an address that this machine does not have: an engine would refuse it only when the node starts."""
    off = ":" in address and (address == "::1" or (read(_IPV6_OFF) or "").strip() == "1")
    if error.errno == errno.EAFNOSUPPORT or (error.errno == errno.EADDRNOTAVAIL and off):
        raise failure("ipv6_off", address=address) from error
    if error.errno == errno.EADDRNOTAVAIL:
        raise failure("address_not_local", address=address) from error


def _bound(address: str, protocol: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    found = socket.socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:
            # A port whose last connection was just closed is free to listen on.
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((address, port))
    except OSError:
        found.close()
        raise
    return found
