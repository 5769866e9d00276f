"""lib is a house of rooms: a module imports from its own room and from those below it.

Imports inside of functions and for types alone count as well.
"""

from pathlib import Path

import pytest

from tests import contract
from tests.rooms import ROOMS, graph, imported, misplaced, modules_of


def test_every_module_of_lib_is_in_a_room_and_imports_from_below() -> None:
    modules = modules_of(contract.ROOT / "lib")
    assert {path.split("/")[0] for path in modules} == set(ROOMS)
    assert not list(misplaced(modules))


def test_stages_do_not_import_stages() -> None:
    for path in (contract.ROOT / "stages").glob("*.py"):
        assert not [name for name in imported(path.read_text(encoding="utf-8")) if name.split(".")[0] == "stages"], path


def test_every_room_has_its_tests() -> None:
    assert {path.name for path in (contract.ROOT / "tests").iterdir() if (path / "__init__.py").is_file()} == {
        *ROOMS,
        "security",
        "stages",
    }


# The check itself: on made-up trees

SOUND = {
    "runtime/params.py": "import json\nimport pydantic",
    "pose/skeleton.py": "from lib.runtime.params import Section",
    "data/store.py": "from lib.data.tables import COLUMNS\nfrom lib import pose",
    "plotting/figures.py": "import matplotlib\nfrom mpl_toolkits.mplot3d import Axes3D\nimport lib.evaluation.metrics",
}


def test_a_sound_tree_passes() -> None:
    assert not list(misplaced(SOUND))


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("pose/a.py", "from lib.data.store import Split", "imports lib.data.store.Split, but data is not below pose"),
        ("pose/a.py", "from lib import data", "imports lib.data, but data is not below pose"),
        ("pose/a.py", "import lib.data.store as s", "imports lib.data.store, but data is not below pose"),
        ("pose/a.py", "def f():\n    import lib.models.vit", "imports lib.models.vit, but models is not below"),
        ("pose/a.py", "if TYPE_CHECKING:\n    from lib.prior import p", "imports lib.prior.p, but prior is not below"),
        ("models/a.py", "from lib.plotting.figures import STYLE", "plotting is not below models"),
        ("training/a.py", "from matplotlib.figure import Figure", "matplotlib.figure.Figure, which is for plotting"),
        ("training/a.py", "def f():\n    import matplotlib.pyplot", "matplotlib.pyplot, which is for plotting alone"),
        ("prior/a.py", "from stages.pretrain import run", "imports stages.pretrain.run, which is above lib"),
        ("data/a.py", "from lib.attic.b import c", "attic is not below data"),
        ("data/a.py", "import lib", "lib itself is not below data"),
        ("geometry.py", "", "lib/geometry.py is in no room"),
        ("attic/b.py", "", "lib/attic/b.py is in no room"),
    ],
)
def test_what_is_misplaced_is_found(path: str, source: str, message: str) -> None:
    (found,) = misplaced({**SOUND, path: source})
    assert f"lib/{path}" in found and message in found


def test_modules_are_found_in_all_folders(tmp_path: Path) -> None:
    for path, source in {"__init__.py": "", "geometry.py": "", "pose/deep/a.py": "import lib.data"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source)
    assert set(modules_of(tmp_path)) == {"geometry.py", "pose/deep/a.py"}
    assert len(list(misplaced(modules_of(tmp_path)))) == 2
    (tmp_path / "__init__.py").write_text("X = 1")
    assert "__init__.py" in modules_of(tmp_path)


def test_arrows_between_rooms_are_counted_by_what_they_lead_to() -> None:
    sources = {**SOUND, "pose/a.py": "from lib.runtime.params import Section\nfrom lib.runtime.errors import UserError"}
    assert graph(sources)["pose"] == {"runtime": 2}
    assert graph(sources)["data"] == {}  # its own room, and a room as such
