# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a snapshot of a cluster is, and what there is to do to take one. Pure.

It is one volume of the engine for each node, with a copy of the node's data, and one without data whose label says what it is of.
That one is created last and removed first, so that a snapshot is complete or not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._core import checks, labels
from .._core.labels import CONTROL_PLANE
from .._core.operations import Operation
from .._engine.model import Volume
from .kinds import DATA, NODE, SNAPSHOT, VOLUME

VERSION = 1
"""Of the label: a reader of another one does not know the snapshot."""


@dataclass(frozen=True)
class SavedNode:
    """A node whose data a snapshot holds."""

    name: str
    """Of its container."""
    role: str
    node_name: str
    """Its name in Kubernetes."""
    ip: str
    """"" where it has no address of this version."""
    ip6: str


@dataclass(frozen=True)
class Snapshot:
    """A complete snapshot, or one that is to be taken."""

    name: str
    cluster: str
    taken: str
    """When, in UTC: 2026-11-30T12:00:00Z."""
    kubernetes: str
    """The release by which kubeadm made or upgraded its control planes, such as v1.35.4."""
    image: str
    """The id of the control planes' image."""
    subnets: tuple[str, ...]
    """Of the cluster's network."""
    nodes: tuple[SavedNode, ...]
    """The control planes first; the first of them is one that ran."""

    @property
    def volume(self) -> str:
        """The name of the volume that says what the snapshot is of."""
        return volume_of(self.cluster, self.name)

    def data_of(self, node: str) -> str:
        """The name of the volume with a node's data."""
        return f"{self.volume}.{node}"

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the volumes with data."""
        return tuple(self.data_of(item.name) for item in self.nodes)

    def of_role(self, plane: bool) -> tuple[SavedNode, ...]:
        """The control planes, or the others."""
        return tuple(item for item in self.nodes if (item.role == CONTROL_PLANE) is plane)

    def as_dict(self) -> dict[str, Any]:
        """What a task returns of it."""
        return {
            "name": self.name,
            "cluster": self.cluster,
            "taken": self.taken,
            "kubernetes": self.kubernetes,
            "image": self.image,
            "nodes": [item.name for item in self.nodes],
        }

    def encode(self) -> str:
        """The text of the label."""
        nodes = [vars(item) for item in self.nodes]
        content = {**vars(self), "version": VERSION, "subnets": list(self.subnets), "nodes": nodes}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Snapshot | None:
        """From the label's text; None where it is of another layout."""
        try:
            found = json.loads(text)
            if found.pop("version") != VERSION:
                return None
            nodes = tuple(SavedNode(**item) for item in found.pop("nodes"))
            return cls(**{**found, "subnets": tuple(found["subnets"]), "nodes": nodes})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    @property
    def label(self) -> dict[str, str]:
        """The labels of the volume that says what it is of."""
        return {**labels.ownership(None), labels.SNAPSHOT: self.encode()}

    def part_label(self, *, held: bool) -> dict[str, str]:
        """The labels of its volumes with data.

        :param held: whether the node runs, so that it holds still until the snapshot is complete.
        """
        mark = {labels.HELD: "1"} if held else {}
        return {**labels.ownership(None), labels.PART_OF: self.volume, **mark}


def volume_of(cluster: str, name: str) -> str:
    """The name of the volume that says what a snapshot of a cluster is of."""
    return f"{cluster}.snapshot.{name}"


def check_name(option: str, value: str) -> str:
    """The name of a snapshot, which is part of those of volumes."""
    return checks.host_name(option, value)


def found_in(volumes: Sequence[Volume], cluster: str | None = None) -> tuple[Snapshot, ...]:
    """The snapshots among volumes, of one cluster if it is named, the oldest first."""
    found = [
        (item.name, Snapshot.decode(item.labels[labels.SNAPSHOT]))
        for item in volumes
        if labels.is_ours(item.labels) and labels.SNAPSHOT in item.labels
    ]
    # A name that somebody gave a volume with a copied label is none of a snapshot.
    known = [item for name, item in found if item is not None and item.volume == name]
    wanted = (item for item in known if cluster in (None, item.cluster))
    return tuple(sorted(wanted, key=lambda item: (item.taken, item.cluster, item.name)))


@dataclass(frozen=True)
class Wanted:
    """A snapshot as an option names it."""

    cluster: str
    name: str

    @classmethod
    def parse(cls, option: str, value: str, cluster: str) -> Wanted:
        """From ``NAME``, one of the cluster's own, or ``CLUSTER/NAME``; raises ``invalid_option``."""
        owner, slash, name = value.rpartition("/")
        owner = checks.host_name(option, owner) if slash else cluster
        return cls(owner, check_name(option, name))


def plan_take(
    snapshot: Snapshot, there: Mapping[str, str], left: Mapping[str, bool], *, freezes: bool
) -> tuple[Operation, ...]:
    """The operations that take a snapshot. All nodes hold still at the same time, so that their data fits together.

    :param there: the nodes with their states.
    :param left: volumes that an interrupted run has left, with whether their nodes were to hold still.
    :param freezes: whether the engine can pause containers; else they are stopped, and started again.
    """
    still = find_held(snapshot, there, left)
    # By the volumes of these it is known that they hold still: they stay until the nodes go on.
    kept = [snapshot.data_of(name) for name in still]
    discards = [Operation("discard", VOLUME, name, changes=False) for name in left if name not in kept]
    after = tuple(item.key for item in discards)
    parts = [snapshot.data_of(name) for name in there]
    creates = [Operation("create", VOLUME, name, needs=after) for name in parts if name not in kept]
    hold, go = ("pause", "resume") if freezes else ("stop", "start")
    ready = tuple(item.key for item in creates)
    running = [name for name, status in there.items() if status == "running"]
    holds = [Operation(hold, NODE, name, needs=ready) for name in running]
    held = (*ready, *(item.key for item in holds))
    copies = [Operation("copy", DATA, name, needs=held) for name in there]
    copied = tuple(item.key for item in copies)
    goes = [Operation(go, NODE, name, needs=copied) for name in running]
    goes += [Operation(verb, NODE, name, needs=copied) for name, verb in still.items()]
    # A later run does nothing where it finds the snapshot: by then nothing may hold still any more.
    create = Operation("create", SNAPSHOT, snapshot.name, needs=(*copied, *(item.key for item in goes)))
    return (*discards, *creates, *holds, *copies, *goes, create)


def find_held(snapshot: Snapshot, there: Mapping[str, str], left: Mapping[str, bool]) -> dict[str, str]:
    """The nodes that hold still on account of an interrupted run, with the verb by which they go on."""
    verbs = {"paused": "resume", "exited": "start"}
    return {
        name: verbs[status] for name, status in there.items() if status in verbs and left.get(snapshot.data_of(name))
    }


def plan_discard(snapshot: Snapshot, there: Mapping[str, str], left: Mapping[str, bool]) -> tuple[Operation, ...]:
    """The operations that take back what an interrupted run has left; see :func:`plan_take`."""
    goes = [Operation(verb, NODE, name) for name, verb in find_held(snapshot, there, left).items()]
    after = tuple(item.key for item in goes)
    return (*goes, *(Operation("discard", VOLUME, name, needs=after, changes=False) for name in left))


def plan_remove(snapshot: Snapshot) -> tuple[Operation, ...]:
    """The operations that remove a snapshot."""
    first = Operation("remove", SNAPSHOT, snapshot.name)
    return (first, *(Operation("remove", VOLUME, name, needs=(first.key,)) for name in snapshot.parts))
