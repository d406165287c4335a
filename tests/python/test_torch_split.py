"""lt.split: every kind of graph, to the bit; refusals; halves that travel."""

import copy
import io
import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import split_networks as nets  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import lwfc  # noqa: E402
import lwfc.torch as lt  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes", "ignore:.*LeafSpec")


def leaves(value):
    return torch.utils._pytree.tree_leaves(value)


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


@pytest.fixture(scope="module")
def residual():
    model, at, x, _ = nets.build("residual")
    return model, x, *lt.split(model, at, example=x)


@pytest.mark.parametrize("name", nets.CASES)
def test_halves_equal_the_whole(name):
    model, at, x, crossing = nets.build(name)
    model.train()
    edge, cloud = lt.split(model, at, example=x)
    assert edge.way == cloud.way == "export" and "by export" in repr(edge) and model.training
    model.eval()
    for n in (1, 2, 5):
        given = torch.cat([x] * 5)[:n]
        with torch.no_grad():
            assert equal(cloud(edge(given)), model(given))
    names = [tensor.name for tensor in edge.cut.tensors]
    assert (
        crossing is None
        or names == crossing
        or (len(names) == len(crossing) and names[-1] == crossing[-1])
    )
    for half in (edge, cloud):
        again = pickle.loads(pickle.dumps(half))
        assert again.cut == half.cut
    assert equal(pickle.loads(pickle.dumps(cloud))(copy.deepcopy(edge)(x)), cloud(edge(x)))


@pytest.mark.parametrize("way", ["fx", "hooks"])
@pytest.mark.parametrize("name", ["residual, inside a block", "branches", "gru", "u-net"])
def test_the_other_ways_give_the_same(name, way):
    model, at, x, _ = nets.build(name)
    if (name, way) == ("gru", "fx"):
        model.training = False
    edge, cloud = lt.split(model, at, example=x, way=way)
    assert edge.way == way
    first = edge(x)
    result = cloud(first)
    assert equal(result, model.eval()(x)) and equal(cloud(first), result)  # nothing overwritten
    twice = pickle.loads(pickle.dumps((edge, cloud)))
    assert equal(twice[1](twice[0](x)), result)


class Overwriting(nn.Module):
    """``shared``: what is overwritten is still read, by another name."""

    def __init__(self, shared):
        super().__init__()
        self.first, self.second, self.shared = nn.Linear(6, 6), nn.Linear(6, 3), shared

    def forward(self, x):
        x = self.first(x)
        seen = {"view": lambda: x.view(-1, 2, 3), "dropout": lambda: F.dropout(x, 0.5, False),
                "none": lambda: x * 2}[self.shared]()  # fmt: skip
        y = F.relu_(x)
        y += 1
        x.mul_(0.5)
        return self.second(y) + seen.reshape(-1, 6)[:, :3]


@pytest.mark.parametrize("shared", ["none", "view", "dropout"])
def test_what_is_overwritten(shared, monkeypatch):
    """Traced once where nobody else reads it. PyTorch's own functions for the rest take dropout in
    evaluation for a copy (2.13), which is found out.
    """
    again, traced_again = torch.export.ExportedProgram.run_decompositions, []
    monkeypatch.setattr(
        torch.export.ExportedProgram, "run_decompositions",
        lambda *args: traced_again.append(1) or again(*args),
    )  # fmt: skip
    torch.manual_seed(0)
    model, x = Overwriting(shared).eval(), torch.randn(4, 6)
    edge, cloud = lt.split(model, "first", example=x)
    assert (edge.way == "export") == (shared != "dropout")
    assert bool(traced_again) == (shared != "none")
    with torch.no_grad():
        assert equal(cloud(edge(x)), model(x))


