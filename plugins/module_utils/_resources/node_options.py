# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of a node that its engine is given as they are: a row each says what there is to know of it.

A row here, its documentation in the module kic_node and a line in each role are all that such an option needs: its argument, its
check, its place in the label that keeps what was requested, its drift, and the engine's arguments come from the row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .._core import checks

_DOMAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")
_GROUP = re.compile(r"/?[A-Za-z0-9_:][A-Za-z0-9_.:/-]*")


@dataclass(frozen=True)
class NodeOption:
    """One option: what the module takes, how a value is checked, and what the engine gets of it."""

    name: str
    argument: Mapping[str, Any]
    """Of the module's argument specification."""
    check: Callable[[Any], Any]
    """The value as it is kept and compared; raises ``invalid_option``."""
    arguments: Callable[[Any], list[str]]
    """Arguments of the engine's ``create`` for a value that is set."""

    @property
    def default(self) -> Any:
        """What it is where it was left out."""
        return self.argument.get("default")


def _servers(value: Any) -> list[str]:
    return checks.items(lambda item: str(checks.address("dns", str(item))), value)


def _search(value: Any) -> list[str]:
    return checks.items(_search_domain, value)


def _search_domain(item: Any) -> str:
    # "." is the engines' word for no search domain at all.
    if item != "." and not _DOMAIN.fullmatch(str(item)):
        raise checks.invalid("dns_search", f"{item!r} is not a domain", "write it like lab.example, or '.' for none")
    return str(item)


def _hosts(value: Any) -> dict[str, str]:
    return dict(sorted(checks.entries(_host, value).items()))


def _host(name: str, address: Any) -> str:
    if not _DOMAIN.fullmatch(name):
        raise checks.invalid("extra_hosts", f"{name!r} is not a host name", "write it like registry.lab: 192.0.2.7")
    return str(checks.address(f"extra_hosts.{name}", str(address)))


def _size(value: Any) -> int | None:
    return None if value is None else checks.size("shm_size", str(value))


def _group(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    if not _GROUP.fullmatch(text) or ".." in text.split("/"):
        problem = f"{text!r} is not a path of a control group"
        raise checks.invalid(
            "cgroup_parent", problem, "write it like /lab, or lab.slice where systemd manages control groups"
        )
    return text


def _each(flag: str) -> Callable[[Any], list[str]]:
    return lambda value: [part for item in value for part in (flag, item)]


PASSED_ON = (
    NodeOption("dns", {"type": "list", "elements": "str", "default": []}, _servers, _each("--dns")),
    NodeOption("dns_search", {"type": "list", "elements": "str", "default": []}, _search, _each("--dns-search")),
    NodeOption(
        "extra_hosts",
        {"type": "dict", "default": {}},
        _hosts,
        lambda value: [part for name, address in value.items() for part in ("--add-host", f"{name}:{address}")],
    ),
    NodeOption("shm_size", {"type": "str"}, _size, lambda value: ["--shm-size", f"{value}b"] if value else []),
    NodeOption(
        "cgroup_parent", {"type": "str"}, _group, lambda value: ["--cgroup-parent", value] if value is not None else []
    ),
)


def read_options(params: Mapping[str, Any], problems: checks.Problems) -> dict[str, Any]:
    """The values of all rows, checked; what is wrong is added to ``problems``."""
    return {option.name: problems.take(option.check, params.get(option.name, option.default)) for option in PASSED_ON}


def engine_arguments(values: Mapping[str, Any]) -> tuple[str, ...]:
    """What the engine's ``create`` gets for them."""
    return tuple(part for option in PASSED_ON for part in option.arguments(values[option.name]))
