# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: present under a name, from the engine's own store, an archive or a registry, in this order."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Callable

from .._core import checks
from .._core.diagnosis import KicError, failure
from .._core.drift import in_use, without_removed
from .._core.operations import Operation
from .._core.plan import Missing, Plan, Resource
from .._engine.base import Engine, EngineReader
from .._engine.model import Attached, Image

REACH_SECONDS = 5.0
"""How long a registry may take to answer before it counts as one that cannot be reached."""

PULL_SECONDS = 3600.0
"""The longest a pull may take: a gigabyte at 2.3 Mbit/s."""

# The tag or digest at the end of a reference; a port of the registry is no tag.
_TAG = r"(@.*|:[^:/]*)$"

# An OCI index may point to indexes; deeper than this no tool writes them, and a circle must end.
_INDEX_DEPTH = 4


@dataclass(frozen=True)
class ImageSpec:
    """An image as it was requested."""

    name: str
    """With its tag."""
    present: bool
    digest: str | None
    """Digest of the registry's manifest, or of its list of manifests."""
    source: str
    """auto, local, archive or registry."""
    archive: str | None
    image_id: str | None = None
    """The id that the archive's image must have: it comes from whoever built it."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ImageSpec:
        """From a module's parameters; raises ``invalid_option`` with all problems."""
        problems = checks.Problems()
        reference = problems.take(checks.image, "name", params["name"])
        base, pinned = checks.split_digest(reference) if reference else ("", None)
        name = checks.image("name", base) if base else ""
        present = params["state"] == "present"
        source, archive, digest = params["source"], params["archive"], params["digest"]
        problems.optional(checks.digest, "digest", digest)
        if pinned is not None and digest not in (None, pinned):
            problems.add("digest", f"{digest} is not the one that name ends in", "leave out one of the two")
        digest = digest or pinned
        if digest is not None and not present:
            problems.add("digest", "means nothing for an image that is to go", "leave digest out")
        image_id = params.get("image_id")
        if image_id is not None:
            problems.take(checks.digest, "image_id", f"sha256:{image_id}")
            if source != "archive":
                problems.add("image_id", "is compared with an archive's image only", "set source: archive")
        if archive is not None and not os.path.isabs(archive):
            problems.add("archive", f"{archive!r} is not an absolute path", "write it from / on")
        if source == "archive" and archive is None:
            problems.add("archive", "is missing for source: archive", "name the archive on the managed machine")
        if source == "registry" and name and checks.image_registry(name) is None:
            problems.add("name", f"{name!r} names no registry", f"write it like docker.io/library/{name}")
        problems.finish()
        return cls(name, present, digest, source, archive, image_id)

    @property
    def reference(self) -> str:
        """What to ask a registry for: with a digest the tag says nothing more, and podman takes only one of both."""
        return f"{self.name.rpartition(':')[0]}@{self.digest}" if self.digest else self.name


@dataclass(frozen=True)
class ArchivedImage:
    """An image in an archive. ``id`` is the digest of its configuration, which every engine uses as the image's id."""

    id: str
    names: tuple[str, ...]
    architecture: str
    digest: str | None
    """Digest of its manifest; None in docker's layout of archives, which has none."""
    content: str = field(default="", compare=False)
    """The digest that its configuration really has, which ``id`` only claims."""
    image: Image | None = field(default=None, compare=False)
    """As a store would describe it."""

    def stored_as(self, image: Image) -> bool:
        """Whether ``image`` of a store is this one: by its id, or where the store has ids of its own by what it is."""
        manifest = (self.digest or "").partition(":")[2]
        if image.id in (self.id, manifest):
            return True
        return self.image is not None and bool(image.layers) and image.content == self.image.content


@dataclass(frozen=True)
class ObservedImage:
    """The image that has the name, and who uses it (only filled where that matters)."""

    image: Image
    containers: tuple[Attached, ...] = ()


@dataclass(frozen=True)
class Offers:
    """Where an image that is not there could come from. Nothing was asked that the plan does not need."""

    machine: str = ""
    """The architecture of this machine."""
    same_digest: Image | None = None
    """An image of the store that has the digest and another name."""
    archive: tuple[ArchivedImage, ...] | None = None
    """None when no archive was named or it is not there (yet)."""
    lost: KicError | None = None
    """Why there is no archive, where it is the only source."""
    named: Mapping[str, Image] = field(default_factory=dict)
    """Images of the store by names that a load would take from them."""
    registry: KicError | None = None
    """Why the registry will not give the image."""
    registry_asked: bool = False
    registry_id: str = ""
    """Id of the image that the registry has; empty where it did not tell, or one is as good as another."""


