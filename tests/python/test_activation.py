"""The activation model against quadrature, the reference model and tables made with the latter."""

import math
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))

import model_ref  # noqa: E402

from lwfc import _core  # noqa: E402
from lwfc.base.errors import ParameterError  # noqa: E402
from lwfc.model.activation import ActivationModel, range_constant  # noqa: E402

NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def reference(model: ActivationModel) -> model_ref.Model:
    return model_ref.Model(model.rate, model.location, model.skew, model.slope)


def expectation(model: ActivationModel, function, breaks=()) -> float:
    """E[function(Y)] by Gauss quadrature over X, cut at every kink of Y or of the function."""
    ref = reference(model)
    cuts = {0.0, model.location, model.cap}
    for y in breaks:
        cuts.add(y if y >= 0 else y / model.slope if model.slope else 0.0)
    lower, upper = model.location - 45 / ref.phi, model.location + 45 / ref.theta
    edges = sorted({lower, upper, *(c for c in cuts if lower < c < upper)})
    # No piece is longer than three decay lengths, where 40 nodes are exact to rounding.
    fine = [
        np.linspace(a, b, 2 + int((b - a) * max(ref.theta, ref.phi) / 3))
        for a, b in pairwise(edges)
    ]
    a = np.concatenate([f[:-1] for f in fine])[:, None]
    b = np.concatenate([f[1:] for f in fine])[:, None]
    x = (a + b) / 2 + (b - a) / 2 * NODES
    y = np.minimum(np.where(x >= 0, x, model.slope * x), model.cap)
    return float((function(y) * ref.pdf_x(x) * WEIGHTS * (b - a) / 2).sum())


def uniform_error(lo, hi, levels):
    """The quantizer's squared error as a function, and its kinks."""
    step = (hi - lo) / (levels - 1)
    edges = lo + step * (np.arange(1, levels) - 0.5)

    def error(y):
        index = np.clip(np.floor((y - lo) / step + 0.5), 0, levels - 1)
        return (y - (lo + step * index)) ** 2

    return error, edges


def random_models(count, seed, slopes=(0, 0.01, 0.1, 0.25, 0.5), caps=False):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        rate = math.exp(rng.uniform(-3, 3))
        location = rng.uniform(-5, 5) / rate
        cap = rng.uniform(0.3, 8) / rate if caps else math.inf
        yield ActivationModel(
            rate, location, math.exp(rng.uniform(-1.2, 0.6)), float(rng.choice(slopes)), cap
        )


def random_range(model, rng):
    scale = math.sqrt(model.variance)
    lo = rng.choice([0.0, rng.uniform(-1, 1) * scale])
    return lo, lo + rng.uniform(0.5, 6) * scale, int(rng.choice([2, 3, 4, 5, 8, 16]))


def test_closed_forms_against_reference():
    rng = np.random.default_rng(1)
    for model in random_models(1000, 2):
        ref = reference(model)
        scale = math.sqrt(model.variance)
        mean, variance = ref.moments()
        size = variance + mean**2
        assert model.mean == pytest.approx(mean, abs=1e-12 * math.sqrt(size))
        assert model.variance == pytest.approx(variance, abs=1e-12 * size)
        lo, hi, levels = random_range(model, rng)
        clipping, quantisation = model.error(lo, hi, levels)
        want = model_ref.errors(ref, lo, hi, levels)
        assert quantisation == pytest.approx(want[0], abs=1e-10 * size)
        assert clipping == pytest.approx(want[1], abs=1e-10 * size)
        total = model.total_error(lo, hi, levels)
        assert total == pytest.approx(clipping + quantisation, abs=1e-11 * size)
        assert total == pytest.approx(model_ref.e_tot(ref, lo, hi, levels), abs=1e-10 * size)
        cells = model_ref.cell_probs(ref, lo, hi, levels)
        np.testing.assert_allclose(model.prob(lo, hi, levels), cells, atol=1e-12)
        t = rng.uniform(-2, 4) * scale
        assert model.stop_loss(t) == pytest.approx(ref.upper(t), abs=1e-11 * scale)
        y = rng.uniform(-3, 6, 20) * scale
        np.testing.assert_allclose(model.pdf(y) * scale, ref.pdf_y(y) * scale, 1e-11, 1e-14)


@pytest.mark.parametrize("caps", [False, True])
def test_closed_forms_against_quadrature(caps):
    rng = np.random.default_rng(3)
    for model in random_models(1000, 4 + caps, (0, 0.01, 0.1, 0.25, 0.5, 1), caps):
        check_against_quadrature(model, *random_range(model, rng), rng.random())


