"""lwfc.torch.calibrate(transform=...): gradients without labels, steps by distortion."""

import collections
import copy
import dataclasses
import math
import warnings

import numpy as np
import pytest

import lwfc

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import lwfc.torch as lt  # noqa: E402
from lwfc.calibration.pairs import Pairs  # noqa: E402
from lwfc.calibration.rivals import PLAIN, Rival  # noqa: E402
from lwfc.calibration.samples import Batches  # noqa: E402
from lwfc.calibration.transforming import Prepared, TransformOptions, prepare  # noqa: E402
from lwfc.torch.features import feed  # noqa: E402
from lwfc.torch.gradients import DRAWS, Projections  # noqa: E402
from lwfc.torch.heldout import in_turns  # noqa: E402
from lwfc.torch.outputs import Measure, flatten  # noqa: E402
from lwfc.torch.transforming import judged  # noqa: E402

FAST = {"transform": "dct", "block": 4, "step": 0.1}
Boxes = collections.namedtuple("Boxes", "corners scores")


@dataclasses.dataclass
class Found:
    logits: object
    indices: object
    note: str = "x"


class Net(nn.Module):
    """A tail that sums places: gradients are known. ``wrap`` makes of (n, 5) what comes out."""

    def __init__(self, wrap=lambda y: y, tail=None):
        super().__init__()
        torch.manual_seed(3)
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.middle = nn.Identity()
        self.tail = tail or nn.Linear(6, 5)
        self.dropout = nn.Dropout(0.5)
        self.wrap = wrap

    def forward(self, x):
        x = self.middle(functional.avg_pool2d(self.stem(x), 2))
        return self.wrap(self.dropout(self.tail(x.sum((2, 3)))))


def images(n=30, seed=0):
    torch.manual_seed(seed)
    return functional.avg_pool2d(torch.randn(n, 3, 16, 16), 3, 1, 1)


def projections(model, batch, outputs=None):
    found = Projections(model, "middle", None, feed, outputs, None)
    return found, torch.cat(list(found.run(batch)))


def state(model):
    return (
        [(p.requires_grad, p.grad, p.clone()) for p in model.parameters()],
        [m.training for m in model.modules()],
        [len(m._forward_hooks) for m in model.modules()],
    )


def same(before, after):
    for (flag, grad, value), (other_flag, other_grad, other) in zip(
        before[0], after[0], strict=True
    ):
        if flag != other_flag or grad is not other_grad or not torch.equal(value, other):
            return False
    return before[1:] == after[1:]


def test_gradients_are_signed_sums_of_the_jacobian():
    model = Net()
    found, stacked = projections(model, images())
    assert found.missing is None
    assert stacked.shape == (30, 1 + DRAWS, 6, 8, 8)
    np.testing.assert_array_equal(
        stacked[:, 0].numpy(), torch.cat(list(lt.features(model, "middle", images()))).numpy()
    )
    weight = model.tail.weight.detach()
    for gradient in stacked[:, 1:].flatten(0, 1):
        flat = gradient.flatten(1)
        assert torch.allclose(flat, flat[:, :1].expand_as(flat))  # the tail sums places
        signs = torch.linalg.lstsq(weight.T, flat[:, :1]).solution
        assert torch.allclose(weight.T @ signs, flat[:, :1], atol=1e-5)
    drawn = stacked[:, 1:].mean((3, 4)).reshape(-1, 6).double()
    expected = (weight.T @ weight).double()
    assert (drawn.T @ drawn / len(drawn) - expected).norm() < 0.5 * expected.norm()


@pytest.mark.parametrize("training", [False, True])
def test_the_model_stays_as_it_was(training):
    model = Net().train(training)
    model.dropout.eval()
    model.stem.weight.requires_grad_(False)
    model.tail.weight.grad = torch.ones_like(model.tail.weight)
    before = state(model)
    for context in (torch.enable_grad(), torch.no_grad(), torch.inference_mode()):
        with context:
            lt.calibrate(model, "middle", images(), transform="dct", distortion=0.01)
        assert same(before, state(model))
    with pytest.raises(RuntimeError):  # mat1 and mat2 shapes cannot be multiplied
        lt.calibrate(Broken(), "middle", images(), transform="dct")
    assert torch.is_grad_enabled()


