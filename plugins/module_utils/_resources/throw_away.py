# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers that are no nodes and are started as nodes are, with what this machine needs for it; they go when they were used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from .._core import labels
from .._engine.base import Engine
from .._engine.model import Limits, NewContainer, Publication
from .._host.machine import host_limits
from .._host.ports import HostPorts
from .node_choice import Around, allocate, survey_ports
from .node_spec import NodeSpec

PREFIX = "kic-image-"
"""Names of containers that are read from are this, the process id of the module, and random digits."""

LABEL = f"{labels.PREFIX}throw_away"

SECONDS = 1800
"""After which such a container ends by itself, and the engine removes it: also where the module was killed."""


def new_container(
    engine: Engine,
    name: str,
    image: str,
    *,
    network: str | None,
    publish: tuple[Publication, ...] = (),
    privileged: str,
) -> NewContainer:
    """What kic_node would create from no other options than these."""
    spec = NodeSpec(
        name=name,
        state="started",
        cluster=None,
        role=None,
        image=image,
        network=network,
        ip=None,
        ip6=None,
        hostname=name,
        volume=None,
        mounts=(),
        tmpfs={},
        publish=publish,
        devices=(),
        limits=Limits(None, None, None),
        ulimits={},
        sysctls={},
        security_opts=(),
        env={},
        labels={},
        privileged=privileged,
        runtime=None,
        command=(),
        restart_policy="no",
        files=(),
        replace=False,
        wait=False,
        wait_timeout=1.0,
    )
    around = Around(
        info=engine.info,
        image=engine.image(image),
        networks=tuple(engine.networks()) if network is not None else (),
        volume=True,
        addresses={},
        host_ports=frozenset(),
        missing=(),
    )
    around = replace(around, ports=survey_ports(spec, around, None, HostPorts()))
    new, _missing = allocate(spec, around, host_limits(), None, engine=engine.name)
    return new


@contextmanager
def container_of(engine: Engine, image: str, volumes: Mapping[str, str] | None = None) -> Iterator[str]:
    """The id of a container of the image that is not started; once it is, commands can be run in it. It goes after the block.

    :param volumes: where it has which volumes of the engine, such as ``/to`` or ``/from:ro``; with them it has what it takes to
        copy what the file systems of containers keep (trusted.overlay.opaque is root's of the machine).
    """
    remove_stale(engine)
    name = f"{PREFIX}{os.getpid()}-{os.urandom(3).hex()}"
    new = new_container(engine, name, image, network=None, privileged="auto" if volumes else "false")
    # Its commands need nothing of the network.
    sleeping = replace(new, network="none", entrypoint="sleep", command=(str(SECONDS),), labels={LABEL: "1"})
    mounts = [part for volume, place in (volumes or {}).items() for part in ("--volume", f"{volume}:{place}")]
    identity = engine.create_container(replace(sleeping, passed_on=("--rm", *mounts)))
    failed = True
    try:
        yield identity
        failed = False
    finally:
        try:
            engine.remove_container(name, 0)
        except Exception:
            # The first error is the one to report.
            if not failed:
                raise


def remove_stale(engine: Engine) -> None:
    """Remove what runs left whose process is gone: what was not started does not end, and volumes are in use by it."""
    for item in engine.containers(LABEL):
        process = item.name[len(PREFIX) :].partition("-")[0]
        if item.name.startswith(PREFIX) and process.isdigit() and not os.path.exists(f"/proc/{process}"):
            engine.remove_container(item.id, 0)
