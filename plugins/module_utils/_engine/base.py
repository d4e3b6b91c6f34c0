# Copyright (c) 2026 nodeforge.kic contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface that every engine has here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from .._command import CommandResult
from .._core.diagnosis import KicError, failure
from .model import Attached, Container, EngineInfo, Image, Limits, Network, NewContainer, Offered, Volume


class Engine(ABC):
    """A container engine.

    What looks returns None for that which the engine says is not there; every other failure raises KicError. What
    changes something raises KicError with the cause. Labels of ours that a container has from its image are not among
    its labels here, nor is it found by them (:func:`labels.own`).
    """

    name: str

    mounts_by_program = False
    """Whether it mounts a volume by mount(8), in whose arguments its options can be read."""

    @property
    @abstractmethod
    def info(self) -> EngineInfo:
        """Facts of the engine and its host, asked once."""

    watches = False
    """Whether a daemon watches the containers: then one that runs has its process, here or where it cannot be seen."""

    @property
    def store(self) -> str:
        """What tells what it holds from what the other engines hold that this user may ask: records are kept by it."""
        return self.name

    # Networks.
    def address_pools(self) -> tuple[str, ...]:
        """Where its administrator lets it take networks from; () where nobody said."""
        return self.info.address_pools

    @abstractmethod
    def networks(self) -> list[Network]:
        """All networks, ours and others'."""

    @abstractmethod
    def create_network(self, network: Network) -> None:
        """Make a bridge network. Raises ``subnet_overlap`` or ``name_taken`` when another was faster."""

    @abstractmethod
    def remove_network(self, identity: str) -> None:
        """Remove it; one that is gone already is fine."""

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
    def create_volume(self, volume: Volume) -> None:
        """Make it. Raises ``name_taken`` when it is there already."""

    @abstractmethod
    def remove_volume(self, name: str) -> None:
        """Remove it; one that is gone already is fine."""

    @abstractmethod
    def attached_to_volume(self, name: str) -> list[Attached]:
        """Containers, running or not, that use the volume."""

    # Images.
    @abstractmethod
    def image(self, reference: str) -> Image | None:
        """The image that ``reference`` (name, name with digest, or id) means in the local store."""

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
    def pull_image(self, reference: str, seconds: float) -> None:
        """Bring ``reference`` from its registry. Raises what :meth:`ask_registry` raises, and ``timed_out``."""

    @abstractmethod
    def load_image(self, path: str) -> None:
        """Load all images of an archive, with the names that it gives them."""

    @abstractmethod
    def tag_image(self, identity: str, name: str) -> None:
        """Give the image one more name; the name leaves the image that had it."""

    @abstractmethod
    def remove_image(self, name: str) -> None:
        """Take ``name`` from its image, and remove the image with its last name; one that is gone already is fine."""

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
    def create_container(self, new: NewContainer) -> str:
        """Make it, not started; returns its id. Raises ``name_conflict`` when another was faster."""

    @abstractmethod
    def put_files(self, identity: str, archive: bytes) -> None:
        """Unpack a tar archive at the container's root; it need not run."""

    @abstractmethod
    def read_file(self, identity: str, path: str) -> bytes | None:
        """Content of a file in a container, which need not run; None where there is no such file."""

    @abstractmethod
    def start_container(self, identity: str) -> None:
        """Start it. Raises ``port_taken`` or ``address_taken`` when another was faster."""

    @abstractmethod
    def stop_container(self, identity: str, seconds: int) -> None:
        """Ask it to stop, and end it after ``seconds``."""

    @abstractmethod
    def resume_container(self, identity: str) -> None:
        """Let a paused one go on."""

    @abstractmethod
    def rename_container(self, identity: str, name: str) -> None:
        """Give it another name, also while it runs. Raises ``name_conflict`` when another container has that name."""

    @abstractmethod
    def remove_container(self, identity: str, seconds: int) -> None:
        """Stop it as above and remove it; one that is gone already is fine. Named volumes stay."""

    @property
    @abstractmethod
    def updatable(self) -> frozenset[str]:
        """Fields of Limits that can be changed while a container runs."""

    @abstractmethod
    def update_limits(self, identity: str, limits: Limits) -> None:
        """Change those limits of a running container that are not None."""

    @abstractmethod
    def logs(self, identity: str, lines: int) -> str:
        """The last lines that the container wrote; empty when they cannot be read."""

    @abstractmethod
    def call(
        self,
        arguments: Sequence[str],
        *,
        action: str,
        stdin: bytes | None = None,
        timeout: float | None = None,
        check: bool = True,
    ) -> CommandResult:
        """Run the engine's client. With ``check`` a failure raises its cause; ``action`` names it for a person."""

    def elsewhere(self, container: Container) -> KicError:
        """The failure of a daemon whose containers' processes are not visible here; the container itself is well."""
        why = f"{container.name} runs there as process {container.pid}, which is none of its own here"
        return failure("engine_elsewhere", engine=self.name, endpoint="its socket", why=why)

    def proxies(self) -> dict[str, str]:
        """Proxy variables that a new container gets by itself."""
        return {}

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
        """Run ``command`` inside a container. Values reach it as arguments or on standard input, never by a shell."""
        interactive = ["--interactive"] if stdin is not None else []
        return self.call(
            ["exec", *interactive, container, *command],
            action=action or f"running {command[0]} in {container}",
            stdin=stdin,
            timeout=timeout,
            check=check,
        )
