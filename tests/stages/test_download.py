"""The download stage on a wheel made here; no network but for a port that nobody listens on."""

import copy
import sys
import zipfile
from pathlib import Path

import pytest

from lib.runtime.errors import UserError
from lib.runtime.files import sha256
from lib.runtime.paths import Paths
from lib.sources import clips
from stages import check
from stages.download import run
from tests.settings import PARAMS

ALL_CLIPS = sum(clips.CLIPS.values(), ())


def needing(root: Path, what: str = clips.SAMPLE) -> Paths:
    """The files after a check that found so."""
    paths = Paths(root)
    paths.downloads.parent.mkdir(parents=True, exist_ok=True)
    paths.downloads.write_text(f"{what}\n")
    return paths


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
    run({}, needing(tmp_path), wheel)
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
    run({}, needing(tmp_path), wheel)
    assert not (folder / "old.txt").exists()


def test_a_file_in_its_place_stays(tmp_path: Path, wheel: Path) -> None:
    folder = Paths(tmp_path).raw("sample")
    folder.parent.mkdir(parents=True)
    folder.write_text("mine")
    with pytest.raises(UserError, match="sample is a file, where a folder belongs: move it elsewhere"):
        run({}, needing(tmp_path), wheel)
    assert folder.read_text() == "mine"


def test_another_source_needs_no_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    run({}, needing(tmp_path, "nothing"))
    (note,) = Paths(tmp_path).raw("sample").iterdir()
    assert note.read_text() == "Nothing is downloaded: params.yaml does not name the sample.\n"


def test_the_check_comes_first(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"downloads\.txt is missing: run dvc repro check"):
        run({}, Paths(tmp_path))
    assert not Paths(tmp_path).raw("sample").exists()


@pytest.mark.parametrize(
    ("source", "tested", "needed"),
    [
        ("sample", "same", "sample"),
        ("bvh", "sample", "sample"),
        ("bvh", "same", "nothing"),
        ("sample", "bvh", "sample"),
    ],
)
def test_the_check_says_whether_the_sample_is_needed(source: str, tested: str, needed: str, tmp_path: Path) -> None:
    params, paths = copy.deepcopy(PARAMS), Paths(tmp_path)
    params["data"]["source"] = source
    params["evaluation"] |= {"source": tested, "subjects": ["S9"]}
    if "bvh" in (source, tested):
        with pytest.raises(UserError, match=r"source = 'bvh': there is no folder"):
            check.run(params, paths)
    paths.raw("bvh").mkdir(parents=True)
    check.run(params, paths)
    assert paths.downloads.read_text() == f"{needed}\n"


def test_asks_pip_for_the_wheel_of_any_system(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find_folder = 'while [ "$1" != --dest ]; do shift; done'
    script = f'echo "$@" > {tmp_path}/arguments\n{find_folder}\ncp {wheel} "$2"'
    monkeypatch.setattr(sys, "executable", pip(tmp_path, script))
    run({}, needing(tmp_path))
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("-m pip download --no-deps --only-binary=:all: ")
    assert arguments.endswith("--platform manylinux2014_x86_64 --python-version 311 pybullet==3.2.7\n")
    assert (Paths(tmp_path).raw("sample") / clips.file_name("walk")).exists()
    assert "downloading pybullet==3.2.7" in capsys.readouterr().out


def test_a_wheel_with_another_digest_is_refused_and_nothing_changes(
    tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run({}, needing(tmp_path), wheel)
    monkeypatch.setattr(clips, "PARCEL", clips.PARCEL._replace(sha256="0" * 64))
    with pytest.raises(UserError, match=rf"{clips.PARCEL.file} has the sha256 {sha256(wheel)}, not 0{{64}}: "):
        run({}, needing(tmp_path), wheel)
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
        run({}, needing(tmp_path))
    assert "\n" not in str(caught.value)
    assert not Paths(tmp_path).raw("sample").exists()


def test_a_python_without_pip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = pip(tmp_path, f'echo "{tmp_path}/python: No module named pip" >&2; exit 1')
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(UserError, match=r"/python has no pip, .*: run `python -m ensurepip`"):
        run({}, needing(tmp_path))


def test_pip_that_brings_no_wheel_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", pip(tmp_path, "exit 0"))
    with pytest.raises(UserError, match=r"pip could not download pybullet==3\.2\.7 \(no file\)"):
        run({}, needing(tmp_path))
