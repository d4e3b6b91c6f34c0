# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates of a node: when they end, what is renewed of them, and that a run that ends anywhere is continued by the next."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core.plan import Plan
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Stored
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap import kubeadm, kubeadm_plan, renewal
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.alone import BUSY
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.bootstrap.look import (
    RENEWED,
    STATE,
    Seen,
)
from ansible_collections.nodeforge.kic.plugins.module_utils._node import boot
from ansible_collections.nodeforge.kic.plugins.module_utils._node.boot import Boot
from ansible_collections.nodeforge.kic.plugins.module_utils._node.certificates import (
    PATHS,
    Certificate,
    decode_certificates,
    validity,
)
from ansible_collections.nodeforge.kic.plugins.plugin_utils.node_files import node_scripts

from .lives import run
from .support import der, fails
from .test_killed import Killing, ends
from .test_kube_kubeadm import (
    API_NODE,
    AUTHORITIES,
    CONTROL_PLANE,
    ETC,
    FILES,
    SECOND,
    WORKER,
    Fake,
    container,
    kubeadm_documents,
    observed,
    plane,
    said,
    seen,
    seen_plane,
    seen_worker,
    spec,
    steps,
    worker,
)

DAY = 86400.0
NOW = 1_800_000_000.0
API = ["apiserver", "apiserver-kubelet-client", "front-proxy-client", "apiserver-etcd-client"]
ETCD = ["etcd-server", "etcd-peer", "etcd-healthcheck-client"]
CONFS = ["admin.conf", "super-admin.conf", "controller-manager.conf", "scheduler.conf"]
BY_KUBEADM = [*API[:3], *API[3:], *ETCD, *CONFS]
KUBELET = ["kubelet-client", "kubelet-server"]
CAS = ["ca", "front-proxy-ca", "etcd-ca"]
STATIC = "etcd, kube-apiserver, kube-controller-manager, kube-scheduler"

