# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod network of a cluster: who is in it, which files each node gets, and which nodes they are written to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._command import CommandResult
from ansible_collections.nodeforge.kic.plugins.module_utils._core import labels
from ansible_collections.nodeforge.kic.plugins.module_utils._core.diagnosis import KicError
from ansible_collections.nodeforge.kic.plugins.module_utils._engine.model import Container, Limits
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network import kic
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network.connect import Connected, PodNetwork
from ansible_collections.nodeforge.kic.plugins.module_utils._kubernetes.network.kic import Member, Registered, State
from ansible_collections.nodeforge.kic.plugins.module_utils._state import lock
from ansible_collections.nodeforge.kic.tests.unit.module_utils.support import Unplugged

PODS = "10.244.0.0/16"
PLANE, FIRST, SECOND = "lab-control-plane-1", "lab-worker-1", "lab-worker-2"


def node(name: str, number: int, *ranges: str, ready: bool = True) -> Registered:
    """A node of the API; the number is its age and, where none is given, its range."""
    return Registered(name, f"2026-01-01T00:00:{number:02}Z", ranges or (f"10.244.{number}.0/24",), ready)


NODES = (node(PLANE, 0), node(FIRST, 1), node(SECOND, 2))
ADDRESSES = {name: (f"10.89.0.{number + 2}",) for number, name in enumerate((PLANE, FIRST, SECOND))}
MEMBERS = tuple(Member(name, ADDRESSES[name], item.ranges) for name, item in zip(ADDRESSES, NODES))


def files_of(name: str, *others: str) -> kic.Files:
    """The files of a node of a cluster of itself and the others."""
    members = [item for item in MEMBERS if item.name in (name, *others)]
    return kic.files_of(next(item for item in members if item.name == name), members)


