# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to do for a node, and how it differs from what was requested. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._core import checks, labels, replaced
from .._core.diagnosis import failure
from .._core.drift import label_drift, refuse_foreign, refuse_removal
from .._core.operations import Operation
from .._core.plan import Drift, Missing, Plan
from .._engine.model import Container, Image, Limits, NewContainer
from .._engine.proxy import extended
from .._host.machine import HostLimits
from .._node.boot import Boot
from . import node_run
from .node_choice import ROOTLESS_PIDS, Around, allocate
from .node_spec import LIMIT_OPTIONS, NodeSpec, decode_asked, decode_published, same_limit
from .replacement import RESTARTING, Replacement, is_up

HIDDEN = "(hidden)"
"""What stands for a value of the environment, which may be a secret."""

REMOVE_SECONDS = 3
"""How long one that is to go may take to stop: enough for programs that listen to SIGTERM to write what they hold."""

_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
"""The name of a volume that its container was to have no name for (podman-volume(1), docker volume create)."""

NO_LIMITS = Limits()


@dataclass(frozen=True)
class ObservedNode:
    """A node as it is."""

    container: Container
    limits: Mapping[str, Any] | None = None
    """Of its control group, as the kernel has them; None while it does not run."""
    boot: Boot | None = None
    """None where it was not asked."""
    frozen: Mapping[str, Any] | None = None
    """The limits that the kernel has of one that is paused; None of others."""
    lost: bool = False
    """Whether its process has ended without the engine knowing."""
    aside: Container | None = None
    """Its old container, under its other name, where a run that was to replace it was interrupted."""
    recorded: Limits = NO_LIMITS
    """Limits that were changed after it was created, for its next start."""

    @property
    def effective(self) -> Limits:
        """The limits that hold: the kernel's while it runs, else those of its next start."""
        if self.limits is not None:
            # A controller that is not there limits nothing.
            return Limits(**{key: self.limits.get(key) for key in LIMIT_OPTIONS})
        changed = {key: value for key, value in vars(self.recorded).items() if value is not None}
        return replace(self.container.limits, **changed)

    @property
    def only_aside(self) -> bool:
        """Whether the old container is all that there is: ``container`` is that one too, under the node's name."""
        return self.aside is not None and self.aside.id == self.container.id

    @property
    def old(self) -> Container:
        """What a replacement would replace: of two, the new one only if it is up."""
        if self.aside is not None and (self.only_aside or not is_up(self.container)):
            return self.aside
        return self.container

    def goal(self, state: str) -> str:
        """``state`` as it was meant: a node that ran before it was to be replaced is not left stopped by ``present``."""
        if self.aside is None or not (self.only_aside or self.container.status == "created"):
            return state
        ran = is_up(self.aside) or replaced.ran(self.aside.name)
        return "started" if state == "present" and ran else state


@dataclass(frozen=True)
class NodeSurvey:
    """What a change of a node needs to know."""

    host: HostLimits
    image: Image | None = None
    """What the image's name that is requested means now."""
    updatable: frozenset[str] = frozenset()
    """Limits that the engine can change of a node that is there."""
    around: Around | None = None
    """Where one is created; else None."""
    interrupted: ObservedNode | None = None
    """Where there is no node: the old container that a run which was interrupted was to replace."""
    freezes: bool = True
    """Whether the engine can pause it."""


def creates(spec: NodeSpec, observed: ObservedNode | None, image: Image | None, updatable: frozenset[str]) -> bool:
    """Whether a container is created, so that it has to be known what is around it."""
    if not spec.described or spec.state == "absent" or (spec.state == "paused" and observed is None):
        return False
    return observed is None or (spec.replace and bool(find_drift(spec, observed, image, updatable)))


def plan_node(
    spec: NodeSpec,
    observed: ObservedNode | None,
    survey: NodeSurvey,
    engine: str,
    going: frozenset[str] = frozenset(),
) -> Plan:
    """What there is to do; ``going`` are the volumes that are removed with the node."""
    observed = observed or survey.interrupted
    if spec.state == "absent":
        return _plan_absent(spec, observed, engine, going)
    _refuse_limits(spec, survey.host)
    if observed is None:
        return _plan_missing(spec, survey, engine)
    container = observed.container
    refuse_foreign(
        "container", spec.name, engine, container.labels, spec.cluster or container.labels.get(labels.CLUSTER)
    )
    drift = find_drift(spec, observed, survey.image, survey.updatable) if spec.described else ()
    if spec.state == "paused":
        _refuse_pause(spec.name, observed, survey, engine)
    if drift and spec.replace:
        return _plan_replaced(spec, observed, drift, survey, engine)
    if observed.lost and observed.goal(spec.state) in ("started", "restarted", "paused"):
        # Nothing but a new container has a process again: podman neither starts nor stops this one.
        raise failure("process_lost", node=spec.name, pid=container.pid, engine=engine)
    return _plan_state(spec, observed, drift, survey.updatable)


