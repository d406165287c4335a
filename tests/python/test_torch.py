"""Hooks on PyTorch models: exact, compilable, copyable, and refused where they would not work."""

import collections
import copy
import dataclasses
import io
import json
import pickle

import numpy as np
import pytest

import lwfc

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import lwfc.torch as lt  # noqa: E402
from lwfc.torch.attach import Hook  # noqa: E402
from lwfc.torch.layers import pick, replace  # noqa: E402

Pair = collections.namedtuple("Pair", "first second")


@dataclasses.dataclass
class Output:
    features: object
    extra: object


class Net(nn.Module):
    """Convolutions whose middle layer returns what ``wrap`` makes of its features."""

    def __init__(self, wrap=None, unwrap=None):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.middle = Middle(wrap)
        self.unwrap = unwrap
        self.head = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x):
        y = self.middle(self.stem(x))
        return self.head(y if self.unwrap is None else self.unwrap(y)).mean((2, 3))


class Middle(nn.Module):
    def __init__(self, wrap=None):
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.wrap = wrap

    def forward(self, x):
        y = torch.relu(self.conv(x))
        return y if self.wrap is None else self.wrap(y)


@pytest.fixture
def images():
    return torch.randn(10, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def codec(net, images):
    return lt.calibrate(net, "middle", images, levels=4)


def expected(net, codec, images):
    with torch.no_grad():
        y = torch.relu(net.middle.conv(net.stem(images)))
        return net.head(codec.simulate(y)).mean((2, 3))


def test_calibrate_equals_calibrating_on_the_features(net, images, codec):
    with torch.no_grad():
        y = net.middle(net.stem(images))
    assert lwfc.calibrate(y, levels=4) == codec
    batches = [(images[:4], "label"), (images[4:], "label")]
    assert np.allclose(lt.calibrate(net, "middle", batches, levels=4).values, codec.values)
    parts = [{"x": images[:4]}, {"x": images[4:]}]
    assert np.allclose(lt.calibrate(net, "middle", parts, levels=4).values, codec.values)


def test_calibration_leaves_the_model_alone(net, images):
    net.train()
    net.stem.eval()
    lt.calibrate(net, "middle", images)
    assert net.training and not net.stem.training
    assert not net.middle._forward_hooks


@pytest.mark.parametrize("mode", ["bitstream", "simulate"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_attach(net, images, codec, mode, dtype):
    net, images = net.to(dtype), images.to(dtype)
    with torch.no_grad():
        plain = net(images)
        with lt.attach(net, {"middle": codec}, mode=mode):
            coded = net(images)
        assert torch.equal(coded, expected(net, codec, images)) and coded.dtype == dtype
        assert torch.equal(net(images), plain) and not torch.equal(plain, coded)


def test_report(net, images, codec):
    tap = lt.attach(net, {"middle": codec, "stem": codec})
    net(images[:4])
    net(images[4:])
    row = tap.report().rows[0]
    y = net.middle(net.stem(images))
    assert row["layer"] == "middle" and row["calls"] >= 2
    tap.reset()
    net(images)
    rows = tap.report().rows
    row = rows[0]
    with torch.no_grad():
        features = torch.relu(net.middle.conv(lwfc_output(net, codec, images)))
    nbytes = len(codec.encode(features))
    assert row["samples"] == 10 and row["elements"] == y.numel()
    assert row["bits_per_element"] == 8 * nbytes / y.numel()
    assert row["kB_per_sample"] == nbytes / 1000 / 10
    assert row["ratio_to_float32"] == 4 * y.numel() / nbytes
    assert row["encode_ms_per_sample"] > 0 and row["decode_ms_per_sample"] > 0
    assert json.loads(tap.report().to_json()) == rows
    assert "middle" in str(tap.report()) and "<table>" in tap._repr_html_()
    tap.remove()
    net(images)
    assert tap.report().rows == rows


def lwfc_output(net, codec, images):
    return codec.simulate(net.stem[1](net.stem[0](images)))


def test_simulation_knows_no_rate(net, images, codec):
    with lt.attach(net, {"middle": codec}, mode="simulate") as tap:
        net(images)
    assert tap.report().rows[0]["bits_per_element"] is None
    assert "-" in str(tap.report())


def test_gradients_pass_straight_through(codec):
    lo, hi = codec.values.min(), codec.values.max()
    x = torch.tensor([[lo - 1, lo, (lo + hi) / 2, hi, hi + 1]], requires_grad=True)
    layer = nn.Identity()
    with lt.attach(layer, {"": codec}):
        layer(x).sum().backward()
    assert x.grad.tolist() == [[0, 1, 1, 1, 0]]
    with lt.attach(layer, {"": codec}, grad="none"):
        assert not layer(x).requires_grad


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "strided"])
@pytest.mark.parametrize("bitstream", [True, False])
def test_opcheck(codec, layout, bitstream):
    x = torch.randn(2, 8, 6, 6)
    if layout == "channels_last":
        x = x.to(memory_format=torch.channels_last)
    elif layout == "strided":
        x = x[:, :, ::2]
    digest = lt.register(codec)
    arguments = (x.requires_grad_(), digest, 0.0, 1.0, bitstream, 0)
    torch.library.opcheck(torch.ops.lwfc.code.default, arguments)


def test_memory_format_is_kept(net, images, codec):
    y = net.middle(net.stem(images)).to(memory_format=torch.channels_last)
    layer = nn.Identity()
    with lt.attach(layer, {"": codec}):
        assert layer(y).stride() == y.stride()
        assert torch.equal(layer(y), layer(y.contiguous()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(net, images, codec, dtype):
    with torch.no_grad(), torch.autocast("cpu", dtype), lt.attach(net, {"middle": codec}) as tap:
        assert net(images).dtype == dtype
    assert tap.report().rows[0]["calls"] == 1


def test_inference_mode(net, images, codec):
    with torch.inference_mode(), lt.attach(net, {"middle": codec}):
        net(images)


def test_compile(net, images, codec):
    with lt.attach(net, {"middle": codec}) as tap:
        reference = net(images)
        tap.reset()
        compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
        assert torch.allclose(compiled(images), reference, atol=1e-6)
        assert tap.report().rows[0]["calls"] == 1
    torch._dynamo.reset()


def test_late_attachment_is_refused(net, images, codec):
    compiled = torch.compile(net, backend="aot_eager")
    before = compiled(images)
    for model, layer in ((compiled, "middle"), (net, "middle"), (net.middle, "conv")):
        with pytest.raises(lwfc.ParameterError, match=r"attach to the plain one"):
            lt.attach(model, {layer: codec})
    del compiled, model
    with lt.attach(net, {"middle": codec}):
        compiled = torch.compile(net, backend="aot_eager")
        assert not torch.equal(compiled(images), before)
    torch._dynamo.reset()
    net.compile(backend="aot_eager")
    with pytest.raises(lwfc.ParameterError, match="compiled"):
        lt.attach(net, {"middle": codec})


def test_script_modules_are_refused(codec, images):
    with pytest.warns(DeprecationWarning):
        scripted = torch.jit.trace(nn.Conv2d(3, 8, 3), images)
    with pytest.raises(lwfc.ParameterError, match="TorchScript"):
        lt.attach(scripted, {"": codec})


def test_export(net, images, codec):
    with lt.attach(net, {"middle": codec}):
        program = torch.export.export(net, (images,))
    assert any("lwfc.code" in str(node.target) for node in program.graph.nodes)
    assert torch.allclose(program.module()(images), expected(net, codec, images), atol=1e-6)


def test_copies_keep_the_hooks(net, images, codec):
    with lt.attach(net, {"middle": codec}):
        reference = net(images)
        copies = [copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
        file = io.BytesIO()
        torch.save(net, file)
        file.seek(0)
        copies.append(torch.load(file, weights_only=False))
    assert not torch.equal(net(images), reference)
    for model in copies:
        assert torch.equal(model(images), reference)
    assert set(net.state_dict()) == set(copies[0].state_dict())


def test_data_parallel_replicas(net, images, codec):
    """DataParallel copies a module's dictionary; on one CPU we do the same."""
    with lt.attach(net, {"middle": codec}) as tap:
        replica = net.middle._replicate_for_data_parallel()
        replica.conv = net.middle.conv
        assert torch.equal(replica(net.stem(images)), net.middle(net.stem(images)))
        assert tap.report().rows[0]["calls"] == 2


@pytest.mark.parametrize(
    "wrap, unwrap, select",
    [
        (lambda y: (1, y), lambda o: o[1], 1),
        (lambda y: [y, 2], lambda o: o[0], 0),
        (lambda y: {"features": y, "n": 1}, lambda o: o["features"], "features"),
        (lambda y: Pair(1, y), lambda o: o.second, "second"),
        (lambda y: Pair(1, y), lambda o: o.second, 1),
        (lambda y: Output(y, 1), lambda o: o.features, "features"),
        (lambda y: {"a": (0, {"b": y})}, lambda o: o["a"][1]["b"], ("a", 1, "b")),
    ],
)
def test_select(images, wrap, unwrap, select):
    torch.manual_seed(0)
    net = Net(wrap, unwrap).eval()
    codec = lt.calibrate(net, "middle", images, levels=4, select=select)
    for choice in (select, {"middle": select}):
        with lt.attach(net, {"middle": codec}, select=choice):
            assert torch.equal(net(images), expected(net, codec, images))
            out = net.middle(net.stem(images))
            assert type(out) is type(wrap(images))
    with pytest.raises(lwfc.ParameterError, match="select="), lt.attach(net, {"middle": codec}):
        net(images)


def test_select_copies_containers():
    original = {"a": (torch.zeros(2), 5)}
    changed = replace(original, ("a", 0), torch.ones(2))
    assert original["a"][0].sum() == 0 and changed["a"][0].sum() == 2
    with pytest.raises(lwfc.ParameterError, match="it has 'a'"):
        pick(original, "b")
    with pytest.raises(lwfc.ParameterError, match="float"):
        pick(torch.zeros(2, dtype=torch.int64), None)


def test_names(net, codec):
    with lt.attach(net, {"*.conv": codec}) as tap:
        assert [row["layer"] for row in tap.report().rows] == ["middle.conv"]
    for name in ("midle", "middle.cnv"):
        with pytest.raises(lwfc.ParameterError, match="middle"):
            lt.attach(net, {name: codec})
        with pytest.raises(lwfc.ParameterError, match="middle"):
            lt.calibrate(net, name, torch.zeros(1, 3, 12, 12))
    with pytest.raises(lwfc.ParameterError, match="twice"):
        lt.attach(net, {"middle": codec, "mid*": codec})
    assert not net.middle._forward_hooks


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"mode": "bits"}, "mode="),
        ({"grad": "noise"}, "grad="),
        ({"codecs": ["middle"]}, "map"),
        ({"codecs": {"middle": "x.lwfc"}}, "map"),
    ],
)
def test_bad_arguments(net, codec, arguments, text):
    with pytest.raises(lwfc.ParameterError, match=text):
        lt.attach(net, **({"codecs": {"middle": codec}} | arguments))


