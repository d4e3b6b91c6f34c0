# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of an image's parts: each changes exactly when something changes that the part is made of."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GO = "go1.26.6"
PROGRAMS = ("kubernetes", "etcd", "coredns", "local-path", "pause")
EVERYTHING = {*PROGRAMS, "base", "store", "archive"}
Change = Callable[[Path], None]


def keys(program: Any, roles: Path, go_version: str = GO) -> dict[str, str]:
    """The key of each step."""
    recipe = program.recipe.Recipe.load(roles / "kic_image/files")
    found = {name: recipe.program_key(name, go_version) for name in recipe.values["programs"]}
    found["base"] = recipe.base_key()
    found["store"] = recipe.store_key(go_version)
    found["archive"] = recipe.image_key(go_version)
    return found


def differing(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """The steps whose keys are not the same."""
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def append(name: str, text: str = "\n") -> Change:
    """Make one file longer."""

    def change(roles: Path) -> None:
        path = roles / name
        assert path.is_file()
        path.write_text(path.read_text() + text)

    return change


def add(name: str) -> Change:
    """Make a file that was not there."""

    def change(roles: Path) -> None:
        path = roles / name
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("new\n")

    return change


def remove(name: str) -> Change:
    """Remove a file."""
    return lambda roles: (roles / name).unlink()


def flip(name: str) -> Change:
    """Make a file that can be run one that cannot, or the other way round."""
    return lambda roles: (roles / name).chmod((roles / name).stat().st_mode ^ 0o111)


def touch(name: str) -> Change:
    """Give a file another date."""
    return lambda roles: os.utime(roles / name, (1, 1))


def value(edit: Callable[[dict[str, Any]], Any]) -> Change:
    """Change a value of the recipe."""

    def change(roles: Path) -> None:
        path = roles / "kic_image/files/recipe.json"
        values = json.loads(path.read_text())
        before = json.dumps(values)
        edit(values)
        assert json.dumps(values) != before
        path.write_text(json.dumps(values))

    return change


IMAGE = "kic_image/files"
AFTER_STORE = {"store", "archive"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        *(
            pytest.param(append(f"{IMAGE}/go/{name}/go.mod", "// x\n"), {name, *AFTER_STORE}, id=f"go.mod-of-{name}")
            for name in PROGRAMS
        ),
        pytest.param(append(f"{IMAGE}/go/kubernetes/go.sum"), {"kubernetes", *AFTER_STORE}, id="go.sum"),
        pytest.param(append(f"{IMAGE}/go/pause/main.go"), {"pause", *AFTER_STORE}, id="source"),
        pytest.param(add(f"{IMAGE}/go/coredns/more.go"), {"coredns", *AFTER_STORE}, id="new-source"),
        pytest.param(remove(f"{IMAGE}/go/etcd/go.sum"), {"etcd", *AFTER_STORE}, id="source-gone"),
        pytest.param(
            value(lambda v: v["programs"]["etcd"].update(package="go.etcd.io/etcd/v3")),
            {"etcd", *AFTER_STORE},
            id="package-of-go",
        ),
        pytest.param(value(lambda v: v["packages"].append("vim")), {"base", *AFTER_STORE}, id="package"),
        pytest.param(value(lambda v: v["packages"].remove("curl")), {"base", *AFTER_STORE}, id="package-gone"),
        pytest.param(value(lambda v: v.update(suite="forky")), {"base", *AFTER_STORE}, id="suite"),
        pytest.param(value(lambda v: v["plugins"].append("bridge")), {"base", *AFTER_STORE}, id="plugin"),
        pytest.param(value(lambda v: v["unpacked"].append("usr/games/*")), {"base", *AFTER_STORE}, id="left-out"),
        pytest.param(value(lambda v: v["kept"].append("usr/share/doc/x")), {"base", *AFTER_STORE}, id="kept"),
        pytest.param(value(lambda v: v.update(linked=False)), AFTER_STORE, id="linked"),
        pytest.param(append(f"{IMAGE}/node/usr/local/lib/nodeforge.kic/images"), AFTER_STORE, id="packer-of-layers"),
        pytest.param(append(f"{IMAGE}/node/etc/containerd/config.toml"), {"archive"}, id="node-file"),
        pytest.param(add(f"{IMAGE}/node/etc/new.conf"), {"archive"}, id="new-node-file"),
        pytest.param(remove(f"{IMAGE}/node/etc/default/kubelet"), {"archive"}, id="node-file-gone"),
        pytest.param(flip(f"{IMAGE}/node/usr/local/bin/entrypoint"), {"archive"}, id="node-file-can-be-run"),
        pytest.param(append(f"{IMAGE}/default-cni.yaml"), {"archive"}, id="single-file"),
        pytest.param(
            append("kic_cluster/files/node/usr/local/lib/nodeforge.kic/network"), {"archive"}, id="file-taken"
        ),
        pytest.param(add("kic_cluster/files/node/etc/other.conf"), set(), id="file-not-taken"),
        pytest.param(flip(f"{IMAGE}/default-cni.yaml"), {"archive"}, id="single-file-can-be-run"),
        pytest.param(touch(f"{IMAGE}/default-cni.yaml"), set(), id="date-of-a-single-file"),
        pytest.param(value(lambda v: v.update(name="localhost/mine")), {"archive"}, id="name"),
        pytest.param(value(lambda v: v["enabled"].append("x.service")), {"archive"}, id="enabled"),
        pytest.param(value(lambda v: v["masked"].pop()), {"archive"}, id="masked"),
        pytest.param(append(f"{IMAGE}/node_image/programs.py"), {*PROGRAMS, *AFTER_STORE}, id="code-of-programs"),
        pytest.param(append(f"{IMAGE}/node_image/base.py"), {"base", *AFTER_STORE}, id="code-of-base"),
        pytest.param(append(f"{IMAGE}/node_image/store.py"), AFTER_STORE, id="code-of-store"),
        pytest.param(append(f"{IMAGE}/node_image/archive.py"), {"archive"}, id="code-of-archive"),
        pytest.param(append(f"{IMAGE}/node_image/cache.py"), set(), id="code-of-cache"),
        pytest.param(append(f"{IMAGE}/node_image/__main__.py"), set(), id="code-of-start"),
        pytest.param(value(lambda v: v["programs"]["etcd"].update(seconds=1)), set(), id="a-guess-of-time"),
        pytest.param(value(lambda v: v.update(unknown=1)), set(), id="value-of-no-part"),
        pytest.param(touch(f"{IMAGE}/node/usr/local/bin/entrypoint"), set(), id="date-of-a-file"),
        pytest.param(add(f"{IMAGE}/go/pause/__pycache__/x.pyc"), set(), id="what-python-leaves"),
    ],
)
def test_keys(change: Change, expected: set[str], program: Any, roles: Path) -> None:
    """A change makes those parts again that it goes into, with all that are built on them, and no other."""
    before = keys(program, roles)
    assert keys(program, roles) == before
    change(roles)
    assert differing(before, keys(program, roles)) == expected


