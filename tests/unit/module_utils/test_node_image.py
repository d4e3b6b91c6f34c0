# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images in nodes: what is loaded, named and removed, by what the nodes hold."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import (
    TIMED_OUT,
    CommandResult,
    Fed,
    Sink,
    SubprocessRunner,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._core import checks, labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Outcome, converge
from ansible_collections.nodeforge.kic.plugins.module_utils._engine import cli
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.docker import Docker
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Reader, Writer
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.podman import Podman
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot, images
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_image import NodeImages
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_image_plan import NodeImagesSpec, images_of

from .support import IMAGE_SCRIPTS, MemoryEngine, container, fails, image, listing, recorded, target

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64
APP = ("docker.io/library/app:1", "localhost/app:1")
MINE = labels.ownership("lab")


def spec(**given: Any) -> NodeImagesSpec:
    """Images as the module's parameters request them."""
    params: dict[str, Any] = {"cluster": "lab", "nodes": None, "images": ["app:1"], "state": "present", "timeout": 60}
    return NodeImagesSpec.from_params({**params, "scripts": IMAGE_SCRIPTS, **given})


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> MemoryEngine:
    """Two nodes, and the image app:1."""
    monkeypatch.setattr(boot, "read", lambda _path: "0::/machine.slice/libpod-x.scope/init.scope\n")
    found = MemoryEngine()
    for name in ("n1", "n2"):
        found.add(container(name, labels=MINE))
    found.image_table["app"] = image(id=ONE, tags=("localhost/app:1", "app:1"))
    return found


def run(engine: MemoryEngine, check: bool = False, **given: Any) -> Outcome:
    """Bring the images into their state."""
    return converge(NodeImages(spec(**given), engine), check_mode=check, lock=nullcontext)


def actions(outcome: Outcome) -> list[str]:
    """What is reported."""
    return [str(item) for item in outcome.plan.actions]


def archive(path: Path, images_: Mapping[str, list[str]], cut: int = 0, packed: bool = False) -> dict[str, str]:
    """An archive in docker's layout with names by architecture; the ids of its images by architecture."""
    stream, ids, listed = io.BytesIO(), {}, []
    with tarfile.open(fileobj=stream, mode="w") as tar:

        def add(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

        for architecture, names in images_.items():
            config = json.dumps({"architecture": architecture, "rootfs": {"diff_ids": []}}).encode()
            ids[architecture] = hashlib.sha256(config).hexdigest()
            add(f"{ids[architecture]}.json", config)
            listed.append({"Config": f"{ids[architecture]}.json", "RepoTags": names, "Layers": []})
        add("manifest.json", json.dumps(listed).encode())
    data = stream.getvalue()[: -cut or None]
    path.write_bytes(gzip.compress(data) if packed else data)
    return ids


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app:1", APP),
        ("team/app:1", ("docker.io/team/app:1", "localhost/team/app:1")),
        ("localhost/app:1", ("localhost/app:1",)),
        ("docker.io/app:1", ("docker.io/library/app:1",)),
        ("docker.io/team/app:1", ("docker.io/team/app:1",)),
        ("registry.example:5000/app:1", ("registry.example:5000/app:1",)),
        ("localhost:5000/app:1", ("localhost:5000/app:1",)),
    ],
)
def test_names(name: str, expected: tuple[str, ...]) -> None:
    """Those by which pods find an image."""
    assert images.names_in_node(name) == expected


def test_what_a_node_holds() -> None:
    """Ids of an image are its own, its manifest's, and one that was noted for the manifest that it has now."""
    noted, old = f"nodeforge.kic.source={TWO}.{target(ONE)}", f"nodeforge.kic.source={TWO}.{THREE}"
    text = listing({"a:1": ONE, "b:1": ONE}).replace("x=y", noted, 1) + f"c:1 t sha256:{THREE} - - {old}x\nlost\n"
    held = images.decode(text)
    assert held.architecture == "amd64"
    assert held.ids("a:1") == {ONE, TWO, target(ONE)} and held.ids("b:1") == {ONE, target(ONE)}
    assert held.ids("c:1") == {THREE} | ({TWO} if old.endswith(THREE) else set())
    assert held.ids("d:1") == frozenset() and held.name_of(THREE) == "c:1" and held.name_of("4" * 64) is None
    assert held.name_of(ONE) == "a:1"
    assert held.only_name(["a:1"]) == () and held.only_name(["a:1", "b:1"]) == (f"sha256:{ONE}",)


