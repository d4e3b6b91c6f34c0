# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface that every engine has here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from .._command import CommandResult
from .._core.capabilities import Capabilities
from .._core.checks import IPNetwork
from .._core.diagnosis import KicError, failure
from .model import (
    Attached,
    BootCommands,
    Container,
    EngineInfo,
    Image,
    Limits,
    Network,
    NewContainer,
    Offered,
    Reader,
    Stored,
    Volume,
    Writer,
)


class EngineReader(ABC):
    """What can be asked of a container engine; nothing of it changes anything.

    A question returns None for what the engine says is not there; every other failure raises KicError. Labels of ours that
    a container has from its image are not among its labels here, nor is it found by them (:func:`labels.own`).
    """

    name: str

    capabilities: Capabilities
    """What is decided by, in place of its name."""

    priority: int = 0
    """Of two engines that are as good as each other, ``auto`` takes the one with the higher number."""

    answer: EngineInfo | None = None
    """What it said of itself, also where that is a reason to refuse it."""

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """Facts of the engine and its host, asked once."""

    @property
    def store(self) -> str:
        """What tells what it holds from what the other engines hold that this user may ask: records are kept by it."""
        return self.name

    def endpoint(self) -> str:
        """Where its daemon listens; empty for an engine that has none."""
        return ""

    def elsewhere(self, container: Container) -> KicError:
        """The failure of a daemon whose containers' processes are not visible here; the container itself is well."""
        why = f"{container.name} runs there as process {container.pid}, which is none of its own here"
        return failure("engine_elsewhere", engine=self.name, endpoint="its socket", why=why)

    def proxies(self) -> dict[str, str]:
        """Proxy variables that a new container gets by itself."""
        return {}

    @staticmethod
    def boot_commands(
        program: str, containers: Mapping[str, str], limits: Mapping[str, Limits], seconds: int
    ) -> BootCommands | None:
        """What starts containers when the machine boots, in their order, and stops them in the opposite one within some
        seconds; None where the engine's daemon does it.

        :param containers: their ids by name; "" of one that is not created yet.
        """
        del program, containers, limits, seconds
        return None

    # Networks.
    def address_pools(self) -> tuple[str, ...]:
        """Where its administrator lets it take networks from; () where nobody said."""
        return self.info.address_pools

    @staticmethod
    def hidden_networks() -> list[tuple[IPNetwork, str]]:
        """Subnets of other engines that neither this engine nor the host's routes show, with what has them."""
        return []

    @abstractmethod
    def networks(self) -> list[Network]:
        """All networks, ours and others'."""

    @abstractmethod
    def attached_to_network(self, name: str) -> list[Attached]:
        """Containers, running or not, that use the network."""

    # Volumes.
    @abstractmethod
    def volume(self, name: str) -> Volume | None:
        """The volume of exactly this name."""

    @abstractmethod
    def volumes(self, label: str) -> list[Volume]:
        """Volumes that carry ``label`` (``key`` or ``key=value``)."""

    @abstractmethod
    def attached_to_volume(self, name: str) -> list[Attached]:
        """Containers, running or not, that use the volume."""

    # Images.
    @abstractmethod
    def image(self, reference: str) -> Image | None:
        """The image that ``reference`` (name, name with digest, or id) means in the local store."""

    @abstractmethod
    def images_named(self, references: Sequence[str]) -> list[Image | None]:
        """What each of ``references`` means, as :meth:`image` says it, by one question where all are there."""

    @abstractmethod
    def images(self, label: str) -> list[Image]:
        """Images that carry ``label`` (``key`` or ``key=value``)."""

    @abstractmethod
    def nameless_images(self) -> list[Image]:
        """Images that have no name."""

    @abstractmethod
    def ask_registry(self, reference: str, seconds: float) -> Offered | None:
        """What the registry has under ``reference``; None only where there is no engine to ask with.

        Raises ``registry_unreachable`` (also after ``seconds``), ``registry_refused``, ``registry_untrusted`` and
        ``image_unknown``.
        """

    @abstractmethod
    def attached_to_image(self, identity: str) -> list[Attached]:
        """Containers, running or not, that were made from the image or one that is built on it."""

    # Containers.
    @abstractmethod
    def container(self, name: str) -> Container | None:
        """The container of exactly this name or id."""

    @abstractmethod
    def containers(self, label: str) -> list[Container]:
        """Containers, running or not, that carry ``label`` (``key`` or ``key=value``)."""

    @abstractmethod
    def read_file(self, identity: str, path: str) -> bytes | None:
        """Content of a file in a container, which need not run; None where there is no such file."""

    @abstractmethod
    def read_directory(self, identity: str, path: str, wanted: Collection[str]) -> dict[str, Stored]:
        """Files below a directory of a container, which need not run, by their paths from there, with the contents of those that
        are ``wanted``; {} where there is no such directory."""

    @property
    @abstractmethod
    def updatable(self) -> frozenset[str]:
        """Fields of Limits that can be changed while a container runs."""

    @abstractmethod
    def logs(self, identity: str, lines: int) -> str:
        """The last lines that the container wrote; empty when they cannot be read."""