EC = (
    "MIIBfjCCASWgAwIBAgIUdFgd7vpWGUXPNpOKy1RiZKzUawkwCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwKa3ViZXJuZXRlczAeFw0yNjExMzAwMjQwNDdaFw0z"
    "NjExMjcwMjQwNDdaMBUxEzARBgNVBAMMCmt1YmVybmV0ZXMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT73q37kA6uFhzn05Fs7fwDe+2moehkWc/m9FZ3"
    "1vx0YirpfswgSanf1jKU5yfIYys17QrymmeTrPFTXYS2fWqFo1MwUTAdBgNVHQ4EFgQUHqhbW4vWX2KBCMKaUNfdBswkoI0wHwYDVR0jBBgwFoAUHqhbW4vW"
    "X2KBCMKaUNfdBswkoI0wDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNHADBEAiBj9lJyRxTp8cl+RMXr0Mf06tJe5LeO4EJmt8uVJVJP0QIgVjxyYI7C"
    "athqLopCcuy3FYF1QxEKASZmPSu0YjXo/nY="
)
"""Made by openssl 3.0: from 2026-11-30 02:40:47 to 2036-11-27 02:40:47."""
LATE = (
    "MIIBgjCCASegAwIBAgIUU6ZhKR9KQx7uv/do2w9FZvmK1ywwCgYIKoZIzj0EAwIwFTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMzAwMjQ0MTlaGA8y"
    "MDc2MTExNzAyNDQxOVowFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJ+BizMrVYIiGbYsbq1aOioqtgtUKw4qf7x3"
    "TquOWiL3tOGga89yOGJCSknm0nK8YQBhbwDSgljDVDAc78eA41mjUzBRMB0GA1UdDgQWBBSbfWW7bAPg1/0SQ6XFlvmOPmpLazAfBgNVHSMEGDAWgBSbfWW7"
    "bAPg1/0SQ6XFlvmOPmpLazAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCuggiAKG0kSRPQNyRo2EuiDtQtJSDGi7fHtCcshb6C2AIhAMpo"
    "6s+X7uTjyzXezBGlV9UbS8TEuEpOOP907PjDc6SQ"
)
"""Likewise to 2076-11-17 02:44:19, which takes the other form of a time."""


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd has taken the control group of every node here."""
    monkeypatch.setattr(boot, "entered", lambda *_given: True)


def at(text: str) -> float:
    """Seconds since 1970."""
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc).timestamp()


def certificate(name: str, left: float, life: float = 365 * DAY) -> Certificate:
    """A certificate with so many seconds left."""
    return Certificate(name, NOW + left - life, NOW + left)


def all_of(names: Sequence[str], left: float, **others: float) -> tuple[Certificate, ...]:
    """Certificates of which so much is left; the authorities have ten years."""
    given = {**dict.fromkeys(CAS, 3650 * DAY), **dict.fromkeys(names, left), **others}
    return tuple(certificate(name, value, max(value, 365 * DAY)) for name, value in given.items())


# What a node prints.
@pytest.mark.parametrize(
    ("text", "begins", "expires"),
    [
        pytest.param(EC, "2026-11-30 02:40:47", "2036-11-27 02:40:47", id="elliptic-curve"),
        pytest.param(LATE, "2026-11-30 02:44:19", "2076-11-17 02:44:19", id="after-2050"),
    ],
)
def test_validity(text: str, begins: str, expires: str) -> None:
    """The times of real certificates."""
    assert validity(base64.b64decode(text)) == (at(begins), at(expires))


@pytest.mark.parametrize("issuer", ["kubernetes", "x" * 300], ids=["short", "long"])
@pytest.mark.parametrize(
    ("begins", "expires"),
    [("1999-01-01 00:00:00", "2049-12-31 23:59:59"), ("2050-01-01 00:00:00", "9999-12-31 23:59:59")],
)
def test_validity_of_all_lengths(issuer: str, begins: str, expires: str) -> None:
    """Times of both centuries, and lengths of one byte and more."""
    assert validity(der(at(begins), at(expires), issuer)) == (at(begins), at(expires))


def line(path: str, text: str, written: float = 0) -> str:
    """What is printed of a file."""
    return f"{path} {int(written)} {text}\n"


@pytest.mark.parametrize(
    "text",
    ["", "x", "AAAA", EC[:40], EC[:120], base64.b64encode(der(0, 1)[:-6] + b"Zxxxxx").decode(), "MIIB", "MP////8="],
)
def test_no_certificate(text: str) -> None:
    """What cannot be read is unknown, and the others are read."""
    lines = (
        line("/etc/kubernetes/pki/ca.crt", text)
        + line("/etc/kubernetes/pki/apiserver.crt", EC)
        + "/x 0 AAAA\n\nwords\n"
    )
    assert [item.name for item in decode_certificates(lines)] == ["apiserver"]


def test_decode_certificates() -> None:
    """A kubeconfig has a PEM file in base64; a certificate is no older than its file; which counts of two of kubelet's."""
    pem = base64.b64encode(f"-----BEGIN CERTIFICATE-----\n{EC}\n-----END CERTIFICATE-----\nmore\n".encode()).decode()
    changed = at("2030-01-01 00:00:00")
    (found,) = decode_certificates(line("/etc/kubernetes/admin.conf", pem, changed))
    assert (found.name, found.issued, found.expires) == ("admin.conf", changed, "2036-11-27T02:40:47Z")
    assert found.as_dict() == {"name": "admin.conf", "expires": "2036-11-27T02:40:47Z"}
    (ended,) = decode_certificates(line("/etc/kubernetes/admin.conf", pem, at("2040-01-01 00:00:00")))
    assert ended.issued == at("2026-11-30 02:40:47"), "a file that was copied since"
    pki = "/var/lib/kubelet/pki"
    both = line(f"{pki}/kubelet-client-current.pem", EC) + line("/etc/kubernetes/kubelet.conf", LATE)
    both += line(f"{pki}/kubelet.crt", EC) + line(f"{pki}/kubelet-server-current.pem", LATE)
    client, server = decode_certificates(both)
    assert (client.name, client.expires, client.rotated) == ("kubelet-client", "2076-11-17T02:44:19Z", False)
    assert (server.name, server.expires, server.rotated) == ("kubelet-server", "2076-11-17T02:44:19Z", True)


