"""torch.compile and torch.export with codecs attached: whole graphs, exact, counted."""

import pytest

import lwfc

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import lwfc.torch as lt  # noqa: E402


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.act, self.head = (
            nn.Conv2d(4, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 2, 1),
        )

    def forward(self, x):
        for _ in range(2):
            x = self.act(self.conv(x))
        return self.head(x).mean((2, 3))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture
def x():
    return torch.randn(8, 4, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def fresh_graphs():
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("mode", ["bitstream", "simulate"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_compiled_models_code_and_count_as_plain_ones(net, x, mode, granularity):
    codec = lt.calibrate(net, "act", x, levels=4, granularity=granularity)
    with lt.attach(net, {"act": codec}, mode=mode) as tap, torch.no_grad():
        wanted = [net(x[:k]) for k in (5, 3, 7, 8)]
        plain = tap.report()["act"]
        tap.reset()
        compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        for k, y in zip((5, 3, 7, 8), wanted, strict=True):
            torch.testing.assert_close(compiled(x[:k]), y)
        row = tap.report()["act"]
        # one graph for the first batch, one for batches of any size: no guard on our counters
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] - graphs <= 2
    for name in ("calls", "passes", "samples", "elements", "bytes_out", "clipped", "blocks"):
        assert row[name] == plain[name], name
    assert (row["calls"], row["passes"], row["samples"]) == (8, 4, 23)


def test_a_model_inside_a_compiled_function(net, x):
    codec = lt.calibrate(net, "act", x, levels=4)

    def step(x):
        return net(x).softmax(1)

    before = torch.compile(step, fullgraph=True, backend="aot_eager")
    before(x)
    with lt.attach(net, {"act": codec}) as tap:
        wanted = step(x)
        tap.reset()
        torch.testing.assert_close(before(x), wanted)  # compiled anew, with the codec in it
        row = tap.report()["act"]
    assert (row["calls"], row["passes"], row["samples"]) == (2, 1, 8)


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_gradients_through_compiled_models(net, x, granularity):
    codec = lt.calibrate(net, "act", x, levels=4, granularity=granularity)
    with lt.attach(net, {"act": codec}, mode="simulate"):
        net(x).sum().backward()
        wanted = net.conv.weight.grad.clone()
        net.zero_grad()
        torch.compile(net, fullgraph=True, backend="aot_eager")(x).sum().backward()
    torch.testing.assert_close(net.conv.weight.grad, wanted)
    assert wanted.abs().sum() > 0


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.filterwarnings("ignore:While compiling, we found certain side effects")
def test_exported_programs_hold_the_codec_at_every_call(net, x, strict):
    codec = lt.calibrate(net, "act", x, levels=4)
    batch = {"x": {0: torch.export.Dim("batch", min=2, max=64)}}
    with lt.attach(net, {"act": codec}):
        program = torch.export.export(net, (x,), strict=strict, dynamic_shapes=batch)
        wanted = [net(x[:k]) for k in (2, 8)]
    names = [str(node.target) for node in program.graph.nodes]
    assert names.count("lwfc.code.default") == 2
    for k, y in zip((2, 8), wanted, strict=True):
        torch.testing.assert_close(program.module()(x[:k]), y)


@pytest.mark.parametrize("call", [0, 1, ~1])
def test_opcheck_with_calls(call):
    codec = lwfc.Codec([0.3], [0.0, 0.6])
    arguments = (torch.rand(2, 3, 4, 4, requires_grad=True), lt.register(codec), 0.0, 0.6)
    torch.library.opcheck(torch.ops.lwfc.code.default, (*arguments, True, 0, call))
