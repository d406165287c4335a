"""Tensors in, tensors out: gradients, types, checkpoints, and a help page that helps."""

import io
import pydoc
import subprocess
import sys

import numpy as np
import pytest

import lwfc

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import lwfc.torch as lt  # noqa: E402


@pytest.fixture
def x():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, 8, 8, generator=generator) * torch.tensor([1.0, 5, 20])[:, None, None]


def codecs(x):
    yield lwfc.calibrate(x, levels=4)
    yield lwfc.calibrate(x.relu(), levels=2, restore="linear")
    yield lwfc.calibrate(x, levels=3, granularity="channel")
    yield lwfc.Codec([0.0, 1.0], [-0.5, 0.5, 1.5])


def test_simulation_passes_gradients_straight_through(x):
    for codec in codecs(x):
        wild = x.clone()
        wild.view(-1)[:3] = torch.tensor([torch.inf, -torch.inf, torch.nan])
        leaf = wild.requires_grad_()
        y = codec.simulate(leaf)
        assert torch.equal(y, codec.simulate(wild.detach()))
        y.sum().backward()
        lo, hi = (end[..., None, None] for end in lwfc.codec.gradient.clip_ends(codec))
        values = wild.detach().numpy()
        assert np.array_equal(leaf.grad.numpy(), (values >= lo) & (values <= hi))
        assert 0 < leaf.grad.mean() < 1
        layer, again = nn.Identity(), wild.detach().requires_grad_()
        for mode in ("simulate", "bitstream"):
            with lt.attach(layer, {"": codec}, mode=mode):
                again.grad = None
                layer(again).sum().backward()
            assert torch.equal(again.grad, leaf.grad)
        assert not codec.simulate(wild.detach()).requires_grad
        with torch.no_grad():
            assert not codec.simulate(leaf).requires_grad


@pytest.mark.parametrize("grad", [True, False])
def test_tensors_that_do_not_fit_are_refused_by_the_layers_name(x, grad):
    codec = lwfc.calibrate(x, levels=3, granularity="channel")
    net = nn.Sequential(nn.Identity(), nn.ReLU())
    other = torch.cat([x, x], 1).requires_grad_(grad)
    words = "another number of channels"
    with lt.attach(net, {"1": codec}), pytest.raises(lwfc.ParameterError, match=words) as caught:
        net(other)
    assert "at the model's layer '1'" in caught.value.__notes__


def test_the_range_of_gradients():
    ends = lwfc.codec.gradient.clip_ends
    assert [e.tolist() for e in ends(lwfc.Codec([0.0, 1.0], [-0.5, 0.5, 1.5]))] == [[-0.5], [1.5]]
    narrow = lwfc.Codec([0.0, 1.0], [-0.1, 0.4, 1.1])  # centroids, or no outer levels
    assert [e.tolist() for e in ends(narrow)] == [[-0.5], [1.5]]
    codec = lwfc.calibrate(
        np.linspace(0, 8, 999)[:, None], levels=2, restore="centroid", clip=(0, 8)
    )
    assert codec.values[0, 0] > 1 and [float(e[0]) for e in ends(codec)] == [0, 8]


def test_gradients_of_a_single_sample_meet_its_channels(x):
    codec = lwfc.calibrate(x, levels=3, granularity="channel")
    batch, sample = x[:1].clone().requires_grad_(), x[0].clone().requires_grad_()
    codec.simulate(batch).sum().backward()
    codec.simulate(sample).sum().backward()
    assert torch.equal(batch.grad[0], sample.grad) and 0 < sample.grad.mean() < 1


def test_simulation_keeps_signs_of_zeros():
    codec = lwfc.Codec([0.5], [-0.0, 1.0])
    x = torch.tensor([[0.0, -0.0, 2.0, -3.0]], requires_grad=True)
    assert codec.simulate(x).signbit().tolist() == [[True, True, False, True]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bound", [True, False])
def test_tensors_come_back_as_tensors(x, dtype, bound):
    x = x.to(dtype)
    codec = lwfc.calibrate(x, levels=4, bound=bound)
    y = lt.decode(lt.encode(x, codec), codec)
    assert isinstance(y, torch.Tensor) and y.dtype == dtype and torch.equal(y, codec.simulate(x))
    alone = lt.decode(lt.encode(x, levels=4))
    assert alone.dtype == dtype and alone.shape == x.shape
    assert lt.decode(lt.encode(x, codec), codec, device="meta").device.type == "meta"
    with pytest.raises(lwfc.ParameterError, match="levels"):
        lt.encode(x, levels=1)
    if bound:
        with pytest.raises(lwfc.FormatError, match="codec"):
            lt.decode(lt.encode(x, codec))
    with pytest.raises(lwfc.LwfcError, match="max_nbytes"):
        lt.decode(lt.encode(x, codec), codec, max_nbytes=x.numel())
    with pytest.raises(lwfc.FormatError):
        lt.decode(lt.encode(x, codec)[:-3], codec)


def test_empty_and_single_values():
    codec = lwfc.Codec([0.5], [0.0, 1.0])
    for shape in ((0, 3), (), (1,)):
        x = torch.ones(shape)
        assert torch.equal(lt.decode(lt.encode(x, codec), codec), x)


def test_checkpoints_hold_codecs(x):
    for codec in codecs(x):
        file = io.BytesIO()
        torch.save({"codec": codec, "all": [codec], "weights": {"w": x}}, file)
        file.seek(0)
        assert torch.load(file)["codec"] == codec  # weights only
        file.seek(0)
        assert torch.load(file, weights_only=False)["all"] == [codec]


def test_help_shows_what_is_ours():
    page = pydoc.plain(pydoc.render_doc(lt))
    lines = page.splitlines()
    assert len(lines) < 600  # nn.Module's own methods alone are a thousand
    for name in lt.__all__:
        assert f"{name}(" in page or f"class {name}" in page
        assert getattr(lt, name).__doc__, name
    assert "register_forward_hook" not in page and "zero_grad" not in page
    assert issubclass(lt.Restorer, nn.Module)


def test_loading_a_checkpoint_needs_nothing_but_the_import(tmp_path, x):
    torch.save({"codec": lwfc.calibrate(x, levels=3)}, tmp_path / "c.pt")
    code = (
        f"import lwfc.torch, torch; print(torch.load({str(tmp_path / 'c.pt')!r})['codec'].levels)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"


def test_tensors_without_memory_are_refused(x):
    codec = lwfc.calibrate(x, levels=4)
    for call in (codec.encode, codec.simulate):
        with pytest.raises(lwfc.ParameterError, match="without values"):
            call(torch.empty(x.shape, device="meta"))
    with pytest.raises(lwfc.ParameterError, match=r"torch\.func"):
        torch.func.grad(lambda y: codec.simulate(y).sum())(x)


def test_sparse_and_quantized_tensors_name_the_dense_call(x):
    with pytest.raises(lwfc.ParameterError, match=r"to_dense\(\)"):
        lwfc.encode(x.to_sparse())
