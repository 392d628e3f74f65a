"""Answers of training steps."""

from __future__ import annotations

import math
from dataclasses import asdict

from app.api.insides import Spread
from app.api.training_steps import StepCheck, StepNode, StepPicture, StepWeight, TrainingStep
from app.training.steps import Step
from engine.training.anatomy import Anatomy, GradientCheck, NodeStep


def training_step(step: Step, show: tuple[str, ...]) -> TrainingStep:
    """Show a step, and the numbers of the weights of these names."""
    anatomy, preprocessing = step.anatomy, step.preprocessing
    predictions = step.task.config.loss.predict(anatomy.scores)
    rows = zip(
        step.batch.targets, anatomy.losses, anatomy.scores, predictions, anatomy.losses_after, strict=True
    )
    return TrainingStep(
        loss=float(anatomy.losses.mean()),
        loss_after=float(anatomy.losses_after.mean()),
        learning_rate=anatomy.learning_rate,
        gradient_norm=math.hypot(*(node.gradient or 0.0 for node in anatomy.nodes)),
        classes=list(step.task.classes),
        mean=None if preprocessing is None else list(preprocessing.mean),
        deviation=None if preprocessing is None else list(preprocessing.deviation),
        pictures=[
            StepPicture(
                target=target.tolist(),
                loss=float(loss),
                scores=scores.tolist(),
                prediction=prediction.tolist(),
                loss_after=float(after),
            )
            for target, loss, scores, prediction, after in rows
        ],
        nodes=[_node(node) for node in anatomy.nodes],
        weights={name: _weight(anatomy, name) for name in show},
        numeric_check=_check(step.check),
    )


def _node(node: NodeStep) -> StepNode:
    return StepNode(
        name=node.name,
        type=node.type,
        output_shape=list(node.output_shape),
        activation=Spread(**asdict(node.activation)),
        parameters=node.parameters,
        gradient_norm=node.gradient,
        weight_norm=node.weight,
        update_norm=node.update,
        update_ratio=node.update / node.weight if node.update is not None and node.weight else None,
        zero_gradients=node.zero_gradients,
    )


def _weight(anatomy: Anatomy, name: str) -> StepWeight:
    before, after = anatomy.before[name], anatomy.after[name]
    gradient = anatomy.gradients.get(name)
    return StepWeight(
        shape=list(before.shape),
        before=before.tolist(),
        gradient=None if gradient is None else gradient.tolist(),
        update=(after - before).tolist(),
        after=after.tolist(),
    )


def _check(check: GradientCheck) -> StepCheck:
    largest = check.largest
    return StepCheck(
        entries=check.entries,
        kinks=check.kinks,
        largest_relative_difference=None if largest is None else largest.difference,
        weight=None if largest is None else largest.weight,
        position=None if largest is None else list(largest.position),
        numeric=None if largest is None else largest.numeric,
        gradient=None if largest is None else largest.gradient,
    )