def test_script(tmp_path: Path) -> None:
    """The script prints the first certificate of each file that is there and never a key."""
    pem = f"-----BEGIN CERTIFICATE-----\n{EC[:64]}\n{EC[64:]}\n-----END CERTIFICATE-----\n"
    key = "-----BEGIN EC PRIVATE KEY-----\nc2VjcmV0\n-----END EC PRIVATE KEY-----\n"
    files = {"a.crt": f"words\n{pem}{pem}", "b.pem": f"{key}{pem}", "c.key": key, "empty": ""}
    files["d.conf"] = f"  user:\n    client-certificate-data: {EC}\n    client-key-data: c2VjcmV0\n"
    files["e.conf"] = "  user:\n    client-certificate: /x/current.pem\n"
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (1000, 1000))
    words = {
        "PARTS": "info",
        "BOOT": "0",
        "CERTIFICATES": " ".join(str(tmp_path / name) for name in (*files, "missing")),
    }
    command = ["bash", "-c", node_scripts()["look"], "look"]
    done = subprocess.run(command, env={**os.environ, **words}, check=True, capture_output=True, text=True)
    printed = [text for text in done.stdout.split("\n") if text.startswith("/")]
    assert printed == [f"{tmp_path / name} 1000 {EC}" for name in ("a.crt", "b.pem", "d.conf")]


# What is due.
@pytest.mark.parametrize(
    ("left", "life", "due"),
    [
        pytest.param(31 * DAY, 365 * DAY, False, id="year-with-a-month"),
        pytest.param(30 * DAY, 365 * DAY, False, id="year-with-thirty-days"),
        pytest.param(30 * DAY - 1, 365 * DAY, True, id="year-with-less"),
        pytest.param(0, 365 * DAY, True, id="ends-now"),
        pytest.param(-400 * DAY, 365 * DAY, True, id="ended-long-ago"),
        pytest.param(29 * DAY, 60 * DAY, False, id="two-months-new"),
        pytest.param(20 * DAY, 60 * DAY, False, id="two-months-with-a-third"),
        pytest.param(20 * DAY - 1, 60 * DAY, True, id="two-months-with-less"),
        pytest.param(1201, 3600, False, id="hour"),
        pytest.param(1199, 3600, True, id="hour-with-less"),
    ],
)
def test_due(left: float, life: float, due: bool) -> None:
    """Less than 30 days, or than a third of its life."""
    assert renewal.is_due(certificate("apiserver", left, life), NOW) is due


PLANE_FILES = frozenset((*AUTHORITIES, *FILES))


def planned(certificates: tuple[Certificate, ...], plane: bool = True, **changes: Any) -> Plan:
    """What is planned for these certificates."""
    whole: dict[str, Any] = {"certificates": certificates, "now": NOW, "signs": True, **changes}
    if plane:
        return kubeadm_plan.plan_initialized(spec(), observed(seen(**whole)))
    return kubeadm_plan.plan_joined(worker(), observed(seen_worker(**whole)))


def said_of(plan: Plan) -> dict[str, str]:
    """The steps with what they are about."""
    return {item.name: item.detail for item in plan.actions}


@pytest.mark.parametrize(
    ("certificates", "expected"),
    [
        pytest.param((), {}, id="unknown"),
        pytest.param(all_of([*BY_KUBEADM, *KUBELET], 200 * DAY), {}, id="all-good"),
        pytest.param(
            all_of([*BY_KUBEADM, *KUBELET], -5 * DAY),
            {
                "renew-certificates": ", ".join(BY_KUBEADM),
                "renew-kubelet-certificates": "kubelet-client, kubelet-server",
                "restart": "etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet",
            },
            id="all-ended",
        ),
        pytest.param(
            all_of(BY_KUBEADM, 200 * DAY, apiserver=DAY),
            {"renew-certificates": "apiserver", "restart": "kube-apiserver"},
            id="one",
        ),
        pytest.param(
            all_of(BY_KUBEADM, 200 * DAY, **{"admin.conf": DAY}), {"renew-certificates": "admin.conf"}, id="no-restart"
        ),
        pytest.param(
            all_of([*BY_KUBEADM, *KUBELET], 200 * DAY, **{"kubelet-client": -DAY}),
            {"renew-kubelet-certificates": "kubelet-client", "restart": "kubelet"},
            id="kubelet",
        ),
        pytest.param(
            all_of([*BY_KUBEADM, "kubelet-server"], -DAY, ca=-DAY),
            {
                "renew-certificates": ", ".join(["front-proxy-client", "apiserver-etcd-client", *ETCD]),
                "renew-kubelet-certificates": "kubelet-server",
                "restart": "etcd, kube-apiserver, kubelet",
            },
            id="authority-ended-too",
        ),
        pytest.param(all_of(["apiserver"], 20 * DAY, ca=20 * DAY), {}, id="authority-ends-no-later"),
        pytest.param(
            (certificate("apiserver", DAY),), {"renew-certificates": "apiserver", "restart": "kube-apiserver"}
        ),
    ],
)
def test_renewed(certificates: tuple[Certificate, ...], expected: dict[str, str]) -> None:
    """What is due is renewed, with what works with it; whether or not the API answers."""
    assert said_of(planned(certificates)) == expected
    silent: dict[str, Any] = {"api": False, "api_error": "x509", "objects": frozenset(), "node": None}
    assert said_of(planned(certificates, **silent)) == expected


