# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of Kubernetes in a node, and when each ends. Pure.

A node prints them as they are and never a key; their times are read here, because no node image has to have openssl and
kubeadm takes longer for one of them than a whole inspection of a node.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .._engine.model import Stored

_ETC = "/etc/kubernetes"
KUBELET = "/var/lib/kubelet/pki"
_ALSO = {f"{_ETC}/kubelet.conf": "kubelet-client", f"{KUBELET}/kubelet-server-current.pem": "kubelet-server"}
"""Where kubelet may have the certificate instead: in its kubeconfig where it renews none, and from the API where it asks
it for that of its server."""

PATHS = {
    f"{_ETC}/pki/ca.crt": "ca",
    f"{_ETC}/pki/apiserver.crt": "apiserver",
    f"{_ETC}/pki/apiserver-kubelet-client.crt": "apiserver-kubelet-client",
    f"{_ETC}/pki/front-proxy-ca.crt": "front-proxy-ca",
    f"{_ETC}/pki/front-proxy-client.crt": "front-proxy-client",
    f"{_ETC}/pki/etcd/ca.crt": "etcd-ca",
    f"{_ETC}/pki/apiserver-etcd-client.crt": "apiserver-etcd-client",
    f"{_ETC}/pki/etcd/server.crt": "etcd-server",
    f"{_ETC}/pki/etcd/peer.crt": "etcd-peer",
    f"{_ETC}/pki/etcd/healthcheck-client.crt": "etcd-healthcheck-client",
    f"{_ETC}/admin.conf": "admin.conf",
    f"{_ETC}/super-admin.conf": "super-admin.conf",
    f"{_ETC}/controller-manager.conf": "controller-manager.conf",
    f"{_ETC}/scheduler.conf": "scheduler.conf",
    f"{KUBELET}/kubelet-client-current.pem": "kubelet-client",
    f"{KUBELET}/kubelet.crt": "kubelet-server",
    **_ALSO,
}
"""Files of a node that may hold a certificate, and what it is called: by kubeadm, but for kubelet's two. A later file
of a name counts before an earlier one."""


@dataclass(frozen=True)
class Certificate:
    """One certificate, with times in seconds since 1970."""

    name: str
    issued: float
    ends: float
    rotated: bool = False
    """Whether kubelet asks the API for the next one, which somebody has to approve."""

    @property
    def expires(self) -> str:
        """Its end as ISO 8601."""
        return iso(self.ends)

    def as_dict(self) -> dict[str, Any]:
        """What a task returns of it."""
        return {"name": self.name, "expires": self.expires}


def iso(seconds: float) -> str:
    """A time in UTC as ISO 8601."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def decode_certificates(lines: str) -> tuple[Certificate, ...]:
    """What a look at a node (look.sh) prints of them: path, time of the last change and base64 of each.

    What cannot be read is not among them.
    """
    read = {path: found for path, written, text in _columns(lines) if (found := _certificate(path, written, text))}
    by_name = {PATHS[path]: read[path] for path in PATHS if path in read}
    return tuple(by_name.values())


def decode_files(files: Mapping[str, Stored]) -> tuple[Certificate, ...]:
    """The same of the files themselves, by their paths."""
    lines = (
        f"{path} {item.changed} {_first(item.content.decode('ascii', 'replace'))}"
        for path, item in files.items()
        if item.content is not None
    )
    return decode_certificates("\n".join(lines))


def _first(text: str) -> str:
    """As look.sh finds it."""
    found = re.search(r"^\s*client-certificate-data:\s*(\S+)", text, re.MULTILINE)
    pem = re.search(r"^-----BEGIN CERTIFICATE-----(.*?)^-----END CERTIFICATE-----", text, re.MULTILINE | re.DOTALL)
    return found.group(1) if found else "".join(pem.group(1).split()) if pem else ""


def _columns(lines: str) -> list[list[str]]:
    rows = (line.split(" ") for line in lines.split("\n"))
    return [row for row in rows if len(row) == 3 and row[0] in PATHS]


def _certificate(path: str, written: str, text: str) -> Certificate | None:
    try:
        begins, ends = validity(_der(text))
        # kubeadm before 1.35 begins all where their authority begins; the file is as old as the certificate in it.
        changed = float(written)
    except (ValueError, IndexError):
        return None
    issued = max(begins, changed) if changed < ends else begins
    return Certificate(PATHS[path], issued, ends, path.endswith("/kubelet-server-current.pem"))


def _der(text: str) -> bytes:
    """The certificate of a PEM file's lines, or of a kubeconfig, which has such a file in base64."""
    found = base64.b64decode(text, validate=True)
    if found.startswith(b"-----BEGIN"):
        found = base64.b64decode(found.partition(b"-----END")[0].partition(b"-----\n")[2])
    return found


def validity(der: bytes) -> tuple[float, float]:
    """When a certificate begins and ends (RFC 5280, 4.1). Raises ValueError and IndexError for what is none."""
    _tag, at, _end = _element(der, 0)
    _tag, at, _end = _element(der, at)
    tag, _at, end = _element(der, at)
    # The version may be left out; the serial number, the algorithm and the issuer are before the times.
    for _field in range(3 if tag == _VERSION else 2):
        _tag, _at, end = _element(der, end)
    _tag, at, _end = _element(der, end)
    first = _element(der, at)
    second = _element(der, first[2])
    return _time(der, *first), _time(der, *second)


_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Tag of the element at a place, and where its content begins and ends."""
    length, begin = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise ValueError("not a length")
        length, begin = int.from_bytes(der[begin : begin + size], "big"), begin + size
    return der[at], begin, begin + length


def _time(der: bytes, tag: int, begin: int, end: int) -> float:
    text = der[begin:end].decode("ascii")
    if tag == _UTC_TIME:
        # RFC 5280, 4.1.2.5.1
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("not a time")
    if not re.fullmatch(r"\d{14}Z", text):
        raise ValueError("not a time")
    parts = [int(text[:4]), *(int(text[place : place + 2]) for place in range(4, 14, 2))]
    return datetime(*parts, tzinfo=timezone.utc).timestamp()  # type: ignore[arg-type,misc]