def _refuse_pause(name: str, observed: ObservedNode, survey: NodeSurvey, engine: str) -> None:
    """Raise for what cannot be frozen. One that does not run is not started for it: it holds nothing that a pause would keep;
    unless a run that was to replace it was interrupted, and it ran before."""
    container, aside = observed.container, observed.aside
    if not survey.freezes:
        raise failure("pause_needs_freezer", engine=engine)
    replaced_it = aside is not None and (is_up(aside) or replaced.ran(aside.name))
    if not is_up(container) and not replaced_it:
        raise failure("pause_not_running", nodes=f"{name} ({container.status})")


def _plan_absent(spec: NodeSpec, observed: ObservedNode | None, engine: str, going: frozenset[str]) -> Plan:
    if observed is None:
        return Plan()
    name, container = spec.name, observed.container
    refuse_removal("container", name, engine, container.labels, spec.cluster)
    seconds = REMOVE_SECONDS if _outlives(container, going) else 0
    operations = [node_run.record(name, _cluster(spec, observed), {}), node_run.remove(name, container, seconds)]
    if observed.aside is not None:
        operations.append(node_run.remove_beside(name, "old node", observed.aside, seconds))
    before = _before(replace(observed, recorded=NO_LIMITS))
    return Plan(tuple(operations), before, {})


def _outlives(container: Container, going: frozenset[str]) -> bool:
    """Whether something that the node's programs write to is still there when the node is gone, so that they have to end well."""
    mounts = container.raw.get("Mounts")
    if mounts is None:
        return True
    written = [item for item in mounts if item.get("RW", True) and not str(item.get("Source", "")).startswith("/dev/")]
    # A volume without a name, which has an id in its place, goes with its container.
    return any(
        item.get("Type") != "volume" or not (_ANONYMOUS.fullmatch(item.get("Name", "")) or item["Name"] in going)
        for item in written
        if item.get("Type") != "tmpfs"
    )


def _plan_missing(spec: NodeSpec, survey: NodeSurvey, engine: str) -> Plan:
    if not spec.described or spec.state == "paused":
        warning = f"There is no node {spec.name} yet; it is taken as one that will be made."
        return Plan(missing=(Missing(failure("node_missing", node=spec.name), warning),))
    new, missing = allocate(spec, _around(survey), survey.host, None, engine=engine)
    starts = spec.state in ("started", "restarted")
    operations = (
        node_run.create(new, keeps=False),
        node_run.record(spec.name, spec.cluster, {}),
        *_first_start(spec, new, starts, _refusals(spec, new)),
    )
    return Plan(operations, {}, _described(spec, new, "running" if starts else "created"), missing=missing)


def _around(survey: NodeSurvey) -> Around:
    if survey.around is None:
        raise AssertionError("creates() decides for the survey and for the plan")
    return survey.around


def _first_start(spec: NodeSpec, new: NewContainer, starts: bool, refusals: node_run.Refusals) -> tuple[Operation, ...]:
    """From the created container to a system that is up."""
    files = node_run.copy_files(spec, spec.name)
    return (*files, node_run.first_start(new, refusals), node_run.wait(spec, spec.name, new)) if starts else files


def _refusals(spec: NodeSpec, new: NewContainer) -> node_run.Refusals:
    """What may be chosen again: what the user named may not."""
    addresses: frozenset[Any] = frozenset()
    ports: frozenset[Any] = frozenset()
    if spec.ip is None and spec.ip6 is None and new.ip is not None:
        addresses = frozenset(checks.address("ip", item) for item in (new.ip, new.ip6) if item)
    if any(item.host_port is None for item in spec.publish):
        ports = frozenset(item.host_port for item in new.publish if item.host_port is not None)
    return {"address_taken": addresses, "port_taken": ports}


