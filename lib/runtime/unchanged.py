"""Params and data that change while a stage runs: DVC would record what it made as made from the new ones.

DVC writes the params of `dvc exp run -S` before it finds out that another one is running, and looks at params.yaml and
at data when a stage ends. So stages compare both with what they began with. Without DVC, nothing is recorded.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.runtime import plain_yaml
from lib.runtime.allowed import shown
from lib.runtime.errors import UserError
from lib.runtime.params import read

INSTEAD = (
    "put it back (git checkout params.yaml), and `dvc repro` goes on where this stopped; "
    "`dvc exp run --queue` and `--temp` are for several experiments at a time"
)
Signature = tuple[tuple[str, int, int], ...]  # of a file, or of all files of a folder: names, sizes and times


@dataclass(frozen=True)
class Inputs:
    """What a stage that DVC runs began with, as dvc.yaml declares it; nothing without DVC."""

    root: Path = Path()
    values: Mapping[str, Any] = field(default_factory=dict)  # of params.yaml, by dotted keys
    files: Mapping[str, Signature] = field(default_factory=dict)  # of data

    @classmethod
    def of(cls, params: Mapping[str, Any], root: Path = Path()) -> "Inputs":
        """Those of the stage that this process runs for DVC."""
        stage = os.environ.get("DVC_STAGE", "").rpartition(":")[2]
        if not stage or not (root / "dvc.yaml").is_file():
            return cls()
        declared = plain_yaml.load(root / "dvc.yaml")["stages"].get(stage, {})
        keys, paths = ([_filled(name, params) for name in declared.get(kind, ())] for kind in ("params", "deps"))
        files = {path: _signature(root / path) for path in paths if path.startswith("data/") or path == "params.yaml"}
        return cls(root, {key: _value(params, key) for key in keys}, files)

    def check(self) -> None:
        """Refuse to go on with what is not the same any more.

        Raises:
            UserError: naming the first param or file.
        """
        params = read(self.root / "params.yaml") if self.values else {}
        for key, value in self.values.items():
            if (now := _value(params, key)) != value:
                what = f"{key} was {shown(value)} when this began, and is {shown(now)} by now"
                raise UserError(f"params.yaml has changed: {what}; DVC records nothing: {INSTEAD}")
        for path, signature in self.files.items():
            if _signature(self.root / path) != signature:
                raise UserError(
                    f"{path} has changed while this was running; DVC records nothing: run `dvc repro` again"
                )


def check_params_file(root: Path = Path()) -> None:
    """Refuse, in a stage that DVC runs, a params.yaml that is not the one that the stage check has seen before it.

    Raises:
        UserError: it was changed since DVC began, or the stage check has never seen it.
    """
    lock, path = root / "dvc.lock", root / "params.yaml"
    if os.environ.get("DVC_STAGE", "check") == "check" or not lock.is_file():
        return
    seen = re.search(r"^ *- path: params\.yaml\n *hash: md5\n *md5: (\w+)$", lock.read_text(encoding="utf-8"), re.M)
    if seen and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != seen[1]:
        raise UserError(
            f"params.yaml is not the one that `dvc repro` began with: run it again, or {INSTEAD}; "
            "for a single stage, run `dvc repro check` first"
        )


def _filled(text: str, params: Mapping[str, Any]) -> str:
    """A name of dvc.yaml, with the values of params.yaml that it has as ${KEY}."""
    return re.sub(r"\$\{([\w.]+)\}", lambda found: str(_value(params, found[1])), text)


def _value(params: Any, key: str) -> Any:
    for part in key.split("."):
        params = params.get(part) if isinstance(params, Mapping) else None
    return params


def _signature(path: Path) -> Signature:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found = ((file.as_posix(), file.stat()) for file in files if file.exists())
    return tuple((name, about.st_size, about.st_mtime_ns) for name, about in found)
