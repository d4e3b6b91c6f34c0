# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on Kubernetes of a node: what each does in it. What they need of the plan is bound in them.

All of kubeadm's phases that are missing are one run of kubeadm, and all manifests one of kubectl, which costs less than one
run each. So the operation that does them is followed by those that report each: a failure says how far it came.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Callable

from ..._command import KILLED, TIMED_OUT
from ..._core.diagnosis import KicError, failure, keep_done
from ..._core.operations import Again, Operation
from ..._node import boot
from ..._node.scripts import script
from ..access.paths import ADMIN, API_PORT
from ..network import kic, ranges
from . import adoption, members
from . import configuration as conf
from .adoption import SETTINGS
from .alone import BUSY, alone, wait_for_other
from .kubeadm_plan import (
    AUTHORITIES,
    STEPS,
    TAINT,
    Booting,
    KubeadmSpec,
    Observed,
    Written,
    balancer_configuration,
    creates_node_object,
    hosts_lines,
)
from .look import BALANCER, RECORD, RENEWED, STATE, ApiNode, Seen
from .seam import LIMITS, NEVER, KubeadmSeam
from .steps import CLIENT_SECONDS

PKI = "/etc/kubernetes/pki"
PATCHES = f"{STATE}/patches"
CONFIGURATION = f"{STATE}/kubeadm.conf"
HOSTS = f"{STATE}/hosts"
RECORD_VERSION = 1

_TOO_SLOW = "Client.Timeout|TLS handshake timeout|in the time allotted|request timed out"
"""By which words of a failed apply it may be repeated (a pattern of grep -E): those of client-go and net/http, of the API that
ends a request after a minute (NewGenericServerResponse of apimachinery), and of etcd."""

_RANGE_SECONDS = 15.0
"""How long a join waits for the node's range. It goes on without one: kubelet registers, and the network comes after it."""
_POLL_SECONDS = 0.2


# Waiting.
def wait_for_boot(booting: Booting) -> Operation:
    """Wait until the system of a node is up that may have been started a moment ago; what there is to do shows then."""
    return waiting("boot", booting.container.name, partial(_boot, booting))


def waiting(what: str, name: str, run: Callable[..., Any], **more: Any) -> Operation:
    """An operation that changes nothing."""
    return Operation("wait for", what, name, changes=False, run=run, **more)


def _boot(booting: Booting, seam: KubeadmSeam) -> None:
    engine, container, limit = seam.engine, booting.container, seam.limit("boot")
    boot.enter(engine, container, limit)
    with boot.noticing_death(engine, container, limit):
        seen = seam.look(seconds=limit)
    boot.refuse_unready(engine, container, seen.boot, limit)
    found = Observed(container, seam.answered(seen), booting.api_addresses, booting.addresses, planes=booting.planes)
    raise Again(found)


def wait_for_other_run(node: str, seen: Seen) -> Operation:
    """Wait until no kubeadm runs in the node, as one that an ended run has left."""
    return waiting("kubeadm in", node, partial(_other_run, seen.kubeadm))


def _other_run(seen: str, seam: KubeadmSeam) -> None:
    if _waited_for_other(seam, seen):
        raise Again


def _waited_for_other(seam: KubeadmSeam, seen: str = "") -> bool:
    limit = seam.limit("other-run", LIMITS["kubeadm"])
    return wait_for_other(seam.spec.scripts, seam.engine, seam.spec.node, limit, CLIENT_SECONDS, seen)


def _overtaken(seam: KubeadmSeam) -> Again:
    """Another user's run, which this one does not share a name with, began since the look."""
    _waited_for_other(seam)
    return Again()


def wait_for_api(node: str) -> Operation:
    """Wait until the API of a complete cluster answers, which may have been started a moment ago."""
    return waiting("API of", node, _api)


def _api(seam: KubeadmSeam) -> None:
    seam.await_api()
    raise Again


def ready_key(node: str) -> str:
    """The key of :func:`wait_for_ready`."""
    return Operation("wait for", "node", node).key


def wait_for_ready(observed: Observed) -> Operation:
    """Wait until the node is Ready, or only until it has registered; the result is what is there then."""
    return waiting("node", observed.container.name, partial(_ready, observed))


