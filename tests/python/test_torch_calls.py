"""Layers that run several times a pass, samples counted where they are, features that disturb
nothing, masks and nested tensors."""

import json
import warnings

import numpy as np
import pytest

import lwfc

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import lwfc.torch as lt  # noqa: E402


class Recurrent(nn.Module):
    def __init__(self, steps=3):
        super().__init__()
        self.conv, self.act, self.steps = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), steps

    def forward(self, x):
        for step in range(self.steps):
            x = self.act(self.conv(x)) * (1 + 9 * step)
        return x


@pytest.fixture
def images():
    return torch.randn(12, 4, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def recurrent():
    torch.manual_seed(0)
    return Recurrent().eval()


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def test_all_calls_are_calibrated_on(recurrent, images):
    outputs = []
    handle = recurrent.act.register_forward_hook(lambda m, i, o: outputs.append(o))
    recurrent(images)
    handle.remove()
    assert lt.calibrate(recurrent, "act", images, levels=4) == lwfc.calibrate(outputs, levels=4)
    with pytest.warns(lwfc.UncodedWarning, match="runs 3 times in a forward pass"):
        found = list(lt.features(recurrent, "act", [images[:5], images[5:]]))
    assert [len(x) for x in found] == [5, 5, 5, 7, 7, 7]
    assert torch.equal(torch.cat(found[1::3]), outputs[1])
    for call in (2, -1):
        (last,) = lt.features(recurrent, "act", images, call=call)
        assert torch.equal(last, outputs[2])
    with pytest.raises(lwfc.ParameterError, match="runs 3 times"):
        list(lt.features(recurrent, "act", images, call=3))


def test_calls_are_reported_each_and_samples_per_input(recurrent, images):
    codec = lt.calibrate(recurrent, "act", images, levels=4)
    with lt.attach(recurrent, {"act": codec}) as tap:
        recurrent(images[:5])
        recurrent(images[5:])
    report = tap.report()
    row = report["act"]
    assert (row["calls"], row["passes"], row["calls_per_pass"], row["samples"]) == (6, 2, 3, 12)
    assert row["elements"] == 3 * images.numel() and row["bytes_in"] == 4 * row["elements"]
    assert row["kB_per_sample"] == row["bytes_out"] / 1000 / 12
    assert [call["layer"] for call in report.calls] == ["act #0", "act #1", "act #2"]
    assert sum(call["bytes_out"] for call in report.calls) == row["bytes_out"]
    assert all(call["samples"] == 12 for call in report.calls)
    assert "call 2" in str(report) and "call 2" in report._repr_html_()
    assert json.loads(report.to_json()) == report.rows == list(report) and len(report) == 1
    assert report[0] is row and report[-1] is row
    with pytest.raises(KeyError, match="'act'"):
        report["conv"]
    table = report.to_pandas()
    assert list(table["layer"]) == ["act"] and table["bytes_out"][0] == row["bytes_out"]
    both = report + report
    assert both["act"]["samples"] == 24 and both["act"]["ratio"] == row["ratio"]


def test_clipping_and_raw_blocks_are_shown():
    layer = nn.Identity()
    codec = lwfc.Codec([0.5], [0.0, 1.0])
    x = torch.rand(2, 8, 32, 32, generator=torch.Generator().manual_seed(0))
    x.view(-1)[:100] = 3.0
    x.view(-1)[100:120] = -3.0
    with lt.attach(layer, {"": codec}) as tap:
        layer(x)
    row = tap.report()[0]
    assert row["clipped"] == 120 / x.numel()
    info = lwfc.inspect(codec.encode(x))
    assert row["blocks"] == info.nblocks >= row["raw_blocks"] == info.raw_nblocks > 0
    assert "raw_blocks" in str(tap.report())
    smooth = codec.encode(torch.zeros(2, 8, 32, 32))
    assert lwfc.inspect(smooth).raw_nblocks == 0


def test_clipping_is_counted_in_each_channel():
    layer = nn.Identity()
    codec = lwfc.Codec([[0.5], [5.0]], [[0.0, 1.0], [0.0, 10.0]])
    x = torch.tensor([[[[0.5, 2.0, -1.0]], [[0.5, 2.0, 11.0]]]])
    with lt.attach(layer, {"": codec}) as tap:
        layer(x)
    assert tap.report()[0]["clipped"] == 3 / 6


@pytest.mark.parametrize("part", ["rnn", "attention", "first", "images", "tokens", "chunks"])
def test_samples_are_those_of_the_models_input(part):
    model, axes, x = {
        "rnn": (nn.Sequential(nn.LSTM(8, 16)), {"sample_axis": 1}, torch.randn(50, 3, 8)),
        "attention": (
            nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16)),
            {"sample_axis": 1},
            torch.randn(50, 3, 8),
        ),
        "first": (nn.Sequential(nn.GRU(8, 16, batch_first=True)), {}, torch.randn(3, 50, 8)),
        "images": (nn.Sequential(List()), {}, [torch.randn(3, 8, k) for k in (4, 5, 6)]),
        "tokens": (nn.Sequential(nn.Linear(8, 8)), {"sample_axis": -3}, torch.randn(50, 8)),
        "chunks": (nn.Sequential(nn.Flatten(0, 1), nn.Linear(8, 8)), {}, torch.randn(3, 50, 8)),
    }[part]
    model.eval()
    codec = lwfc.calibrate(torch.randn(64, 16), levels=4)
    name = "1" if part == "chunks" else "0"
    select = 0 if part in ("rnn", "first") else None
    with lt.attach(model, {name: codec}, select=select, **axes) as tap:
        model(x)
    row = tap.report()[0]
    assert row["samples"] == (1 if part == "tokens" else 3)
    assert row["kB_per_sample"] == row["bytes_out"] / 1000 / row["samples"]


