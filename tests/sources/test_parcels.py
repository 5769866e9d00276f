"""Packages made here; stand-ins for pip and npm, no network."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from lib.runtime.errors import UserError
from lib.runtime.files import sha256
from lib.sources.parcels import Parcel, contents_of, fetch

MEMBERS = {"package/deep/wanted.bin": "wanted.bin"}


def wheel(folder: Path) -> Path:
    path = folder / "things-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/deep/wanted.bin", b"\x00wanted")
        archive.writestr("package/other.txt", "not wanted")
    return path


def tarball(folder: Path) -> Path:
    path = folder / "scope-things-1.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"package/deep/wanted.bin": b"\x00wanted", "package/other.txt": b"not wanted"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize("make", [wheel, tarball])
def test_takes_what_is_wanted_and_nothing_else(tmp_path: Path, make: type[Path]) -> None:
    file = make(tmp_path)
    fetch(Parcel("things==1.0", file.name, sha256(file), 1, "tests", MEMBERS), tmp_path / "to" / "x", "note", file)
    assert {path.name for path in (tmp_path / "to" / "x").iterdir()} == {"wanted.bin", "README.txt"}
    assert (tmp_path / "to" / "x" / "wanted.bin").read_bytes() == b"\x00wanted"
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["x"]


def test_members_that_are_there_are_not_fetched_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, target = wheel(tmp_path), tmp_path / "x"
    parcel = Parcel("things==1.0", file.name, sha256(file), 1, "tests", MEMBERS)
    fetch(parcel, target, "note", file)
    known = parcel._replace(contents=contents_of(parcel, target) or "")
    (target / "old").touch()
    fetch(known, target, "another note", tmp_path / "nowhere")
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        "wanted.bin": b"\x00wanted",
        "README.txt": b"another note",
    }
    assert "nothing to download" in capsys.readouterr().out
    (target / "wanted.bin").write_bytes(b"damaged")
    fetch(known, target, "note", file)
    assert (target / "wanted.bin").read_bytes() == b"\x00wanted"


def test_a_wrong_digest_is_refused_and_the_folder_stays(tmp_path: Path) -> None:
    file = wheel(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old").touch()
    with pytest.raises(UserError, match=rf"^{file.name} has the sha256 {sha256(file)}, not 0{{64}}: "):
        fetch(Parcel("things==1.0", file.name, "0" * 64, 1, "tests", MEMBERS), tmp_path / "x", "note", file)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["old"]


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An npm on the path."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "bin" / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")


def npm_parcel(file: Path) -> Parcel:
    return Parcel("@scope/things@1.0", file.name, sha256(file), 1, "tests", MEMBERS, client="npm")


def test_npm_packs_what_pip_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tarball(tmp_path)
    find_folder = 'while [ "$1" != --pack-destination ]; do shift; done'
    stand_in(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/arguments\n{find_folder}\ncp {file} "$2"')
    fetch(npm_parcel(file), tmp_path / "x", "note")
    assert (tmp_path / "x" / "wanted.bin").is_file()
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("pack ") and arguments.endswith(" @scope/things@1.0\n")
    assert "downloading @scope/things@1.0 (1 MB) for tests" in capsys.readouterr().out


def test_npm_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tarball(tmp_path)
    stand_in(tmp_path, monkeypatch, 'echo "npm error code E404" >&2; exit 1')
    with pytest.raises(UserError, match=r"^npm could not download @scope/things@1\.0 \(npm error code E404\): check"):
        fetch(npm_parcel(file), tmp_path / "x", "note")


def test_a_system_without_npm_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tarball(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"^this system has no npm, which fetches @scope/things@1\.0: install Node\.js"):
        fetch(npm_parcel(file), tmp_path / "x", "note")
    assert not (tmp_path / "x").exists()
