# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in nodes as they were requested, and what it takes for what was seen in the nodes. Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .._core import checks
from .._core.diagnosis import KicError, failure
from .._core.operations import Operation
from .._core.plan import Missing, Plan
from .._node.images import Held
from . import node_image_run as run

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tar.xz", ".txz")
"""Names of files in a directory that count as archives."""


@dataclass(frozen=True)
class NodeImagesSpec:
    """Images as they were requested."""

    cluster: str | None
    nodes: tuple[str, ...]
    """Names of nodes; () means all of the cluster."""
    present: bool
    images: tuple[str, ...]
    """Names in the engine's store, with their tags."""
    archives: tuple[str, ...]
    """Archives, and directories of archives."""
    timeout: float
    references: Mapping[str, str] = field(default_factory=dict)
    """What is looked up in the engine, where a name was given with a digest."""
    scripts: Mapping[str, str] = field(default_factory=dict)
    """What is run in nodes, by name."""
    expected: bool = False
    """Whether nodes that are not there yet are created by the same run."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> NodeImagesSpec:
        """From a module's parameters; raises ``invalid_option`` with all problems."""
        problems = checks.Problems()
        cluster = params["cluster"]
        problems.optional(checks.name, "cluster", cluster)
        for node in params["nodes"] or ():
            problems.take(checks.name, "nodes", node)
        if not cluster and not params["nodes"]:
            problems.add("cluster", "is missing", "name the cluster, or name nodes with the option nodes")
        names, archives, references = images_of("images", params["images"], problems)
        if params["timeout"] < 1:
            problems.add("timeout", "is not a time", "give it in seconds, like 600")
        problems.finish()
        return cls(
            cluster=cluster,
            nodes=tuple(dict.fromkeys(params["nodes"] or ())),
            present=params["state"] == "present",
            images=names,
            archives=archives,
            timeout=float(params["timeout"]),
            references=references,
            scripts=params["scripts"] or {},
        )


def images_of(
    option: str, given: Sequence[Any], problems: checks.Problems
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]:
    """Names of images, paths of archives, and references by name where one has a digest; what is wrong goes to ``problems``."""
    names: list[str] = []
    archives: list[str] = []
    references: dict[str, str] = {}
    if not given:
        problems.add(option, "is empty", "name an image of the engine's store, or the absolute path of an archive")
    for item in map(str, given):
        if item.startswith("/"):
            archives.append(os.path.normpath(item))
            continue
        if item.startswith(("./", "../", "~")):
            problems.add(option, f"{item!r} is not an absolute path", "write it from / on")
            continue
        base, digest = checks.split_digest(item)
        if digest is not None and ":" not in base.rpartition("/")[2]:
            problems.add(option, f"{item!r} has no tag, by which a pod could find it", "write it like app:1@sha256:...")
            continue
        name = problems.take(checks.image, option, base)
        if name:
            names.append(name)
            if digest is not None:
                references.update({name: problems.take(checks.image_reference, option, item) or name})
    return tuple(dict.fromkeys(names)), tuple(dict.fromkeys(archives)), references


@dataclass(frozen=True)
class Wanted:
    """An image that is meant."""

    name: str
    """As it was requested, or as the archive names it."""
    names: tuple[str, ...]
    """Its names in a node."""
    id: str = ""
    """Empty where nobody knows it yet."""
    tag: str = ""
    """A name that it has in the archive, or in what the engine saves."""
    architecture: str = ""
    archive: str = ""
    """Where it is from; empty for the engine's store."""
    saved: str = ""
    """What the engine is to save: its id, or a name of it."""

    def fits(self, held: Held) -> bool:
        """Whether a node has it, by all of its names."""
        return bool(self.id) and all(self.id in held.ids(name) for name in self.names)

    @property
    def request(self) -> dict[str, Any]:
        """What images-load.sh has to load."""
        return {"id": self.id, "tag": self.tag, "names": list(self.names)}


