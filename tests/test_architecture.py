"""The rooms of the package import downwards only, and no modules in a circle."""

import ast
import builtins
import dis
from pathlib import Path
from types import CodeType

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "avjepa"

# top to bottom, as docs/architecture.md draws it; rooms of one line do not know each other
FLOORS = [
    {"api"},
    {"cli"},
    {"commands"},
    {"release"},
    {"study"},
    {"evaluate"},
    {"pretrain", "finetune"},
    {"model"},
    {"fusion"},
    {"pseudo_objects"},
    {"heads"},
    {"features"},
    {"encoders"},
    {"bundle"},
    {"report"},
    {"synth"},
    {"data"},
    {"training"},
    {"sparse"},
    {"geometry"},
    {"provenance", "distributed"},
    {"locking", "ranges", "worker_pool", "zoo"},
    {"bounded_yaml", "callable_room", "ending", "errors", "files", "parsed_values", "processes", "progress"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


def imported_rooms(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= (
                {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "avjepa" else {node.module}
            )
    return {name.split(".")[1] for name in names if name.startswith("avjepa.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in imported_rooms(path.read_text(encoding="utf-8")) - {room, "__version__"}:
        assert FLOOR_OF[other] > FLOOR_OF[room], f"{path.name}: {room} must not import {other}"


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """Modules of the package that a file imports, at its top or when a function runs."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & known


def test_no_modules_import_each_other_in_a_circle() -> None:
    name_of = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in MODULES}
    left = {name: imported_modules(path, set(name_of.values())) - {name} for path, name in name_of.items()}
    while free := [name for name, imports in left.items() if not imports & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"a circle runs through some of {sorted(left)}"


def test_relative_imports_are_not_used() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"


def global_names(code: CodeType, operation: str = "LOAD_GLOBAL") -> set[str]:
    """Names that the functions in a piece of code look up in their module, or set there, when they run."""
    names = {one.argval for one in dis.get_instructions(code) if one.opname == operation}
    return names.union(*(global_names(part, operation) for part in code.co_consts if isinstance(part, CodeType)))


def undefined_names(source: str) -> set[str]:
    """Names that some function reads and nobody defines."""
    code = compile(source, "module", "exec")
    own = {one.argval for one in dis.get_instructions(code) if one.opname == "STORE_NAME"}
    return global_names(code) - own - global_names(code, "STORE_GLOBAL") - {*vars(builtins), "__file__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_name_that_a_function_reads_is_defined(path: Path) -> None:
    """Neither ruff nor mypy looks: to them the axes of a shape are undefined names."""
    assert not undefined_names(path.read_text(encoding="utf-8"))


def test_an_undefined_name_is_found() -> None:
    known = "import os\nfrom math import pi\ndef g(): pass\n"
    assert undefined_names(known + "def f(x):\n    return lambda: g(x, len(os.sep), pi) + lost") == {"lost"}
