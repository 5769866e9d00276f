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

INSTEAD = "run the same command again, one at a time; `dvc exp run --queue` and `--temp` are for several"
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
                name, old, new = _first_change(key, value, now)
                what = f"{name} was {shown(old)} when this began, and is {shown(new)} by now"
                raise UserError(f"params.yaml: {what}; DVC records nothing: {INSTEAD}")
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
            f"params.yaml is not as the stage check has seen it, since something changed it: {INSTEAD}, and "
            "`dvc repro check` comes before a single stage"
        )


def _filled(text: str, params: Mapping[str, Any]) -> str:
    """A name of dvc.yaml, with the values of params.yaml that it has as ${KEY}."""
    return re.sub(r"\$\{([\w.]+)\}", lambda found: str(_value(params, found[1])), text)


def _value(params: Any, key: str) -> Any:
    for part in key.split("."):
        params = params.get(part) if isinstance(params, Mapping) else None
    return params


def _first_change(key: str, old: Any, new: Any) -> tuple[str, Any, Any]:
    """The first value within two that differ, with its dotted key."""
    while isinstance(old, Mapping) and isinstance(new, Mapping):
        inner = next(name for name in [*old, *new] if old.get(name) != new.get(name))
        key, old, new = f"{key}.{inner}", old.get(inner), new.get(inner)
    return key, old, new


def _signature(path: Path) -> Signature:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    found = ((file.as_posix(), file.stat()) for file in files if file.exists())
    return tuple((name, about.st_size, about.st_mtime_ns) for name, about in found)
