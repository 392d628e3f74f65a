"""Nothing in the product opens what can run code when it is opened."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
CALLS = {"eval", "exec", "compile", "__import__"}


def unsafe(tree: ast.AST) -> Iterator[str]:
    """Yield what a module has that it should not, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            names = []
        yield from (f"line {node.lineno}: {name}" for name in names if name.split(".")[0] in MODULES)
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in CALLS:
                yield f"line {node.lineno}: {node.func.id}()"
            for keyword in node.keywords:
                value = keyword.value
                if keyword.arg == "allow_pickle" and not (
                    isinstance(value, ast.Constant) and value.value is False
                ):
                    yield f"line {node.lineno}: allow_pickle"


@pytest.mark.parametrize("package", ["app", "engine"])
def test_nothing_is_unpickled_or_evaluated(package: str) -> None:
    modules = sorted((ROOT / package).rglob("*.py"))
    assert len(modules) > 100
    found = {str(path.relative_to(ROOT)): list(unsafe(ast.parse(path.read_bytes()))) for path in modules}
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from marshal import loads",
        "import a, dill.source",
        "eval('1')",
        "np.load(file, allow_pickle=True)",
        "np.load(file, allow_pickle=wanted)",
    ],
)
def test_the_check_finds_it(line: str) -> None:
    assert list(unsafe(ast.parse(line)))
