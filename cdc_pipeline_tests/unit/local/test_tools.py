"""What the machine lacks is named at once; a library is found by either of its names; certificates become Java's."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from cdc_pipeline.errors import ToolsMissing
from cdc_pipeline.local import debian, tools
from cdc_pipeline.local.tools import Tool
from cdc_pipeline.local.truststore import PASSWORD, machines_certificates, write_truststore


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of this release that was fetched into a cache of the test's own."""
    monkeypatch.setenv("CDC_PIPELINE_CACHE", str(tmp_path))
    folder = tmp_path / f"{debian._prefix(None)}-fetched"
    folder.mkdir()
    return folder


def file_in(tree: Path, path: str) -> Path:
    place = tree / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("")
    return place


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libaio.so.1", "libaio1"),
        ("libstdc++.so.6", "libstdc++6"),
        ("libgcc_s.so.1", "libgcc-s1"),
        ("libssl.so.1.1", "libssl1.1"),
        ("libglib-2.0.so.0", "libglib-2.0-0"),
        ("libz.so.1", "zlib1g"),
    ],
)
def test_debians_rule_names_a_librarys_package(library: str, package: str) -> None:
    assert tools.library(library).package == package


def test_all_that_is_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "is_possible", lambda: False)
    there = Tool("a tool that is there", "there", lambda: True)
    with pytest.raises(ToolsMissing) as told:
        tools.get([Tool("one", "package-1", lambda: None), there, Tool("two", "package-2", lambda: None)], print)
    assert str(told.value) == (
        "This machine lacks one, two. On Debian and Ubuntu, as root: apt-get install --no-install-recommends "
        "package-1 package-2"
    )


def test_nothing_is_said_when_nothing_is_missing() -> None:
    said: list[str] = []
    tools.get([Tool("a tool that is there", "there", lambda: True)], said.append)
    assert said == []


@pytest.mark.parametrize("suffix", ["", "t64"])
def test_a_library_of_the_cache_has_the_name_that_programs_ask_for(tree: Path, suffix: str) -> None:
    renamed = file_in(tree, f"usr/lib/x86_64-linux-gnu/libnowhere.so.7{suffix}")
    assert tools.find_library("libnowhere.so.7") == renamed
    folder = tools._link(["libnowhere.so.7"])
    assert (folder / "libnowhere.so.7").samefile(renamed)
    shutil.rmtree(tree)
    assert tools.find_library("libnowhere.so.7") is None


def test_a_link_to_a_library_that_is_gone_is_made_anew(tree: Path) -> None:
    old = file_in(tree, "usr/lib/x86_64-linux-gnu/libnowhere.so.7t64")
    tools._link(["libnowhere.so.7"])
    old.unlink()
    new = file_in(tree, "usr/lib/x86_64-linux-gnu/libnowhere.so.7")
    assert (tools._link(["libnowhere.so.7"]) / "libnowhere.so.7").samefile(new)


def test_a_library_of_the_machine_needs_no_folder() -> None:
    assert tools.find_library("libc.so.6") == Path("libc.so.6")
    assert tools.find_library("libnowhere.so.7") is None


def test_a_java_that_lacks_a_module_is_none(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    program = file_in(tree, "usr/lib/jvm/java-21/bin/java")
    program.chmod(0o755)
    for modules, found in (("java.base@21", None), ("java.base@11\njdk.charsets@11", None)):
        program.write_text(f"#!/bin/sh\necho '{modules}'\n")
        assert tools.find_java() is found
    program.write_text("#!/bin/sh\necho 'java.base@21.0.9'\necho 'jdk.charsets@21.0.9'\n")
    assert tools.find_java() == program


def test_java_reads_the_machines_certificates(tmp_path: Path) -> None:
    certificates = machines_certificates()
    assert certificates, "this machine trusts nobody"
    file = tmp_path / "cacerts"
    write_truststore(file, certificates)
    java = tools.find_java()
    assert java is not None
    keytool = os.path.realpath(java).replace("/bin/java", "/bin/keytool")
    listing = subprocess.run(
        [keytool, "-list", "-keystore", file, "-storepass", PASSWORD], capture_output=True, text=True, check=True
    )
    assert f"contains {len(set(certificates))} entries" in listing.stdout


def test_certificates_of_a_folder_serve_where_the_machine_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = machines_certificates()[:2]
    for number, certificate in enumerate(some):
        (tmp_path / f"authority{number}.crt").write_text(ssl.DER_cert_to_PEM_cert(certificate))
    monkeypatch.setattr("ssl.get_default_verify_paths", lambda: SimpleNamespace(cafile=None, openssl_cafile=None))
    monkeypatch.setattr("cdc_pipeline.local.truststore._BUNDLES", ())
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert machines_certificates() == []
    assert machines_certificates(or_those_of=tmp_path) == some
