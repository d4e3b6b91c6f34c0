# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose kubeconfig it is and which one, when nobody says: the user who asked, by whichever way they became root."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig_file as files
from ansible_collections.nodeforge.kic.plugins.module_utils._state.record import Subject

from .test_action_kic_kubeconfig import Plugin, path, plugin

__all__ = ["path"]
ME = pwd.getpwuid(os.geteuid())


class Become:
    """A become plugin with its options."""

    def __init__(self, name: str, user: str | None = None, exe: str | None = None) -> None:
        self.name = name
        self.options = {"become_user": user, "become_exe": exe}
        if name.startswith("community.general."):
            del self.options["become_exe"]  # sudosu has no such option

    def get_option(self, name: str) -> str | None:
        """One of them; Ansible raises KeyError for another."""
        return self.options[name]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs the tests."""
    for name in ("KUBECONFIG", "SUDO_USER", "DOAS_USER"):
        monkeypatch.delenv(name, raising=False)


def on(path: Path, transport: str = "ssh", become: Become | None = None, login: str = "dev\n", **more: Any) -> Plugin:
    """The plugin on a connection whose user is ``login``."""
    one = plugin(path, **more)
    connection: Any = one._connection
    connection.transport, connection.become = transport, become
    asked: list[str] = []

    def told(command: str, *, sudoable: bool) -> dict[str, Any]:
        assert not sudoable
        asked.append(command)
        return {"rc": 0 if login else 1, "stdout": login, "stdout_lines": login.splitlines()}

    one._low_level_execute_command = told  # type: ignore[method-assign, assignment]
    one.asked = asked  # type: ignore[attr-defined]
    return one


@pytest.mark.parametrize(
    ("become", "expected", "asked"),
    [
        pytest.param(None, None, 0, id="no-become"),
        pytest.param(Become("sudo"), None, 0, id="sudo-tells-the-module"),
        pytest.param(Become("ansible.builtin.sudo", exe="/usr/bin/sudo"), None, 0, id="sudo-by-path"),
        pytest.param(Become("sudo", exe="sudo su -"), "dev", 1, id="sudo-that-runs-su"),
        pytest.param(Become("su"), "dev", 1, id="su"),
        pytest.param(Become("su", "root", "sudo su -"), "dev", 1, id="su-by-sudo"),
        pytest.param(Become("community.general.doas", "root"), "dev", 1, id="doas"),
        pytest.param(Become("community.general.sudosu"), "dev", 1, id="sudosu"),
        pytest.param(Become("community.general.machinectl"), "dev", 1, id="machinectl"),
        pytest.param(Become("su", "ci"), None, 0, id="to-another-user-than-root"),
    ],
)
@pytest.mark.parametrize("transport", ["ssh", "paramiko_ssh", "community.docker.docker"])
def test_who_asked_on_another_machine(
    path: Path, transport: str, become: Become | None, expected: str | None, asked: int
) -> None:
    """Where root does not know who it was before, the connection's user is requested, without become."""
    one = on(path, transport, become)
    assert one._asker() == expected and one.asked == ["id -un"] * asked  # type: ignore[attr-defined]


@pytest.mark.parametrize(("login", "expected"), [("", None), ("Welcome!\ndev\n", "dev")], ids=["no-answer", "a-banner"])
def test_what_the_connection_says(path: Path, login: str, expected: str | None) -> None:
    """No answer is none, and what a shell says first is not the name."""
    assert on(path, become=Become("su"), login=login)._asker() == expected


