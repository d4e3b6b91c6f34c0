# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that leave a cluster: what is lost with them, and their way out. Each question and each act is one script that runs in
a control plane."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..._command import CommandResult
from ..._core.diagnosis import KicError, failure
from ..._engine.base import Engine
from ..._node.scripts import Scripts, script
from ..access.api import InNode
from .steps import CLIENT_SECONDS

_SECONDS = 30
"""How long one request to the API may take."""


@dataclass(frozen=True)
class LocalVolume:
    """A persistent volume that exists on one or some nodes only."""

    name: str
    claim: str
    """``NAMESPACE/NAME``."""
    hosts: frozenset[str]
    """What the nodes call themselves."""

    def __str__(self) -> str:
        return f"{self.name} ({self.claim}) on {', '.join(sorted(self.hosts))}"


@dataclass(frozen=True)
class Pod:
    """A pod that has not ended."""

    namespace: str
    name: str
    node: str
    labels: Mapping[str, str]
    owner: str
    """The kind of what creates it again; ``""`` where nothing does."""
    mirror: bool
    """Whether kubelet runs it from a file, so that the API cannot evict it."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget."""

    namespace: str
    name: str
    selector: Mapping[str, Any] | None
    allowed: int

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    def holds(self, pod: Pod) -> bool:
        """Whether the pod is one of those that it protects, and it lets none of them go now."""
        if self.allowed > 0 or self.selector is None or pod.namespace != self.namespace:
            return False
        equal = (self.selector.get("matchLabels") or {}).items()
        return all(pod.labels.get(key) == value for key, value in equal) and all(
            _fits(item, pod.labels) for item in self.selector.get("matchExpressions") or ()
        )


def _fits(expression: Mapping[str, Any], found: Mapping[str, str]) -> bool:
    """Kubernetes, Labels and Selectors: a requirement on a set."""
    operator, key, values = expression.get("operator"), str(expression.get("key")), expression.get("values") or ()
    if operator == "In":
        return found.get(key) in values
    if operator == "NotIn":
        return found.get(key) not in values
    return (key in found) is bool(operator == "Exists")


@dataclass(frozen=True)
class Membership:
    """What the API says of its nodes and of what they hold."""

    nodes: Mapping[str, str] = field(default_factory=dict)
    """All nodes, with the mark of one that leaves."""
    hostnames: Mapping[str, str] = field(default_factory=dict)
    """What each node calls itself where volumes name it."""
    volumes: tuple[LocalVolume, ...] = ()
    budgets: tuple[Budget, ...] = ()
    pods: tuple[Pod, ...] = ()
    """On the nodes whose pods were queried."""

    @classmethod
    def decode(cls, text: str) -> Membership:
        """From what the script printed; raises ValueError, KeyError, TypeError or AttributeError for anything else."""
        found = json.loads(text)
        return cls(
            nodes={item["name"]: item["leaving"] for item in found["nodes"]},
            hostnames={item["name"]: item["hostname"] for item in found["nodes"]},
            volumes=tuple(
                LocalVolume(item["name"], item["claim"], frozenset(item["hosts"]))
                for item in found["volumes"]
                if item["hosts"] and _holds_data(item)
            ),
            budgets=tuple(Budget(**item) for item in found["budgets"]),
            pods=tuple(
                Pod(**{key: value for key, value in item.items() if key != "ended"})
                for item in found["pods"]
                if not item["ended"]
            ),
        )

    def data_on(self, leaving: Collection[str]) -> tuple[LocalVolume, ...]:
        """The volumes with data that are lost with these nodes: no node that stays has them."""
        staying = {host for name, host in self.hostnames.items() if name not in leaving}
        going = {self.hostnames.get(name, name) for name in leaving}
        return tuple(item for item in self.volumes if item.hosts & going and not item.hosts & staying)

    def bare_on(self, leaving: Collection[str]) -> tuple[Pod, ...]:
        """The pods on these nodes that nothing creates again elsewhere."""
        return tuple(item for item in self.pods if item.node in leaving and not item.owner and not item.mirror)

    def left_on(self, node: str) -> tuple[Pod, ...]:
        """The pods that a drain has to remove from a node."""
        return tuple(item for item in self.pods if item.node == node and item.owner != "DaemonSet" and not item.mirror)

    def blocked_on(self, node: str) -> dict[str, tuple[Pod, ...]]:
        """The budgets that keep pods on a node, with these pods."""
        left = self.left_on(node)
        found = {str(budget): tuple(pod for pod in left if budget.holds(pod)) for budget in self.budgets}
        return {budget: pods for budget, pods in found.items() if pods}


def _holds_data(item: Mapping[str, Any]) -> bool:
    """A volume that its user gave up stays with its data only where it is to be retained."""
    return (item["phase"], item["policy"]) == ("Released", "Retain") or bool(item["phase"] == "Bound")


