"""A tree of packages has today's form, its links stay inside, and it says how its programs run."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import debian


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def package(folder: Path, name: str, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    """A package file with these files and links."""
    content = folder / name
    control = content / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        f"Package: {name}\nVersion: 1.2-3\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: test\n"
    )
    for path, text in files.items():
        (content / path).parent.mkdir(parents=True, exist_ok=True)
        (content / path).write_text(text)
        (content / path).chmod(0o4755)
    for path, goal in (links or {}).items():
        (content / path).parent.mkdir(parents=True, exist_ok=True)
        (content / path).symlink_to(goal)
    file = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", content, file], check=True, capture_output=True)
    return file


def test_old_and_new_places_of_libraries_are_one(tmp_path: Path, root: Path) -> None:
    old = package(tmp_path, "old", {"lib/x86_64-linux-gnu/libold.so.1": "old"})
    new = package(tmp_path, "new", {"usr/lib/x86_64-linux-gnu/libnew.so.1": "new"})
    debian._unpack([old, new], root)
    folder = root / "usr" / "lib" / "x86_64-linux-gnu"
    assert sorted(path.name for path in folder.iterdir()) == ["libnew.so.1", "libold.so.1"]
    assert os.readlink(root / "lib") == "usr/lib"
    tree = debian.Tree(root)
    assert tree.versions == {"old": "1.2-3", "new": "1.2-3"}
    assert tree.loader is None
    assert tree.environment == {"LD_LIBRARY_PATH": f"{folder}:{root}/usr/lib"}


def test_links_lead_to_what_is_in_the_tree_also_when_it_moves(tmp_path: Path, root: Path) -> None:
    links = {"usr/share/program/conf": "/etc/program", "usr/share/program/gone": "/etc/passwd"}
    file = package(tmp_path, "linked", {"etc/program/settings": "ours"}, links)
    debian._unpack([file], root)
    moved = root.rename(tmp_path / "moved")
    assert (moved / "usr/share/program/conf/settings").read_text() == "ours"
    assert os.readlink(moved / "usr/share/program/gone") == "/etc/passwd"


def test_no_program_of_the_cache_makes_a_user_root(tmp_path: Path, root: Path) -> None:
    debian._unpack([package(tmp_path, "risky", {"usr/bin/risky": "#!"})], root)
    assert stat.S_IMODE((root / "usr/bin/risky").stat().st_mode) == 0o755


def test_a_program_runs_by_the_trees_own_loader(tmp_path: Path, root: Path) -> None:
    file = package(
        tmp_path,
        "libc",
        {
            "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": "loader",
            "usr/lib/server/private/libown.so.3": "a library of one package alone",
            "usr/lib/server/plugin/ha_engine.so": "a plugin",
        },
    )
    debian._unpack([file], root)
    libraries = root / "usr" / "lib"
    folder = libraries / "x86_64-linux-gnu"
    tree = debian.Tree(root)
    assert tree.command("usr/sbin/serverd") == [
        f"{folder}/ld-linux-x86-64.so.2",
        "--library-path",
        f"{folder}:{libraries}:{libraries}/server/private",
        f"{root}/usr/sbin/serverd",
    ]
    assert tree.environment == {}


def test_a_broken_package_is_told_by_name(tmp_path: Path, root: Path) -> None:
    whole = package(tmp_path, "broken", {"usr/share/broken": "x" * 100_000})
    whole.write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(LocalStackError, match=r"broken\.deb"):
        debian._unpack([whole], root)
