# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose an entry is, with the module's real halves: other engines' clusters, the user's changes, files that are mounted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import failure
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.selection import holds_cluster
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig_file
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import Subject
from ansible_collections.nodeforge.kic.plugins.modules import kic_kubeconfig as module

from .test_action_kic_kubeconfig import CONTROL_PLANE, USERS, Fake, Plugin, path, plan, plugin
from .test_action_kic_kubeconfig import file as as_read
from .test_action_kic_kubeconfig import found as handed_over

__all__ = ["path"]
HERE = {"engine": "podman", "uid": 0, "host": "0a1b"}


class Named(Fake):
    """An engine of this name that is there."""

    def __init__(self, name: str, *held: Any) -> None:
        super().__init__(*held)
        self.name = name
        self.broken = ""

    @property
    def info(self) -> Any:
        if self.broken:
            raise failure(self.broken, engine=self.name, package=self.name, reason="x", fix="y")
        return type("Info", (), {"rootless": False, "as_dict": dict})()


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One machine, on which no other engine is asked unless a test says so."""
    monkeypatch.setattr(kubeconfig_file, "_machine", lambda: "0a1b")
    monkeypatch.setattr(module, "_others", lambda _task: [])


def on(engine: Named, monkeypatch: pytest.MonkeyPatch, *others: Named) -> None:
    """The task's engine, and the other ones of the machine."""
    monkeypatch.setattr(Plugin, "engine", engine)
    monkeypatch.setattr(module, "_others", lambda _task: list(others))


def contexts(path: Path) -> list[str]:
    """The contexts of the file."""
    return [item["name"] for item in yaml.safe_load(path.read_text())["contexts"]]


