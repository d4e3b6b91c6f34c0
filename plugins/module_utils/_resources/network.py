# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks: a bridge of our own for a cluster, on a subnet that nothing else on this machine uses."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Callable

from .._core import checks, labels
from .._core.checks import IPAddress, IPNetwork
from .._core.diagnosis import KicError, failure
from .._core.drift import differing, in_use, label_drift, refuse_foreign, refuse_removal, without_removed
from .._core.operations import Operation
from .._core.plan import Drift, Plan, Resource
from .._core.replaced import checked_name, probe_name
from .._core.subnet import DEFAULT_POOLS, first_free, overlapping, unique_local
from .._engine.base import Engine, EngineReader
from .._engine.model import Attached, Network, Range
from .._host import routes
from . import kept_network

_NAMED = 6
"""How many ranges a message names."""

NO_IPV6 = "none"
"""What ``subnet6`` takes to keep a network from having IPv6."""


@dataclass(frozen=True)
class NetworkSpec:
    """A network as it was requested. None means: choose."""

    name: str
    present: bool
    subnet: IPNetwork | None
    subnet6: IPNetwork | None
    ipv6: bool
    """False when the user wants none."""
    pools: tuple[IPNetwork, ...]
    prefix: int
    avoid: tuple[IPNetwork, ...]
    gateway: IPAddress | None
    mtu: int | None
    labels: Mapping[str, str]
    cluster: str | None
    replace: bool
    """Whether drift is repaired by making it again (``recreate: on_drift``)."""

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> NetworkSpec:
        """From a module's parameters; raises ``invalid_option`` with all problems before anything was looked at."""
        problems = checks.Problems()
        wants6 = params["subnet6"] != NO_IPV6
        given = cls(
            name=problems.take(checked_name, params["name"]),
            present=params["state"] == "present",
            subnet=problems.optional(checks.network, "subnet", params["subnet"], 4),
            subnet6=problems.optional(checks.network, "subnet6", params["subnet6"], 6) if wants6 else None,
            ipv6=wants6,
            pools=tuple(problems.take(checks.network, "pools", pool, 4) for pool in params["pools"]),
            prefix=params["prefix"],
            avoid=tuple(problems.take(checks.network, "avoid", item) for item in params["avoid"]),
            gateway=problems.optional(checks.address, "gateway", params["gateway"]),
            mtu=params["mtu"],
            labels=problems.take(checks.labels, "labels", params["labels"]),
            cluster=problems.optional(checks.name, "cluster", params["cluster"]),
            replace=params["recreate"] == "on_drift",
        )
        given._check(problems, subnet_given=params["subnet"] is not None)
        problems.finish()
        for asked in (given.subnet, given.subnet6):
            blocker = overlapping(asked, given.avoid) if asked is not None else None
            if blocker is not None:
                raise failure("subnet_overlap", subnet=asked, other=f"{blocker}, which the option avoid names")
        return given

    def _check(self, problems: checks.Problems, subnet_given: bool) -> None:
        """Add what does not fit together; an option that is wrong in itself has its own message, and none here."""
        if self.gateway is not None and not subnet_given:
            problems.add("gateway", "needs a subnet", "set subnet too, or leave gateway out")
        if self.gateway is not None and self.subnet is not None:
            problems.take(checks.address_in, "gateway", str(self.gateway), self.subnet)
        if not 8 <= self.prefix <= 29:
            problems.add("prefix", f"/{self.prefix} cannot hold nodes", "choose a prefix from 8 to 29")
        elif not subnet_given and all(self.pools) and all(pool.prefixlen > self.prefix for pool in self.pools):
            problems.add("pools", f"none of them can hold a /{self.prefix}", "name a larger pool")
        if self.subnet is not None and self.subnet.prefixlen > 29:
            problems.add("subnet", f"{self.subnet} cannot hold nodes", "choose a prefix length of 29 or less")
        # 68 is the least an IPv4 interface may have (RFC 791), 65535 the most an IP packet can.
        if self.mtu is not None and not 68 <= self.mtu <= 65535:
            problems.add("mtu", f"{self.mtu} is outside 68 to 65535", "leave it out for the default route's")