def _ready(observed: Observed, seam: KubeadmSeam) -> Observed:
    spec, limit = seam.spec, seam.limit("ready")
    condition = "condition=Ready" if spec.wait else "create"
    command = script(spec.scripts, "ready", spec.registered, str(int(limit)), condition, str(observed.since))
    result = seam.engine.exec(seam.api_node, command, check=False, timeout=limit + CLIENT_SECONDS)
    if result.rc != 0:
        missed = "was not Ready" if spec.wait else "did not register"
        raise seam.failed("ready", f"the node {missed} within {limit:g} seconds", result.words, logs=True)
    try:
        node = _registered(json.loads(result.out), spec)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise failure("node_unreadable", node=seam.api_node, output=result.words) from None
    return replace(observed, seen=replace(observed.seen, node=node))


def _registered(found: Mapping[str, Any], spec: KubeadmSpec) -> ApiNode:
    """The node as the API has it, which may have been created before its kubelet: then it has no addresses yet."""
    status = found.get("status") or {}
    return ApiNode(
        name=spec.registered,
        ready=spec.wait or kic.decode([found])[0].ready,
        why=_why(status.get("conditions") or ()),
        version=(status.get("nodeInfo") or {}).get("kubeletVersion") or "",
        address=next((a["address"] for a in status.get("addresses") or () if a["type"] == "InternalIP"), ""),
        labels=found["metadata"].get("labels") or {},
        taints=(),
        pod_cidrs=tuple((found.get("spec") or {}).get("podCIDRs") or ()),
    )


def _why(conditions: Sequence[Mapping[str, Any]]) -> str:
    """kubelet's words for its being Ready or not."""
    found = next((item for item in conditions if item["type"] == "Ready"), {"message": "kubelet has not reported yet"})
    return str(found.get("message") or "")


# Steps.
def initialize(spec: KubeadmSpec, observed: Observed, steps: Sequence[str]) -> tuple[Operation, ...]:
    """Make a control plane, or what of it is missing, in the order in which it is done."""
    phases = [step for step in STEPS if step.phases and step.name in steps]
    manifests = [item for item in spec.manifests if f"manifest-{item['name']}" in steps]
    files = _first_files(spec, observed) if {"etcd", "upload-config"} <= {*steps} else None
    operations = [_hosts(spec, observed)] if "hosts" in steps else []
    if "upgrade" in steps:
        operations.append(Operation("run", "step", "upgrade", run=partial(_upgrade, observed)))
    if phases:
        names = [step.name for step in phases]
        operations += _group("kubeadm init", names, partial(_init, observed, names, files))
    if "tokens" in steps:
        operations.append(_step("tokens", script(spec.scripts, "tokens-renew", str(int(CLIENT_SECONDS)))))
    if manifests:
        names = [f"manifest-{item['name']}" for item in manifests]
        operations += _group("manifests", names, partial(_apply_manifests, manifests))
    if "schedulable" in steps:
        taint = f"{TAINT}-" if spec.shape.schedulable else TAINT
        operations.append(Operation("run", "step", "schedulable", run=partial(_taint, taint)))
    if "kubelet-finalize" in steps:
        operations.append(_step("kubelet-finalize", script(spec.scripts, "finalize")))
    # With the data of another cluster comes its network.
    new = files is None and not spec.takes_over and "kubelet" in steps
    return (*operations, *_member(spec, observed, steps, new))


def join(spec: KubeadmSpec, observed: Observed, steps: Sequence[str]) -> tuple[Operation, ...]:
    """Make a worker, or what of it is missing, in the order in which it is done."""
    operations = [_hosts(spec, observed)] if "hosts" in steps else []
    if "reset" in steps:
        # Not the lines for /etc/hosts, which have just been written.
        operations.append(
            Operation("run", "step", "reset", run=partial(_reset, (RECORD, RENEWED, CONFIGURATION, PATCHES)))
        )
    by_data = bool(spec.node_name) and not spec.is_plane and "reset" not in steps and SETTINGS in observed.seen.stands
    if "join" in steps:
        run = adoption.join_by_data if by_data else _join
        operations.append(Operation("run", "step", "join", run=partial(run, observed)))
    if "upgrade" in steps:
        operations.append(Operation("run", "step", "upgrade", run=partial(_upgrade, observed)))
    return (*operations, *_member(spec, observed, steps, "join" in steps and not by_data))


