"""The rooms of lib, and what each imports from which others: `python -m tests.rooms` lists them, the top one first."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests import contract

# From the bottom up.
ROOMS = (
    "runtime",
    "pose",
    "detection",
    "sequences",
    "sources",
    "data",
    "prior",
    "models",
    "objectives",
    "training",
    "inference",
    "evaluation",
    "export",
    "viewer",
    "experiments",
    "plotting",
    "pipeline",
)


def imported(source: str) -> set[str]:
    """The dotted names of all that a module imports, anywhere in it: modules, and what is taken from them."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative imports are not followed: {ast.unparse(node)}"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def misplaced(modules: Mapping[str, str]) -> Iterator[str]:
    """What breaks the order, of modules by their path below lib, with their source."""
    for path, source in modules.items():
        room = path.split("/")[0]
        if room not in ROOMS:
            yield f"lib/{path} is in no room: rooms are {', '.join(ROOMS)}"
            continue
        for name in sorted(imported(source)):
            package, *rest = name.split(".")
            if package == "lib":
                other = rest[0] if rest else "lib itself"
                if other not in ROOMS or ROOMS.index(other) > ROOMS.index(room):
                    yield f"lib/{path} imports {name}, but {other} is not below {room}"
            elif package in ("stages", "tests"):
                yield f"lib/{path} imports {name}, which is above lib"
            elif package in ("matplotlib", "mpl_toolkits") and room != "plotting":
                yield f"lib/{path} imports {name}, which is for plotting alone"


def modules_of(lib: Path) -> dict[str, str]:
    """The source of each module by its path below lib, but for lib/__init__.py if it is empty."""
    sources = {path.relative_to(lib).as_posix(): path.read_text(encoding="utf-8") for path in lib.rglob("*.py")}
    return {path: source for path, source in sources.items() if path != "__init__.py" or source}


def graph(modules: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Room -> rooms that its modules import from, and how many modules of each."""
    arrows: dict[str, dict[str, set[str]]] = {room: {} for room in ROOMS}
    for path, source in modules.items():
        for name in imported(source):
            package, *rest = name.split(".")
            if package == "lib" and len(rest) > 1 and rest[0] != path.split("/")[0]:
                arrows[path.split("/")[0]].setdefault(rest[0], set()).add(rest[1])
    return {room: {other: len(found) for other, found in below.items()} for room, below in arrows.items()}


def main() -> None:
    """Print a line a room."""
    modules = modules_of(contract.ROOT / "lib")
    arrows = graph(modules)
    for room in reversed(ROOMS):
        lines = sum(source.count("\n") for path, source in modules.items() if path.startswith(f"{room}/"))
        names = sorted(Path(path).stem for path in modules if path.startswith(f"{room}/") and modules[path])
        below = [f"{other} ({arrows[room][other]})" for other in ROOMS if other in arrows[room]]
        print(f"{room}, {lines} lines: {', '.join(names)}\n    imports {', '.join(below) or 'nothing'}")
    upwards = [problem for problem in misplaced(modules)]
    count = sum(map(len, arrows.values()))
    print(f"{count} arrows between {len(ROOMS)} rooms, {len(upwards)} of them upwards")


if __name__ == "__main__":
    main()