def test_worker() -> None:
    """Of a worker it is kubelet's, which its control plane signs; what the API has of it is unknown while it is silent."""
    certificates = all_of(KUBELET, -DAY, **{"front-proxy-ca": 1, "etcd-ca": 1})
    expected = {"renew-kubelet-certificates": "kubelet-client, kubelet-server", "restart": "kubelet"}
    assert said_of(planned(certificates, plane=False)) == expected
    silent = planned(certificates, plane=False, api=False, node=None)
    assert said_of(silent) == expected and "does not answer" in silent.warnings[-1]
    labelled = worker(labels={"tier": "one"})
    found = seen_worker(api=False, node=None, certificates=certificates, now=NOW, signs=True)
    assert steps(kubeadm_plan.plan_joined(labelled, observed(found))) == list(expected)
    assert not planned(certificates, plane=False, signs=False).warnings[0].startswith("The certificate authority")


def test_former_run() -> None:
    """What a former run did not restart is restarted; what no run was through with has no age."""
    assert said_of(planned((), renewed="kube-apiserver kubelet")) == {"restart": "kube-apiserver, kubelet"}
    both = planned(all_of(["scheduler.conf"], DAY), renewed="kubelet")
    assert said_of(both)["restart"] == "kube-scheduler, kubelet"
    found = seen(record={}, certificates=all_of(API, -DAY), now=NOW)
    assert not kubeadm_plan.plan_renewal(spec(), found).steps


def test_diff() -> None:
    """The difference has the end of each, and what is renewed is first of all steps."""
    plan = planned(all_of(["admin.conf"], DAY), hosts="")
    assert steps(plan) == ["renew-certificates", "hosts"] == plan.before["missing"]
    assert plan.before["certificates"] == {"admin.conf": "2027-01-16T08:00:00Z"}
    assert plan.after["certificates"] == {"admin.conf": "renewed"}
    assert renewal.renews_access(said_of(plan).items())
    assert not renewal.renews_access(said_of(planned(all_of(["super-admin.conf"], DAY))).items())


# What only a person can do.
@pytest.mark.parametrize(
    ("name", "left", "words"),
    [
        ("ca", 364 * DAY, "The certificate authority ca of lab-control-plane-1 ends on 2028-01-14T08:00:00Z"),
        ("etcd-ca", -DAY, "The certificate authority etcd-ca of lab-control-plane-1 ended on 2027-01-14T08:00:00Z"),
        ("front-proxy-ca", 365 * DAY, ""),
    ],
)
def test_authority(name: str, left: float, words: str) -> None:
    """An authority within a year of its end is a warning at its control plane, and no change."""
    plan = planned(all_of((), 0, **{name: left}))
    assert not plan.actions and [words in item for item in plan.warnings] == [True] * bool(words)
    assert not planned(all_of((), 0, **{name: left}), plane=False).warnings


def test_kept_elsewhere() -> None:
    """Without the key of its authority a certificate is left, and named with its end."""
    stands = frozenset((*AUTHORITIES, *FILES)) - {"/etc/kubernetes/pki/ca.key"}
    asked = spec(configuration={"InitConfiguration": {"skipPhases": ["certs"]}})
    found = seen(asked, stands=stands, certificates=all_of([*BY_KUBEADM, *KUBELET], DAY), now=NOW)
    plan = kubeadm_plan.plan_initialized(asked, observed(found))
    etcd = ["front-proxy-client", "apiserver-etcd-client", *ETCD]
    assert said_of(plan)["renew-certificates"] == ", ".join(etcd)
    assert said_of(plan)["renew-kubelet-certificates"] == "kubelet-server"
    (warning,) = plan.warnings
    assert "apiserver (2027-01-16T08:00:00Z), " in warning and "kubelet-client" in warning and "elsewhere" in warning
    (told,) = planned(all_of(["kubelet-client"], DAY), plane=False, signs=False).warnings
    assert told.startswith("These certificates of lab-worker-1 end soon or have ended: kubelet-client")