def read_archive(path: str, name: str) -> tuple[ArchivedImage, ...]:
    """The images of an archive in docker's or OCI's layout, plain or compressed.

    ``name`` is for the message. Raises ``archive_missing`` and ``archive_unusable``.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            # A FIFO into which nobody writes would be waited for.
            raise ValueError("it is not a regular file")
        with tarfile.open(path, "r:*") as tar:
            members = {os.path.normpath(member.name): member for member in tar}

            def content(member: str) -> bytes:
                stream = tar.extractfile(members[member])
                if stream is None:
                    raise KeyError(member)
                return stream.read()

            def load(member: str) -> Any:
                return json.loads(content(member))

            if "manifest.json" in members:
                return tuple(_of_docker(content(item["Config"]), item) for item in load("manifest.json"))
            return tuple(
                found
                for manifest in load("index.json")["manifests"]
                for found in _of_index(content, manifest, _reference(manifest), 0)
            )
    except FileNotFoundError:
        raise failure("archive_missing", path=path) from None
    except Exception as error:
        # It is somebody's file: each part of it may be anything, and each way to compress it has errors of its own.
        reason = f"it is not an archive of images that can be read ({type(error).__name__}: {error})"
        raise failure("archive_unusable", path=path, reason=reason, engine="podman", name=name) from error


def _of_docker(config: bytes, item: Mapping[str, Any]) -> ArchivedImage:
    # "<id>.json" by docker save and podman save, "blobs/sha256/<id>" by newer docker.
    identity = os.path.basename(item["Config"]).partition(".")[0]
    content = hashlib.sha256(config).hexdigest()
    names, found = tuple(map(str, item.get("RepoTags") or ())), json.loads(config)
    return ArchivedImage(identity, names, str(found["architecture"]), None, content, _described(identity, found))


def _described(identity: str, found: Mapping[str, Any]) -> Image:
    """The image of a configuration (image-spec, config.md) as an engine's inspect shows it."""
    config = found.get("config") or {}
    return Image(
        id=identity,
        tags=(),
        digests=(),
        size=0,
        architecture=str(found.get("architecture", "")),
        labels=config.get("Labels") or {},
        environment=tuple(config.get("Env") or ()),
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        layers=tuple((found.get("rootfs") or {}).get("diff_ids") or ()),
        created=str(found.get("created") or ""),
    )


def _reference(manifest: Mapping[str, Any]) -> str:
    annotations = manifest.get("annotations") or {}
    # containerd (ctr, buildkit) writes the whole name under a key of its own, podman under OCI's.
    return str(
        annotations.get("io.containerd.image.name") or annotations.get("org.opencontainers.image.ref.name") or ""
    )


def _of_index(read: Any, manifest: Mapping[str, Any], reference: str, depth: int) -> list[ArchivedImage]:
    found = json.loads(read(_blob(manifest["digest"])))
    if "manifests" in found:
        if depth == _INDEX_DEPTH:
            return []
        return [image for item in found["manifests"] for image in _of_index(read, item, reference, depth + 1)]
    text = read(_blob(found["config"]["digest"]))
    config = json.loads(text)
    names = (reference,) if reference else ()
    identity = found["config"]["digest"].partition(":")[2]
    content = hashlib.sha256(text).hexdigest()
    described = _described(identity, config)
    architecture = str(config.get("architecture", "unknown"))
    return [ArchivedImage(identity, names, architecture, manifest["digest"], content, described)]


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def pick(spec: ImageSpec, images: tuple[ArchivedImage, ...], architecture: str, engine: str) -> ArchivedImage:
    """The image of an archive that is meant: the one with the name, or else the only one."""
    path = spec.archive or ""
    named = [image for image in images if any(has_name(spec.name, (name,)) for name in image.names)]
    candidates = named or list(images)
    fitting = [image for image in candidates if image.architecture == architecture]
    if not fitting and candidates:
        raise failure(
            "image_platform",
            name=f"{spec.name} of {path}",
            found=", ".join(sorted({image.architecture for image in candidates})),
            machine=architecture,
        )
    if spec.digest is not None:
        fitting = [image for image in fitting if image.digest == spec.digest]
        if not fitting:
            reason = f"no image in it has the digest {spec.digest}, which only OCI's layout of archives can show"
            raise failure("archive_unusable", path=path, reason=reason, engine=engine, name=spec.name)
    if len({image.id for image in fitting}) != 1:
        names = ", ".join(name for image in fitting for name in image.names) or "none"
        reason = f"it holds {len(fitting)} images and none of them is {spec.name} alone; names in it: {names}"
        raise failure("archive_unusable", path=path, reason=reason, engine=engine, name=spec.name)
    return fitting[0]


