# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose an entry of a kubeconfig is: of two clusters of one name each keeps its own, and the user's changes stay."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes import kubeconfig

from .test_kube_kubeconfig import ADMIN, KINDS, SERVER, foreign, names

HERE = {"engine": "podman", "uid": 1001, "host": "0a1b"}
OTHERS = {"engine": {**HERE, "engine": "docker"}, "user": {**HERE, "uid": 0}, "machine": {**HERE, "host": "ffff"}}


def of(place: dict[str, Any] | None = None, ca: str = "Q0E=", name: str = "kic-lab") -> dict[str, Any]:
    """The entries of a cluster lab that runs there."""
    admin = copy.deepcopy(ADMIN)
    admin["clusters"][0]["cluster"]["certificate-authority-data"] = ca
    return kubeconfig.entries(admin, cluster="lab", name=name, server=SERVER, place=HERE if place is None else place)


def merge(existing: dict[str, Any], new: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Merge entries of a cluster lab."""
    given: dict[str, Any] = {"set_current": True, **more}
    return kubeconfig.merge(existing, new, cluster="lab", path="/k/config", **given)


def earlier(ca: str = "Q0E=") -> dict[str, Any]:
    """A file as the last release wrote it: the extension has the cluster's name and nothing more."""
    found = merge(foreign("a"), of(ca=ca))
    for key, body in KINDS:
        found[key][1][body]["extensions"][0]["extension"] = {"cluster": "lab"}
    return found


def identity(place: dict[str, Any], ca: str = "", **more: Any) -> dict[str, Any]:
    """What a removal knows."""
    return {**place, "ca": ca, **more}


# Two clusters of one name.
@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_another_cluster_of_the_same_name(other: dict[str, Any]) -> None:
    """What another engine, user or machine wrote is neither replaced nor removed; another name has room for both."""
    existing = merge(foreign("a"), of(other, ca="T1RIRVI="))
    before = copy.deepcopy(existing)
    with pytest.raises(KicError) as caught:
        merge(existing, of())
    assert caught.value.diagnosis.id == "context_taken"
    assert "option context" in caught.value.diagnosis.fix and "kic_cluster_context" in caught.value.diagnosis.fix
    assert kubeconfig.remove(existing, cluster="lab", identity=identity(HERE, "Q0E=")) == before == existing
    both = merge(existing, of(name="mine"))
    assert names(both) == ["a", "kic-lab", "mine"]
    assert kubeconfig.remove(both, cluster="lab", identity=identity(HERE))["users"] == before["users"]
    left = kubeconfig.remove(both, cluster="lab", identity=identity(other))
    assert names(left) == ["a", "mine"] and left["current-context"] == "mine"


@pytest.mark.parametrize("ca", ["Q0E=", "TkVX"], ids=["the-same", "made-again"])
def test_the_same_place_is_the_same_cluster(ca: str) -> None:
    """Made again, a cluster has another CA: on its engine a name is one cluster, so its entries are replaced."""
    found = merge(merge(foreign("a"), of()), of(ca=ca))
    assert names(found) == ["a", "kic-lab"]
    assert found["clusters"][1]["cluster"]["certificate-authority-data"] == ca
    assert kubeconfig.remove(found, cluster="lab", identity=identity(HERE))["clusters"] == foreign("a")["clusters"]


@pytest.mark.parametrize("other", OTHERS.values(), ids=list(OTHERS))
def test_the_same_ca_is_the_same_cluster(other: dict[str, Any]) -> None:
    """The CA decides before the place: root and a member of group docker write the entries of one cluster."""
    assert names(merge(merge({}, of(other)), of())) == ["kic-lab"]
    left = kubeconfig.remove(
        merge({}, of(other)), cluster="lab", identity=identity(HERE, kubeconfig.fingerprint("Q0E="))
    )
    assert names(left) == []


def test_left_on_an_engine_that_has_nothing() -> None:
    """What a further engine that has no such cluster left behind goes along; what a third has stays."""
    existing = merge(foreign("a"), of(OTHERS["engine"]))
    gone = identity(HERE, places=[OTHERS["engine"]])
    assert names(kubeconfig.remove(existing, cluster="lab", identity=gone)) == ["a"]
    assert kubeconfig.remove(existing, cluster="lab", identity=identity(HERE, places=[OTHERS["user"]])) == existing


@pytest.mark.parametrize(
    ("known", "ca", "recorded", "is_ours"),
    [
        ("Q0E=", "Q0E=", False, True),
        ("Q0E=", "TkVX", True, True),
        ("Q0E=", "TkVX", False, False),
        ("", "TkVX", False, True),
    ],
    ids=["its-ca", "made-again-and-recorded", "of-another-and-not-recorded", "without-a-ca"],
)
def test_what_earlier_releases_wrote(known: str, ca: str, recorded: bool, is_ours: bool) -> None:
    """An extension with the name alone is ours, unless the CA next to it says otherwise and no record knows of it."""
    existing = earlier(known)
    whose = identity(HERE, kubeconfig.fingerprint(ca), recorded=recorded)
    removed = kubeconfig.remove(existing, cluster="lab", identity=whose)
    if not is_ours:
        assert removed == existing
        with pytest.raises(KicError, match="kic-lab"):
            merge(existing, of(ca=ca), recorded=recorded)
        return
    assert names(removed) == names(removed, "users") == names(removed, "clusters") == ["a"]
    found = merge(existing, of(ca=ca), recorded=recorded)
    for key, body in KINDS:
        assert names(found, key) == ["a", "kic-lab"]
        assert found[key][1][body]["extensions"][0]["extension"]["engine"] == "podman"


def test_what_earlier_releases_wrote_for_another_engine() -> None:
    """While another engine has the cluster, what names no engine is not removed for one that has it not."""
    assert kubeconfig.remove(earlier(), cluster="lab", identity=identity(HERE, elsewhere=True)) == earlier()
    assert names(kubeconfig.remove(earlier(), cluster="lab", identity=identity(HERE))) == ["a"]


# What the user changed in our entries.
FIELDS: tuple[tuple[str, str, Any], ...] = (
    ("contexts", "namespace", "dev"),
    ("clusters", "proxy-url", "socks5://localhost:1080"),
    ("clusters", "tls-server-name", "lab.kic.internal"),
    ("clusters", "disable-compression", True),
    ("users", "as", "system:serviceaccount:default:dev"),
    ("users", "as-groups", ["dev"]),
    ("users", "x-of-a-later-release", {"a": [1]}),
)


@pytest.mark.parametrize(("key", "field", "value"), FIELDS, ids=[field for _key, field, _value in FIELDS])
def test_fields_of_the_user_stay(key: str, field: str, value: Any) -> None:
    """What is not managed here stays in our entries: a second run changes nothing, another server only the server."""
    existing = merge(foreign("a"), of())
    existing[key][1][key[:-1]][field] = value
    assert merge(existing, of()) == existing
    moved = of()
    moved["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:2"
    found = merge(existing, moved)
    assert (
        found[key][1][key[:-1]][field] == value and found["clusters"][1]["cluster"]["server"] == "https://127.0.0.1:2"
    )


@pytest.mark.parametrize("key", [key for key, _body in KINDS])
@pytest.mark.parametrize("first", [True, False], ids=["before-ours", "after-ours"])
def test_extensions_of_others_stay(key: str, first: bool) -> None:
    """Other programs' extensions in our entries, and keys next to the entry's body, stay where they are."""
    existing = merge({}, of())
    extensions, theirs = existing[key][0][key[:-1]]["extensions"], {"name": "lens", "extension": {"color": "red"}}
    extensions.insert(0 if first else 1, theirs)
    existing[key][0]["x-note"] = "mine"
    assert merge(existing, of()) == existing
    assert theirs in merge(existing, of(ca="TkVX"))[key][0][key[:-1]]["extensions"]


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("clusters", "certificate-authority", "/ca.crt"),
        ("clusters", "insecure-skip-tls-verify", True),
        ("users", "client-certificate", "/crt"),
        ("users", "client-key", "/key"),
    ],
)
def test_what_kubectl_refuses_next_to_ours_goes(key: str, field: str, value: Any) -> None:
    """Another form of what is written would make the entry unusable."""
    existing = merge(foreign("a"), of())
    existing[key][1][key[:-1]][field] = value
    assert merge(existing, of()) == merge(foreign("a"), of())