@dataclass(frozen=True)
class Sources:
    """What is known of the images that are meant."""

    wanted: tuple[Wanted, ...] = ()
    problems: tuple[KicError, ...] = ()
    """Of archives that are not there or cannot be read."""
    missing: tuple[str, ...] = ()
    """Names that the engine's store does not have."""


@dataclass(frozen=True)
class NodeSeen:
    """A node."""

    name: str
    id: str
    status: str
    """running, booting (nothing can be run in it yet), missing, or the engine's word for one that does not run."""
    held: Held = field(default_factory=Held)

    @property
    def stopped(self) -> bool:
        """Whether it is there and does not run."""
        return self.status not in ("running", "booting", "missing")


@dataclass(frozen=True)
class ObservedImages:
    """The nodes that are meant."""

    nodes: tuple[NodeSeen, ...]


def plan_images(spec: NodeImagesSpec, observed: ObservedImages, sources: Sources, engine: str) -> Plan:
    """What there is to do, node by node."""
    missing = _missing(spec, observed, sources, engine)
    # Of a node that the same run starts only check mode sees that it does not run. What it held when it ran it still holds.
    nodes = [item for item in observed.nodes if not (spec.expected and item.stopped)]
    booting = tuple(item.name for item in nodes if item.status == "booting")
    _refuse_twice(sources.wanted)
    wanted = _once(sources.wanted)
    before = {item.name: _held(item.held, wanted) for item in nodes}
    if not spec.present:
        after: dict[str, Any] = {item.name: {} for item in nodes}
        operations = _removals(nodes, wanted)
    else:
        _refuse_platform(nodes, wanted)
        after = {item.name: _expected(item.held, wanted) for item in nodes}
        operations = _loads(nodes, wanted)
    if booting:
        operations = (*(run.wait_for(name) for name in booting), *operations)
    return Plan(operations, before, after, missing=missing)


def _missing(spec: NodeImagesSpec, observed: ObservedImages, sources: Sources, engine: str) -> tuple[Missing, ...]:
    found: list[Missing] = []
    if not observed.nodes:
        error = failure("cluster_without_nodes", cluster=spec.cluster, engine=engine)
        found.append(Missing(error, f"The cluster {spec.cluster} has no node yet."))
    for item in observed.nodes:
        if item.status == "missing":
            error = failure("node_missing", node=item.name)
        elif item.stopped:
            error = failure("node_not_running", node=item.name, status=item.status, engine=engine)
        else:
            continue
        word = "exist" if item.status == "missing" else "run"
        warning = f"The node {item.name} does not {word} yet; what would be done is shown as if it had no image."
        found += [] if spec.expected else [Missing(error, warning)]
    if sources.missing:
        names = ", ".join(sources.missing)
        error = failure("image_missing", name=names, engine=engine)
        found.append(Missing(error, f"The engine's store does not have the image {names} yet."))
    for problem in sources.problems:
        if problem.diagnosis.id != "archive_missing":
            raise problem
        found.append(Missing(problem, f"{problem.diagnosis.cause[:1].upper()}{problem.diagnosis.cause[1:]}"))
    return tuple(found)


def _refuse_twice(wanted: Sequence[Wanted]) -> None:
    """Raise where one name would be that of two images."""
    seen: dict[str, Wanted] = {}
    for item in wanted:
        for name in item.names:
            other = seen.setdefault(name, item)
            if other.id != item.id:
                places = " and ".join(part.archive or f"the engine's store ({part.name})" for part in (other, item))
                problem = f"{name} would be the name of two images, from {places}"
                raise checks.invalid("images", problem, "leave out one of them")


def _once(wanted: Sequence[Wanted]) -> tuple[Wanted, ...]:
    """Without the images that another source brings by the same names. Loaded twice, one image has two manifests in a node, of which
    the name leads to one and the id to the other."""

    def brought(at: int, item: Wanted) -> bool:
        mine = set(item.names)
        others = ((place, set(other.names)) for place, other in enumerate(wanted) if other.id == item.id)
        return any(mine < names or (mine == names and place < at) for place, names in others)

    return tuple(item for at, item in enumerate(wanted) if not item.id or not brought(at, item))