def test_what_cannot_be_traced_is_split_by_hooks():
    torch.manual_seed(0)
    model, x = nets.Guided(), torch.randn(4, 10)
    edge, cloud = lt.split(model, "b", example=x)
    assert edge.way == "hooks" and "by hooks" in repr(cloud)
    for n in (1, 3, 9):
        given = torch.randn(n, 10)
        assert equal(cloud(edge(given)), model(given))
    with pytest.raises(lwfc.ParameterError, match="export: .*fx: .*hooks: .*decides"):
        lt.split(model, "e", example=x)
    with pytest.raises(lwfc.ParameterError, match="by hooks.*pickle the half.*both proc"):
        lt.save_split("unused", edge)


def test_torchs_transformer_is_traced_into_its_layers():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 2, 48, batch_first=True)
    model = nn.Sequential(nn.Embedding(9, 32), nn.TransformerEncoder(layer, 2)).eval()
    ids = torch.randint(0, 9, (6, 12))
    edge, cloud = lt.split(model, "1.layers.0", example=ids[:2])
    assert edge.way == "export" and torch.allclose(cloud(edge(ids)), model(ids), atol=1e-5)
    found = lt.explore(model, ids, layers=["1.layers.*"], profiles=["rans"], shortlist=0)
    head = {row["cut"]: row["head_macs"] for row in found.rows if row["kind"] == "split"}
    assert 0 < head["1.layers.0.norm1"] < head["1.layers.0"] < head["1.layers.1.norm1"]
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_raw_input_crosses_only_when_allowed():
    model, _, x, _ = nets.build("branches")
    with pytest.raises(lwfc.ParameterError, match=r"own input 'x'.*at=\[.*allow_input"):
        lt.split(model, "left", example=x)
    with pytest.raises(lwfc.ParameterError, match="'x'"):
        lt.split(model, "left", example=x, allow_input=["y"])
    edge, cloud = lt.split(model, "left", example=x, allow_input=["x"])
    assert [t.is_input for t in edge.cut.tensors] == [True, False]
    assert equal(cloud(edge(x)), model(x))


def test_positions_and_sizes_do_not_cross():
    """Tables made of sizes alone are made anew behind the cut."""
    model, at, x, _ = nets.build("rotary")
    edge, _ = lt.split(model, at, example=x)
    assert [(t.dtype, t.shape) for t in edge.cut.tensors] == [
        ("bool", (None, 1, 1, 7)), ("float32", (None, 7, 32))]  # fmt: skip


@pytest.mark.parametrize(
    "at, match",
    [("layer3", "near it: .*layer"), ([], "no layer"), ("layer1.drop.x", "layer1.drop"),
     ("layer1.relu", "called 2 times.*layer1.relu@0")],
)  # fmt: skip
def test_layers_that_are_not_there(residual, at, match):
    with pytest.raises(lwfc.ParameterError, match=match):
        lt.split(residual[0], at, example=residual[1])


def test_taps_are_refused(residual):
    model, x = residual[:2]
    codec = lt.calibrate(model, "layer1", x)
    tap = lt.attach(model, {"layer1": codec})
    with pytest.raises(lwfc.ParameterError, match="tap.remove"):
        lt.split(model, "layer2", example=x)
    tap.remove()
    with pytest.raises(lwfc.ParameterError, match="way='onnx'"):
        lt.split(model, "layer2", example=x, way="onnx")


def test_bytes_cross_with_a_codec(residual):
    model, x, edge, cloud = residual
    codec = lt.calibrate(model, "layer1", x, levels=8, bound=True)
    edge, cloud = lt.split(model, "layer1", codec, example=x)
    data = edge(x)
    assert isinstance(data, bytes) and data == codec.encode(edge.tensors(x)["layer1"])
    with lt.attach(model, {"layer1": codec}), torch.no_grad():
        expected = model.eval()(x)
    assert torch.equal(cloud(data), expected)
    assert "bytes" in repr(edge) and edge.codecs == {"layer1": codec}
    wrong = codec.encode(np.zeros((2, 8, 8, 9), np.float32))
    with pytest.raises(lwfc.FormatError, match="takes layer1"):
        cloud(wrong)
    with pytest.raises(lwfc.FormatError):
        cloud(data[:-1])
    with pytest.raises(lwfc.ParameterError, match="no codecs"):
        residual[3](data)


