# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters: a problem is reported and does not raise."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from jinja2 import Undefined, UndefinedError

from ansible_collections.nodeforge.kic.plugins.filter import (
    cluster_summary,
    host_needs,
    molecule_platforms,
)
from ansible_collections.nodeforge.kic.plugins.plugin_utils.host_needs import needs
from ansible_collections.nodeforge.kic.tests.unit.module_utils.test_host_needs import asked, look

RESULT: dict[str, Any] = {
    "engine": "podman",
    "control_plane": "lab-control-plane-1",
    "nodes": [{"name": "lab-control-plane-1", "role": "control-plane", "ip": "192.168.128.2", "state": "running"}],
    "statuses": [{"name": "lab-control-plane-1", "ready": True, "version": "v1.35.4"}],
    "kubeconfig": "",
    "context": "",
}


def test_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody thought of is a problem to be shown as well."""

    def broken(*_arguments: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr(molecule_platforms, "platforms", broken)
    found = molecule_platforms.molecule_platforms([])
    assert found["diagnosis"]["id"] == "internal_error" and found["platforms"] == []


def test_molecule_platforms_with_a_date() -> None:
    """What YAML reads as a date without being asked is the text that stands there."""
    given = [{"name": "a", "image": "x", "env": {"SINCE": dt.date(2026, 1, 2)}}]
    assert molecule_platforms.molecule_platforms(given)["platforms"][0]["env"] == {"SINCE": "2026-01-02"}


@pytest.mark.parametrize(("uid", "begin"), [(0, "  podman exec"), (1000, "  sudo podman exec")], ids=["root", "user"])
def test_summary(uid: int, begin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is for the one who runs the play, who may need sudo."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    text = cluster_summary.cluster_summary(RESULT)
    assert "lab-control-plane-1   control-plane   192.168.128.2   Ready    v1.35.4" in text
    assert any(line.startswith(begin) for line in text.splitlines())


@pytest.mark.parametrize(
    ("changes", "begin"),
    [
        ({"needs_sudo": True}, "  sudo podman exec"),
        ({"needs_sudo": False}, "  podman exec"),
        ({"needs_sudo": True, "rootless": True}, "  podman exec"),
    ],
    ids=["root for another", "member of docker", "rootless"],
)
@pytest.mark.parametrize("uid", [0, 1000])
def test_summary_is_for_the_owner(
    changes: dict[str, Any], begin: str, uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a kubeconfig was written its owner is the reader, on whatever machine, and not the one who runs the play."""
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    text = cluster_summary.cluster_summary({**RESULT, **changes})
    assert next(line for line in text.splitlines() if "podman exec" in line).startswith(begin)


WRONG: list[tuple[Any, str]] = [
    (None, "is of type NoneType, not a mapping"),
    ("text", "is of type str, not a mapping"),
    ([], "is of type list, not a mapping"),
    ({}, "has no field"),
]


@pytest.mark.parametrize(("given", "words"), WRONG)
@pytest.mark.parametrize("name", ["cluster_summary", "host_needs"])
def test_unexpected_input(name: str, given: Any, words: str) -> None:
    """It is named, with what to read."""
    arguments = {"cluster_summary": [given], "host_needs": [given, asked()]}[name]
    module = {"cluster_summary": cluster_summary, "host_needs": host_needs}[name]
    with pytest.raises(AnsibleFilterError, match=words) as refused:
        getattr(module, name)(*arguments)
    assert f"Fix: see what it takes: ansible-doc -t filter nodeforge.kic.{name}" in str(refused.value)


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        (cluster_summary, "cluster_summary", [{**RESULT, "nodes": None}]),
        (cluster_summary, "cluster_summary", [{**RESULT, "nodes": ["x"]}]),
        (cluster_summary, "cluster_summary", [{**RESULT, "statuses": [{}, {"ready": True}]}]),
        (host_needs, "host_needs", [{"host": {}}, asked()]),
        (host_needs, "host_needs", [look(), asked(sysctls={"vm.x": "many"})]),
        (host_needs, "host_needs", [look(), asked(modules=[{}])]),
        (host_needs, "host_needs", [look(), {"sysctls": {}}]),
        (host_needs, "host_needs", [look()]),
        (host_needs, "host_needs", [look(), {**asked(), "x": {1}}]),
    ],
)
def test_unexpected_part(module: Any, name: str, arguments: list[Any]) -> None:
    """Whatever is wrong in it has a cause and a fix too."""
    with pytest.raises(AnsibleFilterError, match="Fix: "):
        getattr(module, name)(*arguments)


def test_undefined_input() -> None:
    """A variable that is not defined is Ansible's to name."""
    with pytest.raises(UndefinedError, match="'kic_x' is undefined"):
        cluster_summary.cluster_summary(Undefined(name="kic_x"))


def test_host_needs() -> None:
    """The filter hands on what the pure function says (test_host_needs.py)."""
    seen = look(sysctls={"fs.inotify.max_user_instances": 128})
    found = host_needs.host_needs(seen, asked())
    assert found == needs(seen, asked()) and found["sysctls"] is True


def test_names_of_the_filters() -> None:
    """The filters have the names of their files, as ansible-core looks for them."""
    assert cluster_summary.FilterModule().filters() == {"cluster_summary": cluster_summary.cluster_summary}
    assert host_needs.FilterModule().filters() == {"host_needs": host_needs.host_needs}
