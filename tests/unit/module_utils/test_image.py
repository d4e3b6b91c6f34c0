# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives of images, plans of images, and how they are done on an engine in memory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError, failure
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, Plan, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import docker, podman
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Attached
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.image import (
    ArchivedImage,
    ImageResource,
    ImageSpec,
    ObservedImage,
    Offers,
    has_name,
    pick,
    plan_image,
    read_archive,
)
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import (
    DOCKER,
    RECORDED,
    MemoryEngine,
    engine_info,
    fails,
    image,
    image_params,
    recorded,
)

NAME = "registry.example/team/node:v1"
DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64


def spec(**given: Any) -> ImageSpec:
    """An image as a user asks for it."""
    return ImageSpec.from_params(image_params(**given))


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"name": ""}, "name: is empty", "docker.io/kindest/node:v1.35.0"),
    ({"name": "A/b"}, "name: 'A/b' is not an image name", "write it as a/b"),
    ({"name": "A b"}, "name: 'A b' is not an image name", "write it like docker.io"),
    ({"name": f"a@{DIGEST[:-1]}"}, "does not end in a valid digest", "64 hexadecimal digits, or leave it out"),
    ({"name": f"a@{DIGEST}", "digest": f"sha256:{'9' * 64}"}, "is not the one that name ends in", "leave out one"),
    ({"digest": "1234"}, "digest: '1234' is not a digest", "sha256: and 64 hexadecimal digits"),
    ({"digest": DIGEST, "state": "absent"}, "digest: means nothing for an image that is to go", "leave digest out"),
    ({"archive": "x.tar"}, "archive: 'x.tar' is not an absolute path", "write it from / on"),
    ({"source": "archive"}, "archive: is missing for source: archive", "name the archive"),
    ({"image_id": "1" * 64}, "image_id: is compared with an archive's image only", "set source: archive"),
    ({"image_id": "x", "source": "archive", "archive": "/a"}, "image_id: 'sha256:x' is not a digest", "64 hexadecimal"),
    ({"source": "registry", "name": "node:v1"}, "name: 'node:v1' names no registry", "docker.io/library/node:v1"),
]


@pytest.mark.parametrize("name", ["r.example/a:1", "r.example/a"])
def test_digest_in_the_name(name: str) -> None:
    """A reference with a digest, as people copy it, is the name and the option digest."""
    found = spec(name=f"{name}@{DIGEST}")
    assert (found.name, found.digest) == ("r.example/a:1" if ":" in name else "r.example/a:latest", DIGEST)
    assert found == spec(name=name, digest=DIGEST)


@pytest.mark.parametrize(("given", "problem", "fix"), BAD, ids=[item[1] for item in BAD])
def test_bad_option(given: dict[str, Any], problem: str, fix: str) -> None:
    """A value that cannot be used is refused; the message names option, problem and what to write."""
    with fails("invalid_option", problem, fix):
        spec(**given)


def test_reference() -> None:
    """A registry is asked by tag, or by digest where one is given."""
    assert spec().reference == NAME
    assert spec(name="localhost:5000/node").reference == "localhost:5000/node:latest"
    assert spec(name="localhost:5000/node", digest=DIGEST).reference == f"localhost:5000/node@{DIGEST}"


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        (NAME, (NAME,), True),
        (NAME, ("registry.example/team/node:v2",), False),
        (NAME, (), False),
        ("node:v1", ("localhost/node:v1",), True),
        ("node:v1", ("docker.io/library/node:v1",), True),
        ("node:v1", ("docker.io/library/bignode:v1",), False),
        ("localhost/node:v1", ("docker.io/localhost/node:v1",), False),
        ("localhost/node:v1", ("localhost/node:v1",), True),
        ("team/node:v1", ("localhost/team/node:v1",), True),
    ],
)
def test_has_name(name: str, tags: tuple[str, ...], expected: bool) -> None:
    """A short name means any full name that ends so; one with a registry, or of this machine, means itself."""
    assert has_name(name, tags) is expected


# Archives.


