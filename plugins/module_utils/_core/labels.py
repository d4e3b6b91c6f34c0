# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels that say what is ours, and since which layout of labels.

Every network, volume and container that the collection makes carries them; what lacks :data:`SCHEMA` is never
changed or removed. The layout only grows: a key keeps its meaning for ever, and a reader ignores keys it does not
know.

An engine shows the labels of a container's image as labels of the container, so whoever makes an image, or commits a
node to one, could make containers ours. Only what a container has itself counts: see :func:`own`.

========================== =======================================================================================
key                        value
========================== =======================================================================================
nodeforge.kic.schema       ``1``: the layout of these labels; its presence says "made by nodeforge.kic"
nodeforge.kic.cluster      name of the cluster the resource belongs to; absent when it belongs to none
nodeforge.kic.role         of a node: ``control-plane``, ``worker`` or whatever its user called it; of a cluster's load balancer
                           ``load-balancer``
nodeforge.kic.spec         of a node: the options that were requested, as JSON with a ``version`` (no secret values)
nodeforge.kic.address      of a node: the IPv4 address that was chosen or asked for
nodeforge.kic.address6     of a node: the IPv6 address, likewise
nodeforge.kic.adaptations  of a node: what was decided because of this machine, as a JSON list with the reasons
nodeforge.kic.publish      of a node: its published ports with those of the host that were chosen, as a JSON list
nodeforge.kic.created-from of a node: the id of its image; no image can hold its own id, so this one is never inherited
nodeforge.kic.replaces     of a node: the id of the container that it was made to replace
nodeforge.kic.node-name    of a node and of its volume: its name in Kubernetes, where that is not the name of its container: a
                           clone keeps those of the original
nodeforge.kic.snapshot     of a volume without data: what a snapshot is of, and which volumes hold its data, as JSON
nodeforge.kic.part-of      of a volume: the volume of the snapshot whose data it holds
nodeforge.kic.held         of the same volume: its node ran when the snapshot was begun, and holds still until it is complete
nodeforge.kic.keeps        of a network ``NAME.kic-probe``: what the network NAME was before it was replaced, as JSON
========================== =======================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

PREFIX = "nodeforge.kic."
SCHEMA = PREFIX + "schema"
CLUSTER = PREFIX + "cluster"
ROLE = PREFIX + "role"
SPEC = PREFIX + "spec"
ADDRESS = PREFIX + "address"
ADDRESS6 = PREFIX + "address6"
PUBLISH = PREFIX + "publish"
ADAPTATIONS = PREFIX + "adaptations"
CREATED_FROM = PREFIX + "created-from"
REPLACES = PREFIX + "replaces"
KEEPS = PREFIX + "keeps"
NODE_NAME = PREFIX + "node-name"
SNAPSHOT = PREFIX + "snapshot"
PART_OF = PREFIX + "part-of"
HELD = PREFIX + "held"

CONTROL_PLANE, WORKER = "control-plane", "worker"
"""The roles of the nodes of a cluster."""

LOAD_BALANCER = "load-balancer"
"""The role of the container that offers the API of several control planes on the host. It is no node of Kubernetes."""

OF_OBJECTS = (
    *(SCHEMA, CLUSTER, ROLE, SPEC, ADDRESS, ADDRESS6, PUBLISH, ADAPTATIONS, CREATED_FROM, REPLACES, KEEPS),
    *(NODE_NAME, SNAPSHOT, PART_OF, HELD),
)
"""All of the above. The labels that the role kic_image and the probe give their images say nothing of a container."""

SCHEMA_VERSION = "1"


def is_ours(labels: Mapping[str, str]) -> bool:
    """Whether the resource that carries ``labels`` was made by this collection."""
    return SCHEMA in labels


def node_name(name: str, found: Mapping[str, str]) -> str:
    """The name in Kubernetes of the node whose container, or volume, has a name and labels."""
    return found.get(NODE_NAME, name)


def ownership(cluster: str | None) -> dict[str, str]:
    """The labels that every resource of ours gets."""
    labels = {SCHEMA: SCHEMA_VERSION}
    if cluster:
        labels[CLUSTER] = cluster
    return labels


def claims(found: Mapping[str, str]) -> list[str]:
    """The keys of labels that say whose a thing is and what it is; on an image they would make containers look like ours."""
    return sorted(key for key in OF_OBJECTS if key in found)


def own(found: Mapping[str, str], image_id: str, image: Callable[[], Mapping[str, str] | None]) -> Mapping[str, str]:
    """The labels of a container without those of ours that it has from its image.

    :param image: asks for the labels of the image; None where it is gone. Not called for a container that names its image.
    """
    if not claims(found) or (SCHEMA in found and found.get(CREATED_FROM) == image_id):
        return found
    # Made before there was that label, or with a name that led to another image a moment later. With the image gone nothing tells where
    # its labels are from: then it is not touched.
    behind = image() if SCHEMA in found else None
    if behind is not None and not claims(behind):
        return found
    return {key: value for key, value in found.items() if key not in OF_OBJECTS}


def carries(found: Mapping[str, str], label: str) -> bool:
    """Whether ``label`` (``key`` or ``key=value``) is among the labels."""
    key, equals, value = label.partition("=")
    return key in found and (not equals or found[key] == value)


def of_user(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that are not ours: what the user asked for, or the engine added."""
    return {key: value for key, value in labels.items() if not key.startswith(PREFIX)}