def test_keys_of_another_go(program: Any, roles: Path) -> None:
    """Another Go makes all programs again, and not the packages."""
    assert differing(keys(program, roles), keys(program, roles, "go1.27.0")) == EVERYTHING - {"base"}


def test_keys_of_another_machine(program: Any, roles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another architecture makes everything again."""
    before = keys(program, roles)
    machine = "aarch64" if program.recipe.platform.machine() != "aarch64" else "x86_64"
    monkeypatch.setattr(program.recipe.platform, "machine", lambda: machine)
    assert differing(before, keys(program, roles)) == EVERYTHING


def test_keys_do_not_tell_where(program: Any, roles: Path) -> None:
    """The same recipe elsewhere has the same keys."""
    before = keys(program, roles)
    moved = roles.with_name("moved")
    roles.rename(moved)
    program.recipe.HERE = moved / "kic_image/files/node_image"
    assert keys(program, moved) == before


def test_version_is_part_of_the_reference(program: Any, roles: Path) -> None:
    """The image's name has the version of Kubernetes and the beginning of the key."""
    recipe = program.recipe.Recipe.load(roles / IMAGE)
    version = recipe.version("kubernetes")
    assert recipe.reference(GO) == f"localhost/nodeforge/kic-node:{version}-{recipe.image_key(GO)[:12]}"


def test_recipe_based_on_another(program: Any, roles: Path) -> None:
    """A recipe over another has its values and programs, but for the values of its own."""
    derived = roles / "mine"
    (derived / "node/etc").mkdir(parents=True)
    (derived / "node/etc/motd").write_text("mine\n")
    own = {"based_on": "../kic_image/files", "name": "localhost/mine", "trees": ["node"], "files": {}, "taken": {}}
    (derived / "recipe.json").write_text(json.dumps(own))
    recipe, base = program.recipe.Recipe.load(derived), program.recipe.Recipe.load(roles / IMAGE)
    assert recipe.version("kubernetes") == base.version("kubernetes")
    assert recipe.store_key(GO) == base.store_key(GO)
    assert recipe.image_key(GO) != base.image_key(GO)
    assert recipe.trees() == [((derived / "node").resolve(), None)]
    assert recipe.reference(GO).startswith("localhost/mine:")


def test_recipe_that_only_has_another_name(program: Any, roles: Path) -> None:
    """A recipe over another that says nothing of files has those of the other one, where the other one has them."""
    derived = roles / "elsewhere/mine"
    derived.mkdir(parents=True)
    own = {"based_on": "../../kic_image/files", "name": "localhost/mine"}
    (derived / "recipe.json").write_text(json.dumps(own))
    recipe, base = program.recipe.Recipe.load(derived), program.recipe.Recipe.load(roles / IMAGE)
    assert recipe.files() == base.files() and recipe.trees() == base.trees()
    assert all(path.is_file() for path in recipe.files().values())
    assert all(path.is_dir() for path, _names in recipe.trees())
    assert any(names for _path, names in recipe.trees())
    assert recipe.store_key(GO) == base.store_key(GO)
    assert recipe.image_key(GO) != base.image_key(GO)
    own["name"] = base.values["name"]
    (derived / "recipe.json").write_text(json.dumps(own))
    assert program.recipe.Recipe.load(derived).reference(GO) == base.reference(GO)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("module x\n\nrequire k8s.io/kubernetes v1.35.4\n", "v1.35.4", id="one-line"),
        pytest.param(
            "require (\n\tk8s.io/api v0.35.4\n\tk8s.io/kubernetes v1.36.0-rc.1 // indirect\n)\n",
            "v1.36.0-rc.1",
            id="block",
        ),
    ],
)
def test_version_of_a_program(text: str, expected: str, program: Any, roles: Path) -> None:
    """The version is the one that go.mod pins."""
    (roles / IMAGE / "go/kubernetes/go.mod").write_text(text)
    recipe = program.recipe.Recipe.load(roles / IMAGE)
    assert recipe.version("kubernetes") == expected
    assert recipe.version("pause") == ""


