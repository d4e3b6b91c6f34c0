# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster's entries in a kubeconfig: nothing of the user's is lost when they come and go."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig

ADMIN: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [
        {"name": "lab", "cluster": {"certificate-authority-data": "Q0E=", "server": "https://lab.kic.internal:6443"}}
    ],
    "users": [{"name": "kubernetes-admin", "user": {"client-certificate-data": "Q1JU", "client-key-data": "S0VZ"}}],
    "contexts": [{"name": "kubernetes-admin@lab", "context": {"cluster": "lab", "user": "kubernetes-admin"}}],
    "current-context": "kubernetes-admin@lab",
}
SERVER = "https://127.0.0.1:40001"
KINDS = (("clusters", "cluster"), ("users", "user"), ("contexts", "context"))


def ours(cluster: str = "lab", name: str | None = None, server: str = SERVER) -> dict[str, Any]:
    """The entries of a cluster of ours."""
    return kubeconfig.entries(ADMIN, cluster=cluster, name=name or f"kic-{cluster}", server=server)


def foreign(*names: str, current: str | None = None) -> dict[str, Any]:
    """A user's file with entries of these names, keys that we know nothing of, and an extension of another program."""
    mark = [{"name": "minikube.sigs.k8s.io", "extension": {"cluster": "lab"}}]
    return {
        "preferences": {"colors": True},
        "users": [{"name": n, "user": {"exec": {"command": "aws", "args": ["-x"]}, "tokenFile": "/t"}} for n in names],
        "kind": "Config",
        "x-unknown": {"deep": [1, None, {"a": "b"}]},
        "clusters": [
            {"name": n, "cluster": {"server": f"https://{n}.example", "proxy-url": "socks5://p", "extensions": mark}}
            for n in names
        ],
        "contexts": [
            {"name": n, "context": {"cluster": n, "user": n, "namespace": "dev"}, "x-note": "mine"} for n in names
        ],
        "apiVersion": "v1",
        "current-context": names[0] if current is None else current,
        "extensions": mark,
    }


def merge(existing: dict[str, Any], new: dict[str, Any] | None = None, set_current: bool = True) -> dict[str, Any]:
    """Merge the entries of the cluster lab."""
    return kubeconfig.merge(existing, new or ours(), cluster="lab", path="/k/config", set_current=set_current)


def names(config: dict[str, Any], key: str = "contexts") -> list[str]:
    """The names of the entries of a list."""
    return [item["name"] for item in config[key]]


def test_context_name() -> None:
    """Entries are called by the cluster, with a prefix that keeps them apart."""
    assert kubeconfig.context_name("lab") == "kic-lab"


def test_entries() -> None:
    """The entries hold kubeadm's credentials, the address from outside, one name, and the mark of the cluster."""
    found = ours(name="my-lab")
    assert found["current-context"] == "my-lab"
    assert found["clusters"][0]["cluster"]["server"] == SERVER
    assert found["clusters"][0]["cluster"]["certificate-authority-data"] == "Q0E="
    assert found["users"][0]["user"]["client-certificate-data"] == "Q1JU"
    assert found["users"][0]["user"]["client-key-data"] == "S0VZ"
    assert found["contexts"][0]["context"]["cluster"] == found["contexts"][0]["context"]["user"] == "my-lab"
    for key, body in KINDS:
        assert names(found, key) == ["my-lab"]
        assert kubeconfig.owner_of(found[key][0], key) == "lab", body
    assert "&" not in yaml.safe_dump(found), "kubectl's writer and people read no anchors"


@pytest.mark.parametrize(
    "admin",
    [
        {},
        {"clusters": []},
        {"clusters": None, "users": None},
        {**ADMIN, "users": [{"name": "a", "user": {"client-certificate-data": "Q1JU"}}]},
        {**ADMIN, "users": [{"name": "a", "user": {"client-certificate": "/path"}}]},
        {**ADMIN, "clusters": [{"name": "lab", "cluster": {"server": "x"}}]},
    ],
    ids=["empty", "no-cluster", "null", "no-key", "a-path", "no-authority"],
)
def test_admin_that_is_not_kubeadms(admin: dict[str, Any]) -> None:
    """An admin.conf without what is needed is an error that says what to run, and shows no credentials."""
    with pytest.raises(KicError) as caught:
        kubeconfig.entries(admin, cluster="lab", name="kic-lab", server=SERVER)
    assert caught.value.diagnosis.id == "kubeconfig_unusable"
    assert "kic_kubeadm" in caught.value.diagnosis.fix
    assert "Q1JU" not in str(caught.value)


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"kind": "Config"},
        {"clusters": None, "users": [], "contexts": []},
        {"clusters": [{"name": "a"}], "users": [{"user": None}], "contexts": [{"context": {"extensions": None}}]},
        foreign("a"),
    ],
    ids=["empty", "only-kind", "null-lists", "null-bodies", "whole"],
)
def test_check_takes(found: dict[str, Any]) -> None:
    """What kubectl takes for a kubeconfig is taken as it is."""
    assert kubeconfig.check(copy.deepcopy(found), "/k/config") == found


