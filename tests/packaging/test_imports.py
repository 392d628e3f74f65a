"""Imports run in one direction: between folders none runs upwards, and none comes back by a detour.

A room is a folder, or a file at the top of a package. Its floor is not written down anywhere: it is one above the
highest room that it imports. That there is such a number for each of them is what is tested.
"""

import ast
import itertools
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Who may import what others wrote. Whatever is not named here is nobody's.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "PIL": ("app.pictures",),
    "alembic": ("app.store",),
    "fastapi": ("app.main", "app.services", "app.web"),
    "fastapi_offline": ("app.web.docs_page",),
    "google": ("engine.model.onnx_format.read",),
    "httpcore": ("app.jobs.outgoing",),
    "httpx": ("app.client", "app.datasets.fetching", "app.jobs.cluster", "app.jobs.outgoing"),
    "numpy": (
        "app.builtin",
        "app.datasets",
        "app.jobs",
        "app.models",
        "app.operations",
        "app.pictures",
        "app.serving",
        "app.training",
        "app.web.answers",
        "app.web.inference_protocol",
        "app.web.routes",
        "engine",
    ),
    "obstore": ("app.files.bucket.bucket",),
    "onnx": ("engine.model.onnx_format",),
    "onnxruntime": ("engine.model.runtime.onnx_runtime",),
    "prometheus_client": ("app.metrics.exposition",),
    "opentelemetry": ("app.tracing",),
    "psycopg": ("app.store.notices", "app.store.postgres"),
    "pydantic": ("app", "engine"),
    "pydantic_core": ("app.api", "app.web.answers", "app.web.inference_protocol", "engine.choices"),
    "python_multipart": ("app.web.bodies.multipart",),
    "ray": ("app.jobs.nodes.on_ray",),
    "rich": ("app.cli",),
    "safetensors": ("engine.model.model_file",),
    "sqlalchemy": ("app.store",),
    "starlette": ("app.main", "app.web"),
    "typer": ("app.cli",),
    "httptools": ("app.web.connections.heads",),
    "uvicorn": ("app.web.connections", "app.web.server"),
}

# What the client knows: the bodies, and which address is its own machine.
CLIENT_IMPORTS = ("app.api", "app.client", "app.hosts")

# What is sent and received is types alone; whoever has such a type at hand fills it.
API_IMPORTS = ("app.api", "app.scopes", "app.states", "app.text", "engine")

MOST_FILES_AT_THE_TOP = 8


def belongs(module: str, names: Iterable[str]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def sources() -> dict[str, Path]:
    """Find the modules of the project by their dotted names."""
    found = {}
    for package in ("app", "engine"):
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = sources()
FOLDERS = {
    name for name, file in MODULES.items() if file.name == "__init__.py" and name not in ("app", "engine")
}


def room(module: str) -> str:
    """Return the folder of a module, or the module itself where it lies at the top of its package."""
    if module in FOLDERS:
        return module
    folder = module.rpartition(".")[0]
    return folder if folder in FOLDERS else module


def for_types_only(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes under `if TYPE_CHECKING`, which never run."""
    guarded = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    )
    return {inner for node in guarded for statement in node.body for inner in ast.walk(statement)}


@cache
def imports(source: str, *, running: bool = False) -> tuple[str, ...]:
    """Return the modules that a source imports, `from a import b` as `a.b` where that is a module of ours."""
    return tuple(_imports(source, running=running))


def _imports(source: str, *, running: bool) -> Iterator[str]:
    tree = ast.parse(source)
    skipped = for_types_only(tree) if running else set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in MODULES else node.module


def faults(module: str, source: str) -> list[str]:
    """Say what a module imports that it has no business with."""
    found = []
    for target in imports(source):
        library = target.partition(".")[0]
        if library in ("app", "engine"):
            if library == "app" and belongs(module, ("engine",)):
                found.append(f"{module} imports {target}: the engine knows nothing of the service")
            if belongs(module, ("app.api",)) and not belongs(target, API_IMPORTS):
                found.append(f"{module} imports {target}: bodies are types, and others fill them")
            if belongs(module, ("app.client",)) and not belongs(target, CLIENT_IMPORTS):
                found.append(f"{module} imports {target}, a part of the server")
        elif library not in sys.stdlib_module_names and not belongs(module, LIBRARIES.get(library, ())):
            found.append(f"{module} imports {library}, which it has no business with")
    return found


def arrows(texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return for each room the rooms that it imports, each with the modules of one such import."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for module, source in texts.items():
        for target in imports(source):
            if target in MODULES and target not in ("app", "engine") and room(target) != room(module):
                found[room(module)].setdefault(room(target), f"{module} imports {target}")
    return found


def circle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the members of a circle in a graph, the first one again at the end; none where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


TEXTS = {module: file.read_text(encoding="utf-8") for module, file in MODULES.items()}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_is_its_business(module: str) -> None:
    assert faults(module, TEXTS[module]) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("engine.training.loop", "from app.store import Store"),
        ("engine.graph.network", "import fastapi"),
        ("app.api.models", "from app.store.records import ModelRecord"),
        ("app.client.models", "from app.store.records import ModelRecord"),
        ("app.jobs.runner", "from starlette.requests import Request"),
    ],
)
def test_an_import_that_is_none_of_its_business_would_be_found(module: str, line: str) -> None:
    assert len(faults(module, line)) == 1


def test_no_import_between_folders_runs_upwards() -> None:
    graph = arrows(TEXTS)
    members = circle(graph)
    # the sorter lists each one before the one that imports it
    assert not members, "\n".join(graph[high][low] for low, high in itertools.pairwise(members))


def test_the_architecture_page_lists_each_room_above_those_that_it_imports() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows: dict[str, int] = {}
    for number, cell in enumerate(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)):
        for name in re.findall(r"`([^`]+)`", cell):
            folder, _, several = name.removesuffix(".py").partition("{")
            for one in several.removesuffix("}").split(","):
                rows[f"{folder}{one}".replace("/", ".")] = number
    upwards = [
        why
        for high, below in arrows(TEXTS).items()
        for low, why in below.items()
        if {high, low} <= rows.keys() and high.split(".")[0] == low.split(".")[0] and rows[low] < rows[high]
    ]
    assert len(rows) > len(FOLDERS) // 2
    assert upwards == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("engine.ops.windows", "from engine.layers import Conv2D"),
        ("engine.fast.steps.base", "from engine.fast.parallel.share import Share"),
        ("app.store.jobs", "from app.jobs.work import attempt"),
        ("app.jobs.runner", "import app.web.routes.models"),
    ],
)
def test_an_import_that_runs_upwards_would_be_found(module: str, line: str) -> None:
    assert circle(arrows(TEXTS | {module: TEXTS[module] + "\n" + line}))


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {
        module: {target for target in imports(text, running=True) if target in MODULES and target != module}
        for module, text in TEXTS.items()
    }
    assert circle(graph) == []


@pytest.mark.parametrize("package", ["app", "engine"])
def test_few_files_lie_at_the_top(package: str) -> None:
    files = [file.name for file in (ROOT / package).glob("*.py") if file.name != "__init__.py"]
    assert len(files) <= MOST_FILES_AT_THE_TOP


def test_every_library_that_is_named_is_used() -> None:
    used = {target.partition(".")[0] for text in TEXTS.values() for target in imports(text)}
    assert set(LIBRARIES) - used == set()
