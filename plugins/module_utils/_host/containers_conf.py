# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody says in containers.conf(5) of where networks may lie, and of variables. ``podman info`` does not tell it.

Python's library reads TOML from 3.11 on, and modules run on 3.9: the few values are found by their form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from .environment import home
from .files import listed, read

_SECTION = r"^\s*\[\s*{name}\s*\]\s*$(?P<body>.*?)(?=^\s*\[[^\]\n]*\]\s*$|\Z)"
_POOLS = re.compile(r"^\s*default_subnet_pools\s*=\s*\[(?P<items>[^\]]*)\]", re.MULTILINE)
_BASE = re.compile(r"[\"']?\bbase\b[\"']?\s*=\s*[\"'](?P<base>[^\"']+)[\"']")
_STRING = r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'"
_COMMENT = re.compile(rf"({_STRING})|#[^\n]*")
_ENV = re.compile(rf"^\s*env\s*=\s*\[(?P<items>(?:{_STRING}|[^\]\"'])*)\]", re.MULTILINE)
_HTTP_PROXY = re.compile(r"^\s*http_proxy\s*=\s*(?P<value>true|false)\b", re.MULTILINE)


def paths() -> list[str]:
    """The files in the order in which podman reads them; a later one counts."""
    if os.environ.get("CONTAINERS_CONF"):
        found = [os.environ["CONTAINERS_CONF"]]
    else:
        found = ["/usr/share/containers/containers.conf", *_with_drop_ins("/etc/containers/containers.conf")]
        if os.geteuid() != 0:
            # podman is run with the same home.
            base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home(), ".config")
            found += _with_drop_ins(os.path.join(base, "containers", "containers.conf"))
    override = os.environ.get("CONTAINERS_CONF_OVERRIDE")
    return [*found, override] if override else found


def _with_drop_ins(path: str) -> list[str]:
    names = [name for name in listed(f"{path}.d") if name.endswith(".conf")]
    return [path, *(f"{path}.d/{name}" for name in names)]


def parse_pools(text: str) -> list[str] | None:
    """The bases of ``default_subnet_pools``; None where the file does not say."""
    found = _POOLS.search(_section("network", text))
    return [match.group("base") for match in _BASE.finditer(found.group("items"))] if found else None


def _section(name: str, text: str) -> str:
    """What stands in a table of the file, without comments; empty where it has none."""
    plain = _COMMENT.sub(lambda match: match.group(1) or "", text)
    found = re.search(_SECTION.format(name=name), plain, re.MULTILINE | re.DOTALL)
    return found.group("body") if found else ""


def _variables(section: str) -> dict[str, str] | None:
    """Those of ``env``; None where the section does not say."""
    found = _ENV.search(section)
    if found is None:
        return None
    texts = [match.group()[1:-1] for match in re.finditer(_STRING, found.group("items"))]
    return dict(text.partition("=")[::2] for text in texts)


def variables(reader: Callable[[str], str | None] = read) -> tuple[dict[str, str], dict[str, str], bool]:
    """Variables that every container gets, those that podman itself gets, and whether it hands its own proxies on to
    containers, which it does unless somebody says no. A later file counts, each value by itself."""
    containers: dict[str, str] = {}
    engine: dict[str, str] = {}
    hands_on = True
    for path in paths():
        text = reader(path) or ""
        section = _section("containers", text)
        containers = _or(_variables(section), containers)
        engine = _or(_variables(_section("engine", text)), engine)
        said = _HTTP_PROXY.search(section)
        hands_on = said.group("value") == "true" if said else hands_on
    return containers, engine, hands_on


def _or(said: dict[str, str] | None, before: dict[str, str]) -> dict[str, str]:
    return before if said is None else said


def subnet_pools(reader: Callable[[str], str | None] = read) -> list[str]:
    """The pools that podman was told to take networks from; [] where nobody said."""
    said = [parse_pools(reader(path) or "") for path in paths()]
    return next((pools for pools in reversed(said) if pools is not None), [])
