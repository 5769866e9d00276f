"""Tables of runs: a CSV file with a row a run, which is known again by what decides its figures."""

import ast
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lib.runtime.csv_files import read_csv
from lib.runtime.files import replacing

# What decides the figures of a run: not how it looks, nor how tables of runs are made.
SECTIONS = ("seed", "data", "prior", "losses", "masking", "training", "finetune", "evaluation")
NO_MATTER = {"training": ("device", "devices", "threads"), "evaluation": ("device", "batch_size")}
ROOMS = ("pose", "sequences", "sources", "data", "prior", "models", "objectives", "training", "inference", "evaluation")
LIB = Path(__file__).parents[1]


class Runs:
    """A table of runs in a file; `once` adds a row, unless the file has the run."""

    def __init__(self, path: Path, raw: Path, split: str) -> None:
        self.path, self.split, self.rows = path, split, _read(path)
        self.made_with = {"code": code_hash(), "data": data_hash(raw)}

    def once(
        self, named: Mapping[str, object], params: Mapping[str, Any], measure: Callable[[], dict[str, object]]
    ) -> dict[str, Any]:
        """The run with these names and params, from the file or measured now and written down."""
        data = params["data"]
        run = {"source": data["source"], "keypoints": data["keypoints"], "split": self.split, "seed": params["seed"]}
        row = {**named, **run, "params": short_hash(deciding(params)), **self.made_with}
        known = [old for old in self.rows if all(str(old.get(key)) == str(value) for key, value in row.items())]
        if not known:
            known = [{**row, **measure()}]
            self.rows += known
            with replacing(self.path) as temporary:
                pd.DataFrame(self.rows).to_csv(temporary, index=False)
        return known[-1]


def deciding(params: Mapping[str, Any]) -> dict[str, Any]:
    """The params that decide the figures of a run, with the numbers of the chosen network alone."""
    kept: dict[str, Any] = {name: params[name] for name in SECTIONS}
    for name, keys in NO_MATTER.items():
        kept[name] = {key: value for key, value in params[name].items() if key not in keys}
    model = params["model"]
    return {**kept, "model": [model["name"], model[model["name"]][model["size"]]]}


def short_hash(content: object) -> str:
    """Twelve characters that stand for plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def code_hash(lib: Path = LIB) -> str:
    """What stands for the code that decides figures: comments, docstrings and the layout of lines do not count."""
    files = sorted(path for room in ROOMS for path in (lib / room).rglob("*") if path.suffix in (".py", ".json"))
    return short_hash([(str(path.relative_to(lib)), _meaning(path)) for path in files])


def data_hash(raw: Path) -> str:
    """What stands for a source's raw files: their names, sizes and times, for their content would take minutes."""
    files = sorted(path for path in raw.rglob("*") if path.is_file())
    return short_hash([(str(path.relative_to(raw)), path.stat().st_size, path.stat().st_mtime) for path in files])


def mean_and_std(values: "pd.Series[float]") -> str:
    """A mean, and over several runs the standard deviation."""
    return f"{values.mean():.1f}" + (f" +- {values.std():.1f}" if len(values) > 1 else "")


def _meaning(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    table = read_csv(path, "delete it, or restore it with git checkout", dtype=str)
    rows = table.to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]
