"""Fixtures that several folders of tests use."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from tests.data.files import h36m_takes, write_clips, write_h36m
from tests.project import Project, new_project

settings.register_profile("project", deadline=None)  # on a busy machine anything can take long
settings.load_profile("project")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests are small operations, in which several threads only wait for each other: minutes, on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture
def h36m_raw(tmp_path: Path) -> Path:
    """data/raw/h36m below tmp_path: S1, S8 and S9 in two actions of 30 frames, ground-truth 2D named gt."""
    folder = tmp_path / "data" / "raw" / "h36m"
    write_h36m(folder, *h36m_takes())
    return folder


@pytest.fixture
def sample_raw(tmp_path: Path) -> Path:
    """data/raw/sample below tmp_path, all clips standing and moving forward for a second."""
    folder = tmp_path / "data" / "raw" / "sample"
    write_clips(folder)
    return folder


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project after its first `dvc repro`, made once for all workers; tests leave it as they found it."""
    folder = tmp_path_factory.getbasetemp()
    made = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "made"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            new_project(tmp_path_factory.mktemp("project")).root.rename(made)
    return Project(shutil.copytree(made, tmp_path_factory.mktemp("project"), symlinks=True, dirs_exist_ok=True))
