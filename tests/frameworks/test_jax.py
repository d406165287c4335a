"""lwfc.jax: codes inside JAX programs, simulation in jax.numpy, Flax models, halves."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import lwfc  # noqa: E402
import lwfc.jax as lj  # noqa: E402

X = np.maximum(np.random.default_rng(0).normal(size=(6, 8, 9, 9)), 0).astype(np.float32)
CODEC = lwfc.calibrate(X, levels=4, activation="relu")
PARTS = lwfc.calibrate(X, levels=3, coder="context", restore="linear")
AWKWARD = np.array([0, -0.0, 1e-42, -1e-42, np.inf, -np.inf, np.nan, 3e38, -3e38, 0.7], np.float32)


@pytest.mark.parametrize("codec", [CODEC, PARTS])
def test_code_is_the_codecs_own_result(codec):
    expected = codec.simulate(X)
    np.testing.assert_array_equal(lj.code(X, codec), expected)
    np.testing.assert_array_equal(jax.jit(lambda x: lj.code(x, codec))(X), expected)


def test_vmap_and_scan_code_each_element_by_itself():
    each = np.stack([CODEC.simulate(x[None])[0] for x in X])
    batched = jax.vmap(lambda x: lj.code(x[None], CODEC)[0])(X)
    np.testing.assert_array_equal(batched, each)
    _, scanned = jax.lax.scan(lambda carry, x: (carry, lj.code(x[None], CODEC)[0]), 0, X)
    np.testing.assert_array_equal(scanned, each)


@pytest.mark.parametrize("run", [lj.code, lj.simulate])
def test_gradients_pass_inside_the_range(run):
    top = float(CODEC.values.max())
    x = jnp.asarray([[[[-1.0, 0.5 * top, 2 * top]]]])
    grad = jax.jit(jax.grad(lambda x: (3 * run(x, CODEC)).sum()))(x)
    np.testing.assert_array_equal(grad, [[[[0.0, 3.0, 0.0]]]])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_simulate_is_equal_to_the_bit(dtype, granularity):
    codec = lwfc.calibrate(X, levels=5, granularity=granularity, channel_axis=1)
    x = X.copy()
    x.reshape(-1)[: len(AWKWARD)] = AWKWARD
    x = jnp.asarray(x).astype(dtype)
    expected = np.asarray(codec.simulate(np.asarray(x)))
    found = np.asarray(jax.jit(lambda x: lj.simulate(x, codec))(x))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found.view(f"u{found.itemsize}"),
                                  expected.view(f"u{found.itemsize}"))  # fmt: skip


def test_simulate_names_code_where_it_cannot():
    with pytest.raises(lwfc.ParameterError, match=r"use lwfc\.jax\.code"):
        lj.simulate(X, PARTS)


def test_export_names_split():
    with pytest.raises(NotImplementedError, match=r"lwfc\.jax\.split"):
        jax.export.export(jax.jit(lambda x: lj.code(x, CODEC)))(X)


def test_mistakes_are_told_at_trace_time():
    with pytest.raises(lwfc.ParameterError, match="int32"):
        jax.jit(lambda x: lj.code(x, CODEC))(jnp.arange(5))
    with pytest.raises(lwfc.ParameterError, match=r"lwfc\.Codec"):
        lj.code(X, "codec")
    told = {
        "edge=<a": lambda: lj.calibrate(X, edge),
        "edge=.*function": lambda: lj.split("edge", cloud, example=X),
        "cloud=<a Codec>": lambda: lj.split(edge, CODEC, cloud, example=X),
        "data is a str": lambda: lj.calibrate(edge, "images"),
        "several functions": lambda: lj.explore(edge, X),
        "has a str; lwfc.load": lambda: lj.attach(None, {"first": "first.lwfc"}).__enter__(),
    }
    for message, call in told.items():
        with pytest.raises(lwfc.ParameterError, match=message):
            call()


def edge(x):
    return jnp.maximum(jnp.asarray(x) * 0.5 - 0.1, 0)


def cloud(x):
    return x.mean((2, 3))


def test_halves_pass_bytes():
    codec = lj.calibrate(jax.jit(edge), X, levels=8)
    device, server = lj.split(jax.jit(edge), jax.jit(cloud), codec, example=X)
    data = device(X)
    assert isinstance(data, bytes)
    expected = cloud(codec.simulate(np.asarray(jax.jit(edge)(X))))
    np.testing.assert_allclose(server(data), expected, atol=1e-6)
    with pytest.raises(lwfc.FormatError):
        server(data[:-3])


def test_explore_a_chain():
    result = lj.explore([edge, cloud], X, profiles=["rans"], shortlist=1)
    assert {row["cut"] for row in result.rows} >= {"edge"}


def test_attach_nnx():
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(9, 16, rngs=rngs)
            self.second = nnx.Linear(16, 4, rngs=rngs)

        def __call__(self, x):
            return self.second(nnx.relu(self.first(x)))

    model = Net(nnx.Rngs(0))
    run = nnx.jit(lambda model, x: model(x))
    before = run(model, X)
    hidden = np.asarray(model.first(X))
    codec = lwfc.calibrate(hidden, levels=4, channel_axis=-1)
    with lj.attach(model, {"first": codec}) as tap:
        found = jax.block_until_ready(run(model, X))
    expected = model.second(jax.nn.relu(codec.simulate(hidden)))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert tap.report()["first"]["bytes_out"] > 0
    np.testing.assert_array_equal(run(model, X), before)
    wrong = lj.attach(model, {"frist": codec})
    with pytest.raises(lwfc.ParameterError, match="near it: .*'first'"), wrong:
        pass


def test_attach_linen():
    linen = pytest.importorskip("flax.linen")

    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            hidden = linen.Dense(16, name="hidden")(x)
            return linen.Dense(4, name="out")(linen.relu(hidden))

    model = Net()
    weights = model.init(jax.random.key(0), X)
    hidden = X @ np.asarray(weights["params"]["hidden"]["kernel"])
    codec = lwfc.calibrate(hidden, levels=4, channel_axis=-1)
    plain = model.apply(weights, X)
    with lj.attach(None, {"hidden": codec}) as tap:
        coded = jax.jit(model.apply)(weights, X)
    assert not np.allclose(coded, plain) and tap.report()["hidden"]["calls"] == 1
    np.testing.assert_array_equal(model.apply(weights, X), plain)


def test_an_unused_result_is_neither_computed_nor_counted():
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.used = nnx.Linear(9, 4, rngs=rngs)
            self.unused = nnx.Linear(9, 4, rngs=rngs)

        def __call__(self, x):
            self.unused(x)
            return self.used(x)

    model = Net(nnx.Rngs(0))
    codec = lwfc.calibrate(np.asarray(model.used(X)), levels=4, channel_axis=-1)
    attached = lj.attach(model, {"used": codec, "unused": codec})
    with pytest.warns(lwfc.UncodedWarning, match="unused"), attached as tap:
        jax.block_until_ready(nnx.jit(lambda model, x: model(x))(model, X))
    assert tap.report()["used"]["calls"] == 1


def test_other_types_are_refused_outside_jit_too():
    with pytest.raises(lwfc.ParameterError, match="int32"):
        lj.code(jnp.arange(5), CODEC)


def test_codecs_of_integers_are_refused_before_anything_runs():
    codec = lwfc.calibrate((20 * X).astype(np.int8), levels=4, scale=0.05)
    for x in (X, (20 * X).astype(np.int8)):
        with pytest.raises(lwfc.ParameterError, match="only floats"):
            jax.jit(lambda x: lj.code(x, codec))(x)