def test_unapproved() -> None:
    """A certificate that kubelet requests from the API is left to whoever approves it."""
    plan = planned((replace(certificate("kubelet-server", DAY), rotated=True),))
    assert not plan.actions and "approve" in plan.warnings[0]


# Runs.
EXPIRED: dict[str, Any] = {"api": False, "api_error": "x509: certificate has expired", "node": None}


class Living(Fake):
    """A node with certificates: what works with one that was renewed has to be restarted, and then the API answers again."""

    def __init__(self, name: str, **left: float) -> None:
        plane = name != WORKER
        others = {WORKER: [container(WORKER, "192.168.128.3")], SECOND: [container(SECOND, "192.168.128.4")]}
        super().__init__(container(), *others.get(name, ()))
        self.node = name
        self.left = {**dict.fromkeys(CAS, 3650 * DAY), **dict.fromkeys(KUBELET, -DAY), **left}
        if plane:
            self.left.update({item: left.get(item, -DAY) for item in BY_KUBEADM})
        self.stale: set[str] = set()
        self.marked = ""
        self.halfway = -1
        """After how many certificates the power goes."""

    @property
    def up(self) -> bool:
        """Whether the API answers: of a worker's control plane always."""
        return self.node == WORKER or (min(self.left[item] for item in API) > 0 and "kube-apiserver" not in self.stale)

    def seen(self) -> Seen:
        """What a look finds."""
        make = {CONTROL_PLANE: seen, SECOND: seen_plane}.get(self.node, seen_worker)
        changes: dict[str, Any] = {} if self.up else {**EXPIRED, "objects": frozenset()}
        certificates = tuple(certificate(name, left, max(left, 365 * DAY)) for name, left in self.left.items())
        return make(certificates=certificates, now=NOW, renewed=self.marked, signs=True, **changes)

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        self.looks = [self.seen()]
        answer = super().call(arguments, **given)
        purpose, _node, command, _stdin = self.calls[-1] if self.calls else ("", "", [], "")
        if purpose == "wait" and not self.up:
            return said("connection refused", rc=1)
        if purpose in ("certificates-renew", "kubelet-certificates"):
            begin = command.index(purpose)
            self.marked = command[begin + 2]
            for number, name in enumerate(command[begin + 3 :]):
                if number == self.halfway:
                    return said("no space left", rc=1)
                self.left[name] = 365 * DAY
                self.stale |= {renewal._RESTARTS[name]} if name in renewal._RESTARTS else set()
        if purpose == "restart":
            self.stale, self.marked = set(), ""
        return self.answers.get("credentials", said("key")) if purpose == "kubelet-credentials" else answer

    def state(self) -> Mapping[str, Any]:
        """All that is there."""
        return {"left": self.left, "stale": self.stale, "marked": self.marked}


def resource(engine: Living) -> kubeadm.KubeadmResource:
    """Kubernetes on the node."""
    return kubeadm.KubeadmResource({CONTROL_PLANE: spec, SECOND: plane}.get(engine.node, worker)(), engine)


CASES: dict[str, tuple[str, dict[str, float]]] = {
    "everything-ended": (CONTROL_PLANE, {}),
    "in-time": (CONTROL_PLANE, dict.fromkeys((*BY_KUBEADM, *KUBELET), 20 * DAY)),
    "only-access": (CONTROL_PLANE, {**dict.fromkeys([*BY_KUBEADM, *KUBELET], 99 * DAY), "admin.conf": DAY}),
    "worker": (WORKER, {}),
    "another-control-plane": (SECOND, {}),
}


@pytest.mark.parametrize(("name", "left"), CASES.values(), ids=CASES.keys())
def test_check_mode_predicts(name: str, left: dict[str, float]) -> None:
    """Check mode changes nothing and names what the run does; the next run does nothing."""
    engine = Living(name, **left)
    before = dict(engine.left)
    foretold = run(resource(engine), check_mode=True)
    assert engine.left == before and set(engine.done()) == {"look"}
    done = run(resource(engine))
    assert [str(item) for item in done.plan.actions] == [str(item) for item in foretold.plan.actions] != []
    assert not engine.stale and not engine.marked and min(engine.left.values()) > 90 * DAY
    assert not run(resource(engine)).plan.changed


