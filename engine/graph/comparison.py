"""Two networks side by side: what each costs and sees, and in which layers they differ."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from engine.graph.compared import Differences, LayerDifference, NetworkComparison, NumberDifference
from engine.graph.costs import Summary
from engine.graph.network import INPUT, Network, Node
from engine.layers import LayerRecord


def compare(first: Network, second: Network, summaries: tuple[Summary, Summary]) -> NetworkComparison:
    """Compare two networks, of which these are the summaries: sums, and node by node.

    Nodes of one name belong together. Of the others, those belong together that are alike in all but their names and
    inputs, in order; the rest was removed or added.
    """
    totals = [summary.totals.model_dump(exclude={"batch_size"}) for summary in summaries]
    for network, summary, numbers in zip((first, second), summaries, totals, strict=True):
        height, width = _last_field(summary)
        numbers |= {"nodes": len(network.nodes), "depth": depth(network)}
        numbers |= {"receptive_field_height": height, "receptive_field_width": width}
    pairs = _aligned(first.nodes, second.nodes)
    found = list(_differences(first.nodes, second.nodes, pairs))
    return NetworkComparison(
        differences=Differences(
            **{name: _difference(totals[0][name], totals[1][name]) for name in totals[0]}
        ),
        unchanged=len(pairs) - sum(1 for each in found if None not in each.names),
        layers=found,
    )


def depth(network: Network) -> int:
    """Return the most layers with multiply-adds on one way from the picture to the output, as papers count them."""
    deepest = {INPUT: 0}
    for node in network.nodes:
        counts = node.layer.cost(*node.input_shapes).multiply_adds > 0
        deepest[node.name] = max(deepest[name] for name in node.inputs) + counts
    return deepest[network.nodes[-1].name] if network.nodes else 0


def _last_field(summary: Summary) -> tuple[int, int]:
    """Return height and width of what a cell of the last map sees; of the picture itself, one pixel."""
    maps = [layer for layer in summary.layers if len(layer.output_shape) == 3]
    height, width = maps[-1].receptive_field if maps else (1, 1)
    return height, width


def _difference(first: int, second: int) -> NumberDifference:
    ratio = second / first if first else None
    return NumberDifference(values=(first, second), difference=second - first, ratio=ratio)


def _aligned(first: Sequence[Node], second: Sequence[Node]) -> dict[int, int]:
    """Return which nodes belong together: places in the second network, and those in the first."""
    places = {node.name: place for place, node in enumerate(first)}
    pairs = {place: places[node.name] for place, node in enumerate(second) if node.name in places}
    named = set(pairs.values())
    alike: dict[str, deque[int]] = defaultdict(deque)
    for place, node in enumerate(first):
        if place not in named:
            alike[repr(_values(node))].append(place)
    last = -1
    for place, node in enumerate(second):
        if place in pairs:
            continue
        waiting = alike[repr(_values(node))]
        while waiting and waiting[0] < last:
            waiting.popleft()
        if waiting:
            last = pairs[place] = waiting.popleft()
    return pairs


def _differences(
    first: Sequence[Node], second: Sequence[Node], pairs: Mapping[int, int]
) -> Iterator[LayerDifference]:
    """Yield what differs in the order of the second network, what was removed before what came after it."""
    kept = set(pairs.values())
    removed = deque(place for place in range(len(first)) if place not in kept)
    for place, node in enumerate(second):
        if place not in pairs:
            yield _one_sided("added", node)
            continue
        while removed and removed[0] < pairs[place]:
            yield _one_sided("removed", first[removed.popleft()])
        before = first[pairs[place]]
        values = _different(before, node)
        if values or before.name != node.name:
            yield LayerDifference(
                change="changed" if before.name == node.name else "renamed",
                names=(before.name, node.name),
                types=(before.layer.type, node.layer.type),
                values=values,
            )
    yield from (_one_sided("removed", first[place]) for place in removed)


def _one_sided(change: Literal["removed", "added"], node: Node) -> LayerDifference:
    removed = change == "removed"
    return LayerDifference(
        change=change,
        names=(node.name, None) if removed else (None, node.name),
        types=(node.layer.type, None) if removed else (None, node.layer.type),
        values={},
    )


def _different(first: Node, second: Node) -> dict[str, tuple[Any, Any]]:
    values = [_values(node) | {"inputs": list(node.inputs)} for node in (first, second)]
    return {
        name: (values[0].get(name), values[1].get(name))
        for name in values[0] | values[1]
        if values[0].get(name) != values[1].get(name)
    }


def _values(node: Node) -> dict[str, Any]:
    """Return what makes a node what it is, but for its place and its activation, which is a node of its own."""
    hidden = {*LayerRecord.model_fields, "activation"} - {"type"}
    values = node.layer.model_dump(mode="json", exclude=hidden)
    return values | {"output_shape": list(node.output_shape), "parameters": node.parameters}