def test_load_and_again(engine: MemoryEngine) -> None:
    """Into both nodes by one read of the store; check mode says so before; a second run asks and does nothing."""
    foretold = run(engine, check=True)
    assert engine.done == [] and engine.containerd == {"n1": {}, "n2": {}}
    done = run(engine)
    assert actions(done) == actions(foretold) == ["load image app:1 into n1", "load image app:1 into n2"]
    assert done.diff == foretold.diff
    assert done.diff["after"] == {name: dict.fromkeys(APP, ONE) for name in ("n1", "n2")} == done.value
    assert foretold.value == done.value and done.diff["before"] == {"n1": {}, "n2": {}}
    assert engine.done == [f"feed {ONE} to n1 n2"]
    again = run(engine)
    assert not again.plan.operations and again.value == done.value and len(engine.done) == 1


def test_only_what_is_lacking(engine: MemoryEngine) -> None:
    """A node that has it is not given it again; one that has it by another name only gets the name."""
    engine.containerd = {"n1": dict.fromkeys(APP, ONE), "n2": {"old:1": ONE}}
    assert actions(run(engine)) == ["name image app:1 in n2"]
    assert engine.done == [f"tag n2 old:1 {' '.join(APP)}"] and engine.containerd["n2"]["localhost/app:1"] == ONE


def test_a_tag_that_moved(engine: MemoryEngine) -> None:
    """The name leads to another image now: it is loaded, and what was before is in the diff."""
    engine.containerd = {name: dict.fromkeys(APP, TWO) for name in ("n1", "n2")}
    done = run(engine, nodes=["n2"])
    assert actions(done) == ["load image app:1 into n2"]
    assert done.diff == {"before": {"n2": dict.fromkeys(APP, TWO)}, "after": {"n2": dict.fromkeys(APP, ONE)}}
    assert engine.containerd["n1"] == dict.fromkeys(APP, TWO)


def test_absent(engine: MemoryEngine) -> None:
    """All names of it that were meant go, and the id with the last name; in check mode nothing."""
    engine.containerd = {"n1": {**dict.fromkeys(APP, ONE), "b:1": ONE}, "n2": {APP[0]: ONE, "c:1": TWO}}
    expected = [f"remove image {APP[0]}, {APP[1]} from n1", f"remove image {APP[0]} from n2"]
    assert actions(run(engine, check=True, state="absent")) == expected and engine.done == []
    done = run(engine, state="absent")
    assert (
        actions(done) == expected and done.diff["after"] == {"n1": {}, "n2": {}} and done.value == {"n1": {}, "n2": {}}
    )
    assert engine.done == [f"images-remove n1 {APP[0]} {APP[1]}", f"images-remove n2 {APP[0]} sha256:{ONE}"]
    assert not run(engine, state="absent").plan.operations


def test_archives(engine: MemoryEngine, tmp_path: Path) -> None:
    """Those of a directory, plain and compressed, each read once for both nodes; other files are not taken."""
    ids = archive(tmp_path / "a.tar", {"amd64": ["one:1", "registry.example/two:2"]})
    archive(tmp_path / "b.tar.gz", {"amd64": ["three:1"]}, packed=True)
    (tmp_path / "SHA256SUMS").write_text("x")
    done = run(engine, images=[str(tmp_path)])
    found = [f"load image one:1, registry.example/two:2 into n1: {tmp_path}/a.tar"]
    assert actions(done)[:1] == found and len(actions(done)) == 4
    assert done.value["n1"]["registry.example/two:2"] == ids["amd64"]
    assert [text.rpartition("/")[2] for text in engine.done] == ["a.tar to n1 n2", "b.tar.gz to n1 n2"]
    assert not run(engine, images=[str(tmp_path)]).plan.operations