def write_archive(path: Path, files: dict[str, Any], mode: str = "w", prefix: str = "") -> str:
    """A tar archive of JSON files; a value of bytes is written as it is."""
    with tarfile.open(str(path), mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return str(path)


class Oci:
    """The files of an archive in OCI's layout."""

    def __init__(self) -> None:
        self.files: dict[str, Any] = {"oci-layout": {"imageLayoutVersion": "1.0.0"}}

    def blob(self, content: Any) -> str:
        """Put a JSON blob in; returns its digest."""
        data = json.dumps(content).encode()
        digest = hashlib.sha256(data).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = data
        return f"sha256:{digest}"

    def manifest(self, architecture: str, **more: Any) -> tuple[str, str]:
        """An image of this architecture: the digests of its manifest and its configuration."""
        config = self.blob({"architecture": architecture, **more})
        return self.blob({"config": {"digest": config}, "layers": []}), config

    def index(self, *manifests: dict[str, Any]) -> dict[str, Any]:
        """All files, with this index."""
        return {**self.files, "index.json": {"manifests": list(manifests)}}


def docker_files(*images: tuple[str, str, list[str] | None]) -> dict[str, Any]:
    """The files of an archive in docker's layout: id, architecture and names of each image."""
    files: dict[str, Any] = {f"{identity}.json": {"architecture": arch} for identity, arch, _names in images}
    manifest = [{"Config": f"{identity}.json", "RepoTags": names} for identity, _arch, names in images]
    return {**files, "manifest.json": manifest}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
@pytest.mark.parametrize("prefix", ["", "./"], ids=["plain names", "names from ./ on"])
def test_docker_archive(tmp_path: Path, mode: str, prefix: str) -> None:
    """An archive in docker's layout is read, plain and compressed; it has no digests of manifests."""
    files = docker_files(("a" * 64, "amd64", [NAME, "x:1"]), ("b" * 64, "arm64", None))
    assert read_archive(write_archive(tmp_path / "a.tar", files, mode, prefix), NAME) == (
        ArchivedImage("a" * 64, (NAME, "x:1"), "amd64", None),
        ArchivedImage("b" * 64, (), "arm64", None),
    )


def test_docker_archive_with_blobs(tmp_path: Path) -> None:
    """Newer docker keeps the configuration among blobs; its name is the id there too."""
    files = {
        "blobs/sha256/" + "c" * 64: {"architecture": "amd64"},
        "manifest.json": [{"Config": "blobs/sha256/" + "c" * 64, "RepoTags": [NAME]}],
        "index.json": {"manifests": []},
    }
    assert read_archive(write_archive(tmp_path / "a.tar", files), NAME) == (
        ArchivedImage("c" * 64, (NAME,), "amd64", None),
    )


@pytest.mark.parametrize(
    ("annotations", "names"),
    [
        ({"org.opencontainers.image.ref.name": NAME}, (NAME,)),
        ({"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "v1"}, (NAME,)),
        (None, ()),
    ],
    ids=["podman", "containerd", "none"],
)
def test_oci_archive(tmp_path: Path, annotations: dict[str, str] | None, names: tuple[str, ...]) -> None:
    """An archive in OCI's layout is read with its manifest's digest and the name in the way of its maker."""
    oci = Oci()
    digest, config = oci.manifest("amd64")
    path = write_archive(tmp_path / "a.tar", oci.index({"digest": digest, "annotations": annotations}))
    assert read_archive(path, NAME) == (ArchivedImage(config.partition(":")[2], names, "amd64", digest),)


def test_oci_archive_of_platforms(tmp_path: Path) -> None:
    """An index in an index gives all its images under the name of the outer one; a manifest of no image is unknown."""
    oci = Oci()
    amd, arm, signature = oci.manifest("amd64"), oci.manifest("arm64"), oci.blob({"config": {"digest": oci.blob({})}})
    inner = oci.blob({"manifests": [{"digest": amd[0]}, {"digest": arm[0]}, {"digest": signature}]})
    files = oci.index({"digest": inner, "annotations": {"org.opencontainers.image.ref.name": NAME}})
    found = read_archive(write_archive(tmp_path / "a.tar", files), NAME)
    assert [(item.architecture, item.names) for item in found] == [
        ("amd64", (NAME,)),
        ("arm64", (NAME,)),
        ("unknown", (NAME,)),
    ]
    assert [item.digest for item in found] == [amd[0], arm[0], signature]


def test_oci_archive_that_goes_round(tmp_path: Path) -> None:
    """An index that leads to itself ends."""
    digest = "sha256:" + "d" * 64
    circle = {"manifests": [{"digest": digest}]}
    files = {"blobs/sha256/" + "d" * 64: circle, "index.json": circle}
    assert read_archive(write_archive(tmp_path / "a.tar", files), NAME) == ()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (b"no tar at all", "ReadError"),
        (b"", "ReadError"),
        ({"other": {}}, "KeyError: 'index.json'"),
        ({"manifest.json": b"{"}, "JSONDecodeError"),
        ({"manifest.json": [{"Config": "missing.json"}]}, "KeyError: 'missing.json'"),
        ({"index.json": {"manifests": [{"digest": DIGEST}]}}, "KeyError: 'blobs/sha256/1111"),
        ({"index.json": ["a"]}, "TypeError"),
        ({"index.json": {"manifests": ["a"]}}, "AttributeError"),
        ({"index.json": {"manifests": [{"digest": 1}]}}, "AttributeError"),
        ({"manifest.json": [{"Config": "c"}], "c": {"architecture": "amd64", "rootfs": ["a"]}}, "AttributeError"),
        ({"manifest.json": b"[" * 100_000}, "RecursionError"),
    ],
    ids=[
        *("no tar", "empty", "other content", "damaged", "no configuration", "no blob", "other shape", "words"),
        *("number for a digest", "list for a mapping", "without end"),
    ],
)
def test_archive_unusable(tmp_path: Path, files: Any, words: str) -> None:
    """An archive that cannot be read is named with what is wrong, and how to make it again."""
    path = tmp_path / "a.tar"
    if isinstance(files, bytes):
        path.write_bytes(files)
    else:
        write_archive(path, files)
    with fails("archive_unusable", str(path), words, f"podman save --format oci-archive --output {path} {NAME}"):
        read_archive(str(path), NAME)


def test_archive_cut_short(tmp_path: Path) -> None:
    """An archive whose copy was interrupted is unusable, not half read."""
    path = tmp_path / "a.tar"
    write_archive(path, docker_files(("a" * 64, "amd64", [NAME])), "w:gz")
    path.write_bytes(path.read_bytes()[:-40])
    with fails("archive_unusable"):
        read_archive(str(path), NAME)


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_damaged_archive(tmp_path: Path, mode: str) -> None:
    """Each way to compress has errors of its own for what is damaged; none of them is a defect of the collection."""
    path = tmp_path / "a.tar"
    write_archive(path, {**docker_files(("a" * 64, "amd64", [NAME])), "layer": os.urandom(4000).hex().encode()}, mode)
    whole = path.read_bytes()
    for at in range(0, len(whole), 131):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 0x55,)) + whole[at + 1 :])
        with suppress(KicError):
            read_archive(str(path), NAME)