@pytest.mark.parametrize(
    "text",
    ["module k8s.io/kubernetes\n", "require k8s.io/kubernetes-x v1.0.0\n", "replace k8s.io/kubernetes => ../k\n"],
    ids=["own-name", "longer-name", "replaced"],
)
def test_no_version_of_a_program(text: str, program: Any, roles: Path) -> None:
    """A go.mod that pins no version of the program is an error that names it."""
    (roles / IMAGE / "go/kubernetes/go.mod").write_text(text)
    recipe = program.recipe.Recipe.load(roles / IMAGE)
    with pytest.raises(LookupError, match=r"kubernetes/go.mod names no version of k8s.io/kubernetes"):
        recipe.version("kubernetes")


def test_linker_flags(program: Any, roles: Path) -> None:
    """Programs that tell their version are told it; the others are only made smaller."""
    recipe = program.recipe.Recipe.load(roles / IMAGE)
    version = recipe.version("kubernetes")
    flags = recipe.linker_flags("kubernetes")
    assert flags.startswith("-s -w ")
    assert f"-X k8s.io/component-base/version.gitVersion={version}" in flags
    assert f"-X k8s.io/component-base/version.gitMinor={version.split('.')[1]}" in flags
    assert recipe.linker_flags("local-path") == f"-s -w -X main.VERSION={recipe.version('local-path')}"
    assert recipe.linker_flags("pause") == recipe.linker_flags("etcd") == "-s -w"


def test_tree_digest_knows_links(program: Any, tmp_path: Path) -> None:
    """A link is known by where it leads, not by what is there."""
    (tmp_path / "a").write_text("x")
    link = tmp_path / "link"
    link.symlink_to("a")
    before = program.recipe.tree_digest(tmp_path, ["link"])
    (tmp_path / "a").write_text("y")
    assert program.recipe.tree_digest(tmp_path, ["link"]) == before
    link.unlink()
    link.symlink_to("b")
    assert program.recipe.tree_digest(tmp_path, ["link"]) != before


def test_tree_digest_takes_only_the_names(program: Any, tmp_path: Path) -> None:
    """With names given, the rest of the tree does not matter, nor does their order."""
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    before = program.recipe.tree_digest(tmp_path, ["a", "b"])
    (tmp_path / "c").write_text("other")
    assert program.recipe.tree_digest(tmp_path, ["b", "a"]) == before
    (tmp_path / "a").write_text("other")
    assert program.recipe.tree_digest(tmp_path, ["a", "b"]) != before


def test_the_image_has_all_of_the_pod_network(roles: Path) -> None:
    """Who runs the image with kic_node and kic_kubeadm alone, or with kind, gets its unit and its program."""
    values = json.loads((roles / "kic_image/files/recipe.json").read_text())
    node = roles / "kic_cluster/files/node"
    ours = {str(path.relative_to(node)) for path in node.rglob("*") if path.is_file() and "network" in path.name}
    assert set(values["taken"]["../../kic_cluster/files/node"]) == ours


