# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a docker daemon leaves in the machine's packet filter, and how it goes again without a look at anybody else's.

A daemon leaves the chains whose names begin with DOCKER, the rules that lead to them, and the policy of FORWARD (DROP).
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

MARK = "DOCKER"


@dataclass
class Table:
    """One table of the filter: the policy of each chain ("-" of one that somebody made) and all rules, in order."""

    chains: dict[str, str] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)


def parse(text: str) -> dict[str, Table]:
    """The tables of iptables-save(8), by their names."""
    tables: dict[str, Table] = {}
    table = Table()
    for line in text.splitlines():
        if line.startswith("*"):
            table = tables.setdefault(line[1:], Table())
        elif line.startswith(":"):
            chain, policy, _counters = line[1:].split()
            table.chains[chain] = policy
        elif line.startswith("-A "):
            table.rules.append(line)
    return tables


def returning(before: dict[str, Table], after: dict[str, Table]) -> list[list[str]]:
    """The commands that take back what docker has done between the two."""
    commands = []
    for name, table in after.items():
        earlier = before.get(name, Table())
        call = ["iptables", "--wait", "30", "--table", name]
        chains = [chain for chain in table.chains if chain.startswith(MARK) and chain not in earlier.chains]
        for rule in table.rules:
            words = shlex.split(rule)
            # Rules inside of its chains go with these.
            if words[1] not in chains and rule not in earlier.rules and set(words) & set(chains):
                commands.append([*call, "-D", *words[1:]])
        commands += [[*call, "-F", chain] for chain in chains]
        commands += [[*call, "-X", chain] for chain in chains]
        policy = earlier.chains.get("FORWARD", "ACCEPT")
        if name == "filter" and table.chains.get("FORWARD", policy) != policy:
            commands.append([*call, "-P", "FORWARD", policy])
    return commands


@contextmanager
def taken_back() -> Iterator[None]:
    """Take back at the end of the block what a docker daemon, which has ended by then, did to the filter within it."""
    before = _saved()
    try:
        yield
    finally:
        for command in returning(before, _saved()):
            subprocess.run(command, check=True)


def _saved() -> dict[str, Table]:
    return parse(subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout)
