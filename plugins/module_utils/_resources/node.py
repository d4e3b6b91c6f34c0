# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes: containers that run systemd. Nothing here knows Kubernetes."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from .._command import Runner, SubprocessRunner
from .._core import checks, labels, replaced
from .._core.checks import IPAddress
from .._core.diagnosis import KicError, failure
from .._core.former import Plan, Resource, known
from .._engine.base import Engine
from .._engine.model import Container, EngineInfo, Image, Limits, NewContainer
from .._host.cgroup import find_limits
from .._host.machine import host_limits
from .._host.ports import HostPorts, Ports
from .._host.preflight import refuse_unfit
from .._host.process import mounts
from .._host.storage import device_below
from .._node import boot
from .._node.boot import Boot
from .._state.lock import host_lock
from .._state.record import ClusterState, Subject
from .network import network_named
from .node_choice import DEVICELESS, Around, Refused
from .node_plan import ObservedNode, describe, plan_node
from .node_readback import differences, limit_differences
from .node_spec import LIMIT_OPTIONS, NodeSpec, decode_published, same_limit
from .replacement import Replacement, is_up, stop

REMOVE_SECONDS = 3
"""The same for one that is to go: long enough for programs that listen to SIGTERM to write what they hold."""

_RETRIES = 3


class NodeResource(Resource[ObservedNode]):
    """The node of a :class:`NodeSpec` on an engine.

    :param check_mode: nothing is waited for, and what is missing may still be made by an earlier task.
    :param runner: asks the machine's systemd, where the engine is an ordinary user's.
    """

    kind = "node"

    def __init__(
        self,
        spec: NodeSpec,
        engine: Engine,
        check_mode: bool = False,
        ports: Ports | None = None,
        runner: Runner | None = None,
    ) -> None:
        self.name = spec.name
        self._spec = spec
        self._engine = engine
        self._check_mode = check_mode
        self._ports: Ports = ports or HostPorts()
        self._runner: Runner = runner or SubprocessRunner()
        self._host = host_limits()
        self._refused = Refused()
        self._image: tuple[Image | None] | None = None
        self._boot: Boot | None = None
        self._around: Around | None = None
        self._found: ObservedNode | None = None
        self._replacement: Replacement | None = None

    # Looking.
    def observe(self) -> ObservedNode | None:
        return self._observe(waits=True)

    def peek(self) -> ObservedNode | None:
        return self._observe(waits=False)

    def _observe(self, *, waits: bool) -> ObservedNode | None:
        container = self._engine.container(self.name)
        self._found = None
        if container is not None and not labels.is_ours(container.labels):
            self._found = ObservedNode(container)
            return self._found
        aside = self._find_aside(container, thorough=self._check_mode or not waits)
        if container is None and aside is not None:
            container = replace(aside, name=self.name)
        if container is None:
            return None
        limits = find_limits(container.pid, container.id) if container.running else None
        self._found = ObservedNode(container, self._asked_image(), limits, aside=aside)
        self._found = replace(self._found, boot=self._look_at_boot(self._found, waits=waits))
        return self._found

    def _find_aside(self, container: Container | None, *, thorough: bool) -> Container | None:
        """The container that was to be replaced, where a run was ended in between.

        Where there is no node, that is asked only before something is decided: a listing costs more than all else.
        """
        if container is not None:
            old = container.labels.get(labels.REPLACES)
            found = self._engine.container(old) if old else None
            return found if found is not None and self._is_aside(found) else None
        if not thorough:
            return None
        return next((item for item in self._engine.containers(labels.SCHEMA) if self._is_aside(item)), None)

    def _is_aside(self, container: Container) -> bool:
        """Whether it is an old container of this node; those that an image brings along have another name."""
        name = container.name
        return labels.is_ours(container.labels) and replaced.is_aside(name) and replaced.node_of(name) == self.name

    def _asked_image(self) -> Image | None:
        if self._spec.image is None or self._spec.state == "absent":
            return None
        if self._image is None:
            self._image = (self._engine.image(self._spec.image),)
        return self._image[0]

    def _look_at_boot(self, found: ObservedNode, *, waits: bool) -> Boot | None:
        spec, container = self._spec, found.container
        if not container.running or not spec.wait or spec.state not in ("started", "restarted", "present"):
            return None
        if self._boot is None:
            # A node that an interrupted run left on its way is waited for like one that was just started, but never
            # under the lock.
            if not waits or spec.state != "started" or self._check_mode:
                return boot.peek(self._engine, container)
            self._boot = self._wait_or_name_old(found)
        return self._boot

    def _wait_or_name_old(self, found: ObservedNode) -> Boot:
        """The wait for a node that an interrupted run started: what it replaces is still there, and the user is told."""
        try:
            return boot.wait(self._engine, found.container, self._spec.wait_timeout)
        except KicError as error:
            if found.aside is None or found.only_aside:
                raise
            kept = f"; the old node is kept as {found.aside.name}: remove the new one, and the next run restores it"
            raise KicError(replace(error.diagnosis, fix=error.diagnosis.fix + kept)) from error

    def _look_around(self) -> Around:
        spec, engine = self._spec, self._engine
        networks = tuple(engine.networks()) if spec.network is not None else ()
        if spec.network is not None:
            network_named(networks, spec.network, engine.name)  # refuses two of one name
        ours = [item for item in engine.containers(labels.SCHEMA) if replaced.node_of(item.name) != self.name]
        missing = [("mounts.source", mount.source) for mount in spec.mounts if not os.path.lexists(mount.source)]
        for device in spec.devices:
            path = device.partition(":")[0]
            missing += [("devices", path)] if not os.path.lexists(path) else []
        published = [item for node in ours for item in decode_published(node.labels.get(labels.PUBLISH, ""))]
        return Around(
            info=engine.info,
            image=self._asked_image(),
            networks=networks,
            volume=spec.volume is None or engine.volume(spec.volume) is not None,
            addresses=self._addresses(ours),
            host_ports=frozenset((item.protocol, item.host_port) for item in published if item.host_port is not None),
            missing=tuple(missing),
            ports=self._ports,
            proxies=engine.proxies(),
            storage_device=storage_device(engine.info),
        )

    def _addresses(self, ours: list[Container]) -> dict[IPAddress, str]:
        """Addresses on the network: of ours by label, which also those have that do not run; of others as they are."""
        if self._spec.network is None:
            return {}
        found: dict[IPAddress, str] = {}
        known = {item.id for item in ours}
        others = [
            self._engine.container(item.id)
            for item in self._engine.attached_to_network(self._spec.network)
            if item.id not in known and replaced.node_of(item.name) != self.name
        ]
        for item in [*ours, *(other for other in others if other is not None)]:
            texts = [*item.addresses.get(self._spec.network, ())]
            # What others wrote into such a label need not be an address.
            if self._spec.network in item.addresses and labels.is_ours(item.labels):
                texts += [item.labels[key] for key in (labels.ADDRESS, labels.ADDRESS6) if key in item.labels]
            for text in texts:
                found[checks.address("ip", text)] = item.name
        return found

    # Planning.
    def plan(self, observed: ObservedNode | None) -> Plan:
        spec = self._spec
        recorded = self._recorded()
        creates = spec.described and spec.state != "absent" and (observed is None or spec.replace)
        if creates:
            refuse_unfit(self._engine.info, self._runner)
            # Made again under the lock: what was free may be taken by now.
            self._around = self._look_around()
        return plan_node(
            spec,
            observed,
            self._around,
            self._host,
            engine=self._engine.name,
            updatable=self._updatable(observed, recorded),
            recorded=recorded,
            lenient=self._check_mode,
            refused=self._refused,
        )

    def _updatable(self, observed: ObservedNode | None, recorded: Limits) -> frozenset[str]:
        # It may ask the engine for its version, so only where it matters.
        asked = self._spec.limits if self._spec.described else recorded
        if observed is None or asked == Limits():
            return frozenset()
        return self._engine.updatable

    def _subject(self) -> Subject:
        cluster = self._spec.cluster
        if cluster is None and self._found is not None:
            cluster = self._found.container.labels.get(labels.CLUSTER)
        return record_of(self._engine, cluster, self.name)

    def _recorded(self) -> Limits:
        return recorded_limits(self._subject(), self.name)

    def _record(self, wanted: Mapping[str, Any], kept_by_engine: Limits) -> None:
        """Keep the limits that the engine would not set at the next start; call it outside the lock."""
        kept = {key: value for key, value in wanted.items() if not same_limit(value, getattr(kept_by_engine, key))}
        subject = self._subject()
        if kept == ClusterState.load(subject).limits.get(self.name, {}):
            return
        with host_lock():
            state = ClusterState.load(subject)
            state.limits.pop(self.name, None)
            if kept:
                state.limits[self.name] = kept
            state.save()

    # Doing.
    def reserve(self, plan: Plan) -> None:
        self._replacement = None
        if plan.does("remove") and plan.does("create"):
            self._replace(plan)
        elif plan.does("create"):
            self._create(plan.chosen["container"])
            self.did("create")
        elif plan.does("restore"):
            self._engine.rename_container(known(self._found).container.id, self.name)
            self.did("restore")

    def _replace(self, plan: Plan) -> None:
        """Create the new container next to the old one, which runs on until all else is ready."""
        found = known(self._found)
        old = found.old
        if found.aside is not None and old.id != found.aside.id:
            stop(self._engine, found.aside)
            Replacement(self._engine, self.name, found.aside).discard()
            self.did("discard")
        elif found.aside is not None and not found.only_aside:
            # The new one of an interrupted run, which never was up.
            self._engine.remove_container(found.container.id, 0)
        self._replacement = Replacement(self._engine, self.name, old)
        with self._replacement.or_restored(self.undid):
            self._replacement.set_aside()
            self._create(self._replacement.marked(plan.chosen["container"]))
            self.did("create")

    def _create(self, new: NewContainer) -> str:
        return self._engine.create_container(new)

    def apply(self, plan: Plan) -> None:
        engine, replacement = self._engine, self._replacement
        if not plan.does("create"):
            self._change(plan)
        elif replacement is None:
            self._record({}, Limits())
            self._first_start(plan)
        else:
            with replacement.or_restored(self.undid):
                stop(engine, replacement.old)
                self._first_start(plan)
            self._record({}, Limits())
            replacement.discard()
            self.did("remove")

    @contextmanager
    def _naming_who_withholds(self) -> Iterator[None]:
        """The engine and the node's entrypoint see that a controller is missing, systemd knows why."""
        try:
            yield
        except KicError as error:
            if error.diagnosis.id != "controller_not_delegated":
                raise
            try:
                refuse_unfit(self._engine.info, self._runner)
            except KicError as found:
                raise KicError(replace(found.diagnosis, output=error.diagnosis.output)) from error
            raise

    def _change(self, plan: Plan) -> None:
        found = known(self._found)
        container, aside = found.container, found.aside
        if plan.does("remove"):
            self._record({}, Limits())
            self._engine.remove_container(container.id, REMOVE_SECONDS)
            if aside is not None:
                self._engine.remove_container(aside.id, REMOVE_SECONDS)
        elif aside is None or not plan.does("discard"):
            self._change_state(plan, container)
        else:
            replacement = Replacement(self._engine, self.name, aside)
            if is_up(container):
                self._change_state(plan, container)
                stop(self._engine, aside)
            else:
                # The interrupted run did not see it up: until it is, the old one can still be restored.
                with replacement.or_restored(self.undid):
                    stop(self._engine, aside)
                    self._change_state(plan, container)
            replacement.discard()
            self.did("discard")

    def _change_state(self, plan: Plan, container: Container) -> None:
        engine = self._engine
        if plan.does("stop"):
            stop(engine, container)
            self.did("stop")
        if plan.does("resume"):
            engine.resume_container(container.id)
            self.did("resume")
        with self._naming_who_withholds():
            if plan.does("start"):
                if container.status == "created":
                    # An earlier run was interrupted before its first start, maybe before it had its files.
                    self._put_files(container.id)
                self._boot = None
                engine.start_container(container.id)
                self.did("start")
            running = engine.container(container.id)
            kept = container.limits
            if running is not None and running.running and plan.chosen["limits"]:
                engine.update_limits(container.id, Limits(**plan.chosen["limits"]))
                self.did("update")
                updated = engine.container(container.id)
                # docker keeps the change itself: what is recorded next to it would undo what another user sets meanwhile.
                kept = updated.limits if updated is not None else kept
            self._record(plan.chosen["wanted"], kept)
            if plan.does("start") or plan.does("resume"):
                if running is None or not running.running:
                    raise boot.died(engine, self.name)
                self._wait(running)
        if plan.chosen["limits"] and running is not None and running.running:
            self._refuse_otherwise(limit_differences(Limits(**plan.chosen["limits"]), running))

    def _put_files(self, identity: str) -> None:
        if self._spec.files:
            self._engine.put_files(identity, archive(self._spec))

    def _wait(self, container: Container) -> None:
        if self._spec.wait:
            self._boot = boot.wait(self._engine, container, self._spec.wait_timeout)

    def _first_start(self, plan: Plan) -> None:
        """From the created container to a system that is up. What was chosen and turns out to be taken is chosen again."""
        with self._naming_who_withholds():
            self._start_new(plan)

    def _start_new(self, plan: Plan) -> None:
        engine, new = self._engine, plan.chosen["container"]
        self._boot = None
        for attempt in range(_RETRIES + 1):
            try:
                self._put_files(self.name)
                if not plan.does("start"):
                    return
                engine.start_container(self.name)
                self.did("start")
                break
            except KicError as error:
                found = engine.container(self.name)
                if found is not None and not found.running and found.status not in ("created", "initialized"):
                    # It did start, and ended at once: it is kept, with its log.
                    raise boot.died(engine, self.name) from error
                if plan.does("remove") or (found is not None and found.running):
                    # Address and ports are those of the node that it replaces, which gets them back; and one that runs
                    # although the engine did not say so in time is what a next run waits for.
                    raise
                if found is not None:
                    engine.remove_container(found.id, 0)
                    self.undid()
                if attempt == _RETRIES or not self._was_chosen(error, new):
                    raise
                new = self._choose_again(error, new)
        container = engine.container(self.name)
        if container is None or not container.running:
            raise boot.died(engine, self.name)
        self._refuse_otherwise(differences(new, container))
        self._wait(container)

    def _was_chosen(self, error: KicError, new: NewContainer) -> bool:
        if error.diagnosis.id == "address_taken":
            return self._spec.ip is None and self._spec.ip6 is None and new.ip is not None
        return error.diagnosis.id == "port_taken" and any(item.host_port is None for item in self._spec.publish)

    def _choose_again(self, error: KicError, new: NewContainer) -> NewContainer:
        addresses, ports = set(self._refused.addresses), set(self._refused.ports)
        if error.diagnosis.id == "address_taken":
            addresses |= {checks.address("ip", item) for item in (new.ip, new.ip6) if item}
        else:
            ports |= {item.host_port for item in new.publish if item.host_port is not None}
        self._refused = Refused(frozenset(addresses), frozenset(ports))
        with host_lock():
            plan = self.plan(None)
            found: NewContainer = plan.chosen["container"]
            self._create(found)
            self.did("create")
        return found

    def _refuse_otherwise(self, found: list[str]) -> None:
        if found:
            fields = "; ".join(found)
            raise failure("not_as_asked", node=self.name, fields=fields, engine=self._engine.name)

    def describe(self, observed: ObservedNode | None, plan: Plan) -> dict[str, Any]:
        if not plan.after:
            return {}
        if observed is None or (plan.does("create") and self._check_mode):
            predicted = dict(plan.after, id=None, image_id=None, ready=None, systemd_state=None, failed_units=[])
            return dict(predicted, adaptations=[])
        found = describe(observed, self._recorded())
        return dict(found, **plan.after) if self._check_mode else found


def storage_device(info: EngineInfo) -> str:
    """The device below the engine's storage, where its file system is one of those that need it; else ""."""
    if not {info.storage_driver, info.storage_filesystem} & set(DEVICELESS):
        return ""
    return device_below(info.storage_path, mounts(os.getpid()))


def record_of(engine: Engine, cluster: str | None, node: str) -> Subject:
    """The record that a node is in: its cluster's, or its own where it belongs to none."""
    return Subject(engine.store, cluster) if cluster else Subject(engine.store, None, node)


def recorded_limits(subject: Subject, node: str) -> Limits:
    """Limits of a node that were changed after it was made."""
    found = ClusterState.load(subject).limits.get(node, {})
    return Limits(**{key: found.get(key) for key in LIMIT_OPTIONS})


def archive(spec: NodeSpec) -> bytes:
    """The node's files as a tar archive. Directories on the way are left as they are in the image."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in spec.files:
            item = tarfile.TarInfo(file.path.lstrip("/"))
            item.size, item.mode = len(file.content), file.mode
            tar.addfile(item, io.BytesIO(file.content))
    return buffer.getvalue()
