# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kic_node on podman: what each of its options does when it is changed on a node that is there.

The cases come from the module's argument spec: an option, or a key of one, that is in no table here fails.
"""

from __future__ import annotations

import ipaddress
import json
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.nodeforge.kic.plugins.module_utils._engine_module import ENGINE_ARGUMENTS
from ansible_collections.nodeforge.kic.plugins.module_utils._resources.node_arguments import NODE

from .conftest import Client, Predicted, unique_local_subnet
from .workload import docker_archive, tar

ALL_ARGUMENTS = {**NODE, **ENGINE_ARGUMENTS}
LEFT_OUT = object()


@dataclass(frozen=True)
class World:
    """What the values of options name."""

    podman: Client
    node: str
    """A node that was made with all values of before, and does not run."""
    image: str
    other_image: str
    network: str
    other_network: str
    hosts: list[str]
    hosts6: list[str]
    volume: str
    other_volume: str
    folders: tuple[str, str]
    ports: tuple[int, int]
    facts: dict[str, Any]

    def image_shown(self, name: str) -> str:
        """How drift names an image: a tag may mean another one tomorrow."""
        return f"{name} ({self.podman.out('image', 'inspect', '--format', '{{.Id}}', name)[:12]})"

    def params(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of the module; a value LEFT_OUT is."""
        given = {key: value for key, value in values.items() if value is not LEFT_OUT}
        return dict(given, state="present", engine_facts=self.facts)


@dataclass(frozen=True)
class Case:
    """The change of one option, and how it shows."""

    before: Any
    after: Any
    field: str = ""
    """The field that drift names, where that is not the option itself."""
    asked: Any = None
    found: Any = None
    """What drift shows as asked for and found, where that is not ``after`` and ``before``."""
    without: Any = LEFT_OUT
    """What drift shows as asked for when the option is left out; LEFT_OUT where anything fits then."""
    in_place: str = ""
    """How the update is named, where no new container is needed."""

    def drift(self, option: str) -> dict[str, Any]:
        """The drift that the change is."""
        return {
            "field": self.field or option.partition(".")[0],
            "asked": self.after if self.asked is None else self.asked,
            "found": self.before if self.found is None else self.found,
        }


def mount(world: World, **changes: Any) -> list[dict[str, Any]]:
    """The option mounts, with all keys."""
    plain = {"source": world.folders[0], "target": "/mnt/one", "read_only": False, "propagation": "rprivate"}
    return [{**plain, "relabel": "none", **changes}]


def published(world: World, **changes: Any) -> list[dict[str, Any]]:
    """The option publish, with all keys."""
    plain = {"port": 80, "protocol": "tcp", "address": "127.0.0.1", "host_port": world.ports[0]}
    return [{**plain, **changes}]


def mount_case(**changes: Any) -> Callable[[World], Case]:
    """A change of one key of a mount."""
    return lambda world: Case(mount(world), mount(world, **changes), without=[])


def publish_case(**changes: Any) -> Callable[[World], Case]:
    """A change of one key of a published port."""
    return lambda world: Case(published(world), published(world, **changes), without=[])


