"""What every server of the stack has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from cdc_pipeline.local import names, processes, programs, versions
from cdc_pipeline.local.programs import Programs
from cdc_pipeline.local.site import Site


class Server(ABC):
    """One server, known by its name; each kind has a small file of its own."""

    kind: str
    needs: tuple[str, ...] = ()  # kinds of servers that must answer before this one is started
    keeps_data = True  # which only its own version may open

    def __init__(self, name: str | None = None) -> None:
        self.asked = names.parse(name or self.kind)
        self.name = self.asked.text

    @property
    def ports(self) -> tuple[str, ...]:
        """The names of the ports that it listens on."""
        return (self.name,)

    @abstractmethod
    def prepare(self, site: Site) -> None:
        """Get the programs and make the data directory; called at each start, before `needs` are up."""

    @abstractmethod
    def start(self, site: Site) -> None:
        """Start the process and return when it answers; raise LocalStackError when it does not."""

    @abstractmethod
    def answers(self, site: Site) -> bool:
        """Whether it serves now."""

    @abstractmethod
    def url(self, site: Site) -> str:
        """Where it serves, with the credentials."""

    def stop(self, site: Site) -> bool:
        """End the process that we started; False if it did not run."""
        return processes.end(site)

    def version(self, site: Site) -> str:
        """The version that the name states; else the one that this home chose when it first needed one.

        A data directory never meets another major version than its own, whatever the default is by then.
        """
        known = self.known_version(site)
        if known is not None:
            return known
        candidates = versions.DEFAULTS[self.kind]
        if (site.folder / "files" / "data").exists():
            candidates = candidates[-2:]  # data without a record are older than what was added before these
        chosen = programs.first_to_be_had(self.kind, candidates, site.report)
        site.make_folder()
        (site.folder / "version").write_text(chosen + "\n")
        return chosen

    def known_version(self, site: Site) -> str | None:
        """The same; None where it has not been chosen yet."""
        if self.asked.version is not None:
            return self.asked.version
        if not self.keeps_data:
            return versions.DEFAULTS[self.kind][0]
        record = site.folder / "version"
        return record.read_text().strip() if record.exists() else None

    def programs(self, site: Site) -> Programs:
        """Its programs, fetched if need be."""
        return programs.of(self.kind, self.version(site), site.report)
