"""CSV files that stages of the pipeline write and others read."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.runtime.bounds import check_exponents, check_text, one_line
from lib.runtime.errors import UserError
from lib.runtime.files import require_file


def read_csv(
    path: Path,
    remedy: str,
    numbers: Sequence[str] = (),
    text: Sequence[str] = (),
    least: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Read a table of at least so many rows, with columns of finite `numbers` and of `text`, and perhaps others.

    Text stays as it is: an action may be called 01, or NA.

    Raises:
        UserError: it is missing or damaged, or lacks a column; the message ends with the remedy.
    """
    require_file(path, remedy)
    try:
        check_text(path)
        content = path.read_bytes()
        check_exponents(content)
        table: pd.DataFrame = pd.read_csv(io.BytesIO(content), converters=dict.fromkeys(text, str), **options)
    except (ValueError, OverflowError, OSError, pd.errors.ParserError) as error:
        raise UserError(f"{path} is damaged ({one_line(str(error))}): {remedy}") from None
    if len(table) < least:
        raise UserError(f"{path} has no rows: {remedy}")
    for name in [*numbers, *text]:
        if name not in table:
            raise UserError(f"{path} has no column {name}: {remedy}")
    for name in numbers:
        column = pd.to_numeric(table[name], errors="coerce")
        if not np.isfinite(column.to_numpy(float)).all():
            raise UserError(f"{path}: {name} has something that is no number: {remedy}")
    return table
