"""`python -m cdc_pipeline.local.prerequisites demo`: what the machine itself must have, before anything else is done.

The Makefile asks for it first, by the Python that will make .venv. Standard library only.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.local import debian, downloads, programs, tools, versions
from cdc_pipeline.local.site import Report

# What the servers from Maven are linked to, beside the C library.
LIBRARIES = {
    "mysql": ("libaio.so.1", "libnuma.so.1", "libcrypt.so.1", "libstdc++.so.6"),
    "mariadb": ("libsystemd.so.0", "libcrypt.so.1", "libstdc++.so.6"),
}


def of(purpose: str) -> list[tools.Tool]:
    """What `make setup`, `make demo` or `make test` need."""
    needed = [] if _in_an_environment() else [tools.ENSUREPIP]
    if purpose in ("demo", "test"):
        needed += servers()
    if purpose == "test":
        needed += [tools.CHROMIUM, *_of_databases(("mariadb",)), *_maven_for({"h2": {}})]
    return list(dict.fromkeys(needed))


def servers() -> list[tools.Tool]:
    """What the embedded servers need."""
    return [*_maven_for({"kafka": {}, "plugins": {}}), tools.JAVA, *_of_databases(("mysql", "postgresql"))]


def _of_databases(kinds: Sequence[str]) -> list[tools.Tool]:
    """What the default versions of these servers need."""
    needed = []
    for kind in kinds:
        origin = _default(kind)
        if isinstance(origin, versions.Maven):
            needed += [*_maven_for({kind: origin.versions}), *map(tools.library, LIBRARIES.get(kind, ()))]
    return needed


def _default(kind: str) -> versions.Origin:
    """Where the first version comes from that this machine can have."""
    *preferred, last = (versions.origin_of(kind, version) for version in versions.DEFAULTS[kind])
    return next((origin for origin in preferred if _can_be_had(origin)), last)


def _can_be_had(origin: versions.Origin) -> bool:
    if isinstance(origin, versions.Installed):
        return programs.installed(origin.program) is not None
    return debian.is_possible() and debian.is_debian() if isinstance(origin, versions.Debian) else True


def _maven_for(folders: Mapping[str, downloads.Versions]) -> list[tools.Tool]:
    """Maven comes first where it is needed: Debian's brings a Java."""
    there = all(downloads.is_kept(name, wanted) for name, wanted in folders.items())
    return [] if there else [tools.MAVEN]


def provide(purpose: str, report: Report) -> None:
    """Get all that is missing, told at once."""
    tools.get(of(purpose), report)


def _in_an_environment() -> bool:
    return sys.prefix != sys.base_prefix


def main(arguments: Sequence[str]) -> int:
    try:
        provide(arguments[0], lambda line: print(line, file=sys.stderr, flush=True))
    except CdcPipelineError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
