"""The command's fetching and its table, with packages made here."""

import argparse
import sys
import zipfile
from pathlib import Path

import pytest

from lib.runtime.errors import UserError
from lib.runtime.files import sha256
from lib.runtime.paths import Paths
from lib.sources.parcels import Parcel
from lib.sources.wild import Row
from stages import wild
from tests.settings import PARAMS


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with packages of one file each in place of the real ones."""
    folder = tmp_path / "packages"
    folder.mkdir()

    def parcel(name: str) -> Parcel:
        with zipfile.ZipFile(folder / f"{name}.whl", "w") as archive:
            archive.writestr("inside/file", name)
        members = {"inside/file": f"{name}.bin"}
        return Parcel(f"{name}==1", f"{name}.whl", sha256(folder / f"{name}.whl"), 1, f"{name}s", members)

    monkeypatch.setattr(wild, "fetch_detector", lambda folder, packages: None)
    monkeypatch.setattr(wild, "PARCELS", {name: (parcel(name), "MIT licence") for name in ("a", "b")})
    monkeypatch.setattr(wild, "HEAVY", {"heavy": (parcel("heavy"), "Apache licence")})
    return folder


def test_fetches_what_is_not_there_into_folders_of_its_own(tmp_path: Path, packages: Path) -> None:
    target = tmp_path / "wild"
    wild.fetch(target, "full", packages)
    assert {path.relative_to(target).as_posix() for path in target.rglob("*.*")} == {
        *("a/a.bin", "a/README.txt", "b/b.bin", "b/README.txt"),
    }
    assert (target / "a" / "README.txt").read_text().startswith("Taken unchanged from a==1 (MIT licence)")
    (target / "a" / "a.bin").write_text("kept")
    wild.fetch(target, "heavy", packages)
    assert (target / "a" / "a.bin").read_text() == "kept"
    assert (target / "heavy" / "heavy.bin").read_text() == "heavy"


def test_the_table_has_a_cell_a_column() -> None:
    row = Row("balance", "man", "cam01", 100, 98, 14.04, 7.36, 5.9, 0.92, 0.004)
    cells = wild.cells(row)
    assert len(cells) == len(wild.ROWS)
    assert cells == ("balance", "man", "cam01", "100", "98", "14.0", "7.4", "5.9", "92%", "0%")


def test_without_a_checkpoint_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wild, "litert", lambda: None)
    arguments = argparse.Namespace(prepare=True, model="full", packages=None, checkpoint=None)
    with pytest.raises(UserError, match="finetuned.pt is missing"):
        wild.run(arguments, PARAMS, Paths(tmp_path))
    assert not list(tmp_path.iterdir())


def test_without_litert_nothing_is_fetched_either(
    tmp_path: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(UserError, match=r"`pip install -r requirements-video\.txt`"):
        wild.run(
            argparse.Namespace(prepare=True, model="full", packages=packages, checkpoint=None), PARAMS, Paths(tmp_path)
        )
    assert not Paths(tmp_path).raw("wild").exists()
