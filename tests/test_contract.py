"""dvc.yaml says what is so: code deps, params and outs."""

import copy
import importlib
import subprocess
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from lib.runtime import params as params_module
from lib.runtime.params import Section, section
from lib.runtime.paths import Paths
from stages import preprocess
from tests import contract
from tests.data.files import write_clips
from tests.data.mocap_files import write_bvh

STAGES = contract.stages()
MODULES = {name: module for name, stage in STAGES.items() if (module := contract.module_of(stage))}


# dvc.yaml


@pytest.mark.parametrize("name", MODULES)
def test_code_deps_cover_the_imports_and_nothing_else(name: str) -> None:
    code = contract.code_of(contract.ROOT / "stages" / f"{MODULES[name]}.py")
    deps = {path for path in contract.paths_of(STAGES[name], "deps") if path.startswith(("lib/", "stages/"))}
    missing, unused = contract.uncovered(code, deps)
    assert not missing, f"{name} imports {sorted(missing)}: add their rooms (or files) to its deps in dvc.yaml"
    assert not unused, f"{name} imports nothing of {sorted(unused)}: take them out of its deps in dvc.yaml"


def test_every_stage_script_of_the_graph_exists() -> None:
    assert MODULES
    for module in MODULES.values():
        assert (contract.ROOT / "stages" / f"{module}.py").is_file()


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The params that each stage looks at in a debug run of the whole graph, in the order of dvc.yaml."""
    paths = Paths(tmp_path_factory.mktemp("run"))
    params: dict[str, Any] = copy.deepcopy(params_module.read(contract.ROOT / "params.yaml"))
    params["training"]["debug"] = params["finetune"]["enabled"] = True
    found = {
        name: contract.recorded_params(importlib.import_module(f"stages.{module}").run, params, paths)
        for name, module in MODULES.items()
    }
    other = Paths(tmp_path_factory.mktemp("mocap"))
    for subject in sum(params["data"]["split"].values(), []):
        write_bvh(other.raw("bvh") / subject / "walk.bvh", frames=12)
    params["data"]["source"] = "bvh"  # which has cameras of its own params
    found["preprocess"] |= contract.recorded_params(preprocess.run, params, other)
    params["data"]["source"] = "sample"
    params["evaluation"] |= {"source": "bvh", "subjects": ["S9"]}
    write_clips(other.raw("sample"))
    found["preprocess"] |= contract.recorded_params(preprocess.run, params, other)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_params_read_are_params_declared(name: str, reads: dict[str, set[str]]) -> None:
    declared = contract.declared_params(STAGES[name])
    if "params.yaml" in contract.paths_of(STAGES[name], "deps"):  # the check; tests/test_sections.py
        assert not declared and reads[name]
        return
    hidden = {key for key in reads[name] if not any(contract.covers(prefix, key) for prefix in declared)}
    unused = {prefix for prefix in declared if not any(contract.covers(prefix, key) for key in reads[name])}
    assert not hidden, f"{name} reads {sorted(hidden)}, which dvc.yaml does not list in its params"
    assert not unused, f"dvc.yaml lists {sorted(unused)} in the params of {name}, which reads nothing there"


def test_every_other_stage_comes_after_the_check() -> None:
    first, *others = STAGES
    assert first == "check"
    checked = "data/processed/params_checked.txt"
    assert checked in contract.paths_of(STAGES[first], "outs")
    assert [name for name in others if checked not in contract.paths_of(STAGES[name], "deps")] == []
    assert "params.yaml" in contract.paths_of(STAGES[first], "deps")


@pytest.mark.parametrize("name", STAGES)
def test_cached_outs_and_only_they_are_ignored_by_git(name: str) -> None:
    for path, cached in contract.paths_of(STAGES[name], "outs", "metrics", "plots").items():
        # With and without the slash of a folder, which need not exist yet.
        ignored = any(_ignored(text) for text in (path, f"{path}/"))
        assert ignored == cached, (
            f"{path} of {name} is {'' if cached else 'not '}cached, so .gitignore must say the same"
        )


@pytest.mark.parametrize("name", STAGES)
def test_every_out_persists_until_its_stage_has_written_a_new_one(name: str) -> None:
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in STAGES[name].get(kind, [])]
    assert all(isinstance(entry, dict) and next(iter(entry.values()))["persist"] for entry in entries), name


def _ignored(path: str) -> bool:
    command = ["git", "check-ignore", "--no-index", "--quiet", path]
    return subprocess.run(command, cwd=contract.ROOT, check=False).returncode == 0


# The helpers: a check that cannot fail checks nothing


def test_import_closure_follows_lazy_imports_and_data_files(tmp_path: Path) -> None:
    files = {
        "stages/__init__.py": "",
        "stages/one.py": "from lib import a\nimport json",
        "lib/__init__.py": "",
        "lib/a.py": "def f():\n    from lib.models.b import g\n    return g",
        "lib/a.json": "{}",
        "lib/unused.py": "",
        "lib/models/__init__.py": "X = 1",
        "lib/models/b.py": "import lib.c as c\nNAME = 'table.csv'",
        "lib/models/table.csv": "",
        "lib/models/other.csv": "",
        "lib/c.py": "from lib.a import f",  # a cycle
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert contract.code_of(tmp_path / "stages/one.py", tmp_path) == {
        "stages/one.py",
        "lib/a.py",
        "lib/a.json",
        "lib/models/__init__.py",
        "lib/models/b.py",
        "lib/models/table.csv",
        "lib/c.py",
    }


def test_deps_that_miss_a_file_or_stand_for_none_are_found() -> None:
    code = {"stages/one.py", "lib/a/x.py", "lib/a/y.py", "lib/ab/z.py"}
    assert contract.uncovered(code, ["stages/one.py", "lib/a", "lib/ab/z.py"]) == (set(), set())
    assert contract.uncovered(code, ["stages/one.py", "lib/a/x.py", "lib/b"]) == (
        {"lib/a/y.py", "lib/ab/z.py"},
        {"lib/b"},
    )


class InnerParams(Section):
    depth: int
    width: int


class OuterParams(Section):
    inner: InnerParams
    lr: Annotated[float, Field(gt=0)]
    epochs: int


PARAMS = {"model": {"inner": {"depth": 1, "width": 2}, "lr": 0.1, "epochs": 3}, "seed": 4, "other": {"x": {"y": 1}}}


def test_recorded_params_are_those_looked_at() -> None:
    def run(params: dict[str, Any], paths: Paths) -> None:
        model = section(OuterParams, "model", params)
        assert model.inner.depth == 1
        assert model.lr > 0
        assert params["other"]["x"]["y"] == 1
        # A checkpoint's own params are not those of params.yaml.
        assert section(OuterParams, "model", copy.deepcopy(PARAMS)).epochs == 3

    assert contract.recorded_params(run, PARAMS, Paths()) == {"model.inner.depth", "model.lr", "other.x.y"}


def test_dumping_a_section_reads_all_of_it() -> None:
    def run(params: dict[str, Any], paths: Paths) -> None:
        params_module.section(OuterParams, "model", params).inner.model_dump()

    assert contract.recorded_params(run, PARAMS, Paths()) == {"model.inner.depth", "model.inner.width"}


def test_nothing_stays_patched() -> None:
    contract.recorded_params(lambda params, paths: None, PARAMS, Paths())
    assert params_module.section is section
    assert "__getattribute__" not in vars(Section)


def test_a_key_is_covered_by_its_prefixes_only() -> None:
    assert contract.covers("model", "model.inner.depth")
    assert contract.covers("model.lr", "model.lr")
    assert not contract.covers("mod", "model.lr")
    assert not contract.covers("model.lr", "model")


def test_stages_are_read_with_templates_resolved(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("data: {source: sample}\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  a:\n    cmd: python -m stages.prepare\n    deps: [lib/a.py, 'data/raw/${data.source}']\n"
        "    params: [data]\n    outs: [data/x, {data/z: {persist: true}}]\n    metrics: [{m.json: {cache: false}}]\n"
    )
    stage = contract.stages(tmp_path)["a"]
    assert contract.module_of(stage) == "prepare"
    assert contract.paths_of(stage, "deps") == {"lib/a.py": True, "data/raw/sample": True}
    assert contract.paths_of(stage, "outs", "metrics") == {"data/x": True, "data/z": True, "m.json": False}
    assert contract.declared_params(stage) == {"data"}


def test_shell_commands_of_a_readme() -> None:
    bash = "```bash\n$ make test  # all\n# nothing\ndvc exp run \\\n  -S a=1\n```\n"
    text = f"# Title\n{bash}```python\nx\n```\n```bash\nls\n```\n"
    assert contract.shell_commands(text) == ["make test", "dvc exp run    -S a=1", "ls"]