@pytest.mark.parametrize(
    ("made", "condition", "words"),
    [
        ({}, "archive_unusable", ["no"]),
        ({"amd64": []}, "archive_unusable", ["has no name"]),
        ({"arm64": ["a:1"]}, "node_platform", ["made for arm64", "n1 is amd64"]),
    ],
)
def test_archives_that_are_refused(
    engine: MemoryEngine, tmp_path: Path, made: dict[str, list[str]], condition: str, words: list[str]
) -> None:
    """Before anything is changed."""
    path = tmp_path / "x.tar"
    if made:
        archive(path, made)
    with fails(condition, *words):
        run(engine, images=[str(path if made else tmp_path)])
    assert engine.done == []


def test_half_an_archive(engine: MemoryEngine, tmp_path: Path) -> None:
    """One that was cut off, and one that is missing."""
    archive(tmp_path / "x.tar", {"amd64": ["a:1"]}, cut=9900)
    with fails("archive_unusable", "x.tar"):
        run(engine, images=[str(tmp_path / "x.tar")])
    with fails("archive_missing", "y.tar"):
        run(engine, images=[str(tmp_path / "y.tar")])
    foretold = run(engine, check=True, images=[str(tmp_path / "y.tar")])
    assert any("y.tar" in text for text in foretold.warnings)


def test_one_image_from_two_sources(engine: MemoryEngine, tmp_path: Path) -> None:
    """It is loaded once, from the source with the most names, else the first: a second manifest of it would have its name moved
    again by the next run."""
    ids = archive(tmp_path / "x.tar", {"amd64": ["localhost/app:1"]})
    archive(tmp_path / "y.tar", {"amd64": ["app:1"]})
    given = [str(tmp_path / name) for name in ("x.tar", "y.tar")]
    loads = [f"load image app:1 into {node}: {given[1]}" for node in ("n1", "n2")]
    assert actions(run(engine, check=True, images=given)) == loads
    assert actions(run(engine, images=given)) == loads
    assert engine.containerd["n1"] == dict.fromkeys(APP, ids["amd64"])
    archive(tmp_path / "y.tar", {"amd64": ["localhost/app:1"]})
    engine.containerd = {"n1": {}, "n2": {}}
    assert actions(run(engine, images=given))[0] == f"load image localhost/app:1 into n1: {given[0]}"
    assert not run(engine, images=given).plan.operations


def test_one_name_for_two_images(engine: MemoryEngine, tmp_path: Path) -> None:
    """The store's and an archive's."""
    archive(tmp_path / "x.tar", {"amd64": ["app:1"]})
    with fails("invalid_option", "two images", "the engine's store (app:1)", "x.tar"):
        run(engine, images=["app:1", str(tmp_path / "x.tar")])


def test_nodes_that_are_not_there(engine: MemoryEngine) -> None:
    """Missing, stopped, of another cluster, of nobody; no node at all."""
    with fails("node_missing", "n3"):
        run(engine, nodes=["n1", "n3"])
    engine.add(replace(engine.container_table["n2"], status="exited"))
    with fails("node_not_running", "n2", "exited"):
        run(engine)
    assert engine.done == []
    foretold = run(engine, check=True)
    assert "load image app:1 into n2" in actions(foretold) and any(
        "n2 does not run" in text for text in foretold.warnings
    )
    engine.add(container("n3", labels=labels.ownership("other")))
    with fails("other_cluster", "other"):
        run(engine, nodes=["n3"])
    engine.add(container("n4", labels={}))
    with fails("name_taken", "n4"):
        run(engine, nodes=["n4"])
    with fails("cluster_without_nodes", "none"):
        run(engine, cluster="none")


def test_nodes_that_the_same_run_creates_or_starts(engine: MemoryEngine) -> None:
    """Check mode names what a new node gets, and takes it that one which was stopped still has its images."""
    engine.add(replace(engine.container_table["n2"], status="exited"))
    asked = replace(spec(nodes=["n1", "n2", "n3"]), expected=True)
    foretold = converge(NodeImages(asked, engine), check_mode=True, lock=nullcontext)
    assert actions(foretold) == ["load image app:1 into n1", "load image app:1 into n3"] and foretold.warnings == ()