def refuse_losses(found: Membership, leaving: Collection[str], drained: Collection[str], *, data: bool) -> None:
    """Raise for what would be lost with the nodes: data, where its loss is not permitted, and pods of no controller."""
    problems, fixes = [], []
    volumes = () if data else found.data_on(leaving)
    if volumes:
        problems.append(f"these persistent volumes hold data and are on them alone: {'; '.join(map(str, volumes))}")
        fixes.append("save the data, then set kic_cluster_prune_data: true; or keep the nodes: kic_cluster_workers")
    pods = found.bare_on(drained)
    if pods:
        problems.append(f"nothing creates these pods again on another node: {', '.join(map(str, pods))}")
        words = "; ".join(f"kubectl --namespace={item.namespace} delete pod {item.name}" for item in pods)
        fixes.append(f"remove them: {words}")
    if problems:
        nodes = ", ".join(sorted(leaving))
        raise failure("prune_refused", nodes=nodes, problems="; and ".join(problems), fix="; and ".join(fixes))


@dataclass(frozen=True)
class Departure:
    """The way of nodes out of one cluster.

    :ivar seconds: how long a drain may take.
    """

    engine: Engine
    control_plane: str
    scripts: Scripts
    seconds: int

    def ask(self, nodes: Collection[str]) -> Membership:
        """What the API says; raises ``step_failed`` where it does not answer.

        :param nodes: whose pods are queried.
        """
        found = self._run("membership", str(_SECONDS), *sorted(nodes), limit=_SECONDS)
        if found.rc != 0:
            raise self._failed("membership", self.control_plane, found)
        try:
            return Membership.decode(found.out)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise failure("node_unreadable", node=self.control_plane, output=found.words) from None

    def cordon(self, node: str) -> None:
        """Let no further pods come to the node, and mark it as one that leaves."""
        self._done("cordon", node, self._run("cordon", node, str(_SECONDS), limit=_SECONDS))

    def uncordon(self, *nodes: str) -> None:
        """Have the nodes that are marked take pods again."""
        self._done("uncordon", ", ".join(nodes), self._run("uncordon", str(_SECONDS), *nodes, limit=_SECONDS))

    def delete(self, node: str) -> None:
        """Remove the node from the API."""
        words = ("delete", "node", node, "--ignore-not-found", "--wait=false", f"--request-timeout={_SECONDS}s")
        api = InNode(self.engine, self.control_plane)
        self._done("delete", node, api.ask(*words, timeout=_SECONDS + CLIENT_SECONDS))

    def drain(self, node: str) -> None:
        """Evict the pods of the node; where it does not succeed, the node takes pods again."""
        # What kubectl is given to end by itself is in the script.
        result = self._run("drain", node, str(self.seconds), limit=self.seconds + 30)
        if result.rc != 0:
            raise self._undrained(node, result, self._uncordoned(node))

    def _uncordoned(self, node: str) -> str:
        """What became of a node that could not be drained."""
        try:
            self.uncordon(node)
        except KicError:
            return f"It is still cordoned: kubectl uncordon {node}"
        return "It takes pods again"

    def _undrained(self, node: str, result: CommandResult, after: str) -> KicError:
        """Why a node could not be drained."""
        try:
            found = self.ask([node])
        except KicError:
            return self._failed("drain", node, result)
        blocked, left = found.blocked_on(node), found.left_on(node)
        asked: dict[str, Any] = {"node": node, "seconds": self.seconds, "after": after, "output": result.words}
        if blocked:
            budgets = "; ".join(f"{name}: {', '.join(map(str, pods))}" for name, pods in blocked.items())
            names = [name.split("/", 1) for name in blocked]
            see = "; ".join(f"kubectl --namespace={space} describe pdb {name}" for space, name in names)
            return failure("drain_blocked", budgets=budgets, see=see, **asked)
        if left:
            return failure("drain_incomplete", pods=", ".join(map(str, left)), **asked)
        return self._failed("drain", node, result)

    def _run(self, name: str, *arguments: str, limit: float) -> CommandResult:
        command = script(self.scripts, name, *arguments)
        return self.engine.exec(self.control_plane, command, check=False, timeout=limit + CLIENT_SECONDS)

    def _done(self, step: str, node: str, result: CommandResult) -> None:
        if result.rc != 0:
            raise self._failed(step, node, result)

    def _failed(self, step: str, node: str, result: CommandResult) -> KicError:
        plane = self.control_plane
        # The node may have a name that is not that of its container.
        reason = f"kubectl ended with exit code {result.rc}" + (f" for the node {node}" if node != plane else "")
        return failure(
            "step_failed", step=step, node=plane, reason=reason, engine=self.engine.name, output=result.words
        )