def _member(spec: KubeadmSpec, observed: Observed, steps: Sequence[str], new: bool) -> tuple[Operation, ...]:
    """What ends the making of each node."""
    release = observed.seen.facts.version
    if "join" not in steps:
        # The control plane of a node whose container is still to follow.
        release = max(release, observed.seen.kubernetes, key=conf.version_of)
    operations = [replace(_recorded(spec, release), changes="record" in steps)]
    connect = Operation("run", "step", "pod-network", run=_connect)
    if "pod-network" in steps:
        operations.append(connect)
    elif new and connects(spec, observed):
        operations.append(replace(connect, changes=False, takes=("run step join",), run=_connect_late))
    given = [name for name in ("labels", "taints") if name in steps]
    if given:
        operations += _group("labels and taints", given, partial(_declare, given))
    if "uncordon" in steps:
        operations.append(Operation("run", "step", "uncordon", run=_uncordon))
    return (*operations, wait_for_ready(observed))


def reset() -> Operation:
    """Undo all of Kubernetes in the node."""
    return Operation(
        "run", "step", "reset", run=partial(_reset, (RECORD, RENEWED, CONFIGURATION, PATCHES, HOSTS, BALANCER))
    )


def _step(name: str, command: Sequence[str], stdin: bytes | None = None) -> Operation:
    return Operation("run", "step", name, run=lambda seam: seam.run(name, command, stdin))


def _group(what: str, steps: Sequence[str], run: Callable[[KubeadmSeam], Any]) -> tuple[Operation, ...]:
    """An operation that does several steps, and those that report each."""
    return (
        Operation("run", "steps", what, changes=False, run=run),
        *(Operation("run", "step", name) for name in steps),
    )


def _keep_steps(error: KicError, names: Sequence[str]) -> None:
    """Have the error say which of several steps were done before it."""
    keep_done(error, tuple(str(Operation("run", "step", name)) for name in names))


def _hosts(spec: KubeadmSpec, observed: Observed) -> Operation:
    found = {"hosts": hosts_lines(spec, observed), "balancer": balancer_configuration(spec, observed)}
    command = script(spec.scripts, "hosts", HOSTS, spec.shape.endpoint.replace(".", r"\."), BALANCER)
    return _step("hosts", command, json.dumps(found).encode())


def _recorded(spec: KubeadmSpec, release: str) -> Operation:
    content = {"version": RECORD_VERSION, "state": spec.record_state, "asked": spec.asked, "kubernetes": release}
    return _step("record", script(spec.scripts, "record", RECORD), json.dumps(content, sort_keys=True).encode())


def _upgrade(observed: Observed, seam: KubeadmSeam) -> None:
    """Upgrade what an older kubeadm made, in a node whose container is of the newer release."""
    upgrade_node(seam, observed.seen.facts.version, restarts=True)


def upgrade_node(seam: KubeadmSeam, release: str, *, program: str = "", restarts: bool = False) -> None:
    """Have kubeadm upgrade the control plane, or the settings of kubelet, in the node.

    :param release: such as v1.35.4, which is the program's own.
    :param program: a kubeadm in the node; "" is that of its image.
    :param restarts: whether kubelet is of the release too, and reads its new settings.
    """
    spec = seam.spec
    plane = "" if not spec.is_plane else "first" if spec.node == spec.control_plane else "further"
    patches = PATCHES if spec.patches else ""
    _write_patches(seam)
    command = script(
        spec.scripts, "upgrade", program, release, plane, patches, "yes" if restarts else "", spec.registered
    )
    run_alone(command, "", seam.limit("upgrade"), "kubeadm upgrade", seam, "upgrade")


def _init(observed: Observed, names: Sequence[str], files: kic.Files | None, seam: KubeadmSeam) -> Written | None:
    spec, missing = seam.spec, [step for step in STEPS if step.name in names]
    limit = seam.limit("kubeadm")
    skipped = [phase for step in STEPS if step not in missing for phase in step.phases]
    if not any(step.files or step.name == "mark-control-plane" for step in missing):
        # Nothing of the control plane itself is touched.
        skipped.append("wait-control-plane")
    documents = conf.init_documents(
        spec.shape,
        observed.seen.facts,
        node=spec.registered,
        addresses=ranges.of_node(observed.addresses, spec.shape.pod_subnet),
        sans=certificate_names(spec, observed),
        skip_phases=(*NEVER, *skipped),
        patches=PATCHES if spec.patches else None,
        seconds=limit,
        user=spec.user,
    )
    _write_patches(seam)
    if spec.takes_over:
        adoption.take_over_data(observed, seam)
        if connects(spec, observed):
            adoption.move_pod_network(observed, seam)
    written = _write_network(files, seam) if files is not None else None
    try:
        _kubeadm(
            script(spec.scripts, "init", CONFIGURATION, *_checked(spec, documents)),
            conf.render(documents),
            limit,
            "init",
            seam,
        )
    except KicError as error:
        _keep_steps(error, [name for name in names if name in finished_steps(error.diagnosis.output)])
        raise
    return written