TABLE: dict[str, Callable[[World], Case]] = {
    "role": lambda _: Case("worker", "control-plane", without=None),
    "image": lambda w: Case(
        w.image, w.other_image, asked=w.image_shown(w.other_image), found=w.image_shown(w.image), without=LEFT_OUT
    ),
    "network": lambda w: Case(w.network, w.other_network, without=None),
    "ip": lambda w: Case(w.hosts[0], w.hosts[1]),
    "ip6": lambda w: Case(w.hosts6[0], w.hosts6[1]),
    "hostname": lambda _: Case("one", "two", without=None),
    "volume": lambda w: Case(w.volume, w.other_volume, without="{name}"),
    "mounts": lambda w: Case(mount(w), mount(w) + mount(w, target="/mnt/two"), without=[]),
    "mounts.source": lambda w: Case(mount(w), mount(w, source=w.folders[1]), without=[]),
    "mounts.target": mount_case(target="/mnt/other"),
    "mounts.read_only": mount_case(read_only=True),
    "mounts.propagation": mount_case(propagation="rslave"),
    "mounts.relabel": mount_case(relabel="shared"),
    "tmpfs": lambda _: Case({"/scratch": "size=1m"}, {"/scratch": "size=2m"}, without={}),
    "publish": lambda w: Case(published(w), published(w) + published(w, port=81, host_port=w.ports[1]), without=[]),
    "publish.port": publish_case(port=81),
    "publish.protocol": publish_case(protocol="udp"),
    "publish.address": publish_case(address="127.0.0.2"),
    "publish.host_port": lambda w: Case(published(w), published(w, host_port=w.ports[1]), without=[]),
    "devices": lambda _: Case(["/dev/null:/dev/one"], ["/dev/zero:/dev/one"], without=[]),
    "memory": lambda _: Case("256m", "320m", asked=320 << 20, found=256 << 20, in_place="memory = 335544320"),
    "cpus": lambda _: Case(0.5, 1.0, in_place="cpus = 1.0"),
    "pids_limit": lambda _: Case(1000, 2000, in_place="pids_limit = 2000"),
    "ulimits": lambda _: Case({"nofile": "1024:2048"}, {"nofile": "1024:4096"}, without={}),
    "sysctls": lambda _: Case({"net.ipv4.ip_forward": "1"}, {"net.ipv4.ip_forward": "0"}, without={}),
    "security_opts": lambda _: Case(["label=disable"], ["label=disable", "no-new-privileges"], without=[]),
    "dns": lambda _: Case(["192.0.2.1"], ["192.0.2.2"], without=[]),
    "dns_search": lambda _: Case(["one.example"], ["two.example"], without=[]),
    "extra_hosts": lambda _: Case({"registry.lab": "192.0.2.7"}, {"registry.lab": "192.0.2.8"}, without={}),
    "shm_size": lambda _: Case("128m", "256m", asked=256 << 20, found=128 << 20, without=None),
    "cgroup_parent": lambda _: Case("/kictest-one", "/kictest-two", without=None),
    "env": lambda _: Case(
        {"TOKEN": "before"}, {"TOKEN": "after"}, "env.TOKEN", "(hidden)", "(hidden), another value", without=None
    ),
    "labels": lambda _: Case({"tier": "one"}, {"tier": "two"}, "labels.tier", "two", "one"),
    "privileged": lambda _: Case("true", "false", without="auto"),
    "runtime": lambda _: Case("runc", "crun", without=None),
    "command": lambda _: Case(["one"], ["two", "-x"], without=[]),
    "restart_policy": lambda _: Case("on-failure", "unless-stopped", without="no"),
}

NO_DRIFT = {
    "name": "a node is found by it",
    "state": "it is what is done, not what is compared",
    "cluster": "a node of another cluster is refused",
    "no_proxy": "it is added to the variables of a proxy, which are those of the time of the create",
    "files": "they are part of the first start only",
    "files.path": "likewise",
    "files.content": "likewise",
    "files.mode": "likewise",
    "recreate": "it says what drift leads to",
    "wait": "it is about the task",
    "wait_timeout": "it is about the task",
    "engine": "it chooses where to look",
    "engine_facts": "it chooses where to look",
}

TOP = [option for option in TABLE if "." not in option]
LIMITS = ("memory", "cpus", "pids_limit")


