# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's entries in a kubeconfig: what they are, how they get in and out. Pure, on decoded files.

The managed machine has no YAML parser, so the action plugin decodes, merges and encodes on the controller; the module
(:mod:`.kubeconfig_file`) reads and writes on the machine.

Our entries carry an extension (kubeconfig's v1 format has a place for it in clusters, users and contexts), as minikube's
do. By it they are found again, whatever they are called, and nothing of the user's is taken for ours.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from .._core.diagnosis import failure

EXTENSION = "nodeforge.kic"
_LISTS = ("clusters", "users", "contexts")

Config = dict[str, Any]


def context_name(cluster: str) -> str:
    """The default name of a cluster's entries. The prefix keeps them apart from what users call theirs."""
    return f"kic-{cluster}"


def entries(admin: Mapping[str, Any], *, cluster: str, name: str, server: str) -> Config:
    """A kubeconfig of one context, from kubeadm's admin.conf; ``server`` is where the API is reached from outside."""
    try:
        authority = admin["clusters"][0]["cluster"]["certificate-authority-data"]
        user = admin["users"][0]["user"]
        credentials = {key: user[key] for key in ("client-certificate-data", "client-key-data")}
    except (KeyError, IndexError, TypeError) as error:
        reason = f"it is not as kubeadm writes it ({error!r})"
        fix = "run nodeforge.kic.kic_kubeadm first"
        raise failure("kubeconfig_unusable", path="the node's admin.conf", reason=reason, fix=fix) from error
    mark = [{"name": EXTENSION, "extension": {"cluster": cluster}}]
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
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "extensions": mark}}],
        "current-context": name,
    }


def check(found: Any, path: str) -> Config:
    """A decoded file as a kubeconfig; an empty file is an empty one. Raises ``kubeconfig_unusable``."""
    if found is None:
        return {}
    fix = f"mend it (kubectl config view --kubeconfig {path}), or name another file with the option path"
    if not isinstance(found, dict) or found.get("kind", "Config") != "Config":
        raise failure("kubeconfig_unusable", path=path, reason="it is no kubeconfig", fix=fix)
    for key in _LISTS:
        items = found.get(key)
        if items is not None and not (isinstance(items, list) and all(isinstance(item, dict) for item in items)):
            raise failure("kubeconfig_unusable", path=path, reason=f"its {key} are no list", fix=fix)
        for item in items or ():
            body = item.get(key[:-1])
            if body is not None and not (isinstance(body, dict) and isinstance(body.get("extensions") or [], list)):
                raise failure("kubeconfig_unusable", path=path, reason=f"one of its {key} is no mapping", fix=fix)
    return found


def merge(existing: Config, ours: Config, *, cluster: str, path: str, set_current: bool) -> Config:
    """``existing`` with ``ours`` in it: entries of the same cluster replaced in their place, everything else as it is.

    The current context is set with a new entry, or where there is none; a user who chose another keeps it. Which one it
    was before stands in our entry, for its removal.
    Raises ``context_taken`` when an entry of the same name is not ours.
    """
    merged = copy.deepcopy(existing)
    merged.setdefault("apiVersion", "v1")
    merged.setdefault("kind", "Config")
    name = ours["contexts"][0]["name"]
    for key in _LISTS:
        for item in merged.get(key) or ():
            if item.get("name") == name and owner_of(item, key) != cluster:
                raise failure("context_taken", path=path, name=name, cluster=cluster)
    mine = [item for item in merged.get("contexts") or () if owner_of(item, "contexts") == cluster]
    new = not mine
    for key in _LISTS:
        items = list(merged.get(key) or ())
        replaced = [index for index, item in enumerate(items) if owner_of(item, key) == cluster]
        kept = [item for index, item in enumerate(items) if index not in replaced]
        kept.insert(replaced[0] if replaced else len(kept), copy.deepcopy(ours[key][0]))
        merged[key] = kept
    current = merged.get("current-context")
    names = [item.get("name") for item in merged["contexts"]]
    renamed = current not in names and any(
        item.get("name") == current and owner_of(item, "contexts") == cluster for item in existing.get("contexts") or ()
    )
    chosen = (set_current and (new or not current)) or renamed
    if chosen:
        merged["current-context"] = name
    former = current if chosen and new else next(filter(None, map(_former, mine)), None)
    if former:
        mark = next(item for item in merged["contexts"] if item.get("name") == name)["context"]["extensions"][0]
        mark["extension"]["former"] = former
    merged.setdefault("current-context", "")
    return merged


def remove(existing: Config, *, cluster: str) -> Config:
    """``existing`` without the cluster's entries; where one was the current context, the former one is it again."""
    left = copy.deepcopy(existing)
    gone = {
        item.get("name"): _former(item) for item in left.get("contexts") or () if owner_of(item, "contexts") == cluster
    }
    for key in _LISTS:
        if left.get(key):
            left[key] = [item for item in left[key] if owner_of(item, key) != cluster]
    current = left.get("current-context")
    if current in gone:
        there = [item.get("name") for item in left.get("contexts") or ()]
        left["current-context"] = gone[current] if gone[current] in there else ""
    return left


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
        if isinstance(extension, dict) and extension.get("name") == EXTENSION:
            content = extension.get("extension")
            return content if isinstance(content, dict) else None
    return None


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
