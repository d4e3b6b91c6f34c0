# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes on a node, by kubeadm: named steps of which only those are done that do not stand.

A step stands when what it leaves behind is there: files in the node, objects in the API. So an interrupted run goes on
where it was, and a part that was broken later is made again alone. All of kubeadm's phases that are missing are one run
of kubeadm, which costs less than one run each.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from ..._command import KILLED, TIMED_OUT
from ..._core import labels
from ..._core.diagnosis import KicError, failure
from ..._core.former import Action, Plan, Resource, known
from ..._core.plan import Plan as AnyPlan
from ..._core.plan import converge
from ..._engine.base import Engine
from ..._engine.model import Container
from ..._host.files import read
from ..._host.routes import routed
from ..._node import boot
from ..access.paths import ADMIN, API_PORT
from ..network import kic, ranges
from ..network.connect import PodNetwork, node_addresses
from . import configuration as conf
from . import reasons
from .alone import BUSY, Busy, alone, only_run, wait_for_other
from .kubeadm_plan import (
    LOOKED_FOR,
    STEPS,
    TAINT,
    KubeadmSpec,
    Observed,
    creates_node_object,
    hosts_lines,
    plan_initialized,
    plan_joined,
    plan_reset,
    unanswered,
)
from .look import RECORD, STATE, ApiNode, Seen, look
from .steps import Deadline, last_lines

PATCHES = f"{STATE}/patches"
CONFIGURATION = f"{STATE}/kubeadm.conf"
HOSTS = f"{STATE}/hosts"
RECORD_VERSION = 1

NEVER = ("preflight", "upload-certs", "kubelet-finalize", "show-join-command")
"""Phases that are not for us: preflight judges the host and pulls images; certificates and tokens stay in the node;
kubelet-finalize restart kubelet just when it is about to become Ready."""

FINALIZE = r"""
pem=/var/lib/kubelet/pki/kubelet-client-current.pem
if [ -s $pem ]; then
  sed -i "s|^\( *\)client-certificate-data:.*|\1client-certificate: $pem|; s|^\( *\)client-key-data:.*|\1client-key: $pem|" \
    /etc/kubernetes/kubelet.conf
fi
"""
"""What kubeadm's phase kubelet-finalize writes: at its next start kubelet takes the certificate that it renews itself.
The one that runs renews it in any case (kubeadm's phases/kubelet/kubelet.go; no file where rotation is off)."""

LIMITS = {
    "boot": 300.0,
    "hosts": 30.0,
    "kubeadm": 240.0,
    "manifests": 60.0,
    "pod-network": 60.0,
    "schedulable": 30.0,
    "labels": 60.0,
    "ready": 180.0,
}
"""Seconds that each step may take by itself; what is left of the total limits it too."""

_CLIENT_SECONDS = 60.0
"""How much longer the engine's client may take than what it runs inside, whose own limit is the one that tells why. On a
slow machine it takes seconds to begin."""


_TOO_SLOW = "Client.Timeout|TLS handshake timeout|in the time allotted|request timed out"
"""By which words of a failed apply it may be repeated (a pattern of grep -E): those of client-go and net/http, of the API that
ends a request after a minute (NewGenericServerResponse of apimachinery), and of etcd."""

_RANGE_SECONDS = 15.0
"""How long a join waits for the node's range. It goes on without one: kubelet registers, and the network comes after it."""
_POLL_SECONDS = 0.2

_LOOKS = 4
"""How often an API is asked again that was too slow for its manifests; each time it has as long as for all of a look."""


