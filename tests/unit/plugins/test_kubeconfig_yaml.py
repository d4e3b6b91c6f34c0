# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A kubeconfig's text is changed where it differs: what its user wrote stays to the letter, or its loss is named."""

from __future__ import annotations

import difflib
import json
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig
from ansible_collections.nodeforge.kic.plugins.plugin_utils import kubeconfig_yaml as text_of

ADMIN = {
    "clusters": [{"name": "lab", "cluster": {"certificate-authority-data": "Q0E=", "server": "x"}}],
    "users": [{"name": "a", "user": {"client-certificate-data": "Q1JU", "client-key-data": "S0VZ"}}],
}
PLACE = {"engine": "podman", "uid": 0, "host": "0a1b"}

DOCUMENTED = """\
# The clusters of the team. Ask before you change this.
apiVersion: v1
kind: Config
clusters:
# prod, read only!
- cluster:
    server: https://prod.example   # behind the VPN
    certificate-authority-data: |
      Q0E=
      # no comment
  name: prod

# staging
- name: staging
  cluster: &staging {server: "https://staging.example"}
contexts:
  - name: prod  # careful
    context: {cluster: prod, user: ada}
  # ada's own
  - context: &base
      cluster: staging
      user: ada
    name: staging
  - name: dev
    context:
      <<: *base
      namespace: dev
users:
- name: ada
  user:
    exec: {command: aws, args: [eks, get-token]}
    since: 2026-01-02
    note: >-
      folded
      text
current-context: prod  # by default
preferences: {}
# the end
"""
KUBECTL = """\
apiVersion: v1
clusters: null
contexts: null
current-context: ""
kind: Config
preferences: {}
users: null
"""
TEXTS = {
    "documented": DOCUMENTED,
    "of-kubectl": KUBECTL,
    "empty-lists": KUBECTL.replace("null", "[]  # none yet"),
    "no-values": KUBECTL.replace(" null", ""),
    "only-comments": "# mine\n\n# later\n",
    "a-marker": "---\n# mine\n",
    "no-newline-at-the-end": DOCUMENTED.rstrip("\n"),
    "block-scalar-at-the-end": "# c\nusers:\n- name: ada\n  user:\n    token: |\n      abc\n\n",
    "windows": DOCUMENTED.replace("\n", "\r\n"),
    "indented-dashes": "# c\nusers:\n    -   name: ada\n        user: {token: x}\n    -\n        # b\n        name: bob\n        user: {}\n",
    "quoted-keys": '"users":  # c\n- "name": \'ada\'\n  "user": {"token": "x"}\n"current-context": \'ada\'\n',
    "letters": "# größe ☃\nusers:\n- {name: ☃, user: {token: ß}}\n",
    "end-marker": "--- # c\nkind: Config\nusers: []\n...\n",
    "nothing-but-null": "clusters:\nusers:\ncontexts:",
}


def merged(before: Any, server: str = "https://127.0.0.1:1") -> Any:
    """The file with a cluster of ours."""
    ours = kubeconfig.entries(ADMIN, cluster="lab", name="kic-lab", server=server, place=PLACE)
    return kubeconfig.merge(before, ours, cluster="lab", path="/k", set_current=True)


def removed_lines(before: str, after: str) -> list[str]:
    """The lines of a text that are not in another."""
    found = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line[2:] for line in found if line.startswith("- ")]


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
def test_what_the_user_wrote_stays(text: str) -> None:
    """Entries come, change and go; every line of the user's stays, but for that which names the current context."""
    before = text_of.load(text) or {}
    after = merged(before)
    first, lost = text_of.changed(text, before, after)
    assert text_of.load(first) == after and lost == []
    for line in removed_lines(text, first):
        assert any(line.strip('"').startswith(key) for key in ("current-context", "clusters", "contexts", "users")), (
            line
        )
    moved = merged(after, "https://127.0.0.1:2")
    second, lost = text_of.changed(first, after, moved)
    assert text_of.load(second) == moved and lost == []
    assert [line.strip() for line in removed_lines(first, second)] == ["server: https://127.0.0.1:1"]
    gone = kubeconfig.remove(moved, cluster="lab")
    third, lost = text_of.changed(second, moved, gone)
    assert text_of.load(third) == gone and lost == []
    assert "kic-lab" not in third


def test_names_that_are_numbers() -> None:
    """YAML reads a name without quotation marks as a number: a second run changes nothing for that."""
    before = text_of.load("contexts:\n- name: 123\n  context: {cluster: 123, user: 1}\ncurrent-context: 123\n")
    after = merged(before)
    assert after["contexts"][0] == before["contexts"][0] and after["current-context"] == "kic-lab"
    assert merged(after) == after