class Broken(Net):
    def forward(self, x):
        return self.tail(self.middle(self.stem(x)).flatten(1))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_callers_without_gradients_get_the_same_codec(context):
    model = Net()
    expected = lt.calibrate(model, "middle", images(), transform="dct", step=1.0)
    with context():
        assert lt.calibrate(model, "middle", images(), transform="dct", step=1.0) == expected
    assert expected.metadata["metric"] == "gradients"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: {"logits": y, "classes": y.argmax(1), "none": None},
        lambda y: (y[:, :2], [y[:, 2:], y.argmax(1)]),
        lambda y: Boxes(y[:, :4], y[:, 4]),
        lambda y: Found(y, y.argmax(1)),
        lambda y: [{"boxes": row[:4], "score": row[4]} for row in y],
        lambda y: torch.view_as_complex(y[:, :4].reshape(-1, 2, 2).clone()),
    ],
)
def test_outputs_of_many_kinds(wrap):
    codec = lt.calibrate(Net(wrap), "middle", images(), transform="dct", distortion=0.02)
    assert codec.metadata["metric"] == "gradients"
    assert codec.metadata["distortion"] <= 0.02


def test_several_outputs_count_by_their_own_size():
    big = Net(lambda y: {"a": 1000 * y[:, :2], "b": y[:, 2:]})
    _, stacked = projections(big, images())
    weight = big.tail.weight.detach()
    drawn = stacked[:, 1:].mean((3, 4)).reshape(-1, 6)
    shares = torch.linalg.lstsq(weight.T, drawn.T).solution.square().mean(1)
    assert shares.max() < 100 * shares.min()  # not a million times


def test_outputs_pick_what_counts():
    model = Net(lambda y: {"a": y[:, :1], "b": y[:, 1:]})
    _, stacked = projections(model, images(), lambda out: out["a"])
    drawn = stacked[:, 1:].mean((3, 4)).reshape(-1, 6)
    assert torch.linalg.matrix_rank(drawn, tol=1e-4) == 1


class InPlace(Net):
    def forward(self, x):
        x = self.middle(self.stem(x))
        return self.tail(functional.relu_(x).sum((2, 3)))


def test_second_halves_that_work_in_place():
    codec = lt.calibrate(InPlace(), "middle", images(), transform="dct", step=1.0)
    assert codec.metadata["metric"] == "gradients"


class Detached(nn.Module):
    def forward(self, x):
        return x.detach() @ torch.ones(6, 5)


class Rounding(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round() @ torch.ones(6, 5)

    @staticmethod
    def backward(ctx, gradient):
        raise NotImplementedError("no gradient of this kernel")


class Kernel(nn.Module):
    def forward(self, x):
        return Rounding.apply(x)


@pytest.mark.parametrize(
    ("tail", "reason"), [(Detached, "differentiable"), (Kernel, "no gradient of this kernel")]
)
def test_second_halves_without_gradients_fall_back_and_say_so(tail, reason):
    with pytest.warns(lwfc.CalibrationWarning, match=reason):
        codec = lt.calibrate(Net(tail=tail()), "middle", images(), transform="dct", step=1.0)
    assert codec.metadata["metric"] == "fall-off"


def test_measures_are_those_of_their_formulas():
    before, after = torch.randn(40, 7), torch.randn(40, 7)
    for kind, expected in (
        ("kl", functional.kl_div(after.log_softmax(1), before.softmax(1), reduction="batchmean")),
        ("variance", (after - before).square().mean() / before.var(correction=0)),
    ):
        measure = Measure(kind)
        measure.reference(before[:15])
        measure.reference(before[15:])
        measure.settle()
        assert measure.compare([after[:15], after[15:]]) == pytest.approx(float(expected), rel=1e-5)
        assert measure.compare([before[:15], before[15:]]) == 0
        if kind == "kl":
            p, q = before.double().log_softmax(1), after.double().log_softmax(1)
            each = (p.exp() * (p - q)).sum(1)
        else:
            each = (after - before).double().square().mean(1) / before.double().var(correction=0)
        bound = each.mean() + 1.645 * each.std() / math.sqrt(40)
        assert measure.bound([after[:15], after[15:]]) == pytest.approx(float(bound), rel=1e-6)


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        (8 * torch.randn(40, 10), "kl"),
        (functional.normalize(torch.randn(40, 64)), "variance"),  # an embedding
        (torch.randn(40, 4, 6, 6), "variance"),
        ({"a": 8 * torch.randn(40, 10), "b": torch.randn(40, 3)}, "variance"),
    ],
)
def test_logits_are_told_from_other_outputs(output, kind):
    measure = Measure()
    measure.reference(output)
    measure.settle()
    assert measure.kind == kind


def test_what_cannot_be_measured_says_what_to_do():
    measure = Measure()
    measure.reference({"classes": torch.arange(4)})
    with pytest.raises(lwfc.ParameterError, match="outputs="):
        measure.settle()
    measure = Measure("kl")
    measure.reference(torch.randn(4, 3, 2))
    with pytest.raises(lwfc.ParameterError, match="outputs="):
        measure.settle()