class Engine(EngineReader):
    """A container engine that can be told to do something. What changes something raises KicError with the cause."""

    # Networks and volumes.
    @abstractmethod
    def create_network(self, network: Network) -> None:
        """Make a bridge network. Raises ``subnet_overlap`` or ``name_taken`` when another was faster."""

    @abstractmethod
    def remove_network(self, identity: str) -> None:
        """Remove it; one that is gone already is fine."""

    @abstractmethod
    def create_volume(self, volume: Volume) -> None:
        """Make it. Raises ``name_taken`` when it is there already."""

    @abstractmethod
    def remove_volume(self, name: str) -> None:
        """Remove it; one that is gone already is fine."""

    # Images.
    @abstractmethod
    def pull_image(self, reference: str, seconds: float) -> None:
        """Bring ``reference`` from its registry. Raises what :meth:`ask_registry` raises, and ``timed_out``."""

    @abstractmethod
    def load_image(self, path: str) -> None:
        """Load all images of an archive, with the names that it gives them."""

    @abstractmethod
    def import_image(self, path: str, name: str, label: str) -> None:
        """Make an image from a tar archive of its files, with ``label`` (``key=value``)."""

    @abstractmethod
    def tag_image(self, identity: str, name: str) -> None:
        """Give the image one more name; the name leaves the image that had it."""

    @abstractmethod
    def remove_image(self, name: str) -> None:
        """Take ``name`` from its image, and remove the image with its last name; one that is gone already is fine."""

    @abstractmethod
    def feed_images(
        self, source: str | Sequence[str] | Writer, commands: Mapping[str, Reader], seconds: float
    ) -> dict[str, CommandResult]:
        """Give an archive of images to a command in each of several containers, read once for all.

        It is not compressed there. How the commands ended is returned by container; what is wrong with the source is raised.

        :param source: path of an archive on this machine, references to images of the store, or a command in a container.
        :param commands: by container.
        """

    # Containers.
    @abstractmethod
    def create_container(self, new: NewContainer) -> str:
        """Make it, not started; returns its id. Raises ``name_conflict`` when another was faster."""

    @abstractmethod
    def put_files(self, identity: str, archive: bytes) -> None:
        """Unpack a tar archive at the container's root; it need not run."""

    @abstractmethod
    def start_container(self, identity: str) -> None:
        """Start it. Raises ``port_taken`` or ``address_taken`` when another was faster."""

    @abstractmethod
    def stop_container(self, identity: str, seconds: int) -> None:
        """Ask it to stop, and end it after ``seconds``."""

    @abstractmethod
    def pause_container(self, identity: str) -> None:
        """Freeze its processes where they are; they keep their memory."""

    @abstractmethod
    def resume_container(self, identity: str) -> None:
        """Let a paused one go on."""

    @abstractmethod
    def rename_container(self, identity: str, name: str) -> None:
        """Give it another name, also while it runs. Raises ``name_conflict`` when another container has that name."""

    @abstractmethod
    def remove_container(self, identity: str, seconds: int) -> None:
        """Stop it as above and remove it; one that is gone already is fine. Named volumes stay."""

    @abstractmethod
    def update_limits(self, identity: str, limits: Limits) -> None:
        """Change those limits of a running container that are not None."""

    @abstractmethod
    def set_restart_policy(self, identity: str, policy: str) -> None:
        """Have the daemon start it again by this policy from now on; for engines that have one (capability ``restarts``)."""

    @abstractmethod
    def exec(
        self,
        container: str,
        command: Sequence[str],
        *,
        action: str = "",
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        """Run ``command`` inside a container. Values reach it as arguments or on standard input, never by a shell.

        With ``check`` a failure raises its cause; ``action`` names it for a person.
        """
