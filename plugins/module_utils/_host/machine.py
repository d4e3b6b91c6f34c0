# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine is, read from the kernel."""

from __future__ import annotations

import glob
import os
import platform
import resource
import shutil
from dataclasses import dataclass
from typing import Any

from .delegation import cgroup_mode
from .files import lines, read
from .kernel import MODULES, SYSCTLS, kept, sysctl

# The names that Go, and with it every engine and registry, gives to the architectures of uname(2).
GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386", "i386": "386"}


def architecture() -> str:
    """The architecture by its name in image manifests."""
    return architecture_of(platform.machine())


def architecture_of(machine: str) -> str:
    """The name in image manifests of what uname(2) calls a machine."""
    return GO_ARCHITECTURES.get(machine, machine)


def cgroup_version() -> int:
    """2 on a unified hierarchy; 1 otherwise, also on hybrid hosts (cgroups(7): controllers are version 1's there)."""
    return 2 if cgroup_mode(read) == "v2" else 1


def has_systemd() -> bool:
    """Whether systemd manages the machine (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")


def cpus() -> int:
    """Processors that this process may use (sched_getaffinity(2))."""
    return len(os.sched_getaffinity(0))


def memory() -> int:
    """Bytes of memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def online_cpus() -> int:
    """Processors of the machine that are switched on."""
    return os.sysconf("SC_NPROCESSORS_ONLN")


CAP_SYS_RESOURCE = 24
"""Bit of the capability that may raise hard limits (capabilities(7), linux/capability.h)."""


DEVICES = ("/dev/kmsg", "/dev/fuse", "/dev/net/tun")
"""Devices that a node misses when it is not privileged: kubelet ends without the first, others need them for storage
and tunnels."""

CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ"),
)
"""Names by bit (linux/capability.h). Those that came later (PERFMON, BPF, CHECKPOINT_RESTORE of Linux 5.8 and 5.9) are
left out: docker 20.10 does not know them, and a node does without."""


@dataclass(frozen=True)
class HostLimits:
    """What a container of this machine can be given."""

    cpus: int
    memory: int
    """Bytes."""
    nofile: int
    """The highest number of open files of a process."""
    nproc: int
    """The highest number of processes of a user."""
    runtimes: frozenset[str]
    """OCI runtimes on PATH."""
    modules: bool
    """Whether there is a directory of kernel modules."""
    devices: tuple[str, ...] = ()
    """Those of DEVICES that it has."""
    capabilities: tuple[str, ...] = ()
    """Names of the bounding set's capabilities, without CAP_: what a container can be given at the most."""
    all_capabilities: bool = True
    """Whether the bounding set holds all that the kernel knows."""


def host_limits() -> HostLimits:
    """Look at this process, whose limits an engine's containers start from, and at the machine."""
    highest = int((read("/proc/sys/fs/nr_open") or "1048576").strip())
    raises = bool(int(_status("CapEff") or "0", 16) >> CAP_SYS_RESOURCE & 1)
    _soft, nofile = resource.getrlimit(resource.RLIMIT_NOFILE)
    _soft, nproc = resource.getrlimit(resource.RLIMIT_NPROC)
    if raises or nofile == resource.RLIM_INFINITY:
        nofile = highest
    # podman lowers its own limit to the highest process id (containers/common, getDefaultProcessLimits), and more
    # processes than ids there cannot be.
    most = int((read("/proc/sys/kernel/pid_max") or "32768").strip())
    nproc = most if raises or nproc == resource.RLIM_INFINITY else min(nproc, most)
    bounding = int(_status("CapBnd") or "0", 16)
    capabilities = tuple(name for bit, name in enumerate(CAPABILITIES) if bounding >> bit & 1)
    last = int((read("/proc/sys/kernel/cap_last_cap") or str(len(CAPABILITIES) - 1)).strip())
    return HostLimits(
        cpus=online_cpus(),
        memory=memory(),
        devices=tuple(path for path in DEVICES if os.path.exists(path)),
        capabilities=capabilities,
        all_capabilities=bounding == (1 << last + 1) - 1,
        nofile=nofile,
        nproc=nproc,
        runtimes=frozenset(runtimes()),
        modules=os.path.isdir("/lib/modules"),
    )


PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where engines look for runtimes and packet filters, also when a task's own PATH is short."""


def has_program(name: str) -> bool:
    """Whether a program is where engines look for theirs."""
    return program(name) is not None


def program(name: str) -> str | None:
    """The absolute path of a program, by which what has another PATH finds it too; None where there is none."""
    places = os.pathsep.join(filter(None, (os.environ.get("PATH"), PROGRAMS)))
    found = shutil.which(name, path=places)
    return os.path.abspath(found) if found is not None else None


PACKET_FILTERS = ("iptables", "nft")
"""Programs by which engines publish ports and hide addresses: netavark before 1.10 and dockerd run the first, netavark of
Debian 13 and Fedora the second. Of podman's packages Debian 12 has neither as a dependency."""


def packet_filters() -> tuple[str, ...]:
    """Those of PACKET_FILTERS that this machine has."""
    return tuple(name for name in PACKET_FILTERS if has_program(name))


def runtimes() -> tuple[str, ...]:
    """The OCI runtimes that this machine has, of those that nodes run on."""
    return tuple(name for name in ("crun", "runc") if has_program(name))


def distribution() -> dict[str, str]:
    """The distribution and its release by their ids, and the family that it counts itself to (os-release(5))."""
    rows = (line.partition("=") for line in lines(read("/etc/os-release") or read("/usr/lib/os-release") or ""))
    said = {key: value.strip().strip("\"'") for key, _separator, value in rows}
    words = [said.get("ID", ""), *said.get("ID_LIKE", "").split()]
    family = next((family for name, family in _FAMILIES.items() if name in words), "")
    return {"id": said.get("ID", ""), "version": said.get("VERSION_ID", ""), "family": family}


_FAMILIES = {
    "debian": "Debian",
    "ubuntu": "Debian",
    "fedora": "RedHat",
    "rhel": "RedHat",
    "suse": "Suse",
    "opensuse": "Suse",
}

UNITS = ("docker.service", "podman-restart.service")
"""Units that bring an engine, or its containers, back at the start of the machine."""


def disabled_units() -> list[str]:
    """Those of UNITS that are there and that nothing wants (systemctl(1), enable: a link in its directory)."""
    wanted = {os.path.basename(path) for path in glob.glob("/etc/systemd/system/*.wants/*")}
    places = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
    there = [name for name in UNITS if any(os.path.exists(f"{place}/{name}") for place in places)]
    return [name for name in there if name not in wanted]


def host_facts() -> dict[str, Any]:
    """What of the machine decides how nodes run on it, for a person and for the role kic_host."""
    limits = host_limits()
    return {
        "architecture": architecture(),
        "cgroup_version": cgroup_version(),
        "cpus": limits.cpus,
        "memory": limits.memory,
        "runtimes": sorted(limits.runtimes),
        "packet_filters": list(packet_filters()),
        "nofile": limits.nofile,
        "nproc": limits.nproc,
        "kernel_modules": limits.modules,
        "distribution": distribution(),
        "systemd": has_systemd(),
        "disabled_units": disabled_units(),
        "sysctls": {name: value for name in SYSCTLS if (value := sysctl(name)) is not None},
        "modules": kept(MODULES),
    }


def _status(field: str) -> str:
    for line in lines(read("/proc/self/status") or ""):
        name, _separator, value = line.partition(":")
        if name == field:
            return value.strip()
    return ""