def _plan_replaced(
    spec: NodeSpec, observed: ObservedNode, drift: tuple[Drift, ...], survey: NodeSurvey, engine: str
) -> Plan:
    """A new container in the place of the old one, which runs on until all else is ready."""
    name, container, aside, old = spec.name, observed.container, observed.aside, observed.old
    new, missing = allocate(spec, _around(survey), survey.host, old, engine=engine)
    goal = observed.goal(spec.state)
    starts = goal in ("started", "restarted", "paused") or (goal == "present" and container.running)
    last = (node_run.pause(name, name),) if goal == "paused" else ()
    before: list[Operation] = []
    if aside is not None and old is container:
        before = [node_run.discard(aside, stops=True, exclusive=True)]
    elif aside is not None and not observed.only_aside:
        before = [node_run.remove_beside(name, "unfinished node", container, 0, exclusive=True)]
    replacement = Replacement(name, old)
    # From here on the new one is the node; what an older run recorded of the old one's limits goes.
    done = node_run.record(name, _cluster(spec, observed), {}, commits=True)
    operations = (
        *before,
        node_run.remove_old(name, old, "; ".join(str(item) for item in drift), needs=done.key),
        node_run.set_aside(replacement),
        node_run.create(replacement.marked(new), keeps=True),
        node_run.stop_old(replacement),
        *_first_start(spec, new, starts, {}),
        done,
        *last,
    )
    after = _described(spec, new, "paused" if last else "running" if starts else "created")
    changed = {item.field for item in drift}
    if changed & {f"env.{key}" for key in spec.env}:
        after["env"] = [f"{key} (changed)" if f"env.{key}" in changed else key for key in spec.env]
    return Plan(operations, _before(observed), after, missing=missing)


def _plan_state(spec: NodeSpec, observed: ObservedNode, drift: tuple[Drift, ...], updatable: frozenset[str]) -> Plan:
    """What brings a node that is there into its state, with its limits."""
    name, container, aside = spec.name, observed.container, observed.aside
    actions, state, starts = _state_operations(spec, observed.goal(spec.state), container)
    wanted = _wanted_limits(spec, observed.recorded, updatable)
    runs = state == "running" or spec.state == "paused"
    now = _limits_now(observed, starts=any(item.verb == "start" for item in actions), runs=runs)
    changes = {key: value for key, value in wanted.items() if not same_limit(value, getattr(now, key))}
    limits, checked = _limit_operations(spec, observed, wanted, changes, runs=runs, acts=bool(actions))
    if spec.state == "paused" and container.status == "paused" and changes:
        # kubelet is told of them, for which it has to run.
        actions = [node_run.resume(name, container.id)]
    operations = [*actions, *limits]
    kept = aside.name if aside is not None and not observed.only_aside else ""
    if starts or _still_starts(spec, observed, state):
        operations.append(node_run.wait(spec, container.id, kept="" if starts else kept))
    operations += checked
    if spec.state == "paused" and (changes or container.status != "paused"):
        operations.append(node_run.pause(name, container.id))
    if observed.only_aside:
        operations.insert(0, node_run.restore(name, container))
    elif aside is not None and is_up(container):
        operations.append(node_run.discard(aside, stops=True))
    elif aside is not None:
        # The interrupted run did not see it up: until it is, the old one can still be restored.
        first = node_run.stop_old(Replacement(name, aside), restores=True)
        operations = [first, *operations, node_run.discard(aside, stops=False)]
    before = _before(observed)
    after = {**before, "state": state, **{LIMIT_OPTIONS[key]: value for key, value in wanted.items()}}
    return Plan(tuple(operations), before, after, drift)


def _limits_now(observed: ObservedNode, *, starts: bool, runs: bool) -> Limits:
    """The limits that it has after it is brought into its state: a start sets what the container was made with; a node that
    goes on running has what it has."""
    if starts:
        return observed.container.limits
    if runs and observed.frozen is not None:
        return replace(observed, limits=observed.frozen).effective
    return observed.effective


def _still_starts(spec: NodeSpec, observed: ObservedNode, state: str) -> bool:
    """Whether a node that goes on running, as an interrupted run left it, is not up yet and is to be waited for."""
    pending = observed.boot is not None and not observed.boot.ready
    return pending and spec.wait and spec.state == "started" and state == "running"