def test_a_documented_file_is_restored() -> None:
    """After the cluster has gone the file is what it was, to the byte."""
    before = text_of.load(DOCUMENTED)
    after = merged(before)
    text, _lost = text_of.changed(DOCUMENTED, before, after)
    assert "current-context: kic-lab  # by default\n" in text
    assert text_of.changed(text, after, kubeconfig.remove(after, cluster="lab")) == (DOCUMENTED, [])


def test_nothing_to_change() -> None:
    """What is the same already is not written again, whatever its style."""
    assert text_of.changed(DOCUMENTED, {"a": 1}, {"a": 1}) == (DOCUMENTED, [])
    assert text_of.changed(None, {}, {"a": 1}) == ("a: 1\n", [])
    assert text_of.changed("", {}, {"a": 1}) == ("a: 1\n", [])


@pytest.mark.parametrize("indent", [None, 2, 4, "\t"], ids=str)
def test_json_stays_json(indent: Any) -> None:
    """A kubeconfig in JSON is written back as one, with its indentation."""
    before = {"kind": "Config", "users": [{"name": "ada", "user": {"token": "ß", "n": 1}}], "contexts": None}
    text = json.dumps(before, indent=indent, ensure_ascii=False) + "\n"
    found, lost = text_of.changed(text, before, merged(before))
    assert json.loads(found) == merged(before) and lost == []
    assert found.startswith(text[:12])


LOSSES: tuple[tuple[str, str, dict[str, Any], list[str]], ...] = (
    ("a-comment-in-flow-style", "{users: [], # mine\n kind: Config}\n", {"users": [1], "kind": "Config"}, ["comments"]),
    ("a-list-in-flow-style", "users: [a, # mine\n b]\n", {"users": ["a", "c"]}, ["comments"]),
    ("an-anchor-that-others-use", "a: &x\n- 1 # c\nb: *x\n", {"a": [2], "b": [1]}, ["anchors", "comments"]),
    ("a-comment-in-what-goes", "a: 1\nb:\n  # c\n  d: 1\n", {"a": 1}, ["comments"]),
    ("a-block-scalar", "a: |\n  x\nb: &x 1\nc: *x\n", {"a": "y", "b": 1, "c": 2}, ["anchors", "block scalars"]),
)


@pytest.mark.parametrize(("text", "after", "expected"), [row[1:] for row in LOSSES], ids=[row[0] for row in LOSSES])
def test_what_is_lost_is_named(text: str, after: dict[str, Any], expected: list[str]) -> None:
    """Where a change cannot be made in its place, the file is right all the same, and what it loses is named."""
    found, lost = text_of.changed(text, text_of.load(text), after)
    assert text_of.load(found) == after and lost == expected


VALUES: tuple[tuple[str, Any, Any], ...] = (
    ("a: 1 # c\n", {"a": 1}, {"a": "two words: and a colon"}),
    ("a: 'x' # c\n", {"a": "x"}, {"a": "first\nsecond"}),
    ("a: # c\nb: 1\n", {"a": None, "b": 1}, {"a": "x", "b": 1}),
    ("# c\na: {b: 1}\n", {"a": {"b": 1}}, {"a": {"b": 2}}),
    ("# c\na:\n  b: 1\n", {"a": {"b": 1}}, {"a": {"b": 1, "c": {"d": [1]}}}),
    ("# c\na:\n- 1\n- 2\n- 3\n", {"a": [1, 2, 3]}, {"a": [1, 3]}),
    ("# c\na:\n- 1\n- 2\n- 3\n", {"a": [1, 2, 3]}, {"a": [3]}),
    ("# c\na:\n- 1\n- 2\n", {"a": [1, 2]}, {"a": []}),
    ("# c\na:\n- - 1\n  - 2\n- - 3\n", {"a": [[1, 2], [3]]}, {"a": [[1, 9], [3, 4], 5]}),
    ("# c\na: &x {b: 1}\nc:\n  <<: *x\n", {"a": {"b": 1}, "c": {"b": 1}}, {"a": {"b": 1}, "c": {"b": 2}}),
    ("# c\na: 1\n", {"a": 1}, {"a": None}),
    ("# c\na: 1\n", {"a": 1}, {"a": True, "b": "true", "c": "1", "d": "2026-01-02", "e": ""}),
    ("# c\n? a\n: 1\n", {"a": 1}, {"a": 2}),
    ("# c\na: 1\nb: 2\n", {"a": 1, "b": 2}, {"b": 2}),
)


@pytest.mark.parametrize(("text", "before", "after"), VALUES, ids=[repr(row[0]) for row in VALUES])
def test_values(text: str, before: Any, after: Any) -> None:
    """Each kind of change is made in its place."""
    assert text_of.load(text) == before
    found, lost = text_of.changed(text, before, after)
    assert text_of.load(found) == after and lost == [] and "# c" in found
