# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine on which the things of a cluster are brought into their state, and where the operations of a plan run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Callable

from .._command import Runner
from .._core import labels
from .._core.diagnosis import keep_done
from .._core.operations import PARALLEL, Operation, Performed, in_order, perform
from .._core.plan import Plan, Resource, converge
from .._engine.base import Engine
from .._engine.model import Container
from .._resources.boot import BootSpec, BootUnit, RestartPolicies
from .._resources.node import NodeResource
from .._resources.node_spec import NodeSpec, decode_asked
from .._state.lock import lock_of
from .outcome import ClusterOutcome, Done
from .plan import ClusterPlan


@dataclass
class Converging:
    """What all runs on a cluster have in common.

    :param report: told of the operations that run and how many are left, for the one who waits.
    """

    engine: Engine
    runner: Runner
    check_mode: bool
    report: Callable[[Collection[Operation], int], None] = lambda _running, _left: None

    def perform(self, plan: ClusterPlan, run: Callable[[Operation], Done]) -> Performed[Done]:
        """Have ``run`` do the operations of the plan."""
        # One after the other is enough for a forecast, and its order of actions is that of the plan.
        return perform(plan.operations, run, parallel=1 if self.check_mode else PARALLEL, report=self.report)

    def converge(self, resource: Resource[Any, Any]) -> Done:
        """Bring one thing into its state."""
        outcome = converge(resource, check_mode=self.check_mode, lock=lock_of(resource.lock_name))
        return Done(outcome.plan, outcome.value, outcome.warnings)

    def forecast(self, resource: Resource[Any, Any]) -> Plan:
        """What it would take to bring one thing into its state; nothing is changed."""
        return converge(resource, check_mode=True, lock=lock_of(resource.lock_name)).plan

    def node(self, spec: NodeSpec, going: frozenset[str] = frozenset(), *, ended: bool = False) -> Done:
        """Bring the container of a node into its state."""
        return self.converge(NodeResource(spec, self.engine, runner=self.runner, going=going, ended=ended))

    def starts(self, boot: BootSpec, found: Mapping[str, str], wanted: Mapping[str, str]) -> Done:
        """Have nodes start when the machine boots, or not: by their restart policies where the engine has those.

        :param found: the policies that they have.
        :param wanted: those that they are to have.
        """
        if self.engine.capabilities.restarts:
            return self.converge(RestartPolicies(boot, self.engine, found, wanted))
        return self.converge(BootUnit(boot, self.engine, self.runner))

    def outcome(self, plan: ClusterPlan, performed: Performed[Done]) -> ClusterOutcome:
        """What was done; raises the first failure, with what was done before and next to it."""
        ordered = [item for item in in_order(plan.operations) if item.key in performed.results]
        outcome = ClusterOutcome(plan, tuple((item, performed.results[item.key]) for item in ordered))
        if performed.error is None:
            return outcome
        if not self.check_mode:
            keep_done(performed.error, outcome.actions)
        raise performed.error


def created_with(nodes: Mapping[str, Container]) -> dict[str, str]:
    """The restart policies that nodes were created with."""
    return {name: str(decode_asked(item.labels.get(labels.SPEC, ""))["restart_policy"]) for name, item in nodes.items()}
