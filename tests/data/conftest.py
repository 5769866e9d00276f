"""Fixtures of raw data."""

from pathlib import Path

import pytest

from tests.data.files import write_clips


@pytest.fixture
def sample_raw(tmp_path: Path) -> Path:
    """data/raw/sample below tmp_path, all clips standing and moving forward for a second."""
    folder = tmp_path / "data" / "raw" / "sample"
    write_clips(folder)
    return folder
