# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's entries in a kubeconfig: what they are, how they get in and out. Pure, on decoded files.

The managed machine has no YAML parser, so the action plugin decodes, merges and encodes on the controller; the module
(:mod:`.kubeconfig_file`) reads and writes on the machine.

Our entries carry an extension (kubeconfig's v1 format has a place for it in clusters, users and contexts), as minikube's
do. By it they are found again, whatever they are called, and nothing of the user's is taken for ours. A name alone says
little, as everyone's first cluster has the default one: the extension also names the cluster's CA and what runs it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

from .._core.diagnosis import failure

EXTENSION = "nodeforge.kic"
_LISTS = ("clusters", "users", "contexts")

PLACE = ("engine", "uid", "host")
"""What runs a cluster: the engine, the user whose engine it is (0 where it is the machine's), the machine."""

_REPLACED = ("certificate-authority", "insecure-skip-tls-verify", "client-certificate", "client-key")
"""Other forms of the fields that are written here: kubectl refuses an entry that has both."""

Config = dict[str, Any]


def context_name(cluster: str) -> str:
    """The default name of a cluster's entries. The prefix keeps them apart from what users call theirs."""
    return f"kic-{cluster}"


def fingerprint(authority: Any) -> str:
    """What tells a cluster from another of its name: a hash of its CA. Empty when there is none."""
    return hashlib.sha256(str(authority).encode()).hexdigest()[:32] if authority else ""


def authority_of(admin: Any) -> str:
    """The fingerprint of the CA in kubeadm's admin.conf."""
    try:
        return fingerprint(admin["clusters"][0]["cluster"]["certificate-authority-data"])
    except (KeyError, IndexError, TypeError):
        return ""


def entries(
    admin: Mapping[str, Any], *, cluster: str, name: str, server: str, place: Mapping[str, Any] | None = None
) -> Config:
    """A kubeconfig of one context, from kubeadm's admin.conf; ``server`` is where the API is reached from outside.

    ``place`` is what runs the cluster, see PLACE.
    """
    try:
        authority = admin["clusters"][0]["cluster"]["certificate-authority-data"]
        user = admin["users"][0]["user"]
        credentials = {key: user[key] for key in ("client-certificate-data", "client-key-data")}
    except (KeyError, IndexError, TypeError) as error:
        reason = f"it is not as kubeadm writes it ({error!r})"
        fix = "run nodeforge.kic.kic_kubeadm first"
        raise failure("kubeconfig_unusable", path="the node's admin.conf", reason=reason, fix=fix) from error
    content = {"cluster": cluster, "name": name, "ca": fingerprint(authority), **(place or {})}
    mark = [{"name": EXTENSION, "extension": content}]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "certificate-authority-data": authority,
                    "server": server,
                    "extensions": copy.deepcopy(mark),
                },
            }
        ],
        "users": [{"name": name, "user": {**credentials, "extensions": copy.deepcopy(mark)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "extensions": copy.deepcopy(mark)}}],
        "current-context": name,
    }


def expected(*, cluster: str, name: str, place: Mapping[str, Any] | None = None) -> Config:
    """The entries of a cluster that is not there yet, as far as they are known: for check mode."""
    unknown = {"certificate-authority-data": "", "client-certificate-data": "", "client-key-data": ""}
    admin: Config = {"clusters": [{"cluster": unknown}], "users": [{"user": unknown}]}
    return entries(admin, cluster=cluster, name=name, server="(not known yet)", place=place)


def check(found: Any, path: str) -> Config:
    """A decoded file as a kubeconfig; an empty file is an empty one. Raises ``kubeconfig_unusable``."""
    if found is None:
        return {}
    fix = f"repair it (kubectl config view --kubeconfig {path}), or name another file with the option path"
    if not isinstance(found, dict) or (found.get("kind") or "Config") != "Config":
        raise failure("kubeconfig_unusable", path=path, reason="it is not a kubeconfig", fix=fix)
    for key in _LISTS:
        items = found.get(key)
        if items is not None and not (isinstance(items, list) and all(isinstance(item, dict) for item in items)):
            raise failure("kubeconfig_unusable", path=path, reason=f"its {key} are no list", fix=fix)
        for item in items or ():
            body = item.get(key[:-1])
            if body is not None and not (isinstance(body, dict) and isinstance(body.get("extensions") or [], list)):
                raise failure("kubeconfig_unusable", path=path, reason=f"one of its {key} is not a mapping", fix=fix)
    return found


