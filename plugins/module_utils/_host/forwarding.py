# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this machine forwards what containers of root send to the outside and to each other."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from .._command import CommandNotFound, Runner
from .files import drop_ins, listed, read
from .kernel import assignments, sysctl

FORWARD = "net.ipv4.ip_forward"
BRIDGED = "net.bridge.bridge-nf-call-iptables"
_SECONDS = 10.0


@dataclass(frozen=True)
class Forwarding:
    """What of the machine decides it."""

    off: bool = False
    """Whether the kernel forwards nothing. A machine without bridges is so before its first container."""
    bridges: bool = False
    files: tuple[str, ...] = ()
    """Files that switch it off at the next start, or when somebody applies them."""
    drops_bridged: bool = False
    """Whether what goes from port to port of one bridge is dropped, where no rule accepts it."""


def forwarding(runner: Runner) -> Forwarding:
    """Look at this machine; a program is run only where bridges are filtered."""
    off = sysctl(FORWARD) == 0
    files = tuple(path for path, text in _settings() if assignments(text).get(FORWARD) == 0) if off else ()
    return Forwarding(off, off and _has_bridges(), files, sysctl(BRIDGED) == 1 and _drops(runner))


def _settings() -> list[tuple[str, str]]:
    return [*drop_ins("sysctl.d"), ("/etc/sysctl.conf", read("/etc/sysctl.conf") or "")]


def _has_bridges() -> bool:
    return any(os.path.isdir(f"/sys/class/net/{name}/bridge") for name in listed("/sys/class/net"))


def _drops(runner: Runner) -> bool:
    for command in (["iptables", "-w", "2", "-S", "FORWARD"], ["nft", "list", "chain", "ip", "filter", "FORWARD"]):
        try:
            result = runner.run(command, timeout=_SECONDS)
        except CommandNotFound:
            continue
        # One that may not ask has nothing to say.
        return result.rc == 0 and drops_bridged(result.out)
    return False


def drops_bridged(text: str) -> bool:
    """Whether a FORWARD chain, as iptables or nft lists it, drops by its policy and has no rule that accepts what goes
    from port to port of a bridge."""
    accepted = re.search(r"physdev-is-bridged.*-j ACCEPT|physdev-is-bridged.*accept", text)
    return bool(re.search(r"^-P FORWARD DROP$|policy drop;", text, re.MULTILINE)) and not accepted
