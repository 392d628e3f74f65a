"""Compare every layer, loss and optimizer with PyTorch, and explanations with Captum; `make parity` runs it.

It writes the answers of PyTorch and Captum to the golden files that the tests read, and the figures to docs/parity.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import captum
import numpy as np
import torch

from benchmarks import torch_layers
from benchmarks.parity_cases import Case, drawn, examples
from benchmarks.parity_explanations import explanation_rows
from benchmarks.parity_foreign import foreign_rows
from benchmarks.parity_rows import DTYPES, TOLERANCE, Arrays, Row
from benchmarks.parity_training import training_rows
from engine.arrays import Array
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import LAYERS, Block, Context
from engine.presets import PRESETS

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "engine" / "golden"
PAGE = ROOT / "docs" / "parity.md"
BATCH = 3
NETWORK_BATCH = 4
SEED = 20


def inputs(case: Case) -> Arrays:
    """Draw a batch of inputs, weights and the gradient of the output: float64, but no more digits than float32."""
    generator = np.random.default_rng([SEED, *case.name.encode()])
    arrays = {f"x{n}": generator.standard_normal((BATCH, *shape)) for n, shape in enumerate(case.inputs)}
    for name, spec in case.layer.weights(*case.inputs).items():
        values = generator.standard_normal(spec.shape)
        arrays[f"w {name}"] = np.abs(values) + 0.5 if "variance" in name else values
    arrays["dy"] = generator.standard_normal((BATCH, *case.layer.output_shape(*case.inputs)))
    return {name: array.astype(np.float32).astype(np.float64) for name, array in arrays.items()}


def _split(arrays: Arrays) -> tuple[Arrays, list[Array]]:
    weights = {name[2:]: array for name, array in arrays.items() if name.startswith("w ")}
    return weights, [array for name, array in arrays.items() if name.startswith("x")]


def ours(case: Case, arrays: Arrays) -> Arrays:
    """Return what this project computes."""
    weights, xs = _split(arrays)
    context = Context(statistics="batch", records=True, seed=SEED, node="layer")
    y, saved = case.layer.forward(weights, *xs, context=context)
    dxs, gradients = case.layer.backward(weights, saved, arrays["dy"], context=context)
    results = {f"dx{number}": dx for number, dx in enumerate(dxs) if dx is not None}
    results |= {f"dw {name}": gradient for name, gradient in gradients.items()}
    return {"y": y} | results | {f"new {name}": value for name, value in context.updates.items()}


def theirs(case: Case, arrays: Arrays) -> Arrays:
    """Return what PyTorch computes."""
    weights, xs = _split(arrays)
    context = Context(statistics="batch", records=True, seed=SEED, node="layer")
    leaves = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in arrays.items()}
    local = {name: leaves[f"w {name}"] for name in weights}
    function = torch_layers.FUNCTIONS[case.layer.type]
    y = function(case.layer, local, [leaves[f"x{number}"] for number in range(len(xs))], context)
    y.backward(leaves["dy"].detach())
    trained = {name for name, spec in case.layer.weights(*case.inputs).items() if spec.trainable}
    results = {f"dx{number}": leaves[f"x{number}"].grad.numpy() for number in range(len(xs))}
    results |= {f"dw {name}": leaves[f"w {name}"].grad.numpy() for name in weights if name in trained}
    return (
        {"y": y.detach().numpy()}
        | results
        | {f"new {name}": value for name, value in context.updates.items()}
    )


def layer_rows(golden: Arrays) -> dict[str, Row]:
    """Compare every layer, and put what PyTorch says of the examples into `golden`."""
    rows = {kind.tag(): Row() for kind in LAYERS if not issubclass(kind, Block)}
    generator = np.random.default_rng(SEED)
    for number, case in enumerate([*examples(), *drawn(generator)]):
        rows[case.layer.type].cases += 1
        for dtype, kind in DTYPES.items():
            arrays = {name: array.astype(kind) for name, array in inputs(case).items()}
            answer = theirs(case, arrays)
            rows[case.layer.type].add(dtype, ours(case, arrays), answer)
            if dtype == "float64" and "-drawn-" not in case.name and not _draws(case):
                golden[f"{number}/layer"] = np.array(case.layer.model_dump_json())
                golden |= {f"{number}/{name}": array.astype(np.float32) for name, array in arrays.items()}
                golden |= {f"{number}/{name}": array for name, array in answer.items()}
    return rows


def _draws(case: Case) -> bool:
    """Whether the layer draws at random: then a golden file would hold the draws, not the arithmetic."""
    return hasattr(case.layer, "rate")


def networks() -> Iterator[tuple[str, Network]]:
    """Yield a network of each block's examples, and presets small enough to be run here."""
    for kind in LAYERS:
        for number, example in enumerate(kind.examples):
            if issubclass(kind, Block):
                height, width, channels = example.inputs[0]
                record = {"input_shape": (4 * height, 4 * width, channels), "layers": [example.layer]}
                yield f"{kind.tag()} {number + 1}", Network.build(Architecture.model_validate(record))
    for preset in PRESETS:
        if preset.name.startswith(("alexnet", "vgg-1")):
            continue  # hundreds of megabytes of dense weights say nothing about the layers
        side = max(64 if preset.input_shape[0] == 224 else 32, preset.smallest)
        yield preset.name, Network.build(preset.architecture((side, side, 3), 10))


