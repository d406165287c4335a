"""No silent nothing: a tap on a layer that never runs is refused, or says so and why."""

import copy
import gc
import io
import subprocess
import sys
import warnings

import pytest

import lwfc

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

import lwfc.torch as lt  # noqa: E402


@pytest.fixture
def x():
    return torch.rand(6, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def codec(x):
    return lwfc.calibrate(x, levels=4)


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


class Calls(nn.Module):
    """Holds a layer and does with it what ``use(self, x)`` says."""

    def __init__(self, layer, use):
        super().__init__()
        self.layer, self.use = layer, use

    def forward(self, x):
        return self.use(self, x)


def replaced(model, x):
    model.layer = nn.GELU()
    return model.layer(x)


SILENT = {
    "direct": (nn.ReLU(), lambda m, x: m.layer.forward(x), "forward\\(\\) is called directly"),
    "functional": (
        nn.Linear(8, 8),
        lambda m, x: functional.linear(x, m.layer.weight),
        "a function uses its weights",
    ),
    "branch": (nn.ReLU(), lambda m, x: x if x.sum() > 0 else m.layer(x), "branch that was not"),
    "replaced": (nn.ReLU(), replaced, "replaced by a GELU after attach"),
}


@pytest.mark.parametrize("case", SILENT)
def test_layers_that_never_ran_say_so_and_why(case, codec, x):
    layer, use, why = SILENT[case]
    model = Calls(copy.deepcopy(layer), use)
    with pytest.warns(lwfc.UncodedWarning, match=f"'layer'.*{why}"):  # noqa: SIM117
        with lt.attach(model, {"layer": codec}) as tap:
            model(x)
    assert tap.report()["layer"]["calls"] == 0 and "layer" in tap.report()["layer"]["note"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tap.remove()  # once is enough


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: reloaded(model)])
def test_a_copy_is_not_the_model(codec, x, copied):
    model = nn.Sequential(nn.ReLU())
    with pytest.warns(lwfc.UncodedWarning, match="has not run.* copied or pickled"):  # noqa: SIM117
        with lt.attach(model, {"0": codec}):
            assert torch.equal(copied(model)(x), codec.simulate(x))