def merge(
    existing: Config, ours: Config, *, cluster: str, path: str, set_current: bool, recorded: bool = True
) -> Config:
    """``existing`` with ``ours`` in it: of the same cluster's entries the fields that are managed, all else as it is.

    A name that the user gave to an entry stays, as do a namespace or a proxy in it. The current context is set with a
    new entry, or where there is none; a user who chose another keeps it. Which one it was before is stored in our entry,
    for its removal. ``recorded`` says whether this machine knows that it wrote the cluster's entries into the file.
    Raises ``context_taken`` when an entry of the same name is not ours.
    """
    identity: Config = {**(_mark(ours["contexts"][0]["context"]) or {}), "cluster": cluster, "recorded": recorded}
    mine = {key: _mine(existing, key, identity) for key in _LISTS}
    merged = copy.deepcopy(existing)
    merged.setdefault("apiVersion", "v1")
    merged.setdefault("kind", "Config")
    names = {}
    for key in _LISTS:
        merged[key], names[key] = _placed(existing, key, ours[key][0], mine[key], (path, cluster))
    name, new = names["contexts"], not mine["contexts"]
    context = next(item for item in merged["contexts"] if item.get("name") == name)["context"]
    context["cluster"] = names["clusters"]
    before = [item for item in mine["contexts"] if item.get("name") == name] or mine["contexts"]
    context["user"] = _chosen_user(existing, before[:1], mine["users"]) or names["users"]
    current = merged.get("current-context")
    renamed = current not in [item.get("name") for item in merged["contexts"]] and any(
        item.get("name") == current for item in mine["contexts"]
    )
    chosen = (set_current and (new or not current)) or renamed
    if chosen:
        merged["current-context"] = name
    former = current if chosen and new else next(filter(None, map(_former, mine["contexts"])), None)
    if isinstance(former, str) and former:
        (_mark(context) or {})["former"] = former
    merged.setdefault("current-context", "")
    return merged