def test_fifo_is_no_archive(tmp_path: Path) -> None:
    """Nobody waits for somebody who may write into it."""
    os.mkfifo(tmp_path / "a.tar")
    with fails("archive_unusable", "it is not a regular file"):
        read_archive(str(tmp_path / "a.tar"), NAME)


def test_names_and_architectures_of_any_kind(tmp_path: Path) -> None:
    """Whatever somebody has put into an archive is compared with names as text."""
    files = {"manifest.json": [{"Config": "c", "RepoTags": [1, None]}], "c": {"architecture": ["amd64"]}}
    (found,) = read_archive(write_archive(tmp_path / "a.tar", files), NAME)
    assert (found.names, found.architecture) == (("1", "None"), "['amd64']") and not has_name(NAME, found.names)
    with fails("image_platform"):
        pick(spec(), (found,), "amd64", "podman")


def test_directory_is_no_archive(tmp_path: Path) -> None:
    """A directory is not an archive."""
    with fails("archive_unusable", "it is not a regular file"):
        read_archive(str(tmp_path), NAME)


def test_archive_missing(tmp_path: Path) -> None:
    """An archive that is not there is missing, which is another thing than unusable."""
    with fails("archive_missing", f"there is no archive {tmp_path}/none.tar", "ansible.builtin.copy"):
        read_archive(f"{tmp_path}/none.tar", NAME)


ONE = ArchivedImage("1", (NAME,), "amd64", DIGEST)
ARM = ArchivedImage("2", (NAME,), "arm64", OTHER)
NAMELESS = ArchivedImage("3", (), "amd64", OTHER)
SECOND = ArchivedImage("4", ("second:v1",), "amd64", OTHER)


@pytest.mark.parametrize(
    ("digest", "images", "picked"),
    [
        (None, (ONE,), ONE),
        (None, (ONE, ARM), ONE),
        (None, (SECOND, ONE), ONE),
        (None, (NAMELESS,), NAMELESS),
        (None, (SECOND,), SECOND),
        (None, (ONE, ONE), ONE),
        (DIGEST, (ONE,), ONE),
        (OTHER, (NAMELESS, ARM), None),
    ],
    ids=["named", "of this platform", "among others", "nameless", "only one", "twice", "digest", "name wins"],
)
def test_pick(digest: str | None, images: tuple[ArchivedImage, ...], picked: ArchivedImage | None) -> None:
    """Of an archive that image is meant which has the name, else the only one, made for this machine."""
    asked = spec(archive="/a.tar", digest=digest)
    if picked is None:
        with fails("image_platform", "arm64"):
            pick(asked, images, "amd64", "podman")
    else:
        assert pick(asked, images, "amd64", "podman") == picked


