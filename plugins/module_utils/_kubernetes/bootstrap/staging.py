# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another release of Kubernetes in nodes that run: its images and its kubeadm, out of a container of the new node image."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress

from ..._core.diagnosis import failure
from ..._core.operations import Again
from ..._engine.base import Engine
from ..._engine.model import Reader, Writer
from ..._node.scripts import Scripts, script
from .alone import only_run
from .configuration import version_of
from .kubeadm_plan import KubeadmSpec
from .kubeadm_run import upgrade_node
from .look import RECORD, STATE, read_record
from .seam import LIMITS, KubeadmSeam
from .steps import CLIENT_SECONDS, Deadline

PROGRAM = f"{STATE}/upgrade/kubeadm"
"""Where a node has the kubeadm of the release that it is upgraded to."""

_VERSION = "/kind/version"


def release_of_container(engine: Engine, identity: str) -> str:
    """The release in the image of a container, which need not run, such as v1.35.4; "" of one without Kubernetes."""
    return (engine.read_file(identity, _VERSION) or b"").decode("utf-8", "replace").strip()


def recorded_release(engine: Engine, identity: str) -> str:
    """The release by which kubeadm made or upgraded the node last; "" where nobody recorded it."""
    return str(read_record(engine, identity).get("kubernetes") or "")


def stage(
    engine: Engine,
    source: str,
    release: str,
    nodes: Sequence[str],
    planes: Sequence[str],
    scripts: Scripts,
    seconds: float,
) -> None:
    """Bring the images of a release into ``nodes``, and its kubeadm into the control planes among them.

    :param source: a container of the node image that has the release; it runs.
    """
    taken = {name: Reader(script(scripts, "upgrade-images")) for name in nodes}
    _feed(engine, Writer(source, script(scripts, "upgrade-source", "images")), taken, release, seconds)
    program = {name: Reader(script(scripts, "upgrade-program", PROGRAM)) for name in planes}
    if program:
        _feed(engine, Writer(source, script(scripts, "upgrade-source", "kubeadm")), program, release, seconds)


def _feed(engine: Engine, source: Writer, readers: Mapping[str, Reader], release: str, seconds: float) -> None:
    for node, result in engine.feed_images(source, readers, seconds).items():
        if result.rc != 0:
            name = f"of Kubernetes {release}"
            raise failure("image_not_loaded", output=result.words, node=node, engine=engine.name, name=name)


def upgrade(spec: KubeadmSpec, engine: Engine, release: str) -> None:
    """Upgrade the control plane of a node with the kubeadm that was brought into it."""
    seam = KubeadmSeam(spec, engine, Deadline(spec.timeout))
    with only_run(engine, spec.node, spec.timeout):
        # Another run may have been faster, and has removed the program.
        while version_of(recorded_release(engine, spec.node)) < version_of(release):
            seam.await_api(own=True)
            # A kubeadm that a killed run left has been waited for.
            with suppress(Again):
                upgrade_node(seam, release, program=PROGRAM)
                seam.await_api(own=True)
                seam.run("upgrade", ["rm", "-f", PROGRAM])
                _record(seam, release)


def record(spec: KubeadmSpec, engine: Engine, release: str) -> None:
    """Record by which release kubeadm made a node that runs."""
    _record(KubeadmSeam(spec, engine, Deadline(spec.timeout)), release)


def _record(seam: KubeadmSeam, release: str) -> None:
    """Next to all else that is recorded of the node."""
    content = {**read_record(seam.engine, seam.spec.node), "kubernetes": release}
    command = script(seam.spec.scripts, "record", RECORD)
    seam.run("record", command, stdin=json.dumps(content, sort_keys=True).encode())


def await_release(spec: KubeadmSpec, engine: Engine, release: str) -> None:
    """Wait until a node whose container was replaced is Ready with the kubelet of the release: that it is Ready is still said
    of the one before for 40 seconds. A control plane's own API has to be ready too, and its etcd by that."""
    seam = KubeadmSeam(spec, engine, Deadline(spec.timeout))
    if spec.is_plane:
        seam.await_api(own=True)
    limit = seam.limit("ready", LIMITS["ready"])
    command = script(spec.scripts, "ready-release", spec.registered, str(int(limit)), release)
    result = engine.exec(seam.api_node, command, check=False, timeout=limit + CLIENT_SECONDS)
    if result.rc != 0:
        reason = f"the node was not Ready with {release} within {limit:g} seconds"
        raise seam.failed("ready", reason, result.words, logs=True)