def _apply_manifests(manifests: Sequence[Mapping[str, Any]], seam: KubeadmSeam) -> None:
    limit = seam.limit("manifests")
    result = seam.engine.exec(
        seam.spec.node,
        # No other try begins when half of the limit is over.
        script(seam.spec.scripts, "apply", str(int(limit / 2)), _TOO_SLOW),
        action=f"applying manifests in {seam.spec.node}",
        stdin=json.dumps(list(manifests)).encode(),
        timeout=limit,
        check=False,
    )
    if result.rc == 0:
        return
    failed = set(re.findall(r"^(manifest-[^:\s]+): ", result.out, re.MULTILINE))
    step = result.out.partition(":")[0] if result.out.startswith("manifest-") else "manifests"
    error = seam.failed(step, f"kubectl apply ended with exit code {result.rc}", result.words)
    if failed:
        # The script goes on after one that the API refuses.
        names = [f"manifest-{item['name']}" for item in manifests]
        _keep_steps(error, [name for name in names if name not in failed])
    raise error


def _join(observed: Observed, seam: KubeadmSeam) -> Written | None:
    """Make the node a member of the cluster; what was written of the pod network before."""
    spec, limit = seam.spec, seam.limit("kubeadm")
    if spec.is_plane:
        members.remove(seam.engine, spec.control_plane, spec.registered, observed.addresses, spec.scripts)
        _share_authorities(seam)
    # A kubelet that was forgotten and that has just started registers its node by itself, until the reset ends it.
    if observed.seen.stands if observed.seen.node is None else observed.seen.node.ready:
        _mark_unready(seam)
    early = connects(spec, observed) and creates_node_object(spec)
    if early:
        _create_node_object(seam)
    token, ca_hash = _token(limit, seam)
    documents = conf.join_documents(
        node=spec.registered,
        addresses=ranges.of_node(observed.addresses, spec.shape.pod_subnet),
        endpoint=spec.shape.endpoint,
        token=token,
        ca_hash=ca_hash,
        patches=PATCHES if spec.patches else None,
        seconds=limit,
        user=spec.user,
        control_plane=spec.is_plane,
        schedulable=spec.shape.schedulable,
    )
    _write_patches(seam)
    written = _connect_within(min(limit, _RANGE_SECONDS), seam) if early else None
    try:
        _kubeadm(
            script(spec.scripts, "join", *_checked(spec, documents)),
            conf.render(documents),
            limit,
            "join",
            seam,
            secret=token,
        )
    finally:
        # It ends by itself in ten minutes; a failure to end it now must not hide the first cause.
        delete = ["kubeadm", f"--kubeconfig={ADMIN}", "token", "delete", token.partition(".")[0]]
        with suppress(Exception):
            seam.engine.exec(spec.control_plane, delete, check=False, timeout=30)
    return written


def _share_authorities(seam: KubeadmSeam) -> None:
    """Give a control plane the keys with which everything in the cluster is signed. They go from node to node by standard
    input and output, and nowhere else."""
    spec, engine, limit = seam.spec, seam.engine, seam.limit("join")
    names = [path.removeprefix(f"{PKI}/") for path in AUTHORITIES]
    given = engine.exec(spec.control_plane, ["tar", "-C", PKI, "-cf", "-", *names], timeout=limit, check=False)
    if given.rc != 0:
        # Not what it printed: that may be a key.
        raise seam.failed("join", f"the keys of {spec.control_plane} cannot be read", given.err)
    taken = script(spec.scripts, "authorities", PKI)
    result = engine.exec(spec.node, taken, stdin=given.stdout, timeout=limit, check=False)
    if result.rc != 0:
        raise seam.failed("join", f"the cluster's keys cannot be written in {spec.node}", result.err)


