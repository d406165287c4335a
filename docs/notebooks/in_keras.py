# %% [markdown]
# # Keras and TensorFlow
#
# A small network is trained, cut behind a layer, and run with a codec inside, in two halves, and as a saved model.
# Keras runs on TensorFlow here; with `KERAS_BACKEND` set to `jax` or `torch` all but the last part is the same.

# %%
import keras
import numpy as np

import lwfc.keras as lk

rng = np.random.default_rng(0)


def stripes(count):
    """Images of stripes in four directions under noise, and the directions."""
    y, x = np.mgrid[:24, :24]
    labels = rng.integers(0, 4, count)
    angle = labels * np.pi / 4 + rng.normal(0, 0.15, count)
    phase = rng.uniform(0, 2 * np.pi, count)
    wave = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    images = np.sin(wave * rng.uniform(0.4, 0.9, count)[:, None, None] + phase[:, None, None])
    return (images + rng.normal(0, 0.8, images.shape))[..., None].astype("float32"), labels


keras.utils.set_random_seed(0)
layers = keras.layers
model = keras.Sequential([
    keras.Input((24, 24, 1)),
    layers.Conv2D(16, 3, padding="same", activation="relu", name="first"),
    layers.MaxPooling2D(),
    layers.Conv2D(32, 3, padding="same", activation="relu", name="second"),
    layers.GlobalAveragePooling2D(),
    layers.Dense(4),
])  # fmt: skip
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=["accuracy"])
model.fit(*stripes(3000), epochs=6, verbose=0)
images, labels = stripes(1000)
print(f"accuracy {model.evaluate(images, labels, verbose=0)[1]:.1%}")

# %% [markdown]
# ## Calibrate, then attach
#
# Calibration sees unlabelled images. Inside `attach`, plain calls, `predict`, `evaluate` and `fit` all pass the codec's
# real bytes; behind it the model is what it was.

# %%
unlabelled, _ = stripes(200)
for levels in (2, 3, 6):
    codec = lk.calibrate(model, "second", unlabelled, levels=levels, coder="context", restore="linear")
    with lk.attach(model, {"second": codec}) as tap:
        accuracy = model.evaluate(images, labels, verbose=0)[1]
    print(f"{levels} levels: {tap.report()['second']['bits_per_element']:.3f} bits a value, accuracy {accuracy:.1%}")
tap.report()

# %% [markdown]
# ## Two halves
#
# `split` finds all tensors that cross, and checks at once that the halves give what the model gives. The edge's result
# is bytes.

# %%
edge, cloud = lk.split(model, "second", codec)
data = edge(images[:8])
assert isinstance(data, bytes)
print(f"{len(data)} bytes for 8 images;", cloud)
print("directions", np.argmax(cloud(data), 1), "of", labels[:8])

# %% [markdown]
# `edge.save(folder)` and `cloud.save(folder)` write what two machines need; `lk.load` reads it.
#
# ## Where to cut
#
# Every cut of the model, with coded bytes and latency over a link.

# %%
from lwfc.split import Link

lk.explore(model, images[:60], link=Link(mbit_s=2, rtt_ms=20), profiles=["rans", "context"], shortlist=2)

# %% [markdown]
# ## As a layer
#
# `FeatureCodec` is a layer with straight-through gradients, saved inside `.keras` files.

# %%
import tempfile
from pathlib import Path

first, rest = model.layers[:3], model.layers[3:]
coded = keras.Sequential([keras.Input((24, 24, 1)), *first, lk.FeatureCodec(codec, name="codec"), *rest])
with tempfile.TemporaryDirectory() as folder:
    coded.save(Path(folder) / "coded.keras")
    again = keras.saving.load_model(Path(folder) / "coded.keras")
assert np.array_equal(again.predict(images[:8], verbose=0), coded.predict(images[:8], verbose=0))
again.get_layer("codec").codec

# %% [markdown]
# ## In TensorFlow's own functions
#
# `lwfc.tensorflow.code` works eagerly and inside `tf.function`, with gradients. It calls back into Python, so XLA and
# SavedModels loaded elsewhere need `lwfc.tensorflow.split` instead, and say so.

# %%
import tensorflow as tf

import lwfc.tensorflow as lf


@tf.function
def run(x):
    return cloud_half(lf.code(edge_half(x), codec))


edge_half, cloud_half = edge.model, cloud.model
print("directions", np.argmax(run(tf.constant(images[:8])), 1))
