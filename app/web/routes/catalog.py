"""What there is to build and train with, read from the engine's own registries."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.api.catalog import LayerPart, NamedFilter, Part, PresetEntry
from app.api.common import ListOf
from app.web.bodies.route import StrictRoute
from engine import catalog

router = APIRouter(prefix="/v1/catalog", route_class=StrictRoute, tags=["catalog"])


@router.get("/layers", summary="Layers")
def list_layers() -> ListOf[LayerPart]:
    """List every layer and block, with its hyperparameters, its formula and an example."""
    return ListOf(data=[LayerPart(**_named(entry)) for entry in catalog.layers()])


@router.get("/optimizers", summary="Optimizers")
def list_optimizers() -> ListOf[Part]:
    """List every rule that turns gradients into changes of the weights."""
    return ListOf(data=[Part(**_named(entry)) for entry in catalog.optimizers()])


@router.get("/schedules", summary="Learning-rate schedules")
def list_schedules() -> ListOf[Part]:
    """List every way in which the learning rate can move from step to step."""
    return ListOf(data=[Part(**_named(entry)) for entry in catalog.schedules()])


@router.get("/losses", summary="Losses")
def list_losses() -> ListOf[Part]:
    """List everything that training can minimise."""
    return ListOf(data=[Part(**_named(entry)) for entry in catalog.losses()])


@router.get("/augmentations", summary="Augmentations")
def list_augmentations() -> ListOf[Part]:
    """List every way in which training pictures can be varied."""
    return ListOf(data=[Part(**_named(entry)) for entry in catalog.augmentations()])


@router.get("/initializers", summary="Initializers")
def list_initializers() -> ListOf[Part]:
    """List every way in which weights can start; layers take the name of one, or all of it."""
    return ListOf(data=[Part(**_named(entry)) for entry in catalog.initializers()])


@router.get("/explanations", summary="Explanations")
def list_explanations() -> ListOf[Part]:
    """List every way in which what a model sees can be explained, with its options and where it was published."""
    return ListOf(data=[Part(**_named(entry)) for entry in catalog.explanations()])


@router.get("/presets", summary="Presets")
def list_presets() -> ListOf[PresetEntry]:
    """List architectures from the literature, each as it could be posted."""
    return ListOf(data=[PresetEntry(**entry) for entry in catalog.presets()])


@router.get("/filters", summary="Filters")
def list_filters() -> ListOf[NamedFilter]:
    """List the kernels that `POST /v1/operations/convolve` takes by name, with their numbers."""
    return ListOf(data=[NamedFilter(**entry) for entry in catalog.filters()])


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    return {"name": entry["type"]} | {key: value for key, value in entry.items() if key != "type"}
