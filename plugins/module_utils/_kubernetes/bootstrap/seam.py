# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operations on Kubernetes of a node work on: the node, and the time that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..._core.diagnosis import KicError, failure
from ..._engine.base import Engine
from ..._node.scripts import script
from ..access.api import Api, InNode
from ..access.paths import API_PORT
from ..network.connect import PodNetwork
from . import reasons
from .kubeadm_plan import LOOKED_FOR, KubeadmSpec, unanswered
from .look import Seen, look
from .steps import CLIENT_SECONDS, Deadline, last_lines, silent_parts

NEVER = ("preflight", "upload-certs", "kubelet-finalize", "show-join-command")
"""Phases that are not for us: preflight judges the host and pulls images; certificates and tokens stay in the node;
kubelet-finalize restart kubelet just when it is about to become Ready."""

LIMITS = {
    "boot": 300.0,
    "hosts": 30.0,
    "kubeadm": 240.0,
    "manifests": 60.0,
    "pod-network": 60.0,
    # Each program of a control plane may take five minutes to come up (kubeadm's constants: UpgradeManifestTimeout).
    "upgrade": 600.0,
    "schedulable": 30.0,
    "labels": 60.0,
    "ready": 180.0,
}
"""Seconds that each step may take by itself; what is left of the total limits it too."""

_LOOKS = 4
"""How often an API is asked again that was too slow for its manifests; each time it has as long as for all of a look."""


@dataclass(frozen=True)
class KubeadmSeam:
    """What the operations work on: a node and the time that is left."""

    spec: KubeadmSpec
    engine: Engine
    deadline: Deadline

    @property
    def api_node(self) -> str:
        """The node in which the API is asked."""
        return self.spec.control_plane or self.spec.node

    @property
    def api(self) -> Api:
        """The API of the cluster."""
        return InNode(self.engine, self.api_node)

    @property
    def pod_network(self) -> PodNetwork:
        """That of the cluster."""
        # A specification need not have the ranges of its cluster: a worker's has none, and what was changed later is drift.
        return PodNetwork(self.engine, self.spec.shape.cluster, self.api_node, "", self.deadline.patience)

    def limit(self, step: str, own: float | None = None) -> float:
        """Seconds that a step may take."""
        return self.deadline.limit(step, own or LIMITS.get(step, 30.0))

    def run(self, step: str, command: Sequence[str], stdin: bytes | None = None) -> None:
        """Run a command in the node."""
        action = f"step {step} in {self.spec.node}"
        result = self.engine.exec(
            self.spec.node, command, action=action, stdin=stdin, timeout=self.limit(step), check=False
        )
        if result.rc != 0:
            raise self.failed(step, f"{command[0]} ended with exit code {result.rc}", result.words)

    def failed(self, step: str, reason: str, output: str, *, logs: bool = False) -> KicError:
        """The error of a step, by its known reason where it has one."""
        node, engine = self.spec.node, self.engine.name
        if logs:
            output = f"{output}\n{last_lines(self.engine, node)}"
        known = reasons.reason(output, step=step, node=node, engine=engine)
        if known is not None:
            return known
        if logs:
            # Not before: words that kubelet says of itself have another meaning where a program of a pod says them.
            output = "\n".join(filter(None, (output, silent_parts(self.engine, node, self.spec.scripts))))
        return failure("step_failed", step=step, node=node, reason=reason, engine=engine, output=output)

    def look(self, *, seconds: float = 0) -> Seen:
        """Look at the node."""
        spec, patience = self.spec, self.deadline.patience
        api_node = self.api_node if spec.state == "joined" else spec.node
        files, manifests, scripts = LOOKED_FOR, spec.manifests, spec.scripts
        return look(
            self.engine,
            spec.node,
            api_node,
            files,
            manifests,
            seconds=seconds,
            patience=patience,
            scripts=scripts,
            name=spec.registered,
            member=spec.is_plane and spec.node != api_node,
        )

    def answered(self, seen: Seen) -> Seen:
        """Ask a slow API again, until it has said of all manifests of a complete cluster what an apply would do.

        One that answers nothing at all is what the plan waits for.
        """
        looks = 0
        while seen.record and seen.api and (said := unanswered(seen)):
            if looks == _LOOKS:
                reason = f"the API was asked {looks + 1} times whether its manifests are applied, and did not say"
                raise self.failed("api", reason, said)
            looks += 1
            self.await_api()
            seen = self.look()
        return seen

    def await_api(self, *, own: bool = False) -> None:
        """Wait until the API says that it is ready: until then it also answers at once, that it knows no role (403).

        :param own: whether that of this control plane is meant, and not the one by which it joined.
        """
        limit = self.limit("ready")
        server = (f"--server=https://127.0.0.1:{API_PORT}",) if own and self.spec.node != self.api_node else ()
        command = script(self.spec.scripts, "wait-api", str(int(limit)), *server)
        result = self.engine.exec(
            self.spec.node if own else self.api_node, command, check=False, timeout=limit + CLIENT_SECONDS
        )
        if result.rc != 0:
            raise self.failed("api", f"nothing within {limit:g} seconds", result.words, logs=True)