def test_check_of_an_empty_file() -> None:
    """A file without content is an empty kubeconfig."""
    assert kubeconfig.check(None, "/k/config") == {}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param("text", "it is not a kubeconfig", id="text"),
        pytest.param([], "it is not a kubeconfig", id="list"),
        pytest.param({"kind": "Pod"}, "it is not a kubeconfig", id="other-kind"),
        pytest.param({"users": {"a": 1}}, "its users are no list", id="users-are-a-mapping"),
        pytest.param({"clusters": "x"}, "its clusters are no list", id="clusters-are-text"),
        pytest.param({"contexts": ["a"]}, "its contexts are no list", id="contexts-of-text"),
        pytest.param({"contexts": [{"context": "x"}]}, "one of its contexts is not a mapping", id="context-is-text"),
        pytest.param({"users": [{}, {"user": ["x"]}]}, "one of its users is not a mapping", id="user-is-a-list"),
        pytest.param({"clusters": [{"cluster": 5}]}, "one of its clusters is not a mapping", id="cluster-is-a-number"),
        pytest.param(
            {"clusters": [{"cluster": {"extensions": {"name": "nodeforge.kic"}}}]},
            "one of its clusters is not a mapping",
            id="extensions-are-a-mapping",
        ),
        pytest.param(
            {"contexts": [{"context": {"extensions": "x"}}]},
            "one of its contexts is not a mapping",
            id="extensions-text",
        ),
    ],
)
def test_check_refuses(found: Any, reason: str) -> None:
    """What is not a kubeconfig is refused with the path and what to do, and is not shown."""
    with pytest.raises(KicError) as caught:
        kubeconfig.check(found, "/k/config")
    assert caught.value.diagnosis.id == "kubeconfig_unusable"
    assert caught.value.diagnosis.cause == f"/k/config cannot be used as a kubeconfig: {reason}."
    assert "/k/config" in caught.value.diagnosis.fix


@pytest.mark.parametrize(
    "existing",
    [{}, {"clusters": None, "users": None, "contexts": None}, {"kind": "Config", "contexts": []}],
    ids=["none", "null", "empty"],
)
def test_merge_into_nothing(existing: dict[str, Any]) -> None:
    """In an empty file the entries are all there is, and the context is the current one."""
    assert merge(existing) == ours()


def test_merge_keeps_what_is_the_users() -> None:
    """Foreign entries keep their place and every key of theirs; so does the rest of the file."""
    existing = foreign("b", "a")
    before = copy.deepcopy(existing)
    found = merge(existing)
    assert existing == before, "the merge must not change what it was given"
    for key, _body in KINDS:
        assert found[key][:2] == before[key]
        assert names(found, key) == ["b", "a", "kic-lab"]
    for key in ("preferences", "x-unknown", "extensions", "kind", "apiVersion"):
        assert found[key] == before[key]
    assert list(found) == list(before), "the order of the file's keys stays"


def test_merge_again_changes_nothing() -> None:
    """The same entries once more leave the file as it is."""
    once = merge(foreign("a"))
    assert merge(once) == once


def test_merge_replaces_in_place() -> None:
    """Entries of the same cluster are replaced where they stand, and none is left over."""
    existing = merge(foreign("a"))
    for key, _body in KINDS:
        existing[key] += foreign("z")[key]
    found = merge(existing, ours(server="https://127.0.0.1:50000"))
    for key, _body in KINDS:
        assert names(found, key) == ["a", "kic-lab", "z"]
    assert found["clusters"][1]["cluster"]["server"] == "https://127.0.0.1:50000"


def test_merge_under_another_name() -> None:
    """A new name takes the place of the old one, and the current context follows it."""
    existing = merge(foreign("a"))
    for key, _body in KINDS:
        existing[key] += foreign("z")[key]
    assert existing["current-context"] == "kic-lab"
    for set_current in (True, False):
        found = merge(existing, ours(name="my-lab"), set_current=set_current)
        for key, _body in KINDS:
            assert names(found, key) == ["a", "my-lab", "z"]
        assert found["current-context"] == "my-lab", "a current context that is gone would be of no use"