def has_name(name: str, tags: tuple[str, ...]) -> bool:
    """Whether ``name`` is among ``tags``, which hold full names; one without a registry may mean any of its own."""
    if checks.image_registry(name) is None and not name.startswith("localhost/"):
        return any(tag == name or tag.endswith("/" + name) for tag in tags)
    return name in tags


def plan_image(spec: ImageSpec, observed: ObservedImage | None, offers: Offers, machine: str, engine: str) -> Plan:
    """What there is to do. ``machine`` is the architecture of this machine."""
    before = describe(observed.image, spec.name) if observed is not None else {}
    if not spec.present:
        return _plan_absent(spec, observed, before, engine)
    fits = observed is not None and (spec.digest is None or spec.digest in observed.image.digests)
    if spec.source == "archive":
        return _plan_archive(spec, observed if fits else None, before, offers, machine, engine)
    moved = observed is not None and offers.registry_id not in ("", observed.image.id)
    if observed is not None and fits and offers.registry is None and not moved:
        if observed.image.architecture != machine:
            raise failure("image_platform", name=spec.name, found=observed.image.architecture, machine=machine)
        return Plan((), before, before)
    if offers.same_digest is not None:
        after = describe(offers.same_digest, spec.name)
        tag = _operation(
            "tag", spec, partial(_tag, spec, offers.same_digest.id), f"{spec.digest} is here under another name"
        )
        return Plan((tag,), before, after)
    if spec.source == "local":
        if observed is not None:
            found = ", ".join(observed.image.digests) or "none"
            raise failure("image_differs", name=spec.name, engine=engine, digest=spec.digest, found=found)
        raise failure("image_missing", name=spec.name, engine=engine)
    if spec.source == "auto" and offers.archive is not None:
        return _plan_archive(spec, None, before, offers, machine, engine)
    return _plan_pull(spec, before, offers, engine, moved=moved)


def _plan_absent(spec: ImageSpec, observed: ObservedImage | None, before: Mapping[str, Any], engine: str) -> Plan:
    if observed is None:
        return Plan()
    if observed.containers:
        raise in_use("image", spec.name, engine, [item.name for item in observed.containers])
    return Plan((_operation("remove", spec, lambda engine: engine.remove_image(spec.name)),), before, {})


def _plan_pull(spec: ImageSpec, before: Mapping[str, Any], offers: Offers, engine: str, *, moved: bool) -> Plan:
    warnings: tuple[str, ...] = ()
    if spec.source == "auto" and spec.archive is not None:
        warnings = (f"There is no archive {spec.archive}; the registry is next.",)
    if checks.image_registry(spec.name) is None:
        raise failure("image_missing", name=spec.name, engine=engine)
    if offers.registry is not None:
        raise offers.registry
    if not offers.registry_asked:
        warnings += (f"Without an engine nobody can ask whether the registry has {spec.reference}.",)
    after = {"name": spec.name, "id": offers.registry_id or None, "digest": spec.digest}
    why = f"{spec.reference}, which is another image there now" if moved else spec.reference
    pull = _operation("pull", spec, lambda engine: engine.pull_image(spec.reference, PULL_SECONDS), why)
    pull = replace(pull, undo=partial(_of_another_platform, spec))
    check = _operation("check", spec, partial(_check_pulled, spec), changes=False)
    return Plan((pull, check), before, after, warnings=warnings)


def _load(spec: ImageSpec) -> Operation:
    """An archive whose image is known may lie at another place at each run."""
    detail = f"sha256:{spec.image_id}" if spec.image_id else str(spec.archive)
    return _operation("load", spec, lambda engine: engine.load_image(str(spec.archive)), detail)


def _plan_archive(
    spec: ImageSpec,
    observed: ObservedImage | None,
    before: Mapping[str, Any],
    offers: Offers,
    machine: str,
    engine: str,
) -> Plan:
    if offers.archive is None:
        return _plan_lost_archive(spec, observed, before, offers)
    found = pick(spec, offers.archive, machine, engine)
    if spec.image_id not in (None, found.content):
        # Before anything is loaded: the name would be that of a stranger's image.
        reason = f"its image has the id {found.content}, and the image that was built has {spec.image_id}"
        raise failure("archive_unusable", path=str(spec.archive), reason=reason, engine=engine, name=spec.name)
    if observed is not None and found.stored_as(observed.image):
        return Plan((), before, before)
    after = {"name": spec.name, "id": found.id, "digest": spec.digest}
    check = _operation("check", spec, partial(_check_loaded, spec, found), changes=False)
    return Plan((_load(spec), check), before, after, warnings=_other_names(spec, offers, engine))


