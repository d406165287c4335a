"""The activation model's tables, its worst deviations and its speed, as Markdown.

Usage: python benchmarks/model_tables.py    (needs lwfc, SciPy; a few seconds)
"""

import math
import sys
import time
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "python"), str(TESTS / "reference")]

import model_ref  # noqa: E402
import test_activation as checks  # noqa: E402

from lwfc import ActivationModel, _core, design_ecsq  # noqa: E402
from lwfc.model.activation import range_constant  # noqa: E402

LAYERS = {
    "ResNet-50, layer 21": (1.1235656, 4.9280124, checks.RESNET),
    "YOLOv3, layer 12": (0.4484323, 0.5742644, checks.YOLO),
}
HEAD = ("N", "hi (lo = 0)", "e_quant", "e_clip", "e_tot", "H (bits)", "TU (bits)", "best lo",
        "best hi", "e_tot", "ACIQ hi", "e_tot")  # fmt: skip
MODELS = 1000


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def head(*cells):
    row(*cells)
    row(*("---" for _ in cells))


def print_tables():
    print("K_N:", ", ".join(f"{n}: {range_constant(n):.5f}" for n in (*range(2, 9), 16, 256)))
    for name, (mean, variance, table) in LAYERS.items():
        model = ActivationModel.fit(mean, variance, "leaky_relu")
        print(f"\n{name}: mean {mean}, variance {variance}, leaky ReLU of slope 0.1: "
              f"lambda {model.rate:.7f}, mu {model.location:.7f}\n")  # fmt: skip
        head(*HEAD)
        worst = 0.0
        for levels, want in table.items():
            got = checks.table_row(model, levels)
            row(levels, *(f"{g:.{d}f}" for g, d in zip(got, checks.DIGITS, strict=True)))
            for g, w, digits in zip(got, want, checks.DIGITS, strict=True):
                worst = max(worst, abs(g - w) * 10**digits)
        print(
            "\nLargest difference from the table in tests/python/test_activation.py: "
            f"{worst:.2f} of the last digit."
        )


def deviations():
    """name -> worst over the random models."""
    worst = {}

    def note(name, got, want, size):
        worst[name] = max(worst.get(name, 0.0), abs(got - want) / size)

    rng = np.random.default_rng(1)
    for kind, caps, slopes in (
        ("uncapped", False, (0, 0.01, 0.1, 0.25, 0.5, 1)),
        ("capped", True, (0, 0.1, 0.5)),
    ):
        for model in checks.random_models(MODELS, 2 + caps, slopes, caps):
            mean, variance = model.mean, model.variance
            size = variance + mean**2
            expectation = checks.expectation
            note(f"mean, {kind}, to quadrature", mean, expectation(model, lambda y: y),
                 math.sqrt(size))  # fmt: skip
            want = expectation(model, lambda y, m=mean: (y - m) ** 2)
            note(f"variance, {kind}, to quadrature", variance, want, want)
            lo, hi, levels = checks.random_range(model, rng)
            error, kinks = checks.uniform_error(lo, hi, levels)
            total = sum(model.error(lo, hi, levels))
            want = expectation(model, error, [lo, hi, *kinks])
            note(f"e_clip + e_quant, {kind}, to quadrature", total, want, size)
            note(f"stop-loss identity, {kind}, to e_clip + e_quant",
                 model.total_error(lo, hi, levels), total, size)  # fmt: skip
            if not caps and model.slope < 1:
                reference = checks.reference(model)
                want = sum(model_ref.errors(reference, lo, hi, levels))
                note("e_clip + e_quant, uncapped, to the reference", total, want, size)
            if not 0 < mean < 0.999 * model.cap:
                continue
            status, rate, location = _core.model_fit(
                mean, variance, model.skew, model.slope, model.cap
            )
            if status:
                raise SystemExit(f"no fit for {model}")
            again = ActivationModel(rate, location, model.skew, model.slope, model.cap)
            note(f"fit's mean, {kind}", again.mean, mean, math.sqrt(size))
            note(f"fit's variance, {kind}", again.variance, variance, variance)
            if model.slope > 0 or model.location > 0:
                note(f"fit's rate, {kind}", rate, model.rate, model.rate)
    return worst


def microseconds(function, count):
    best = math.inf
    for _ in range(5):
        start = time.thread_time()
        for _ in range(count):
            function()
        best = min(best, (time.thread_time() - start) / count)
    return f"{best * 1e6:.1f}"


def print_speed():
    model = ActivationModel.fit(1.1235656, 4.9280124, "leaky_relu")
    capped = ActivationModel.fit(1.1, 2.0, "relu6")
    y = model_ref.Model(model.rate, model.location, 0.5, 0.1).sample_y(
        100_000, np.random.default_rng(1)
    )
    head("call", "microseconds")
    row("fit, leaky ReLU", microseconds(lambda: ActivationModel.fit(1.12, 4.93, "leaky_relu"), 500))
    row("fit, ReLU6", microseconds(lambda: ActivationModel.fit(1.1, 2.0, "relu6"), 50))
    for levels in (4, 256):
        for name, which in (("leaky ReLU", model), ("ReLU6", capped)):
            for lo in (0.0, None):
                call = microseconds(lambda m=which, n=levels, a=lo: m.clip_range(n, a), 5)
                row(f"clip_range({levels}, lo={lo}), {name}", call)
    row("design_ecsq of the model, N = 4", microseconds(
        lambda: design_ecsq(model, 4, 0, 9.04, 1.0), 20))  # fmt: skip
    row("design_ecsq of 100,000 samples, N = 4", microseconds(
        lambda: design_ecsq(y, 4, 0, 9.04, 1.0), 2))  # fmt: skip


if __name__ == "__main__":
    print_tables()
    print(f"\nWorst deviations over {MODELS} random models, relative to E[Y^2] or its root "
          "(variance, rate: to themselves):\n")  # fmt: skip
    head("quantity", "worst")
    for name, value in sorted(deviations().items()):
        row(name, f"{value:.1e}")
    print()
    print_speed()
