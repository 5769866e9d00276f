"""A file of recordings gives back what was written."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lib.runtime.errors import UserError
from lib.sources.recordings import Recording, read, write
from tests.pose.test_triangulation import CAMERAS


def recording(number: int) -> Recording:
    generator = torch.Generator().manual_seed(number)
    keypoints, reference = (torch.randn(4, 33, size, generator=generator) for size in (2, 3))
    keypoints[0], reference[1] = torch.nan, torch.nan
    flags = torch.rand(2, 4, 33, generator=generator) > 0.5
    confidence, error = torch.rand(2, 4, 33, generator=generator)
    return Recording("walk", f"p{number}", CAMERAS[number], 60.0, keypoints, confidence, reference, error, *flags)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    recordings = [recording(0), recording(1)]
    write(tmp_path / "a.npz", recordings)
    for got, expected in zip(read(tmp_path / "a.npz"), recordings, strict=True):
        for one, other in zip(got, expected, strict=True):
            if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
                torch.testing.assert_close(one, other, equal_nan=True, atol=0, rtol=0)
            else:
                assert one == other
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_a_file_that_is_missing_or_damaged_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.npz is missing: run `python -m stages\.wild --prepare`"):
        read(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"PK no zip")
    with pytest.raises(UserError, match=r"a\.npz is no file of recordings"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", other=np.zeros(3))
    with pytest.raises(UserError, match=r"a\.npz is no file of recordings"):
        read(tmp_path / "a.npz")