def _state_operations(spec: NodeSpec, state: str, container: Container) -> tuple[list[Operation], str, bool]:
    """What brings the container into its state, that state, and whether something starts or goes on."""
    name, paused, runs = spec.name, container.status == "paused", container.running
    stop = node_run.stop_node(name, container)
    # An earlier run was interrupted before its first start, maybe before it had its files.
    files = node_run.copy_files(spec, container.id) if container.status == "created" else ()
    start = [*files, node_run.start(name, container.id)]
    if state in ("started", "restarted"):
        if runs:
            return ([stop, *start] if state == "restarted" else []), "running", state == "restarted"
        if paused and state == "started":
            return [node_run.resume(name, container.id)], "running", True
        return ([stop] if paused else []) + start, "running", True
    if state == "paused":
        # The pause itself is the last of all operations.
        up = is_up(container)
        return ([] if up else start), "paused", not up
    if state == "stopped" and (runs or paused or container.status == RESTARTING):
        return [stop], "exited", False
    return [], container.status, False


def _limit_operations(
    spec: NodeSpec,
    observed: ObservedNode,
    wanted: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    runs: bool,
    acts: bool,
) -> tuple[list[Operation], list[Operation]]:
    """What changes the limits and what records them, and, for the end, what sees that the kernel has them."""
    name, cluster, container = spec.name, _cluster(spec, observed), observed.container
    if changes and runs:
        update, check = node_run.update(name, container, changes, wanted, cluster)
        return [update], [check]
    kept = node_run.kept_limits(wanted, container.limits)
    if changes:
        detail = ", ".join(f"{LIMIT_OPTIONS[key]} = {value}" for key, value in changes.items())
        record = node_run.record(name, cluster, kept)
        return [replace(record, verb="update", detail=f"{detail}, from its next start on", changes=True)], []
    recorded = {key: value for key, value in vars(observed.recorded).items() if value is not None}
    return ([node_run.record(name, cluster, kept)] if acts and kept != recorded else []), []


def _cluster(spec: NodeSpec, observed: ObservedNode) -> str | None:
    return spec.cluster if spec.cluster is not None else observed.container.labels.get(labels.CLUSTER)


def _wanted_limits(spec: NodeSpec, recorded: Limits, updatable: frozenset[str]) -> dict[str, Any]:
    source = spec.limits if spec.described else recorded
    return {key: value for key, value in vars(source).items() if value is not None and key in updatable}


def find_drift(
    spec: NodeSpec, observed: ObservedNode, image: Image | None, updatable: frozenset[str]
) -> tuple[Drift, ...]:
    """What was requested and is otherwise, and cannot be changed in place."""
    container = observed.container
    before, drift = decode_asked(container.labels.get(labels.SPEC, "")), []
    for key, value in spec.asked.items():
        if key == "image":
            drift += _image_drift(value, before["image"], image, container)
        elif key == "env":
            drift += _env_drift(spec, before["env"], container)
        elif value != before[key]:
            drift.append(Drift(key, value, before[key]))
    for option, asked, label in (("ip", spec.ip, labels.ADDRESS), ("ip6", spec.ip6, labels.ADDRESS6)):
        if asked is not None and container.labels.get(label) != str(asked):
            drift.append(Drift(option, str(asked), container.labels.get(label)))
    drift += _publish_drift(spec, container)
    drift += label_drift(spec.labels, container.labels)
    for key, option in LIMIT_OPTIONS.items():
        asked, found = getattr(spec.limits, key), getattr(observed.effective, key)
        if key == "pids" and asked is None and found == ROOTLESS_PIDS:
            continue
        if not same_limit(asked, found) and (asked is None or key not in updatable):
            drift.append(Drift(option, asked, found))
    return tuple(drift)


def _image_drift(asked: str, before: str | None, image: Image | None, container: Container) -> list[Drift]:
    if image is None:
        # Not in the store any more: by its name alone nothing more can be told.
        return [Drift("image", asked, before)] if asked != before else []
    if image.id == container.image_id:
        return []
    return [Drift("image", f"{asked} ({image.id[:12]})", f"{before} ({container.image_id[:12]})")]


def _env_drift(spec: NodeSpec, before: list[str], container: Container) -> list[Drift]:
    drift = [Drift(f"env.{key}", HIDDEN, None) for key in spec.env if key not in before]
    drift += [Drift(f"env.{key}", None, HIDDEN) for key in before if key not in spec.env]
    for key, value in spec.env.items():
        if key in before and not extended(key, value, container.environment.get(key)):
            drift.append(Drift(f"env.{key}", HIDDEN, f"{HIDDEN}, another value"))
    return drift