def _token(limit: float, seam: KubeadmSeam) -> tuple[str, str]:
    plane = seam.spec.control_plane
    command = ["kubeadm", f"--kubeconfig={ADMIN}", "token", "create", "--ttl=10m", "--print-join-command"]
    made = seam.engine.exec(plane, command, action=f"making a token in {plane}", timeout=limit)
    # "kubeadm join lab.kic.internal:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:…"
    match = re.search(r"--token (\S+) --discovery-token-ca-cert-hash (\S+)", made.out)
    if match is None:
        raise seam.failed("join", "kubeadm made no token", made.err)
    return match.group(1), match.group(2)


def _mark_unready(seam: KubeadmSeam) -> None:
    """Have the API say of a node that joins once more that it is not Ready, as it still does for 40 seconds after its container
    was lost: kubeadm refuses a name that is Ready. Labels, range and pods of the node stay."""
    seam.run("join", ["systemctl", "stop", "kubelet"])
    condition = {"type": "Ready", "status": "Unknown", "reason": "Rejoins", "message": "The node joins once more."}
    patch = json.dumps({"status": {"conditions": [condition]}})
    words = ("patch", "node", seam.spec.registered, "--subresource=status", "--type=strategic", f"--patch={patch}")
    result = seam.api.ask(*words, timeout=seam.limit("join"))
    if result.rc != 0 and "(NotFound)" not in result.err:
        raise seam.failed("join", f"kubectl patch ended with exit code {result.rc}", result.words)


def _create_node_object(seam: KubeadmSeam) -> None:
    """Create the joining node in the API, so that it has its range, labels and taints before kubelet starts."""
    spec = seam.spec
    metadata: dict[str, Any] = {"name": spec.registered, "labels": dict(spec.labels)}
    if spec.labels or spec.taints:
        ours = json.dumps({"labels": sorted(spec.labels), "taints": sorted(spec.taints)})
        metadata["annotations"] = {"nodeforge.kic/declared": ours}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": _taints(spec)}}
    # It may be there, of an interrupted run. Without it kubelet creates it.
    action, limit = f"creating the node {seam.spec.registered} in the API", seam.limit("join")
    seam.api.ask("create", "--filename=-", action=action, stdin=json.dumps(node).encode(), timeout=limit)


def connects(spec: KubeadmSpec, observed: Observed) -> bool:
    """Whether the pod network is ours, and the node has the program for it."""
    return spec.pod_network and bool(observed.seen.network.word)


def _first_files(spec: KubeadmSpec, observed: Observed) -> kic.Files | None:
    """Of a new cluster: the pod network that is written before kubelet starts, so that the node is Ready when it registers."""
    found = ranges.of_first_node(spec.shape.pod_subnet, spec.user)
    addresses = ranges.of_node(observed.addresses, spec.shape.pod_subnet)
    if spec.takes_over:
        # Its range is that of the data.
        return None
    if not connects(spec, observed) or observed.seen.network.word != "none" or not found or not addresses:
        return None
    own = kic.Member(spec.registered, tuple(addresses), tuple(found))
    return kic.files_of(own, [own])


def _connect(seam: KubeadmSeam) -> Written | None:
    return _connect_within(seam.limit("pod-network"), seam)


def _connect_late(seam: KubeadmSeam, early: Written | None) -> Written | None:
    """Of a node that is new and had no range before its kubelet started."""
    return early or _connect(seam)


def _connect_within(limit: float, seam: KubeadmSeam) -> Written | None:
    """Write the pod network of the node as soon as the API has its range."""
    end, network = time.monotonic() + limit, seam.pod_network
    while True:
        files = network.files(seam.spec.registered, network.registered())
        if files is not None:
            return _write_network(files, seam)
        if time.monotonic() >= end:
            return None
        time.sleep(_POLL_SECONDS)


def _write_network(files: kic.Files, seam: KubeadmSeam) -> Written:
    refused = seam.pod_network.write(seam.spec.node, files)
    return Written(kic.State("differs" if refused else "fits", kic.digest(files)), refused)


def _write_patches(seam: KubeadmSeam) -> None:
    if not seam.spec.patches:
        return
    command = script(seam.spec.scripts, "patches", PATCHES)
    seam.run("patches", command, stdin=json.dumps(seam.spec.patches).encode())


def _taint(taint: str, seam: KubeadmSeam) -> None:
    limit = seam.limit("schedulable")
    result = seam.api.ask("taint", "node", seam.spec.registered, taint, timeout=limit)
    if result.rc != 0:
        raise seam.failed("schedulable", f"kubectl taint ended with exit code {result.rc}", result.words)


