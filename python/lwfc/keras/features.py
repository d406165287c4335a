"""features and calibrate: what comes out of a layer."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from ..base.errors import ParameterError
from ..calibration.calibrate import calibrate as calibrate_samples
from ..codec.codec import Codec
from .layers import find_layer, wrapped

__all__ = ["batches", "calibrate", "features", "to_array"]

BATCH = 50  # samples of a bare array that run at once


def batches(data: Any) -> Iterable[Any]:
    """Batches of inputs: of one array, a tf.data.Dataset, a PyDataset or an iterable; labels of
    (inputs, labels) pairs are left out.
    """
    if isinstance(data, (str, bytes, Mapping)) or not hasattr(data, "__iter__"):
        raise ParameterError(f"data is a {type(data).__name__}: pass one array of inputs, a "
                             "tf.data.Dataset, a PyDataset or an iterable of batches")  # fmt: skip
    if hasattr(data, "shape"):
        parts: Any = (data[i : i + BATCH] for i in range(0, len(data), BATCH))
    elif hasattr(data, "as_numpy_iterator"):
        parts = data.as_numpy_iterator()
    elif isinstance(data, keras.utils.PyDataset):
        parts = (data[i] for i in range(len(data)))
    else:
        parts = data
    for part in parts:
        yield part[0] if isinstance(part, (tuple, list)) else part


def to_array(x: Any) -> np.ndarray:
    """A tensor of the back-end as an array; bfloat16 as ml_dtypes' or float32."""
    narrow = keras.backend.standardize_dtype(x.dtype) == "bfloat16"
    if narrow and keras.backend.backend() == "torch":
        x = keras.ops.cast(x, "float32")
    return np.asarray(keras.ops.convert_to_numpy(x))


def features(model: Any, layer: str, data: Any) -> Iterator[np.ndarray]:
    """The layer's output for each batch of inputs, outside of compiled functions.

    ``layer``: its name, "inner/layer" in nested models; ``data``: one array of inputs, a
    ``tf.data.Dataset``, a PyDataset or an iterable of batches, labels are left out. All calls of a
    layer that runs several times are given, one after the other. Errors: ParameterError.
    """
    find_layer(model, layer)
    for batch in batches(data):
        caught: list[np.ndarray] = []

        def catch(output: Any, caught: list = caught) -> Any:
            if isinstance(output, (list, tuple, dict)):
                raise ParameterError(f"layer {layer!r} gives several tensors; name one with one")
            if not isinstance(output, keras.KerasTensor):
                caught.append(to_array(output))
            return output

        # Taken off before the caller sees the batch: nothing stays changed in between.
        with wrapped(model, {layer: catch}):
            model(batch, training=False)
        if not caught:
            raise ParameterError(f"the model does not run its layer {layer!r} on this input")
        yield from caught


def calibrate(model: Any, layer: str, data: Any, **options: Any) -> Codec:
    """A codec for a layer's output, from unlabelled inputs; ``options`` are lwfc.calibrate's.

    ``channel_axis`` is the last unless given: Keras's images are channels-last.
    Errors: ParameterError, as for :func:`features` and there.
    """
    if keras.config.image_data_format() == "channels_last":
        options.setdefault("channel_axis", -1)
    options = {"batched": True} | options
    return calibrate_samples(features(model, layer, data), **options)
