# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels that say what is ours, and since which layout of labels.

Every network, volume and container that the collection makes carries them; what lacks :data:`SCHEMA` is never
changed or removed. The layout only grows: a key keeps its meaning for ever, and a reader ignores keys it does not
know.

========================== =======================================================================================
key                        value
========================== =======================================================================================
nodeforge.kic.schema       ``1``: the layout of these labels; its presence says "made by nodeforge.kic"
nodeforge.kic.cluster      name of the cluster the resource belongs to; absent when it belongs to none
nodeforge.kic.role         of a node: ``control-plane``, ``worker`` or whatever its user called it
nodeforge.kic.spec         of a node: the options that were asked for, as JSON with a ``version`` (no secret values)
nodeforge.kic.address      of a node: the IPv4 address that was chosen or asked for
nodeforge.kic.address6     of a node: the IPv6 address, likewise
nodeforge.kic.adaptations  of a node: what was decided because of this machine, as a JSON list with the reasons
nodeforge.kic.publish      of a node: its published ports with those of the host that were chosen, as a JSON list
========================== =======================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

PREFIX = "nodeforge.kic."
SCHEMA = PREFIX + "schema"
CLUSTER = PREFIX + "cluster"
ROLE = PREFIX + "role"
SPEC = PREFIX + "spec"
ADDRESS = PREFIX + "address"
ADDRESS6 = PREFIX + "address6"
PUBLISH = PREFIX + "publish"
ADAPTATIONS = PREFIX + "adaptations"

SCHEMA_VERSION = "1"


def is_ours(labels: Mapping[str, str]) -> bool:
    """Whether the resource that carries ``labels`` was made by this collection."""
    return SCHEMA in labels


def ownership(cluster: str | None) -> dict[str, str]:
    """The labels that every resource of ours gets."""
    labels = {SCHEMA: SCHEMA_VERSION}
    if cluster:
        labels[CLUSTER] = cluster
    return labels


def of_user(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that are not ours: what the user asked for, or the engine added."""
    return {key: value for key, value in labels.items() if not key.startswith(PREFIX)}
