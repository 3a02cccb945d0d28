"""Every way in which what arrives does not fit a layer, in one table: the sentences that people read.

Each goes on from the layer's path, and where what arrives comes from is added: "fc1 takes 3136 features, 1600 arrive"
and " from flatten". tests/test_shape_errors.py has the commonest cases, with what torch says in each.
"""

from __future__ import annotations

from enum import StrEnum


class Misfit(StrEnum):
    """What a layer takes, and what arrives (`arrives` is "600 arrive" or "1 dimension arrives")."""

    # sizes
    SIZE = "takes {takes} {noun}, {arrives}"
    LAST_SIZES = "takes {takes} in the last dimensions, {arrives} arrives"
    NO_FEATURES = "takes {takes} features, a single number arrives"
    MULTIPLE = "takes {noun} that {takes} divides, {arrives}"
    GROUPED = "takes channels that {takes} groups divide, {arrives}"
    ELEMENTS_FOR = "takes {takes} elements for {sizes}, {arrives}"
    MULTIPLE_FOR = "takes a multiple of {takes} elements for {sizes}, {arrives}"
    BLOCKS_FOR = "takes {takes} blocks for {sizes}, {arrives}"
    HALVES = "halves dimension {takes}, {arrives}"
    # dimensions
    DIMENSIONS = "needs {takes} dimensions, {arrives}"
    LEAST_DIMENSIONS = "needs at least {takes}, {arrives}"
    NO_DIMENSION = "works on dimension {takes}, {arrives}"
    NO_DIMENSIONS = "begins at dimension {first} and ends at {last}: {arrives}"
    # windows
    WINDOW = "cannot fit a window of {takes} into {arrives}"
    PADDED_WINDOW = "cannot fit a window of {takes} into {padded} with padding, {arrives} arrives"
    WINDOWS = "needs {takes} elements for {count} windows of {window}, {arrives}"
    MIRROR = "{verb} {takes} elements, {arrives}"
    CROPS = "crops everything{how}, {arrives} arrives"
    # nothing, and too little
    EMPTY = "cannot work on an empty dimension, {arrives} arrives"
    NO_CHANNEL = "needs at least one channel, none arrives"
    NO_STEP = "needs a sequence of at least one step, none arrives"
    SINGLE_VALUE = "needs more than one value to normalize, {arrives} arrives"
    # types
    NO_FLOATS = "takes floating-point numbers, {arrives} arrives"
    OTHER_FLOATS = "has {takes} weights, {arrives} arrives"
    NO_INDICES = "takes int64 or int32, {arrives} arrives"
    NO_NUMBERS = "takes numbers, {arrives} arrives"
    HOLDS = "needs numbers that can be {takes}, {arrives} arrives"
    ON_CPU = "takes {takes} on a CPU, {arrives} arrives"
    # tensors
    TUPLE = "takes one tensor, a tuple of {arrives} arrives"
    SEVERAL = "takes {takes} tensors ({names}), one arrives"
    NO_SINGLE = "needs more than the one tensor that arrives"
    TOO_MANY = "would give out more elements than torch can count"