@pytest.mark.parametrize("set_current", [True, False], ids=["set", "not-set"])
@pytest.mark.parametrize(
    ("current", "expected"),
    [("a", "a"), ("kic-lab", "my-lab"), ("gone", "gone")],
    ids=["of-the-user", "ours", "of-nothing"],
)
def test_current_context_after_another_name(current: str, expected: str, set_current: bool) -> None:
    """Another name makes no new context: who chose another keeps it, and ours is followed."""
    existing = merge(foreign("a"))
    existing["current-context"] = current
    found = merge(existing, ours(name="my-lab"), set_current=set_current)
    assert names(found) == ["a", "my-lab"]
    assert found["current-context"] == expected


def test_merge_of_two_clusters() -> None:
    """Clusters of ours do not touch each other's entries."""
    other = kubeconfig.merge({}, ours("prod"), cluster="prod", path="/k/config", set_current=True)
    found = merge(other)
    assert names(found) == ["kic-prod", "kic-lab"]
    assert found["contexts"][0] == other["contexts"][0] and found["users"][0] == other["users"][0]
    assert kubeconfig.remove(found, cluster="lab")["users"] == other["users"]


def test_merge_completes_what_is_half() -> None:
    """An entry of ours that someone removed is made again, and the others are replaced."""
    existing = merge(foreign("a"))
    existing["users"] = [item for item in existing["users"] if item["name"] != "kic-lab"]
    assert merge(existing) == merge(foreign("a"))


@pytest.mark.parametrize(
    ("current", "there", "set_current", "expected"),
    [
        pytest.param("a", False, True, "kic-lab", id="new-becomes-current"),
        pytest.param("a", False, False, "a", id="new-but-not-wanted"),
        pytest.param("a", True, True, "a", id="user-chose-another"),
        pytest.param("kic-lab", True, True, "kic-lab", id="is-current"),
        pytest.param("kic-lab", True, False, "kic-lab", id="is-current-and-stays"),
        pytest.param("", True, True, "kic-lab", id="none-yet"),
        pytest.param("", True, False, "", id="none-and-not-wanted"),
        pytest.param("gone", True, True, "gone", id="users-own-mistake"),
    ],
)
def test_current_context(current: str, there: bool, set_current: bool, expected: str) -> None:
    """A new entry becomes current where that is wanted; who chose another context keeps it."""
    existing = merge(foreign("a")) if there else foreign("a")
    existing["current-context"] = current
    assert merge(existing, set_current=set_current)["current-context"] == expected


def test_current_context_of_a_new_file() -> None:
    """A file made without wanting a current context has an empty one, as kubectl writes it."""
    assert merge({}, set_current=False)["current-context"] == ""


@pytest.mark.parametrize("key", [key for key, _body in KINDS])
@pytest.mark.parametrize("owner", [None, "prod"], ids=["of-the-user", "of-another-cluster"])
def test_context_taken(key: str, owner: str | None) -> None:
    """An entry of our name that is not this cluster's is never overwritten, in whichever list it is."""
    entry = ours(owner, name="kic-lab")[key][0] if owner else foreign("kic-lab")[key][0]
    with pytest.raises(KicError) as caught:
        merge({key: [entry]})
    assert caught.value.diagnosis.id == "context_taken"
    assert "/k/config has an entry named kic-lab" in caught.value.diagnosis.cause


@pytest.mark.parametrize("existing", [{}, foreign("a"), foreign("b", "a", current="a")], ids=["empty", "one", "two"])
def test_remove_undoes_a_merge(existing: dict[str, Any]) -> None:
    """What was merged goes again, also when it was merged twice, and all else is as it was."""
    found = kubeconfig.remove(merge(merge(existing), ours(server="https://127.0.0.1:2")), cluster="lab")
    assert found["current-context"] == existing.get("current-context", "")
    for key, _body in KINDS:
        assert found[key] == existing.get(key, [])
    rest = {
        key: value for key, value in existing.items() if key not in ("current-context", "clusters", "users", "contexts")
    }
    assert {key: found[key] for key in rest} == rest


@pytest.mark.parametrize(
    "existing",
    [{}, foreign("a"), foreign("kic-lab"), {"contexts": None, "current-context": "x"}],
    ids=["empty", "foreign", "foreign-of-our-name", "null"],
)
def test_remove_of_nothing(existing: dict[str, Any]) -> None:
    """A file without entries of the cluster stays as it is."""
    before = copy.deepcopy(existing)
    assert kubeconfig.remove(existing, cluster="lab") == before == existing


def test_remove_keeps_a_current_context_of_others() -> None:
    """A current context that is not the cluster's stays when the cluster goes."""
    existing = merge(foreign("a"), set_current=False)
    before = copy.deepcopy(existing)
    assert kubeconfig.remove(existing, cluster="lab") == foreign("a")
    assert existing == before, "removing must not change what it was given"