@pytest.mark.parametrize(("name", "left"), CASES.values(), ids=CASES.keys())
def test_killed(name: str, left: dict[str, float]) -> None:
    """A run that is killed before or after any operation is continued by the next one."""
    whole = Living(name, **left)
    run(resource(whole))
    number = 0
    while True:
        for done in (False, True):
            engine = Living(name, **left)
            if not ends(lambda killing: run(killing.armed(resource(engine))), number, done):  # noqa: B023
                assert number > 0
                return
            run(resource(engine))
            assert engine.state() == whole.state(), (number, done)
        number += 1


@pytest.mark.parametrize("number", range(len(BY_KUBEADM)))
def test_ended_between_two_certificates(number: int) -> None:
    """A run that ends while kubeadm renews has the rest renewed by the next one, and all restarted."""
    engine = Living(CONTROL_PLANE)
    engine.halfway = number
    with fails("step_failed", "renew-certificates", "no space left"):
        run(resource(engine))
    engine.halfway = -1
    run(resource(engine))
    whole = Living(CONTROL_PLANE)
    run(resource(whole))
    assert engine.state() == whole.state()


class Stopped(Living):
    """The same node, when it does not run."""

    def __init__(self, name: str, **left: float) -> None:
        super().__init__(name, **left)
        self.held[name] = replace(self.held[name], status="exited")
        self.file = json.dumps({"state": "joined" if name == WORKER else "initialized"}).encode()
        self.lacks: set[str] = set()

    def read_file(self, identity: str, path: str) -> bytes | None:  # type: ignore[override]
        return self.marked.encode() if path == RENEWED else super().read_file(identity, path)

    def read_directory(self, identity: str, path: str, wanted: Collection[str]) -> dict[str, Stored]:
        place = path.removeprefix(STATE)
        now = time.time()
        found: dict[str, Stored] = {}
        for name, left in self.left.items():
            file = next(file for file, known in PATHS.items() if known == name)
            pem = base64.b64encode(der(now + left - 365 * DAY, now + left)).decode()
            text = f"-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n"
            if file.startswith(f"{place}/"):
                assert file[len(place) + 1 :] in wanted
                found[file[len(place) + 1 :]] = Stored(now + left - 365 * DAY, text.encode())
        keys = {path[len(ETC) + 1 :] for path in AUTHORITIES if path.endswith("ca.key")} if place == ETC else set()
        assert not keys & {*wanted}
        return {**found, **{key: Stored(0) for key in keys - self.lacks}}


@pytest.mark.parametrize(("name", "left"), CASES.values(), ids=CASES.keys())
def test_check_mode_of_a_stopped_node(name: str, left: dict[str, float]) -> None:
    """A cluster that did not run for long is what most often has certificates that ended: its files tell it."""
    running = run(resource(Living(name, **left)))
    foretold = run(resource(Stopped(name, **left)), check_mode=True)
    assert [str(item) for item in foretold.plan.actions] == [str(item) for item in running.plan.actions]
    assert foretold.diff["before"]["certificates"].keys() == foretold.diff["after"]["certificates"].keys()
    fine = Stopped(name, **dict.fromkeys([*BY_KUBEADM, *KUBELET], 200 * DAY))
    assert not run(resource(fine), check_mode=True).plan.changed
    fine.marked = "kubelet"
    assert said_of(run(resource(fine), check_mode=True).plan) == {"restart": "kubelet"}


def test_stopped_node_without_keys() -> None:
    """Its authority is kept elsewhere."""
    engine = Stopped(CONTROL_PLANE)
    engine.lacks = {"pki/ca.key", "pki/etcd/ca.key", "pki/front-proxy-ca.key"}
    found = run(resource(engine), check_mode=True)
    assert said_of(found.plan) == {"renew-kubelet-certificates": "kubelet-server", "restart": "kubelet"}
    assert "elsewhere" in found.warnings[0]


