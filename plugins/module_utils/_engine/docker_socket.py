# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dockerd without its client: for the one call whose client takes a secret only as an argument, and for who listens."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from .._host.process import peer

_CONNECT_SECONDS = 5.0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("docker", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def listener(endpoint: str) -> int | None:
    """The process that listens at ``unix://PATH``, as this PID namespace numbers it: 0 for one that is not in it.

    None where nobody can say. Of a socket that systemd keeps it is systemd.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connection.connect(endpoint[len("unix://") :])
            return peer(connection)[0]
        except OSError:
            return None


def post(endpoint: str, path: str, body: Mapping[str, Any], seconds: float) -> tuple[int, str]:
    """POST ``body`` to the daemon at ``endpoint`` (``unix://PATH``): HTTP status, and what it says of a refusal.

    Raises OSError (a TimeoutError after ``seconds``) and http.client.HTTPException.
    """
    connection = _UnixConnection(endpoint[len("unix://") :], seconds)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "backslashreplace")
    finally:
        connection.close()
    try:
        return answer.status, str(json.loads(text).get("message", ""))
    except (ValueError, AttributeError):
        return answer.status, text
