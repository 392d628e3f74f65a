"""Small networks of Keras, on PyTorch: channels last, and sizes that are computed in the graph."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from benchmarks.exported.files import SMALL_SIDE
from benchmarks.exported.networks import SEED, SMALL_CLASSES


def _sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((SMALL_SIDE, SMALL_SIDE, 3)),
            layers.Rescaling(0.5, offset=0.1),
            layers.Conv2D(6, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, strides=2, padding="same", activation="tanh"),
            layers.AveragePooling2D(3, strides=2),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(SMALL_CLASSES, activation="softmax"),
        ]
    )


def _residual() -> keras.Model:
    source = keras.Input((SMALL_SIDE, SMALL_SIDE, 3))
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(source)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    inner = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    inner = layers.Activation("swish")(layers.BatchNormalization()(inner))
    weights = layers.GlobalAveragePooling2D()(inner)
    weights = layers.Reshape((1, 1, 8))(weights)
    weights = layers.Conv2D(4, 1, activation="relu")(weights)
    weights = layers.Conv2D(8, 1, activation="sigmoid")(weights)
    inner = layers.multiply([inner, weights])
    inner = layers.Conv2D(8, 1, use_bias=False)(inner)
    x = layers.add([x, layers.BatchNormalization()(inner)])
    wide = layers.SeparableConv2D(6, 3, padding="same", activation="elu")(x)
    x = layers.GlobalAveragePooling2D()(layers.concatenate([x, wide]))
    return keras.Model(source, layers.Dense(SMALL_CLASSES)(x))


KERAS: dict[str, Callable[[], keras.Model]] = {
    "keras_sequential": _sequential,
    "keras_residual": _residual,
}


def drawn(name: str) -> keras.Model:
    """Return one of `KERAS` with every weight drawn."""
    model = KERAS[name]()
    generator = np.random.default_rng([SEED, *name.encode()])
    for variable in model.weights:
        shape = tuple(variable.shape)
        values = generator.standard_normal(shape)
        if len(shape) > 1:
            values *= np.sqrt(2 / np.prod(shape[:-1]))
        elif variable.name in ("gamma", "moving_variance"):
            values = np.abs(1 + 0.2 * values)
        else:
            values *= 0.1
        variable.assign(values.astype(np.float32))
    model(np.zeros((1, SMALL_SIDE, SMALL_SIDE, 3), np.float32))  # it exports what has been called
    return model