def check_against_quadrature(model, lo, hi, levels, position):
    mean, variance = model.mean, model.variance
    size = variance + mean**2
    assert mean == pytest.approx(expectation(model, lambda y: y), abs=1e-10 * math.sqrt(size))
    want = expectation(model, lambda y: (y - mean) ** 2)
    assert variance == pytest.approx(want, rel=1e-10)
    want = expectation(model, lambda y: np.abs(y - mean), [mean])
    assert model.deviation == pytest.approx(want, rel=1e-10)
    t = lo + position * (hi - lo)
    want = expectation(model, lambda y: y <= t, [t])
    assert model.cdf(t) == pytest.approx(want, abs=1e-10)
    assert sum(model.prob(lo, hi, levels)) == pytest.approx(1.0, abs=1e-14)

    error, kinks = uniform_error(lo, hi, levels)
    kinks = [lo, hi, *kinks]
    clipping, quantisation = model.error(lo, hi, levels)
    want = expectation(model, lambda y: np.where((y < lo) | (y > hi), error(y), 0.0), kinks)
    assert clipping == pytest.approx(want, abs=1e-10 * size)
    total = expectation(model, error, kinks)
    assert clipping + quantisation == pytest.approx(total, rel=1e-10, abs=1e-13 * size)


def test_density_and_atoms_integrate_to_one():
    for model in random_models(60, 6, (0, 0.1, 0.5, 1), caps=True):
        ref = reference(model)
        pieces = [0.0]
        for a, b, rate in (
            (min(model.slope * (model.location - 45 / ref.phi), 0.0), 0.0, model.slope),
            (0.0, model.cap, 1.0),
        ):
            kink = model.slope * model.location if model.location < 0 else model.location
            edges = sorted({a, b, *([kink] if a < kink < b else [])})
            for c, d in pairwise(edges):
                if rate:
                    cells = np.linspace(c, d, 60)
                    half = np.diff(cells)[:, None] / 2
                    y = cells[:-1, None] + half * (1 + NODES)
                    pieces.append(float((model.pdf(y) * WEIGHTS * half).sum()))
        assert sum(pieces) + sum(model.atoms) == pytest.approx(1.0, abs=1e-10)
        assert model.pdf(model.cap) == 0.0
        assert model.cdf(model.cap) == 1.0


def test_fit_returns_the_moments_and_the_parameters():
    fitted = 0
    for model in random_models(1000, 7):
        mean, variance = model.mean, model.variance
        if mean <= 0:
            continue
        status, rate, location = _core.model_fit(mean, variance, model.skew, model.slope, math.inf)
        assert status == 0
        again = ActivationModel(rate, location, model.skew, model.slope)
        assert again.mean == pytest.approx(mean, rel=1e-10, abs=1e-12 * math.sqrt(variance))
        assert again.variance == pytest.approx(variance, rel=1e-12)
        if model.slope > 0 or model.location > 0:
            assert rate == pytest.approx(model.rate, rel=1e-10)
            assert location * rate == pytest.approx(model.location * model.rate, abs=1e-10)
        fitted += 1
    assert fitted > 600


def test_fit_against_reference():
    for model in random_models(150, 8, (0, 0.01, 0.1, 0.25)):
        mean, variance = model.mean, model.variance
        if mean < 0.05 * math.sqrt(variance):
            continue
        want = model_ref.fit(mean, variance, model.skew, model.slope)
        _, rate, location = _core.model_fit(mean, variance, model.skew, model.slope, math.inf)
        assert rate == pytest.approx(want.lam, rel=1e-8)
        assert location * rate == pytest.approx(want.mu * want.lam, abs=1e-8)


def test_fit_relu6():
    rng = np.random.default_rng(9)
    for _ in range(300):
        mean = rng.uniform(0.02, 5.9)
        variance = rng.uniform(0.005, 0.97) * mean * (6 - mean)
        model = ActivationModel.fit(mean, variance, "relu6", kappa=rng.uniform(0.3, 1.5))
        assert model.mean == pytest.approx(mean, rel=1e-10)
        assert model.variance == pytest.approx(variance, rel=1e-10)
        assert model.cap == 6.0