class List(nn.Module):
    def forward(self, images):
        return torch.cat([image.mean(-1) for image in images])


def test_no_figures_per_sample_from_an_unknown_axis():
    model = nn.Sequential(nn.LSTM(8, 16))
    codec = lwfc.calibrate(torch.randn(64, 16), levels=4)
    with lt.attach(model, {"0": codec}, select=0) as tap:
        model(torch.randn(50, 3, 8))
    row = tap.report()[0]
    assert row["samples"] is None and row["kB_per_sample"] is None
    assert "sample_axis" in row["note"] and row["bits_per_element"] > 0
    with pytest.raises(lwfc.ParameterError, match="sample_axis="):
        lt.attach(model, {"0": codec}, sample_axis="batch")


class Guarded(nn.Module):
    """A model that catches everything around its backbone, and cleans up."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True)), nn.GELU()
        self.failures = self.finished = 0

    def forward(self, x):
        try:
            y = self.backbone(x)
        except BaseException:
            self.failures += 1
            raise
        finally:
            self.finished += 1
        y.add_(1)  # in place, after the layer
        return next(self.steps(y))

    def steps(self, y):
        yield self.head(y)


def test_features_disturb_nothing():
    torch.manual_seed(0)
    model, x = Guarded(), torch.rand(12, 8)
    plain = model.backbone(x)
    loader = list(x.split(4))
    for k, (feature, batch) in enumerate(
        zip(lt.features(model, "backbone", loader), loader, strict=True)
    ):
        assert torch.allclose(feature, plain[4 * k : 4 * k + 4])
        assert model.training and not model.backbone._forward_hooks
        assert model(batch).shape == (4, 8)
    assert model.failures == 0 and model.finished == 6
    walk = lt.features(model, "backbone", loader)
    next(walk)
    walk.close()
    assert not model.backbone._forward_hooks


def test_sources_of_inputs(images):
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU())
    expected = lt.calibrate(model, "1", images, levels=4)
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(images, torch.arange(12))
    for loader in (
        data,
        DataLoader(data, batch_size=12),
        images.numpy(),
        [images.numpy()],
        [(images, torch.arange(12))],
        (images, torch.arange(12)),
        [images.numpy(), np.arange(12)],
        [({"input": images}, torch.arange(12))],
        iter([images]),
    ):
        assert lt.calibrate(model, "1", loader, levels=4) == expected
    for loader, text in (
        ([], "there are no samples"),
        (DataLoader(data, batch_size=50, drop_last=True), "there are no samples"),
        ({"input": images}, r"\[loader\]"),
        (None, "DataLoader"),
        ("images/", "DataLoader"),
    ):
        with pytest.raises(lwfc.ParameterError, match=text):
            lt.calibrate(model, "1", loader, levels=4)


def test_what_a_model_was_fed_is_said_with_its_own_error(images):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.ReLU()

        def forward(self, a, b):
            return self.layer(a + b)

    with pytest.raises(TypeError, match="'b'") as caught:
        lt.calibrate(Two(), "layer", [(images, images)])
    assert "forward=" in caught.value.__notes__[0] and "(12, 4" in caught.value.__notes__[0]
    codec = lt.calibrate(Two(), "layer", [(images, images)], forward=lambda m, b: m(*b))
    assert codec.metadata["samples"] == 12


def test_layers_and_models_of_other_types_are_refused(images):
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU())
    for arguments, text in (
        ((model, model[1], images), "pass the name of one layer, '1'"),
        ((model, ["1"], images), "named_modules"),
        ((lambda x: x, "1", images), "nn.Module"),
        ((torch.jit.script(model), "1", images), "'1' is inside TorchScript"),
        ((nn.Sequential(model[0], torch.jit.script(model[1])), "1", images), "'1' is TorchScript"),
    ):
        with pytest.raises(lwfc.ParameterError, match=text):
            lt.calibrate(*arguments, levels=4)


def test_single_images_are_single_samples(images):
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(-3), nn.Linear(128, 8))
    for layer in ("1", "3"):
        found = list(lt.features(model, layer, list(images)))
        assert torch.allclose(torch.cat(found), next(lt.features(model, layer, images)), atol=1e-6)
    codec = lt.calibrate(model, "1", list(images), levels=4)
    whole = lt.calibrate(model, "1", images, levels=4)
    assert codec.metadata["samples"] == 12 and codec.channel_axis == whole.channel_axis
    assert np.allclose(codec.values, whole.values, rtol=1e-5)


def test_offloaded_weights_leave_inputs_alone(images):
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    expected = lt.calibrate(model, "1", images, levels=4)
    kept = {name: value.detach().clone() for name, value in model[0].named_parameters()}

    def fetch(module, inputs):
        for name, value in kept.items():
            setattr(module, name, nn.Parameter(value))

    model[0].to("meta").register_forward_pre_hook(fetch)
    model[0].register_forward_hook(lambda module, *_: module.to("meta") and None)
    assert lt.calibrate(model, "1", images, levels=4) == expected


def padded_batch():
    x = torch.randn(6, 5, 16, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([3, 5, 1, 4, 5, 2])
    keep = torch.arange(5) < lengths[:, None]
    x[~keep] = 40.0  # padding that would spoil the range
    return x, keep


def test_padding_does_not_count():
    model = nn.Sequential(nn.Identity(), nn.Linear(16, 4))
    x, keep = padded_batch()
    codec = lt.calibrate(model, "0", [x], mask=lambda batch: keep, levels=4)
    assert codec == lwfc.calibrate([s[k][None] for s, k in zip(x, keep, strict=True)], levels=4)
    assert codec.metadata["range"][1] < 10 < lt.calibrate(model, "0", [x]).metadata["range"][1]
    rows = keep.any(1).long()
    assert lt.calibrate(model, "0", [x], mask=lambda b: rows) == lt.calibrate(model, "0", [x])
    for bad in (keep[:, :3], keep[None], torch.ones(5)):
        with pytest.raises(lwfc.ParameterError, match="mask of shape"):
            lt.calibrate(model, "0", [x], mask=lambda b, bad=bad: bad)


@pytest.mark.filterwarnings("ignore:.*nested tensors")
def test_nested_tensors_inside_a_transformer():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    x, keep = padded_batch()

    def run(module, batch):
        return module(batch, src_key_padding_mask=~keep)

    codec = lt.calibrate(model, "layers.0", [x], forward=run, levels=4)
    assert codec.metadata["samples"] == 6
    with lt.attach(model, {"layers.0": codec}) as tap:
        y = run(model, x)
    row = tap.report()[0]
    assert (row["calls"], row["samples"], row["elements"]) == (1, 6, int(keep.sum()) * 16)
    features = list(lt.features(model, "layers.0", [x], forward=run))
    assert [tuple(f.shape) for f in features] == [(1, int(n), 16) for n in keep.sum(1)]
    assert row["bytes_out"] == sum(len(codec.encode(f)) for f in features)
    # the same as padding with plain tensors, where data is
    model.enable_nested_tensor = False
    with lt.attach(model, {"layers.0": codec}):
        assert torch.allclose(y[keep], run(model, x)[keep], atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*nested tensors")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors(layout):
    parts = [torch.rand(n, 8) for n in (3, 5)]
    x = torch.nested.nested_tensor(parts, layout=layout)
    codec = lwfc.calibrate(torch.rand(64, 8), levels=4)
    model = nn.Identity()
    with lt.attach(model, {"": codec}):
        y = model(x)
    assert y.is_nested and y.layout is layout
    for part, coded in zip(parts, y.unbind(), strict=True):
        assert torch.equal(coded, codec.simulate(part))
    for use in (codec.encode, codec.simulate, lambda t: lwfc.encode(t), lambda t: lt.encode(t)):
        with pytest.raises(lwfc.ParameterError, match=r"nested.*unbind"):
            use(x)


def test_nothing_is_left_of_a_tap(recurrent, images):
    codec = lt.calibrate(recurrent, "act", images, levels=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lt.attach(recurrent, {"act": codec}) as tap:
            recurrent(images)
            recurrent.act(images)  # outside a pass of the model it counts for itself
    assert tap.report()["act"]["samples"] == 24 and tap.report()["act"]["passes"] == 2
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in recurrent.modules())
    assert np.isfinite(tap.report()["act"]["encode_ms_per_sample"])