def test_images_that_are_not_there(engine: MemoryEngine) -> None:
    """All of them are named; in check mode an earlier task may be about to make them."""
    with fails("image_missing", "x:1, y:1"):
        run(engine, images=["x:1", "app:1", "y:1"])
    foretold = run(engine, check=True, images=["x:1"])
    assert foretold.warnings == ("The engine's store does not have the image x:1 yet.",)
    assert foretold.value["n1"]["localhost/x:1"] is None


def test_another_machine(engine: MemoryEngine) -> None:
    """An image for a processor that the node does not have."""
    engine.machine = "aarch64"
    with fails("node_platform", "made for amd64", "n1 is arm64"):
        run(engine)


@pytest.mark.parametrize(
    ("result", "condition", "words"),
    [
        (CommandResult((), 1, b"", b"tar: x: No space left on device"), "node_disk_full", ["n1", "df -h /var"]),
        (CommandResult((), 1, b"", b"ctr: broken"), "image_not_loaded", ["n1", "ctr: broken"]),
        (CommandResult((), 124, b"", b"", late=True), "timed_out", ["60 seconds", "into n1"]),
    ],
)
def test_a_node_that_fails(engine: MemoryEngine, result: CommandResult, condition: str, words: list[str]) -> None:
    """What the other node took is reported, and the next run does the rest."""
    engine.load_fails["n1"] = result
    with pytest.raises(KicError) as caught:
        run(engine)
    assert caught.value.diagnosis.id == condition and all(word in str(caught.value) for word in words)
    assert caught.value.done == ("load image app:1 into n2",)
    engine.load_fails.clear()
    assert actions(run(engine)) == ["load image app:1 into n1"]


