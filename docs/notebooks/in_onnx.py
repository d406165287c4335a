# %% [markdown]
# # ONNX
#
# A model file cut into two files, bytes in between; both run in ONNX Runtime. Any exporter's file will do; this one is
# written by hand.

# %%
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import lwfc.onnx as lo

rng = np.random.default_rng(0)


def weight(name, *shape):
    scale = (2 / np.prod(shape[1:])) ** 0.5
    return numpy_helper.from_array(rng.normal(0, scale, shape).astype("float32"), name)


node, info = helper.make_node, helper.make_tensor_value_info
graph = helper.make_graph(
    [
        node("Conv", ["image", "w1"], ["conv_1"], pads=[1, 1, 1, 1]),
        node("Relu", ["conv_1"], ["relu_1"]),
        node("Conv", ["relu_1", "w2"], ["conv_2"], pads=[1, 1, 1, 1]),
        node("Add", ["conv_2", "relu_1"], ["sum_2"]),
        node("Relu", ["sum_2"], ["relu_2"]),
        node("GlobalAveragePool", ["relu_2"], ["pooled"]),
        node("Flatten", ["pooled"], ["vector"]),
        node("Gemm", ["vector", "w3"], ["logits"], transB=1),
    ],
    "network",
    [info("image", TensorProto.FLOAT, ["N", 3, 24, 24])],
    [info("logits", TensorProto.FLOAT, ["N", 5])],
    [weight("w1", 16, 3, 3, 3), weight("w2", 16, 16, 3, 3), weight("w3", 5, 16)],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
onnx.checker.check_model(model)
images = rng.normal(size=(40, 3, 24, 24)).astype("float32")
images = sum(np.roll(images, k, axis) for axis in (2, 3) for k in range(3)) / 3

# %% [markdown]
# ## Where it can be cut
#
# `conv_2` alone is no cut: the residual path crosses beside it. `cuts` names everything that crosses. A path to a
# file, its bytes or a loaded model all work.

# %%
for cut in lo.cuts(model, images[:4]):
    print(cut.name, *(f"\n    {tensor}" for tensor in cut.tensors))

# %% [markdown]
# ## Calibrate and split
#
# The halves are compared with the whole at once. Fused kernels may round otherwise in a half, which is why symbols are
# made outside the graph and decoded exactly.

# %%
codec = lo.calibrate(model, "relu_2", images[:20], levels=4, coder="context", restore="linear")
edge, cloud = lo.split(model, "relu_2", codec)
data = edge(images[20:])
features = next(lo.features(model, "relu_2", images[20:]))
print(f"{len(data)} bytes, {8 * len(data) / features.size:.3f} bits a value")
print([value.name for value in edge.model.graph.output], "->", [value.name for value in cloud.model.graph.input])
cloud(data)[:2]

# %% [markdown]
# `edge.save(folder)` writes `half.onnx` and the codec; `lo.load(folder)` reads them on the other machine.
#
# ## What the outputs lose
#
# `attach` runs the whole model with codecs in place of tensors, as a session runs it.

# %%
whole = lo.attach(model, {}).run(["logits"], images[20:])[0]
for levels in (2, 4, 8, 16):
    tap = lo.attach(model, {"relu_2": lo.calibrate(model, "relu_2", images[:20], levels=levels)})
    (logits,) = tap.run(["logits"], images[20:])
    row = tap.report()["relu_2"]
    error = np.square(logits - whole).mean() / whole.var()
    print(f"{levels:2} levels: {row['bits_per_element']:.3f} bits a value, outputs' squared error {error:.2%}")

# %% [markdown]
# ## Which cut

# %%
from lwfc.split import Link

lo.explore(model, images, link=Link(mbit_s=2, rtt_ms=20), profiles=["rans"], shortlist=2)
