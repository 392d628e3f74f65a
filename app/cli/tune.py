"""`convserve tune`: what was measured of this machine, and what follows from it."""

from __future__ import annotations

import json
import os
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.care import DataDir, explained
from app.cli.options import CommandError, Json
from app.cli.output import WIDTH, number, say, table

if TYPE_CHECKING:
    from engine.fast.layout.gemm import Tuning
    from engine.machine.machine import Machine


def tune(
    data_dir: DataDir = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure anew, and forget what was measured before.")
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", help="Show what computes each layer of this network, and why.", show_default=False
        ),
    ] = None,
    pictures: Annotated[int, typer.Option("--batch", min=1, help="With --preset: for so many pictures.")] = 1,
    training: Annotated[
        bool, typer.Option("--training", help="With --preset: for training, and not for predictions.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what was measured of this machine, and what follows from it for plans of networks.

    What has not been measured yet is, in about two seconds, and kept in the data directory. Servers and jobs that begin
    after that go by it; a job that goes on goes by what it began with. With --preset, a plan is made for so many
    pictures, those of one core.
    """
    with explained():
        from app.jobs.processes import THREADS_VARIABLES

        for name in THREADS_VARIABLES:  # as in jobs: read when NumPy is imported
            os.environ.setdefault(name, "1")
        from app.files.machines import kept, measure_and_keep
        from app.settings import load_settings
        from engine.fast.layout.gemm import Tuning

        root = load_settings({"data_dir": "--data-dir"}, data_dir=data_dir).data_dir
        machine = None if again else kept(root)
        if machine is None:
            machine = measure_and_keep(root)
        tuning = Tuning.of(machine)
    steps = None if preset is None else _steps(preset, pictures, tuning, training=training)
    if as_json:
        about: dict[str, Any] = machine.model_dump() | {"tuning": tuning.model_dump(exclude={"figures"})}
        say(json.dumps(about if steps is None else about | {"steps": steps}, indent=2))
    elif steps is not None:
        for step in steps:
            say(f"{step['step']}: {step['computed_by']}")
            say(textwrap.fill(step["why"], WIDTH, initial_indent="  ", subsequent_indent="  "))
    else:
        _print_machine(machine)
        _print_tuning(tuning)


def _steps(preset: str, pictures: int, tuning: Tuning, *, training: bool) -> list[dict[str, str]]:
    """Return what computes each step of a preset's plan, and why."""
    from engine.fast.plan import Plan
    from engine.graph.network import Network
    from engine.presets import PRESETS, find

    found = find(preset)
    if found is None:
        raise CommandError(
            f"there is no preset {preset!r}", f"there are {', '.join(one.name for one in PRESETS)}"
        )
    network = Network.build(found.architecture()).without_final("softmax")  # as the loss takes it
    plan = Plan(network, pictures, tuning, training=training)
    reasons = plan.reasons
    return [
        {"step": name, "computed_by": choice, "why": reasons[name]} for name, choice in plan.choices.items()
    ]


def _print_machine(machine: Machine) -> None:
    figures = machine.figures
    library = (
        f"OpenBLAS with its kernels for {machine.kernels}" if machine.kernels else "another than OpenBLAS"
    )
    say(f"{machine.processor}, {machine.cores} cores; products by {library}; NumPy {machine.numpy}\n")
    products = [
        [
            f"({each.rows}, {each.inner}) @ ({each.inner}, {each.columns})",
            number(each.whole),
            number(each.cut),
        ]
        for each in (*figures.products, *machine.others)
    ]
    headings = ["product", "GFLOP/s whole", "in pieces"]
    table(headings, products, numbers=headings[1:])
    say()
    passes = [
        [f"{each.bytes // 1024:,} KiB", number(each.copy_rate), number(each.multiply_rate)]
        for each in figures.passes
    ]
    headings = ["array", "GB/s copied", "multiplied"]
    table(headings, passes, numbers=headings)
    say()
    gathers = [[str(each.run), number(each.rate)] for each in figures.gathers]
    headings = ["numbers of a run", "GB/s gathered"]
    table(headings, gathers, numbers=headings)
    say(f"""
A call of NumPy takes {number(figures.call)} µs, one of many small products in a call {number(figures.piece)} µs.
A hand-off to another thread takes {number(machine.hand_off)} µs.
Winograd's transform runs at {number(figures.transform)} GFLOP/s.
While all cores compute, each has {machine.together:.0%} of its speed.
""")


def _print_tuning(tuning: Tuning) -> None:
    if tuning.gemm_edge:
        say(f"Tall products are cut into pieces of up to {tuning.gemm_edge:,} multiplications.")
    else:
        say("Tall products are computed whole.")
    say(f"Tiles of convolutions take {tuning.tile_bytes // 1024} KiB, on every machine.")
