# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Docker's API by its socket, as other programs use it: docker_api.py SOCKET PATH BODY. A bare machine has no curl."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from typing import Any


class _Connection(http.client.HTTPConnection):
    """HTTP by a socket of the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("docker")
        self._path = path

    def connect(self) -> None:
        """Open it."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def post(path: str, request: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request, such as ``/networks/create``."""
    connection = _Connection(path)
    connection.request("POST", request, json.dumps(body), {"Content-Type": "application/json"})
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return found


if __name__ == "__main__":
    print(post(sys.argv[1], sys.argv[2], json.loads(sys.argv[3])))