def every_option(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Names of options, and of their keys behind a dot."""
    for option, spec in arguments.items():
        yield option
        yield from (f"{option}.{key}" for key in spec.get("options", ()))


def uncovered(arguments: Mapping[str, Any]) -> list[str]:
    """Options that nobody has thought of here."""
    return sorted(set(every_option(arguments)) - TABLE.keys() - NO_DRIFT.keys())


def free_ports(count: int) -> tuple[int, ...]:
    """Ports of this machine that nothing listens on."""
    held = [socket.create_server(("127.0.0.1", 0)) for _number in range(count)]
    found = tuple(item.getsockname()[1] for item in held)
    for item in held:
        item.close()
    return found


def by_field(drift: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drift in the order of its fields."""
    return sorted(drift, key=lambda item: str(item["field"]))


def mended_fields(result: Mapping[str, Any]) -> list[str]:
    """The fields for which a node is made again, from the action that removes it."""
    return sorted(re.findall(r"(?:^remove node \S+: |; )(\S+) is ", str(result["actions"][0])))


def values(world: World, which: str) -> dict[str, Any]:
    """All options with their values of ``before`` or ``after``."""
    return {option: getattr(TABLE[option](world), which) for option in TOP}


def updates_pids(world: World) -> bool:
    """Whether this podman can change a pids limit in place (4.4 and later)."""
    return [int(part) for part in str(world.facts["version"]).split(".")[:2]] >= [4, 4]


@pytest.fixture(scope="module")
def world(
    podman: Client,
    node_image: str,
    run_module: Callable[..., dict[str, Any]],
    module_unique: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    """Networks, volumes and images to name, and a node with all values of before."""
    folder = tmp_path_factory.mktemp("drift")
    facts = run_module("oci_engine_info")["engine_facts"]
    other_image = f"localhost/kictest-drift:{secrets.token_hex(3)}"
    archive = folder / "image.tar"
    archive.write_bytes(docker_archive(other_image, tar({"x": (b"x", 0o644)}), facts["architecture"], {}))
    podman.run("load", "--quiet", "--input", str(archive))
    names = [module_unique("drift") for _number in range(5)]
    subnet6 = unique_local_subnet()
    made = run_module("oci_network", name=names[1], subnet6=str(subnet6))["network"]
    assert not run_module("oci_network", name=names[2]).get("failed")
    for name in names[3:]:
        assert not run_module("oci_volume", name=name).get("failed")
    folders = (folder / "one", folder / "two")
    for item in folders:
        item.mkdir()
    found = World(
        podman=podman,
        node=names[0],
        image=node_image,
        other_image=other_image,
        network=names[1],
        other_network=names[2],
        hosts=[str(ipaddress.ip_network(made["subnet"])[item]) for item in (10, 20)],
        hosts6=[str(subnet6[item]) for item in (10, 20)],
        volume=names[3],
        other_volume=names[4],
        folders=(str(folders[0]), str(folders[1])),
        ports=(free_ports(2)[0], free_ports(2)[1]),
        facts=facts,
    )
    result = run_module("kic_node", **found.params({**values(found, "before"), "name": found.node}))
    assert result.get("actions") == [f"create node {found.node}"], result
    yield found
    podman.run("rm", "--force", *[name for name in podman.holdings()["containers"] if name.startswith(names[0])])
    podman.run("rmi", other_image)


def test_every_option_has_a_case() -> None:
    """Each option of the module and each key of one is in the table or is named with the reason why not."""
    assert uncovered(ALL_ARGUMENTS) == []
    assert set(every_option(ALL_ARGUMENTS)) == TABLE.keys() | NO_DRIFT.keys()
    assert uncovered({**ALL_ARGUMENTS, "brand_new": {"options": {"key": {}}}}) == ["brand_new", "brand_new.key"]


@pytest.mark.full("a node each; the quick set changes all options at once")
@pytest.mark.parametrize("option", sorted(set(every_option(ALL_ARGUMENTS)) - NO_DRIFT.keys() - {"memory", "cpus"}))
def test_a_changed_option_is_drift(
    world: World, predicted: Predicted, run_module: Callable[..., dict[str, Any]], option: str
) -> None:
    """One changed option is shown as exactly that drift; the node is left, or would be made again for it alone."""
    assert option in TABLE, f"{option} is new: give it a case"
    if option == "pids_limit" and updates_pids(world):
        pytest.skip("this podman changes a pids limit in place, as test_limits_are_changed_in_place shows")
    case = TABLE[option](world)
    asked = {**values(world, "before"), "name": world.node, option.partition(".")[0]: case.after}
    left = predicted("kic_node", **world.params(asked))
    assert (left["changed"], left["actions"], left["drift"]) == (False, [], [case.drift(option)])
    if option == "network":
        # The address that is requested lies in the network that it leaves.
        asked["ip"] = asked["ip6"] = LEFT_OUT
    repaired = run_module("kic_node", check=True, recreate="on_drift", **world.params(asked))
    assert mended_fields(repaired) == [case.drift(option)["field"]]
    assert repaired["actions"][1:] == [f"create node {world.node}"]
    assert repaired["diff"]["before"] != repaired["diff"]["after"]
    assert repaired["drift"] == []


def test_what_is_left_out(world: World, predicted: Predicted) -> None:
    """An option that is left out again is drift where it has a default, and fits where a value would be chosen."""
    asked = {"name": world.node, "image": world.image}
    found = predicted("kic_node", **world.params(asked))
    wanted = []
    for option in TOP:
        case = TABLE[option](world)
        if option in LIMITS:
            wanted.append({**case.drift(option), "asked": None})
        elif option == "env":
            wanted.append({"field": "env.TOKEN", "asked": None, "found": "(hidden)"})
        elif case.without is not LEFT_OUT:
            text = world.node if case.without == "{name}" else case.without
            wanted.append({**case.drift(option), "asked": text})
    assert by_field(found["drift"]) == by_field(wanted)
    assert found["actions"] == []


@pytest.mark.parametrize(
    "option",
    [pytest.param(item, marks=[pytest.mark.full("one limit is quick")] if item != "memory" else []) for item in LIMITS],
)
def test_limits_are_changed_in_place(
    world: World, predicted: Predicted, unique: Callable[[str], str], option: str
) -> None:
    """A changed limit of a node that does not run holds from its next start on; where podman cannot, it is drift."""
    case, name = TABLE[option](world), unique("drift")
    common = {"name": name, "image": world.image, "volume": "none"}
    predicted("kic_node", **world.params({**common, option: case.before}))
    changed = predicted("kic_node", **world.params({**common, option: case.after}))
    if option == "pids_limit" and not updates_pids(world):
        assert (changed["actions"], changed["drift"]) == ([], [case.drift(option)])
        return
    assert changed["actions"] == [f"update node {name}: {case.in_place}, from its next start on"]
    assert changed["drift"] == []
    again = predicted("kic_node", **world.params({**common, option: case.after}))
    assert (again["changed"], again["drift"]) == (False, [])
    assert predicted("kic_node", name=name, state="absent")["actions"] == [f"remove node {name}"]


def test_all_options_at_once(
    world: World, predicted: Predicted, run_module: Callable[..., dict[str, Any]], unique: Callable[[str], str]
) -> None:
    """All drift together is repaired by one new container, which has what was requested and shows no drift."""
    name = unique("drift")
    # The addresses of the two networks are not the same, and a node of the world has the address and port of before.
    kept = {"network": world.network, "ip": world.hosts[1], "ip6": world.hosts6[1]}
    before = {**values(world, "before"), **kept, "name": name, "publish": [], "image": world.other_image}
    after: dict[str, Any] = {**values(world, "after"), **kept, "name": name, "image": world.image}
    after["publish"] = published(world, host_port=world.ports[1])
    assert run_module("kic_node", **world.params(before))["actions"] == [f"create node {name}"]
    identity = world.podman.out("container", "inspect", "--format", "{{.Id}}", name)
    changed = [option for option in TOP if option not in (*kept, "memory", "cpus")]
    if updates_pids(world):
        changed.remove("pids_limit")
    repaired = predicted("kic_node", recreate="on_drift", **world.params(after))
    assert mended_fields(repaired) == sorted([TABLE[option](world).drift(option)["field"] for option in changed])
    assert repaired["actions"][1:] == [f"create node {name}"]
    assert world.podman.out("container", "inspect", "--format", "{{.Id}}", name) != identity
    for recreate in ("never", "on_drift"):
        again = predicted("kic_node", recreate=recreate, **world.params(after))
        assert (again["changed"], again["drift"]) == (False, [])


def test_values_of_the_environment_are_hidden(
    world: World, run_module: Callable[..., dict[str, Any]], unique: Callable[[str], str]
) -> None:
    """The values of env are in no result, diff or label; what Ansible itself echoes is the task's own arguments."""
    name, secrets_seen = unique("drift"), ("hush-one", "hush-two")
    common = {"name": name, "image": world.image, "volume": "none"}
    for secret in secrets_seen:
        asked = world.params({**common, "env": {"TOKEN": secret}, "recreate": "on_drift"})
        for check in (True, False):
            result = run_module("kic_node", check=check, **asked)
            assert result["changed"]
            del result["invocation"]
            assert secret not in json.dumps(result)
    labels = world.podman.out("container", "inspect", "--format", "{{json .Config.Labels}}", name)
    info = run_module("kic_node_info", name=name)
    for secret in secrets_seen:
        assert secret not in labels
        assert secret not in json.dumps(info)
    assert info["nodes"][0]["env"] == ["TOKEN"]


def test_a_node_of_another_cluster_is_refused(world: World, predicted: Predicted) -> None:
    """A node that belongs to no cluster is not taken into one, nor removed for one."""
    for state in ("present", "absent"):
        params = world.params({**values(world, "before"), "name": world.node, "cluster": "kictest-other"})
        refused = predicted("kic_node", **{**params, "state": state})
        assert refused["diagnosis"]["id"] == "other_cluster"


def test_files_are_no_drift(world: World, predicted: Predicted) -> None:
    """Files that are requested later are no part of the comparison."""
    asked = {**values(world, "before"), "name": world.node, "files": [{"path": "/etc/new", "content": "new"}]}
    found = predicted("kic_node", recreate="on_drift", **world.params(asked))
    assert (found["changed"], found["drift"]) == (False, [])


def test_a_tag_that_means_another_image(world: World, predicted: Predicted, unique: Callable[[str], str]) -> None:
    """A node whose image's name means another image now shows it, though the name is the same."""
    name, tag = unique("drift"), f"localhost/kictest-drift-moved:{secrets.token_hex(3)}"
    world.podman.run("tag", world.image, tag)
    try:
        asked = world.params({"name": name, "image": tag, "volume": "none"})
        predicted("kic_node", **asked)
        found = world.image_shown(tag)
        world.podman.run("tag", world.other_image, tag)
        left = predicted("kic_node", **asked)
        assert left["drift"] == [{"field": "image", "asked": world.image_shown(tag), "found": found}]
    finally:
        world.podman.run("rm", "--force", name)
        world.podman.run("rmi", tag)