def test_a_node_that_starts(engine: MemoryEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its containerd is waited for, and what is there to do is decided then."""
    engine.containerd = {"n1": dict.fromkeys(APP, ONE), "n2": dict.fromkeys(APP, ONE)}
    answers = [CommandResult((), images.BUSY, b"", b"refused")] * 2
    asked = engine.exec

    def answer(node: str, command: list[str], **given: Any) -> CommandResult:
        return answers.pop() if answers and command[-1] == "0" else asked(node, command, **given)

    monkeypatch.setattr(engine, "exec", answer)
    done = run(engine)
    assert not done.plan.changed and engine.done == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"images": []}, ["images: is empty"]),
        ({"images": ["./x.tar", "A B"]}, ["2 problems", "is not an absolute path", "is not an image name"]),
        ({"images": [f"app@sha256:{ONE}"]}, ["has no tag"]),
        ({"timeout": 0, "cluster": None, "nodes": []}, ["2 problems", "timeout", "cluster"]),
    ],
)
def test_options(given: dict[str, Any], words: list[str]) -> None:
    """All problems at once."""
    with pytest.raises(KicError) as caught:
        spec(**given)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_name_with_a_digest() -> None:
    """The engine is asked for the digest; a pod finds the image by its tag."""
    found = images_of("images", [f"docker.io/app:1@sha256:{ONE}"], checks.Problems())
    assert found == (("docker.io/app:1",), (), {"docker.io/app:1": f"docker.io/app@sha256:{ONE}"})


class FakeFeed:
    """Notes what would be started."""

    calls: ClassVar[list[tuple[Any, list[list[str]]]]] = []
    ends: ClassVar[Fed] = Fed(None, ())

    def run(self, source: Any, sinks: list[Sink], **_more: Any) -> Fed:
        """Nothing is started."""
        self.calls.append((source if isinstance(source, list) else source.read(), [list(item.argv) for item in sinks]))
        return self.ends


def answer(rc: int, text: str = "") -> CommandResult:
    """How a program ended."""
    return CommandResult((), rc, b"", text.encode())


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> type[FakeFeed]:
    """In the place of the one that starts programs."""
    monkeypatch.setattr(cli, "Feed", FakeFeed)
    FakeFeed.calls.clear()
    return FakeFeed


@pytest.mark.parametrize(
    ("engine", "references", "saving"),
    [
        (Podman, ("a",), ["podman", "save", "--quiet", "a"]),
        (Podman, ("a", "b"), ["podman", "save", "--quiet", "--multi-image-archive", "a", "b"]),
        (Docker, ("a", "b"), ["docker", "save", "a", "b"]),
    ],
)
def test_feed_of_the_store(
    feed: type[FakeFeed], engine: type[cli.CommandLineEngine], references: tuple[str, ...], saving: list[str]
) -> None:
    """One program saves, and each node has one that reads; what the nodes answer is returned, what saving fails with is raised."""
    feed.ends = Fed(answer(0), (answer(0), answer(1, "no")))
    asked = engine(SubprocessRunner())
    found = asked.feed_images(references, READERS, 60)
    assert feed.calls[0] == (saving, [[saving[0], "exec", "--interactive", node, word] for node, word in NODES])
    assert [found[node].rc for node, _word in NODES] == [0, 1]
    feed.ends = Fed(answer(125, "no such thing"), (answer(2), answer(2)))
    with fails("engine_failed", "saving the images a", "no such thing"):
        asked.feed_images(references, READERS, 60)
    # Where no node reads to the end, that is what went wrong.
    feed.ends = Fed(answer(-13), (answer(1, "full"), answer(1)))
    assert asked.feed_images(references, READERS, 60)["n1"].err == "full"


NODES = (("n1", "x"), ("n2", "y"))
READERS = {node: Reader([word]) for node, word in NODES}


@pytest.mark.parametrize("engine", [Podman, Docker])
def test_feed_of_a_container(feed: type[FakeFeed], engine: type[cli.CommandLineEngine]) -> None:
    """A command in one writes what commands in others read; what is wrong with it names the container."""
    feed.ends = Fed(answer(0), (answer(0), answer(1, "no")))
    asked, source = engine(SubprocessRunner()), Writer("source", ["bash", "-c", "text", "name"])
    found = asked.feed_images(source, READERS, 60)
    readers = [[asked.name, "exec", "--interactive", node, word] for node, word in NODES]
    assert feed.calls[0] == ([asked.name, "exec", "source", "bash", "-c", "text", "name"], readers)
    assert [found[node].rc for node, _word in NODES] == [0, 1]
    feed.ends = Fed(answer(125, "no such thing"), (answer(2), answer(2)))
    with fails("engine_failed", "reading from the container source", "no such thing"):
        asked.feed_images(source, READERS, 60)
    feed.ends = Fed(CommandResult((), TIMED_OUT, b"", b""), (answer(2), answer(2)))
    with fails("timed_out", f"reading from the container source ({asked.name} exec)"):
        asked.feed_images(source, READERS, 60)
    # Where no node reads to the end, that is what went wrong.
    feed.ends = Fed(answer(-13), (answer(1, "full"), answer(1)))
    assert asked.feed_images(source, READERS, 60)["n1"].err == "full"


def test_feed_of_an_archive(feed: type[FakeFeed], tmp_path: Path) -> None:
    """As it is before it was compressed."""
    feed.ends = Fed(None, (answer(0),))
    path = tmp_path / "x"
    for module in (bz2, gzip, lzma):
        path.write_bytes(module.compress(b"data"))
        assert Podman(SubprocessRunner()).feed_images(str(path), {"n1": Reader(["x"])}, 60)["n1"].rc == 0
    path.write_bytes(b"plain")
    Podman(SubprocessRunner()).feed_images(str(path), {"n1": Reader(["x"])}, 60)
    assert [call[0] for call in feed.calls] == [b"data", b"data", b"data", b"plain"]
    with fails("archive_missing", "none"):
        Podman(SubprocessRunner()).feed_images(str(tmp_path / "none"), {"n1": Reader(["x"])}, 60)


def test_several_images_by_one_question() -> None:
    """And by one each where not all are there."""
    asked: list[list[str]] = []
    one = recorded("image-inspect.json")[0]

    class Answering:
        """Knows the image a."""

        def run(self, argv: Sequence[str], **_more: Any) -> CommandResult:
            """What podman says."""
            asked.append(list(argv))
            there = argv[-1] == "a" if "exists" in argv else "b" not in argv
            found = [one for name in argv[4:]] if there else []
            return CommandResult((), 0 if there else 1, json.dumps(found).encode(), b"")

    engine = Podman(Answering())
    assert [item is not None for item in engine.images_named(["a", "a"])] == [True, True] and len(asked) == 1
    assert [item is not None for item in engine.images_named(["a", "b"])] == [True, False]
    assert engine.images_named([]) == []