@pytest.mark.parametrize("method", ["su", "sudo", "community.general.doas"])
def test_who_asked_on_this_machine(path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """On this very machine it is who runs Ansible, also where that one became root for it."""
    assert on(path, "local", Become(method))._asker() == ME.pw_name
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("DOAS_USER", "SUDO_USER"):
        monkeypatch.setenv(name, f"user-of-{name}")
        assert on(path, "local", Become(method))._asker() == f"user-of-{name}"
        assert on(path, "local")._asker() == f"user-of-{name}"
    assert on(path, "local", Become(method, "ci"))._asker() is None


def test_the_module_knows_doas(monkeypatch: pytest.MonkeyPatch) -> None:
    """What doas leaves is as good as what sudo leaves; an ordinary user cannot be made another by it."""
    other = next(entry for entry in pwd.getpwall() if entry.pw_uid != os.geteuid())
    monkeypatch.setenv("DOAS_USER", other.pw_name)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert files.owner_entry(None).pw_name == other.pw_name
    monkeypatch.setattr(os, "geteuid", lambda: ME.pw_uid or 65534)
    assert files.owner_entry(None).pw_uid == os.geteuid()


# KUBECONFIG.
@pytest.mark.parametrize(
    ("transport", "become", "owner", "expected"),
    [
        ("local", None, None, True),
        ("local", Become("sudo"), None, True),
        ("local", Become("sudo"), ME.pw_name, True),
        ("local", Become("sudo", "ci"), None, False),
        ("local", None, "ci", False),
        ("ssh", None, None, False),
    ],
    ids=["own", "root", "named", "become-another", "of-another", "another-machine"],
)
def test_whose_variable_counts(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
    become: Become | None,
    owner: str | None,
    expected: bool,
) -> None:
    """KUBECONFIG of this user is for this user's files on this machine; that of the task is for whomever it runs."""
    monkeypatch.setenv("KUBECONFIG", f"/a{os.pathsep}{os.pathsep}b")
    one = on(path, transport, become)
    one._task.args = {"cluster": "lab", **({"owner": owner} if owner else {})}
    assert one._searched(one._task.args) == (f"/a{os.pathsep}{Path.cwd() / 'b'}" if expected else None)
    one._task.environment = [{"KUBECONFIG": "/of/the/task"}]

    def compute(found: dict[str, Any]) -> None:
        found.update(one._task.environment[0])

    one._compute_environment_string = compute  # type: ignore[method-assign, assignment]
    assert one._searched(one._task.args) == "/of/the/task"


LISTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str | None], ...] = (
    ("one-that-is-not-there", ("a",), (), "a"),
    ("one", ("a",), ("a",), "a"),
    ("the-first-that-exists", ("a", "b", "c"), ("b", "c"), "b"),
    ("none-exists", ("a", "b"), (), "b"),
    ("the-one-with-the-entries", ("a", "b"), ("a", "b", "*b"), "b"),
    ("entries-in-one-that-is-not-listed", ("a",), ("a", "*b"), "a"),
    ("empty-parts", ("", "b", ""), ("b",), "b"),
    ("nothing", ("",), (), None),
)


@pytest.mark.parametrize(("listed", "there", "expected"), [row[1:] for row in LISTS], ids=[row[0] for row in LISTS])
@pytest.mark.parametrize("way", ["of-the-task", "of-the-process"])
def test_which_file_of_the_list(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    listed: tuple[str, ...],
    there: tuple[str, ...],
    expected: str | None,
) -> None:
    """client-go's rule: the first of the list that exists, else the last; what holds the entries comes first."""
    value = os.pathsep.join(str(tmp_path / name) if name else "" for name in listed)
    for name in there:
        if not name.startswith("*"):
            (tmp_path / name).touch()
    known = [str(tmp_path / name[1:]) for name in there if name.startswith("*")]
    if way == "of-the-process":
        monkeypatch.setenv("KUBECONFIG", value)
    found = files.searched(value if way == "of-the-task" else None, ME, known)
    assert found == (str(tmp_path / expected) if expected else None)


def test_a_home_that_nobody_expands(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kubectl would look for a directory that is called ~: neither there nor anywhere else a file is written unseen."""
    with pytest.raises(KicError, match="takes ~ for the name of a directory") as caught:
        files.searched("~/.kube/lab", ME, ())
    assert caught.value.diagnosis.id == "kubeconfig_unusable" and f"{ME.pw_dir}/.kube/lab" in caught.value.diagnosis.fix
    assert files.searched(f"~/.kube/lab{os.pathsep}/a", ME, ()) == "/a"
    monkeypatch.setenv("KUBECONFIG", f"~/b{os.pathsep}c")
    one = on(path, "local")
    assert one._searched({"cluster": "lab"}) == f"~/b{os.pathsep}{Path.cwd() / 'c'}"


def test_a_relative_list_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that depends on where a program runs is none of a module's, and another's variable is not ours."""
    assert files.searched(f"a{os.pathsep}b", ME, ()) is None
    monkeypatch.setenv("KUBECONFIG", "/a")
    other = next(entry for entry in pwd.getpwall() if entry.pw_uid != os.geteuid())
    assert files.searched(None, other, ()) is None


def test_the_file_is_told_and_found_again(path: Path, tmp_path: Path) -> None:
    """The result names the file of the list; a later run, and the removal, find the entries where they are."""
    other = tmp_path / "later"
    both = {
        "search": os.pathsep.join((str(path), str(other))),
    }
    path.parent.mkdir()
    path.touch()

    def run(**more: Any) -> dict[str, Any]:
        one = plugin(path, **{**both, **more})
        del one._task.args["path"]
        return one.run(task_vars={})

    assert run()["path"] == str(path)
    both["search"] = os.pathsep.join((str(other), str(path)))
    other.touch()
    again = run()
    assert (again["path"], again["changed"]) == (str(path), False) and other.read_text() == ""
    assert list(files.known_files(Subject("podman", "lab"))) == [str(path)]
    assert run(state="absent")["actions"] == [f"remove context of lab: {path}"]


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A list whose file is not the user's to write is a failure with its path, and no other file is taken instead."""
    (tmp_path / "a").mkdir()
    with pytest.raises(KicError, match="a directory, not a regular file"):
        files.read(files.target(files.searched(str(tmp_path / "a"), ME, ()), ME), ME)