@pytest.mark.parametrize(
    ("digest", "images", "condition", "words"),
    [
        (None, (ARM,), "image_platform", f"the image {NAME} of /a.tar is made for arm64, this machine is amd64"),
        (None, (NAMELESS, SECOND), "archive_unusable", "it holds 2 images and none of them is"),
        (None, (NAMELESS, SECOND), "archive_unusable", "names in it: second:v1"),
        (None, (), "archive_unusable", "it holds 0 images"),
        (OTHER, (ONE,), "archive_unusable", f"no image in it has the digest {OTHER}"),
    ],
    ids=["other platform", "many", "names", "empty", "other digest"],
)
def test_pick_refuses(digest: str | None, images: tuple[ArchivedImage, ...], condition: str, words: str) -> None:
    """An archive that does not hold what is meant is refused with what it does hold."""
    with fails(condition, words):
        pick(spec(archive="/a.tar", digest=digest), images, "amd64", "podman")


# Plans.

HERE = image(id="i" * 64, tags=(NAME,), digests=(DIGEST,))


def planned(asked: ImageSpec, found: Any = None, offers: Offers | None = None, users: tuple[str, ...] = ()) -> Plan:
    """The plan for an amd64 machine."""
    observed = ObservedImage(found, tuple(Attached(name, name, {}) for name in users)) if found else None
    return plan_image(asked, observed, offers or Offers(), "amd64", "podman")


@pytest.mark.parametrize("source", ["auto", "local", "registry"])
@pytest.mark.parametrize("digest", [None, DIGEST], ids=["by name", "by digest"])
def test_image_is_here(source: str, digest: str | None) -> None:
    """An image that is in the store is not fetched, wherever it may come from."""
    plan = planned(spec(source=source, digest=digest), HERE)
    assert not plan.changed
    assert plan.after == plan.before == {"name": NAME, "id": "i" * 64, "digest": DIGEST}


def test_image_here_for_another_machine() -> None:
    """An image of the store that is made for another processor is refused."""
    with fails("image_platform", "is made for arm64, this machine is amd64"):
        planned(spec(), image(tags=(NAME,), architecture="arm64"))


WHERE_FROM: list[tuple[dict[str, Any], Any, Offers, str, dict[str, str]]] = [
    (
        {"digest": OTHER},
        HERE,
        Offers(same_digest=image(id="s")),
        f"tag image {NAME}: {OTHER} is here under another name",
        {"id": "s"},
    ),
    ({"archive": "/a.tar"}, None, Offers(archive=(ONE,)), f"load image {NAME}: /a.tar", {"id": "1"}),
    (
        {"source": "archive", "archive": "/a.tar"},
        None,
        Offers(archive=(ONE,)),
        f"load image {NAME}: /a.tar",
        {"id": "1"},
    ),
    (
        {"source": "archive", "archive": "/a.tar"},
        HERE,
        Offers(archive=(ONE,)),
        f"load image {NAME}: /a.tar",
        {"id": "1"},
    ),
    ({}, None, Offers(registry_asked=True), f"pull image {NAME}: {NAME}", {}),
    ({"source": "registry"}, None, Offers(registry_asked=True), f"pull image {NAME}: {NAME}", {}),
    (
        {"digest": OTHER},
        HERE,
        Offers(registry_asked=True),
        f"pull image {NAME}: registry.example/team/node@{OTHER}",
        {},
    ),
]


@pytest.mark.parametrize(
    ("asked", "found", "offers", "action", "chosen"),
    WHERE_FROM,
    ids=["tag", "archive before registry", "archive", "archive has another", "registry", "registry only", "by digest"],
)
def test_where_from(asked: dict[str, Any], found: Any, offers: Offers, action: str, chosen: dict[str, str]) -> None:
    """An image that is not here comes from another name, an archive or the registry, in this order."""
    plan = planned(spec(**asked), found, offers)
    assert [str(item) for item in plan.actions] == [action]
    assert plan.warnings == ()
    assert plan.after["name"] == NAME
    assert plan.after["id"] == chosen.get("id")


def test_archive_holds_what_is_here() -> None:
    """An image of the store that is the archive's own is not loaded again."""
    plan = planned(spec(source="archive", archive="/a.tar"), image(id="1", tags=(NAME,)), Offers(archive=(ONE,)))
    assert not plan.changed


