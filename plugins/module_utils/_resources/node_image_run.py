# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations on images in nodes: each is a script or a command inside of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._command import CommandResult
from .._core.diagnosis import KicError, failure, keep_done
from .._core.operations import Again, Operation
from .._engine.base import Engine
from .._engine.model import Reader
from .._host.pipe import reachable
from .._node import boot, images
from .._node.images import BUSY, CTR, LOOK_SECONDS, Held, decode
from .._node.scripts import Scripts, script

WAIT_SECONDS = 120
"""How long the containerd of a node that starts may take to answer."""

_NO_IMAGE = 3
"""The exit code of images-load.sh where an archive does not hold what is requested."""

_DAMAGED = re.compile(r"wrong diff id|Unexpected EOF in archive|invalid tar header|archive/tar:|gzip: invalid")
"""containerd 1.7 of a layer that is another than its image says; GNU tar 1.35; Go's archive/tar below containerd."""


@dataclass(frozen=True)
class Batch:
    """What one source gives to several nodes at once."""

    archive: str
    """Empty for the engine's store."""
    saved: tuple[str, ...]
    """What the engine saves."""
    requests: Mapping[str, Sequence[Mapping[str, Any]]] = field(hash=False)
    """By node."""
    texts: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)
    """The operations by node, as they are reported."""

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """What it is known by."""
        return self.archive, self.saved


@dataclass
class NodeImageSeam:
    """What the operations work on."""

    engine: Engine
    scripts: Scripts
    timeout: float
    loaded: dict[tuple[str, tuple[str, ...]], Mapping[str, CommandResult]] = field(default_factory=dict)
    """Batches that were given to their nodes, with the answers of these."""

    processes: dict[str, tuple[int, str]] = field(default_factory=dict)
    """The first process and the id of each node's container."""

    def reader(self, node: str, request: Sequence[Mapping[str, Any]]) -> Reader:
        """What takes images in a node; by a pipe where that can be reached, else by the engine's client."""
        pid, identity = self.processes.get(node, (0, ""))
        text = json.dumps(request)
        if not reachable(pid, identity):
            return Reader(self.script("images-load", "", text))
        pipe = f"/run/nodeforge.kic/images-{os.urandom(8).hex()}"
        return Reader(self.script("images-load", pipe, text), pid, pipe)

    def script(self, name: str, *arguments: str) -> list[str]:
        """The command that runs a script in a node."""
        return script(self.scripts, name, *arguments)


def look(seam: NodeImageSeam, node: str, seconds: int) -> Held | None:
    """What the containerd of a node holds; None where it does not answer within ``seconds``."""
    result = seam.engine.exec(
        node,
        seam.script("images-look", str(seconds)),
        action=f"listing the images of {node}",
        timeout=seconds + LOOK_SECONDS,
        check=False,
    )
    if result.rc == BUSY:
        return None
    if result.rc != 0:
        raise images.refuse_unanswered(node, seam.engine.name, result.words)
    return decode(result.out)


def wait_for(node: str) -> Operation:
    """The operation that waits until the containerd of a node answers; then is known what it holds."""

    def work(seam: NodeImageSeam) -> None:
        container = seam.engine.container(node)
        if container is None:
            raise failure("node_missing", node=node)
        boot.enter(seam.engine, container, WAIT_SECONDS)
        if look(seam, node, WAIT_SECONDS) is None:
            output = f"it did not answer within {WAIT_SECONDS} seconds"
            raise images.refuse_unanswered(node, seam.engine.name, output)
        raise Again

    return Operation("wait for", "containerd in", node, changes=False, run=work)


def name(node: str, known: str, names: Sequence[str], seam: NodeImageSeam) -> None:
    """Give an image that the node has further names."""
    command = [*CTR, "images", "tag", "--force", known, *names]
    seam.engine.exec(node, command, action=f"naming the image {known} in {node}", timeout=LOOK_SECONDS)


def remove(node: str, names: Sequence[str], seam: NodeImageSeam) -> None:
    """Take names from images of a node."""
    action = f"removing images of {node}"
    seam.engine.exec(node, seam.script("images-remove", *names), action=action, timeout=LOOK_SECONDS * 4)


def load(batch: Batch, node: str, seam: NodeImageSeam) -> None:
    """Have a node take its part of what one source gives; the first operation of a batch reads it for all of its nodes.

    Where this node fails, what the others have taken is noted in the failure.
    """
    first = batch.key not in seam.loaded
    if first:
        commands = {item: seam.reader(item, list(request)) for item, request in batch.requests.items()}
        seam.loaded[batch.key] = seam.engine.feed_images(batch.archive or batch.saved, commands, seam.timeout)
    result = seam.loaded[batch.key][node]
    if result.rc == 0:
        return
    error = _explain(batch, node, seam, result)
    if first:
        done = tuple(batch.texts[item] for item, other in seam.loaded[batch.key].items() if other.rc == 0)
        keep_done(error, done)
    raise error


def _explain(batch: Batch, node: str, seam: NodeImageSeam, result: CommandResult) -> KicError:
    """The cause of a load that failed in a node."""
    engine, words = seam.engine.name, result.words
    names = ", ".join(str(item["names"][0]) for item in batch.requests[node])
    if result.timed_out:
        return failure(
            "timed_out",
            output=words,
            action=f"loading {names} into {node}",
            seconds=seam.timeout,
            why="the image is large for this machine, or the node's containerd hangs",
            fix=f"see whether it works: {engine} exec {node} ctr -n k8s.io content active; or give it more time (timeout)",
        )
    if "No space left on device" in words or "no space left on device" in words:
        return failure("node_disk_full", output=words, node=node, engine=engine, name=names)
    if batch.archive and (result.rc == _NO_IMAGE or _DAMAGED.search(words)):
        return failure("archive_unusable", output=words, path=batch.archive, reason=words, engine=engine, name=names)
    now = seam.engine.container(node)
    if now is None or not now.running:
        return failure("node_not_running", output=words, node=node, status=now.status if now else "gone", engine=engine)
    return failure("image_not_loaded", output=words, node=node, engine=engine, name=names)
