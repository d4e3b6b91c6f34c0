# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose the steps and their results are: root's, the calling user's and the user of the engine never stand in each
other's way."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2.nativetypes import NativeEnvironment

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "roles/kic_image/files/node_image"


def steps(items: list[Any], inherited: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The tasks of a file, each with what its blocks say of all of them."""
    for item in items:
        kept = {key: item[key] for key in ("delegate_to", "become", "become_user", "vars") if key in item}
        task = {**inherited, **item}
        parts = [part for key in ("block", "rescue", "always") for part in item.get(key, [])]
        if "block" in item:
            yield from steps(parts, {**inherited, **kept})
        else:
            yield task


TASKS = [
    (path, task)
    for path in sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/handlers/*.yml")])
    for task in steps(yaml.safe_load(path.read_text(encoding="utf-8")), {})
]


def words(task: dict[str, Any]) -> str:
    """What a task does, without its name."""
    return str({key: value for key, value in task.items() if key != "name"})


@pytest.mark.parametrize(
    ("path", "task"), TASKS, ids=[f"{path.parents[1].name}/{path.stem}: {task.get('name')}" for path, task in TASKS]
)
def test_task_says_which_user_it_is(path: Path, task: dict[str, Any]) -> None:
    """A play's become_user is of the managed machine: a task that becomes somebody, or is delegated, says whom."""
    del path
    if task.get("become") is True:
        assert "become_user" in task
    acts = not any(name.endswith(("set_fact", "debug", "assert", "include_tasks")) for name in task)
    if "delegate_to" in task and acts:
        assert task.get("become") is False or "become_user" in task


@pytest.mark.parametrize(
    ("path", "task"), TASKS, ids=[f"{path.parents[1].name}/{path.stem}: {task.get('name')}" for path, task in TASKS]
)
def test_no_fixed_name_in_a_shared_directory(path: Path, task: dict[str, Any]) -> None:
    """What others could have put there before is not used: only tempfile makes names below /tmp and /var/tmp."""
    del path
    if "ansible.builtin.tempfile" not in task:
        assert "/tmp/" not in words(task)


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("roles/*/vars/*.yml"), *ROOT.glob("roles/*/defaults/*.yml")]), ids=str
)
def test_no_variable_is_a_fixed_name_in_a_shared_directory(path: Path) -> None:
    """A role's variables name no such file either."""
    assert "/tmp/" not in str(yaml.safe_load(path.read_text(encoding="utf-8")))


def build(
    cache: Path, go: str, *step: str, umask: int = 0o077, uid: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a step as the role does."""
    return subprocess.run(
        [sys.executable, "-B", str(PROGRAM), f"--cache={cache}", f"--go={go}", *step],
        umask=umask,
        user=uid,
        group=uid,
        extra_groups=[] if uid is not None else None,
        capture_output=True,
        text=True,
        check=False,
    )


def test_results_are_open_whatever_the_umask(tmp_path: Path, go: str) -> None:
    """Root's umask 077 does not close the cache to the user who builds."""
    cache = tmp_path / "a/b"
    assert build(cache, go, "folders").returncode == 0
    assert build(cache, go, "program", "pause").returncode == 0
    for path in [cache.parent, cache, *cache.rglob("*")]:
        mode = path.stat().st_mode & 0o777
        assert mode & (0o555 if path.is_dir() else 0o444) == (0o555 if path.is_dir() else 0o444), path
    assert {path.name for path in cache.iterdir()} == {"programs", "base", "store", "archives", "go"}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter, which pytest's are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user's cache takes root to make")
@pytest.mark.parametrize("mode", [0o755, 0o700], ids=["open", "closed"])
def test_cache_of_another_user(program: Any, open_folder: Path, mode: int) -> None:
    """A cache that root made is named instead of a traceback in the second step."""
    cache = program.cache.Cache(open_folder / "cache")
    cache.folders()
    cache.directory.chmod(mode)
    assert cache.closed() == ""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        os.write(writer, f"{cache.closed()} {cache.has('base', 'f' * 64)}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    assert os.read(reader, 4096).decode() == f"{cache.directory} False"
    os.close(reader)


def test_the_cache_is_made_by_its_user() -> None:
    """Whichever entry point comes first: a cache that root made is closed to the steps that are not root's."""
    for name, step in (("make", "folders"), ("unpack", "Create the cache directory")):
        path = ROOT / f"roles/kic_image/tasks/{name}.yml"
        makers = [task for task in steps(yaml.safe_load(path.read_text(encoding="utf-8")), {}) if step in str(task)]
        assert [(task["become"], task["delegate_to"]) for task in makers] == [(False, "localhost")]


def test_identity_of_an_archive(program: Any, tmp_path: Path) -> None:
    """The id is that of the configuration's content, not of its name."""
    path = tmp_path / "image.tar"
    assert program.archive.identity(path) == ""
    with program.archive.tarfile.open(path, "w") as archive:
        program.archive.add(archive, program.archive.Entry("lie.json", content=b"{}"))
    assert program.archive.identity(path) == program.archive.hashlib.sha256(b"{}").hexdigest()
    path.write_bytes(b"no archive")
    assert program.archive.identity(path) == ""


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("roles/*/tasks/*.yml")), ids=lambda path: f"{path.parents[1].name}/{path.stem}"
)
def test_tags_take_along_what_a_task_needs(path: Path) -> None:
    """A task that runs by one of its tags finds what an earlier task of its file has registered, as that runs too."""
    tasks = list(steps(yaml.safe_load(path.read_text(encoding="utf-8")), {}))
    for place, task in enumerate(tasks):
        if "register" in task and "tags" in task:
            users = [other for other in tasks[place + 1 :] if task["register"] in words(other)]
            assert all(set(other.get("tags", [])) <= set(task["tags"]) for other in users), task["name"]


def test_images_of_platforms_are_pulled_before_they_are_needed() -> None:
    """Whoever names a platform's image need not pull it first, as with other drivers."""
    tasks = yaml.safe_load((ROOT / "roles/kic_node/tasks/molecule_create.yml").read_text(encoding="utf-8"))
    kinds = [
        next(key for key in task if key.startswith("nodeforge.kic."))
        for task in tasks
        if "nodeforge.kic" in str(list(task))
    ]
    assert kinds.index("nodeforge.kic.oci_image") < kinds.index("nodeforge.kic.kic_node")


def test_which_images_of_platforms_are_pulled() -> None:
    """Each once that a platform names, also one with a digest: nothing else would fetch it."""
    text = yaml.safe_load((ROOT / "roles/kic_node/vars/main.yml").read_text(encoding="utf-8"))[
        "kic_node__molecule_named"
    ]
    pinned = f"quay.io/a/b:1@sha256:{'1' * 64}"
    given = [{"image": "debian:12"}, {"image": pinned}, {"suite": "trixie"}, {"image": "debian:12"}]
    found: Any = NativeEnvironment().from_string(text).render(kic_node__molecule_read={"platforms": given})
    assert found == ["debian:12", pinned]


@pytest.mark.parametrize(
    "script",
    ["kic_image/files/node/usr/local/bin/entrypoint", "kic_cluster/files/node/usr/local/lib/nodeforge.kic/state"],
)
def test_a_mounted_file_is_not_replaced(script: str) -> None:
    """A rename over a mount fails: each place that edits containerd's configuration asks first."""
    text = (ROOT / "roles" / script).read_text(encoding="utf-8")
    assert text.count("sed -i") == 1 and text.index("mountpoint -q") < text.index("sed -i")
