# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run on a cluster did, or in check mode would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._core.operations import Operation
from .._core.plan import Plan
from .._kubernetes.bootstrap.renewal import renews_access
from .kinds import KUBERNETES, NETWORK, NODE
from .plan import ClusterPlan
from .spec import ClusterSpec

_BROUGHT = frozenset(("network_missing", "volume_missing", "node_missing"))
"""What a part of a cluster needs, in check mode, that another part brings: no earlier task has to."""


@dataclass(frozen=True)
class Done:
    """What an operation found and did, or in check mode would do."""

    plan: Plan
    value: Mapping[str, Any]
    """What is there now, as the module for the one thing describes it."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClusterOutcome:
    """What a run did: the plan, and each operation's part in the order of the plan."""

    plan: ClusterPlan
    done: tuple[tuple[Operation, Done], ...]
    more: tuple[str, ...] = ()
    """What a person has to know of the whole."""

    @property
    def actions(self) -> tuple[str, ...]:
        """What was changed, or in check mode would be."""
        return tuple(str(action) for _operation, item in self.done for action in item.plan.actions)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person has to know of each part, what was left as it is included."""
        texts: list[str] = [*self.more]
        for _operation, item in self.done:
            brought = [gap.warning for gap in item.plan.missing if gap.error.diagnosis.id in _BROUGHT]
            texts += [text for text in item.warnings if text not in brought]
        return tuple(dict.fromkeys(texts))

    @property
    def drift(self) -> list[dict[str, Any]]:
        """What differs from what was requested, with the thing that it is ``of``."""
        return [{"of": operation.subject, **vars(drift)} for operation, item in self.done for drift in item.plan.drift]

    def describe(self, spec: ClusterSpec) -> dict[str, Any]:
        """The cluster as it is now, or would be."""
        nodes, statuses = self.values(NODE), self.values(KUBERNETES)
        return {
            "name": spec.name,
            "control_plane": spec.control_plane,
            "control_planes": list(spec.planes),
            "load_balancer": nodes.get(spec.balancer.name, {}) if spec.balancer is not None else {},
            "network": self.values(NETWORK).get(spec.name, {}),
            "nodes": [nodes[name] for name in spec.nodes],
            "statuses": [statuses[name] for name in spec.nodes if statuses.get(name)],
            "created": list(self.plan.created),
            "surplus": list(self.plan.surplus),
            "pod_network": spec.pod_network,
            "renewed": self.renewed,
        }

    @property
    def renewed(self) -> bool:
        """Whether what the administrator's kubeconfigs hold is renewed."""
        steps = (
            action for operation, item in self.done if operation.kind == KUBERNETES for action in item.plan.actions
        )
        return renews_access((action.name, action.detail) for action in steps)

    def values(self, kind: str) -> dict[str, dict[str, Any]]:
        """Descriptions of the things of one kind, by name."""
        return {operation.name: dict(item.value) for operation, item in self.done if operation.kind == kind}

    @property
    def diff(self) -> list[dict[str, Any]]:
        """Ansible's diff, one part for each thing that changes."""
        return [
            {
                "before_header": operation.subject,
                "after_header": operation.subject,
                "before": dict(item.plan.before),
                "after": dict(item.plan.after),
            }
            for operation, item in self.done
            if item.plan.actions
        ]
