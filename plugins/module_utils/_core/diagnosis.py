# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why something failed and what to type next: one catalogue of causes, one exception that carries them.

An entry's ``cause`` and ``fix`` are :meth:`str.format` templates; the fields they name are given by the place that
detects the condition. What no entry describes is reported as ``engine_failed`` with the engine's whole answer:
an unknown failure is shown, never guessed at. ``make docs`` writes docs/troubleshooting.md from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """A condition we know: templates of its cause and of a fix that can be typed."""

    cause: str
    fix: str
    known: str = "a check of this collection, from arguments and structured answers"
    """Where it is known from: a program's release and words, or threads of users."""
    severity: str = "error"
    """``error`` ends the task, ``warning`` does not, ``lost`` ends it where something cannot be got back."""


@dataclass(frozen=True)
class Diagnosis:
    """What a failed task returns as ``diagnosis``."""

    id: str
    cause: str
    fix: str
    output: str = ""

    def as_dict(self) -> dict[str, str]:
        """The four documented keys."""
        return {"id": self.id, "cause": self.cause, "fix": self.fix, "output": self.output}


class KicError(Exception):
    """A failure with its cause. ``diagnosis`` holds it; ``str()`` is the message for a person.

    ``done`` is what was changed before it failed, as the result of a task that succeeds says it.
    """

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.cause)
        self.diagnosis = diagnosis
        self.done: tuple[str, ...] = ()

    def __str__(self) -> str:
        found = self.diagnosis
        text = found.cause
        if found.fix:
            text += f" Fix: {found.fix}"
        if found.output:
            text += f"\n{found.output}"
        return text


def keep_done(error: Exception, done: tuple[str, ...]) -> None:
    """Have ``error`` carry what was done before it; each exception can, as a :class:`KicError` does."""
    vars(error)["done"] = done + getattr(error, "done", ())


def link(condition: str) -> str:
    """Where the condition is described, below the root of the collection's repository."""
    return f"docs/troubleshooting.md#{condition}"


def failure(condition: str, *, output: str = "", **fields: Any) -> KicError:
    """The exception for the catalogue's ``condition``, its templates filled from ``fields``.

    Raises :class:`KeyError` for an id that the catalogue does not hold: that is a defect of ours.
    """
    entry = CATALOGUE[condition]
    return KicError(Diagnosis(condition, entry.cause.format(**fields), entry.fix.format(**fields), output.strip()))


