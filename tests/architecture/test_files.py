"""What import-linter cannot check: how files are named, how long they are, what they may not do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("modules", "local_stack", "simulator", "demo", "benchmarks", "bootstrap.py", "temporal_config.py")
MOST_LINES = 400
MOST_FUNCTION_LINES = 50
# A file says its role, not that it has none.
ROLELESS = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py", "base.py", "manager.py"}
PUBLIC_FILES = {"__init__.py", "types.py", "errors.py"}
# application is the base of all others and offers more than a service; cli is an entry room.
ROOMS_OF_THEIR_OWN = {"application", "cli"}
# The command line talks to people.
MAY_PRINT = ("modules/cli/",)


def python_files(*places: str) -> list[Path]:
    found: list[Path] = []
    for place in places:
        path = ROOT / place
        found += [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
    return [path for path in found if path.exists()]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of what a function does: without its signature and docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (node.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_files_stay_short() -> None:
    long = {
        relative(path): len(path.read_text().splitlines()) for path in python_files(*CODE, "tests", ".ci")
    }
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_functions_stay_short() -> None:
    long = {
        f"{relative(path)}: {node.name}": body_lines(node)
        for path in python_files(*CODE)
        if not relative(path).startswith("benchmarks/")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in long.items() if lines > MOST_FUNCTION_LINES} == {}


def test_files_say_what_they_are() -> None:
    files = [path for path in python_files(*CODE) if path.read_text().strip()]
    assert [relative(path) for path in files if not ast.get_docstring(tree_of(path))] == []
    assert [relative(path) for path in files if path.name in ROLELESS] == []


def test_modules_do_not_print() -> None:
    printing = [
        relative(path)
        for path in python_files("modules", "local_stack")
        if "print" in set(calls(tree_of(path)))
    ]
    assert [name for name in printing if not name.startswith(MAY_PRINT)] == []


def test_production_code_does_not_know_that_it_is_tested() -> None:
    for path in python_files("modules", "local_stack"):
        text = path.read_text().lower()
        assert not [word for word in ("pytest", "mongomock", "unittest") if word in text], relative(path)


def test_every_module_has_the_same_rooms() -> None:
    for module in sorted(path for path in (ROOT / "modules").iterdir() if (path / "__init__.py").exists()):
        if module.name in ROOMS_OF_THEIR_OWN:
            continue
        public = {path.name for path in module.glob("*.py")} - PUBLIC_FILES
        assert f"{module.name}_service.py" in public, module.name
        assert all(name.endswith(("_service.py", "_types.py")) for name in public), module.name
        folders = {path.name for path in module.iterdir() if path.is_dir() and path.name != "__pycache__"}
        assert folders <= {"internals", "workers"}, module.name


def test_mongodb_is_known_in_the_store_alone() -> None:
    """No `$set` and its like outside a store: Mongo syntax does not cross the repository's surface."""
    operators = {"$set", "$push", "$unset", "$in", "$or", "$and", "$lte", "$gt", "$expr", "$inc", "$exists"}
    for path in python_files("modules", "local_stack"):
        if "/internals/store/" in relative(path) or relative(path).startswith(
            ("modules/application/", "local_stack/internals/store/")
        ):
            continue
        words = {node.value for node in ast.walk(tree_of(path)) if isinstance(node, ast.Constant)}
        assert not operators & words, relative(path)


def test_firebase_admins_private_parts_are_not_used() -> None:
    for path in python_files("modules", "local_stack"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("firebase_admin"):
                names = [node.module or "", *(alias.name for alias in node.names)]
                assert not any(part.startswith("_") for name in names for part in name.split("."))
            if (
                isinstance(node, ast.Attribute)
                and node.attr.startswith("_")
                and not node.attr.startswith("__")
            ):
                owner = ast.unparse(node.value).split(".")[0]
                assert owner not in ("messaging", "credentials", "firebase_admin", "exceptions"), relative(
                    path
                )


def test_tests_do_not_sleep_to_wait_and_do_not_skip() -> None:
    """Polling with a bound lives in tests/support alone."""
    sleeping, skipping = [], []
    for path in python_files("tests"):
        tree = tree_of(path)
        if "time.sleep" in set(calls(tree)) and not relative(path).startswith("tests/support/"):
            sleeping.append(relative(path))
        attributes = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if attributes & {"pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail", "pytest.skip"}:
            skipping.append(relative(path))
    assert (sleeping, skipping) == ([], [])


def test_the_tests_of_a_tier_mirror_the_modules() -> None:
    modules = {path.name for path in (ROOT / "modules").iterdir() if path.is_dir()}
    extra = {"local_stack", "simulator", "fcm", "docs", "demo", "benchmarks", "__pycache__"}
    for tier in ("unit", "integration"):
        folders = {path.name for path in (ROOT / "tests" / tier).iterdir() if path.is_dir()}
        assert folders <= modules | extra, tier


def test_stores_reach_mongodb_through_their_patience() -> None:
    """`database_errors` translates and does not wait: a step-down would be everybody's own to survive."""
    stores = [path for path in python_files("modules") if "store" in path.parts]
    bare = [relative(path) for path in stores if "database_errors" in set(calls(tree_of(path)))]
    assert bare == []
    patient = [path for path in stores if "_patience" in path.read_text()]
    assert len(patient) > 5