def test_another_engines_cluster(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One name on two engines: the second is refused, or has another name, and each removal takes its own entries."""
    on(Named("docker", CONTROL_PLANE), monkeypatch)
    assert plugin(path).run(task_vars={})["changed"] is True
    text = path.read_text()
    # The CA of the second is another.
    other = Named("podman", CONTROL_PLANE)
    monkeypatch.setattr(
        kubeconfig_file, "admin_configuration", lambda _engine, _container: ADMIN_OF_ANOTHER, raising=True
    )
    on(other, monkeypatch)
    for check in (True, False):
        refused = plugin(path, check=check).run(task_vars={})
        assert refused["failed"] and refused["diagnosis"]["id"] == "context_taken", check
    assert plugin(path, state="absent").run(task_vars={})["changed"] is False
    assert path.read_text() == text
    assert plugin(path, context="kic-second").run(task_vars={})["context"] == "kic-second"
    assert contexts(path) == ["kic-lab", "kic-second"]
    assert plugin(path, state="absent").run(task_vars={})["changed"] is True
    assert contexts(path) == ["kic-lab"]


ADMIN_OF_ANOTHER = """
clusters: [{name: lab, cluster: {certificate-authority-data: T1RIRVI=, server: 'https://lab.kic.internal:6443'}}]
users: [{name: kubernetes-admin, user: {client-certificate-data: Q1JU, client-key-data: S0VZ}}]
"""


def test_check_mode_knows_that_the_name_is_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before there is a cluster, check mode says that its entry's name is another's."""
    on(Named("docker", CONTROL_PLANE), monkeypatch)
    plugin(path).run(task_vars={})
    on(Named("podman"), monkeypatch)
    assert plugin(path, check=True).run(task_vars={})["diagnosis"]["id"] == "context_taken"


@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
def test_probe_before_there_is_a_cluster(path: Path, monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    """A name that is another's is refused before there is a cluster; one that is free, or its own, changes nothing."""
    on(Named("docker", CONTROL_PLANE), monkeypatch)
    plugin(path).run(task_vars={})
    text = path.read_text()
    for engine, context, condition in (
        (Named("podman"), None, "context_taken"),
        (Named("podman"), "kic-second", None),
        (Named("docker"), None, None),
        (Named("docker", CONTROL_PLANE), None, None),
    ):
        on(engine, monkeypatch)
        probing = plugin(path, check=check, probe=True, diff=True, context=context)
        result = probing.run(task_vars={})
        assert result.get("diagnosis", {}).get("id") == condition, (engine.name, context, result)
        assert (result.get("changed", False), result["actions"], probing.calls) == (False, [], ["read"])
        assert "diff" not in result and "warnings" not in result
    assert path.read_text() == text


def test_probe_of_a_node_without_kubernetes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control plane that runs and has no administrator's configuration yet, as after a run that was ended."""
    on(Named("podman", CONTROL_PLANE), monkeypatch)

    def missing(*_arguments: Any) -> str:
        raise failure("engine_failed", engine="podman", action="reading it", rc=1)

    monkeypatch.setattr(kubeconfig_file, "admin_configuration", missing)
    assert plugin(path, probe=True).run(task_vars={})["changed"] is False
    assert plugin(path, check=True).run(task_vars={})["actions"] == [f"write context kic-lab: {path}"]
    assert plugin(path).run(task_vars={})["diagnosis"]["id"] == "engine_failed"
    assert not path.parent.exists()


def test_probe_of_a_file_that_cannot_be_written(path: Path, tmp_path: Path) -> None:
    """What a write would fail by is known before there is a cluster."""
    path.parent.mkdir()
    path.write_text("no: [yaml")
    for where, condition in (
        (path, "kubeconfig_unusable"),
        (tmp_path / "not" / "there" / "config", "invalid_option"),
        (tmp_path, "kubeconfig_unusable"),
    ):
        refused = plugin(where, probe=True).run(task_vars={})
        assert refused["diagnosis"]["id"] == condition, refused
        written = plugin(where).run(task_vars={})
        assert written["diagnosis"]["id"] == condition, written


@pytest.mark.parametrize(
    ("engine", "problem", "held", "goes"),
    [
        ("auto", "", False, True),
        ("auto", "", True, False),
        ("auto", "engine_not_installed", False, True),
        ("auto", "engine_refused", False, False),
        ("podman", "", False, False),
    ],
    ids=["nobody-has-it", "the-other-has-it", "the-other-is-not-installed", "the-other-is-silent", "by-name"],
)
def test_left_of_a_cluster_that_is_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, problem: str, held: bool, goes: bool
) -> None:
    """Entries of a cluster that was removed by hand go when every engine says that it is gone."""
    docker = Named("docker", CONTROL_PLANE)
    on(docker, monkeypatch)
    path.parent.mkdir()
    path.write_text(USERS)
    plugin(path).run(task_vars={})
    docker.held, docker.broken = (CONTROL_PLANE,) if held else (), problem
    on(Named("podman"), monkeypatch, docker)
    result = plugin(path, state="absent", engine=engine).run(task_vars={})
    assert (result["changed"], contexts(path)) == (goes, ["ada"] if goes else ["ada", "kic-lab"])
    assert list(kubeconfig_file.known_files(Subject("docker", "lab"))) == ([] if goes else [str(path)])
    assert plugin(path, state="absent", engine=engine).run(task_vars={})["changed"] is False


def test_cluster_that_another_user_removed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who removes a cluster of a shared docker has no right to the files of the one who made it. That one's entry goes with
    the own teardown, or is written again with the next cluster of the name."""
    docker = Named("docker", CONTROL_PLANE)
    on(docker, monkeypatch)
    plugin(path).run(task_vars={})
    docker.held = ()
    assert plugin(path, state="absent", check=True).run(task_vars={})["changed"] is True
    docker.held = (CONTROL_PLANE,)
    monkeypatch.setattr(kubeconfig_file, "admin_configuration", lambda _engine, _container: ADMIN_OF_ANOTHER)
    assert plugin(path).run(task_vars={})["context"] == "kic-lab"
    assert "T1RIRVI=" in path.read_text()
    docker.held = ()
    assert plugin(path, state="absent").run(task_vars={})["changed"] is True
    assert not path.exists()


def test_what_the_user_changed(path: Path) -> None:
    """Namespace, proxy and name of the user stay; the second run only reads and returns the user's name."""
    plugin(path).run(task_vars={})
    found = yaml.safe_load(path.read_text())
    found["contexts"][0]["name"] = found["current-context"] = "mine"
    found["contexts"][0]["context"]["namespace"] = "dev"
    found["clusters"][0]["cluster"]["proxy-url"] = "socks5://localhost:1080"
    text = "# a word of the user\n" + yaml.safe_dump(found)
    path.write_text(text)
    for merge in (True, False):
        again = plugin(path, merge=merge)
        result = again.run(task_vars={})
        assert (result["changed"], result["context"], again.calls) == (False, "mine", ["read"])
        assert path.read_text() == text
    assert plugin(path, state="absent").run(task_vars={})["changed"] is True


def test_a_mounted_file_of_another() -> None:
    """Mode and owner of a file that is mounted by itself are not ours to change, so they are no difference."""
    given = handed_over(as_read(None), place=HERE)
    ((written,), _actions, _diff) = plan(given)
    same = as_read(written["text"], mode=0o644, uid=9)
    assert plan(handed_over(same, place=HERE))[1] == ["write context kic-lab: /k/config"]
    assert plan(handed_over({**same, "mounted": True}, place=HERE))[1] == []
    _plan, actions, diff = plan(handed_over({**as_read("{}\n", mode=0o644, uid=9), "mounted": True}, place=HERE))
    assert actions and (diff["after"]["mode"], diff["after"]["uid"]) == ("0644", 9)


@pytest.mark.parametrize(("rootless", "uid", "expected"), [(True, 1001, 1001), (False, 1001, 0), (False, 0, 0)])
def test_whose_engine_it_is(monkeypatch: pytest.MonkeyPatch, rootless: bool, uid: int, expected: int) -> None:
    """A member of group docker and root have one engine; a rootless one is its user's."""
    monkeypatch.setattr("os.geteuid", lambda: uid)
    engine = Named("docker")
    monkeypatch.setattr(Named, "info", type("Info", (), {"rootless": rootless})())
    assert kubeconfig_file.place_of(engine) == {"engine": "docker", "uid": expected, "host": "0a1b"}


def test_which_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine's id is not given away, and one that is not set yet is none."""
    monkeypatch.undo()
    real = open
    for content, length in (("f" * 32 + "\n", 12), ("uninitialized\n", 0), ("", 0), (None, 0)):
        one = tmp_path / "id"
        one.unlink(missing_ok=True)
        if content is not None:
            one.write_text(content)
        with monkeypatch.context() as patched:
            patched.setattr("builtins.open", lambda _path, *more, one=one, **named: real(one, *more, **named))
            found = kubeconfig_file._machine()
        assert len(found) == length and found != "f" * 12


def test_nodes_of_a_stopped_cluster_stay_ours() -> None:
    """The fake and the dataclass agree: a node that does not run is still held."""
    stopped = dataclasses.replace(CONTROL_PLANE, status="exited")
    assert holds_cluster(Named("docker", stopped), "lab") is True
    assert holds_cluster(Named("docker"), "lab") is False


def test_comments_of_the_user(path: Path) -> None:
    """Comments, anchors and styles stay through two clusters and their removal, and nothing is warned of."""
    path.parent.mkdir()
    text = (
        "# prod, read only!\ncontexts:\n- &a {name: prod, context: {cluster: c, user: u}}\n"
        "clusters: []\nusers: []\ncurrent-context: prod  # by default\n"
    )
    path.write_text(text)
    result = plugin(path).run(task_vars={})
    assert result["changed"] and not result.get("warnings")
    assert "# prod, read only!\n" in path.read_text() and "&a" in path.read_text()
    plugin(path, state="absent").run(task_vars={})
    assert path.read_text().startswith(text[: text.index("clusters")]) and "prod  # by default" in path.read_text()
    assert not path.with_name(path.name + kubeconfig_file.ORIGINAL).exists()


@pytest.mark.parametrize(
    ("text", "merge", "kind"),
    [
        ("{contexts: [], # mine\n users: []}\n", True, "comments"),
        (USERS, False, "other entries"),
        ("users: [{name: ada, user: {token: x}}]\n", False, "other entries"),
    ],
    ids=["flow-style", "alone", "alone-without-comments"],
)
def test_what_is_lost_is_kept(path: Path, text: str, merge: bool, kind: str) -> None:
    """What a change cannot keep is named once, also in check mode, and the file as it was is kept for good."""
    path.parent.mkdir()
    path.write_text(text)
    kept = path.with_name(path.name + kubeconfig_file.ORIGINAL)
    (warning,) = plugin(path, merge=merge, check=True).run(task_vars={})["warnings"]
    assert f"some of its {kind}." in warning and kubeconfig_file.ORIGINAL in warning and not kept.exists()
    (warning,) = plugin(path, merge=merge).run(task_vars={})["warnings"]
    assert f"some of its {kind}." in warning
    again = plugin(path, merge=merge).run(task_vars={})
    assert not again["changed"] and not again.get("warnings")
    plugin(path, merge=merge, context="other").run(task_vars={})
    assert kept.read_text() == text
