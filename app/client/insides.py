"""The calls that look inside models: explanations, activations, filters, embeddings, traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.api.explanations import Explanation
from app.api.filters import FilterEntry, NodeFilters
from app.api.insides import Accounts, Activations, Embeddings, ModelGradientTraces, ModelTraces
from app.client.calls import Attachment, Call, Picture, content, entries, record
from app.client.resource import M, Resource, call

MODELS = "/v1/models"


Pictures = Picture | Sequence[Picture]
"""One picture, or several."""


def attached(pictures: Pictures) -> list[Attachment]:
    """Attach pictures as the calls on models take them."""
    return Attachment.each("files", pictures)


def _explained(picture: Picture, method: str, options: dict[str, Any]) -> dict[str, Any]:
    named = {"class" if name == "class_" else name: value for name, value in options.items()}
    return {"params": {"method": method, **named}, "files": attached(picture)}


def _written(positions: Sequence[Sequence[int]]) -> list[str]:
    return [",".join(map(str, position)) for position in positions]


class Insides(Resource[M]):
    """What models have learned, and what they make of pictures on the way."""

    @call
    def explain(self, /, model_id: str, picture: Picture, method: str, **options: Any) -> Call[Explanation]:
        """Return what the score of a class, label or value comes from in a picture.

        Args:
            model_id: the model.
            picture: the path of a file, or a name and bytes.
            method: as `catalog.explanations()` lists them.
            options: those of the method, `channels`, and `class_`: what is explained; by default what is predicted.
        """
        details = _explained(picture, method, options)
        return record(
            Explanation, "POST", f"{MODELS}/{model_id}/explain", accept="application/json", **details
        )

    @call
    def explanation_file(
        self,
        /,
        model_id: str,
        picture: Picture,
        method: str,
        *,
        accept: str = "image/png",
        **options: Any,
    ) -> Call[bytes]:
        """Return a picture under the map that `explain` gives in numbers, PNG, or the map as `application/x-npz`."""
        details = _explained(picture, method, options)
        return content(f"{MODELS}/{model_id}/explain", accept, method="POST", **details)

    @call
    def account(
        self,
        model_id: str,
        pictures: Pictures,
        *,
        maps: int | None = None,
        gradient: str | None = None,
        class_: str | None = None,
    ) -> Call[Accounts]:
        """Return an account of each picture: every node on its way through the network, in short.

        Args:
            model_id: the model.
            pictures: one or several: paths of files, or names and bytes.
            maps: how many maps of each node are given as small numbers, in place of a thumbnail.
            gradient: `score` or `loss`, of which the gradient is shown in place of what nodes put out.
            class_: of what the gradient is; by default of what is predicted.
        """
        options = {"maps": maps, "gradient": gradient, "class": class_}
        path = f"{MODELS}/{model_id}/activations"
        return record(Accounts, "POST", path, params=options, files=attached(pictures))

    @call
    def account_file(
        self,
        model_id: str,
        picture: Picture,
        *,
        gradient: str | None = None,
        class_: str | None = None,
        accept: str = "image/png",
    ) -> Call[bytes]:
        """Return the account of one picture as a drawing, PNG; the options are those of `account`."""
        options = {"gradient": gradient, "class": class_}
        path = f"{MODELS}/{model_id}/activations"
        return content(path, accept, method="POST", params=options, files=attached(picture))

    @call
    def activations(
        self,
        model_id: str,
        pictures: Pictures,
        node: str,
        *,
        gradient: str | None = None,
        class_: str | None = None,
    ) -> Call[Activations]:
        """Return the numbers that one node puts out for pictures, or their gradients.

        Args:
            model_id: the model.
            pictures: one or several: paths of files, or names and bytes.
            node: the name of a node of the network, or `input`.
            gradient: `score` or `loss`, of which the gradient is returned in place of what the node puts out.
            class_: of what the gradient is; by default of what is predicted.
        """
        path = f"{MODELS}/{model_id}/activations"
        return record(
            Activations,
            "POST",
            path,
            params={"node": node, "gradient": gradient, "class": class_},
            files=attached(pictures),
            as_file="models.activations_file",
        )

    @call
    def activations_file(
        self,
        model_id: str,
        pictures: Pictures,
        node: str,
        *,
        scale: str | None = None,
        gradient: str | None = None,
        class_: str | None = None,
        accept: str = "image/png",
    ) -> Call[bytes]:
        """Return the maps of one node as a PNG of one picture, or those of several pictures as `application/x-npz`.

        Args:
            model_id: the model.
            pictures: one or several: paths of files, or names and bytes.
            node: the name of a node of the network, or `input`.
            scale: `map`, each map of a PNG with its own scale of colours, or `shared`, one for all.
            gradient: as of `activations`.
            class_: as of `activations`.
            accept: the form of the file.
        """
        options = {"node": node, "scale": scale, "gradient": gradient, "class": class_}
        path = f"{MODELS}/{model_id}/activations"
        return content(path, accept, method="POST", params=options, files=attached(pictures))

    @call
    def filters(self, model_id: str) -> Call[tuple[FilterEntry, ...]]:
        """Return the nodes that have filters, with what these are like in short."""
        return entries(FilterEntry, f"{MODELS}/{model_id}/filters")

    @call
    def node_filters(self, model_id: str, node: str) -> Call[NodeFilters]:
        """Return the filters of one node, with all their numbers."""
        return record(NodeFilters, "GET", f"{MODELS}/{model_id}/filters", params={"node": node})

    @call
    def filters_file(self, model_id: str, node: str, *, accept: str = "image/png") -> Call[bytes]:
        """Return a drawing of the filters of one node, PNG, or their numbers as `application/x-npz`."""
        return content(f"{MODELS}/{model_id}/filters", accept, params={"node": node})

    @call
    def embedding(self, model_id: str, pictures: Pictures, *, node: str | None = None) -> Call[Embeddings]:
        """Return each picture as a vector, in the same order: what a node puts out, by default what the head reads."""
        path = f"{MODELS}/{model_id}/embedding"
        return record(Embeddings, "POST", path, params={"node": node}, files=attached(pictures))

    @call
    def embedding_file(
        self,
        model_id: str,
        pictures: Pictures,
        *,
        node: str | None = None,
        accept: str = "application/x-npz",
    ) -> Call[bytes]:
        """Return the same vectors as one array for NumPy."""
        path = f"{MODELS}/{model_id}/embedding"
        return content(path, accept, method="POST", params={"node": node}, files=attached(pictures))

    @call
    def trace(
        self,
        model_id: str,
        picture: Picture,
        node: str,
        positions: Sequence[Sequence[int]],
        *,
        on_the_way: bool = False,
    ) -> Call[ModelTraces]:
        """Return the arithmetic of single numbers that a node puts out for a picture.

        Args:
            model_id: the model.
            picture: the path of a file, or a name and bytes.
            node: the name of a node of the network.
            positions: of the numbers: (row, column, channel), or (index,) of a vector.
            on_the_way: whether they are followed back through the nodes of the same block.
        """
        options = {"node": node, "position": _written(positions), "on_the_way": on_the_way}
        path = f"{MODELS}/{model_id}/trace"
        return record(ModelTraces, "POST", path, params=options, files=attached(picture))

    @call
    def trace_gradients(
        self,
        model_id: str,
        picture: Picture,
        node: str,
        positions: Sequence[Sequence[int]],
        gradient: str = "score",
        *,
        class_: str | None = None,
    ) -> Call[ModelGradientTraces]:
        """Return how the gradients at single numbers of a node come about: what flows back from its readers.

        Args:
            model_id: the model.
            picture: as of `trace`.
            node: the name of a node of the network, or `input`.
            positions: as of `trace`.
            gradient: of the `score` of a class, or of the `loss` were the picture of this class.
            class_: of what, by default the predicted class.
        """
        options = {"node": node, "position": _written(positions), "gradient": gradient, "class": class_}
        path = f"{MODELS}/{model_id}/trace"
        return record(ModelGradientTraces, "POST", path, params=options, files=attached(picture))