def _refuse_platform(nodes: Sequence[NodeSeen], wanted: Sequence[Wanted]) -> None:
    for item in wanted:
        for node in nodes:
            machine = node.held.architecture
            if machine and item.architecture and item.architecture != machine:
                raise failure("node_platform", name=item.name, found=item.architecture, node=node.name, machine=machine)


def _held(held: Held, wanted: Sequence[Wanted]) -> dict[str, Any]:
    """The images by name with their ids, of those that are meant: the requested one where it is that, else what the node
    knows its own by."""
    found: dict[str, Any] = {}
    for item in wanted:
        for name in item.names:
            ids = held.ids(name)
            if ids:
                target = held.targets[name]
                found[name] = item.id if item.id in ids else min(ids - {target}, default=target)
    return found


def _expected(held: Held, wanted: Sequence[Wanted]) -> dict[str, Any]:
    return {**_held(held, wanted), **{name: item.id or None for item in wanted for name in item.names}}


def _loads(nodes: Sequence[NodeSeen], wanted: Sequence[Wanted]) -> tuple[Operation, ...]:
    """One operation for each source and node; what one source holds is read once, for all nodes that lack it."""
    operations: list[Operation] = []
    lacking = {node.name: [item for item in wanted if not item.fits(node.held)] for node in nodes}
    for node in nodes:
        for item in lacking[node.name]:
            known = node.held.name_of(item.id) if item.id else None
            if known is not None:
                names = [name for name in item.names if item.id not in node.held.ids(name)]
                work = partial(run.name, node.name, known, names)
                operations.append(Operation("name", "image", f"{item.name} in {node.name}", run=work))
                lacking[node.name] = [other for other in lacking[node.name] if other is not item]
    for archive in dict.fromkeys(item.archive for item in wanted):
        requests = {name: tuple(item for item in items if item.archive == archive) for name, items in lacking.items()}
        operations += _loads_of(archive, {name: items for name, items in requests.items() if items})
    return tuple(operations)


def _loads_of(archive: str, requests: Mapping[str, tuple[Wanted, ...]]) -> list[Operation]:
    every = dict.fromkeys(item for items in requests.values() for item in items)
    batch = run.Batch(
        archive,
        tuple(dict.fromkeys(item.saved or item.name for item in every if not item.archive)),
        {name: tuple(item.request for item in items) for name, items in requests.items()},
    )
    operations = [
        Operation(
            "load",
            "image",
            f"{', '.join(dict.fromkeys(item.name for item in items))} into {name}",
            archive,
            run=partial(run.load, batch, name),
        )
        for name, items in requests.items()
    ]
    # Which were done is known when the first one is: they are done together.
    texts = {name: str(item) for name, item in zip(requests, operations)}
    done = replace(batch, texts=texts)
    return [replace(item, run=partial(run.load, done, name)) for name, item in zip(requests, operations)]


def _removals(nodes: Sequence[NodeSeen], wanted: Sequence[Wanted]) -> tuple[Operation, ...]:
    operations = []
    for node in nodes:
        names = [name for item in wanted for name in item.names if name in node.held.targets]
        if names:
            every = (*dict.fromkeys(names), *node.held.only_name(names))
            text = ", ".join(dict.fromkeys(names))
            operations.append(
                Operation("remove", "image", f"{text} from {node.name}", run=partial(run.remove, node.name, every))
            )
    return tuple(operations)


def describe(observed: ObservedImages, plan: Plan) -> dict[str, Any]:
    """The images of each node by name, as a plan shows them before and after, of those that were requested."""
    names = {name for found in (*plan.before.values(), *plan.after.values()) for name in found}
    ids = {name: value for found in plan.after.values() for name, value in found.items()}
    result: dict[str, Any] = {}
    for node in observed.nodes:
        found = {}
        for name in sorted(names & node.held.targets.keys()):
            known = node.held.ids(name)
            target = node.held.targets[name]
            found[name] = ids[name] if ids.get(name) in known else min(known - {target}, default=target)
        result[node.name] = found
    return result