class KubeadmResource(Resource[Observed]):
    """Kubernetes on the node of a :class:`KubeadmSpec`."""

    kind = "Kubernetes on node"
    # Two runs on one node wait for each other inside the node (alone.py).
    lock_name = ""

    def __init__(self, spec: KubeadmSpec, engine: Engine, *, check_mode: bool) -> None:
        self.name = spec.node
        self._spec = spec
        self._engine = engine
        self._check_mode = check_mode
        self._deadline = Deadline(spec.timeout)
        self._observed: Observed | None = None
        self._node: ApiNode | None = None
        self.prerequisite = ""
        """In check mode: what an earlier task of the play would make and is not there yet."""
        self.complete = False
        """In check mode: the node does not run, and Kubernetes on it is as requested."""
        self.steps: list[str] = []
        self.warnings: tuple[str, ...] = ()
        self._pod_network = PodNetwork(
            engine,
            spec.shape.cluster,
            spec.control_plane or spec.node,
            # A worker's own specification need not have the ranges of its cluster.
            spec.shape.pod_subnet if spec.state == "initialized" else "",
            self._deadline.patience,
        )
        self._network: kic.State | None = None
        """What was written of the pod network in this run."""

    # Looking.
    def observe(self) -> Observed | None:
        if self._observed is not None:
            # Nobody else changes Kubernetes on this node meanwhile; a look costs half a second.
            return self._observed
        spec = self._spec
        container = self._engine.container(spec.node)
        if container is not None and not container.running and self._check_mode and self._stopped(container):
            return None
        if container is None or not container.running:
            if spec.state == "reset" or self._check_mode:
                self.prerequisite = f"the node {spec.node} " + (
                    "does not exist" if container is None else "does not run"
                )
                return None
            if container is None:
                raise failure("node_missing", node=spec.node)
            raise failure("node_not_running", node=spec.node, status=container.status, engine=self._engine.name)
        self._refuse_foreign(container)
        addresses = node_addresses(container)
        api_addresses = addresses if spec.control_plane in ("", spec.node) else self._control_plane_addresses()
        if not addresses or not api_addresses:
            raise failure("node_without_address", node=spec.node)
        if spec.state != "reset":
            self._refuse_other_versions(addresses)
        waits = not self._check_mode and spec.state != "reset"
        seen = self._boot(container) if waits else self._look()
        if waits and not self._complete(seen) and self._wait_for_other():
            seen = self._look()
        found = Observed(container, seen, tuple(api_addresses), tuple(addresses))
        if waits:
            found = self._settle(found)
        self._observed = self._answered(found)
        return self._observed

    def _stopped(self, container: Container) -> bool:
        """In check mode, of a node that does not run: whether a former run was through with it, so that a start is all."""
        self._refuse_foreign(container)
        try:
            record = json.loads(self._engine.read_file(container.id, RECORD) or b"{}")
        except ValueError:
            return False
        self.complete = isinstance(record, dict) and record.get("state") == self._spec.state
        return self.complete

    def _refuse_other_versions(self, addresses: Sequence[str]) -> None:
        """Raise where pods have an IP version that the node has no address of: no other node would reach them."""
        pods = self._spec.shape.pod_subnet
        have = {ipaddress.ip_address(item).version for item in addresses}
        for version in ranges.versions(pods):
            if version not in have:
                raise failure("node_without_ip_version", node=self._spec.node, version=version, pods=pods)

    def _boot(self, container: Container) -> Seen:
        """The first look at a node, which may have been started a moment ago: it waits until the system is up."""
        limit = self._deadline.limit("boot", LIMITS["boot"])
        boot.enter(self._engine, container, limit)
        with boot.noticing_death(self._engine, container, limit):
            seen = self._look(seconds=limit)
        boot.refuse_unready(self._engine, container, seen.boot, limit)
        return seen

    def _complete(self, seen: Seen) -> bool:
        """Whether nobody can be in the middle of making this node."""
        return bool(seen.record) and set(LOOKED_FOR if self._spec.state == "initialized" else ()) <= seen.stands

    def _wait_for_other(self) -> bool:
        limit = self._deadline.limit("other-run", LIMITS["kubeadm"])
        return wait_for_other(self._engine, self._spec.node, limit, _CLIENT_SECONDS)

    def _refuse_foreign(self, container: Container) -> None:
        owner = container.labels.get(labels.CLUSTER)
        if owner != self._spec.shape.cluster:
            raise failure(
                "other_cluster",
                kind="container",
                name=container.name,
                owner=owner or "(none)",
                cluster=self._spec.shape.cluster,
            )

    def _control_plane_addresses(self) -> list[str]:
        name = self._spec.control_plane
        container = self._engine.container(name)
        if container is None:
            raise failure("node_missing", node=name)
        # Another cluster's would take the node in without a word.
        self._refuse_foreign(container)
        return node_addresses(container)

    def _look(self, *, seconds: float = 0) -> Seen:
        spec = self._spec
        api_node = spec.control_plane if spec.state == "joined" else spec.node
        return look(
            self._engine,
            spec.node,
            api_node or spec.node,
            LOOKED_FOR,
            spec.manifests,
            seconds=seconds,
            patience=self._deadline.patience,
        )

    def _settle(self, found: Observed) -> Observed:
        """Of a node that is part of a cluster and was just started: wait until it answers, and is Ready or has a reason
        to be repaired. Waiting changes nothing."""
        seen = known(found.seen)
        if not self._complete(seen):
            return found
        if not seen.api:
            limit = self._deadline.limit("ready", LIMITS["ready"])
            self._wait_for_api(limit)
            found = Observed(found.container, self._look(), found.api_addresses, found.addresses)
            seen = known(found.seen)
        waits = self._spec.wait and seen.api and seen.node is not None and not seen.node.ready
        if waits and not self._draft(found).actions:
            self._ready()
            found = Observed(found.container, self._look(), found.api_addresses, found.addresses)
        return found

    def _answered(self, found: Observed) -> Observed:
        """Ask a slow API again, until it has said of all manifests of a cluster that stands what an apply would do."""
        looks = 0
        while (seen := found.seen) is not None and seen.record and (words := unanswered(seen)):
            if looks == _LOOKS:
                raise self._failed(
                    "api", f"the API did not say what {looks + 1} times was asked of its manifests", words
                )
            looks += 1
            found = Observed(found.container, self._look(), found.api_addresses, found.addresses)
        return found

    def _draft(self, found: Observed) -> Plan:
        return (plan_initialized if self._spec.state == "initialized" else plan_joined)(self._spec, found)

    # Planning.
    def plan(self, observed: Observed | None) -> Plan:
        spec = self._spec
        if spec.state == "reset":
            return plan_reset(observed)
        if self.complete:
            return Plan((), {"state": spec.state, "missing": []}, {"state": spec.state, "missing": []})
        if observed is None:
            names = ["hosts", *(step.name for step in STEPS)] if spec.state == "initialized" else ["hosts", "join"]
            names += [f"manifest-{item['name']}" for item in spec.manifests]
            names += ["labels"] if spec.labels else []
            actions = tuple(Action("run", "step", name) for name in names)
            return Plan(actions, {"state": "absent", "missing": names}, {"state": spec.state, "missing": []})
        return self._draft(observed)

    # Doing.
    def apply(self, plan: Plan) -> None:
        try:
            self._apply(plan)
        except Busy:
            # Another user's run, which this one does not share a name with, began since the look.
            self._wait_for_other()
            self._observed = None
            self.apply(self.plan(self.observe()))

    def _apply(self, plan: Plan) -> None:
        observed = known(self._observed)
        self.steps = [action.name for action in plan.actions]
        if self._spec.state == "reset":
            self._reset()
            return
        if "hosts" in self.steps:
            self._hosts(observed)
            self.did("run", "hosts")
        if self._spec.state == "joined":
            if "join" in self.steps:
                self._join(observed)
                self.did("run", "join")
        else:
            self._init(observed)
        self._record()
        if "pod-network" in self.steps or (self._connects and self._network is None and self._makes_member()):
            self._connect(self._deadline.limit("pod-network", LIMITS["pod-network"]))
            self.did("run", "pod-network")
        if "labels" in self.steps:
            self._label()
            self.did("run", "labels")
        self._ready()

    def _makes_member(self) -> bool:
        """Whether this run makes the node part of the cluster."""
        return "join" in self.steps or "kubelet" in self.steps

    def _label(self) -> None:
        limit = self._deadline.limit("labels", LIMITS["labels"])
        pairs = [f"{key}={value}" for key, value in sorted(self._spec.labels.items())]
        api_node = self._spec.control_plane if self._spec.state == "joined" else self._spec.node
        command = ["bash", "-c", _LABEL, "labels", str(int(limit)), self.name, *pairs]
        result = self._engine.exec(api_node, command, check=False, timeout=limit + _CLIENT_SECONDS)
        if result.rc != 0:
            raise self._failed("labels", f"kubectl label ended with exit code {result.rc}", result.words)

    def _hosts(self, observed: Observed) -> None:
        script = 'umask 022; mkdir -p "${0%/*}"; cat >"$0"; new=$(grep -vE "[[:space:]]$1$" /etc/hosts; cat "$0"); echo "$new" >/etc/hosts'
        self._run(
            "hosts",
            ["bash", "-c", script, HOSTS, self._spec.shape.endpoint.replace(".", r"\.")],
            stdin=hosts_lines(self._spec, observed.api_addresses).encode(),
        )

    def _init(self, observed: Observed) -> None:
        spec, seen = self._spec, known(observed.seen)
        missing = [step for step in STEPS if step.phases and step.name in self.steps]
        if missing:
            limit = self._deadline.limit("kubeadm", LIMITS["kubeadm"])
            skipped = [phase for step in STEPS if step not in missing for phase in step.phases]
            if not any(step.files or step.name == "mark-control-plane" for step in missing):
                # Nothing of the control plane itself is touched.
                skipped.append("wait-control-plane")
            documents = conf.init_documents(
                spec.shape,
                seen.facts,
                node=spec.node,
                addresses=ranges.of_node(observed.addresses, spec.shape.pod_subnet),
                sans=certificate_names(spec, observed),
                skip_phases=(*NEVER, *skipped),
                patches=PATCHES if spec.patches else None,
                seconds=limit,
                user=spec.user,
            )
            self._write_patches()
            if "etcd" in self.steps and "upload-config" in self.steps:
                self._connect_first(observed)
            # The configuration stays for those who look into the node; what it holds is no secret, who reads it is root.
            script = 'umask 077; cat >"$0"; exec kubeadm init --config "$0" --skip-token-print 2>&1'
            try:
                self._kubeadm(["bash", "-c", script, CONFIGURATION], conf.render(documents), limit, "init")
            except KicError as error:
                for name in finished_steps(error.diagnosis.output):
                    self.did("run", name)
                raise
            for step in missing:
                self.did("run", step.name)
        manifests = [item for item in spec.manifests if f"manifest-{item['name']}" in self.steps]
        if manifests:
            self._apply_manifests(manifests)
        if "schedulable" in self.steps:
            taint = f"{TAINT}-" if spec.shape.schedulable else TAINT
            self._run("schedulable", ["kubectl", f"--kubeconfig={ADMIN}", "taint", "node", spec.node, taint])
            self.did("run", "schedulable")
        if "kubelet-finalize" in self.steps:
            self._run("kubelet-finalize", ["bash", "-c", FINALIZE])
            self.did("run", "kubelet-finalize")

    def _connect_first(self, observed: Observed) -> None:
        """Of a new cluster: write the pod network before kubelet starts, so that the node is Ready when it registers.

        Where that fails it is written once more when the node has registered, and the reason is reported.
        """
        spec = self._spec
        found = ranges.of_first_node(spec.shape.pod_subnet, spec.user)
        addresses = ranges.of_node(observed.addresses, spec.shape.pod_subnet)
        if self._connects and known(observed.seen).network.word == "none" and found and addresses:
            own = kic.Member(spec.node, tuple(addresses), tuple(found))
            self._write_network(kic.files_of(own, [own]))

    def _create_node_object(self) -> None:
        """Create the joining node in the API, so that it has its range before kubelet starts."""
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._spec.node}}
        self._engine.exec(
            self._spec.control_plane,
            ["kubectl", f"--kubeconfig={ADMIN}", "create", "--filename=-"],
            action=f"creating the node {self._spec.node} in the API",
            stdin=json.dumps(node).encode(),
            timeout=self._deadline.limit("join", 30.0),
            # It may be there, of an interrupted run. Without it kubelet creates it.
            check=False,
        )

    def _connect(self, limit: float) -> None:
        """Write the pod network of the node as soon as the API has its range."""
        end = time.monotonic() + limit
        while True:
            want = self._pod_network.wanted(self._pod_network.registered())
            files = want.files(self._spec.node)
            if files is not None or time.monotonic() >= end:
                break
            time.sleep(_POLL_SECONDS)
        if files is not None:
            self._write_network(files)

    def _write_network(self, files: kic.Files) -> None:
        refused = self._pod_network.write(self._spec.node, files)
        self.warnings += refused
        self._network = kic.State("differs" if refused else "fits", kic.digest(files))

    @property
    def _connects(self) -> bool:
        """Whether the pod network is ours, and the node has the program for it."""
        return self._spec.pod_network and self._observed is not None and bool(known(self._observed.seen).network.word)

    def _write_patches(self) -> None:
        if not self._spec.patches:
            return
        script = (
            'umask 077; rm -rf "$0"; mkdir -p "$0"; input=$(cat); jq -r "keys[]" <<<"$input" | while read -r name; do'
            ' jq -r --arg name "$name" ".[\\$name]" <<<"$input" >"$0/$name"; done'
        )
        self._run("patches", ["bash", "-c", script, PATCHES], stdin=json.dumps(self._spec.patches).encode())

    def _apply_manifests(self, manifests: Sequence[Mapping[str, Any]]) -> None:
        # Each in a call of its own: the failure of one names that one.
        limit = self._deadline.limit("manifests", LIMITS["manifests"])
        script = r"""
set -uo pipefail
input=$(cat)
status=0
for name in $(jq -r '.[].name' <<<"$input"); do
  path=$(jq -r --arg name "$name" '.[] | select(.name == $name) | .path // empty' <<<"$input")
  if [ -n "$path" ] && [ ! -s "$path" ]; then continue; fi
  validate=$(jq -r --arg name "$name" '.[] | select(.name == $name) | .validate != false' <<<"$input")
  # A slow API takes longer to describe its types for the first time than kubectl or the API waits; asked again, it has them.
  until said=$(jq -r --arg name "$name" '.[] | select(.name == $name) | .content // empty' <<<"$input" |
    kubectl --kubeconfig=/etc/kubernetes/admin.conf apply --validate="$validate" --openapi-patch=false \
      -f "${path:--}" 2>&1); do
    if [ "$SECONDS" -lt "$1" ] && grep -qE "$2" <<<"$said"; then continue; fi
    echo "manifest-$name: $said"
    status=1
    break
  done
done
exit $status
"""
        result = self._engine.exec(
            self._spec.node,
            # No other try begins when half of the limit is over.
            ["bash", "-c", script, "manifests", str(int(limit / 2)), _TOO_SLOW],
            action=f"applying manifests in {self._spec.node}",
            stdin=json.dumps(list(manifests)).encode(),
            timeout=limit,
            check=False,
        )
        failed = set(re.findall(r"^(manifest-[^:\s]+): ", result.out, re.MULTILINE))
        if result.rc == 0 or failed:
            # The script goes on after one that the API refuses.
            for name in sorted({f"manifest-{item['name']}" for item in manifests} - failed):
                self.did("run", name)
        if result.rc != 0:
            step = result.out.partition(":")[0] if result.out.startswith("manifest-") else "manifests"
            raise self._failed(step, f"kubectl apply ended with exit code {result.rc}", result.words)

    def _join(self, observed: Observed) -> None:
        spec = self._spec
        limit = self._deadline.limit("kubeadm", LIMITS["kubeadm"])
        early = self._connects and creates_node_object(spec)
        if early:
            self._create_node_object()
        made = self._engine.exec(
            spec.control_plane,
            ["kubeadm", f"--kubeconfig={ADMIN}", "token", "create", "--ttl=10m", "--print-join-command"],
            action=f"making a token in {spec.control_plane}",
            timeout=limit,
        )
        # "kubeadm join lab.kic.internal:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:…"
        match = re.search(r"--token (\S+) --discovery-token-ca-cert-hash (\S+)", made.out)
        if match is None:
            raise self._failed("join", "kubeadm made no token", made.err)
        token, ca_hash = match.groups()
        documents = conf.join_documents(
            node=spec.node,
            addresses=ranges.of_node(observed.addresses, spec.shape.pod_subnet),
            endpoint=spec.shape.endpoint,
            token=token,
            ca_hash=ca_hash,
            patches=PATCHES if spec.patches else None,
            seconds=limit,
            user=spec.user,
        )
        self._write_patches()
        if early:
            self._connect(min(limit, _RANGE_SECONDS))
        try:
            # What an interrupted join left behind; kubeadm refuses to join over it only in the preflight that we skip.
            script = "rm -f /etc/kubernetes/bootstrap-kubelet.conf; exec kubeadm join --config /dev/stdin 2>&1"
            self._kubeadm(["bash", "-c", script], conf.render(documents), limit, "join", secret=token)
        finally:
            # It ends by itself in ten minutes; a failure to end it now must not hide the first cause.
            self._engine.exec(
                spec.control_plane,
                ["kubeadm", f"--kubeconfig={ADMIN}", "token", "delete", token.partition(".")[0]],
                check=False,
                timeout=30,
            )

    def _kubeadm(self, command: Sequence[str], stdin: str, limit: float, verb: str, secret: str = "") -> None:
        # Ended from outside, the engine's client would be gone and kubeadm would go on inside: the limit is kept there.
        result = self._engine.exec(
            self._spec.node,
            alone(["timeout", "--kill-after=5", f"{limit:.1f}", *command]),
            action=f"kubeadm {verb} in {self._spec.node}",
            stdin=stdin.encode(),
            timeout=limit + _CLIENT_SECONDS,
            check=False,
        )
        if result.rc == 0:
            return
        if result.rc == BUSY:
            raise Busy
        said, reason = result.words, f"kubeadm {verb} ended with exit code {result.rc}"
        if result.rc in (TIMED_OUT, *KILLED):
            reason = f"it did not end within {limit:.0f} seconds"
        if secret:
            said = said.replace(secret, "(token)")
        raise self._failed(step_of(said) or verb, reason, said, logs=True)

    def _ready(self) -> None:
        limit = self._deadline.limit("ready", LIMITS["ready"])
        script = r"""
end=$((SECONDS + $2))
while :; do
  said=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf wait --for="$3" "node/$1" --timeout=$((end - SECONDS))s 2>&1) && break
  # A node that has not registered yet and an API that starts again pass; the limit ends what does not.
  if [ $SECONDS -ge $end ]; then echo "$said"; exit 1; fi
  sleep 0.2
done
kubectl --kubeconfig=/etc/kubernetes/admin.conf get "node/$1" -o json
"""
        api_node = self._spec.control_plane if self._spec.state == "joined" else self._spec.node
        result = self._engine.exec(
            api_node,
            [
                "bash",
                "-c",
                script,
                "ready",
                self.name,
                str(int(limit)),
                "condition=Ready" if self._spec.wait else "create",
            ],
            check=False,
            timeout=limit + _CLIENT_SECONDS,
        )
        if result.rc != 0:
            raise self._failed(
                "ready",
                f"the node {'was not Ready' if self._spec.wait else 'did not register'} within {limit:g} seconds",
                result.words,
                logs=True,
            )
        found = json.loads(result.out)
        self._node = ApiNode(
            name=self.name,
            ready=self._spec.wait or kic.decode([found])[0].ready,
            why="",
            version=found["status"]["nodeInfo"]["kubeletVersion"],
            address=next((a["address"] for a in found["status"]["addresses"] if a["type"] == "InternalIP"), ""),
            labels=found["metadata"].get("labels", {}),
            taints=(),
            pod_cidrs=tuple(found["spec"].get("podCIDRs", ())),
        )

    def _wait_for_api(self, limit: float) -> None:
        api_node = self._spec.control_plane if self._spec.state == "joined" else self._spec.node
        result = self._engine.exec(
            api_node,
            ["bash", "-c", _WAIT_API, "wait", str(int(limit))],
            check=False,
            timeout=limit + _CLIENT_SECONDS,
        )
        if result.rc != 0:
            raise self._failed("api", f"nothing within {limit:g} seconds", result.words, logs=True)

    def _record(self) -> None:
        content = {"version": RECORD_VERSION, "state": self._spec.state, "asked": self._spec.asked}
        script = 'umask 077; cat >"$0.new" && mv "$0.new" "$0"'
        self._run("record", ["bash", "-c", script, RECORD], stdin=json.dumps(content, sort_keys=True).encode())

    def _reset(self) -> None:
        script = (
            f"kubeadm reset --force 2>&1 || exit 1; [ ! -x {kic.PROGRAM} ] || {kic.PROGRAM} remove; "
            f"rm -rf {RECORD} {CONFIGURATION} {PATCHES} {HOSTS}; exit 0"
        )
        limit = self._deadline.limit("reset", LIMITS["kubeadm"])
        result = self._engine.exec(self.name, alone(["bash", "-c", script]), check=False, timeout=limit)
        if result.rc == BUSY:
            raise Busy
        if result.rc != 0:
            raise self._failed("reset", f"kubeadm reset ended with exit code {result.rc}", result.words)

    def _run(self, step: str, command: Sequence[str], stdin: bytes | None = None) -> None:
        limit = self._deadline.limit(step, LIMITS.get(step, 30.0))
        result = self._engine.exec(
            self.name, command, action=f"step {step} in {self.name}", stdin=stdin, timeout=limit, check=False
        )
        if result.rc != 0:
            raise self._failed(step, f"{command[0]} ended with exit code {result.rc}", result.words)

    def _failed(self, step: str, reason: str, output: str, *, logs: bool = False) -> KicError:
        if logs:
            output = f"{output}\n{last_lines(self._engine, self.name)}"
        known_reason = reasons.reason(output, step=step, node=self.name, engine=self._engine.name)
        if known_reason is not None:
            return known_reason
        return failure("step_failed", step=step, node=self.name, reason=reason, engine=self._engine.name, output=output)

    def listed(self) -> tuple[kic.State, tuple[kic.Registered, ...] | None]:
        """What this run knows of the pod network in the node, and of the nodes of the cluster."""
        seen = self._observed.seen if self._observed is not None else None
        if seen is None:
            return kic.State(), None
        return self._network or seen.network, None if self.steps else seen.nodes or None

    def describe(self, observed: Observed | None, plan: Plan) -> dict[str, Any]:
        if self._spec.state == "reset" or observed is None:
            return {}
        node = self._node or (observed.seen.node if observed.seen else None)
        return node.as_dict() if node else {}


