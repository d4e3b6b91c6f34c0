# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificates of a node are renewed, and what is restarted for it. Pure: the clock is the node's own.

A cluster that is not running for a year has only certificates that have expired, kubelet's too, and its API never answers
again by itself. So nothing here needs the API.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ..._node.certificates import Certificate

RENEW, RENEW_KUBELET, RESTART = "renew-certificates", "renew-kubelet-certificates", "restart"

ADMIN = "admin.conf"
"""What the administrator's kubeconfigs hold."""
CLIENT, SERVER = "kubelet-client", "kubelet-server"

_PKI = "/etc/kubernetes/pki"
_KEYS = {name: f"{_PKI}/{path}.key" for name, path in (("ca", "ca"), ("front-proxy-ca", "front-proxy-ca"))}
_KEYS["etcd-ca"] = f"{_PKI}/etcd/ca.key"

_OF_ETCD = ("apiserver-etcd-client", "etcd-server", "etcd-peer", "etcd-healthcheck-client")
_AUTHORITY = {**dict.fromkeys(_OF_ETCD, "etcd-ca"), "front-proxy-client": "front-proxy-ca"}
"""Who signs what; all else is the cluster's own authority's."""

_API = ("apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client")
_RESTARTS = {
    **dict.fromkeys(_API, "kube-apiserver"),
    **dict.fromkeys(("etcd-server", "etcd-peer"), "etcd"),
    "controller-manager.conf": "kube-controller-manager",
    "scheduler.conf": "kube-scheduler",
    CLIENT: "kubelet",
    SERVER: "kubelet",
}
"""What works with a certificate and does not read it again, as kubeadm's documentation has it."""

_DAY = 86400.0
SOON = 30 * _DAY
YEAR = 365 * _DAY


@dataclass(frozen=True)
class Age:
    """The certificates of a node at a time."""

    certificates: tuple[Certificate, ...] = ()
    now: float = 0.0
    """In seconds since 1970."""
    renewed: str = ""
    """What is still to be restarted for certificates that a former run renewed."""
    keys: frozenset[str] = frozenset()
    """The authorities by which new ones can be signed."""


@dataclass(frozen=True)
class Renewal:
    """What is renewed in one node, by the names of certificates and of what is restarted."""

    certificates: tuple[str, ...] = ()
    """Those that kubeadm renews."""
    kubelet: tuple[str, ...] = ()
    restarts: tuple[str, ...] = ()
    """Also for a former run that ended before it did."""
    ends: Mapping[str, str] = field(default_factory=dict)
    """When they end, by name."""
    warnings: tuple[str, ...] = ()

    @property
    def steps(self) -> dict[str, str]:
        """The steps in their order, and what each is about."""
        parts = {RENEW: self.certificates, RENEW_KUBELET: self.kubelet, RESTART: self.restarts}
        return {name: ", ".join(names) for name, names in parts.items() if names}


def is_due(certificate: Certificate, now: float) -> bool:
    """Whether less is left than 30 days, or than a third of its life where that is shorter."""
    return certificate.ends - now < min(SOON, (certificate.ends - certificate.issued) / 3)


def keys_in(paths: Collection[str]) -> frozenset[str]:
    """The authorities whose keys are among the files of a control plane."""
    return frozenset(name for name, path in _KEYS.items() if path in paths)


def find_renewal(node: str, age: Age, *, control_plane: bool) -> Renewal:
    """What there is to renew in a node."""
    there = {item.name: item for item in age.certificates}
    due = [item for item in there.values() if item.name not in _KEYS and is_due(item, age.now)]
    # With an authority that ends no later, nothing is won.
    outlived = [item for item in due if item.name != SERVER and _outlives(item, there)]
    ours = [item for item in outlived if _authority(item) in age.keys]
    renewed = [*ours, *(item for item in due if item.name == SERVER and not item.rotated)]
    names = [item.name for item in renewed]
    restarts = {*age.renewed.split(), *(_RESTARTS[name] for name in names if name in _RESTARTS)}
    return Renewal(
        tuple(name for name in names if name not in (CLIENT, SERVER)),
        tuple(name for name in names if name in (CLIENT, SERVER)),
        tuple(sorted(restarts)),
        {item.name: item.expires for item in renewed},
        (
            *(_authorities(node, there, age.now) if control_plane else ()),
            *_kept_elsewhere(node, [item for item in outlived if item not in ours]),
            *(_unapproved(node, item) for item in due if item.rotated),
        ),
    )


def _authority(item: Certificate) -> str:
    return _AUTHORITY.get(item.name, "ca")


def _outlives(item: Certificate, there: Mapping[str, Certificate]) -> bool:
    """Whether its authority ends later; one whose certificate is not in the node may."""
    found = there.get(_authority(item))
    return found is None or found.ends > item.ends


def _authorities(node: str, there: Mapping[str, Certificate], now: float) -> Iterable[str]:
    for name in _KEYS:
        found = there.get(name)
        if found is not None and found.ends - now < YEAR:
            yield (
                f"The certificate authority {name} of {node} {'ends' if found.ends > now else 'ended'} on {found.expires}, and all"
                " that it signed with it. kubeadm does not renew it: replace it before, or create a new cluster"
                " (https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/)."
            )


def _kept_elsewhere(node: str, items: Iterable[Certificate]) -> Iterable[str]:
    named = ", ".join(f"{item.name} ({item.expires})" for item in items)
    if named:
        yield (
            f"These certificates of {node} end soon or have ended: {named}. The key of the authority that signed them is kept"
            " elsewhere, so they have to be renewed there."
        )


def _unapproved(node: str, item: Certificate) -> str:
    return (
        f"The certificate {item.name} of {node} ends on {item.expires}. Its kubelet requests the next one from the API, where"
        " somebody has to approve it (kubectl get certificatesigningrequests)."
    )


def renews_access(steps: Iterable[tuple[str, str]]) -> bool:
    """Whether one of the steps, by name and detail, renews what the administrator's kubeconfigs hold."""
    return any(name == RENEW and ADMIN in detail.split(", ") for name, detail in steps)