def reloaded(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("ran", [False, True])
def test_a_tap_that_nobody_takes_off(codec, x, ran):
    """It speaks up with the end of its model; at the program's end as well."""
    model = Calls(nn.ReLU(), lambda layer, x: x)
    lt.attach(model, {"layer": codec})
    if ran:
        model(x)
    why = "never called this layer" if ran else "has not run"
    with pytest.warns(lwfc.UncodedWarning, match=f"'layer'.*{why}"):
        del model
        gc.collect()
    text = """if True:
        import numpy as np, torch, lwfc, lwfc.torch as lt
        model = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.ReLU())
        codec = lwfc.calibrate(np.random.rand(9, 8).astype("f4"), levels=4)
        tap = lt.attach(model, {"0": codec, "1": codec})
        model[0](torch.rand(2, 8))
    """
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert "layer '1'" in done.stderr and "layer '0'" not in done.stderr


def test_nothing_is_said_of_layers_that_ran_or_failed(codec, x):
    model = nn.Sequential(nn.ReLU())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lt.attach(model, {"0": codec}):
            model(x)
        with pytest.raises(ZeroDivisionError), lt.attach(model, {"0": codec}):
            raise ZeroDivisionError
        with lt.attach(model, {"0": codec}) as tap:
            model(x)
            tap.reset()


@pytest.mark.parametrize("kind", [nn.ModuleList, lambda items: nn.ModuleDict({"0": items[0]})])
def test_containers_that_are_never_called(kind, codec, x):
    model = nn.Module()
    model.blocks = kind([nn.ReLU()])
    for use in (lt.attach, lambda m, c: lt.calibrate(m, "blocks", x)):
        with pytest.raises(lwfc.ParameterError, match=r"never called itself.*'blocks\.0'"):
            use(model, {"blocks": codec})
    with lt.attach(model, {"blocks*": codec}) as tap:  # a glob means what can be called
        model.blocks["0" if isinstance(model.blocks, nn.ModuleDict) else 0](x)
        assert [row["layer"] for row in tap.report()] == ["blocks.0"]


def test_fused_attention_projection_is_refused(codec):
    model = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    with pytest.raises(lwfc.ParameterError, match=r"never called.*'self_attn' with select=0"):
        lt.attach(model, {"self_attn.out_proj": codec})
    x = torch.randn(2, 5, 8)
    for name in ("linear1", "norm1", "dropout1"):  # a hooked layer leaves the fused path
        with lt.attach(model, {name: codec}) as tap:
            model(x)
        assert tap.report()[name]["calls"] == 1
    with lt.attach(model, {"self_attn": codec}, select=0) as tap:
        model(x)
    assert tap.report()[0]["calls"] == 1


def test_traced_and_exported_graphs(codec, x):
    inner = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.ReLU(), nn.Dropout()))
    model = nn.Sequential(inner, nn.ReLU()).eval()
    program = torch.export.export(model, (x,)).module()
    for module, name in ((program, "0.0"), (nn.Sequential(program), "0.0.0")):
        with pytest.raises(lwfc.ParameterError, match="exported graph.*calls none"):
            lt.attach(module, {name: codec})
        with pytest.raises(lwfc.ParameterError, match="exported graph"):
            lt.calibrate(module, name, x)
    with lt.attach(program, {"": codec}) as tap:
        program(x)
    assert tap.report()[0]["calls"] == 1
    traced = torch.fx.symbolic_trace(model)
    with lt.attach(traced, {"0.1.0": codec}) as tap:
        traced(x)
    assert tap.report()[0]["calls"] == 1
    with pytest.raises(lwfc.ParameterError, match=r"it calls '0\.0', '0\.1\.0'"):
        lt.attach(traced, {"0.1": codec})


def test_layers_inside_torchscript(codec, x):
    with pytest.warns(DeprecationWarning):
        inner = torch.jit.trace(nn.Sequential(nn.ReLU()), x)
    model = nn.Sequential(inner)
    with pytest.raises(lwfc.ParameterError, match="inside TorchScript"):
        lt.attach(model, {"0.0": codec})
    with lt.attach(model, {"0": codec}) as tap:
        model(x)
    assert tap.report()[0]["calls"] == 1


def test_globs_do_not_code_twice(codec, x):
    model = nn.Sequential()
    model.add_module("layer1", nn.Sequential(nn.Sequential(nn.Linear(8, 8), nn.ReLU())))
    model.add_module("layer2", nn.Sequential(nn.Linear(8, 8)))
    for glob in ("layer1*", "*", "layer?*", "l*"):
        with pytest.raises(lwfc.ParameterError, match=f"'{glob[:1]}.*inside it"):
            lt.attach(model, {glob: codec})
    with lt.attach(model, {"layer?": codec}) as tap:
        model(x)
    assert [row["calls"] for row in tap.report()] == [1, 1]
    with pytest.warns(lwfc.UncodedWarning, match=r"'layer1\.0' is inside 'layer1'"):  # noqa: SIM117
        with lt.attach(model, {"layer1": codec, "layer1.0": codec}):
            model(x)


def test_attaching_again_replaces(x):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU()).eval()
    fine, coarse = (lt.calibrate(model, "1", x, levels=n) for n in (16, 2))
    first = lt.attach(model, {"1": coarse})
    copied = copy.deepcopy(model)
    for net in (model, copied):
        with pytest.warns(lwfc.UncodedWarning, match=r"earlier attach.*tap\.remove\(\)"):
            second = lt.attach(net, {"1": fine})
        assert net(x).unique().numel() > 2
        assert second.report()["1"]["calls"] == 1
        second.remove()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first.remove()  # it was told what became of it
    assert not model[1]._forward_hooks and not model._forward_pre_hooks