def test_several_tensors_cross_in_one_stream():
    model, at, x, _ = nets.build("rotary")
    edge, cloud = lt.split(model, at, example=x)
    codecs = edge.calibrate([x, (x, "labels")], levels=200, bound=True)
    assert list(codecs) == []  # 7 tokens of 32 floats are too small to be worth one
    model, at, x, _ = nets.build("u-net")
    edge, cloud = lt.split(model, at, example=x)
    codecs = edge.calibrate(x, levels=256)
    assert list(codecs) == [t.name for t in edge.cut.tensors if t.nbytes > 1024]
    coded_edge, coded_cloud = edge.with_codec(codecs), cloud.with_codec(codecs)
    result, whole = coded_cloud(coded_edge(x)), cloud(edge(x))
    assert torch.dist(result["mask"], whole["mask"]) < 0.1 * torch.norm(whole["mask"])
    kept = dict.fromkeys(codecs)  # None: to the bit
    data = edge.with_codec(kept)(x)
    assert isinstance(data, bytes) and equal(cloud.with_codec(kept)(data), whole)
    with pytest.raises(lwfc.ParameterError, match="each with its own codec"):
        lt.split(model, at, next(iter(codecs.values())), example=x)


def test_bfloat16_crosses_to_the_bit_and_by_codec():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(700, 600), nn.ReLU(), nn.Linear(600, 3)).bfloat16()
    x = torch.randn(4, 700).bfloat16()
    edge, cloud = lt.split(model, "1", example=x)
    kept = {"1": None}
    assert equal(cloud.with_codec(kept)(edge.with_codec(kept)(x)), model(x))
    codec = lwfc.calibrate(edge(x), levels=4)
    decoded = cloud.with_codec(codec).tensors(edge.with_codec(codec)(x))["1"]
    assert decoded.dtype == torch.bfloat16 and equal(decoded, codec.simulate(edge(x)))


def test_arguments_keep_their_structure(residual):
    edge = residual[2]
    with pytest.raises(lwfc.ParameterError, match="another way"):
        edge(residual[1], residual[1])
    with pytest.raises(lwfc.ParameterError, match="evaluation"):
        edge.train()
    assert edge.eval() is edge
    model, _, x, _ = nets.build("normalised")
    for way in ("export", "fx", "hooks"):
        example = {"x": x, "scale": torch.full((1,), 2.0)}
        if way == "fx":
            continue  # sizes of tensors in torch.zeros cannot be traced by it
        edge, cloud = lt.split(model, "conv", example=example, allow_input=True, way=way) if (
            way == "export") else lt.split(model, "norms", example=(x, None), way=way)  # fmt: skip
        given = example if way == "export" else {"x": x}
        made = cloud(edge(**given)) if way == "export" else cloud(edge(x, None))
        assert equal(made, model.eval()(**given))


def test_halves_move_between_devices():
    model, at, x, _ = nets.build("rotary")
    edge, cloud = lt.split(model, at, example=x)
    moved = pickle.loads(pickle.dumps(edge)).to("meta")
    assert moved.device.type == "meta" and all(t.device.type == "meta" for t in moved(x).values())
    assert cloud.to("cpu").device == edge.device and equal(cloud(edge(x)), model.eval()(x))


# --- files ----------------------------------------------------------------------------------------

LOADER = """
import sys, torch, numpy as np, lwfc.torch as lt
edge, cloud = lt.load_split(sys.argv[1])
x = torch.from_numpy(np.load(sys.argv[2]))
np.save(sys.argv[3], cloud(edge(x)).numpy())
assert "split_networks" not in sys.modules and not edge.training
"""


