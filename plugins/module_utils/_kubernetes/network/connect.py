# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the pod network to the nodes of a cluster: who is in it, what each has, and what has to be written."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..._core import labels
from ..._core.diagnosis import failure
from ..._core.replaced import is_aside
from ..._engine.base import Engine
from ..._engine.model import Container
from ..._engine.selection import cluster_nodes
from ..._state.lock import POD_NETWORK, host_lock
from ..access.api import InNode
from . import kic
from .kic import Registered, State, Wanted

_SECONDS = 30.0
"""How long one question to a node, or one change of it, may take."""


@dataclass(frozen=True)
class Connected:
    """What a run did, or in check mode would do."""

    nodes: tuple[str, ...] = ()
    """Those whose files were written."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PodNetwork:
    """The pod network of one cluster.

    :ivar pods: its pod subnet; ``""`` where it is not known.
    """

    engine: Engine
    cluster: str
    control_plane: str
    pods: str
    patience: float = 1.0

    def registered(self) -> tuple[Registered, ...]:
        """The nodes that the API has."""
        action, limit = f"listing the nodes of {self.cluster}", _SECONDS * self.patience
        found = InNode(self.engine, self.control_plane).ask(
            "get", "--raw", "/api/v1/nodes", action=action, timeout=limit
        )
        try:
            return kic.decode(json.loads(found.out)["items"])
        except (ValueError, TypeError, KeyError, AttributeError):
            raise failure("node_unreadable", node=self.control_plane, output=found.words) from None

    def files(self, node: str, nodes: Sequence[Registered]) -> kic.Files | None:
        """The files of a node, by its name in Kubernetes; None while it has no range, or cannot be part of the network."""
        if not any(item.name == node and item.ranges for item in nodes):
            return None
        return kic.wanted(nodes, self.addresses(), self.pods).files(node)

    def addresses(self) -> dict[str, list[str]]:
        """Those that the engine gives the cluster's containers, by the names of their nodes in Kubernetes."""
        return _addresses(self._containers())

    def write(self, node: str, files: kic.Files) -> tuple[str, ...]:
        """Give the node of a container its files, and apply them there; what was refused, for a person."""
        result = self.engine.exec(
            node,
            [kic.PROGRAM, "take"],
            action=f"writing the pod network of {node}",
            stdin=kic.archive(files),
            timeout=_SECONDS * self.patience,
            check=False,
        )
        if result.rc == 0:
            return ()
        lines = result.out.strip().splitlines() or [result.words.strip()]
        return tuple(f"The pod network of {node}: {line}. The node repeats it until it works." for line in lines)

    def connect(self, known: Mapping[str, State], nodes: Sequence[Registered] | None, *, check_mode: bool) -> Connected:
        """Bring all running nodes up to date.

        :param known: what was seen a moment ago, by container; the others are asked.
        :param nodes: what the API listed a moment ago; None where the list has changed since.
        """
        if nodes is not None:
            found, _differing = self._compare(known, nodes)
            if check_mode or not found.nodes:
                return found
        if check_mode:
            return Connected()
        # Who lists later knows more, and has to be the one that writes later.
        with host_lock(name=POD_NETWORK):
            found, differing = self._compare(known, self.registered())
            refused = [text for name, files in differing.items() for text in self.write(name, files)]
        return Connected(found.nodes, (*found.warnings, *refused))

    def _compare(
        self, known: Mapping[str, State], nodes: Sequence[Registered]
    ) -> tuple[Connected, dict[str, kic.Files]]:
        """What is to be done, and the files that are to be written by container."""
        containers = self._containers()
        want = kic.wanted(nodes, _addresses(containers), self.pods)
        running = {node_name(item): item.name for item in containers if item.running}
        states = {
            member.name: known.get(running[member.name]) or self._state(running[member.name])
            for member in want.members
            if member.name in running
        }
        differing = {running[name]: want.files(name) or {} for name in kic.differing(want, states)}
        return Connected(tuple(differing), _warnings(want, states, nodes)), differing

    def _state(self, node: str) -> State:
        result = self.engine.exec(node, [kic.PROGRAM, "status"], check=False, timeout=_SECONDS * self.patience)
        return State.parse(result.out) if result.rc == 0 else State()

    def _containers(self) -> list[Container]:
        return [item for item in cluster_nodes(self.engine, self.cluster) if not is_aside(item.name)]


def _addresses(containers: Sequence[Container]) -> dict[str, list[str]]:
    return {node_name(item): own_addresses(item) for item in containers}


def _warnings(want: Wanted, states: Mapping[str, State], nodes: Sequence[Registered]) -> tuple[str, ...]:
    """Nodes that are not connected, each with what takes it in."""
    again = "Fix: run the role nodeforge.kic.kic_cluster again when it has one."
    create = "Fix: create it with the role nodeforge.kic.kic_cluster, which takes it in"
    found = [
        f"The pod network skips the node {name}: {problem}. "
        + (again if "yet" in problem else f"{create}, or remove it: kubectl delete node {name}")
        for name, problem in want.skipped.items()
    ]
    ready = {item.name for item in nodes if item.ready}
    found += [
        f"The pod network skips the node {name}: its container was not created with the files of one. {create}."
        for name, state in states.items()
        if not state.word and name not in ready
    ]
    return tuple(found)


def node_name(container: Container) -> str:
    """The name of a node in Kubernetes."""
    return labels.node_name(container.name, container.labels)


def own_addresses(container: Container) -> list[str]:
    """Those of a container; one that does not run has the addresses that it was created with."""
    created = [container.labels.get(key) for key in (labels.ADDRESS, labels.ADDRESS6)]
    return node_addresses(container) or [item for item in created if item]


def node_addresses(container: Container) -> list[str]:
    """A node's own addresses: those of the network it was made on come first, IPv4 before IPv6."""
    own = container.labels.get(labels.ADDRESS)
    found = [address for group in container.addresses.values() for address in group]
    found.sort(key=lambda item: (item != own, ipaddress.ip_address(item).version))
    return found
