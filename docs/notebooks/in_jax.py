# %% [markdown]
# # JAX and Flax
#
# Real bytes inside jitted functions, the same values wholly in `jax.numpy`, and a network in two halves.

# %%
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import lwfc.jax as lj

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 16, 16, 3)).astype("float32")
x = sum(np.roll(x, k, axis) for axis in (1, 2) for k in range(3)) / 3


class Network(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(3, 16, (3, 3), rngs=rngs)
        self.head = nnx.Linear(16, 5, rngs=rngs)

    def edge(self, x):
        return nnx.relu(self.conv(x))

    def cloud(self, features):
        return self.head(features.mean((1, 2)))

    def __call__(self, x):
        return self.cloud(self.edge(x))


model = Network(nnx.Rngs(0))
edge, cloud = (jax.jit(part) for part in (model.edge, model.cloud))

# %% [markdown]
# ## Calibrate
#
# A function from inputs to features, and unlabelled inputs. Channels stand last, as Flax has them.

# %%
codec = lj.calibrate(edge, x[:32], levels=4, activation="relu", channel_axis=-1)
codec

# %% [markdown]
# ## `code` and `simulate`
#
# `code` makes bytes by a callback; `simulate` gives the same floats without leaving the device. Both pass gradients
# straight through inside the codec's range, and work under `jit`, `grad`, `vmap` and `scan`.

# %%
features = edge(x[32:])
through_bytes = jax.jit(lambda f: lj.code(f, codec))(features)
simulated = jax.jit(lambda f: lj.simulate(f, codec))(features)
assert np.array_equal(through_bytes, simulated)


def loss(kernel, x):
    features = jax.nn.relu(jax.lax.conv(x.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1), (1, 1), "SAME"))
    return jnp.square(lj.simulate(features.transpose(0, 2, 3, 1), codec)).mean()


gradient = jax.jit(jax.grad(loss))(model.conv.kernel[...], x[32:])
print("gradient's norm", float(jnp.linalg.norm(gradient)))

# %% [markdown]
# ## Inside a Flax model
#
# `attach` puts the codec behind a module, named by its path; Linen modules are named as Linen does, with `None` for the
# model.

# %%
run = nnx.jit(lambda model, x: model(x))
behind = lj.calibrate(jax.jit(model.conv), x[:32], levels=6, channel_axis=-1)
before = run(model, x[32:])
with lj.attach(model, {"conv": behind}) as tap:
    coded = jax.block_until_ready(run(model, x[32:]))
assert np.array_equal(run(model, x[32:]), before)
print(f"outputs move by {float(jnp.abs(coded - before).max() / jnp.abs(before).max()):.1%} of the largest")
tap.report()

# %% [markdown]
# ## Two halves
#
# Host code cannot be exported (`jax.export` says so): where the halves run on two machines, split.

# %%
device, server = lj.split(edge, cloud, codec, example=x[:1])
data = device(x[32:])
print(f"{len(data)} bytes for {len(x) - 32} inputs of {features.nbytes} bytes of features")
assert np.allclose(server(data), cloud(through_bytes), atol=1e-5)