@dataclass(frozen=True)
class ObservedNetwork:
    """A network as it is among all of the engine."""

    network: Network | None
    """None where there is none of the name."""
    containers: tuple[Attached, ...] = ()
    networks: tuple[Network, ...] = ()
    """All of the engine, this one included."""

    def left(self, name: str) -> Network | None:
        """The probe of a run that was interrupted, for the network ``name``."""
        probe = probe_name(name)
        return next((item for item in self.networks if item.name == probe and labels.is_ours(item.labels)), None)


@dataclass(frozen=True)
class Surroundings:
    """What else has addresses: where a new subnet must not lie, each with a name for messages."""

    taken: tuple[tuple[IPNetwork, str], ...]
    mtu: int | None
    """MTU of the host's default route."""
    ipv6: bool
    guards: tuple[IPNetwork, ...] = ()
    """Ranges that the host routes nowhere; taken only where nothing else is free."""
    pools: tuple[IPNetwork, ...] = ()
    """Where the engine's administrator lets networks be taken from; () where nobody said."""

    @property
    def subnets(self) -> list[IPNetwork]:
        """The taken ranges alone."""
        return [subnet for subnet, _owner in self.taken]


NO_SURROUNDINGS = Surroundings((), None, False)
"""Of a network that is not created."""


def network_named(networks: Sequence[Network], name: str, engine: str) -> Network | None:
    """The network of this name; None where there is none. Raises ``network_ambiguous`` where docker's API made two."""
    found = [network for network in networks if network.name == name]
    if len(found) > 1:
        ids = " ".join(network.id for network in found)
        raise failure("network_ambiguous", engine=engine, count=len(found), name=name, ids=ids)
    return found[0] if found else None


def look_around(networks: Sequence[Network], name: str, hidden: Sequence[tuple[IPNetwork, str]]) -> Surroundings:
    """The surroundings of the network ``name``: other networks of the engine, those that are ``hidden``, the host's routes.

    A range of the network itself is left out, also where the host has a route to it, so that one that is about to be
    made again may have its old subnet. So is that of a probe, which is removed first.
    """
    mine = (name, probe_name(name))
    own = {item.subnet for network in networks if network.name in mine for item in network.ranges}
    taken = [
        (item.subnet, f"the network {network.name}")
        for network in networks
        if network.name not in mine
        for item in network.ranges
    ]
    taken += hidden
    known = {subnet for subnet, _owner in taken}
    for route in routes.routed():
        inside_own = any(route.version == item.version and route.subnet_of(item) for item in own)  # type: ignore[arg-type]
        if route not in known and not inside_own:
            taken.append((route, f"a route of this host to {route}"))
    return Surroundings(tuple(taken), routes.default_route_mtu(), routes.has_ipv6(), tuple(routes.guards()))


def administrators_pools(engine: EngineReader) -> tuple[IPNetwork, ...]:
    """The IPv4 pools of the engine's own configuration; what is no network there is for the engine to refuse."""
    found = []
    for text in engine.address_pools():
        try:
            pool = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        found += [pool] if pool.version == 4 else []
    return tuple(found)


def _pools(spec: NetworkSpec, around: Surroundings) -> tuple[tuple[IPNetwork, ...], int]:
    """The pools to choose from, and the length of what is taken from them. Those of the task come first; the
    administrator's stand in for ours, which only guess."""
    ours = tuple(str(pool) for pool in spec.pools) == DEFAULT_POOLS
    if not ours or not around.pools:
        return spec.pools, spec.prefix
    # One that is too small for what is usual is taken whole.
    return around.pools, max(spec.prefix, min(pool.prefixlen for pool in around.pools))


def plan_network(spec: NetworkSpec, observed: ObservedNetwork, around: Surroundings, engine: str) -> Plan:
    """What there is to do. ``around`` matters where a subnet is chosen or checked: for a create."""
    left, found = observed.left(spec.name), observed.network
    discard = [_discard(left)] if left is not None else []
    if not spec.present:
        plan = _plan_absent(spec, observed, engine)
    elif found is not None:
        plan = _plan_found(spec, found, observed.containers, around, engine)
    else:
        network, drift, why = _new_or_kept(spec, kept_network.kept(left, spec.name), around, engine)
        create = _operation("create", spec.name, partial(_create, network), why)
        operations = [*discard, create]
        if left is not None and not _in_the_way(left, network):
            # What was left goes only when the network is there, which it records.
            operations.reverse()
        return Plan(tuple(operations), {}, describe(network), drift)
    return replace(plan, operations=(*discard, *plan.operations))