@dataclass(frozen=True)
class Converged:
    """What a run found and did."""

    plan: AnyPlan
    node: dict[str, Any]
    warnings: tuple[str, ...]
    network: kic.State = field(default_factory=kic.State)
    """What the node has of the pod network; its word is empty where nobody has seen it."""
    nodes: tuple[kic.Registered, ...] | None = None
    """The nodes that the API listed, where it listed all and the run changed nothing."""

    def result(self, *, diff: bool) -> dict[str, Any]:
        """The module's result."""
        plan = self.plan
        found: dict[str, Any] = {
            "changed": plan.changed,
            "actions": [str(action) for action in plan.actions],
            "steps": [action.name for action in plan.actions],
            "drift": [vars(item) for item in plan.drift],
            "node_status": self.node,
        }
        if diff:
            found["diff"] = {"before": dict(plan.before), "after": dict(plan.after)}
        return found


def converge_kubeadm(spec: KubeadmSpec, engine: Engine, *, check_mode: bool) -> Converged:
    """Bring Kubernetes on a node into its state. Nothing is allocated, so the host's lock is not needed; two runs on one
    node wait for each other."""
    resource = KubeadmResource(spec, engine, check_mode=check_mode)
    with nullcontext() if check_mode else only_run(engine, spec.node, spec.timeout):
        outcome = converge(resource, check_mode=check_mode)
    warnings = [*outcome.plan.warnings, *resource.warnings]
    if resource.prerequisite and spec.state != "reset":
        warnings.append(f"{resource.prerequisite}; what would be done is said as if it were new.")
    if outcome.plan.drift:
        warnings.append(
            f"{spec.node} was made with other settings, which kubeadm does not change later: "
            + "; ".join(str(item) for item in outcome.plan.drift)
            + ". They take effect in a new cluster."
        )
    if any(action.name == "certificates" for action in outcome.plan.actions):
        warnings += _hidden(spec)
    return Converged(outcome.plan, outcome.value, tuple(warnings), *resource.listed())


