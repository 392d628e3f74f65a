"""Imports run in one direction, as docs/architecture.md draws it; this reads every one of them."""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# From the ground up. A module imports from its own floor and from those below; the longest name counts.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "engine.arrays",
        "engine.draws",
        "engine.environment",
        "engine.errors",
        "engine.spec",
        "engine.workspace",
    ),
    ("engine.ops",),
    (
        "engine.augmentations",
        "engine.initializers",
        "engine.layers",
        "engine.losses",
        "engine.optimizers",
        "engine.schedules",
    ),
    ("engine.architecture", "engine.batch", "engine.preprocessing", "engine.presets"),
    ("engine.catalog", "engine.flat", "engine.network", "engine.preparation", "engine.summary"),
    ("engine.execution", "engine.fast"),
    (
        "engine.checkpoint",
        "engine.config",
        "engine.descent",
        "engine.feed",
        "engine.footprint",
        "engine.inference",
        "engine.metrics",
        "engine.model_file",
        "engine.state",
        "engine.target_metrics",
        "engine.training",
        "engine.transfer",
    ),
    (
        "app.artifacts",
        "app.errors",
        "app.ids",
        "app.jobs.states",
        "app.locks",
        "app.memory",
        "app.pointers",
        "app.settings",
        "app.strict_json",
    ),
    ("app.drawing", "app.images", "app.sheets", "app.store"),
    ("app.datasets", "app.jobs", "app.model_files", "app.prediction", "app.predictors"),
    ("app.builtin", "app.worker"),
    (
        "app.dataset_forms",
        "app.file_bodies",
        "app.beginnings",
        "app.confusion_matrix",
        "app.curves",
        "app.idempotency",
        "app.janitor",
        "app.limits",
        "app.logs",
        "app.memory_limit",
        "app.negotiation",
        "app.openapi",
        "app.outgoing",
        "app.problems",
        "app.routing",
        "app.schemas",
        "app.security",
        "app.services",
        "app.streams",
        "app.submission",
        "app.uploads",
        "app.validation",
        "app.webhooks",
    ),
    ("app.routes",),
    ("app.main",),
    ("app.openapi_snapshot", "app.server"),
    ("app.client",),
    ("app.launch", "app.terminal"),
    ("app.cli_options", "app.demo"),
    ("app.data_commands", "app.job_commands", "app.model_commands"),
    ("app.cli",),
)

# Who may import what others wrote. Whatever is not named here is nobody's.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "PIL": ("app.drawing", "app.images", "app.sheets"),
    "alembic": ("app.store",),
    "fastapi": (
        "app.idempotency",
        "app.main",
        "app.openapi",
        "app.problems",
        "app.routes",
        "app.routing",
        "app.schemas",
        "app.server",
        "app.services",
        "app.streams",
        "app.validation",
    ),
    "fastapi_offline": ("app.openapi",),
    "httpcore": ("app.outgoing",),
    "httpx": (
        "app.client",
        "app.datasets.fetching",
        "app.outgoing",
    ),
    "numpy": (
        "app.builtin",
        "app.datasets",
        "app.images",
        "app.jobs",
        "app.model_files",
        "app.prediction",
        "app.predictors",
        "app.routes",
        "app.sheets",
        "engine",
    ),
    "pydantic": ("app", "engine"),
    "pydantic_settings": ("app.settings",),
    "python_multipart": ("app.uploads",),
    "rich": (
        "app.cli",
        "app.data_commands",
        "app.demo",
        "app.job_commands",
        "app.model_commands",
        "app.terminal",
    ),
    "safetensors": ("engine.model_file",),
    "sqlalchemy": ("app.store",),
    "starlette": (
        "app.dataset_forms",
        "app.file_bodies",
        "app.idempotency",
        "app.limits",
        "app.logs",
        "app.main",
        "app.negotiation",
        "app.openapi",
        "app.problems",
        "app.routes",
        "app.routing",
        "app.security",
        "app.streams",
        "app.uploads",
    ),
    "structlog": ("app",),
    "typer": ("app.cli", "app.cli_options", "app.data_commands", "app.job_commands", "app.model_commands"),
    "uvicorn": ("app.server",),
}

# What the client needs of the rest: not the server.
CLIENT_IMPORTS = {"app.client", "app.settings"}

IMPORTER_RULES_TESTED_ON = {
    "engine/ops/windows.py": "from engine.layers import Conv2D",
    "engine/training.py": "from app.store import Store",
    "app/jobs/runner.py": "import app.routes.models",
    "app/store/jobs.py": "from app import worker",
}


def belongs(module: str, names: tuple[str, ...] | set[str]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def floor(module: str) -> int:
    """Return the number of the floor that a module is on, -1 for a package that is only a name."""
    found = [
        (len(name), number)
        for number, names in enumerate(FLOORS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    assert found or module in ("app", "engine"), f"say in FLOORS on which floor {module} belongs"
    return max(found)[1] if found else -1


def sources() -> dict[str, Path]:
    """Find the modules of the project by their dotted names."""
    found = {}
    for package in ("app", "engine"):
        for file in sorted((ROOT / package).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = sources()


def for_types_only(tree: ast.Module) -> set[ast.AST]:
    """Return the nodes under `if TYPE_CHECKING`, which never run."""
    guarded = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    )
    return {inner for node in guarded for statement in node.body for inner in ast.walk(statement)}


def imports(source: str, *, running: bool = False) -> Iterator[str]:
    """Read the modules that a source imports, `from a import b` as `a.b` where that is a module of ours."""
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
    """Say what is wrong with the imports of a module."""
    found = []
    for target in imports(source):
        library = target.partition(".")[0]
        if library in ("app", "engine"):
            if floor(target) > floor(module):
                found.append(f"{module} imports {target}, which is above it")
            if belongs(module, ("app.client",)) and not belongs(target, CLIENT_IMPORTS):
                found.append(f"{module} imports {target}, a part of the server")
        elif library not in sys.stdlib_module_names and not belongs(module, LIBRARIES.get(library, ())):
            found.append(f"{module} imports {library}, which it has no business with")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_in_one_direction(module: str) -> None:
    assert faults(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(("file", "line"), IMPORTER_RULES_TESTED_ON.items())
def test_a_wrong_import_would_be_found(file: str, line: str) -> None:
    module = file.removesuffix(".py").replace("/", ".")
    assert len(faults(module, line)) == 1


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {
        module: {
            target
            for target in imports(file.read_text(encoding="utf-8"), running=True)
            if target in MODULES and target != module
        }
        for module, file in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_library_that_is_named_is_used() -> None:
    used = {
        target.partition(".")[0]
        for file in MODULES.values()
        for target in imports(file.read_text(encoding="utf-8"))
    }
    assert set(LIBRARIES) - used == set()