def _plan_found(
    spec: NetworkSpec, found: Network, users: Sequence[Attached], around: Surroundings, engine: str
) -> Plan:
    refuse_foreign("network", spec.name, engine, found.labels, spec.cluster)
    drift = find_drift(spec, found)
    before = describe(found)
    if not drift or not spec.replace:
        return Plan((), before, before, drift)
    if users:
        raise in_use("network", spec.name, engine, [item.name for item in users])
    network = allocate(spec, around)
    probe = choose_probe(spec, network, found, around)
    keeper = choose_keeper(spec, network, found, around)
    return Plan(_replacement(found, network, drift, probe, keeper), before, describe(network))


def _new_or_kept(
    spec: NetworkSpec, old: Network | None, around: Surroundings, engine: str
) -> tuple[Network, tuple[Drift, ...], str]:
    """The network to create where there is none, how it differs, and why it is created. ``old`` is what an ended run had
    removed: it comes back, as it would be had that run never begun, or had it ended well."""
    if old is None:
        return allocate(spec, around), (), ""
    why = "an interrupted run had removed it"
    refuse_foreign("network", spec.name, engine, old.labels, spec.cluster)
    drift = find_drift(spec, old)
    # Others may have its addresses meanwhile.
    lost = any(overlapping(item.subnet, around.subnets) for item in old.ranges)
    if lost or (drift and spec.replace):
        return allocate(spec, around), (), why
    return old, drift, why


def _in_the_way(left: Network, network: Network) -> bool:
    """Whether the two cannot be there at once."""
    held = [item.subnet for item in left.ranges]
    return any(overlapping(item.subnet, held) for item in network.ranges)


def choose_keeper(spec: NetworkSpec, new: Network, old: Network, around: Surroundings) -> Network | None:
    """A network that records ``old`` and can be there next to it and to ``new``."""
    taken = [*around.subnets, *spec.avoid, *(item.subnet for network in (old, new) for item in network.ranges)]
    return kept_network.keeper(old, taken, around.guards)


def choose_probe(spec: NetworkSpec, new: Network, old: Network, around: Surroundings) -> Network | None:
    """A network with the options of ``new`` that can be there next to ``old``; None where no subnet is free for it.

    It has the subnets of the new one where the old one leaves them free, so that the engine's view of those counts too.
    """
    held = [item.subnet for item in old.ranges]
    taken = [*around.subnets, *spec.avoid, *held, *(item.subnet for item in new.ranges)]
    ranges = [item if overlapping(item.subnet, held) is None else _moved(spec, item, taken) for item in new.ranges]
    fitting = tuple(item for item in ranges if item is not None)
    return replace(new, name=probe_name(spec.name), ranges=fitting) if len(fitting) == len(ranges) else None


def _moved(spec: NetworkSpec, asked: Range, taken: Sequence[IPNetwork]) -> Range | None:
    """A range of the same size elsewhere."""
    if asked.subnet.version == 6:
        subnet: IPNetwork | None = unique_local(probe_name(spec.name), taken)
    else:
        subnet = first_free(spec.pools, asked.subnet.prefixlen, taken)
    if subnet is None:
        return None
    return Range(subnet, subnet.network_address + 1 if asked.gateway is not None else None)


def _plan_absent(spec: NetworkSpec, observed: ObservedNetwork, engine: str) -> Plan:
    found = observed.network
    if found is None:
        return Plan()
    refuse_removal("network", spec.name, engine, found.labels, spec.cluster)
    if observed.containers:
        raise in_use("network", spec.name, engine, [item.name for item in observed.containers])
    # It is nobody's to allocate; who replaces it meanwhile creates it later.
    remove = replace(_operation("remove", spec.name, partial(_remove, found.id)), exclusive=False)
    return Plan((remove,), describe(found), {})


