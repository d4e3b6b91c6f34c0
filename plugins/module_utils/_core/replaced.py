# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The name of a node's container while another one takes its place.

Labels of a container cannot be changed, its name can. A container of ours with such a name is no node of its own: it is
kept until its replacement is up, and becomes the node again where that fails. The name also says whether it ran, which
a run that was ended in between could not tell otherwise.
"""

from __future__ import annotations

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