def _mine(config: Config, key: str, identity: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The entries of a list that are of the cluster that ``identity`` names."""
    return [item for item in config.get(key) or () if is_of(item, key, config, identity)]


def _placed(
    existing: Config, key: str, new: Mapping[str, Any], mine: list[dict[str, Any]], where: tuple[str, str]
) -> tuple[list[dict[str, Any]], str]:
    """A list of the file with our entry in its place, and the name that the entry has."""
    requested = new["name"]
    old = next((item for item in mine if item.get("name") == requested), mine[0] if mine else None)
    name = requested if old is None else _kept_name(old, key, requested, where[1])
    items = existing.get(key) or []
    if any(item.get("name") == name and not any(item is one for one in mine) for item in items):
        raise failure("context_taken", path=where[0], name=name, cluster=where[1])
    placed = []
    for item in items:
        if old is not None and item is old:
            body = _overlaid(item.get(key[:-1]) or {}, new[key[:-1]])
            placed.append({**copy.deepcopy(item), "name": name, key[:-1]: body})
        else:
            placed.append(copy.deepcopy(item))
    if old is None:
        placed.append(copy.deepcopy(dict(new)))
    return placed, name


def _kept_name(item: Mapping[str, Any], key: str, requested: str, cluster: str) -> str:
    """The name that the user gave to our entry, unless another is requested now than when it was written."""
    written = (_mark(item.get(key[:-1])) or {}).get("name") or context_name(cluster)
    return str(item.get("name") or requested) if written == requested else requested


def _overlaid(body: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The entry's body with the managed fields replaced; other fields and other programs' extensions stay."""
    found = {key: copy.deepcopy(value) for key, value in body.items() if key not in _REPLACED}
    new = copy.deepcopy(dict(ours))
    (mark,) = new.pop("extensions")
    extensions = [mark if _is_mark(one) else one for one in found.get("extensions") or ()]
    found["extensions"] = extensions if any(map(_is_mark, extensions)) else [*extensions, mark]
    return {**found, **new}


def _chosen_user(existing: Config, context: list[dict[str, Any]], mine: list[dict[str, Any]]) -> str | None:
    """The user entry of the user's own that they made our context use, such as one with fewer rights."""
    chosen = (context[0].get("context") or {}).get("user") if context else None
    others = [item.get("name") for item in existing.get("users") or () if not any(item is one for one in mine)]
    return str(chosen) if chosen and chosen in others else None


def only(existing: Config, ours: Config, *, cluster: str, recorded: bool = True) -> Config:
    """The entries of ``existing`` that are of the same cluster as ``ours``, and nothing else."""
    identity: Config = {**(_mark(ours["contexts"][0]["context"]) or {}), "cluster": cluster, "recorded": recorded}
    return {key: copy.deepcopy(_mine(existing, key, identity)) for key in _LISTS}


def name_of(merged: Config, ours: Config) -> str:
    """The name that our context has in a merged file: the user may have given it another than was requested."""
    mark = dict(_mark(ours["contexts"][0]["context"]) or {})
    for item in merged["contexts"]:
        found = _mark(item.get("context")) or {}
        if {key: value for key, value in found.items() if key != "former"} == mark:
            return str(item["name"])
    return str(ours["contexts"][0]["name"])


def others(config: Config, cluster: str) -> set[tuple[str, str]]:
    """The entries that are not of a cluster of this name, by list and name."""
    return {
        (key, str(item.get("name")))
        for key in _LISTS
        for item in config.get(key) or ()
        if owner_of(item, key) != cluster
    }


def remove(existing: Config, *, cluster: str, identity: Mapping[str, Any] | None = None) -> Config:
    """``existing`` without the cluster's entries; where one was the current context, the former one is it again.

    ``identity`` is what is known of the cluster, see :func:`is_of`: another of its name keeps its entries.
    """
    whose = {**(identity or {}), "cluster": cluster}
    mine = {key: _mine(existing, key, whose) for key in _LISTS}
    left = copy.deepcopy(existing)
    for key in _LISTS:
        if left.get(key):
            left[key] = [copy.deepcopy(item) for item in existing[key] if not any(item is one for one in mine[key])]
    gone = {item.get("name"): _former(item) for item in mine["contexts"]}
    current = left.get("current-context")
    there = [item.get("name") for item in left.get("contexts") or ()]
    if current in gone and current not in there:
        left["current-context"] = gone[current] if gone[current] in there else ""
    return left


def is_of(item: Mapping[str, Any], key: str, config: Config, identity: Mapping[str, Any]) -> bool:
    """Whether an entry is of the cluster that ``identity`` names: by its CA, or by what runs it.

    On one engine of one user a name is one cluster, also when it was made again with another CA. ``places`` are further
    engines that certainly have no cluster of that name. An extension of an earlier release has the name alone: it is
    ours, unless the cluster is ``elsewhere``, on another engine, or the CA next to it is of another cluster and this
    machine has no record that it wrote the file.
    """
    mark = _mark(item.get(key[:-1]))
    if not mark or mark.get("cluster") != identity.get("cluster"):
        return False
    if "engine" not in mark:
        known, ca = _earlier_authority(config, str(identity.get("cluster"))), identity.get("ca")
        return known == ca if known and ca and not identity.get("recorded", True) else not identity.get("elsewhere")
    places = [identity, *identity.get("places", ())]
    if "engine" not in identity or (mark.get("ca") and mark.get("ca") == identity.get("ca")):
        return True
    return any(all(mark.get(part) == place.get(part) for part in PLACE) for place in places)


def _earlier_authority(config: Config, cluster: str) -> str:
    """The CA in the cluster's entry that an earlier release wrote; empty when there is none."""
    for item in config.get("clusters") or ():
        mark = _mark(item.get("cluster")) or {}
        if mark.get("cluster") == cluster and "engine" not in mark:
            return fingerprint(item["cluster"].get("certificate-authority-data"))
    return ""


def is_empty(config: Config) -> bool:
    """Whether nothing is left in it that a user could miss."""
    known = {*_LISTS, "apiVersion", "kind", "current-context", "preferences"}
    return not any(config.get(key) for key in (*_LISTS, "preferences")) and set(config) <= known


def owner_of(item: Mapping[str, Any], key: str) -> str | None:
    """The cluster that an entry of the list ``key`` was made for; None when it is not ours."""
    content = _mark(item.get(key[:-1]))
    return content.get("cluster") if content else None


def _former(item: Mapping[str, Any]) -> str | None:
    """The context that was current before ours was made it."""
    found = (_mark(item.get("context")) or {}).get("former")
    return found if isinstance(found, str) else None


def _mark(body: Any) -> dict[str, Any] | None:
    """Our extension of an entry's body; None when it has none."""
    for extension in (body.get("extensions") or ()) if isinstance(body, dict) else ():
        if _is_mark(extension):
            content = extension.get("extension")
            return content if isinstance(content, dict) else None
    return None


def _is_mark(extension: Any) -> bool:
    return isinstance(extension, dict) and extension.get("name") == EXTENSION


def summary(config: Config) -> dict[str, Any]:
    """What a diff may show: names and addresses, no credentials."""
    servers = {item.get("name"): (item.get("cluster") or {}).get("server") for item in config.get("clusters") or ()}
    return {
        "contexts": {
            item.get("name"): servers.get((item.get("context") or {}).get("cluster"))
            for item in config.get("contexts") or ()
        },
        "users": [item.get("name") for item in config.get("users") or ()],
        "current-context": config.get("current-context") or "",
    }