def test_what_is_run() -> None:
    """kubeadm renews by a configuration and not by the API; the kubelet's key goes by standard input; then all is restarted."""
    engine = Living(CONTROL_PLANE)
    configuration = {"ClusterConfiguration": {"certificateValidityPeriod": "100h"}}
    kubeadm.converge_kubeadm(spec(configuration=configuration), engine, check_mode=False)
    assert engine.done() == [
        *("look", "certificates-renew", "kubelet-credentials", "kubelet-certificates", "restart", "wait", "look")
    ]
    renewed = kubeadm_documents(engine.stdin_of("certificates-renew"))
    assert renewed["ClusterConfiguration"]["certificateValidityPeriod"] == "100h"
    assert engine.stdin_of("kubelet-certificates") == "key"
    (credentials,) = [call for call in engine.calls if call[0] == "kubelet-credentials"]
    assert credentials[2][-3:] == [CONTROL_PLANE, "100h", "0"]
    assert kubeadm_documents(credentials[3])["ClusterConfiguration"]["kubernetesVersion"] == "v1.35.4"


def test_worker_is_signed_by_its_control_plane() -> None:
    """The control plane signs, the worker keeps it."""
    engine = Living(WORKER)
    run(resource(engine))
    where = {purpose: node for purpose, node, _command, _stdin in engine.calls if purpose.startswith("kubelet")}
    assert where == {"kubelet-credentials": CONTROL_PLANE, "kubelet-certificates": WORKER}
    documents = kubeadm_documents(engine.stdin_of("kubelet-credentials"))
    assert documents["InitConfiguration"]["localAPIEndpoint"]["advertiseAddress"] == "192.168.128.2"


def test_another_control_plane_is_renewed_for_itself() -> None:
    """kubeadm is given its own name and address, not those of the control plane by which it joined."""
    engine = Living(SECOND)
    run(resource(engine))
    assert {
        node for purpose, node, _command, _stdin in engine.calls if purpose in ("certificates-renew", "restart")
    } == {SECOND}
    for purpose in ("certificates-renew", "kubelet-credentials"):
        document = kubeadm_documents(engine.stdin_of(purpose))["InitConfiguration"]
        assert document["localAPIEndpoint"]["advertiseAddress"] == "192.168.128.4"
        assert document["nodeRegistration"]["name"] == SECOND


@pytest.mark.parametrize(
    ("name", "server"),
    [
        pytest.param(CONTROL_PLANE, [], id="asked"),
        pytest.param(SECOND, ["--server=https://127.0.0.1:6443"], id="joined"),
    ],
)
def test_one_of_several_in_time(name: str, server: list[str]) -> None:
    """While the API answers, that of the control plane itself is waited for."""
    engine = Living(name, **dict.fromkeys((*BY_KUBEADM, *KUBELET), 20 * DAY))
    run(several(engine))
    waits = [(node, command) for purpose, node, command, _stdin in engine.calls if purpose == "wait"]
    assert waits and {node for node, _command in waits} == {name}
    for _node, command in waits:
        assert command[command.index("wait-api") + 2 :] == server


class Together(Living):
    """One of several control planes, of whose etcd most have to work with certificates that are valid before an API answers."""

    def __init__(self, name: str, all_of_them: list[Together]) -> None:
        super().__init__(name)
        self.all_of_them = all_of_them
        all_of_them.append(self)

    @property
    def member(self) -> bool:
        """Whether its etcd takes part."""
        return min(self.left[item] for item in ETCD) > 0 and "etcd" not in self.stale

    @property
    def up(self) -> bool:
        """Whether the API of the first answers."""
        first = self.all_of_them[0]
        own = min(first.left[item] for item in API) > 0 and "kube-apiserver" not in first.stale
        return own and 2 * sum(item.member for item in self.all_of_them) > len(self.all_of_them)


def several(engine: Living) -> kubeadm.KubeadmResource:
    """Kubernetes on one of three control planes."""
    make = spec if engine.node == CONTROL_PLANE else plane
    planes = [CONTROL_PLANE, SECOND, "lab-control-plane-3"]
    return kubeadm.KubeadmResource(make(planes=planes), engine)


def three_ended() -> list[Together]:
    """Three control planes whose certificates have ended; the third is like the second."""
    found: list[Together] = []
    for name in (CONTROL_PLANE, SECOND, SECOND):
        Together(name, found)
    return found


