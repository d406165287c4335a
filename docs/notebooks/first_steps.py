# %% [markdown]
# # First steps
#
# An array of activations to bytes and back, in NumPy alone.

# %%
import numpy as np

import lwfc

rng = np.random.default_rng(0)
rough = rng.normal(size=(40, 32, 18, 18)).astype(np.float32)
smooth = sum(np.roll(rough, (dy, dx), (2, 3)) for dy in range(3) for dx in range(3)) / 3
x = np.maximum(smooth - 0.3, 0)[:, :, 2:-2, 2:-2]  # like a ReLU layer: neighbours are alike
x.shape, f"{np.mean(x == 0):.0%} zeros"

# %% [markdown]
# One call each way. The range is fitted to the array; the stream decodes with nothing else.

# %%
data = lwfc.encode(x[:8], levels=4, channel_axis=1)
y = lwfc.decode(data)
print(f"{x[:8].nbytes} bytes as float32, {len(data)} coded")
lwfc.inspect(data)

# %% [markdown]
# ## Calibrated
#
# Samples of the layer, without labels, make a codec once. Its streams are smaller, and its decoder puts back
# better values than the levels themselves.

# %%
calibration, test = x[:24], x[24:]
codecs = {
    "the paper's": dict(levels=4, coder="cabac"),
    "rans": dict(levels=4, coder="rans"),
    "context": dict(levels=4, coder="context"),
    "context, 2 levels, restored": dict(levels=2, coder="context", restore="linear"),
}
for name, options in codecs.items():
    codec = lwfc.calibrate(calibration, activation="relu", channel_axis=1, bound=True, **options)
    data = codec.encode(test)
    error = np.mean((codec.decode(data) - test) ** 2) / test.var()
    print(f"{name:28} {8 * len(data) / test.size:.3f} bits an element, squared error {error:.1%}")

# %% [markdown]
# A codec is a value: compare it, pickle it, save it to a file that both sides load.

# %%
codec