@pytest.mark.parametrize("coded", [False, True])
def test_a_process_without_the_models_code_runs_the_halves(tmp_path, coded, residual):
    model, x = residual[:2]
    codec = lt.calibrate(model, "layer1", x, levels=3, coder="context") if coded else None
    edge, cloud = lt.split(model, "layer1", codec, example=x)
    path = tmp_path / "half.pt2split"
    lt.save_split(path, edge, cloud)
    np.save(tmp_path / "x.npy", x)
    arguments = [str(tmp_path / name) for name in ("half.pt2split", "x.npy", "y.npy")]
    subprocess.run([sys.executable, "-c", LOADER, *arguments], check=True)
    assert np.array_equal(np.load(tmp_path / "y.npy"), cloud(edge(x)).numpy())
    lt.save_split(path, cloud)
    assert equal(lt.load_split(path, "cloud")(edge(x)), cloud(edge(x)))
    with pytest.raises(lwfc.ParameterError, match="'cloud'"):
        lt.load_split(path)
    with pytest.raises(lwfc.ParameterError, match="an edge"):
        lt.save_split(path, cloud, cloud)


@pytest.mark.parametrize("name", ["lstm", "u-net", "rotary", "normalised"])
def test_saved_halves_of_every_shape(tmp_path, name):
    model, at, x, _ = nets.build(name)
    edge, cloud = lt.split(model, at, example=x)
    lt.save_split(tmp_path / "s", edge, cloud)
    edge, cloud = lt.load_split(tmp_path / "s")
    with torch.no_grad():
        assert equal(cloud(edge(x)), model.eval()(x))
    tensors = [id(t) for half in (edge, cloud) for t in half.buffers() if t.numel()]
    assert len(set(tensors)) <= len(list(model.parameters())) + len(list(model.buffers())) + 8


def rewritten(data, name, change):
    """The file with one of its parts changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for part in old.namelist():
            content = old.read(part)
            new.writestr(part, change(content) if part == name else content)
    return out.getvalue()


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of the file ran')",)


def test_no_file_runs_its_own_code(tmp_path, residual):
    path = tmp_path / "s"
    lt.save_split(path, *residual[2:])
    data = path.read_bytes()

    def pickled(_):
        file = io.BytesIO()
        torch.save([Evil()], file)
        return file.getvalue()

    def note(change):
        def changed(content):
            value = json.loads(content)
            change(value["halves"]["edge"]["nodes"])
            return json.dumps(value).encode()

        return changed

    def operator(name):
        def change(nodes):
            next(node for node in nodes if node[0] == "call_function")[1] = name

        return note(change)

    def keyword(nodes):
        node = next(node for node in nodes if node[0] == "call_function")
        node[3] = {"dict": [["a=print('code of the file ran'), b", 1]]}

    changes = [("tensors.pt", pickled), ("split.json", note(keyword))]
    changes += [("split.json", operator(name)) for name in (
        "os.system.default", "aten.from_file.default", "eval", "aten.conv2d.__class__",
        "lwfc.code.default", "aten.__init__.x")]  # fmt: skip
    changes += [("split.json", lambda content: content[: len(content) // 2])]
    changes += [("split.json", lambda content: content.replace(b'"version": 1', b'"version": 2'))]
    for part, change in changes:
        path.write_bytes(rewritten(data, part, change))
        with pytest.raises(lwfc.FormatError):
            lt.load_split(path)
    for wrong in (b"", b"PK", data[:100], data[: len(data) // 2]):
        path.write_bytes(wrong)
        with pytest.raises(lwfc.FormatError):
            lt.load_split(path)


def test_halves_calibrate_on_samples_of_tokens():
    """A batch (N, tokens, channels) is N samples, whatever its shape looks like."""
    model, x = nn.Sequential(nn.Linear(4, 32), nn.Linear(32, 2)), torch.randn(16, 64, 4)
    edge, _ = lt.split(model, "0", example=x)
    assert edge.calibrate([x, x], levels=4)["0"].inner_shape == (64, 32)
