# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator says in containers.conf(5) of where networks may lie. ``podman info`` does not tell it.

Python's library reads TOML from 3.11 on, and modules run on 3.9: the one array is found by its form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from .files import read

_SECTION = re.compile(r"^\s*\[\s*network\s*\]\s*$(?P<body>.*?)(?=^\s*\[[^\]\n]*\]\s*$|\Z)", re.MULTILINE | re.DOTALL)
_POOLS = re.compile(r"^\s*default_subnet_pools\s*=\s*\[(?P<items>[^\]]*)\]", re.MULTILINE)
_BASE = re.compile(r"[\"']?\bbase\b[\"']?\s*=\s*[\"'](?P<base>[^\"']+)[\"']")
_COMMENT = re.compile(r"#[^\n]*")


def paths() -> list[str]:
    """The files in the order in which podman reads them; a later one counts."""
    if os.environ.get("CONTAINERS_CONF"):
        found = [os.environ["CONTAINERS_CONF"]]
    else:
        found = ["/usr/share/containers/containers.conf", *_with_drop_ins("/etc/containers/containers.conf")]
        if os.geteuid() != 0:
            base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
            found += _with_drop_ins(os.path.join(base, "containers", "containers.conf"))
    override = os.environ.get("CONTAINERS_CONF_OVERRIDE")
    return [*found, override] if override else found


def _with_drop_ins(path: str) -> list[str]:
    try:
        names = sorted(name for name in os.listdir(f"{path}.d") if name.endswith(".conf"))
    except OSError:
        names = []
    return [path, *(f"{path}.d/{name}" for name in names)]


def parse_pools(text: str) -> list[str] | None:
    """The bases of ``default_subnet_pools``; None where the file does not say."""
    section = _SECTION.search(_COMMENT.sub("", text))
    found = _POOLS.search(section.group("body")) if section else None
    return [match.group("base") for match in _BASE.finditer(found.group("items"))] if found else None


def subnet_pools(reader: Callable[[str], str | None] = read) -> list[str]:
    """The pools that podman was told to take networks from; [] where nobody said."""
    said = [parse_pools(reader(path) or "") for path in paths()]
    return next((pools for pools in reversed(said) if pools is not None), [])
