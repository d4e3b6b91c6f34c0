# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of what is there only while something is replaced; most of all of a node's container that another one replaces.

Labels of a container cannot be changed, its name can. A container of ours with such a name is no node of its own: it is
kept until its replacement is up, and becomes the node again where that fails. The name also says whether it ran, which
a run that was ended in between could not tell otherwise.
"""

from __future__ import annotations

from . import checks

PROBE = ".kic-probe"
"""Of a network or volume that shows whether an engine takes the options of another; it is removed at once."""

STOPPED = ".kic-replaced"
RAN = ".kic-replaced-running"


def aside_name(node: str, ran: bool) -> str:
    """The name that the container of ``node`` gets while it is replaced."""
    return node + (RAN if ran else STOPPED)


def node_of(container: str) -> str:
    """The node that a container of ours is or was, by its name."""
    for suffix in (RAN, STOPPED):
        if container.endswith(suffix):
            return container[: -len(suffix)]
    return container


def is_aside(container: str) -> bool:
    """Whether this is the name of one that is being replaced."""
    return node_of(container) != container


def ran(container: str) -> bool:
    """Whether the container of this name ran when it was renamed."""
    return container.endswith(RAN)


def probe_name(name: str) -> str:
    """What the probe for the network or volume ``name`` is called."""
    return name + PROBE


def probed(name: str) -> str:
    """The network or volume that one of ours is, or is the probe of."""
    return name.removesuffix(PROBE)


def checked_name(value: str) -> str:
    """``value`` if it can name a network or volume: a probe's name is that of something that the next run removes."""
    if probed(value) != value:
        problem = f"{value} is the name of a probe for {probed(value)}"
        raise checks.invalid("name", problem, f"choose a name that does not end with {PROBE}")
    return checks.name("name", value)