def connect_others(spec: KubeadmSpec, engine: Engine, done: Converged, *, check_mode: bool) -> tuple[str, ...]:
    """Tell the other nodes of the cluster of one that became part of it; what a person has to know of it.

    A node at which nothing changed is no news for the others.
    """
    if check_mode or not done.plan.changed or spec.state == "reset" or not spec.pod_network:
        return ()
    network = PodNetwork(engine, spec.shape.cluster, spec.control_plane, "")
    return network.connect({spec.node: done.network}, None, check_mode=False).warnings


def _hidden(spec: KubeadmSpec) -> tuple[str, ...]:
    """Of a new cluster: what of this machine's surroundings its pods will not reach."""
    # systemd-resolved names itself in the first, and its servers in the second.
    texts = [read(path) or "" for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")]
    asked = {"pod_subnet": spec.shape.pod_subnet, "service_subnet": spec.shape.service_subnet}
    return ranges.hidden(asked, routed(), ranges.resolvers("\n".join(texts)))


def certificate_names(spec: KubeadmSpec, observed: Observed) -> list[str]:
    """Every name and address by which the API may be reached."""
    names = [spec.shape.endpoint, spec.node, *observed.addresses, "127.0.0.1", "localhost", *spec.shape.api_sans]
    bindings = ((observed.container.raw.get("HostConfig") or {}).get("PortBindings") or {}).get(f"{API_PORT}/tcp")
    for binding in bindings or ():
        address = binding.get("HostIp") or ""
        # 0.0.0.0 is no name of anything.
        if address and not ipaddress.ip_address(address).is_unspecified:
            names.append(address)
    return list(dict.fromkeys(names))


def step_of(said: str) -> str:
    """The step that kubeadm was in when it ended, from the phase it last named: ``[wait-control-plane] …``."""
    found = re.findall(r"^\[([a-z][a-z-]*)(?:/[a-z-]+)?\] ", said, re.MULTILINE)
    # What it checks there is part of a wait.
    return "wait-control-plane" if found and found[-1].endswith("-check") else found[-1] if found else ""


def finished_steps(said: str) -> list[str]:
    """The steps that kubeadm had done when it ended: a phase is over when the next one says something.

    The addons are one phase of two; each says when it is there ("[addons] Applied essential addon: CoreDNS").
    """
    named = list(dict.fromkeys(re.findall(r"^\[([a-z][a-z-]*)(?:/[a-z-]+)?\] ", said, re.MULTILINE)))
    over = set(named[:-1])
    over |= {f"addon/{name.lower()}" for name in re.findall(r"Applied essential addon: (\S+)", said)}
    return [step.name for step in STEPS if step.phases and set(step.phases) <= over]


_LABEL = r"""
end=$((SECONDS + $1))
node=$2
shift 2
# kubelet registers its node some time after the join.
until said=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf label node "$node" --overwrite "$@" 2>&1); do
  if [ $SECONDS -ge $end ]; then echo "$said"; exit 1; fi
  sleep 0.3
done
"""

_WAIT_API = r"""
end=$((SECONDS + $1))
until said=$(kubectl --kubeconfig=/etc/kubernetes/admin.conf get --raw /readyz 2>&1); do
  if [ $SECONDS -ge $end ]; then echo "$said"; exit 1; fi
  sleep 0.3
done
"""
