"""Other values for params.yaml, checked before DVC runs an experiment with them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lib.experiments.variants import Changes, changed
from lib.pipeline.sections import check_params
from lib.runtime.errors import UserError
from lib.runtime.params import read
from lib.runtime.paths import Paths

PATIENCE = 30  # seconds for DVC to end in


def read_overrides(path: Path, params: Mapping[str, Any]) -> dict[str, object]:
    """The dotted keys and values of a YAML file that has some of params.yaml's keys, nested as there.

    Raises:
        UserError: naming what is no key, or no value of it.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; it has keys of params.yaml, nested as there")
    changes = dict(_leaves(read(path), params))
    check_changes(changes, params, str(path))
    return changes


def check_changes(changes: Changes, params: Mapping[str, Any], where: str) -> None:
    """Refuse values that the pipeline would refuse.

    Raises:
        UserError: one line that begins with where they are from.
    """
    for key in changes:
        place: Any = params
        for depth, name in enumerate(key.split("."), start=1):
            if not isinstance(place, Mapping) or name not in place:
                known = ", ".join(map(str, place)) if isinstance(place, Mapping) else "no keys below it"
                parts = key.split(".")
                raise UserError(f"{where}: {'.'.join(parts[:depth])} is not a known key; known: {known}")
            place = place[name]
    try:
        check_params(changed(params, changes))
    except UserError as error:
        raise UserError(str(error).replace("params.yaml:", f"{where}:")) from None


def experiment(changes: Changes, root: Path, options: Sequence[str] = ()) -> int:
    """Run `dvc exp run` with other values, in the project at `root`; returns its exit code."""
    settings = [part for key, value in changes.items() for part in ("-S", f"{key}={literal(value)}")]
    process = subprocess.Popen([sys.executable, "-m", "dvc", "exp", "run", *options, *settings], cwd=root)
    try:
        return process.wait()
    except KeyboardInterrupt:  # which DVC has got as well, and tidies up
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
        raise


def copied(params: Mapping[str, Any], paths: Paths) -> list[str]:
    """Options of `dvc exp run --temp` for the files that git and DVC do not bring to another folder."""
    sources = {params["data"]["source"], params["evaluation"]["source"]} - {"sample", "same"}
    files = [paths.raw(source) for source in sources]
    files += [paths.start(name) for name in {params["training"][key] for key in ("start", "resume")}]
    tracked = _git(paths.root, "ls-files", "data/starts").split()
    own = [path.relative_to(paths.root) for path in files if path.exists()]
    return [part for path in own if path.as_posix() not in tracked for part in ("-C", path.as_posix())]


def metric_of(name: str, stage: str, key: str, root: Path) -> float | None:
    """A metric of an experiment that DVC keeps; None if there is none."""
    for ref in _git(root, "for-each-ref", "--format=%(refname)", "refs/exps").split():
        if ref.endswith(f"/{name}"):
            content = _git(root, "show", f"{ref}:metrics/{stage}.json")
            value = json.loads(content).get(key) if content else None
            return float(value) if isinstance(value, int | float) else None
    return None


def _git(root: Path, *command: str) -> str:
    return subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=False).stdout


def literal(value: object) -> str:
    """A plain value as `dvc exp run -S KEY=VALUE` reads it, by the grammar of Hydra's overrides; strings are quoted."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            # A backslash escapes itself before a quote, before ${ (an interpolation) and at the end, and nowhere else.
            text = re.sub(r"(\\*)('|\$\{)", lambda found: f"{found[1]}{found[1]}\\{found[2]}", value)
            text = re.sub(r"\\+$", lambda found: 2 * found[0], text)
            return f"'{text}'"
        case Mapping():
            return "{" + ",".join(f"{key}:{literal(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(literal, value)) + "]"
    return repr(value)


def _leaves(content: Mapping[str, Any], params: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Values by their dotted keys: a mapping is one where params have no mapping."""
    for name, value in content.items():
        own = params.get(name) if isinstance(params, Mapping) else None
        if isinstance(value, Mapping) and (isinstance(own, Mapping) or own is None):
            yield from _leaves(value, own, f"{prefix}{name}.") if value else [(f"{prefix}{name}", value)]
        else:
            yield f"{prefix}{name}", value