def allocate(spec: NetworkSpec, around: Surroundings) -> Network:
    """The network to create: what was requested, checked, and the rest chosen."""
    if spec.subnet is not None:
        for other, owner in around.taken:
            if overlapping(spec.subnet, [other]):
                raise failure("subnet_overlap", subnet=spec.subnet, other=owner)
    taken = [*around.subnets, *spec.avoid]
    pools, prefix = _pools(spec, around)
    subnet = spec.subnet or first_free(pools, prefix, [*taken, *around.guards]) or first_free(pools, prefix, taken)
    if subnet is None:
        named = ", ".join(str(pool) for pool in pools)
        inside = _inside(pools, spec, around)
        raise failure("no_free_subnet", prefix=prefix, pools=named, count=len(taken), taken=inside)
    ranges = [Range(subnet, spec.gateway or subnet.network_address + 1)]
    if spec.subnet6 is not None:
        for other, owner in around.taken:
            if overlapping(spec.subnet6, [other]):
                raise failure("subnet_overlap", subnet=spec.subnet6, other=owner)
    if spec.subnet6 is not None or (spec.ipv6 and around.ipv6):
        subnet6 = spec.subnet6 or unique_local(spec.name, taken)
        ranges.append(Range(subnet6, subnet6.network_address + 1))
    return Network(
        id="",
        name=spec.name,
        driver="bridge",
        ranges=tuple(ranges),
        mtu=spec.mtu if spec.mtu is not None else around.mtu,
        labels={**spec.labels, **labels.ownership(spec.cluster)},
    )


def _inside(pools: Sequence[IPNetwork], spec: NetworkSpec, around: Surroundings) -> str:
    """What takes the pools, the largest first."""
    taken = [*around.taken, *((item, f"{item}, which the option avoid names") for item in spec.avoid)]
    inside = [(item, owner) for item, owner in taken if overlapping(item, pools) is not None]
    inside.sort(key=lambda found: found[0].prefixlen)
    names = [owner if str(item) in owner else f"{item} by {owner}" for item, owner in inside[:_NAMED]]
    return "; ".join(names + (["others"] if len(inside) > _NAMED else [])) or "nothing of them"


def find_drift(spec: NetworkSpec, found: Network) -> tuple[Drift, ...]:
    """What was requested by name and is otherwise. A value that was left out to be chosen fits as it is."""
    asked: dict[str, Any] = {"driver": "bridge", "mtu": spec.mtu}
    if spec.subnet is not None:
        asked["subnet"] = str(spec.subnet)
    if spec.gateway is not None:
        asked["gateway"] = str(spec.gateway)
    if spec.subnet6 is not None:
        asked["subnet6"] = str(spec.subnet6)
    drift = differing(asked, dict(describe(found), driver=found.driver))
    if not spec.ipv6 and found.range(6) is not None:
        drift += (Drift("subnet6", NO_IPV6, describe(found)["subnet6"]),)
    return drift + label_drift(spec.labels, found.labels)


def describe(network: Network) -> dict[str, Any]:
    """The fields that a diff shows and a task returns."""
    found = {"name": network.name, "mtu": network.mtu, "labels": dict(sorted(network.labels.items()))}
    for version, suffix in ((4, ""), (6, "6")):
        item = network.range(version)
        found["subnet" + suffix] = str(item.subnet) if item else None
        found["gateway" + suffix] = str(item.gateway) if item and item.gateway else None
    return found


class NetworkResource(Resource[ObservedNetwork, Surroundings]):
    """The network of a :class:`NetworkSpec` on an engine.

    :param removed: in check mode, nodes that earlier tasks of the run remove.
    """

    kind = "network"

    def __init__(self, spec: NetworkSpec, engine: Engine, removed: Collection[str] = ()) -> None:
        self.name = spec.name
        self.seam = engine
        self._spec = spec
        self._engine: EngineReader = engine
        self._removed = removed

    def observe(self) -> ObservedNetwork:
        networks = tuple(self._engine.networks())
        found = network_named(networks, self.name, self._engine.name)
        users = self._engine.attached_to_network(self.name) if found is not None else []
        return ObservedNetwork(found, without_removed(users, self._removed), networks)

    def exists(self, observed: ObservedNetwork | None) -> bool:
        return observed is not None and observed.network is not None

    def survey(self, observed: ObservedNetwork | None, refused: frozenset[Any] = frozenset()) -> Surroundings:
        spec, engine = self._spec, self._engine
        found = observed.network if observed is not None else None
        # Only a create needs to know where everything else lies.
        if not spec.present or (found is not None and not (spec.replace and find_drift(spec, found))):
            return NO_SURROUNDINGS
        engine.info  # noqa: B018  # refuses an engine whose networks cannot hold nodes
        around = look_around(observed.networks if observed is not None else (), self.name, engine.hidden_networks())
        return replace(around, pools=administrators_pools(engine))

    def plan(self, observed: ObservedNetwork | None, survey: Surroundings) -> Plan:
        return plan_network(self._spec, observed or ObservedNetwork(None), survey, self._engine.name)

    def describe(self, observed: ObservedNetwork | None, plan: Plan) -> dict[str, Any]:
        if not plan.after:
            # In check mode: what the run would remove.
            return {}
        found = observed.network if observed is not None else None
        if observed is None or found is None:
            # In check mode: what the run would make, but for the id that only the engine can give.
            return dict(plan.after, id=None, containers=[])
        fields = dict(plan.after) if plan.changed else describe(found)
        containers = sorted(item.name for item in observed.containers)
        return dict(fields, id=found.id, containers=containers)