def test_missing_archive_in_check_mode() -> None:
    """An archive that an earlier task is about to make cannot be looked into, which is told."""
    plan = planned(spec(source="archive", archive="/a.tar"))
    assert [str(item) for item in plan.actions] == [f"load image {NAME}: /a.tar"]
    warnings = [item.warning for item in plan.missing]
    assert warnings == ["There is no archive /a.tar yet, so what it holds cannot be seen."]


def test_missing_archive_leads_to_registry() -> None:
    """With source auto an archive that is not there is told, and the registry asked."""
    plan = planned(spec(archive="/a.tar"), None, Offers(registry_asked=True))
    assert [item.verb for item in plan.actions] == ["pull"]
    assert plan.warnings == ("There is no archive /a.tar; the registry is next.",)


def test_registry_that_nobody_could_ask() -> None:
    """Without an engine the plan says that the registry was not asked."""
    assert planned(spec()).warnings == (f"Without an engine nobody can ask whether the registry has {NAME}.",)


@pytest.mark.parametrize(
    ("asked", "found", "offers", "condition", "words"),
    [
        ({"source": "local"}, None, Offers(), "image_missing", f"the image {NAME} is not in podman's store"),
        (
            {"source": "local", "digest": OTHER},
            HERE,
            Offers(),
            "image_differs",
            f"does not have the digest {OTHER}, it has {DIGEST}",
        ),
        ({"source": "local", "digest": OTHER}, image(tags=(NAME,)), Offers(), "image_differs", "it has none"),
        ({"name": "localhost/x:1"}, None, Offers(), "image_missing", "localhost/x:1"),
        ({"name": "x:1"}, None, Offers(), "image_missing", "nodeforge.kic.oci_image"),
        (
            {},
            None,
            Offers(registry=failure("registry_unreachable", name=NAME, seconds=5.0, registry="registry.example")),
            "registry_unreachable",
            "within 5 seconds",
        ),
    ],
    ids=["local", "other digest", "no digest", "of this machine", "no registry", "registry failed"],
)
def test_nowhere(asked: dict[str, Any], found: Any, offers: Offers, condition: str, words: str) -> None:
    """An image that no place gives is an error that says why."""
    with fails(condition, words):
        planned(spec(**asked), found, offers)


def test_absent() -> None:
    """An image that is to be absent is removed, once, and not while containers use it."""
    assert planned(spec(state="absent")) == Plan()
    plan = planned(spec(state="absent"), HERE)
    assert [str(item) for item in plan.actions] == [f"remove image {NAME}"]
    assert (plan.before["id"], plan.after) == ("i" * 64, {})
    with fails("in_use", f"the image {NAME} is used by the containers node-1"):
        planned(spec(state="absent"), HERE, users=("node-1",))


# Doing it.


def run(engine: MemoryEngine, check_mode: bool = False, **given: Any) -> Outcome:
    """What the module oci_image does."""
    return converge(ImageResource(spec(**given), engine), check_mode=check_mode, lock=nullcontext)


def test_run_from_archive(tmp_path: Path) -> None:
    """An image is loaded and gets its name, once; later the archive is not needed."""
    path = write_archive(tmp_path / "a.tar", docker_files(("a" * 64, "amd64", None)))
    engine = MemoryEngine()
    engine.archives[path] = [image(id="a" * 64, tags=(), size=7)]
    first = run(engine, archive=path)
    assert first.value == {"id": "a" * 64, "digest": None, "tags": [NAME], "size": 7}
    assert engine.done == [f"load {path}", f"tag {'a' * 64} {NAME}"]
    Path(path).unlink()
    assert not run(engine, archive=path).plan.changed


def test_run_from_archive_that_is_missing(tmp_path: Path) -> None:
    """With source archive it must be there in a run, and may be made yet in check mode."""
    asked: dict[str, Any] = {"source": "archive", "archive": f"{tmp_path}/none.tar"}
    with fails("archive_missing"):
        run(MemoryEngine(), **asked)
    found = run(MemoryEngine(), check_mode=True, **asked)
    assert found.plan.warnings
    assert found.value == {"id": None, "digest": None, "tags": [NAME], "size": None}


def test_run_from_unusable_archive(tmp_path: Path) -> None:
    """With source auto a damaged archive is an error: nobody meant the registry."""
    (tmp_path / "a.tar").write_bytes(b"x")
    with fails("archive_unusable"):
        run(MemoryEngine(), archive=f"{tmp_path}/a.tar")


