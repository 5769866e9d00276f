"""What the contract tests look at: imports of a stage, params it reads, outs of dvc.yaml, commands of the README."""

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lib.runtime import params as params_module
from lib.runtime.params import Section
from lib.runtime.paths import Paths

ROOT = Path(__file__).parents[1]
Run = Callable[[dict[str, Any], Paths], None]


def stages(root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """The stages of dvc.yaml, with ${...} taken from params.yaml."""
    params = params_module.read(root / "params.yaml")
    resolved: dict[str, dict[str, Any]] = _interpolate(params_module.read(root / "dvc.yaml")["stages"], params)
    return resolved


def module_of(stage: Mapping[str, Any]) -> str | None:
    """NAME of the `python -m stages.NAME` that a stage of dvc.yaml runs."""
    found = re.search(r"python -m stages\.(\w+)", str(stage["cmd"]))
    return found and found[1]


def paths_of(stage: Mapping[str, Any], *kinds: str) -> dict[str, bool]:
    """The paths under `kinds` (deps, outs, metrics, plots) of a stage, and whether DVC caches each."""
    entries = [entry for kind in kinds for entry in stage.get(kind, [])]
    pairs = [next(iter(entry.items())) if isinstance(entry, dict) else (entry, {}) for entry in entries]
    return {str(path): bool((options or {}).get("cache", True)) for path, options in pairs}


def declared_params(stage: Mapping[str, Any]) -> set[str]:
    """The keys of params.yaml that a stage of dvc.yaml depends on."""
    return {key for key in stage.get("params", []) if isinstance(key, str)}


def code_of(module: Path, root: Path = ROOT) -> set[str]:
    """All files of the project that a module imports, directly or not, lazy imports included; itself among them.

    A data file beside a module belongs to it if it has the module's stem or is named in a string of its code.
    """
    found: set[Path] = set()
    pending = [module]
    while pending:
        file = pending.pop()
        if file in found:
            continue
        found.add(file)
        tree = ast.parse(file.read_text(encoding="utf-8"))
        pending += _imported(tree, root)
        strings = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        for data in file.parent.iterdir():
            if (
                data.is_file()
                and data.suffix not in (".py", ".pyc")
                and (data.stem == file.stem or data.name in strings)
            ):
                found.add(data)
    return {path.relative_to(root).as_posix() for path in found if _counts(path)}


def uncovered(code: set[str], deps: Iterable[str]) -> tuple[set[str], set[str]]:
    """Files that no dep stands for, and deps (a room of lib, or a file) that stand for no file."""
    rooms = {dep: {path for path in code if path == dep or path.startswith(f"{dep}/")} for dep in deps}
    return code - set().union(*rooms.values()), {dep for dep, files in rooms.items() if not files}


def recorded_params(run: Run, params: Mapping[str, Any], paths: Paths) -> set[str]:
    """Run a stage and return the dotted keys of params.yaml whose values it looked at.

    Looking at a value is reading a field of a section, dumping a section, or indexing the mapping that the stage gets.
    """
    read: set[str] = set()
    recording = _Recording(params, read)
    sections: dict[int, tuple[Section, str]] = {}  # holds the sections, so that no id is used twice

    def register(value: Any, prefix: str) -> None:
        if isinstance(value, Section):
            sections[id(value)] = (value, prefix)
            for name, item in object.__getattribute__(value, "__dict__").items():
                register(item, f"{prefix}.{name}".lstrip("."))
        elif isinstance(value, Mapping):
            for key, item in value.items():
                register(item, f"{prefix}.{key}")
        elif isinstance(value, tuple | list):
            for item in value:
                register(item, prefix)

    original = params_module.section

    def section(cls: type[Section], name: str, content: Mapping[str, Any]) -> Section:
        value = original(cls, name, content)
        if content is recording:  # a checkpoint reads its own model params in the same way
            register(value, name)
        return value

    def get(self: Section, name: str) -> Any:
        value = object.__getattribute__(self, name)
        known = sections.get(id(self))
        if known is not None:
            fields = type(self).model_fields
            names = list(fields) if name in ("model_dump", "model_dump_json", "model_copy") else [name]
            read.update(f"{known[1]}.{field}".lstrip(".") for field in names if field in fields)
        return value

    with pytest.MonkeyPatch.context() as patch:
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith(("lib.", "stages.", "tests.")):
                for name, value in list(vars(module).items()):
                    if value is original:  # also where it was bound by `from lib.runtime.params import section`
                        patch.setattr(module, name, section)
        patch.setattr(Section, "__getattribute__", get)
        run(recording, paths)
    inner = {prefix for value, prefix in sections.values()}
    return {key for key in read if key not in inner}  # the leaves: a section within one is no value of its own


def covers(declared: str, key: str) -> bool:
    """Whether a key of dvc.yaml's `params:` stands for a key that was read."""
    return key == declared or key.startswith(f"{declared}.")


def page(folder: str = "") -> str:
    """The README of the project, or of one of its folders."""
    return (ROOT / folder / "README.md").read_text(encoding="utf-8")


PAGES = ("", "data", "stages", "lib")  # whose READMEs belong together


def shell_commands(markdown: str) -> list[str]:
    """The commands in ```bash blocks, one a line; comments, prompts and continued lines resolved."""
    blocks = re.findall(r"^```bash\n(.*?)^```", markdown, flags=re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    commands = (re.sub(r"\s+#.*$", "", line).strip().removeprefix("$ ") for line in lines)
    return [command for command in commands if command and not command.startswith("#")]


class _Recording(dict[str, Any]):
    """A mapping that notes the dotted keys of the plain values looked up in it."""

    def __init__(self, content: Mapping[str, Any], read: set[str], prefix: str = "") -> None:
        super().__init__(content)
        self._read, self._prefix = read, prefix

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if isinstance(value, Mapping):
            return _Recording(value, self._read, f"{self._prefix}{key}.")
        self._read.add(f"{self._prefix}{key}")
        return value

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default


def _counts(path: Path) -> bool:
    """Whether a file can decide anything: an empty __init__.py cannot."""
    return path.is_file() and path.suffix != ".pyc" and (path.name != "__init__.py" or path.stat().st_size > 0)


def _imported(tree: ast.Module, root: Path) -> Iterator[Path]:
    """The project's files that the import statements anywhere in a module name."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative imports are not followed: {ast.unparse(node)}"
            # `from lib.models import vit` names a module, `from lib.runtime.params import section` something within one
            names += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    for name in names:
        if name.split(".")[0] not in ("lib", "stages"):
            continue
        parts = name.split(".")
        for depth in range(1, len(parts) + 1):  # importing lib.models.vit runs lib/models/__init__.py too
            path = root.joinpath(*parts[:depth])
            yield from (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file())


def _interpolate(value: Any, params: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolate(item, params) for key, item in value.items()}
    if isinstance(value, list):
        return [_interpolate(item, params) for item in value]
    if isinstance(value, str):
        return re.sub(r"\$\{([\w.]+)\}", lambda found: str(_lookup(params, found[1])), value)
    return value


def _lookup(params: Any, key: str) -> Any:
    for part in key.split("."):
        params = params[part]
    return params