# Who is in it.
BAD = {
    "range-of-another": (("10.244.1.0/24",), f"its range 10.244.1.0/24 overlaps 10.244.1.0/24 of the node {FIRST}"),
    "part-of-anothers": (("10.244.1.128/25",), f"overlaps 10.244.1.0/24 of the node {FIRST}"),
    "whole-subnet": (("10.244.0.0/16",), f"overlaps 10.244.0.0/24 of the node {PLANE}"),
    "outside-the-subnet": (("192.0.2.0/24",), "its range 192.0.2.0/24 is not in the pod subnet 10.244.0.0/16"),
    "around-the-subnet": (("10.0.0.0/8",), "is not in the pod subnet"),
    "other-version": (("fd00:1::/64",), "is not in the pod subnet"),
    "one-of-two": (("10.244.9.0/24", "192.0.2.0/24"), "its range 192.0.2.0/24 is not in the pod subnet"),
    "everything": (("0.0.0.0/0",), "'0.0.0.0/0' is not a valid range"),
    "half-of-everything": (("128.0.0.0/1",), "is not in the pod subnet"),
    "no-length": (("10.244.9.0",), "'10.244.9.0' is not a valid range"),
    "host-bits": (("10.244.9.1/24",), "is not a valid range"),
    "leading-zero": (("10.244.09.0/24",), "is not a valid range"),
    "injected-set": (("10.244.9.0/24 } ; }",), "is not a valid range"),
    "injected-line": (("10.244.9.0/24\n0.0.0.0/0 10.89.0.66 x",), "is not a valid range"),
    "injected-command": (("$(touch /run/injected)",), "is not a valid range"),
    "no-range": ((), "it has no range of pod addresses yet"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_node_is_skipped(case: str) -> None:
    """A Node object of which something is wrong is named and skipped; those that are younger have their place."""
    ranges, words = BAD[case]
    fake = replace(node("fake", 2), ranges=ranges)
    found = kic.wanted((*NODES[:2], fake, node(SECOND, 3)), {**ADDRESSES, "fake": ("10.89.0.66",)}, PODS)
    assert [item.name for item in found.members] == [PLANE, FIRST, SECOND]
    assert list(found.skipped) == ["fake"] and words in found.skipped["fake"]
    for name in (PLANE, FIRST):
        assert "10.89.0.66" not in str(found.files(name))
    assert found.files("fake") is None


def test_a_node_without_a_container() -> None:
    """What is not a container of the cluster has no address that anybody vouches for."""
    found = kic.wanted((*NODES, node("other", 9)), ADDRESSES, PODS)
    assert len(found.members) == 3 and found.skipped == {"other": "it is not a container of the cluster on this engine"}


def test_pods_whose_subnet_is_not_known() -> None:
    """Ranges are compared with those of others alone."""
    found = kic.wanted((node(PLANE, 0), node(FIRST, 1, "192.0.2.0/24")), ADDRESSES, "")
    assert [item.ranges for item in found.members] == [("10.244.0.0/24",), ("192.0.2.0/24",)]


def test_a_node_that_lacks_an_ip_version() -> None:
    """It has no route of that version, and all else."""
    nodes = [replace(item, ranges=(*item.ranges, f"fd00:244:0:{number}::/64")) for number, item in enumerate(NODES)]
    addresses = {PLANE: ("10.89.0.2", "fd00::2"), FIRST: ("10.89.0.3", "fd00::3"), SECOND: ("10.89.0.4",)}
    found = kic.wanted(nodes, addresses, f"{PODS},fd00:244::/56")
    files = found.files(PLANE)
    assert files is not None
    assert files["routes"].splitlines() == [
        f"10.244.1.0/24 10.89.0.3 {FIRST}",
        f"10.244.2.0/24 10.89.0.4 {SECOND}",
        f"fd00:244:0:1::/64 fd00::3 {FIRST}",
    ]
    assert "ip6 saddr @here ip6 daddr != @pods masquerade" in files["rules.nft"]
    assert "elements = { fd00:244:0:2::/64, fd00:244:0:1::/64" not in files["rules.nft"]
    assert [item["dst"] for item in json.loads(files["10-kic.conflist"])["plugins"][0]["ipam"]["routes"]] == [
        *("0.0.0.0/0", "::/0")
    ]


# What each node gets.
def test_files_of_a_worker() -> None:
    """CNI gives out its own range, routes lead to the others, and what stays among all of them keeps its address."""
    files = files_of(FIRST, PLANE, SECOND)
    assert set(files) == {"10-kic.conflist", "address", "routes", "rules.nft"}
    ptp, portmap = json.loads(files["10-kic.conflist"])["plugins"]
    assert (ptp["type"], portmap["type"], ptp["mtu"]) == ("ptp", "portmap", "@MTU@")
    assert ptp["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]
    assert files["address"] == "10.89.0.3\n"
    assert files["routes"] == f"10.244.0.0/24 10.89.0.2 {PLANE}\n10.244.2.0/24 10.89.0.4 {SECOND}\n"
    assert "elements = { 10.244.1.0/24 } }" in files["rules.nft"]
    assert "elements = { 10.244.0.0/24, 10.244.1.0/24, 10.244.2.0/24 } }" in files["rules.nft"]
    # A range of that version may be gone; its table goes with it.
    assert "delete table ip6 kic-pod-network" in files["rules.nft"] and "ip6 saddr" not in files["rules.nft"]


def test_a_single_node() -> None:
    """It has no routes."""
    assert files_of(PLANE)["routes"] == ""


def test_order_of_nodes_does_not_matter() -> None:
    """An API lists them by name, a cluster by age: the files are the same."""
    one, other = kic.wanted(NODES, ADDRESSES, PODS), kic.wanted(NODES[::-1], ADDRESSES, PODS)
    assert one.files(PLANE) == other.files(PLANE)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param({}, (), id="nobody-runs"),
        pytest.param({PLANE: State()}, (), id="without-the-program"),
        pytest.param({PLANE: State("none")}, (PLANE,), id="without-files"),
        pytest.param({PLANE: State("fits", kic.digest(files_of(PLANE, FIRST, SECOND)))}, (), id="fits"),
        pytest.param(
            {PLANE: State("differs", kic.digest(files_of(PLANE, FIRST, SECOND)))}, (PLANE,), id="rules-flushed"
        ),
        pytest.param({PLANE: State("fits", kic.digest(files_of(PLANE, FIRST)))}, (PLANE,), id="one-joined"),
        pytest.param({PLANE: State("none"), FIRST: State(), SECOND: State("none")}, (PLANE, SECOND), id="several"),
    ],
)
def test_nodes_to_write_to(states: dict[str, State], expected: tuple[str, ...]) -> None:
    """Those that run and have other files, or something else than their files say."""
    assert kic.differing(kic.wanted(NODES, ADDRESSES, PODS), states) == expected


def test_a_removed_node_is_forgotten() -> None:
    """Without its Node object the others have no route to it."""
    known = {name: State("fits", kic.digest(files_of(name, *(set(ADDRESSES) - {name})))) for name in ADDRESSES}
    want = kic.wanted(NODES[:2], ADDRESSES, PODS)
    assert kic.differing(want, known) == (PLANE, FIRST)
    assert "10.89.0.4" not in str(want.files(PLANE))


def test_decode() -> None:
    """Node objects of the API, those that have just been created included."""
    made = {"metadata": {"name": "a", "creationTimestamp": None}, "spec": {}, "status": {}}
    full = {
        "metadata": {"name": "b", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]},
        "status": {"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]},
    }
    assert kic.decode([made, full]) == (
        Registered("a", "", (), False),
        Registered("b", "2026-01-01T00:00:00Z", ("10.244.0.0/24",), True),
    )


@pytest.mark.parametrize(
    ("text", "expected", "broken"),
    [
        ("fits 01\n", State("fits", "01"), False),
        ("differs 01", State("differs", "01"), True),
        ("none\n", State("none"), True),
        ("", State(), False),
    ],
)
def test_state(text: str, expected: State, broken: bool) -> None:
    """What the program in a node prints."""
    assert State.parse(text) == expected and expected.broken is broken


# On an engine in memory.
class Fake(Unplugged):
    """Nodes that run the program of the pod network, and an API that lists them."""

    def __init__(self, listed: Sequence[Registered], states: dict[str, State], stopped: Sequence[str] = ()) -> None:
        super().__init__()
        self.listed = listed
        self.states = states
        self.stopped = stopped
        self.calls: list[tuple[str, str]] = []
        self.listings = 0
        self.taken = CommandResult((), 0, b"", b"")

    def containers(self, label: str) -> list[Container]:
        assert label == f"{labels.CLUSTER}=lab"
        self.listings += 1
        return [container(name, running=name not in self.stopped) for name in (*ADDRESSES, f"{PLANE}.kic-replaced")]

    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        words = [word for word in arguments[1:] if word != "--interactive"]
        self.calls.append((words[0], words[-1]))
        if words[-1] == "take":
            return self.taken
        if words[-1] == "status":
            state = self.states[words[0]]
            return CommandResult((), 0 if state.word else 126, f"{state.word} {state.digest}\n".encode(), b"")
        items = [
            {
                "metadata": {"name": item.name, "creationTimestamp": item.created},
                "spec": {"podCIDRs": list(item.ranges)},
                "status": {"conditions": [{"type": "Ready", "status": str(item.ready)}]},
            }
            for item in self.listed
        ]
        return CommandResult((), 0, json.dumps({"items": items}).encode(), b"")

    @property
    def written(self) -> list[str]:
        """The nodes that got files."""
        return [name for name, word in self.calls if word == "take"]


def container(name: str, *, running: bool = True) -> Container:
    """A node of the cluster."""
    address = ADDRESSES.get(name, ("10.89.0.99",))[0]
    return Container(
        id=name,
        name=name,
        image_id="sha256:0",
        image_name="kic-node",
        status="running" if running else "exited",
        pid=1 if running else 0,
        exit_code=0,
        error="",
        oom_killed=False,
        labels={labels.SCHEMA: "1", labels.CLUSTER: "lab", labels.ADDRESS: address},
        environment={},
        addresses={"lab": (address,) if running else ()},
        runtime="crun",
        limits=Limits(),
    )


@pytest.fixture(autouse=True)
def state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is the test's own."""
    monkeypatch.setattr(lock, "state_directory", lambda: str(tmp_path / "state"))


FITS = {name: State("fits", kic.digest(files_of(name, *(set(ADDRESSES) - {name})))) for name in ADDRESSES}


def run(
    engine: Fake, known: dict[str, State], nodes: Sequence[Registered] | None, *, check_mode: bool = False
) -> Connected:
    """One run on the cluster."""
    return PodNetwork(engine, "lab", PLANE, PODS).connect(known, nodes, check_mode=check_mode)


@pytest.mark.parametrize("check_mode", [False, True])
def test_what_fits_costs_no_question(check_mode: bool) -> None:
    """Where the run has seen all nodes and the list of the API, no node is asked anything."""
    engine = Fake(NODES, {})
    assert run(engine, FITS, NODES, check_mode=check_mode) == Connected() and engine.calls == []
    assert engine.listings == 1


def test_a_node_whose_range_is_waited_for() -> None:
    """Until the API has the range, the engine is not asked, however often the API is."""
    engine = Fake(NODES, {})
    network = PodNetwork(engine, "lab", PLANE, PODS)
    for nodes in ((), NODES[:1], (*NODES[:1], replace(node(FIRST, 1), ranges=()))):
        assert network.files(FIRST, nodes) is None and engine.listings == 0
    assert network.files(FIRST, NODES) == files_of(FIRST, PLANE, SECOND) and engine.listings == 1


def test_a_join_is_told_to_all_others() -> None:
    """The nodes that were there have other files now; the new one was given its own before it joined."""
    known = {PLANE: State("fits", "old"), SECOND: FITS[SECOND]}
    engine = Fake(NODES, {FIRST: State("fits", "old")})
    assert run(engine, known, None).nodes == (PLANE, FIRST)
    assert engine.calls == [(PLANE, "/api/v1/nodes"), (FIRST, "status"), (PLANE, "take"), (FIRST, "take")]


def test_a_node_that_joined_by_hand_is_taken_in() -> None:
    """It has the program and no files; the others get a route to it in the same run."""
    before = {PLANE: State("fits", kic.digest(files_of(PLANE, FIRST))), FIRST: FITS[FIRST]}
    engine = Fake(NODES, {SECOND: State("none")})
    for check_mode in (True, False):
        assert run(engine, before, NODES, check_mode=check_mode).nodes == (PLANE, SECOND)
        assert bool(engine.written) is not check_mode


def test_a_stopped_node_keeps_its_route() -> None:
    """By the address that it was created with; nothing is written to it."""
    engine = Fake(NODES, FITS, stopped=[SECOND])
    assert run(engine, {}, None) == Connected() and (SECOND, "status") not in engine.calls


def test_warnings() -> None:
    """Nodes that are not connected are named with what takes them in."""
    listed = (*NODES[:2], node(SECOND, 2, ready=False), node("other", 3), replace(node("new", 4), ranges=()))
    engine = Fake(listed, {PLANE: FITS[PLANE], FIRST: State(), SECOND: State()})
    texts = run(engine, {}, None).warnings
    assert len(texts) == 3, texts
    assert texts[0].startswith("The pod network skips the node other: ") and "kubectl delete node other" in texts[0]
    assert texts[1].startswith("The pod network skips the node new: ")
    assert texts[2].startswith(f"The pod network skips the node {SECOND}: ") and "nodeforge.kic.kic_cluster" in texts[2]


def test_what_a_node_refuses_is_a_warning() -> None:
    """It repeats it by itself."""
    engine = Fake(NODES, {**FITS, PLANE: State("none")})
    engine.taken = CommandResult((), 1, b"nft refuses the rules of masquerading: x\n", b"")
    (text,) = run(engine, {}, None).warnings
    assert text.startswith(f"The pod network of {PLANE}: nft refuses the rules of masquerading: x.")


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"items": [{}]}', b'{"items": 1}'])
def test_an_api_that_answers_something_else(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported as that."""
    engine = Fake((), {})
    monkeypatch.setattr(engine, "call", lambda *_arguments, **_options: CommandResult((), 0, text, b""))
    with pytest.raises(KicError) as caught:
        run(engine, {}, None)
    assert caught.value.diagnosis.id == "node_unreadable"


class Clone(Fake):
    """Nodes that the API has by other names than their containers."""

    def containers(self, label: str) -> list[Container]:
        return [
            replace(item, name=item.name.replace("lab", "copy"), labels={**item.labels, labels.NODE_NAME: item.name})
            for item in super().containers(label)
        ]


COPIES = {name: name.replace("lab", "copy") for name in ADDRESSES}


def test_nodes_of_a_clone() -> None:
    """The network is of their names; what is written goes to their containers."""
    known = {COPIES[name]: state for name, state in FITS.items()}
    engine = Clone(NODES, known)
    network = PodNetwork(engine, "lab", COPIES[PLANE], PODS)
    assert network.files(FIRST, NODES) == files_of(FIRST, PLANE, SECOND) and network.files(COPIES[FIRST], NODES) is None
    assert network.connect(known, NODES, check_mode=False) == Connected() and engine.calls == []
    behind = {COPIES[PLANE]: State("fits", "old"), COPIES[SECOND]: FITS[SECOND]}
    engine = Clone(NODES, {COPIES[FIRST]: State("none")})
    network = PodNetwork(engine, "lab", COPIES[PLANE], PODS)
    for check_mode in (True, False):
        assert network.connect(behind, NODES, check_mode=check_mode).nodes == (COPIES[PLANE], COPIES[FIRST])
        assert bool(engine.written) is not check_mode
    assert engine.written == [COPIES[PLANE], COPIES[FIRST]]


def test_a_container_of_a_clone_is_no_node_of_its_name() -> None:
    """The API may have a node of that name, of another machine."""
    engine = Clone((*NODES, node(COPIES[FIRST], 7)), {COPIES[name]: FITS[name] for name in FITS})
    found = PodNetwork(engine, "lab", COPIES[PLANE], PODS).connect({}, None, check_mode=False)
    assert found.nodes == () and [text for text in found.warnings if f"skips the node {COPIES[FIRST]}: " in text]