def test_run_from_registry() -> None:
    """An image is requested and pulled once; in check mode it is only asked for."""
    engine = MemoryEngine()
    engine.registry[NAME] = image(id="p" * 64, tags=(NAME,), digests=(DIGEST,))
    assert run(engine, check_mode=True).value == {"id": "p" * 64, "digest": None, "tags": [NAME], "size": None}
    assert engine.done == [f"ask registry {NAME}"]
    assert run(engine).value["digest"] == DIGEST
    assert engine.done[1:] == [f"ask registry {NAME}", f"pull {NAME}"]
    assert not run(engine).plan.changed
    assert len(engine.done) == 3


def test_run_where_the_name_moved() -> None:
    """With source: registry, and only then, a name that means another image there now is pulled again."""
    engine = MemoryEngine()
    engine.image_table["old"] = image(id="old", tags=(NAME,), digests=(OTHER,))
    engine.registry[NAME] = image(id="new", tags=(NAME,), digests=(DIGEST,))
    assert not run(engine).plan.changed and engine.done == []
    checked = run(engine, check_mode=True, source="registry")
    assert [str(item) for item in checked.plan.actions] == [
        f"pull image {NAME}: {NAME}, which is another image there now"
    ]
    assert (checked.plan.before["id"], checked.plan.after["id"]) == ("old", "new")
    del engine.image_table["old"]
    found = run(engine, source="registry")
    assert found.value["id"] == "new"
    assert not run(engine, source="registry").plan.changed
    engine.registry.clear()
    with fails("image_unknown"):
        run(engine, source="registry")


def test_run_from_a_list_of_images() -> None:
    """Of a list the image for this machine is compared; one without such an image is refused before it is pulled."""
    engine = MemoryEngine()
    own = f"registry.example/team/node@{DIGEST}"
    engine.lists[NAME] = (("s390x", OTHER), ("amd64", DIGEST))
    engine.registry[NAME] = engine.registry[own] = image(id="new", tags=(NAME,))
    assert run(engine, source="registry").value["id"] == "new"
    assert engine.done == [f"ask registry {NAME}", f"pull {NAME}"]
    assert not run(engine, source="registry").plan.changed
    assert engine.done[2:] == [f"ask registry {NAME}", f"ask registry {own}"]
    engine.lists[NAME] = (("s390x", OTHER),)
    with fails("image_platform", "is made for s390x, this machine is amd64"):
        run(engine, source="registry")


def test_run_where_the_store_names_images_by_manifest() -> None:
    """Where an id is not the configuration's digest nothing can be compared, and what is here is taken."""
    engine = MemoryEngine()
    engine.image_table["old"] = image(id="d" * 64, tags=(NAME,), digests=(f"sha256:{'d' * 64}",))
    assert not run(engine, source="registry").plan.changed and engine.done == []


def test_run_when_the_pull_brings_another() -> None:
    """What was pulled by digest is looked at before it gets the name."""
    reference = f"registry.example/team/node@{DIGEST}"

    class Swapped(MemoryEngine):
        def image(self, reference: str) -> Any:
            return image(id="new", tags=("x:1",), digests=(OTHER,)) if self.done[-1:] == [f"pull {reference}"] else None

    swapped = Swapped()
    swapped.registry[reference] = image(id="new", tags=("registry.example/team/node:x",), digests=(DIGEST,))
    with fails("image_differs", f"does not have the digest {DIGEST}, it has {OTHER}"):
        run(swapped, digest=DIGEST)
    assert not any(item.startswith("tag ") for item in swapped.done)


def test_run_by_digest() -> None:
    """By digest an image is pulled without a tag, and then named; one with another digest loses the name."""
    engine = MemoryEngine()
    engine.image_table["old"] = image(id="old", tags=(NAME,), digests=(OTHER,))
    reference = f"registry.example/team/node@{DIGEST}"
    engine.registry[reference] = image(id="new", tags=("registry.example/team/node:x",), digests=(DIGEST,))
    found = run(engine, digest=DIGEST)
    assert engine.done == [f"ask registry {reference}", f"pull {reference}", f"tag new {NAME}"]
    assert (found.value["id"], found.value["digest"]) == ("new", DIGEST)
    assert not run(engine, digest=DIGEST).plan.changed


def test_run_has_digest_under_another_name() -> None:
    """An image of the same repository with the digest is named, and nothing is fetched."""
    engine = MemoryEngine()
    engine.image_table["s"] = image(id="s", tags=("registry.example/team/node:old",), digests=(DIGEST,))
    run(engine, digest=DIGEST)
    assert engine.done == [f"tag s {NAME}"]


def test_run_refused_by_registry() -> None:
    """What the registry says is the error, and in check mode too."""
    for check_mode in (True, False):
        with fails("image_unknown", f"the registry has no image {NAME}"):
            run(MemoryEngine(), check_mode=check_mode)


