# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in the nodes of a cluster: from the engine's store, or from archives on the machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from .._core import labels
from .._core.diagnosis import KicError, failure
from .._core.drift import refuse_foreign
from .._core.operations import PARALLEL
from .._core.plan import Plan, Resource, always
from .._core.replaced import is_aside
from .._engine.base import Engine
from .._engine.model import Container, Image
from .._engine.selection import cluster_nodes
from .._node import boot, images
from .image import ArchivedImage, has_name, read_archive
from .node_image_plan import (
    SUFFIXES,
    NodeImagesSpec,
    NodeSeen,
    ObservedImages,
    Sources,
    Wanted,
    describe,
    plan_images,
)
from .node_image_run import NodeImageSeam, look


class NodeImages(Resource[ObservedImages, Sources]):
    """The images of a :class:`NodeImagesSpec` in nodes on an engine.

    :param nodes: the containers of the cluster, where they were listed a moment ago.
    """

    kind = "images in nodes"
    # Nothing is allocated; two runs on one node wait for each other in it (images-load.sh).
    lock_name = ""

    def __init__(self, spec: NodeImagesSpec, engine: Engine, nodes: Sequence[Container] | None = None) -> None:
        self.name = spec.cluster or ", ".join(spec.nodes)
        self.seam = NodeImageSeam(engine, spec.scripts, spec.timeout)
        self._spec = spec
        self._engine = engine
        self._nodes = nodes
        self._store: Future[tuple[list[Wanted], tuple[str, ...]]] | None = None
        """What the engine's store has, which is asked while the nodes are."""

    def observe(self) -> ObservedImages:
        found = self._containers()
        # A question to a node or to the engine is waited for, not worked on.
        with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
            if self._store is None and self._spec.present:
                self._store = pool.submit(self._stored)
            return ObservedImages(tuple(pool.map(lambda item: self._seen(*item), found.items())))

    def _containers(self) -> dict[str, Container | None]:
        """The nodes that are meant, by name; None for one that is not there."""
        spec, engine = self._spec, self._engine
        nodes, self._nodes = self._nodes, None
        if spec.nodes:
            known = {item.name: item for item in nodes or () if item.running}
            return {name: known.get(name) or engine.container(name) for name in spec.nodes}
        if nodes is None:
            nodes = cluster_nodes(engine, spec.cluster or "")
        mine = {
            item.name: item
            for item in nodes
            if not is_aside(item.name) and item.labels.get(labels.ROLE) != labels.LOAD_BALANCER
        }
        return {name: mine[name] for name in sorted(mine)}

    def _seen(self, name: str, container: Container | None) -> NodeSeen:
        if container is None:
            return NodeSeen(name, "", "missing")
        refuse_foreign("container", name, self._engine.name, container.labels, self._spec.cluster)
        if not container.running:
            return NodeSeen(name, container.id, container.status)
        self.seam.processes[name] = (container.pid, container.id)
        if not boot.entered(self._engine, container):
            return NodeSeen(name, container.id, "booting")
        held = look(self.seam, name, 0)
        return NodeSeen(name, container.id, "booting" if held is None else "running", held or images.Held())

    def survey(self, observed: ObservedImages | None, refused: frozenset[Any] = frozenset()) -> Sources:
        """Which images are meant: ids from the engine, in one question, and from the archives."""
        spec = self._spec
        if not spec.present:
            archived, problems = self._archived()
            return Sources((*(Wanted(name, images.names_in_node(name)) for name in spec.images), *archived), problems)
        stored, missing = self._store.result() if self._store is not None else self._stored()
        archived, problems = self._archived()
        return Sources((*stored, *archived), problems, missing)

    def _stored(self) -> tuple[list[Wanted], tuple[str, ...]]:
        spec = self._spec
        if not spec.images:
            return [], ()
        references = [spec.references.get(name, name) for name in spec.images]
        wanted, missing = [], []
        for name, reference, found in zip(spec.images, references, self._engine.images_named(references)):
            # An engine also takes the beginning of an id for a name.
            if found is not None and (reference != name or has_name(name, found.tags)):
                wanted.append(_of_store(name, reference, found))
            else:
                missing.append(name)
                wanted.append(Wanted(name, images.names_in_node(name)))
        return wanted, tuple(missing)

    def _archived(self) -> tuple[list[Wanted], tuple[KicError, ...]]:
        wanted: list[Wanted] = []
        problems: list[KicError] = []
        for path in self._spec.archives:
            found, problem = self._at(path)
            wanted += found
            problems += [problem] if problem is not None else []
        return wanted, tuple(problems)

    def _at(self, path: str) -> tuple[list[Wanted], KicError | None]:
        try:
            return [item for archive in archives_at(path) for item in _of_archive(archive, self._engine.name)], None
        except KicError as error:
            return [], error

    def plan(self, observed: ObservedImages | None, survey: Sources) -> Plan:
        return plan_images(self._spec, always(observed), survey, self._engine.name)

    def describe(self, observed: ObservedImages | None, plan: Plan) -> dict[str, Any]:
        return describe(always(observed), plan)

    def predict(self, observed: ObservedImages | None, survey: Sources, plan: Plan) -> dict[str, Any]:
        return {name: dict(found) for name, found in plan.after.items()}


def _of_store(name: str, reference: str, image: Image) -> Wanted:
    # An id means the very image that was inspected; a store that names images by their manifests writes names only with a name.
    by_manifest = any(digest.endswith(image.id) for digest in image.digests)
    saved = reference if by_manifest else image.id
    tag = next((tag for tag in image.tags if has_name(name, (tag,))), name)
    return Wanted(name, images.names_in_node(name), image.id, tag, image.architecture, saved=saved)


def archives_at(path: str) -> list[str]:
    """The archive at ``path``, or those in the directory. Raises ``archive_missing`` and ``archive_unusable``."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISDIR(mode):
            return [path]
        found = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.endswith(SUFFIXES)]
    except FileNotFoundError:
        raise failure("archive_missing", path=path) from None
    if not found:
        reason = f"it is a directory, and none of its files is an archive by its name ({', '.join(SUFFIXES)})"
        raise failure("archive_unusable", path=path, reason=reason, engine="podman", name="IMAGE")
    return found


def _of_archive(path: str, engine: str) -> list[Wanted]:
    found: list[Wanted] = []
    for image in read_archive(path, "IMAGE"):
        names = _names(image)
        if not names:
            reason = (
                f"its image {image.id[:12]} has no name by which a pod could find it; load it with a name into the engine"
                " (nodeforge.kic.oci_image), and give that name"
            )
            raise failure("archive_unusable", path=path, reason=reason, engine=engine, name="IMAGE")
        for name in names:
            in_node = images.names_in_node(name)
            found.append(Wanted(name, in_node, image.content or image.id, name, image.architecture, archive=path))
    return found


def _names(image: ArchivedImage) -> list[str]:
    """Its full names. In OCI's layout skopeo and buildah write a tag alone, which is not a name."""
    return [name for name in image.names if "/" in name or ":" in name.partition("@")[0]]