@pytest.mark.parametrize("slope", [1e-9, 0.01, 0.1, 0.5, 0.9, 0.999999])
@pytest.mark.parametrize("ratio", [1e-6, 1e-3, 0.1, 1.0, 30.0, 1e5])
def test_fit_extreme_moments(slope, ratio):
    model = ActivationModel.fit(ratio * 7.0, 49.0, "leaky_relu", slope)
    assert model.mean == pytest.approx(ratio * 7.0, rel=1e-9)
    assert model.variance == pytest.approx(49.0, rel=1e-9)


def test_fit_identity_takes_any_mean():
    assert ActivationModel.fit(1.0, 2.0, "relu", kappa=None).skew == 0.5
    for mean in (-3.0, 0.0, 2.5):
        model = ActivationModel.fit(mean, 2.0, "identity", kappa=None)
        assert model.skew == 1.0
        assert model.location == pytest.approx(mean)
        assert model.mean == pytest.approx(mean)
        assert model.variance == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("mean", "variance", "activation"),
    [
        (0.0, 1.0, "relu"),
        (-1.0, 1.0, "leaky_relu"),
        (1.0, 0.0, "relu"),
        (1.0, -1.0, "identity"),
        (math.nan, 1.0, "relu"),
        (1.0, math.inf, "identity"),
        (6.0, 1.0, "relu6"),
        (3.0, 9.0, "relu6"),
        (3.0, 50.0, "relu6"),
        (5.9999999999999991, 1e-31, "relu6"),
        (1e-300, 1.0, "relu"),
    ],
)
def test_fit_refuses(mean, variance, activation):
    with pytest.raises(ParameterError, match="mean"):
        ActivationModel.fit(mean, variance, activation)


def test_argument_errors():
    with pytest.raises(ParameterError, match="gelu"):
        ActivationModel.fit(1, 1, "gelu")
    with pytest.raises(ParameterError, match="slope"):
        ActivationModel.fit(1, 1, "relu", slope=0.1)
    with pytest.raises(ParameterError, match="slope"):
        ActivationModel.fit(1, 1, "leaky_relu", slope=1.5)
    with pytest.raises(ParameterError, match="kappa"):
        ActivationModel.fit(1, 1, kappa=0)
    with pytest.raises(ParameterError, match="rate"):
        ActivationModel(-1.0, 0.0)
    model = ActivationModel.fit(1, 1)
    for levels in (1, 257, 2.5, "4"):
        with pytest.raises(ParameterError, match="levels"):
            model.clip_range(levels)
    with pytest.raises(ParameterError, match="lo"):
        model.error(2.0, 1.0, 4)
    with pytest.raises(ParameterError, match="lo"):
        model.clip_range(4, math.nan)
    with pytest.raises(ParameterError, match="lo"):
        ActivationModel.fit(1, 1, "relu6").clip_range(4, 6.0)


CONSTANTS = {2: 2.0, 3: 2.89785, 4: 3.4864, 5: 3.9257, 6: 4.27665, 7: 4.56911, 8: 4.81992,
             16: 6.09804}  # fmt: skip


def test_range_constants():
    assert range_constant(2) == pytest.approx(2.0, abs=1e-14)
    for levels, want in CONSTANTS.items():
        assert range_constant(levels) == pytest.approx(want, abs=6e-6)
        assert range_constant(levels) == pytest.approx(model_ref.K(levels), rel=1e-9)
    every = [range_constant(n) for n in range(2, 257)]
    assert all(a < b for a, b in pairwise(every))
    assert every[-1] == pytest.approx(11.156, abs=6e-4)


