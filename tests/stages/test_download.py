"""The download stage on a wheel made here; no network but for a port that nobody listens on."""

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lib.runtime.errors import UserError
from lib.runtime.files import sha256
from lib.runtime.paths import Paths
from lib.sources import clips
from stages.download import run

ALL_CLIPS = sum(clips.CLIPS.values(), ())


def params(source: str = "sample") -> dict[str, Any]:
    return {"data": {"source": source, "keypoints": "gt", "split": {}, "min_frames": 1, "window": {"frames": 1}}}


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with the clips, a motion of a robot, and the licence; its digest is the expected one."""
    path = tmp_path / clips.PARCEL.file
    with zipfile.ZipFile(path, "w") as archive:
        for clip in ALL_CLIPS:
            archive.writestr(f"pybullet_data/data/motions/{clips.file_name(clip)}", f"motion of {clip}")
        archive.writestr("pybullet_data/data/motions/laikago_walk.txt", "a robot")
        archive.writestr("pybullet-3.2.7.dist-info/LICENSE.txt", "licence")
    monkeypatch.setattr(clips, "PARCEL", clips.PARCEL._replace(sha256=sha256(path)))
    return path


def pip(tmp_path: Path, script: str) -> str:
    """A stand-in for the Python that runs pip."""
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_takes_the_clips_and_the_licence_and_nothing_else(tmp_path: Path, wheel: Path) -> None:
    run(params(), Paths(tmp_path), wheel)
    folder = Paths(tmp_path).raw("sample")
    expected = {clips.file_name(clip) for clip in ALL_CLIPS} | {"README.txt", "PYBULLET-LICENSE.txt"}
    assert {path.name for path in folder.iterdir()} == expected
    assert (folder / clips.file_name("dance_b")).read_text() == "motion of dance_b"
    assert "MIT" in (folder / "README.txt").read_text()
    assert [path.name for path in folder.parent.iterdir()] == ["sample"]


def test_replaces_what_is_there(tmp_path: Path, wheel: Path) -> None:
    folder = Paths(tmp_path).raw("sample")
    folder.mkdir(parents=True)
    (folder / "old.txt").touch()
    run(params(), Paths(tmp_path), wheel)
    assert not (folder / "old.txt").exists()


def test_another_source_needs_no_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    Paths(tmp_path).raw("h36m").mkdir(parents=True)
    run(params("h36m"), Paths(tmp_path))
    (note,) = Paths(tmp_path).raw("sample").iterdir()
    assert note.read_text() == "Nothing is downloaded for data.source = h36m.\n"


def test_a_source_without_a_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.source = 'h36n': there is no folder .*data/raw/h36n; "):
        run(params("h36n"), Paths(tmp_path))
    assert not Paths(tmp_path).raw("sample").exists()


def test_asks_pip_for_the_wheel_of_any_system(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_folder = 'while [ "$1" != --dest ]; do shift; done'
    script = f'echo "$@" > {tmp_path}/arguments\n{find_folder}\ncp {wheel} "$2"'
    monkeypatch.setattr(sys, "executable", pip(tmp_path, script))
    run(params(), Paths(tmp_path))
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("-m pip download --no-deps --only-binary=:all: ")
    assert arguments.endswith("--platform manylinux2014_x86_64 --python-version 311 pybullet==3.2.7\n")
    assert (Paths(tmp_path).raw("sample") / clips.file_name("walk")).exists()
    assert "downloading pybullet==3.2.7" in capsys.readouterr().out


def test_a_wheel_with_another_digest_is_refused_and_nothing_changes(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(params(), Paths(tmp_path), wheel)
    monkeypatch.setattr(clips, "PARCEL", clips.PARCEL._replace(sha256="0" * 64))
    with pytest.raises(UserError, match=rf"{clips.PARCEL.file} has the sha256 {sha256(wheel)}, not 0{{64}}: "):
        run(params(), Paths(tmp_path), wheel)
    folder = Paths(tmp_path).raw("sample")
    assert (folder / clips.file_name("walk")).exists()
    assert [path.name for path in folder.parent.iterdir()] == ["sample"]


def test_without_network_the_error_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/simple", "EXTRA_INDEX_URL": "", "RETRIES": "0"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    for name in ("FIND_LINKS", "NO_INDEX"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(
        UserError, match=r"pip could not download pybullet==3\.2\.7 \(.*\): check the connection"
    ) as caught:
        run(params(), Paths(tmp_path))
    assert "\n" not in str(caught.value)
    assert not Paths(tmp_path).raw("sample").exists()


def test_a_python_without_pip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = pip(tmp_path, f'echo "{tmp_path}/python: No module named pip" >&2; exit 1')
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(UserError, match=r"/python has no pip, .*: run `python -m ensurepip`"):
        run(params(), Paths(tmp_path))


def test_pip_that_brings_no_wheel_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", pip(tmp_path, "exit 0"))
    with pytest.raises(UserError, match=r"pip could not download pybullet==3\.2\.7 \(no file\)"):
        run(params(), Paths(tmp_path))
