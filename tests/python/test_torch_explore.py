"""lt.explore: what it lists, counts and measures, against hand counts and lt.split."""

import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import split_networks as nets  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils import _pytree as pytree  # noqa: E402

import lwfc  # noqa: E402
import lwfc.torch as lt  # noqa: E402
from lwfc.split import Link  # noqa: E402
from lwfc.torch.counting import count_macs  # noqa: E402
from lwfc.torch.explore import TorchNetwork  # noqa: E402
from lwfc.torch.split import traced  # noqa: E402
from lwfc.transform.choice import choose_shape  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes", "ignore:.*LeafSpec")


def macs(model, *args):
    cutter = traced(model.eval(), args, {})
    return sum(count_macs(cutter.found, pytree.tree_leaves((args, {}))).values())


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(self.q(x), self.k(x), x)


class Step(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.cell = kind(6, 12, batch_first=True, **options)

    def forward(self, x):
        return self.cell(x)[0]


@pytest.mark.parametrize(
    "model, x, expected",
    [
        (nn.Linear(7, 5), torch.zeros(2, 7), 2 * 35),
        (nn.Conv2d(4, 6, 3, padding=1), torch.zeros(2, 4, 8, 8), 2 * 64 * 6 * 4 * 9),
        (nn.Conv2d(4, 8, 3, 2, 1, groups=4), torch.zeros(2, 4, 8, 8), 2 * 16 * 8 * 9),
        (nn.ConvTranspose2d(4, 6, 2, 2), torch.zeros(2, 4, 8, 8), 2 * 64 * 4 * 6 * 4),
        # Two linear layers; scores and sums: 5 x 5 pairs of 8 numbers, twice.
        (Attention(), torch.zeros(2, 5, 8), 2 * (5 * 2 * 64 + 2 * 25 * 8)),
        # Four gates, three gates: input 6 and state 12 numbers each, at 5 steps.
        (Step(nn.LSTM), torch.zeros(2, 5, 6), 2 * 5 * 4 * 12 * (6 + 12)),
        (Step(nn.GRU), torch.zeros(2, 5, 6), 2 * 5 * 3 * 12 * (6 + 12)),
        (Step(nn.LSTM, bidirectional=True, num_layers=2), torch.zeros(2, 5, 6),
         2 * 5 * 4 * 12 * 2 * (6 + 12 + 24 + 12)),
    ],
    ids=["linear", "conv", "grouped", "transposed", "attention", "lstm", "gru", "lstm 2x2"],
)  # fmt: skip
def test_multiply_adds_are_those_counted_by_hand(model, x, expected):
    assert macs(model, x) == expected


@pytest.fixture(scope="module")
def found():
    torch.manual_seed(0)
    model, labels = nets.Residual().eval(), torch.arange(12) % 10
    x = nets.images(12, 16)

    def metric(net):
        return float((net(x).argmax(1) == labels).float().mean())

    result = lt.explore(model, [(x[:6], labels[:6]), (x[6:], labels[6:])], metric, few=3,
                        link=Link(10, 5), edge_speed=0.1, max_loss=0.1, shortlist=1,
                        profiles=["rans"])  # fmt: skip
    return model, x, metric, result


def test_gradients_make_the_transform_smaller(found, monkeypatch):
    """Two tensors cross at once; the same cut without gradients falls back to frequency alone."""
    model, x = found[0], nets.images(40, 16)
    options = {"layers": [("layer1.conv1", "stem")], "shortlist": 1, "profiles": "transform"}
    options |= {"baselines": False, "max_loss": 1e-4}
    (seen,) = lt.explore(model, x, **options).rows
    assert seen["loss"] <= 1e-4 and seen["pass"] == "exact"
    monkeypatch.setattr("lwfc.torch.network.gradients_of", lambda *_: None)
    (blind,) = lt.explore(model, x, **options).rows
    assert blind["loss"] <= 1e-4 and seen["coded_bytes"] < blind["coded_bytes"]


def test_sizes_of_blocks_are_compared_where_gradients_arrive(found, monkeypatch):
    model, x = found[0], nets.images(40, 16)
    tried = []
    monkeypatch.setattr("lwfc.transform.fit.choose_shape", lambda kept, geometries, *rest: (
        tried.append([(g.block_height, g.block_width) for g in geometries])
        or choose_shape(kept, geometries, *rest)))  # fmt: skip
    options = {"layers": ["stem"], "shortlist": 1, "baselines": False, "profiles": "transform"}
    seen = lt.explore(model, x, **options).best
    assert len(tried[0]) > 2 and seen["settings"]["block"] in {side for side, _ in tried[0]}
    monkeypatch.setattr("lwfc.torch.network.gradients_of", lambda *_: None)
    lt.explore(model, x, **options)
    assert tried[1:] == [[(8, 8)]]


def test_every_legal_cut_of_a_residual_network(found):
    rows = {row["cut"]: row for row in found[3].rows if row["kind"] == "split"}
    assert {"stem.0", "stem", "layer1", "layer2.0", "layer2", "layer1.conv1"} <= set(rows)
    assert rows["layer1"]["live"] == 1 and rows["layer1.conv1"]["live"] == 2
    assert "stem float32(N, 8, 8, 8)" in rows["layer1.conv1"]["shape"]
    assert rows["layer1"]["raw_bytes"] == 4 * 8 * 64
    assert rows["stem"]["head_macs"] == 64 * 8 * 27  # a 3x3 convolution of 3 channels
    assert all(
        row["head_macs"] + row["tail_macs"] == found[3].about["macs"] for row in rows.values()
    )
    heads = [row["head_macs"] for row in rows.values()]
    assert heads == sorted(heads) and found[3].about["way"] == "export"


def test_exact_rows_are_what_split_gives(found):
    model, x, metric, result = found
    (row,) = (r for r in result.rows if r["kind"] == "split" and r["pass"] == "exact")
    edge, cloud = lt.split(model, row["at"], example=x)
    codecs = edge.calibrate([x[:6]], **row["settings"])
    coded_edge, coded_cloud = edge.with_codec(codecs), cloud.with_codec(codecs)
    sizes = [len(coded_edge(x[i : i + 1])) for i in range(6, 12)]
    assert row["coded_bytes"] == np.mean(sizes)
    with torch.no_grad():
        whole = model(x[6:])
    coded = coded_cloud(coded_edge(x[6:]))
    error = (coded - whole).square().sum() / (whole - whole.mean()).square().sum()
    assert row["loss"] == pytest.approx(float(error), rel=1e-4) and row["loss"] <= 0.1
    assert row["agreement"] == int((coded.argmax(1) == whole.argmax(1)).sum()) / 6
    assert row["metric"] == pytest.approx(metric(lambda x: coded_cloud(coded_edge(x))))


def test_rows_without_a_cut(found):
    model, _, metric, result = found
    rows = {row["cut"] + row["profile"]: row for row in result.rows}
    assert rows["output"]["metric"] == metric(model) and rows["output"]["total_ms"] > 0
    assert rows["output"]["head_macs"] == result.about["macs"]
    assert rows["inputJPEG"]["coded_bytes"] > 100 and rows["inputJPEG"]["rtt_ms"] == 5


def test_the_estimate_follows_the_outputs(found):
    """Sensitivities by gradients against the outputs' true error under small noise."""
    model, x, _, _ = found
    network = TorchNetwork(model, x, "auto", 12)
    gain = network.survey(network.cuts, 2, None, time.perf_counter).gain
    assert gain == network.survey(network.cuts, 2, None, time.perf_counter).gain
    with torch.no_grad():
        whole = model(x[:2])
    scale = float((whole - whole.mean()).square().sum())
    for name in ("stem", "layer1", "layer2"):
        edge, cloud = lt.split(model, name, example=x, way="fx")
        features, errors = edge(x[:2]), []
        for seed in range(40):
            noise = torch.randn(features.shape, generator=torch.Generator().manual_seed(seed))
            errors.append(float((cloud(features + 1e-3 * noise) - whole).square().sum()))
        assert np.mean(errors) / 1e-6 / scale == pytest.approx(gain[name], rel=0.6)


def test_layers_named_by_hand_and_by_globs(found):
    model, x = found[:2]
    options = {"shortlist": 0, "profiles": "rans", "few": 1}
    result = lt.explore(model, x, layers=["layer1", "layer2.*"], **options)
    cuts = [row["cut"] for row in result.rows if row["kind"] == "split"]
    assert cuts[0] == "layer1" and set(cuts) > {"layer2.0", "layer2.1"}
    with pytest.raises(lwfc.ParameterError, match="near it"):
        lt.explore(model, x, layers=["layer9"], **options)
    branches = nets.build("branches")[0]
    with pytest.raises(lwfc.ParameterError, match="own input"):
        lt.explore(branches, x, layers=["left"], **options)


@pytest.mark.parametrize("name, cut", [("branches", "left+right"), ("rotary", "layers.0")])
def test_cuts_of_several_tensors(name, cut):
    model, _, x, _ = nets.build(name)
    result = lt.explore(model, torch.cat([x] * 2), shortlist=0, profiles="rans", few=2)
    rows = {row["cut"]: row for row in result.rows if row["kind"] == "split"}
    assert rows[cut]["live"] == 2
    edge, cloud = lt.split(model, rows[cut]["at"], example=x)
    assert len(edge.cut.tensors) == 2
    kinds = {row["kind"] for row in result.rows}
    assert all(row["head_macs"] for row in rows.values())  # tokens looked up are still tokens
    assert kinds == ({"split", "device", "cloud"} if name == "branches" else {"split", "device"})


def test_what_cannot_be_traced_is_cut_by_hooks(capfd):
    """Legal are the modules before anything is decided by the data; numbers are lt.split's."""
    torch.manual_seed(0)
    model, x = nets.Winding().eval(), nets.images(12, 16)
    options = {"few": 2, "shortlist": 9, "baselines": False, "profiles": ["rans", "transform"]}
    with pytest.warns(lwfc.UncodedWarning, match="neither torch.export nor torch.fx.*hooks"):
        found = lt.explore(model, x, **options)
    assert "def forward" not in capfd.readouterr().err
    assert found.about["way"] == "hooks" and found.about["complete"]
    rows = {row["cut"]: row for row in found.rows if row["profile"] == "rans"}
    assert set(rows) == {"stem.0", "stem", "block.conv1", "block.norm", "block"}
    assert rows["block.conv1"]["live"] == 2 and rows["block"]["live"] == 1
    assert rows["stem"]["head_macs"] == 64 * 8 * 27
    edge, cloud = lt.split(model, "block", example=x[:2])
    codecs = edge.calibrate([x[:6]], **rows["block"]["settings"])
    sizes = [len(edge.with_codec(codecs)(x[i : i + 1])) for i in range(6, 12)]
    assert rows["block"]["coded_bytes"] == np.mean(sizes) and rows["block"]["loss"] <= 0.02
    with pytest.warns(lwfc.UncodedWarning), pytest.raises(lwfc.ParameterError, match="decides"):
        lt.explore(model, x, layers=["last"], **options)
    with pytest.warns(lwfc.UncodedWarning), pytest.raises(lwfc.ParameterError, match="single"):
        lt.explore(model, x, layers=["stem", "lost"], **options)


def test_small_tensors_need_no_transform():
    with pytest.warns(lwfc.UncodedWarning, match="hooks"):
        found = lt.explore(nets.Guided(), torch.randn(8, 10), few=1, shortlist=2, baselines=False)
    assert all(row["loss"] == 0 for row in found.rows)


def test_what_cannot_be_explored():
    with pytest.raises(lwfc.ParameterError, match="no batch"):
        lt.explore(nets.Shared(), [])
    with pytest.raises(lwfc.ParameterError, match="no legal cut"):
        lt.explore(nn.Sequential(nn.Linear(3, 3)), torch.randn(4, 3))


@pytest.mark.parametrize(
    ("loader", "sizes"),
    [
        ([50, 50], [32, 18, 14]),
        ([20, 20, 20, 20], [20, 20, 20, 4]),
        ([64], [32, 32]),
        ([3, 60], [3, 28, 32]),
        ([1], [1]),
    ],
)
def test_half_of_the_samples_calibrates(loader, sizes):
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    batches = [torch.randn(n, 4) for n in loader]
    network = TorchNetwork(net, batches, "auto", 64)
    found = [args[0] for args, _ in network.batches]
    assert [len(x) for x in found] == sizes
    assert torch.equal(torch.cat(found), torch.cat(batches)[:64])
