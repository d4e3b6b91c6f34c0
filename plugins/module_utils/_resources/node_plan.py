# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to do for a node, and how it differs from what was requested. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._core import labels, replaced
from .._core.diagnosis import failure
from .._core.drift import label_drift, refuse_foreign
from .._core.former import Action, Plan, known
from .._core.plan import Drift
from .._engine.model import Container, Image, Limits, NewContainer
from .._engine.proxy import extended
from .._host.machine import HostLimits
from .._node.boot import Boot
from .node_choice import NOTHING_REFUSED, ROOTLESS_PIDS, Around, Refused, choose
from .node_spec import LIMIT_OPTIONS, NodeSpec, decode_asked, decode_published, same_limit
from .replacement import is_up

HIDDEN = "(hidden)"
"""What stands for a value of the environment, which may be a secret."""

NO_LIMITS = Limits()


@dataclass(frozen=True)
class ObservedNode:
    """A node as it is."""

    container: Container
    image: Image | None = None
    """What the image's name that is requested means now."""
    limits: Mapping[str, Any] | None = None
    """Of its control group, as the kernel has them; None while it does not run."""
    boot: Boot | None = None
    """None where it was not asked."""
    aside: Container | None = None
    """Its old container, under its other name, where a run that was to replace it was interrupted."""

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


def plan_node(
    spec: NodeSpec,
    observed: ObservedNode | None,
    around: Around | None,
    host: HostLimits,
    *,
    engine: str,
    updatable: frozenset[str] = frozenset(),
    recorded: Limits = NO_LIMITS,
    lenient: bool = False,
    refused: Refused = NOTHING_REFUSED,
) -> Plan:
    """What there is to do. ``around`` is needed where one is made; ``recorded`` are limits that were changed after that.

    With ``lenient`` (check mode) a prerequisite that is missing is a warning, as an earlier task may be about to make it.
    """
    if spec.state == "absent":
        return _plan_absent(spec, observed, engine)
    _refuse_limits(spec, host)
    if observed is None:
        if not spec.described:
            if lenient:
                return Plan(warnings=(f"There is no node {spec.name} yet; it is taken as one that will be made.",))
            raise failure("node_missing", node=spec.name)
        new, warnings = choose(spec, known(around), host, None, engine=engine, lenient=lenient, refused=refused)
        starts = spec.state in ("started", "restarted")
        actions = [Action("create", "node", spec.name)] + ([Action("start", "node", spec.name)] if starts else [])
        after = _described(spec, new, "running" if starts else "created")
        return Plan(tuple(actions), {}, after, warnings=warnings, chosen={"container": new})
    container = observed.container
    refuse_foreign(
        "container", spec.name, engine, container.labels, spec.cluster or container.labels.get(labels.CLUSTER)
    )
    effective = _effective(observed, recorded)
    drift = find_drift(spec, observed, effective, updatable) if spec.described else ()
    before, goal = _before(observed, effective), observed.goal(spec.state)
    if drift and spec.replace:
        old = observed.old
        new, warnings = choose(spec, known(around), host, old, engine=engine, lenient=lenient, refused=refused)
        starts = goal in ("started", "restarted") or (goal == "present" and container.running)
        why = "; ".join(str(item) for item in drift)
        actions = _discard(observed) if old is container else []
        actions += [Action("remove", "node", spec.name, why), Action("create", "node", spec.name)]
        actions += [Action("start", "node", spec.name)] if starts else []
        after = _described(spec, new, "running" if starts else "created")
        if {item.field for item in drift} & {f"env.{key}" for key in spec.env}:
            after["env"] = [f"{key} (changed)" if f"env.{key}" in {d.field for d in drift} else key for key in spec.env]
        return Plan(tuple(actions), before, after, warnings=warnings, chosen={"container": new})
    actions, state = _state_actions(spec.name, goal, container)
    runs = state == "running"
    wanted = _wanted_limits(spec, recorded, updatable)
    # A start sets what the container was made with; a node that goes on running has what it has.
    now = container.limits if any(action.verb == "start" for action in actions) else effective
    changes = {key: value for key, value in wanted.items() if not same_limit(value, getattr(now, key))}
    if changes:
        detail = ", ".join(f"{LIMIT_OPTIONS[key]} = {value}" for key, value in changes.items())
        actions.append(Action("update", "node", spec.name, detail if runs else f"{detail}, from its next start on"))
    if observed.only_aside:
        actions.insert(0, Action("restore", "node", spec.name, "a run was interrupted before it had a replacement"))
    actions += _discard(observed)
    after = {**before, "state": state, **{LIMIT_OPTIONS[key]: value for key, value in wanted.items()}}
    return Plan(tuple(actions), before, after, drift, chosen={"limits": changes, "wanted": wanted})