def network_row(network: Network) -> Row:
    """Compare scores, gradients and running statistics of a whole network."""
    row = Row(len(network.nodes))
    generator = np.random.default_rng(SEED)
    x = generator.standard_normal((NETWORK_BATCH, *network.input_shape))
    dy = generator.standard_normal((NETWORK_BATCH, *network.output_shape))
    for dtype, kind in DTYPES.items():
        weights = network.initial_weights(SEED, kind)
        context = Context(statistics="batch", records=True, seed=SEED)
        tape = network.forward(weights, x.astype(kind), context)
        gradients = network.backward(tape, dy.astype(kind))
        mine = {"y": tape.output} | gradients | {f"new {k}": v for k, v in context.updates.items()}

        leaves = {name: torch.from_numpy(weight.copy()).requires_grad_() for name, weight in weights.items()}
        context = Context(statistics="batch", records=True, seed=SEED)
        y = torch_layers.run(network, leaves, torch.from_numpy(x.astype(kind)), context)
        y.backward(torch.from_numpy(dy.astype(kind)))
        other = {"y": y.detach().numpy()} | {name: leaves[name].grad.numpy() for name in gradients}
        row.add(dtype, mine, other | {f"new {k}": v for k, v in context.updates.items()})
    return row


def table(title: str, count: str, rows: dict[str, Row]) -> str:
    """Write rows as a Markdown table."""
    columns = [(part, dtype) for dtype in DTYPES for part in ("forward", "gradients")]
    lines = [
        f"| {title} | {count} | " + " | ".join(f"{part}, {dtype}" for part, dtype in columns) + " |",
        "|---|---:|" + "---:|" * len(columns),
    ]
    for name, row in rows.items():
        cells = [f"{row.worst[column]:.0e}" if column in row.worst else "–" for column in columns]
        lines.append(f"| {name} | {row.cases} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def faults(rows: dict[str, Row], dtypes: Sequence[str]) -> list[str]:
    """Name what differs by more than the tolerance."""
    return [
        f"{name}: {part} in {dtype} differ by {found:.1e}"
        for name, row in rows.items()
        for (part, dtype), found in row.worst.items()
        if dtype in dtypes and not found <= TOLERANCE[dtype]
    ]


def main() -> int:
    golden: dict[str, Arrays] = {"layers": {}, "training": {}, "explanations": {}, "foreign": {}}
    rows = layer_rows(golden["layers"])
    training = training_rows(golden["training"])
    explanations = explanation_rows(golden["explanations"])
    foreign = foreign_rows(golden["foreign"])
    wholes = {name: network_row(network) for name, network in networks()}
    for name, row in (rows | training | explanations | wholes).items():
        print(
            f"{name:28} {row.cases:4}  "
            + "  ".join(f"{key[0]} {key[1]} {v:.0e}" for key, v in row.worst.items())
        )
    wrong = faults(rows | training | explanations, list(DTYPES)) + faults(wholes, ["float64"])
    wrong += [
        f"{' '.join(name)}: {worst:.0e}" for name, worst in foreign.items() if worst > TOLERANCE["float32"]
    ]
    if wrong:
        print("\n".join(["Not equal:", *wrong]), file=sys.stderr)
        return 1
    for name, arrays in golden.items():
        np.savez_compressed(GOLDEN / f"{name}.npz", **arrays)
    text = (ROOT / "benchmarks" / "parity.md.in").read_text(encoding="utf-8")
    for mark, value in {
        "{torch}": torch.__version__.partition("+")[0],
        "{numpy}": np.__version__,
        "{layers}": table("layer", "cases", rows),
        "{training}": table("loss or optimizer", "cases", training),
        "{captum}": captum.__version__,
        "{explanations}": table("method", "cases", explanations),
        "{foreign}": "\n".join(
            ["| preset | weights of | float32 |", "|---|---|---|"]
            + [f"| `{preset}` | {library} | {worst:.0e} |" for (preset, library), worst in foreign.items()]
        ),
        "{networks}": table("network", "nodes", wholes),
    }.items():
        text = text.replace(mark, value)
    PAGE.write_text(text, encoding="utf-8")
    print(
        json.dumps(
            {
                "cases": sum(row.cases for row in rows.values()),
                "golden_bytes": sum(file.stat().st_size for file in GOLDEN.iterdir()),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