def _operation(verb: str, name: str, run: Callable[[Engine], None], detail: str = "") -> Operation:
    return Operation(verb, "network", name, detail, exclusive=True, run=run)


def _create(network: Network, engine: Engine) -> None:
    engine.create_network(network)


def _remove(identity: str, engine: Engine) -> None:
    engine.remove_network(identity)


def _discard(left: Network) -> Operation:
    return _operation("discard", left.name, partial(_remove, left.id), "an interrupted run left it")


def _replacement(
    old: Network, new: Network, drift: Sequence[Drift], probe: Network | None, keeper: Network | None
) -> tuple[Operation, ...]:
    """The new network in the place of the old one; two of one name, or on one subnet, cannot be there at once."""
    name, why = old.name, "; ".join(str(item) for item in drift)
    inner = Operation("try", "network", name, exclusive=True, changes=False)
    operations = [
        replace(_operation("remove", name, partial(_remove, old.id), why), undo=partial(_restored, old)),
        _operation("create", name, partial(_create, new)),
    ]
    if keeper is not None:
        record = replace(inner, verb="record", run=partial(_record, name, keeper), undo=partial(_forgotten, name))
        operations.insert(0, record)
        operations.append(replace(inner, verb="forget", commits=True, run=partial(_remove_probe, name)))
    if probe is not None:
        operations.insert(0, replace(inner, run=partial(_try, name, probe)))
    return tuple(operations)


def _try(name: str, probe: Network, engine: Engine) -> None:
    """What the engine refuses of the new options, it refuses of the probe, while the old network is still there."""
    _record(name, probe, engine)
    _remove_probe(name, engine)


def _record(name: str, temporary: Network, engine: Engine) -> None:
    """Create what is there only during the replacement."""
    try:
        engine.create_network(temporary)
    except Exception as error:
        # The first failure is the one to report.
        _forgotten(name, engine, None, error)
        if not isinstance(error, KicError):
            raise
        raise _with(error, f"The network {name} was left as it is.") from error


def _remove_probe(name: str, engine: Engine) -> None:
    left = ObservedNetwork(None, networks=tuple(engine.networks())).left(name)
    if left is not None:
        engine.remove_network(left.id)


def _forgotten(name: str, engine: Engine, _result: None, error: Exception) -> Exception:
    with suppress(Exception):
        _remove_probe(name, engine)
    return error


def _restored(old: Network, engine: Engine, _result: None, error: Exception) -> Exception:
    """Create the old network again from what the engine had recorded of it; ``error``, with what became of it."""
    try:
        now = network_named(engine.networks(), old.name, engine.name)
        if now is not None and now != old and labels.is_ours(now.labels):
            # The new one, of which the engine reported a failure all the same.
            engine.remove_network(now.id)
        if now != old:
            engine.create_network(old)
    except Exception as problem:
        if not isinstance(error, KicError):
            raise error from problem
        why = problem.diagnosis.cause if isinstance(problem, KicError) else f"{problem}."
        fields = ", ".join(f"{key}: {value}" for key, value in describe(old).items() if value and key != "labels")
        told = f"The old network {old.name} could not be restored: {why}"
        raise _with(error, told, f"; to make the old network again, run oci_network with {fields}") from error
    return _with(error, f"The old network {old.name} was restored.") if isinstance(error, KicError) else error


def _with(error: KicError, told: str, fix: str = "") -> KicError:
    """``error``, which stays the one that is reported, with what became of the network."""
    found = error.diagnosis
    return KicError(replace(found, cause=f"{found.cause} {told}", fix=found.fix + fix))