def test_unknown_codecs_are_named():
    with pytest.raises(lwfc.ParameterError, match="register"):
        torch.ops.lwfc.code(torch.zeros(2, 2), "0" * 16, 0.0, 1.0, True, 0)


def test_layers_that_do_not_run(net, images):
    net.spare = nn.Linear(2, 2)
    with pytest.raises(lwfc.ParameterError, match="does not run"):
        lt.calibrate(net, "spare", images)


def test_integer_outputs_are_refused(codec):
    layer = nn.Identity()
    with lt.attach(layer, {"": codec}), pytest.raises(lwfc.ParameterError, match="float"):
        layer(torch.arange(4))


def test_hooks_are_plain_picklable_objects(codec):
    hook = pickle.loads(pickle.dumps(Hook("layer", codec, "bitstream", None, "ste")))
    assert hook.codec == codec and hook.name == "layer"


def test_empty_tensors(codec):
    layer = nn.Identity()
    with lt.attach(layer, {"": codec}) as tap:
        assert layer(torch.zeros(0, 8, 4, 4)).shape == (0, 8, 4, 4)
    assert tap.report().rows[0]["bits_per_element"] is None


def test_tensors_in_the_codec_itself(net, images, codec):
    y = net.middle(net.stem(images))
    assert torch.equal(codec.simulate(y), torch.from_numpy(codec.decode(codec.encode(y))))
    half = y.bfloat16()
    out = torch.empty_like(half)
    assert codec.decode(codec.encode(half), out=out) is out
    assert torch.equal(out, codec.simulate(half)) and out.dtype == torch.bfloat16
    with pytest.raises(lwfc.ParameterError, match="dense"):
        codec.encode(y.detach().to_sparse())