OLDER = f"{IMAGE}/recipes/1.34"


@pytest.mark.parametrize(
    ("release", "own"),
    [
        *(("", False), ("1.34", True), ("v1.34", True), ("1.34.4", True), ("v1.34.9", True)),
        *(("1.35", False), ("1.35.4", False), ("1.3", False), ("1", False), ("1.340", False)),
    ],
)
def test_recipe_of_a_release(release: str, own: bool, program: Any, roles: Path) -> None:
    """Where there is one for the minor release, it counts; else the recipe itself does."""
    recipe = program.recipe.Recipe.load(roles / IMAGE, release)
    base = program.recipe.Recipe.load(roles / IMAGE)
    assert (recipe.version("kubernetes") != base.version("kubernetes")) is own
    assert (recipe.version("kubernetes").startswith("v1.34.")) is own
    assert recipe.modules("kubernetes") == ((roles / OLDER / "go.mod").resolve() if own else None)
    assert recipe.modules("etcd") is None
    assert recipe.go_directory == base.go_directory and recipe.files() == base.files()


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        *(("", True), ("1.34", True), ("v1.34", True), ("1", True), ("1.3", False), ("1.35", False)),
        *(("1.34.4", True), ("v1.34.4", True), ("1.34.3", False), ("1.34.40", False), ("1.34.", False)),
    ],
)
def test_release_that_a_recipe_makes(asked: str, fits: bool, program: Any, roles: Path) -> None:
    """A minor one means whichever patch the recipe has; a whole one means that alone."""
    path = roles / OLDER / "go.mod"
    path.write_text("module x\n\nrequire k8s.io/kubernetes v1.34.4\n")
    assert program.recipe.Recipe.load(roles / IMAGE, "1.34").fits(asked) is fits


def test_each_recipe_makes_its_release(program: Any, roles: Path) -> None:
    """The folder's name is the minor release that its go.mod pins, and next to it is what Go checks."""
    folders = sorted((roles / IMAGE / "recipes").iterdir())
    assert folders
    for folder in folders:
        recipe = program.recipe.Recipe.load(roles / IMAGE, folder.name)
        assert recipe.fits(folder.name)
        assert recipe.directory == folder.resolve()
        assert all((folder / name).is_file() for name in ("go.mod", "go.sum"))


def versions(roles: Path, name: str) -> dict[str, str]:
    """The modules that a program set pins."""
    text = (roles / IMAGE / "go" / name / "go.mod").read_text()
    return dict(re.findall(r"^(?:require\s+|\s+)(\S+) (v\S+)", text, re.MULTILINE))


def test_what_programs_share_is_compiled_once(roles: Path) -> None:
    """CoreDNS and the storage provisioner pin the same versions: what differs in one of them is compiled twice."""
    dns, storage = versions(roles, "coredns"), versions(roles, "local-path")
    shared = dns.keys() & storage.keys()
    assert {"k8s.io/api", "k8s.io/client-go", "google.golang.org/protobuf"} <= shared
    assert {name: storage[name] for name in shared} == {name: dns[name] for name in shared}


@pytest.mark.parametrize(
    ("change", "of_release", "of_base"),
    [
        pytest.param(append(f"{OLDER}/go.mod", "// x\n"), {"kubernetes", *AFTER_STORE}, set[str](), id="go.mod"),
        pytest.param(append(f"{OLDER}/go.sum"), {"kubernetes", *AFTER_STORE}, set[str](), id="go.sum"),
        pytest.param(add(f"{OLDER}/README"), set[str](), set[str](), id="something-else"),
        pytest.param(
            append(f"{IMAGE}/go/etcd/go.mod", "// x\n"), {"etcd", *AFTER_STORE}, {"etcd", *AFTER_STORE}, id="etcd"
        ),
    ],
)
def test_keys_of_a_release(change: Change, of_release: set[str], of_base: set[str], program: Any, roles: Path) -> None:
    """What only it is made of makes nothing else again; all but the program is shared."""

    def found() -> tuple[dict[str, str], dict[str, str]]:
        recipe = program.recipe.Recipe.load(roles / IMAGE, "1.34")
        own = {name: recipe.program_key(name, GO) for name in recipe.values["programs"]}
        own.update(base=recipe.base_key(), store=recipe.store_key(GO), archive=recipe.image_key(GO))
        return own, keys(program, roles)

    before_own, before = found()
    assert differing(before, before_own) == {"kubernetes", *AFTER_STORE}
    change(roles)
    after_own, after = found()
    assert differing(before_own, after_own) == of_release
    assert differing(before, after) == of_base