def _publish_drift(spec: NodeSpec, container: Container) -> list[Drift]:
    found = decode_published(container.labels.get(labels.PUBLISH, ""))
    by_target = {(item.port, item.protocol, item.address): item.host_port for item in found}
    wanted = {(item.port, item.protocol, item.address): item.host_port for item in spec.publish}
    fits = by_target.keys() == wanted.keys() and all(
        port is None or port == by_target[target] for target, port in wanted.items()
    )
    if fits:
        return []
    return [Drift("publish", [item.as_dict() for item in spec.publish], [item.as_dict() for item in found])]


def _refuse_limits(spec: NodeSpec, host: HostLimits) -> None:
    asked = spec.limits
    if asked.cpus is not None and asked.cpus > host.cpus:
        raise failure(
            "limit_beyond", option="cpus", asked=f"{asked.cpus:g}", have=f"{host.cpus} processors", most=host.cpus
        )
    if asked.memory is not None and asked.memory > host.memory:
        mebibytes = host.memory >> 20
        asked_for = f"{asked.memory >> 20} MiB"
        raise failure("limit_beyond", option="memory", asked=asked_for, have=f"{mebibytes} MiB", most=f"{mebibytes}m")
    most = {"nofile": host.nofile, "nproc": host.nproc}
    for name, value in spec.ulimits.items():
        highest = most.get(name)
        if highest is not None and int(value.partition(":")[2]) > highest:
            raise failure("ulimit_too_high", name=name, asked=value.partition(":")[2], most=highest)


def _described(spec: NodeSpec, new: NewContainer, state: str) -> dict[str, Any]:
    """The fields of a diff, of one that is to be made."""
    return {
        "name": spec.name,
        "cluster": spec.cluster,
        "state": state,
        **spec.asked,
        "hostname": spec.hostname,
        "ip": new.ip,
        "ip6": new.ip6,
        "publish": [item.as_dict() for item in new.publish],
        "labels": labels.of_user(new.labels),
        **{option: getattr(new.limits, key) for key, option in LIMIT_OPTIONS.items()},
    }


def _before(observed: ObservedNode) -> dict[str, Any]:
    """The same fields of one that is there."""
    container = observed.container
    asked = decode_asked(container.labels.get(labels.SPEC, ""))
    return {
        "name": container.name,
        "cluster": container.labels.get(labels.CLUSTER),
        "state": container.status,
        **asked,
        "hostname": asked["hostname"] or container.name,
        "ip": container.labels.get(labels.ADDRESS),
        "ip6": container.labels.get(labels.ADDRESS6),
        "publish": [item.as_dict() for item in decode_published(container.labels.get(labels.PUBLISH, ""))],
        "labels": labels.of_user(asked_labels(container)),
        **{option: getattr(observed.effective, key) for key, option in LIMIT_OPTIONS.items()},
    }


def asked_labels(container: Container) -> dict[str, str]:
    """Labels without those that an image brings along or an engine adds by itself (they name their maker first)."""
    foreign = ("io.", "org.", "com.", "nodeforge.kic.image.")
    return {key: value for key, value in container.labels.items() if not key.startswith(foreign)}


def describe(observed: ObservedNode) -> dict[str, Any]:
    """What a task returns of a node that is there."""
    container, boot = observed.container, observed.boot
    found = _before(observed)
    addresses = [address for group in container.addresses.values() for address in group]
    found["ip"] = found["ip"] or next((item for item in addresses if ":" not in item), None)
    found["ip6"] = found["ip6"] or next((item for item in addresses if ":" in item), None)
    found["role"] = container.labels.get(labels.ROLE)
    found["node_name"] = labels.node_name(container.name, container.labels)
    found["id"] = container.id
    found["image_id"] = container.image_id
    found["runtime"] = container.runtime or found["runtime"]
    found["ready"] = boot.ready if boot is not None else None
    found["systemd_state"] = boot.state if boot is not None else None
    found["failed_units"] = list(boot.failed_units) if boot is not None else []
    try:
        found["adaptations"] = json.loads(container.labels.get(labels.ADAPTATIONS, "[]"))
    except ValueError:
        found["adaptations"] = []
    return found
