# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy is configured with in front of the APIs of a cluster: in each worker on its loopback, and in a container of its
own for the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..._engine.base import Engine
from ..._node.scripts import Scripts, script
from .paths import API_PORT

LOOPBACK = "127.0.0.1"

_SECONDS = 30.0

PROGRAM = "/usr/sbin/haproxy"
"""Where Debian's package has it."""

# It hands on bytes: TLS is between the client and an API. A watch may be silent for long, so that a connection ends with its
# ends. /readyz needs no credentials; an API that refuses anonymous requests (401, 403) is one that answers.
_TEMPLATE = """\
# Written by nodeforge.kic at each run.
global
    user haproxy
    group haproxy
    maxconn 4000

defaults
    mode tcp
    timeout connect 2s
    timeout client 24h
    timeout server 24h
    timeout check 5s
    option clitcpka
    option srvtcpka
    option redispatch

frontend api
{binds}
    default_backend control-planes

backend control-planes
    balance roundrobin
    option httpchk GET /readyz
    http-check expect rstatus ^(200|401|403)$
    default-server check-ssl verify none inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
{servers}"""


def configuration(planes: Mapping[str, str], listens: Sequence[str]) -> str:
    """The file's text.

    :param planes: an address of each control plane, by name.
    :param listens: the addresses on which the API is offered.
    """
    # The unspecified address of IPv6 is that of IPv4 too.
    binds = "\n".join(f"    bind {_socket(address)}{' v4v6' if address == '::' else ''}" for address in listens)
    servers = [f"    server {name} {_socket(address)} check\n" for name, address in sorted(planes.items())]
    # When none of them passes its check, which an overloaded machine can cause, a connection is tried all the same.
    servers += ["    option allbackups\n"]
    servers += [f"    server {name}-unchecked {_socket(address)} backup\n" for name, address in sorted(planes.items())]
    return _TEMPLATE.format(binds=binds, servers="".join(servers))


def configure(engine: Engine, name: str, path: str, text: str, scripts: Scripts) -> None:
    """Give the load balancer in the container ``name`` its configuration. What goes through it stays connected."""
    action = f"configuring the load balancer {name}"
    engine.exec(name, script(scripts, "balance", path), action=action, stdin=text.encode(), timeout=_SECONDS)


def _socket(address: str) -> str:
    return f"[{address}]:{API_PORT}" if ":" in address else f"{address}:{API_PORT}"
