# %% [markdown]
# # LiteRT
#
# A `.tflite` file cut into two, in floats and in 8-bit integers. The device runs the first half on LiteRT; the second
# may run there or anywhere else.

# %%
import numpy as np
import tensorflow as tf

import lwfc.litert as ll

rng = np.random.default_rng(0)
images = rng.normal(size=(24, 20, 20, 3)).astype("float32")
images = sum(np.roll(images, k, axis) for axis in (1, 2) for k in range(3)) / 3
kernels = [tf.constant(rng.normal(0, 0.25, (3, 3, size, 16)).astype("float32")) for size in (3, 16)]


@tf.function(input_signature=[tf.TensorSpec((1, 20, 20, 3))])
def network(x):
    for kernel in kernels:
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME"))
    return tf.reduce_mean(x, (1, 2))


def converter():
    return tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], network)


floats = converter().convert()
for cut in ll.cuts(floats, images):
    print(cut.name, *cut.tensors)

# %% [markdown]
# ## Floats
#
# The file itself is rewritten at the cut: intermediate tensors of a whole interpreter are reused memory, and halves
# give the same bits as the whole.

# %%
at = ll.cuts(floats, images)[0].name
codec = ll.calibrate(floats, at, images[:12], levels=4)
edge, cloud = ll.split(floats, at, codec, example=images)
data = edge(images[12:])
elements = 12 * edge.cut.elements
print(f"{8 * len(data) / elements:.3f} bits a value")
cloud(data).shape

# %% [markdown]
# ## Integers
#
# The features of a quantized network are int8 with a scale and a zero point. They cross to the bit, or through a codec,
# which takes scale and zero point from the file and gives int8 again.

# %%
quantize = converter()
quantize.optimizations = [tf.lite.Optimize.DEFAULT]
quantize.representative_dataset = lambda: ([x[None]] for x in images)
quantize.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
integers = quantize.convert()

at = ll.cuts(integers, images)[1].name  # the first is the quantized input
exact = ll.split(integers, at, {}, example=images)
coded = ll.split(integers, at, ll.calibrate(integers, at, images[:12], levels=4), example=images)
whole = exact[1](exact[0](images[12:]))
for name, (edge, cloud) in {"to the bit": exact, "4 levels": coded}.items():
    data = edge(images[12:])
    error = np.square(cloud(data) - whole).mean() / whole.var()
    print(f"{name}: {8 * len(data) / elements:.3f} bits a value, outputs' squared error {error:.1%}")
print(edge.cut.tensors[0], "scale and zero point", edge.cut.tensors[0].affine)