def _declare(names: Sequence[str], seam: KubeadmSeam) -> None:
    limit = seam.limit("labels")
    stdin = json.dumps({"labels": dict(sorted(seam.spec.labels.items())), "taints": _taints(seam.spec)}).encode()
    command = script(seam.spec.scripts, "declare", str(int(limit)), seam.spec.registered)
    result = seam.engine.exec(seam.api_node, command, check=False, stdin=stdin, timeout=limit + CLIENT_SECONDS)
    if result.rc != 0:
        raise seam.failed(names[0], f"kubectl patch ended with exit code {result.rc}", result.words)


def _taints(spec: KubeadmSpec) -> list[dict[str, str]]:
    """The taints as the API has them."""
    pairs = ((key.rpartition(":"), value) for key, value in sorted(spec.taints.items()))
    return [
        {"key": key, "effect": effect, **({"value": value} if value else {})} for (key, _colon, effect), value in pairs
    ]


def _uncordon(seam: KubeadmSeam) -> None:
    """Have a node take pods again that an interrupted run was to take out of the cluster."""
    limit = seam.limit("uncordon")
    command = script(seam.spec.scripts, "uncordon", str(int(limit)), seam.spec.registered)
    result = seam.engine.exec(seam.api_node, command, check=False, timeout=limit + CLIENT_SECONDS)
    if result.rc != 0:
        raise seam.failed("uncordon", f"kubectl ended with exit code {result.rc}", result.words)


def _checked(spec: KubeadmSpec, documents: Mapping[str, conf.Document]) -> tuple[str, ...]:
    """Has the script refuse fields that kubeadm does not know, where the user wrote some."""
    return ("checked",) if {*documents} & {*spec.user} else ()


def _kubeadm(command: Sequence[str], stdin: str, limit: float, verb: str, seam: KubeadmSeam, secret: str = "") -> None:
    run_alone(command, stdin, limit, f"kubeadm {verb}", seam, verb, secret)


def run_alone(
    command: Sequence[str],
    stdin: str,
    limit: float,
    what: str,
    seam: KubeadmSeam,
    step: str = "",
    secret: str = "",
) -> None:
    """Run a command in the node next to which no kubeadm runs; it fails as the step that it names in what it says."""
    # Ended from outside, the engine's client would be gone and kubeadm would go on inside: the limit is kept there.
    result = seam.engine.exec(
        seam.spec.node,
        alone(seam.spec.scripts, ["timeout", "--kill-after=5", f"{limit:.1f}", *command]),
        action=f"{what} in {seam.spec.node}",
        stdin=stdin.encode(),
        timeout=limit + CLIENT_SECONDS,
        check=False,
    )
    if result.rc == 0:
        return
    if result.rc == BUSY:
        raise _overtaken(seam)
    said, reason = result.words, f"{what} ended with exit code {result.rc}"
    if result.rc in (TIMED_OUT, *KILLED):
        reason = f"it did not end within {limit:.0f} seconds"
    if secret:
        said = said.replace(secret, "(token)")
    raise seam.failed(step_of(said) or step or what, reason, said, logs=True)


def _reset(files: Sequence[str], seam: KubeadmSeam) -> None:
    scripts = seam.spec.scripts
    command = alone(scripts, script(scripts, "reset", kic.PROGRAM, *files))
    limit = seam.limit("reset", LIMITS["kubeadm"])
    result = seam.engine.exec(seam.spec.node, command, check=False, timeout=limit)
    if result.rc == BUSY:
        raise _overtaken(seam)
    if result.rc != 0:
        raise seam.failed("reset", f"kubeadm reset ended with exit code {result.rc}", result.words)


def certificate_names(spec: KubeadmSpec, observed: Observed) -> list[str]:
    """Every name and address by which the API may be reached."""
    names = [
        spec.shape.endpoint,
        spec.registered,
        spec.node,
        *observed.addresses,
        "127.0.0.1",
        "localhost",
        *spec.shape.api_sans,
    ]
    bindings = ((observed.container.raw.get("HostConfig") or {}).get("PortBindings") or {}).get(f"{API_PORT}/tcp")
    for binding in bindings or ():
        address = binding.get("HostIp") or ""
        # An unspecified address (0.0.0.0) names nothing.
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