CATALOGUE: dict[str, Entry] = {
    # What the user wrote.
    "invalid_option": Entry("{option}: {problem}.", "{fix}"),
    # The engine as a whole.
    "engine_is_another": Entry(
        "The program {engine} of this machine leads to {other}: {why}.",
        "set engine: {other}, or leave it at auto{more}",
        known="podman-docker: podman's keys in the answer of docker info; podman's service: the components of docker version",
    ),
    "cluster_elsewhere": Entry(
        "The cluster {cluster} was created on {engine}, which does not respond now: {problem} On {other} it would be created a"
        " second time.",
        "{fix}; or, to create it on {other} as well, name that engine: engine: {other} (for a role: kic_engine={other})",
        known="records of this user; dockerd stopped by SIGSTOP, or not running",
    ),
    "engine_remote": Entry(
        "{engine} is set up to talk to {endpoint}; nodes are made on the machine that the task runs on, whose kernel is"
        " read for it.",
        "run the task on that machine, or take DOCKER_HOST, CONTAINER_HOST, CONTAINER_CONNECTION or the"
        " context out of its environment",
        known="podman info (serviceIsRemote), DOCKER_HOST, docker context inspect",
    ),
    "engine_elsewhere": Entry(
        "The daemon of {engine} at {endpoint} runs in another PID namespace than this task, so what its containers really"
        " have cannot be read here: {why}.",
        "run the task on the machine of the daemon, for example by ssh; or start the container in which Ansible runs with"
        " --pid=host",
        known="SO_PEERCRED of the socket, State.Pid of inspect and /proc/PID/cgroup; docker.sock in a container, kind #1880",
    ),
    "processes_hidden": Entry(
        "/proc shows this user only their own processes (hidepid), so what the containers of {engine} really have cannot be"
        " read.",
        "run the task with become: true; or as root: mount -o remount,hidepid=0 /proc",
        known="proc(5), mount option hidepid; no /proc/1/cgroup",
    ),
    "engine_not_installed": Entry(
        "{engine} is not installed on this machine: no program of that name is on PATH.",
        "install it, on Debian and Ubuntu: apt-get install {package}; or run the role nodeforge.kic.kic_host",
    ),
    "engine_too_old": Entry(
        "{engine} {version} is older than {minimum}, the oldest release this collection supports.",
        "upgrade {engine} to {minimum} or later",
    ),
    "api_mismatch": Entry(
        "The client and the daemon of {engine} have no version of their API in common: {versions}.",
        "put a client of the daemon's release first in PATH (docker version shows both), for example with the repository of"
        " docker: apt-get install docker-ce-cli; where DOCKER_API_VERSION is set, take it out of the task's environment",
        known="docker 29, whose first releases refuse the clients of before docker 25; DOCKER_API_VERSION=1.39",
    ),
    "engine_not_running": Entry(
        "{engine} is installed, but nothing answers at {endpoint}: its daemon does not run there.",
        "start it, with systemd: systemctl enable --now {engine}; without: service {engine} start",
        known="docker 20.10 and 28.2, words of the client",
    ),
    "engine_context_missing": Entry(
        "The client of docker is set to use the context {context}, which does not exist for this user.",
        "see those that exist: docker context ls; use the machine's own daemon: docker context use default; where DOCKER_CONTEXT"
        " is set, take it out of the task's environment",
        known="docker 28.2: context not found; currentContext of Docker Desktop that stays after it, getsentry/sentry #76334",
    ),
    "engine_confined": Entry(
        "The docker of this machine is a snap, which sees only files below home directories, and not {path}.",
        "install docker as a package, on Debian and Ubuntu: snap remove docker; apt-get install docker.io; or keep the file, and what"
        " a task mounts, below a home directory: TMPDIR=$HOME/tmp",
        known="docker of snapcraft: open /tmp/…: no such file or directory; kind #2535, #3377, minikube #10772",
    ),
    "engine_endpoint_unusable": Entry(
        "DOCKER_HOST is {endpoint}, which the client of docker reads as the name of a host, not as a path.",
        "write it with its scheme: DOCKER_HOST=unix://{path}; or take it out of the task's environment",
        known="docker 28.2: tcp://localhost:2375/var/run/docker.sock",
    ),
    "engine_configuration_unreadable": Entry(
        "{engine} cannot read its configuration {path}: {problem}.",
        "correct that line; what the keys mean: man containers.conf, man containers-storage.conf, man containers-registries.conf",
        known='podman 4.3.1: toml: line 2 (last key "containers.pids_limit"): incompatible types',
    ),
    "engine_store_differs": Entry(
        "The store of podman was created with another configuration than the one that it has now: {problem}.",
        "bring back what storage.conf and containers.conf said then (driver, graphroot); or remove all containers, images and"
        " volumes of the store: podman system reset",
        known="podman 4 and 5: database configuration mismatch; containers/podman #7396, #24738",
    ),
    "engine_store_unfit": Entry(
        "The storage driver of podman does not work on the file system of its store: {problem}.",
        "put the store on a disk of this machine: graphroot, for an ordinary user rootless_storage_path, in storage.conf; on a kernel"
        " before 5.11 install fuse-overlayfs as well",
        known="podman 2 to 5: 'overlay' is not supported over nfs; home directories on NFS, containers/podman #8521",
    ),
    "engine_plugin_refuses": Entry(
        "The plugin {plugin} of docker does not authorize this: {problem}.",
        "ask who set it up: authorization-plugins in /etc/docker/daemon.json; a node has privileges, mounts and devices, unless"
        " privileged, mounts and devices say otherwise",
        known="docker 20.10 to 29: authorization denied by plugin; opa-docker-authz, Bitbucket Pipelines",
    ),
    "engine_program_missing": Entry(
        "podman needs the program {program} for its networks, and does not find it.",
        "install it, on Debian and Ubuntu: apt-get install netavark aardvark-dns passt slirp4netns; or run the role"
        " nodeforge.kic.kic_host; where it lies elsewhere, helper_binaries_dir in containers.conf names the directory",
        known="podman 4 and 5: could not find netavark, pasta, slirp4netns",
    ),
    "packet_filter_reset": Entry(
        "The rules that docker created in the packet filter do not exist any more: another program, such as firewalld or a"
        " script with iptables -F, has replaced them.",
        "let docker create them again: systemctl restart docker (without systemd: service docker restart); without live-restore its"
        " containers stop",
        known="docker 20.10 to 28: iptables: No chain/target/match by that name; systemctl restart firewalld",
    ),
    "socket_denied": Entry(
        "this user may not use {engine}: {endpoint} refuses them.",
        "run the task with become: true, or let the user in and log in again: usermod --append --groups {engine} USER",
        known="docker 20.10 and 28.2, words of the client",
    ),
    "privileged_refused": Entry(
        "{engine} cannot make a privileged container here: this machine lacks a capability that it asks for.",
        "leave privileged at auto: the node then gets each capability that there is by its name",
        known="runc 1.1 below docker 20.10: unable to apply caps: operation not permitted",
    ),
    "engine_refused": Entry("{engine} does not answer as this user: {reason}.", "{fix}"),
    "network_backend_unsupported": Entry(
        "podman's network backend is {backend}; only netavark gives containers fixed addresses and networks with"
        " labels that survive, and CNI is gone from podman 5.",
        "install netavark and aardvark-dns, then, as the user whose podman it is, and while it has no containers, images or"
        " networks that you need: podman system reset",
        known="podman info (networkBackend); podman 4.3 keeps what it chose at its first start (defaultNetworkBackend in its"
        " store)",
    ),
    "packet_filter_missing": Entry(
        "{engine} needs the program {program} to connect containers to a network, and this machine does not have it.",
        "install it, on Debian and Ubuntu: apt-get install iptables nftables; or run the role nodeforge.kic.kic_host",
        known="netavark 1.4 (Debian 12) without iptables: No such file or directory (os error 2)",
    ),
    # The engine works, but not for long or not well: what oci_engine_info reports as improvements.
    "sub_ids_missing": Entry(
        "the user {user} has {found} subordinate ids, but the files of an image belong to up to {asked} users.",
        "run the role nodeforge.kic.kic_host with kic_host_user: {user}; or as root: usermod --add-subuids 100000-165535"
        " --add-subgids 100000-165535 {user} (a range that nobody else has), then as the user: podman system migrate",
        known="/etc/subuid and /etc/subgid (subuid(5))",
        severity="warning",
    ),
    "disk_low": Entry(
        "only {free} are left at {path}, where {engine} keeps images, volumes and containers.",
        "see what takes it: {engine} system df; df -h {path}",
        known="statvfs(3)",
        severity="warning",
    ),
    "inodes_low": Entry(
        "only {free} inodes are left at {path}, where {engine} keeps images, volumes and containers.",
        "see what takes them: df -i {path}; {engine} system df",
        known="statvfs(3)",
        severity="warning",
    ),
    "delegation_incomplete": Entry(
        "the cgroup controllers {controllers} are not delegated to the user {user}; limits and kubelet need them.",
        "ansible localhost --become -m nodeforge.kic.cgroup_delegation -a user={user}",
        known="podman info (cgroupControllers); minikube #14871, #18692, kind #2916",
        severity="warning",
    ),
    "storage_unfit": Entry(
        "{engine} uses the storage driver {driver}, which makes a whole copy of the image for each node.",
        "choose overlay: driver in storage.conf of podman, storage-driver in daemon.json of docker; containers and"
        " images of the old driver are not seen any more",
        known="podman and docker info (driver of the store)",
        severity="warning",
    ),
    "no_linger": Entry(
        "the processes of the user {user} are ended when they log out, and their nodes with them.",
        "loginctl enable-linger {user}",
        known="/var/lib/systemd/linger (loginctl(1)); kind #2272",
        severity="warning",
    ),
    "boot_unmanaged": Entry(
        "The cluster {cluster} does not start when this machine boots: {why}.",
        "run the role nodeforge.kic.kic_cluster again after a boot, or set kic_cluster_boot: false",
        known="sd_booted(3); podman has no daemon that starts containers; kind #2272, minikube #9292",
        severity="warning",
    ),
    "boot_needs_login": Entry(
        "The cluster {cluster} starts after a boot of this machine only when {user} logs in: their systemd does not run"
        " without a session.",
        "run the role nodeforge.kic.kic_host with kic_host_user: {user}; or as root: loginctl enable-linger {user}",
        known="/var/lib/systemd/linger (loginctl(1))",
        severity="warning",
    ),
    "boot_engine_disabled": Entry(
        "The cluster {cluster} starts after a boot of this machine only when somebody starts {engine}: {unit} is not enabled.",
        "run the role nodeforge.kic.kic_host; or as root: systemctl enable {unit}",
        known="the links of systemctl(1), enable",
        severity="warning",
    ),
    "forwarding_off": Entry(
        "The kernel of this machine forwards no packets ({setting} is 0): containers of {engine} and pods do not reach the"
        " outside.",
        "{where}: sysctl -w {setting}=1",
        known="/proc/sys/net/ipv4/ip_forward, sysctl.d(5); engines set it when they start, and a file of a hardening guide is"
        " applied later: moby #47966",
        severity="warning",
    ),
    "bridge_filtered": Entry(
        "The packet filter of this machine drops what it does not know (policy DROP of FORWARD, as docker sets it), also between"
        " two containers on one network ({setting} is 1): pods of two nodes on podman do not reach each other.",
        "accept what stays on a bridge: iptables -I FORWARD -m physdev --physdev-is-bridged -j ACCEPT (docker's networks with"
        " icc=false are then no longer closed), or use one engine: kic_engine: docker",
        known="/proc/sys/net/bridge, iptables -S FORWARD; dockerd 20.10 next to podman 4.3: podman #24486",
        severity="warning",
    ),
    "engine_failed": Entry(
        "{engine} failed: {action} (exit code {rc}).",
        "read the engine's words below",
        known="whatever no other entry describes; the engine's whole answer is shown",
    ),
    "timed_out": Entry(
        "{action} did not end within {seconds:g} seconds: {why}.",
        "{fix}",
        known="the limit that each kind of call has; dockerd and podman stopped by SIGSTOP",
    ),
    # What is there already.
    "name_taken": Entry(
        "a {kind} named {name} exists and was not made by nodeforge.kic, so it is left alone.",
        "choose another name, or, if it can go: {engine} {kind} rm {name}",
        known="labels; podman 4.3 and docker 20.10, words of the create; minikube #15697",
    ),
    "not_ours": Entry(
        "the {kind} {name} was not made by nodeforge.kic (it lacks the label {label}), so it is not removed.",
        "if it is really to go: {engine} {kind} rm {name}",
    ),
    "other_cluster": Entry(
        "the {kind} {name} belongs to the cluster {owner}, not to {cluster}.",
        "choose another name, or remove the cluster {owner} first",
    ),
    "in_use": Entry(
        "the {kind} {name} is used by the containers {containers}.",
        "remove them first: {engine} rm --force {containers}",
    ),
    "vanished": Entry(
        "the {kind} {name} is gone again right after it was made.", "look for another run, and run again"
    ),
    # Addresses.
    "subnet_overlap": Entry(
        "the subnet {subnet} overlaps {other}.",
        "leave subnet out to have a free one chosen, or name another",
        known="engine networks, the files of podman's next to docker, and /proc/net/fib_trie; podman 4.3, 5.4 and docker 20.10,"
        " words of the create; minikube #11534",
    ),
    "network_ambiguous": Entry(
        "{engine} has {count} networks named {name} ({ids}), so no container can be attached to one of them by its name.",
        "see which of them is in use: {engine} network inspect {ids}; remove the others: {engine} network rm ID",
        known="docker's API, which takes a name twice; kind #1596",
    ),
    "no_free_subnet": Entry(
        "No free /{prefix} is left in {pools}: {count} ranges are taken by networks of the engine, routes of the host"
        " or the ranges to avoid; in these pools: {taken}.",
        "name another pool with the option pools, or a larger prefix number; see the routes: ip route show table all",
    ),
    "address_taken": Entry(
        "the address {ip} on network {network} is taken by {owner}.",
        "leave ip out, or name another",
        known="addresses of containers; podman 4.3 and docker 20.10, words of the start; minikube #13729",
    ),
    "no_free_address": Entry("the network {network} ({subnet}) has no free address left.", "use a larger subnet"),
    "port_taken": Entry(
        "the port {port} of {address} is in use on this machine.",
        "publish another port, or end its user: ss -ltnp",
        known="bind(2); podman 4.3 and docker 20.10, words of the start",
    ),
    "port_privileged": Entry(
        "the port {port} is below {lowest}, the lowest that an ordinary user of this machine may publish.",
        "publish port {lowest} or above, or as root: sysctl -w net.ipv4.ip_unprivileged_port_start={port}",
        known="/proc/sys/net/ipv4/ip_unprivileged_port_start; k3d #1317",
    ),
    "address_not_local": Entry(
        "No port can be published at {address}: no network interface of this machine has that address.",
        "publish it at an address of this machine (they are listed by: ip -brief address), or at all of them with 0.0.0.0; or"
        " assign the address first: ip address add {address} dev INTERFACE",
        known="bind(2), EADDRNOTAVAIL; podman 4.3, docker 20.10 and 28, output of the start",
    ),
    "ipv6_off": Entry(
        "No port can be published at {address}: IPv6 is switched off on this machine.",
        "publish it at an IPv4 address; or switch IPv6 on, as root: sysctl -w net.ipv6.conf.all.disable_ipv6=0"
        " net.ipv6.conf.lo.disable_ipv6=0 (with ipv6.disable=1 on the kernel's command line: take that out and restart)",
        known="bind(2) of ::1, EADDRNOTAVAIL and EAFNOSUPPORT; /proc/sys/net/ipv6/conf/all/disable_ipv6",
    ),
    "no_free_port": Entry("no free port was found on {address} of this machine.", "name one with host_port"),
    "name_conflict": Entry(
        "a container named {name} was made by another run meanwhile.",
        "run again: it goes on with what is there",
        known="podman 4.3 and docker 20.10, words of the create",
    ),
    "made_meanwhile": Entry(
        "Another run, maybe of another user, created the {kind} {name} at the same moment, twice in a row.",
        "run again: it continues with what is there; start two runs for one name one after the other",
        known="two users of one docker, each with a lock of their own",
    ),
    # What must be there.
    "network_missing": Entry(
        "the network {name} does not exist.", "make it first with nodeforge.kic.oci_network, or name another"
    ),
    "volume_missing": Entry(
        "the volume {name} does not exist.", "make it first with nodeforge.kic.oci_volume, or name another"
    ),
    "image_missing": Entry(
        "the image {name} is not in {engine}'s store.",
        "load it with nodeforge.kic.oci_image, or run the role nodeforge.kic.kic_image",
    ),
    # Images and where they come from.
    "image_differs": Entry(
        "the image {name} in {engine}'s store does not have the digest {digest}, it has {found}.",
        "leave digest out, or let it be pulled with source: registry",
    ),
    "image_platform": Entry(
        "the image {name} is made for {found}, this machine is {machine}.",
        "name an image that is made for {machine}",
        known="image inspect (Architecture)",
    ),
    "image_platform_missing": Entry(
        "The registry has the image {name} for other architectures, and not for that of this machine, {machine}.",
        "name an image that is made for {machine}; those that it has: {engine} manifest inspect {name}",
        known="docker 20.10 to 28: no matching manifest; podman 4 and 5: no image found in manifest list, image index",
    ),
    "image_claims": Entry(
        "The image {name} carries labels of the collection's own objects ({labels}), so each container created from it would look"
        " like a node.",
        "use the image that it was made from; or, where it was committed from a node on purpose, make one without labels:"
        " {engine} create --name kic-flat {name}; {engine} export kic-flat | {engine} import --change 'CMD [\"/sbin/init\"]' -"
        " localhost/flat:1; {engine} rm kic-flat",
        known="image inspect (Labels); commit of a node",
    ),
    "image_hides_cgroups": Entry(
        "the image {name} declares a volume at {path}, which hides the control groups from its systemd, and docker cannot leave"
        " it out.",
        "make one without: docker create --name kic-flat {name} && docker export kic-flat | docker import --change"
        " 'CMD [\"/sbin/init\"]' - localhost/flat:1 && docker rm kic-flat; or use podman, which can",
        known="image inspect (Volumes); images for Molecule with VOLUME /sys/fs/cgroup",
    ),
    "image_unknown": Entry(
        "the registry has no image {name}.",
        "correct the name, tag or digest; the tags it has: {engine} search --list-tags {repository}",
        known="podman 4.3, docker 20.10 and docker-registry 2.8, words of the pull",
    ),
    "image_not_loaded": Entry(
        "the node {node} did not take the image {name}.",
        "read the output of its containerd below; see its log: {engine} exec {node} journalctl --unit containerd --lines 50",
    ),
    "node_platform": Entry(
        "the image {name} is made for {found}, and the node {node} is {machine}.",
        "name an image that is made for {machine}, or nodes that are {found} (nodes)",
        known="image inspect (Architecture), the configuration in an archive, uname -m in the node",
    ),
    "node_disk_full": Entry(
        "the file system of the node {node} has no room for the image {name}.",
        "see what takes it: {engine} exec {node} df -h /var; remove images that no pod uses: nodeforge.kic.kic_node_image with"
        " state: absent; a node's /var is on the disk of the engine: {engine} system df",
        known="ENOSPC in the output of tar and of containerd's client in the node",
    ),
    "containerd_not_answering": Entry(
        "the containerd of the node {node} does not answer, so its images are not known.",
        "see why: {engine} exec {node} systemctl status containerd; {engine} exec {node} journalctl --unit containerd",
    ),
    "cluster_without_nodes": Entry(
        "{engine} has no node of the cluster {cluster}.",
        "create it first with the role nodeforge.kic.kic_cluster, or name another cluster",
    ),
    "archive_missing": Entry(
        "there is no archive {path} on this machine.",
        "copy it there first, for example with ansible.builtin.copy, or name another",
    ),
    "archive_unusable": Entry(
        "the archive {path} cannot be used: {reason}.",
        "make it again: {engine} save --format oci-archive --output {path} {name}",
    ),
    "archive_overwrites": Entry(
        "The archive {path} would move the names {names}, under which {engine} has other images, though only {name} was"
        " requested.",
        "if that is wanted: {engine} load --input {path}; else make an archive of that image alone: {engine} save --output"
        " ARCHIVE {name}",
        known="the names in the archive, and the store; load takes all of them",
    ),
    "registry_refused": Entry(
        "the registry does not let this user have {name}; many registries also say so where no such image exists.",
        "correct the name, or log in first: {engine} login {registry}",
        known="podman 4.3, docker 20.10 and docker-registry 2.8, words of the pull",
    ),
    "registry_limited": Entry(
        "The registry of {name} gives no more images for now: its limit of pulls is reached.",
        "log in, which raises the limit: {engine} login {registry}; or wait; or name an image of another registry; or bring the"
        " image as an archive",
        known="Docker Hub: toomanyrequests, HTTP 429",
    ),
    "registry_failing": Entry(
        "The registry of {name} answers with an error of its own: {problem}.",
        "run it again later; for Docker Hub see https://www.dockerstatus.com; or bring the image as an archive",
        known="docker 20.10 to 29 and podman 4: received unexpected HTTP status, unexpected status code 5xx",
    ),
    "credential_helper_unusable": Entry(
        "The client of {engine} asks the credential helper {program} for the password of a registry, and it does not answer:"
        " {problem}.",
        "install it; or take the lines credsStore and credHelpers that name it out of the user's file ~/.docker/config.json (for"
        " podman also auth.json and registries.conf), then log in: {engine} login {registry}",
        known="docker-credential-helpers, words of docker 20.10 to 28 and podman 4; Docker Desktop's config.json on another machine",
    ),
    "image_refused_by_policy": Entry(
        "The configuration of this machine forbids {engine} to pull {name}: {problem}.",
        "see the rules: podman image trust show; grep -rn blocked /etc/containers/registries.conf"
        " /etc/containers/registries.conf.d; name an image of a registry that they allow, or ask who wrote them",
        known="podman 3 to 5: is rejected by policy, is blocked in registries.conf; policy.json(5)",
    ),
    "image_policy_unusable": Entry(
        "podman pulls no image, as it finds no usable policy for images: {problem}.",
        "create /etc/containers/policy.json with the package that brings it, on Debian and Ubuntu: apt-get install --reinstall"
        " golang-github-containers-common; on Fedora: dnf reinstall containers-common",
        known="podman 3 to 5: open /etc/containers/policy.json, Default policy is missing; policy.json(5)",
    ),
    "image_unsigned": Entry(
        "DOCKER_CONTENT_TRUST is set, and {name} has no signature.",
        "take DOCKER_CONTENT_TRUST out of the task's environment, or name a signed image",
        known="docker 20.10 to 28: remote trust data does not exist",
    ),
    "registry_unreachable": Entry(
        "the registry of {name} cannot be reached within {seconds:g} seconds.",
        "see the words below; look: curl --head https://{registry}/v2/; or bring the image as an archive",
        known="podman 4.3, docker 20.10, Go's net, words of the pull",
    ),
    "pull_interrupted": Entry(
        "the registry ended the transfer of {name} before it was through.",
        "run it again; where it stays so, see whether the registry is well: curl --head https://{registry}/v2/",
        known="podman 4.3 and docker 20.10, Go's io, words of the pull",
    ),
    "registry_untrusted": Entry(
        "the registry of {name} shows a certificate that this machine does not trust, or none.",
        "put its authority's certificate at /etc/containers/certs.d/{registry}/ca.crt, or list it as insecure in"
        " /etc/containers/registries.conf",
        known="podman 4.3, docker 20.10, Go's crypto/x509, words of the pull",
    ),
    "disk_full": Entry(
        "the disk below the engine's storage is full.",
        "free space or inodes there: {engine} system df; df -h; df -i",
        known="ENOSPC in the words of podman 4.3 and docker 20.10; minikube RSRC_DOCKER_STORAGE",
    ),
    "user_namespaces": Entry(
        "The kernel gives {user} no further user namespace, which rootless containers are made of: {setting} is {value}.",
        "see its value: sysctl {setting}; as root: sysctl -w user.max_user_namespaces=65536 (and where there is one:"
        " kernel.unprivileged_userns_clone=1); take the line that sets it out of /etc/sysctl.conf and /etc/sysctl.d",
        known="clone(2) and unshare(2): ENOSPC and EPERM; podman 4.3: cannot clone: No space left on device; hardening roles",
    ),
    "engine_locks": Entry(
        "podman has no lock left for another container, pod or volume: num_locks in containers.conf is {count}.",
        "see how many there are: podman ps -aq | wc -l; podman volume ls -q | wc -l; remove volumes that no container uses,"
        " with their data: podman volume prune; or raise num_locks in containers.conf, then: podman system renumber",
        known="podman 4.3: allocation failed; exceeded num_locks; anonymous volumes that stay",
    ),
    "kernel_limit": Entry(
        "The kernel has no room for {path}: a limit is reached, the disk is not full.",
        "for control groups: cat /sys/fs/cgroup/cgroup.max.descendants; for inotify, as root: sysctl -w"
        " fs.inotify.max_user_watches=524288; what runs: {engine} ps",
        known="ENOSPC of cgroup v1 and v2, inotify(7)",
    ),
    "lock_timeout": Entry(
        "another run holds the lock {path} for more than {seconds:g} seconds.",
        "wait for it to end, or find it: fuser -v {path}",
    ),
    "unsafe_directory": Entry(
        "the directory {path} can be written by others than its user, so no lock in it can be trusted.",
        "chmod 0700 {path}; chown {user} {path}",
    ),
    # What the machine itself refuses, wherever it is asked.
    "file_system_full": Entry(
        "{path} cannot be written: its file system has no space or no inodes left ({name}).",
        "free some: df -h {directory}; df -i {directory}; a quota is shown by: quota -s",
        known="errno of write(2), mkdir(2) and open(2)",
    ),
    "file_system_read_only": Entry(
        "{path} cannot be written: its file system is read-only ({name}).",
        "see which it is and why: findmnt --target {directory}; dmesg | tail; then: mount -o remount,rw MOUNTPOINT",
        known="errno of open(2), mkdir(2) and rename(2)",
    ),
    "permission_denied": Entry(
        "The user {user} may not use {path}: {closed} belongs to {owner} and has the mode {mode}.",
        "{fix}",
        known="errno of open(2) and mkdir(2), stat(2); dot directories of root after sudo",
    ),
    "access_refused": Entry(
        "The user {user} may not use {path}, though its mode allows it: {problem}.",
        "see what else protects it: lsattr -d {path}; findmnt --target {path}; dmesg | grep -i -e denied -e apparmor",
        known="errno of system calls; immutable files, security modules, mounts of other users",
    ),
    "system_refused": Entry(
        "{path} cannot be used: {problem}.",
        "see what it is: stat {path}; the machine's own messages: dmesg | tail; the call is at {place}",
        known="errno of system calls",
    ),
    "text_unreadable": Entry(
        "A file or an answer that was to be text is not: {problem}.",
        "find it by the calls below, and write it as UTF-8; the read is at {place}",
        known="Python's decoder",
    ),
    "user_unlisted": Entry(
        "The task runs with the uid {uid}, which has no entry in passwd and so neither a name nor a home directory.",
        "run the task as a user that getent passwd lists, or add one: useradd --create-home --uid {uid} NAME",
        known="getpwuid(3); containers that start with a number as their user",
    ),
    "memory_exhausted": Entry(
        "The machine has no memory left for the task, which stopped at {place}.",
        "see what takes it: free -h; ps axo rss,comm --sort -rss | head",
    ),
    "program_missing": Entry(
        "The program {program} is not on PATH of the user who runs the task.",
        "install it, or run the role nodeforge.kic.kic_host; where it is: type -a {program}",
    ),
    "internal_error": Entry(
        "The task stopped on an error that the collection does not know: {problem}, at {place}.",
        "run again; where it stays, it is a defect of the collection: report it with these lines",
        known="whatever no other entry describes",
    ),
    # Limits of the machine, and what became of a node.
    "limit_beyond": Entry(
        "{option}: {asked} is more than the {have} of this machine.", "set {option} to {most} or less"
    ),
    "ulimit_too_high": Entry(
        "ulimits: {name} {asked} is above {most}, the most that this machine gives to a process.",
        "set it to {most} or less, or leave it out to get the most there is",
    ),
    "runtime_unfit": Entry(
        "{engine}'s runtime is crun, which cannot run a node on cgroup version 1 and hybrid hosts, and runc is not"
        " installed.",
        "install runc, on Debian and Ubuntu: apt-get install runc; or run the role nodeforge.kic.kic_host",
        known="info of the engine; crun 1.8 on hybrid hosts",
    ),
    "runtime_too_old": Entry(
        "The OCI runtime of {engine} does not know a namespace that the daemon gives each container ({namespace}): it is older than"
        " the daemon needs.",
        "upgrade it, runc to 1.2 or later (docker's package containerd.io brings one: apt-get install containerd.io), then type:"
        " systemctl restart {engine}",
        known="docker 29 with runc 1.1 of Debian 12",
    ),
    "runtime_missing": Entry(
        "{engine} knows no runtime {runtime}.",
        "install it, or leave the option runtime out for the engine's default",
        known="podman 4.3, docker 20.10 and 28, words of the create",
    ),
    "controller_not_delegated": Entry(
        "the cgroup controller {controller} is not delegated to this user, and a node cannot do without it.",
        "ansible localhost --become -m nodeforge.kic.cgroup_delegation -a user=USER; the node is kept, and the next run"
        " starts it; or remove it: {engine} rm --force {node}",
        known="crun 1.21 below podman 5.4; kind's entrypoint (UserNS: ...); minikube #14871, #18692, kind #2916",
    ),
    "node_died": Entry(
        "the node {node} ended with exit code {rc} before it was up: {reason}.",
        "it is kept, look: {engine} logs {node}; remove it: {engine} rm --force {node}",
        known="State.ExitCode, State.OOMKilled and State.Error of inspect; kind #3758",
    ),
    "process_lost": Entry(
        "{engine} says that the node {node} runs, but its process {pid} is gone: who watched it was ended as well, as when"
        " a machine loses its power or is restored.",
        # podman 4.3.1 only notes the end at the first call, and fails.
        "{engine} rm --force {node} || {engine} rm --force {node}; its volume keeps the data; then run again",
        known="State.Pid of inspect, and no such process in /proc; podman 4.3 after a restored machine",
    ),
    "pause_needs_freezer": Entry(
        "{engine} cannot pause a container of an ordinary user on this machine: of version 1 of control groups, the freezer"
        " belongs to root.",
        "stop it instead (state: stopped); or have the machine use version 2: add systemd.unified_cgroup_hierarchy=1 to the"
        " kernel's command line, and reboot",
        known="podman pause (cmd/podman/containers/pause.go): not supported for rootless containers of cgroup v1",
    ),
    "pause_not_running": Entry(
        "what does not run cannot be paused: {nodes}.",
        "start it first (state: started), or leave it stopped (state: stopped)",
        known="State.Status of inspect",
    ),
    "cluster_missing": Entry(
        "the cluster {cluster} has no nodes on {engine}.",
        "create it first (kic_cluster_state: started), or name another",
    ),
    "node_not_ready": Entry(
        "the node {node} was not up within {seconds:g} seconds; its systemd is {state}.",
        "it is kept and a next run goes on waiting; look: {engine} exec {node} systemctl list-jobs; give it more time"
        " with wait_timeout, or remove it: {engine} rm --force {node}",
        known="systemctl is-system-running and list-jobs in the node; kind #3758",
    ),
    "not_as_asked": Entry(
        "the node {node} does not have what was requested: {fields}.",
        "it is kept; ask for what this machine can give, and remove it: {engine} rm --force {node}",
        known="the node's own cgroup files and /proc; minikube #9248, #16463",
    ),
    # Controllers for an ordinary user.
    "user_unknown": Entry(
        "this machine has no user {user}.",
        "name another, or create that user: useradd --create-home --shell /bin/bash {user}",
    ),
    "cgroup_not_unified": Entry(
        "this machine's control groups are {mode}; only those of version 2 can be given to an ordinary user, so there are"
        " no rootless nodes here.",
        "run as root (become: true), or boot this machine with systemd.unified_cgroup_hierarchy=1 on its kernel's"
        " command line",
        known="podman and docker info; k3d #1439",
    ),
    "userns_remapped": Entry(
        "dockerd gives containers another user as root (userns-remap), and the files of its store belong to them; nodes"
        " need to be root of this machine.",
        "take userns-remap out of /etc/docker/daemon.json and restart docker, or use podman: engine: podman",
        known="docker 20.10, SecurityOptions of its info",
    ),
    "no_systemd": Entry(
        "systemd does not manage this machine (its first process is {init}), and nothing else here gives controllers to"
        " an ordinary user.",
        "run as root (become: true), or on a machine with systemd",
    ),
    "unit_masked": Entry(
        "{unit}, the manager of {user}, is masked and so never starts.", "as root: systemctl unmask {unit}"
    ),
    "etc_read_only": Entry(
        "{path} cannot be written.",
        "make its file system writable, for example: mount -o remount,rw /etc; or put that file into the machine's image",
    ),
    "file_not_ours": Entry(
        "{path} was not written by nodeforge.kic, so it is left alone.",
        "look at it, and move it away: mv {path} /root/",
    ),
    "root_needed": Entry("this takes root: {actions}.", "run the task with become: true"),
    "controller_not_built": Entry(
        "the kernel of this machine has no cgroup controller {controller}, so {user} cannot be given it.",
        "boot a kernel that has it; what this one has: cat /sys/fs/cgroup/cgroup.controllers",
    ),
    "controller_disabled_at_boot": Entry(
        "the cgroup controller {controller}, which {user} is to have, is switched off by cgroup_disable= on the kernel's"
        " command line.",
        "take it off there, on Debian in GRUB_CMDLINE_LINUX of /etc/default/grub, then: update-grub && reboot",
    ),
    "controller_not_given": Entry(
        "this machine is itself a container, and what runs it does not give it the cgroup controller {controller}, which"
        " {user} is to have.",
        "give it the controller from the outside; what it has: cat /sys/fs/cgroup/cgroup.controllers",
    ),
    "controller_disabled_by_unit": Entry(
        "the cgroup controller {controller} does not reach {user}: {unit} withholds it by DisableControllers= in {file}.",
        "as root: take {controller} out of that line, then: systemctl daemon-reload",
    ),
    "delegation_overruled": Entry(
        "{file} is read after our drop-in and takes the controllers {controllers} away again by Delegate=.",
        "as root: take that line out, or give the file a name that sorts before 99-nodeforge.kic.conf; then:"
        " systemctl daemon-reload",
    ),
    "controller_withheld": Entry(
        "the cgroup controller {controller} does not reach {user}, and a node cannot do without it: {unit} withholds"
        " it ({why}).",
        "ansible localhost --become -m nodeforge.kic.cgroup_delegation -a user={user}",
    ),
    "manager_not_running": Entry(
        "{unit}, the manager of {user}, does not run, and without it their containers have no control groups of their own.",
        "let it run without a session too, as root: loginctl enable-linger {user}",
    ),
    # What a machine is given for nodes.
    "no_free_ids": Entry(
        "{path} has no room for {count} ids more between SUB_{kind}_MIN and SUB_{kind}_MAX of /etc/login.defs.",
        "raise SUB_{kind}_MAX there, or take ranges out of {path} that nobody uses any more",
        known="subuid(5), login.defs(5)",
    ),
    "id_mapper_unfit": Entry(
        "{path} may not map ids for an ordinary user: its mode is {mode}, and it has no file capability.",
        "run the role nodeforge.kic.kic_host with kic_host_user; or as root: chmod u+s {path}, on a file system that is not"
        " mounted with nosuid; or install its package again",
        known="newuidmap(1); images of machines that lose capabilities of files",
    ),
    "sysctl_overruled": Entry(
        "{file} is read after our file at each start of the machine, and gives {name} another value than {asked}.",
        "as root: take that line out of it, then: sysctl -w {name}={asked}",
        known="the files that sysctl.d(5) lists, in its order",
    ),
    "setting_refused": Entry(
        "the kernel does not let {name} be set to {value} here.",
        "where this machine is a container, set it outside: sysctl -w {name}={value}; or leave it out",
    ),
    "setting_not_taken": Entry(
        "{name} was set to {asked}, but the kernel shows {value}.", "look at it: sysctl {name}; or leave it out"
    ),
    "module_unknown": Entry(
        "this kernel has no module {name}.",
        "take it off the list of modules, or boot a kernel that has it; what there is: modprobe --showconfig",
        known="modprobe --dry-run",
    ),
    "module_not_loaded": Entry(
        "the kernel's module {name} could not be loaded.", "read the words below; then: modprobe {name}"
    ),
    "engine_unit_masked": Entry(
        "{unit} is masked, and so neither starts nor can be enabled.", "as root: systemctl unmask {unit}"
    ),
    # Kubernetes.
    "node_missing": Entry(
        "the node {node} does not exist.", "make it first with nodeforge.kic.kic_node, or name another"
    ),
    "node_not_running": Entry("the node {node} does not run, it is {status}.", "start it: {engine} start {node}"),
    "node_without_address": Entry(
        "the node {node} has no address on a network of the engine.", "attach it to a network with the option network"
    ),
    "node_without_ip_version": Entry(
        "The node {node} has no IPv{version} address, and the pods of its cluster have the range {pods}.",
        "give its network an IPv{version} subnet (subnet6 of nodeforge.kic.oci_network, on a host that has IPv6), or leave"
        " that range out of pod_subnet",
    ),
    "node_unreadable": Entry("a look at the node {node} gave no sense.", "read its words below"),
    "node_busy": Entry(
        "Another run works on Kubernetes of the node {node} for more than {seconds:g} seconds: {holder}.",
        "wait for it to end; see what it does: {engine} exec {node} ps -ef; where its run was ended from outside:"
        " {engine} exec {node} pkill kubeadm",
        known="a name of the kernel that runs of this machine share (unix(7)), and flock(1) in the node",
    ),
    "no_kubernetes": Entry(
        "the image of the node {node} holds no Kubernetes: /kind/version is missing.",
        "use an image of nodeforge.kic.kic_image or kindest/node",
    ),
    "version_differs": Entry(
        "the image of the node {node} holds Kubernetes {found}, expected {asked}.",
        "leave kubernetes_version out, or give the node an image of {asked}",
    ),
    "version_too_old": Entry(
        "the node {node} holds Kubernetes {found}, older than {minimum}, the oldest this collection configures.",
        "use an image with Kubernetes {minimum} or later",
    ),
    "authority_lost": Entry(
        "the certificate authority of the cluster is damaged: {node} lacks {files}. It cannot be made again, because"
        " everything in the cluster is signed with it.",
        "restore the files, or give the cluster up: nodeforge.kic.kic_kubeadm with state: reset, then run again",
        known="files in the node",
        severity="lost",
    ),
    "step_failed": Entry(
        "step {step} failed on {node}: {reason}.",
        "read the words below, then run again: it goes on at this step; look into the node:"
        " {engine} exec {node} journalctl -u kubelet -u containerd",
    ),
    "kubeadm_field_unknown": Entry(
        "step {step} failed on {node}: kubeadm cannot read {kind} as it was written: {problem}.",
        "correct the field in the option configuration (in the role: kic_cluster_configuration), where capitals count, and run"
        " again; its fields: https://kubernetes.io/docs/reference/config-api/",
        known="kubeadm 1.35 leaves such a field out and warns",
    ),
    "inotify_exhausted": Entry(
        "step {step} failed on {node}: the user who runs nodes has no inotify instance or watch left on this machine.",
        "as root: sysctl -w fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=524288; or run the role"
        " nodeforge.kic.kic_host, which keeps them",
        known="kind's known issues, minikube #18831; words of fsnotify",
    ),
    "kubelet_cgroup_v1": Entry(
        "step {step} failed on {node}: kubelet refuses cgroup version 1, which this machine has.",
        "leave failCgroupV1 of KubeletConfiguration out of the option configuration; it is set to false there",
        known="kubelet 1.35",
    ),
    "kubelet_swap": Entry(
        "step {step} failed on {node}: kubelet refuses a machine with swap.",
        "leave failSwapOn of KubeletConfiguration out of the option configuration; it is false there; or: swapoff --all",
        known="kubelet 1.35",
    ),
    "kubelet_cgroup_missing": Entry(
        "step {step} failed on {node}: the control group that kubelet was given lacks {missing}.",
        "leave cgroupRoot of KubeletConfiguration out of the option configuration; what the node has: {engine} exec"
        " {node} cat /proc/self/cgroup",
        known="kubelet 1.35",
    ),
    "kubelet_cgroup_driver": Entry(
        "step {step} failed on {node}: kubelet and containerd use different cgroup drivers (cgroupfs and systemd).",
        "leave cgroupDriver of KubeletConfiguration out of the option configuration; containerd's: {engine} exec {node}"
        " grep SystemdCgroup /etc/containerd/config.toml",
        known="runc 1.1 below kubelet 1.35",
    ),
    "kubelet_port_taken": Entry(
        "step {step} failed on {node}: the port {port} of {address} is in use inside the node.",
        "end its user: {engine} exec {node} ss -ltnp; then run again",
        known="kubelet 1.35",
    ),
    "kubelet_no_runtime": Entry(
        "step {step} failed on {node}: kubelet does not reach containerd at {endpoint}.",
        "start it: {engine} exec {node} systemctl restart containerd; its words: {engine} exec {node} journalctl -u"
        " containerd",
        known="kubelet 1.35",
    ),
    "kubelet_image_missing": Entry(
        "step {step} failed on {node}: the image {image} is not in the node and could not be pulled.",
        "see what it has: {engine} exec {node} ctr -n k8s.io images ls -q; remove the node with its volume to get the"
        " images of the node image again, or give the node access to the registry",
        known="containerd 1.7 below kubelet 1.35",
    ),
    "kubelet_refuses": Entry(
        "step {step} failed on {node}: kubelet does not start with its configuration: {problem}.",
        "correct KubeletConfiguration in the option configuration, then reset the node (nodeforge.kic.kic_kubeadm with"
        " state: reset) and run again",
        known="kubelet 1.35",
    ),
    "certificate_address": Entry(
        "step {step} failed on {node}: the API's certificate is for {valid}, not for {address}.",
        "add {address} to api_sans, then reset the node (nodeforge.kic.kic_kubeadm with state: reset) and run again",
        known="kubectl 1.35, Go's crypto/x509",
    ),
    "certificate_time": Entry(
        "step {step} failed on {node}: a certificate is not valid at this time: {times}.",
        "see the clock: date; timedatectl set-ntp true; and the certificates: {engine} exec {node} kubeadm certs"
        " check-expiration; then run again, which renews expired ones",
        known="kubectl 1.35, Go's crypto/x509",
    ),
    "api_not_answering": Entry(
        "step {step} failed on {node}: nothing answers at the API's address {endpoint}.",
        "see why its container ends: {engine} exec {node} sh -c 'tail /var/log/pods/kube-system_kube-apiserver-*/*/*.log'",
        known="kubectl 1.35",
    ),
    "out_of_time": Entry(
        "the limit of {seconds:g} seconds was used up before the step {step}.",
        "run again, it goes on where it ended; or give it more time with the option timeout",
    ),
    "control_plane_missing": Entry(
        "the cluster {cluster} has no control plane on this machine that runs.",
        "make or start it with nodeforge.kic.kic_node, or name another cluster",
    ),
    "control_plane_stopped": Entry(
        "the control plane {node} does not run, so {workers} cannot join.",
        "set kic_cluster_state to started, or kic_cluster_workers to the number of workers that there are",
    ),
    "prune_needs_api": Entry(
        "The control plane {node} does not run, so {workers} cannot be taken out of the cluster.",
        "set kic_cluster_state to started, or kic_cluster_prune to false",
    ),
    "prune_needs_plane": Entry(
        "The control plane {node} is the only one that was part of the cluster and runs, and it is among those that leave: {nodes}.",
        "run with kic_cluster_prune: false first, so that the control planes that are declared join; then again with true",
    ),
    "etcd_majority": Entry(
        "The control planes {nodes} cannot leave: etcd needs a majority for it, and these control planes do not run: {down}.",
        "run with kic_cluster_prune: false first, which starts them; then again with true",
        known="etcd: a change needs a majority of the members",
    ),
    "haproxy_missing": Entry(
        "The image {image} has no HAProxy, which offers the API of several control planes on this machine.",
        "set kic_cluster_load_balancer_image to an image of the role nodeforge.kic.kic_image; or declare one control plane",
    ),
    "prune_refused": Entry(
        "{nodes} cannot be removed, and nothing was changed: {problems}.",
        "{fix}",
        known="the API: nodeAffinity of persistent volumes, ownerReferences of pods",
    ),
    "upgrade_not_requested": Entry(
        "{nodes} would run Kubernetes {target} in a cluster of {found}, and an upgrade was not requested.",
        "set kic_cluster_upgrade: true (kic_kubeadm: upgrade: true); or name an image that has {found}: kic_cluster_image, or"
        " kic_image_kubernetes_version",
        known="kubernetes.io, Version Skew Policy: no kubelet is newer than an API server",
    ),
    "upgrade_goes_back": Entry(
        "Kubernetes {target} is older than what these nodes have: {nodes}. It does not go back.",
        "name an image of the release that they have, or a later one: kic_cluster_image, or kic_image_kubernetes_version",
        known="kubernetes.io, Version Skew Policy",
    ),
    # Snapshots.
    "snapshot_missing": Entry(
        "There is no snapshot {name} on {engine}{others}.",
        "take it first, with the module nodeforge.kic.kic_snapshot; or name another: kic_cluster_snapshot; or the engine that"
        " has it: kic_cluster_engine",
    ),
    "snapshot_incomplete": Entry(
        "The cluster {cluster} has no control plane that is complete, so that no cluster could be made of a snapshot.",
        "complete it first: kic_cluster_state: started",
    ),
    "snapshot_without_volume": Entry(
        "The node {node} keeps its data in no volume, so that nothing can be copied.",
        "have it created again with a volume of its own: leave the option volume of kic_node out",
    ),
    "snapshot_nodes": Entry(
        "The snapshot {name} holds the data of more nodes than are declared: {nodes}.",
        "declare {planes} control planes and {workers} workers, or leave the numbers out: kic_cluster_control_planes,"
        " kic_cluster_workers; where kic_cluster_nodes names the nodes, name these too",
    ),
    "snapshot_planes": Entry(
        "The snapshot {name} has no data of {nodes}, and the etcd of these control planes would go on with what it has now.",
        "have them leave the cluster first: kic_cluster_control_planes: {planes}, kic_cluster_prune: true",
    ),
    "snapshot_release": Entry(
        "The snapshot {name} is of Kubernetes {found}, and the image {image} has {target}.",
        "use an image with {found}: kic_cluster_image, or kic_image_kubernetes_version: '{minor}'",
    ),
    "copy_failed": Entry(
        "The data of the volume {source} was not copied to {target}.",
        "see the output; free space where {engine} has its volumes: {engine} system df",
        known="cp(1): No space left on device",
    ),
    "upgrade_skips": Entry(
        "The control plane {node} has Kubernetes {found}, and {target} is not the next minor release.",
        "upgrade to {following} first: kic_cluster_image, or kic_image_kubernetes_version: '{following}'",
        known="kubernetes.io, Version Skew Policy; kubeadm upgrade",
    ),
    "upgrade_leaves_behind": Entry(
        "These nodes are not declared, and their kubelet would be too old for Kubernetes {target}: {nodes}.",
        "declare them, or remove them first: kic_cluster_prune: true",
        known="kubernetes.io, Version Skew Policy: a kubelet may be three minor releases older",
    ),
    "upgrade_needs_nodes": Entry(
        "The cluster {cluster} is only to be present, and an upgrade needs all of its nodes.",
        "set kic_cluster_state to started, or kic_cluster_upgrade to false",
    ),
    "upgrade_node_lost": Entry(
        "These nodes have lost their container, and a new one would run the new release before the control planes do: {nodes}.",
        "run first with the image that the other nodes have, and kic_cluster_upgrade: false; then upgrade. Or give a worker up:"
        " kubectl delete node NODE, and remove its volume",
        known="kubernetes.io, Version Skew Policy: no kubelet is newer than an API server",
    ),
    "upgrade_drains": Entry(
        "The nodes are drained by an upgrade, and nothing creates these pods again: {pods}. Nothing was changed.",
        "{fix}",
        known="the API: ownerReferences of pods; kubectl drain",
    ),
    "upgrade_without_kubernetes": Entry(
        "The image {image} holds no Kubernetes to upgrade to: /kind/version is missing.",
        "use an image of nodeforge.kic.kic_image or kindest/node",
    ),
    "drain_blocked": Entry(
        "The node {node} was not drained within {seconds:g} seconds, because a PodDisruptionBudget keeps pods on it ({budgets})."
        " {after}.",
        "see what the budget waits for: {see}; have it allow a disruption, for example with one more replica, then run again;"
        " a slow workload needs more time: kic_cluster_drain_timeout",
        known="kubectl drain 1.35; status.disruptionsAllowed of the budget",
    ),
    "drain_incomplete": Entry(
        "The node {node} was not drained within {seconds:g} seconds: these pods are still on it: {pods}. {after}.",
        "read the output below; give it more time with kic_cluster_drain_timeout, then run again",
        known="kubectl drain 1.35",
    ),
    "api_not_published": Entry(
        "the node {node} publishes no port for the API, so nothing outside it can reach the cluster.",
        "make it with publish: [{{port: 6443}}]",
    ),
    "kubeconfig_unusable": Entry("{path} cannot be used as a kubeconfig: {reason}.", "{fix}"),
    "kubeconfig_locked": Entry(
        "{path}.lock is held by another program for more than {seconds:g} seconds.",
        "wait for it to end; if none runs, a dead one left it: rm {path}.lock",
        known="the lock of kubectl (client-go); kind #2008",
    ),
    "context_taken": Entry(
        "{path} has an entry named {name} that is not of this cluster {cluster}: it is the user's own, or of another "
        "cluster of that name, such as one of another engine or user. It was not changed.",
        "choose another name with the option context (in the role kic_cluster: kic_cluster_context), or another file with "
        "the option path; if the other one is gone, remove its entries: kubectl config delete-context {name}; "
        "kubectl config delete-cluster {name}; kubectl config delete-user {name}",
    ),
}