def _plan_lost_archive(
    spec: ImageSpec, observed: ObservedImage | None, before: Mapping[str, Any], offers: Offers
) -> Plan:
    """Only in check mode does a plan get this far without its archive: an earlier task would have made it."""
    error = offers.lost or failure("archive_missing", path=str(spec.archive))
    if spec.image_id is None:
        warning = f"There is no archive {spec.archive} yet, so what it holds cannot be seen."
        missing = Missing(error, warning)
    else:
        missing = Missing(error)
        if observed is not None and observed.image.id == spec.image_id:
            return Plan((), before, before, missing=(missing,))
    after = {"name": spec.name, "id": spec.image_id, "digest": spec.digest}
    return Plan((_load(spec),), before, after, missing=(missing,))


def _other_names(spec: ImageSpec, offers: Offers, engine: str) -> tuple[str, ...]:
    """A load takes all names of an archive. Raises where one of them is that of another image here: later runs would take it
    for the one that they know. One that is new is warned of."""
    archive = offers.archive or ()
    lost = [
        name
        for name, here in sorted(offers.named.items())
        if not any(name in item.names and item.stored_as(here) for item in archive)
    ]
    if lost:
        names = ", ".join(lost)
        raise failure("archive_overwrites", path=str(spec.archive), names=names, engine=engine, name=spec.name)
    others = names_beside(spec, archive)
    warning = f"The archive {spec.archive} also brings names that were not requested: {', '.join(others)}."
    return (warning,) if others else ()


def names_beside(spec: ImageSpec, archive: Collection[ArchivedImage]) -> list[str]:
    """The names in an archive that were not requested."""
    return sorted({name for item in archive for name in item.names if not has_name(spec.name, (name,))})


def _operation(
    verb: str, spec: ImageSpec, run: Callable[[Engine], Any], detail: str = "", *, changes: bool = True
) -> Operation:
    return Operation(verb, "image", spec.name, detail, changes=changes, run=run)


def _tag(spec: ImageSpec, identity: str, engine: Engine) -> None:
    _named(spec, engine.image(identity), engine)


def _check_pulled(spec: ImageSpec, engine: Engine) -> None:
    """See that what a pull brought is what was meant, and that it has its name."""
    found = engine.image(spec.reference)
    if found is not None and spec.digest is not None and spec.digest not in found.digests:
        digests = ", ".join(found.digests) or "none"
        _refuse_platform(spec, found, engine)
        raise failure("image_differs", name=spec.reference, engine=engine.name, digest=spec.digest, found=digests)
    _named(spec, found, engine)


def _of_another_platform(spec: ImageSpec, engine: Engine, _result: None, error: Exception) -> Exception | None:
    """podman only warns of an image for another processor, and keeps what cannot run here."""
    if not isinstance(error, KicError) or error.diagnosis.id != "image_platform":
        return None
    engine.remove_image(spec.reference)
    return error


def _check_loaded(spec: ImageSpec, archived: ArchivedImage, engine: Engine) -> None:
    """Find what an archive brought and name it: by its id, or where the store has ids of its own by a name of it, or as one
    without a name: containerd's store takes no name from an archive that podman, buildah or skopeo wrote in OCI's layout."""
    found = (engine.image(reference) for reference in (archived.id, spec.name, *archived.names))
    here = next((image for image in found if image is not None and archived.stored_as(image)), None)
    _named(spec, here or next((image for image in engine.nameless_images() if archived.stored_as(image)), None), engine)


def _named(spec: ImageSpec, found: Image | None, engine: Engine) -> None:
    if found is None:
        raise failure("vanished", kind="image", name=spec.reference)
    _refuse_platform(spec, found, engine)
    if not has_name(spec.name, found.tags):
        engine.tag_image(found.id, spec.name)


def _refuse_platform(spec: ImageSpec, found: Image, engine: Engine) -> None:
    if found.architecture != engine.info.architecture:
        raise failure("image_platform", name=spec.name, found=found.architecture, machine=engine.info.architecture)


def _may_move(spec: ImageSpec, image: Image) -> bool:
    """Whether the name can come to mean another image than ``image``, in a way that can be seen.

    A digest cannot. Where docker keeps images in containerd's store, it names them by their manifest (docker 29's
    default), and its client shows no digest of a list of manifests to compare with.
    """
    return spec.digest is None and f"sha256:{image.id}" not in image.digests


