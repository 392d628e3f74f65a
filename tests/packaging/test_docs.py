"""What the documentation says is compared with what is there."""

import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.main import get_command

from app.cli.main import cli
from app.metrics.families import FAMILIES
from app.settings import PREFIX, Group, Settings

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def tracked(pattern: str) -> list[Path]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", pattern]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def anchor(heading: str) -> str:
    """Return the anchor that a Markdown heading gets."""
    kept = re.sub(r"[^\w\s-]", "", heading.strip().lower())
    return re.sub(r"\s", "-", kept)


@pytest.mark.parametrize("page", tracked("*.md"), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, fragment = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), f"{page.name} links to {target}"
        if fragment:
            headings = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert fragment in map(anchor, headings), f"{page.name} links to {target}"


def test_every_page_can_be_found() -> None:
    pages = [*(ROOT / "docs").rglob("*.md")]
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in [*pages, ROOT / "README.md"]
        for target in LINK.findall(page.read_text(encoding="utf-8"))
    }
    assert {page for page in pages if page.resolve() not in linked} == set()


@pytest.mark.parametrize(
    "page",
    [page for page in tracked("*.md") if page.name != "CHANGELOG.md"],  # it speaks of what there was
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_files_and_modules_that_are_mentioned_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    mentioned = set(re.findall(r"(?<![\w./-])((?:app|engine|tests|benchmarks)/[\w/.-]*\w)", text))
    modules = set(re.findall(r"-m ((?:app|engine|tests|benchmarks)(?:\.\w+)*)", text))
    mentioned |= {module.replace(".", "/") for module in modules}
    gone = {name for name in mentioned if not (ROOT / name).exists() and not (ROOT / f"{name}.py").is_file()}
    assert gone == set()


@pytest.mark.parametrize("package", ["app", "engine"])
def test_the_architecture_page_has_every_room(package: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    drawn: set[str] = set()
    for cell in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", cell):
            folder, _, several = name.partition("{")
            names = several.removesuffix("}.py").split(",")
            drawn |= {f"{folder}{one}.py" for one in names} if several else {name}
    files = [file.relative_to(ROOT) for file in tracked(f"{package}/*.py")]
    top = {file.as_posix() for file in files if len(file.parts) == 2 and file.name != "__init__.py"}
    rooms = {file.parent.as_posix() for file in files if len(file.parts) > 2}
    drawn = {name for name in drawn if name.startswith(f"{package}/")}
    assert drawn == top | {room for room in rooms if not room.startswith("app/store/migrations")}


def settings_table(group: type[Group]) -> str:
    """Write the table of a group of settings that docs/operations.md should hold under the title of the group."""
    title = (group.__doc__ or "").removesuffix(".")
    rows = [f"### {title}", "", "| variable | default | meaning |", "|---|---|---|"]
    for name, field in group.model_fields.items():
        if field.default_factory is not None:
            default = "what the machine has"
        elif field.default in (None, ()):
            default = ""
        elif name.endswith("_bytes"):
            mib = field.default // 2**20
            default = (
                f"{field.default} ({mib // 1024} GiB)" if mib >= 1024 else f"{field.default} ({mib} MiB)"
            )
        else:
            default = str(field.default)
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def test_the_settings_are_documented() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    groups = [group for group in Settings.__bases__ if issubclass(group, Group)]
    assert {name for group in groups for name in group.model_fields} == set(Settings.model_fields)
    tables = "\n\n".join(map(settings_table, groups))
    assert tables + "\n\n" in page, f"docs/operations.md should hold:\n{tables}"


def metrics_table() -> str:
    """Write the table of metrics that docs/watching.md should hold."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for name, family in FAMILIES.items():
        labels = ", ".join(f"`{label}`" for label in family.labels)
        rows.append(f"| `{name}` | {family.kind} | {labels} | {family.help} |")
    return "\n".join(rows)


def test_the_metrics_are_documented() -> None:
    page = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
    table = metrics_table()
    assert table in page, f"docs/watching.md should hold:\n{table}"


def test_every_variable_that_is_mentioned_exists() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {"CONVSERVE_URL"}
    files = [*tracked("*.md"), ROOT / "Dockerfile", ROOT / "docker" / "compose.yaml", ROOT / "Makefile"]
    for file in files:
        mentioned = set(re.findall(r"CONVSERVE_[A-Z_]*[A-Z]", file.read_text(encoding="utf-8")))
        assert mentioned <= known, file.name


def test_the_commands_that_are_mentioned_exist() -> None:
    commands: dict[str, Any] = vars(get_command(cli))["commands"]
    pages = [page for page in tracked("*.md") if page.name != "CHANGELOG.md"]  # it speaks of what there was
    for file in [*pages, *tracked("docker/*.y*ml")]:
        text = file.read_text(encoding="utf-8")
        code = [*re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL), *re.findall(r"`[^`\n]+`", text)]
        for name, second in re.findall(
            r"(?:`|^)convserve ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", "\n".join(code), re.MULTILINE
        ):
            assert name in commands, f"{file.name}: convserve {name}"
            below = vars(commands[name]).get("commands")
            assert not below or not second or second in below, f"{file.name}: convserve {name} {second}"


def test_the_makefile_targets_that_are_mentioned_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    # The changelog speaks of what there was.
    for page in (page for page in tracked("*.md") if page.name != "CHANGELOG.md"):
        for line in re.findall(r"`make ([a-z -]+?)[`\n]", page.read_text(encoding="utf-8")):
            assert set(line.split()) <= targets, f"{page.name}: make {line}"


def test_every_status_of_an_error_is_explained(http: httpx.Client) -> None:
    page = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
    document = http.get("/openapi.json").json()
    responses = document["components"]["responses"].values()
    media = [kind for response in responses for kind in response["content"].values()]
    examples = [kind["example"] for kind in media if "example" in kind]
    examples += [each["value"] for kind in media for each in kind.get("examples", {}).values()]
    answers = {str(example["status"]) for example in examples}
    assert {status for status in answers if status >= "4"} == set(
        re.findall(r"^\| (\d{3}) \|", page, re.MULTILINE)
    )