def test_every_name_of_a_shared_module(codec, x):
    act = nn.ReLU()
    model = nn.Sequential(nn.Sequential(act), nn.Sequential(nn.Linear(8, 8), act))
    for name in ("0.0", "1.1", "*.1"):
        with lt.attach(model, {name: codec}) as tap:
            model(x)
        assert tap.report()[0]["calls"] == 2
    assert lt.calibrate(model, "1.1", x, levels=4) == lt.calibrate(model, "0.0", x, levels=4)
    with pytest.raises(lwfc.ParameterError, match=r"'1\.1', the same module as '0\.0',"):
        lt.attach(model, {"0.0": codec, "1.1": codec})


GRID = {"levels": (2, 4), "clip_scale": (1.0,), "restore": ("none",), "restore_strength": (1.0,),
        "rate_weight": (0.0,), "coder": ("rans",)}  # fmt: skip


def test_tune_refuses_metrics_that_do_not_run_the_layer(x):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    twin = copy.deepcopy(model)
    for metric in (lambda m: 0.9, lambda m: float(twin(x).sum()), lambda m: float(m[0](x).sum())):
        with pytest.raises(lwfc.ParameterError, match="never ran layer '1'"):
            lt.tune(model, "1", x, metric, grid=GRID)
    seen = []

    def cached(m):  # runs the model the first time only
        seen.append(m(x) if not seen else seen[0])
        return 1.0

    with pytest.raises(lwfc.ParameterError, match="coded nothing at layer '1'.*has not run"):
        lt.tune(model, "1", x, cached, grid=GRID)
    assert not model[1]._forward_hooks and not model._forward_hooks
    assert lt.tune(model, "1", x, lambda m: 1.0 + 0 * float(m(x).sum()), grid=GRID).codec


def test_codecs_leave_the_registry_with_their_tap(x):
    import gc
    import weakref

    model = nn.Sequential(nn.ReLU())
    codec = lwfc.calibrate(x, levels=5)
    tap, digest, gone = lt.attach(model, {"0": codec}), f"{codec.digest:016x}", weakref.ref(codec)
    model(x)
    tap.remove()
    del codec, tap
    gc.collect()
    assert gone() is None
    with pytest.raises(lwfc.ParameterError, match="no codec of digest"):
        torch.ops.lwfc.code(x, digest, 0.0, 1.0, True, 0)
    lt.register(lwfc.calibrate(x, levels=5))  # by hand it stays
    gc.collect()
    assert torch.ops.lwfc.code(x, digest, 0.0, 1.0, True, 0).shape == x.shape


def test_a_hook_that_somebody_else_took_off(x, codec):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    tap = lt.attach(model, {"1": codec})
    model[1]._forward_hooks.clear()
    model(x)
    with pytest.warns(lwfc.UncodedWarning, match="taken off by somebody else"):
        tap.remove()
    assert "taken off by somebody else" in tap.report()[0]["note"]


def test_no_codecs_are_warned_of(x):
    with pytest.warns(lwfc.UncodedWarning, match="codecs is empty"):
        lt.attach(nn.ReLU(), {})


def test_transforms_of_functions_that_see_no_codec(x, codec):
    """torch.func.jvp would give derivatives of 0."""
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    with lt.attach(model, {"1": codec}):
        for call in (
            lambda: torch.func.jvp(model, (x,), (x,)),
            lambda: torch.func.grad(lambda y: model(y).sum())(x),
        ):
            with pytest.raises(lwfc.ParameterError, match="torch.autograd.grad"):
                call()
        single = torch.func.vmap(model)(x)
        assert torch.equal(single, torch.stack([model(row) for row in x]))


def test_tensors_without_values():
    from torch._subclasses import FakeTensorMode

    model, x = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU()), torch.randn(16, 8)
    codec = lt.calibrate(model, "1", x, levels=4)

    def run_fake():
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            model(mode.from_tensor(x))

    for run in (run_fake, lambda: model.to("meta")(x.to("meta"))):
        with pytest.warns(lwfc.UncodedWarning, match="without values"):
            with lt.attach(model, {"1": codec}) as tap:
                run()
            assert "meta device" in tap.report()["1"]["note"]
