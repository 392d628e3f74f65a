"""Every layer and block there is: the one list that all else is computed from."""

from __future__ import annotations

from engine.layers.affine import Affine
from engine.layers.base import (
    ANY_LAYER,
    AnyLayer,
    Block,
    Context,
    Cost,
    Example,
    Layer,
    LayerRecord,
    Reach,
    WeightSpec,
)
from engine.layers.blocks import Parallel, Residual
from engine.layers.branches import DenseBlock, Inception
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.dense import Dense
from engine.layers.dropout import Dropout, SpatialDropout2D, StochasticDepth
from engine.layers.light import DepthwiseSeparable, InvertedResidual, SqueezeAndExcitation
from engine.layers.local_response import LocalResponseNorm
from engine.layers.merge import Add, Concatenate, Divide, Multiply, Subtract
from engine.layers.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from engine.layers.parameters import ACTIVATIONS
from engine.layers.pooling import AveragePool2D, GlobalAveragePool2D, GlobalMaxPool2D, MaxPool2D
from engine.layers.resampling import AdaptiveAveragePool2D
from engine.layers.reshape import Flatten, Pad2D, Reshape
from engine.layers.slicing import ChannelShuffle, Slice
from engine.layers.transposed import TransposedConv2D
from engine.layers.upsampling import Upsample2D

LAYERS: tuple[type[LayerRecord], ...] = (
    Conv2D,
    DepthwiseConv2D,
    TransposedConv2D,
    Pad2D,
    MaxPool2D,
    AveragePool2D,
    GlobalMaxPool2D,
    GlobalAveragePool2D,
    AdaptiveAveragePool2D,
    Upsample2D,
    Flatten,
    Reshape,
    Slice,
    ChannelShuffle,
    Dense,
    *ACTIVATIONS,
    BatchNorm,
    LayerNorm,
    GroupNorm,
    InstanceNorm,
    LocalResponseNorm,
    Affine,
    Dropout,
    SpatialDropout2D,
    StochasticDepth,
    Add,
    Subtract,
    Multiply,
    Divide,
    Concatenate,
    Residual,
    Parallel,
    Inception,
    DenseBlock,
    SqueezeAndExcitation,
    DepthwiseSeparable,
    InvertedResidual,
)

ANY_LAYER.add(LAYERS)

__all__ = [
    "LAYERS",
    "AnyLayer",
    "Block",
    "Context",
    "Cost",
    "Example",
    "Layer",
    "LayerRecord",
    "Reach",
    "WeightSpec",
]