def renamed(*keys: str, new: str = "lab") -> dict[str, Any]:
    """A file in which the user has renamed our entries, as kubectl config rename-context does it."""
    found = merge(foreign("a"), of())
    for key in keys:
        found[key][1]["name"] = new
        if key != "contexts":
            found["contexts"][1]["context"][key[:-1]] = new
    if "contexts" in keys:
        found["current-context"] = new
    return found


@pytest.mark.parametrize(
    "keys",
    [("contexts",), ("clusters",), ("users",), ("contexts", "users"), ("clusters", "users", "contexts")],
    ids=str,
)
def test_names_of_the_user_stay(keys: tuple[str, ...]) -> None:
    """An entry is found by its extension, keeps the name that the user gave it, and is removed under it."""
    existing = renamed(*keys)
    assert merge(existing, of()) == existing
    assert kubeconfig.name_of(existing, of()) == existing["contexts"][1]["name"]
    moved = merge(existing, of(ca="TkVX"))
    assert [names(moved, key) for key, _body in KINDS] == [names(existing, key) for key, _body in KINDS]
    assert moved["contexts"][1]["context"]["cluster"] == moved["clusters"][1]["name"]
    left = kubeconfig.remove(existing, cluster="lab", identity=identity(HERE))
    assert left == kubeconfig.remove(merge(foreign("a"), of()), cluster="lab")