def test_inputs_held_out_have_the_channels_of_the_others():
    rng = np.random.default_rng(5)  # channels last: measured on all, the last axis
    x = rng.normal(size=(12, 1, 6, 6, 16)) + 3 * rng.normal(size=16)
    x = np.repeat(np.repeat(x, 2, 2), 2, 3).astype(np.float32)
    first = Pairs(Batches([x], batched=True), None, None, stacked=True)
    assert first.layout.axis == 2
    usual = Pairs(Batches([x], batched=True), None, None, stacked=True, measured=False)
    assert usual.layout.axis == 0


@pytest.mark.parametrize("measure", ["variance", "kl"])
def test_the_step_meets_the_distortion_of_the_outputs(measure):
    model = Net(lambda y: 0.3 * y)
    codec = lt.calibrate(model, "middle", images(400).split(20), transform="dct", distortion=0.01,
                         distortion_measure=measure)  # fmt: skip
    assert codec.metadata["distortion_measure"] == measure
    assert 0.002 < codec.metadata["distortion"] <= 0.01
    test = images(60, seed=8)
    model.eval()
    with torch.no_grad():
        before = model(test)
        with lt.attach(model, {"middle": codec}):
            after = model(test)
    found = Measure(measure)
    found.reference(before)
    found.settle()
    assert found.compare([after]) < 0.04


def test_few_inputs_held_out_do_not_find_the_step_alone():
    """Six inputs, all certain of their class, would bear any step: the gradients bound it."""
    model = Net(lambda y: 40 * y)
    options = {"transform": "dct", "distortion": 0.01, "distortion_measure": "kl"}
    few = lt.calibrate(model, "middle", images(30), **options)
    many = lt.calibrate(model, "middle", images(400).split(20), **options)
    assert few.metadata["step"] <= 1.3 * many.metadata["step"]
    assert few.metadata["distortion"] <= 0.01


@pytest.mark.parametrize("sizes", [(20,), (9, 11), (1,) * 20, (5,) * 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_few_inputs_take_turns_and_many_do_not(sizes, dtype):
    x = torch.arange(20).to(dtype)
    parts, whole = in_turns(iter(x.split(sizes)))
    assert torch.equal(torch.cat([part for part, _ in parts]), x)
    assert torch.equal(torch.cat(list(whole)), x)
    counts = collections.Counter(turn for _, turn in parts)
    assert len(counts) > 4 and max(counts) < 8
    many = torch.arange(400).split(50)
    parts, whole = in_turns(iter(many))
    assert parts is None and torch.equal(torch.cat(list(whole)), torch.arange(400))


def test_few_inputs_are_each_held_out_of_a_fit_and_all_are_fitted(monkeypatch):
    fitted = []
    whole = Prepared.refitted

    def refitted(self, pairs):
        fitted.append(pairs.nsamples)
        return whole(self, pairs)

    monkeypatch.setattr(Prepared, "refitted", refitted)
    model = Net(lambda y: {"a": y, "b": y[:, :2].square()})
    codec = lt.calibrate(model, "middle", images(24), transform="dct", distortion=0.02)
    assert fitted == [21] * 8
    assert codec.metadata["samples"] == 24
    assert 0.002 < codec.metadata["distortion"] <= 0.02


@pytest.mark.parametrize(
    "loader",
    [
        lambda x: x,
        lambda x: [x[:9], x[9:]],
        lambda x: iter(x.split(1)),
        lambda x: [(part, torch.zeros(len(part))) for part in x.split(4)],
        lambda x: [x],
        lambda x: x[:1],
    ],
)
def test_batches_of_many_kinds(loader):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lwfc.CalibrationWarning)
        codec = lt.calibrate(Net(), "middle", loader(images(20)), transform="dct")
    x = next(lt.features(Net(), "middle", images(3)))
    assert torch.equal(codec.decode(codec.encode(x), out=torch.empty_like(x)), codec.simulate(x))


def test_auto_compares_by_the_outputs():
    model = Net()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lwfc.CalibrationWarning)
        codec = lt.calibrate(model, "middle", images(60), transform="auto", distortion=0.02)
    assert codec.transform is not None  # a sum over places: nothing is smaller than that