def test_run_pulls_for_another_machine() -> None:
    """What was pulled and cannot run here is removed again."""
    engine = MemoryEngine(engine_info(architecture="arm64"))
    engine.registry[NAME] = image(id="p" * 64, tags=(NAME,))
    with fails("image_platform", "is made for amd64, this machine is arm64"):
        run(engine)
    assert engine.image_table == {}


def test_run_beginning_of_an_id() -> None:
    """An image that is found because the name is also the beginning of its id is another image."""

    class Prefix(MemoryEngine):
        """Takes what is in the store for any name, as an engine does with the beginning of an id."""

        def image(self, reference: str) -> Any:
            return image(id="abc", tags=("other:v1",))

    assert ImageResource(spec(), Prefix()).observe() is None


def test_run_removes() -> None:
    """An image is removed by its name, and stays while containers were made from it."""
    engine = MemoryEngine()
    engine.image_table["i"] = image(id="i", tags=(NAME,))
    engine.users["image i"] = [Attached("1", "node-1", {})]
    with fails("in_use", "node-1"):
        run(engine, state="absent")
    engine.users.clear()
    assert run(engine, state="absent").value == {}
    assert engine.done == [f"remove image {NAME}"]
    assert not run(engine, state="absent").plan.changed


def test_run_loses_image(tmp_path: Path) -> None:
    """An archive that did not bring what it seemed to hold is told."""
    path = write_archive(tmp_path / "a.tar", docker_files(("a" * 64, "amd64", [NAME])))
    engine = MemoryEngine()
    engine.archives[path] = []
    with fails("vanished", f"the image {NAME} is gone again"):
        run(engine, archive=path)


@pytest.mark.parametrize("layout", ["docker", "oci"])
def test_archive_that_was_swapped(tmp_path: Path, layout: str) -> None:
    """An archive that claims the id of the image that was built is refused before its image is loaded under the name."""
    built = "a" * 64
    files = docker_files((built, "amd64", [NAME]))
    if layout == "oci":
        manifest = {"config": {"digest": f"sha256:{built}"}}
        files = {
            "index.json": {"manifests": [{"digest": DIGEST}]},
            "blobs/sha256/" + "1" * 64: manifest,
            f"blobs/sha256/{built}": {"architecture": "amd64"},
        }
    path = write_archive(tmp_path / "a.tar", files)
    engine = MemoryEngine()
    engine.archives[path] = [image(id=built, tags=(NAME,))]
    with fails("archive_unusable", f"the image that was built has {built}"):
        run(engine, source="archive", archive=path, image_id=built)
    assert engine.done == []
    content = hashlib.sha256(json.dumps({"architecture": "amd64"}).encode()).hexdigest()
    (found,) = read_archive(path, NAME)
    assert found.content == content


def test_archive_by_its_image_at_any_place(tmp_path: Path) -> None:
    """Check mode says the same as the run, though the archive lies elsewhere then or is not there yet."""
    identity = hashlib.sha256(json.dumps({"architecture": "amd64"}).encode()).hexdigest()
    path = write_archive(tmp_path / "a.tar", docker_files((identity, "amd64", [NAME])))
    engine = MemoryEngine()
    engine.archives[path] = [image(id=identity, tags=())]
    asked: dict[str, Any] = {"source": "archive", "image_id": identity}
    foretold = run(engine, check_mode=True, archive=f"{tmp_path}/later.tar", **asked)
    done = run(engine, archive=path, **asked)
    assert foretold.plan.actions == done.plan.actions and len(done.plan.actions) == 1
    assert not run(engine, check_mode=True, archive=f"{tmp_path}/later.tar", **asked).plan.changed


@pytest.mark.parametrize("engine_has", ["another", "the same", "nothing"])
def test_other_names_of_an_archive(tmp_path: Path, engine_has: str) -> None:
    """A load takes all names of an archive: one that is another image's here is not overwritten, a new one is warned of."""
    files = docker_files(("a" * 64, "amd64", [NAME, "docker.io/library/debian:13"]))
    path = write_archive(tmp_path / "a.tar", files)
    engine = MemoryEngine()
    loaded = image(id="a" * 64, tags=(NAME, "docker.io/library/debian:13"))
    engine.archives[path] = [loaded]
    if engine_has != "nothing":
        there = "a" * 64 if engine_has == "the same" else "d" * 64
        engine.image_table[there] = image(id=there, tags=("docker.io/library/debian:13",))
    if engine_has == "another":
        for check_mode in (True, False):
            with fails("archive_overwrites", "docker.io/library/debian:13", f"podman load --input {path}"):
                run(engine, check_mode=check_mode, source="archive", archive=path)
        assert engine.done == []
    else:
        found = run(engine, source="archive", archive=path)
        assert "names that were not requested: docker.io/library/debian:13" in found.plan.warnings[0]