def describe(image: Image, name: str) -> dict[str, Any]:
    """The fields that a diff shows."""
    return {"name": name, "id": image.id, "digest": image.digests[0] if image.digests else None}


class ImageResource(Resource[ObservedImage, Offers]):
    """The image of an :class:`ImageSpec` on an engine.

    :param removed: in check mode, nodes that earlier tasks of the run remove.
    """

    kind = "image"
    # A name is nobody's to allocate, and a registry or an archive takes its time.
    lock_name = ""

    def __init__(self, spec: ImageSpec, engine: Engine, removed: Collection[str] = ()) -> None:
        self.name = spec.name
        self.seam = engine
        self._spec = spec
        self._engine: EngineReader = engine
        self._removed = removed

    def observe(self) -> ObservedImage | None:
        found = self._engine.image(self.name)
        # An engine also takes the beginning of an id for a name.
        if found is None or not has_name(self.name, found.tags):
            return None
        users = [] if self._spec.present else self._engine.attached_to_image(found.id)
        return ObservedImage(found, without_removed(users, self._removed))

    def survey(self, observed: ObservedImage | None, refused: frozenset[Any] = frozenset()) -> Offers:
        """Where the image could come from; stops at the first place that has it."""
        spec = self._spec
        if not spec.present:
            return Offers()
        machine = self._engine.info.architecture
        return replace(self._offers(observed, machine), machine=machine)

    def _offers(self, observed: ObservedImage | None, machine: str) -> Offers:
        spec = self._spec
        if spec.source == "archive":
            return self._read_archive(observed)
        here = observed is not None and (spec.digest is None or spec.digest in observed.image.digests)
        if observed is not None and here and (spec.source != "registry" or not _may_move(spec, observed.image)):
            return Offers()
        if spec.digest is not None:
            same = self._engine.image(spec.reference)
            if same is not None and spec.digest in same.digests:
                return Offers(same_digest=same)
        if spec.source == "auto" and spec.archive:
            found = self._read_archive(observed)
            if found.archive is not None:
                return found
        if spec.source == "local" or checks.image_registry(spec.name) is None:
            return Offers()
        try:
            return self._ask(machine, compare=here)
        except KicError as error:
            return Offers(registry=error, registry_asked=True)

    def _ask(self, machine: str, *, compare: bool) -> Offers:
        """What the registry has; of a list of images the id of ours costs a second question, asked to ``compare``."""
        spec, engine = self._spec, self._engine
        offered = engine.ask_registry(spec.reference, REACH_SECONDS)
        if offered is not None and offered.platforms:
            fitting = [digest for architecture, digest in offered.platforms if architecture == machine]
            if not fitting:
                found = ", ".join(sorted({architecture for architecture, _digest in offered.platforms}))
                raise failure("image_platform", name=spec.name, found=found, machine=machine)
            if compare:
                own = f"{re.sub(_TAG, '', spec.reference)}@{fitting[0]}"
                offered = engine.ask_registry(own, REACH_SECONDS)
        return Offers(registry_asked=offered is not None, registry_id=offered.id if offered is not None else "")

    def _read_archive(self, observed: ObservedImage | None) -> Offers:
        """What the archive holds, and whose its other names are here, where it may be loaded."""
        try:
            archive = read_archive(str(self._spec.archive), self.name)
        except KicError as error:
            if error.diagnosis.id != "archive_missing":
                raise
            return Offers(lost=error)
        if observed is not None and any(item.stored_as(observed.image) for item in archive):
            return Offers(archive=archive)
        found = {name: self._engine.image(name) for name in names_beside(self._spec, archive)}
        named = {name: here for name, here in found.items() if here is not None and has_name(name, here.tags)}
        return Offers(archive=archive, named=named)

    def plan(self, observed: ObservedImage | None, survey: Offers) -> Plan:
        return plan_image(self._spec, observed, survey, survey.machine, self._engine.name)

    def describe(self, observed: ObservedImage | None, plan: Plan) -> dict[str, Any]:
        if not plan.after or observed is None:
            return {}
        image = observed.image
        digest = self._spec.digest or (image.digests[0] if image.digests else None)
        return {"id": image.id, "digest": digest, "tags": sorted(image.tags), "size": image.size}

    def predict(self, observed: ObservedImage | None, survey: Offers, plan: Plan) -> dict[str, Any]:
        if not plan.after:
            return {}
        if observed is None or (plan.changed and plan.after["id"] not in (None, observed.image.id)):
            # What the run would bring, as far as it can be known before.
            return {"id": plan.after["id"], "digest": plan.after["digest"], "tags": [self.name], "size": None}
        return self.describe(observed, plan)