# Two layers the paper uses, computed with the reference.
# N: hi for lo = 0, quantisation, clipping, total, entropy and mean truncated-unary length in bits;
# best lo, hi, total; ACIQ's hi, total.
RESNET = {
    2: (5.184, 0.79641, 0.84831, 1.64472, 0.656, 1.000, 0.361, 5.544, 1.55486, 4.374, 1.70629),
    3: (7.511, 0.48101, 0.35286, 0.83387, 0.941, 1.223, 0.147, 7.658, 0.82050, 5.324, 1.03399),
    4: (9.036, 0.32421, 0.20130, 0.52551, 1.125, 1.338, 0.053, 9.089, 0.52388, 6.022, 0.75411),
    5: (10.175, 0.23640, 0.13407, 0.37047, 1.265, 1.427, 0.001, 10.176, 0.37047, 6.576, 0.59510),
    6: (11.084, 0.18183, 0.09799, 0.27982, 1.377, 1.505, -0.030, 11.054, 0.27932, 7.035, 0.49173),
    7: (11.842, 0.14528, 0.07623, 0.22151, 1.473, 1.576, -0.051, 11.792, 0.22010, 7.427, 0.41899),
    8: (12.492, 0.11941, 0.06202, 0.18143, 1.555, 1.644, -0.065, 12.427, 0.17912, 7.770, 0.36501),
}
YOLO = {
    2: (1.674, 0.09986, 0.10555, 0.20540, 0.729, 1.000, 0.171, 1.844, 0.18662, 1.533, 0.20752),
    3: (2.425, 0.06031, 0.04343, 0.10374, 1.049, 1.268, 0.087, 2.512, 0.09959, 1.866, 0.11856),
    4: (2.918, 0.04065, 0.02442, 0.06507, 1.256, 1.406, 0.047, 2.965, 0.06392, 2.111, 0.08344),
    5: (3.285, 0.02964, 0.01599, 0.04563, 1.413, 1.513, 0.026, 3.311, 0.04531, 2.305, 0.06414),
    6: (3.579, 0.02280, 0.01147, 0.03427, 1.540, 1.607, 0.012, 3.591, 0.03420, 2.466, 0.05190),
    7: (3.824, 0.01822, 0.00874, 0.02696, 1.648, 1.693, 0.003, 3.826, 0.02695, 2.604, 0.04344),
    8: (4.033, 0.01497, 0.00696, 0.02193, 1.741, 1.775, -0.004, 4.030, 0.02193, 2.724, 0.03726),
}


DIGITS = (3, 5, 5, 5, 3, 3, 3, 3, 5, 3, 5)


def table_row(model, levels):
    """The columns of the tables above."""
    lo, hi = model.clip_range(levels)
    clipping, quantisation = model.error(lo, hi, levels)
    p = model.prob(lo, hi, levels)
    free = model.clip_range(levels, lo=None)
    aciq = model.aciq_range(levels)
    return (
        hi,
        quantisation,
        clipping,
        clipping + quantisation,
        model_ref.entropy(p),
        float((p * model_ref.tu_lengths(levels)).sum()),
        *free,
        model.total_error(*free, levels),
        aciq[1],
        model.total_error(*aciq, levels),
    )


@pytest.mark.parametrize(
    ("mean", "variance", "table"),
    [(1.1235656, 4.9280124, RESNET), (0.4484323, 0.5742644, YOLO)],
    ids=["resnet50", "yolov3"],
)
def test_tables(mean, variance, table):
    model = ActivationModel.fit(mean, variance, "leaky_relu")
    for levels, want in table.items():
        got = table_row(model, levels)
        for g, w, digits in zip(got, want, DIGITS, strict=True):
            assert g == pytest.approx(w, abs=0.51 * 10.0**-digits), (levels, got)


def test_fitted_parameters_of_the_paper():
    model = ActivationModel.fit(1.1235656, 4.9280124, "leaky_relu")
    assert model.rate == pytest.approx(0.7716595, abs=5e-8)
    assert model.location == pytest.approx(-1.4350621, abs=5e-8)


def test_clip_range_is_a_minimum():
    """No nearby range, and no range of a grid, does better."""
    rng = np.random.default_rng(10)
    models = [*random_models(25, 11, (0, 0.1, 0.5, 1)), *random_models(25, 12, (0, 0.1), True)]
    for model in models:
        levels = int(rng.choice([2, 3, 4, 8, 16]))
        scale = math.sqrt(model.variance)
        for lower in (min(0.0, model.mean - scale), None):
            lo, hi = model.clip_range(levels, lower)
            best = model.total_error(lo, hi, levels) - 1e-10 * model.variance
            for _ in range(60):
                shift = rng.normal(0, 10.0 ** rng.uniform(-5, 0), 2) * scale
                a = lo if lower is not None else lo + shift[0]
                b = hi + shift[1]
                if a < b:
                    assert model.total_error(a, b, levels) >= best
            for b in np.linspace(lo + 0.05 * scale, lo + 12 * scale, 60):
                assert model.total_error(lo, b, levels) >= best


def test_array_shapes():
    model = ActivationModel.fit(1, 1)
    assert isinstance(model.pdf(0.5), float)
    assert model.pdf(np.zeros((2, 3), np.float32)[:, ::2]).shape == (2, 2)
    assert model.cdf(np.zeros((0,))).shape == (0,)
    assert np.isnan(model.cdf(math.nan))
    assert model.cdf(-math.inf) == 0.0 and model.cdf(math.inf) == 1.0
