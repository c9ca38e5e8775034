"""The cache's folders are keyed by their own part of pom.xml."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc_pipeline.local import downloads

POM = Path(downloads.__file__).with_name("pom.xml").read_text()
FOLDERS = ("kafka", "plugins", "mysql", "mariadb", "postgresql")


def fingerprints(monkeypatch: pytest.MonkeyPatch, folder: Path, pom: str) -> dict[str, str]:
    (folder / "pom.xml").write_text(pom)
    monkeypatch.setattr(downloads, "_POM", folder / "pom.xml")
    return {name: downloads._fingerprint(name) for name in FOLDERS}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("<includes>**/linux/**<", "<includes>**/linux64/**<", {"mariadb"}),
        ("mysql-Linux-amd64.tar.gz", "mysql-Linux-x86_64.tar.gz", {"mysql"}),
        ("<kafka.version>4.3.0<", "<kafka.version>4.4.0<", set(FOLDERS)),  # properties may matter to each
        ("Every Java artifact", "Each Java artifact", set()),  # a comment
    ],
)
def test_a_changed_line_fetches_its_own_folder_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, old: str, new: str, changed: set[str]
) -> None:
    before = fingerprints(monkeypatch, tmp_path, POM)
    assert POM.count(old) == 1
    after = fingerprints(monkeypatch, tmp_path, POM.replace(old, new))
    assert {name for name in FOLDERS if before[name] != after[name]} == changed
