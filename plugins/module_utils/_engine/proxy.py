# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies that a container gets without being asked for: podman passes on its own environment and that of containers.conf,
docker's client the file config.json, and an image that was built behind a proxy may hold them. What of a cluster they must not
be used for is added to NO_PROXY, or nodes ask a proxy for each other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence

from .._host.environment import home
from .._host.files import read

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY")
NO_PROXY = ("NO_PROXY", "no_proxy")
"""Programs read one of them: curl and wget the one in lower case, Go either."""

NAMES = tuple(name for upper in _PROXIES for name in (upper, upper.lower()))

_WITHOUT = tuple(f"--env={name}=" for name in NAMES)
_HERE = ("localhost", "127.0.0.1", "::1")


def without_proxy(arguments: Sequence[str]) -> list[str]:
    """Arguments of an engine's client. What this collection runs in a node talks to that node and its cluster only: an
    exec gets no proxy, whatever container and client have."""
    first, *others = arguments
    return [first, *(_WITHOUT if first == "exec" else ()), *others]


def of_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment says where proxies are (containers.conf(5), http_proxy: podman passes it on by default)."""
    return {name: environment[name] for name in (*NAMES, *NO_PROXY) if environment.get(name)}


def of_docker_config(text: str, host: str) -> dict[str, str]:
    """What docker's client sets from its config.json: the proxies of this daemon, or the default ones, in both cases."""
    try:
        proxies = json.loads(text)["proxies"]
        found = proxies.get(host) or proxies.get("default") or {}
        values = {
            "HTTP_PROXY": found.get("httpProxy"),
            "HTTPS_PROXY": found.get("httpsProxy"),
            "FTP_PROXY": found.get("ftpProxy"),
            "ALL_PROXY": found.get("allProxy"),
            "NO_PROXY": found.get("noProxy"),
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        # The client complains of such a file by itself.
        return {}
    return {name: str(value) for key, value in values.items() if value for name in (key, key.lower())}


def docker_config() -> str:
    """Text of the file of the user who runs docker's client; empty without one."""
    # As the client finds it: HOME, and what passwd says only where that is not set.
    directory = os.environ.get("DOCKER_CONFIG") or os.path.join(os.environ.get("HOME") or home(), ".docker")
    return read(os.path.join(directory, "config.json")) or ""


def exceptions(given: Mapping[str, str], env: Mapping[str, str], direct: Iterable[str]) -> dict[str, str]:
    """NO_PROXY and no_proxy of a container that has proxies, by itself (``given``) or as asked for (``env``): what they
    hold already, and ``direct``. {} where it has none."""
    whole = {**given, **env}
    if not any(whole.get(name) for name in NAMES):
        return {}
    kept = [part.strip() for name in NO_PROXY for part in whole.get(name, "").split(",")]
    value = ",".join(dict.fromkeys(part for part in (*kept, *direct, *_HERE) if part))
    return dict.fromkeys(NO_PROXY, value)


def extended(name: str, asked: str, actual: str | None) -> bool:
    """Whether ``actual`` is the value that was requested, or a list of exceptions that holds it."""
    if name not in NO_PROXY or actual is None:
        return actual == asked
    have = {part.strip() for part in actual.split(",")}
    return {part.strip() for part in asked.split(",")} <= have