def test_three_that_ended() -> None:
    """They are renewed one after the other; none waits for an API that cannot come up before the others are."""
    engines = three_ended()
    foretold = [[str(item) for item in run(several(engine), check_mode=True).plan.actions] for engine in engines]
    for number, engine in enumerate(engines):
        assert engine.up is (number > 1)
        done = run(several(engine))
        # The last one finds an API that answers.
        assert ("wait" in engine.done()) is (number > 1), number
        assert [str(item) for item in done.plan.actions] == foretold[number] != []
    for engine in engines:
        assert not engine.stale and not engine.marked and min(engine.left.values()) > 90 * DAY
        assert not run(several(engine)).plan.changed


def test_three_that_ended_and_a_killed_run() -> None:
    """The next run does the rest of each of them, at the same time: whoever waits for the API waits for the others."""
    whole = three_ended()
    for engine in whole:
        run(several(engine))

    def work(engines: Sequence[Together], killing: Killing) -> None:
        for engine in engines:
            run(killing.armed(several(engine)))

    number, done = 0, False
    while True:
        engines = three_ended()
        if not ends(partial(work, engines), number, done):
            break
        for engine in reversed(engines):
            run(several(engine))
        assert [engine.state() for engine in engines] == [engine.state() for engine in whole], (number, done)
        number, done = (number + 1, False) if done else (number, True)
    assert number > len(engines)


def test_worker_of_several_that_ended() -> None:
    """Its certificate is signed on a control plane whose API does not answer yet, and which is not waited for."""
    engine = Living(WORKER)
    asked = worker(planes=[CONTROL_PLANE, SECOND])
    silent = observed(
        seen_worker(api=False, node=None, certificates=all_of(KUBELET, -DAY), now=NOW, signs=True),
        container=engine.held[WORKER],
    )
    plan = kubeadm.bound(asked, silent, kubeadm_plan.plan_joined(asked, silent))
    assert said_of(plan) and not [item for item in plan.operations if item.verb == "wait for"]


def test_failed_signature() -> None:
    """What was printed before kubeadm failed may be a key, and is not reported."""
    engine = Living(WORKER)
    engine.answers["credentials"] = said("client-key-data: c2VjcmV0", rc=1, err="no such key")
    with fails("step_failed", "renew-kubelet-certificates", "no such key") as _caught:
        run(resource(engine))
    with pytest.raises(Exception, match="no such key") as caught:
        run(resource(engine))
    assert "c2VjcmV0" not in str(vars(caught.value))


class Useless(Living):
    """Certificates are as old after their renewal as before."""

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        left = dict(self.left)
        answer = super().call(arguments, **given)
        self.left = left
        return answer


def test_renewal_without_effect() -> None:
    """It is not tried for ever."""
    engine = Useless(CONTROL_PLANE, **dict.fromkeys([*BY_KUBEADM, *KUBELET], DAY))
    with fails("step_failed", "renew-certificates", "afterwards there is still to be done"):
        run(resource(engine))
    assert engine.done().count("certificates-renew") == 1


class Taken(Living):
    """Another run's kubeadm is in the node when this one begins."""

    def call(self, arguments: Sequence[str], **given: Any) -> CommandResult:
        if "certificates-renew" in arguments and "taken" in self.answers:
            return self.answers.pop("taken")
        return super().call(arguments, **given)


def test_another_run() -> None:
    """It is waited for, and the rest is done."""
    engine = Taken(CONTROL_PLANE)
    engine.answers["taken"] = said(rc=BUSY)
    done = run(resource(engine))
    assert engine.done().count("look") == 3 and len(done.plan.actions) == 3


def test_node_that_is_starting() -> None:
    """Its system is waited for before anything is run in it."""
    certificates = all_of(["admin.conf"], DAY)
    found = seen(certificates=certificates, now=NOW, boot=Boot("starting"))
    plan = resource(Living(CONTROL_PLANE)).plan(observed(found), ())
    assert [item.kind for item in plan.operations if item.verb == "wait for"] == ["boot", "API of"]
    order = [item.name for item in plan.operations if item.changes]
    assert order == ["renew-certificates"]


def test_all_files_are_known() -> None:
    """Each certificate that is renewed has a file in which it is found."""
    assert {*BY_KUBEADM, *KUBELET, *CAS} == {*PATHS.values()} and API_NODE.ready