def test_remove_finds_entries_by_their_mark() -> None:
    """Entries that the user renamed are found again by their mark."""
    existing = merge(foreign("a"))
    for key, _body in KINDS:
        existing[key][1]["name"] = "renamed"
    existing["current-context"] = "renamed"
    found = kubeconfig.remove(existing, cluster="lab")
    assert names(found) == names(found, "users") == names(found, "clusters") == ["a"]
    assert found["current-context"] == "a"


def test_remove_leads_to_no_context_that_is_gone() -> None:
    """Where the user took the former context out meanwhile, there is none."""
    existing = merge(foreign("a", "b", current="a"))
    existing["contexts"] = [item for item in existing["contexts"] if item["name"] != "a"]
    assert kubeconfig.remove(existing, cluster="lab")["current-context"] == ""


def test_a_merge_of_the_same_changes_nothing() -> None:
    """The former context stays in the entry when it is written again; a user's later choice is no former one."""
    existing = merge(foreign("a", "b", current="a"))
    assert merge(existing) == existing
    existing["current-context"] = "b"
    assert merge(existing) == existing
    assert kubeconfig.remove(existing, cluster="lab")["current-context"] == "b"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        pytest.param({}, True, id="empty"),
        pytest.param(kubeconfig.remove(ours(), cluster="lab"), True, id="after-the-last-entry"),
        pytest.param({"clusters": None, "preferences": {}, "current-context": "x"}, True, id="nothing-of-worth"),
        pytest.param({"preferences": {"colors": True}}, False, id="preferences"),
        pytest.param({"x-unknown": {}}, False, id="unknown-key"),
        pytest.param({"extensions": []}, False, id="extensions"),
        pytest.param({"users": [{"name": "a"}]}, False, id="a-user"),
        pytest.param({"clusters": [{"name": "a"}]}, False, id="a-cluster"),
        pytest.param({"contexts": [{"name": "a"}]}, False, id="a-context"),
    ],
)
def test_is_empty(config: dict[str, Any], expected: bool) -> None:
    """Only a file of which no one could miss a thing is empty."""
    assert kubeconfig.is_empty(config) is expected


MARK = {"name": "nodeforge.kic", "extension": {"cluster": "lab"}}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        pytest.param({"name": "a", "context": {"extensions": [MARK]}}, "lab", id="ours"),
        pytest.param({"name": "a", "context": {"extensions": [{"name": "other"}, MARK]}}, "lab", id="next to-another"),
        pytest.param(
            {"name": "a", "context": {"extensions": [{**MARK, "name": "minikube"}]}}, None, id="of-another-program"
        ),
        pytest.param(
            {"name": "a", "context": {"extensions": [{"name": "nodeforge.kic", "extension": "x"}]}}, None, id="text"
        ),
        pytest.param({"name": "a", "context": {"extensions": ["nodeforge.kic"]}}, None, id="only-a-name"),
        pytest.param({"name": "a", "context": {"extensions": None}}, None, id="null"),
        pytest.param({"name": "a", "context": None}, None, id="no-body"),
        pytest.param({"name": "a", "context": "x"}, None, id="body-is-text"),
        pytest.param({"name": "a", "extensions": [MARK]}, None, id="in-the-wrong-place"),
        pytest.param({"name": "a", "cluster": {"extensions": [MARK]}}, None, id="of-another-list"),
    ],
)
def test_owner_of(item: dict[str, Any], expected: str | None) -> None:
    """An entry is ours by its mark alone."""
    assert kubeconfig.owner_of(item, "contexts") == expected


def test_summary() -> None:
    """A diff shows names and addresses and none of the credentials."""
    found = kubeconfig.summary(merge(foreign("a")))
    assert found == {
        "contexts": {"a": "https://a.example", "kic-lab": SERVER},
        "users": ["a", "kic-lab"],
        "current-context": "kic-lab",
    }
    assert "S0VZ" not in str(found) and "Q1JU" not in str(found)


@pytest.mark.parametrize(
    ("config", "contexts"),
    [
        pytest.param({}, {}, id="empty"),
        pytest.param({"clusters": None, "contexts": None, "users": None, "current-context": None}, {}, id="null"),
        pytest.param({"contexts": [{"name": "a"}]}, {"a": None}, id="context-of-nothing"),
        pytest.param({"contexts": [{"name": "a", "context": {"cluster": "gone"}}]}, {"a": None}, id="cluster-gone"),
    ],
)
def test_summary_of_what_is_half(config: dict[str, Any], contexts: dict[str, Any]) -> None:
    """A file of which parts are missing has a summary too."""
    assert kubeconfig.summary(config) == {"contexts": contexts, "users": [], "current-context": ""}
