# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes: containers that run systemd. Nothing here knows Kubernetes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._command import Runner, SubprocessRunner
from .._core import checks, labels, replaced
from .._core.checks import IPAddress
from .._core.plan import Plan, Resource
from .._engine.base import Engine
from .._engine.model import Container, EngineInfo, Image, Limits
from .._host.cgroup import find_limits
from .._host.machine import host_limits
from .._host.ports import HostPorts, Ports
from .._host.preflight import refuse_unfit
from .._host.process import mounts
from .._host.storage import device_below
from .._node import boot
from .._node.boot import Boot, lost
from .network import network_named
from .node_choice import DEVICELESS, Around, Refused, survey_ports
from .node_plan import NodeSurvey, ObservedNode, creates, describe, plan_node
from .node_run import NodeSeam, record_of, recorded_limits, wait_key
from .node_spec import NodeSpec, decode_published
from .replacement import is_up


class NodeResource(Resource[ObservedNode, NodeSurvey]):
    """The node of a :class:`NodeSpec` on an engine.

    :param runner: asks the machine's systemd, where the engine is an ordinary user's.
    :param going: volumes that are removed with the node, so that nothing in them has to be saved.
    :param ended: of a forecast: an operation before this one stops the node.
    """

    kind = "node"

    def __init__(
        self,
        spec: NodeSpec,
        engine: Engine,
        ports: Ports | None = None,
        runner: Runner | None = None,
        going: frozenset[str] = frozenset(),
        *,
        ended: bool = False,
    ) -> None:
        self.name = spec.name
        self.seam = NodeSeam(engine, runner or SubprocessRunner())
        self._spec = spec
        self._engine = engine
        self._ports: Ports = ports or HostPorts()
        self._going = going
        self._ended = ended

    def observe(self) -> ObservedNode | None:
        return self._observed(None)

    def inspect(self, results: Mapping[str, Any]) -> ObservedNode | None:
        return self._observed(results.get(wait_key(self.name)))

    def _observed(self, waited: Boot | None) -> ObservedNode | None:
        container = self._engine.container(self.name)
        if container is None:
            return None
        if not labels.is_ours(container.labels):
            return ObservedNode(container)
        if self._ended and is_up(container):
            container = replace(container, status="exited", pid=0)
        old = container.labels.get(labels.REPLACES)
        found = self._engine.container(old) if old else None
        return self._read(container, found if found is not None and self._is_aside(found) else None, waited)

    def _read(self, container: Container, aside: Container | None, waited: Boot | None = None) -> ObservedNode:
        """What the kernel, systemd and our records say of it."""
        spec, running = self._spec, container.running
        up = waited
        if up is None and running and spec.wait and spec.state in ("started", "restarted", "present"):
            up = boot.peek(self._engine, container)
        cluster = spec.cluster if spec.cluster is not None else container.labels.get(labels.CLUSTER)
        return ObservedNode(
            container,
            find_limits(container.pid, container.id) if running else None,
            up,
            find_limits(container.pid, container.id) if container.status == "paused" else None,
            lost(self._engine, container),
            aside,
            recorded_limits(record_of(self._engine, cluster, self.name), self.name),
        )

    def _is_aside(self, container: Container) -> bool:
        """Whether it is an old container of this node; those that an image brings along have another name."""
        name = container.name
        return labels.is_ours(container.labels) and replaced.is_aside(name) and replaced.node_of(name) == self.name

    def survey(self, observed: ObservedNode | None, refused: frozenset[Any] = frozenset()) -> NodeSurvey:
        spec, engine = self._spec, self._engine
        # A listing costs more than all else: it is asked only where something is decided.
        ours = engine.containers(labels.SCHEMA) if observed is None else []
        aside = next((item for item in ours if self._is_aside(item)), None)
        interrupted = self._read(replace(aside, name=self.name), aside) if aside is not None else None
        found = observed or interrupted
        asked = spec.image if spec.state != "absent" else None
        updatable = self._updatable(found)
        freezes = spec.state != "paused" or engine.info.freezes
        image = engine.image(asked) if asked else None
        survey = NodeSurvey(host_limits(), image, updatable, None, interrupted, freezes)
        if not creates(spec, found, survey.image, updatable):
            return survey
        refuse_unfit(engine.info, self.seam.runner)
        ours = ours if observed is None else engine.containers(labels.SCHEMA)
        return replace(survey, around=self._look_around(ours, found, survey.image, refused))

    def _updatable(self, observed: ObservedNode | None) -> frozenset[str]:
        # It may ask the engine for its version, so only where it matters.
        if observed is None or (self._spec.limits if self._spec.described else observed.recorded) == Limits():
            return frozenset()
        return self._engine.updatable

    def _look_around(
        self, ours: Sequence[Container], observed: ObservedNode | None, image: Image | None, refused: frozenset[Any]
    ) -> Around:
        spec, engine = self._spec, self._engine
        networks = tuple(engine.networks()) if spec.network is not None else ()
        if spec.network is not None:
            network_named(networks, spec.network, engine.name)  # refuses two of one name
        others = [item for item in ours if replaced.node_of(item.name) != self.name]
        missing = [("mounts.source", mount.source) for mount in spec.mounts if not os.path.lexists(mount.source)]
        for device in spec.devices:
            path = device.partition(":")[0]
            missing += [("devices", path)] if not os.path.lexists(path) else []
        # The engine's client reads it. Profiles that are not paths are names, such as unconfined.
        profiles = (re.fullmatch(r"seccomp[=:](/.+)", option) for option in spec.security_opts)
        missing += [("security_opts", item[1]) for item in profiles if item and not os.path.lexists(item[1])]
        published = [item for node in others for item in decode_published(node.labels.get(labels.PUBLISH, ""))]
        ports = frozenset(item for item in refused if isinstance(item, int))
        around = Around(
            info=engine.info,
            image=image,
            networks=networks,
            volume=spec.volume is None or engine.volume(spec.volume) is not None,
            addresses=self._addresses(others),
            host_ports=frozenset((item.protocol, item.host_port) for item in published if item.host_port is not None),
            missing=tuple(missing),
            refused=Refused(refused - ports, ports),
            proxies=engine.proxies(),
            storage_device=storage_device(engine.info),
        )
        old = observed.old if observed is not None else None
        return replace(around, ports=survey_ports(spec, around, old, self._ports))

    def _addresses(self, ours: Sequence[Container]) -> dict[IPAddress, str]:
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

    def plan(self, observed: ObservedNode | None, survey: NodeSurvey) -> Plan:
        return plan_node(self._spec, observed, survey, self._engine.name, self._going)

    def describe(self, observed: ObservedNode | None, plan: Plan) -> dict[str, Any]:
        return describe(observed) if plan.after and observed is not None else {}

    def predict(self, observed: ObservedNode | None, survey: NodeSurvey, plan: Plan) -> dict[str, Any]:
        found = observed or survey.interrupted
        if not plan.after:
            return {}
        if found is None or survey.around is not None:
            unknown = {"id": None, "image_id": None, "ready": None, "systemd_state": None}
            return {**plan.after, **unknown, "failed_units": [], "adaptations": []}
        return {**describe(found), **plan.after}


def storage_device(info: EngineInfo) -> str:
    """The device below the engine's storage, where its file system is one of those that need it; else ""."""
    if not {info.storage_driver, info.storage_filesystem} & set(DEVICELESS):
        return ""
    return device_below(info.storage_path, mounts(os.getpid()))