@pytest.mark.parametrize("count", [30, 300])
def test_the_plain_profile_is_fitted_to_the_held_out_inputs_too(count, monkeypatch):
    smaller = Rival(PLAIN[0], 0.1, 0.2)
    for place in ("turns._Turns.smaller_rival", "transforming._smaller"):
        monkeypatch.setattr(f"lwfc.torch.{place}", lambda *_, **__: smaller)
    with pytest.warns(lwfc.CalibrationWarning, match="fell back"):
        codec = lt.calibrate(Net(), "middle", images(count), transform="auto", distortion=0.02)
    assert codec.transform is None and codec.metadata["samples"] == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 2}, "levels"),
        ({"distortion_measure": "psnr"}, "distortion_measure"),
        ({"step": 1.0, "distortion": 0.1}, "step and distortion"),
        ({"block": 3}, "must divide"),
    ],
)
def test_refusals_name_the_argument(options, message):
    with pytest.raises(lwfc.ParameterError, match=message):
        lt.calibrate(Net(), "middle", images(), transform="dct", **options)


def test_flatten_keeps_paths_and_passes_over_what_is_no_float():
    tree = {"a": [torch.ones(2), torch.arange(3)], "b": Found(torch.zeros(1), None), "c": "text"}
    assert [path for path, _ in flatten(tree)] == [("a", 0), ("b", "logits")]
    assert math.prod(copy.copy(dict(flatten(torch.ones(3)))[()]).shape) == 3


def test_tune_brackets_by_outputs_and_decides_by_scores():
    model = Net().eval()
    test = images(80, seed=4)
    with torch.no_grad():
        truth = model(test).argmax(1)

    def metric(model):
        return (model(test).argmax(1) == truth).float()

    result = lt.tune(model, "middle", images(60), metric, transform="dct", max_loss=0.1)
    assert result.best["upper"] <= 0.1
    assert result.codec.transform is not None
    with torch.no_grad(), lt.attach(model, {"middle": result.codec}):
        assert result.best["metric"] == pytest.approx(float(metric(model).mean()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what the search itself tries is nobody's mistake
        levels = lt.tune(model, "middle", images(60), metric, max_loss=0.1, grid={"levels": (2, 8)})
    assert all(row["upper"] >= row["loss"] for row in levels.rows)
    with pytest.raises(lwfc.ParameterError, match="score for each sample"):
        lt.tune(model, "middle", images(60), lambda model: str(model(test)))


@pytest.mark.parametrize("dear", [True, False])
def test_the_clamp_is_decided_by_the_outputs(dear):
    """Values that end at 0, behind which going below costs twice as much, or nothing."""
    x = np.maximum(images(24).numpy() * 3, 0)

    class Outputs:
        def distortion(self, codec):
            below = dear and codec.simulate(x).min() < 0
            return codec.metadata["step"] * (0.2 if below else 0.1)

    wishes = TransformOptions.of("dct", {"distortion": 0.05})
    fitted = prepare(Pairs(Batches([x], batched=True), None, None), wishes)
    found, point = judged(fitted, Outputs())
    assert point.distortion == pytest.approx(0.05, rel=0.03) and point.distortion <= 0.05
    low = found.refitted(fitted.pairs).codec(point.step).simulate(x).min()
    assert low == 0 if dear else low < 0


def test_empty_batches_tell_nothing_and_cost_nothing():
    x = images()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codec = lt.calibrate(Net(), "middle", [x[:0], x[:15], x[15:], x[:0]], **FAST)
    assert codec == lt.calibrate(Net(), "middle", [x[:15], x[15:]], **FAST)


def test_models_made_in_inference_mode_have_no_gradients_and_say_so():
    with torch.inference_mode():
        model = Net()
    with pytest.warns(lwfc.CalibrationWarning, match="copy.deepcopy"):
        codec = lt.calibrate(model, "middle", images(), **FAST)
    assert codec.metadata["metric"] == "fall-off"
    again = lt.calibrate(copy.deepcopy(model), "middle", images(), **FAST)
    assert again == lt.calibrate(Net(), "middle", images(), **FAST)


def test_models_without_values_say_so():
    for model in (Net().to("meta"), Net(tail=nn.Linear(6, 5, device="meta"))):
        for options in (FAST, {"levels": 2}):
            with pytest.raises(lwfc.ParameterError, match="on meta.* load"):
                lt.calibrate(model, "middle", images(), **options)


@pytest.mark.parametrize("progress", [True, False, lambda done, total, what: None])
def test_progress_is_a_bar_a_function_or_nothing(progress, capsys):
    net, x = Net(), images(64)
    options = {"transform": "dct", "progress": progress}
    lt.calibrate(net, "middle", x, **options)
    lt.tune(net, "middle", x, lambda net: float(net(x).mean()), max_loss=1e9, **options)
    assert bool(capsys.readouterr().err) == (progress is True)