def test_another_name_by_option_wins() -> None:
    """A name that is requested now and was not when the entry was written replaces the user's."""
    found = merge(renamed("contexts"), of(name="other"))
    assert names(found) == names(found, "users") == ["a", "other"] and found["current-context"] == "other"
    assert merge(found, of(name="other")) == found


def test_a_name_that_became_someone_elses() -> None:
    """The user renamed our context and made one of the old name of their own: both stay."""
    existing = renamed("contexts")
    existing["contexts"].append({"name": "kic-lab", "context": {"cluster": "a", "user": "a"}})
    assert merge(existing, of()) == existing


def test_a_user_entry_of_the_users_own_stays_chosen() -> None:
    """A context that the user led to credentials of their own keeps them; to ones that are gone it does not."""
    existing = merge(foreign("a"), of())
    existing["contexts"][1]["context"]["user"] = "a"
    assert merge(existing, of()) == existing
    existing["contexts"][1]["context"]["user"] = "gone"
    assert merge(existing, of()) == merge(foreign("a"), of())
    existing["contexts"][1]["context"]["cluster"] = "a"
    assert merge(existing, of())["contexts"][1]["context"]["cluster"] == "kic-lab", (
        "a context leads where its name says"
    )


def test_copies_of_our_entries_stay() -> None:
    """A copy of our context, for another namespace, is the user's; with the cluster it goes."""
    existing = merge(foreign("a"), of())
    one = copy.deepcopy(existing["contexts"][1])
    one["name"], one["context"]["namespace"] = "lab-dev", "dev"
    for at in (1, 2):
        found = copy.deepcopy(existing)
        found["contexts"].insert(at, one)
        assert merge(found, of()) == found
        assert names(kubeconfig.remove(found, cluster="lab", identity=identity(HERE))) == ["a"]


def test_what_is_expected_has_no_credentials() -> None:
    """In check mode before there is a cluster the same name is found to be taken, and nothing is made up."""
    new = kubeconfig.expected(cluster="lab", name="kic-lab", place=HERE)
    assert kubeconfig.summary(merge(foreign("a"), new))["contexts"]["kic-lab"] == "(not known yet)"
    with pytest.raises(KicError, match="kic-lab"):
        merge(merge({}, of(OTHERS["user"])), new)
    assert names(merge(merge({}, of()), new)) == ["kic-lab"]


def test_only() -> None:
    """A file of one cluster keeps the user's changes of that cluster's entries."""
    existing = renamed("contexts")
    existing["contexts"][1]["context"]["namespace"] = "dev"
    alone = kubeconfig.only(existing, of(), cluster="lab")
    assert names(alone) == ["lab"] and names(alone, "users") == ["kic-lab"]
    assert merge(alone, of())["contexts"][0]["context"]["namespace"] == "dev"


@pytest.mark.parametrize("admin", [{}, None, {"clusters": [{}]}, "text"], ids=str)
def test_no_authority(admin: Any) -> None:
    """A configuration without a CA tells nothing apart."""
    assert kubeconfig.authority_of(admin) == "" and kubeconfig.fingerprint("") == ""
    assert kubeconfig.authority_of(ADMIN) == kubeconfig.fingerprint("Q0E=") != ""
