"""Figures of performance are kept by kinds of machines, and the page says which are of which kind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import features, report
from benchmarks.comparisons import BENCHMARKS
from benchmarks.machine import Kind, vectors

ROOT = Path(__file__).resolve().parents[2]
NARROW = Kind("AMD EPYC", 2, "AVX2", "Haswell")
WIDE = Kind("AMD EPYC", 2, "AVX-512", "SkylakeX")
NAMES = ("lenet-5", "vgg-small", "resnet-20")


def case(name: str, ratio: float, **more: Any) -> dict[str, Any]:
    return {
        "case": name,
        "ratio": {"median": ratio, "low": ratio - 0.1, "high": ratio + 0.1},
        "against": "eager",
        "against_fast_quartile": ratio,
        "milliseconds": {"ours": 2.0, "eager": 2 / ratio},
        "versions": {"NumPy": "2.4.6"},
        **more,
    }


def medians(cases: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {one["case"]: one["ratio"]["median"] for one in cases}


def test_a_run_replaces_the_cases_that_it_has_measured_of_its_own_kind() -> None:
    known: report.Results = {}
    report.merge(known, NARROW, "training-step", [case(name, 1.0) for name in NAMES], NAMES)
    report.merge(known, WIDE, "training-step", [case("vgg-small", 0.5)], NAMES)
    report.merge(known, NARROW, "training-step", [case("vgg-small", 2.0)], NAMES)
    assert medians(known[NARROW]["training-step"]) == {"lenet-5": 1.0, "vgg-small": 2.0, "resnet-20": 1.0}
    assert medians(known[WIDE]["training-step"]) == {"vgg-small": 0.5}
    assert report.parsed(report.written(known)) == known


def test_cases_stand_in_the_order_of_the_benchmark_and_those_that_it_has_no_more_go() -> None:
    known: report.Results = {}
    report.merge(
        known, NARROW, "training-step", [case("resnet-20", 1.0), case("gone", 1.0)], ["resnet-20", "gone"]
    )
    report.merge(known, NARROW, "training-step", [case("lenet-5", 1.0)], NAMES)
    assert [one["case"] for one in known[NARROW]["training-step"]] == ["lenet-5", "resnet-20"]


def test_the_page_says_which_figure_is_of_which_kind() -> None:
    known: report.Results = {
        NARROW: {"training-step": [case("lenet-5", 0.75), case("vgg-small", 0.651)]},
        WIDE: {"training-step": [case("lenet-5", 0.5)]},
    }
    text = "\n".join(report.page(known))
    targets, narrow, wide = text.split("\n## AMD EPYC with ")
    assert f"| case | target | {NARROW} | {WIDE} |" in targets
    assert "| lenet-5 | 0.65 | 0.75 (0.65-0.85): NO | 0.50 (0.40-0.60): yes |" in targets
    assert "| vgg-small | 0.65 | 0.65 (0.55-0.75): yes |  |" in targets
    assert narrow.startswith("AVX2, 2 cores, BLAS kernels for Haswell\n")
    assert "| lenet-5 | 0.75 (0.65-0.85) | eager | 0.75 | 0.65 | 2.00 |" in narrow
    assert wide.startswith("AVX-512, 2 cores, BLAS kernels for SkylakeX\n")
    assert "| lenet-5 | 0.50 (0.40-0.60) | eager | 0.50 | 0.65 | 2.00 |" in wide


def test_versions_stand_above_a_table_or_in_its_rows_where_they_differ() -> None:
    cases = [case("lenet-5", 1.0), case("vgg-small", 1.0, versions={"NumPy": "3.0.0"})]
    same, other = ("\n".join(report.page({WIDE: {"training-step": found}})) for found in (cases[:1], cases))
    assert "\nNumPy 2.4.6.\n" in same
    assert "| with |" not in same
    assert "| ours, ms | with |\n" in other
    assert "| 2.00 | NumPy 2.4.6 |\n" in other
    assert other.endswith("| 2.00 | NumPy 3.0.0 |")


def test_keeping_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, page = tmp_path / "performance.json", tmp_path / report.PAGE
    results.write_text(report.written({NARROW: {"training-step": [case("lenet-5", 0.75)]}}))
    page.write_text("Before.\n\n<!-- measured -->\n<!-- /measured -->\n\nBehind.\n")
    monkeypatch.setattr(report, "RESULTS", results)
    monkeypatch.setattr("benchmarks.page_sections.DOCS", tmp_path)
    versions = {"numpy": "2.4.6", "torch": "2.13.0+cpu", "onnxruntime": "1.32.0"}
    monkeypatch.setattr(report, "version", versions.__getitem__)
    report.keep(WIDE, "training-step", [case("lenet-5", 0.5)], NAMES)
    known = report.parsed(results.read_text())
    assert medians(known[NARROW]["training-step"]) == {"lenet-5": 0.75}
    assert medians(known[WIDE]["training-step"]) == {"lenet-5": 0.5}
    text = page.read_text()
    assert text.startswith("Before.\n\n<!-- measured -->\n\n## Targets\n")
    assert text.endswith("<!-- /measured -->\n\nBehind.\n")
    assert "NumPy 2.4.6, PyTorch 2.13.0, ONNX Runtime 1.32.0.\n" in text


def test_the_page_is_made_of_the_results() -> None:
    known = report.parsed(report.RESULTS.read_text(encoding="utf-8"))
    text = (ROOT / "docs" / report.PAGE).read_text(encoding="utf-8")
    tables = text.partition("<!-- measured -->\n\n")[2].partition("\n\n<!-- /measured -->")[0]
    assert tables == "\n".join(report.page(known)), "run `python -m benchmarks` again, or report.page"
    assert report.written(known) == report.RESULTS.read_text(encoding="utf-8")


def test_targets_and_results_are_of_cases_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    names = {name: [case.name for case in cases(str(tmp_path))] for name, cases in BENCHMARKS.items()}
    every = [name for listed in names.values() for name in listed]
    assert len(every) == len(set(every))
    assert report.TARGETS.keys() <= set(every)
    known = report.parsed(report.RESULTS.read_text(encoding="utf-8"))
    for benchmarks in known.values():
        for benchmark, cases in benchmarks.items():
            assert {case["case"] for case in cases} <= set(names[benchmark])


def asked(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_run_is_narrowed_to_cases() -> None:
    found = asked("all", "--list", "--only", "lenet-5", "features of * 96x96*")
    assert found.stdout.splitlines()[-2:] == [
        "training-step: lenet-5",
        "inference: features of mobilenet-v2 at 96x96, 64 pictures",
    ]
    none = asked("training-step", "--only", "lenet")
    assert none.returncode == 2
    assert "no case is called lenet; --list names those that there are" in none.stderr


def test_vectors_are_the_widest_of_a_processor() -> None:
    assert vectors("fpu avx avx2 avx512f avx512bw") == "AVX-512"
    assert vectors("fpu avx avx2 fma") == "AVX2"
    assert vectors("fpu sse2") == vectors("") == ""


def test_our_side_of_features() -> None:
    found = features.ours(32, 40)()
    assert np.concatenate(found).shape == (40, 1280)