def _plan_absent(spec: NodeSpec, observed: ObservedNode | None, engine: str) -> Plan:
    if observed is None:
        return Plan()
    found = observed.container.labels
    if not labels.is_ours(found):
        raise failure("not_ours", kind="container", name=spec.name, label=labels.SCHEMA, engine=engine)
    if spec.cluster is not None:
        refuse_foreign("container", spec.name, engine, found, spec.cluster)
    return Plan((Action("remove", "node", spec.name),), _before(observed, _effective(observed, Limits())), {})


def _discard(observed: ObservedNode) -> list[Action]:
    """What finishes a replacement that was interrupted after the new container was there."""
    if observed.aside is None or observed.only_aside:
        return []
    return [Action("discard", "node", observed.aside.name, "the node that replaces it is there")]


def _state_actions(name: str, state: str, container: Container) -> tuple[list[Action], str]:
    """What brings the container into its state, and that state."""
    paused, runs = container.status == "paused", container.running
    if state in ("started", "restarted"):
        if runs:
            again = [Action("stop", "node", name), Action("start", "node", name)]
            return (again if state == "restarted" else []), "running"
        if paused and state == "started":
            return [Action("resume", "node", name)], "running"
        return ([Action("stop", "node", name)] if paused else []) + [Action("start", "node", name)], "running"
    if state == "stopped" and (runs or paused):
        return [Action("stop", "node", name)], "exited"
    return [], container.status


def _effective(observed: ObservedNode, recorded: Limits) -> Limits:
    """The limits that hold: the kernel's while it runs, else those of its next start."""
    if observed.limits is not None:
        # A controller that is not there limits nothing.
        return Limits(**{key: observed.limits.get(key) for key in LIMIT_OPTIONS})
    changed = {key: value for key, value in vars(recorded).items() if value is not None}
    return replace(observed.container.limits, **changed)


def _wanted_limits(spec: NodeSpec, recorded: Limits, updatable: frozenset[str]) -> dict[str, Any]:
    source = spec.limits if spec.described else recorded
    return {key: value for key, value in vars(source).items() if value is not None and key in updatable}


def find_drift(
    spec: NodeSpec, observed: ObservedNode, effective: Limits, updatable: frozenset[str]
) -> tuple[Drift, ...]:
    """What was requested and is otherwise, and cannot be changed in place."""
    container = observed.container
    before, drift = decode_asked(container.labels.get(labels.SPEC, "")), []
    for key, value in spec.asked.items():
        if key == "image":
            drift += _image_drift(value, before["image"], observed)
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
        asked, found = getattr(spec.limits, key), getattr(effective, key)
        if key == "pids" and asked is None and found == ROOTLESS_PIDS:
            continue
        if not same_limit(asked, found) and (asked is None or key not in updatable):
            drift.append(Drift(option, asked, found))
    return tuple(drift)


def _image_drift(asked: str, before: str | None, observed: ObservedNode) -> list[Drift]:
    if observed.image is None:
        # Not in the store any more: by its name alone nothing more can be told.
        return [Drift("image", asked, before)] if asked != before else []
    if observed.image.id == observed.container.image_id:
        return []
    return [Drift("image", f"{asked} ({observed.image.id[:12]})", f"{before} ({observed.container.image_id[:12]})")]


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


def _before(observed: ObservedNode, effective: Limits) -> dict[str, Any]:
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
        **{option: getattr(effective, key) for key, option in LIMIT_OPTIONS.items()},
    }


def asked_labels(container: Container) -> dict[str, str]:
    """Labels without those that an image brings along or an engine adds by itself (they name their maker first)."""
    foreign = ("io.", "org.", "com.", "nodeforge.kic.image.")
    return {key: value for key, value in container.labels.items() if not key.startswith(foreign)}


def describe(observed: ObservedNode, recorded: Limits) -> dict[str, Any]:
    """What a task returns of a node that is there; ``recorded`` are limits that were changed after it was made."""
    container, boot = observed.container, observed.boot
    found = _before(observed, _effective(observed, recorded))
    addresses = [address for group in container.addresses.values() for address in group]
    found["ip"] = found["ip"] or next((item for item in addresses if ":" not in item), None)
    found["ip6"] = found["ip6"] or next((item for item in addresses if ":" in item), None)
    found["role"] = container.labels.get(labels.ROLE)
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