class ManifestStore(MemoryEngine):
    """docker with containerd's store: an image's id is the digest of a manifest that the daemon writes itself."""

    name = "docker"


@pytest.mark.parametrize("layout", ["docker", "oci"])
def test_store_that_names_images_by_manifest(tmp_path: Path, layout: str) -> None:
    """An archive is loaded once: its image is known again by what it is, not by its id."""
    config = {
        "architecture": "amd64",
        "created": "2026-01-01T00:00:00.000000000Z",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/sbin/init"], "Labels": {"a": "b"}},
        "rootfs": {"type": "layers", "diff_ids": [DIGEST, OTHER]},
    }
    identity = hashlib.sha256(json.dumps(config).encode()).hexdigest()
    files: dict[str, Any] = {
        "manifest.json": [{"Config": f"{identity}.json", "RepoTags": [NAME]}],
        f"{identity}.json": config,
    }
    if layout == "oci":
        files = {
            "index.json": {
                "manifests": [{"digest": DIGEST, "annotations": {"io.containerd.image.name": NAME}}],
            },
            "blobs/sha256/" + "1" * 64: {"config": {"digest": f"sha256:{identity}"}},
            f"blobs/sha256/{identity}": config,
        }
    path = write_archive(tmp_path / "a.tar", files)
    engine = ManifestStore()
    stored = image(
        id="f" * 64,
        tags=(NAME,),
        digests=("sha256:" + "f" * 64,),
        labels={"a": "b"},
        environment=("PATH=/bin",),
        command=("/sbin/init",),
        layers=(DIGEST, OTHER),
        created="2026-01-01T00:00:00Z",
    )
    engine.archives[path] = [stored]
    asked: dict[str, Any] = {"source": "archive", "archive": path, "image_id": identity}
    first = run(engine, **asked)
    assert first.plan.changed and first.value["id"] == "f" * 64 and first.value["tags"] == [NAME]
    assert engine.done == [f"load {path}"]
    again = run(engine, **asked)
    assert not again.plan.changed and again.value["id"] == "f" * 64
    # Another image under the name is replaced.
    engine.image_table = {"f" * 64: replace(stored, layers=(DIGEST,))}
    assert run(engine, check_mode=True, **asked).plan.changed


@pytest.mark.parametrize("created", ["", "0001-01-01T00:00:00Z"])
@pytest.mark.parametrize("layout", ["docker without a name", "oci of podman"])
def test_store_that_takes_no_name_of_an_archive(tmp_path: Path, layout: str, created: str) -> None:
    """What was loaded without a name is found by what it is, and gets the name that was requested."""
    config = {"architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": [DIGEST]}}
    identity = hashlib.sha256(json.dumps(config).encode()).hexdigest()
    files: dict[str, Any] = {"manifest.json": [{"Config": f"{identity}.json", "RepoTags": None}]}
    files[f"{identity}.json"] = config
    if layout == "oci of podman":
        entry = {"digest": OTHER, "annotations": {"org.opencontainers.image.ref.name": NAME}}
        files = {
            "index.json": {"manifests": [entry]},
            f"blobs/{OTHER.replace(':', '/')}": {"config": {"digest": f"sha256:{identity}"}},
            f"blobs/sha256/{identity}": config,
        }
    path = write_archive(tmp_path / "a.tar", files)
    engine = ManifestStore()
    engine.image_table["e" * 64] = image(id="e" * 64, tags=(), layers=(OTHER,))
    plain = image(
        id="f" * 64, tags=(), layers=(DIGEST,), labels={}, environment=(), entrypoint=(), command=(), created=created
    )
    engine.archives[path] = [plain]
    loaded = run(engine, source="archive", archive=path)
    assert (loaded.value["id"], loaded.value["tags"]) == ("f" * 64, [NAME]), loaded
    assert engine.done == [f"load {path}", f"tag {'f' * 64} {NAME}"]
    assert not run(engine, source="archive", archive=path).plan.changed


def test_identity_is_read_from_both_engines() -> None:
    """What an image is, is in the answers of both."""
    for decode, folder in ((docker.decode_image, DOCKER), (podman.decode_image, RECORDED / "podman-5.4.2")):
        (found,) = recorded("image-inspect.json", folder)
        read = decode(found)
        assert len(read.layers) == 4 and read.created.startswith("2026-01-01T00:00:00")
