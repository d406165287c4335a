"""Codecs in data loaders' workers and in distributed processes; training through a codec."""

import json
import subprocess
import sys
import textwrap

import pytest

import lwfc

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

import lwfc.torch as lt  # noqa: E402


class Coding(Dataset):
    """Codes its items in the worker, by a codec and by a network with one attached."""

    def __init__(self, codec, items):
        self.codec, self.items = codec, items
        self.net = nn.Sequential(nn.ReLU())

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        x = self.items[i]
        y = lt.decode(self.codec.encode(x, num_threads=2), self.codec, num_threads=2)
        with lt.attach(self.net, {"0": self.codec}):
            return y, self.net(x)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_every_start_method(method):
    items = torch.rand(4, 64, 64, 64, generator=torch.Generator().manual_seed(0))
    codec = lwfc.calibrate(items, levels=4)
    codec.encode(items, num_threads=2)  # four blocks: OpenMP's threads live before the fork
    loader = DataLoader(
        Coding(codec, items), batch_size=2, num_workers=1, multiprocessing_context=method
    )
    wanted = codec.simulate(items)
    for number, (decoded, hooked) in enumerate(loader):
        part = wanted[2 * number : 2 * number + 2]
        assert torch.equal(decoded, part) and torch.equal(hooked, part)


PROCESS = """
    import json, sys, torch, lwfc, lwfc.torch as lt
    from torch import distributed, nn

    rank, store = int(sys.argv[1]), sys.argv[2]
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.GELU())
    ddp = nn.parallel.DistributedDataParallel(net)
    codec = lwfc.Codec([0.3], [0.0, 0.6])
    x = torch.rand(3 + rank, 3, 8, 8, generator=torch.Generator().manual_seed(rank))
    with lt.attach(ddp, {"module.1": codec, "module.3": codec}, mode="bitstream") as tap:
        y = ddp(x)
        if rank == 0:
            y = ddp(x)
        y.sum().backward()
        alone, both = tap.report(), tap.report(sync=True)
    print(json.dumps({"alone": alone.rows, "both": both.rows}))
    distributed.destroy_process_group()
"""


def test_distributed_processes_sum_their_reports(tmp_path):
    code = textwrap.dedent(PROCESS)
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(rank), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    results = [json.loads(run.communicate(timeout=120)[0]) for run in runs]
    first, second = results
    assert first["both"] == second["both"] != first["alone"]
    for k, name in enumerate(("module.1", "module.3")):
        row, parts = first["both"][k], [result["alone"][k] for result in results]
        assert row["layer"] == name
        for sums in ("calls", "passes", "samples", "elements", "bytes_in", "bytes_out"):
            assert row[sums] == sum(part[sums] for part in parts)
        assert (row["calls"], row["samples"]) == (3, 10)
        assert row["bits_per_element"] == 8 * row["bytes_out"] / row["elements"]


def test_sync_without_processes_is_refused():
    layer = nn.Identity()
    with lt.attach(layer, {"": lwfc.Codec([0.3], [0.0, 0.6])}) as tap:
        layer(torch.rand(2, 3))
    with pytest.raises(lwfc.ParameterError, match="process group"):
        tap.report(sync=True)


def blobs(count):
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(3, (count,), generator=generator)
    angles = labels * 2.1 + 0.25 * torch.randn(count, generator=generator)
    return torch.stack([angles.cos(), angles.sin()], 1) * (1 + labels[:, None]), labels


@pytest.mark.parametrize("mode", ["simulate", "bitstream"])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_fine_tuning_through_the_codec_converges(mode, granularity):
    torch.manual_seed(0)
    x, labels = blobs(240)
    edge, cloud = nn.Sequential(nn.Linear(2, 12), nn.ReLU()), nn.Linear(12, 3)
    net = nn.Sequential(edge, cloud)
    codec = lt.calibrate(net, "0", x, levels=2, granularity=granularity)
    before = [p.detach().clone() for p in edge.parameters()]
    optimizer = torch.optim.Adam(net.parameters(), 0.03)
    losses = []
    with lt.attach(net, {"0": codec}, mode=mode):
        for _ in range(60):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), labels)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        right = (net(x).argmax(1) == labels).float().mean()
    assert losses[-1] < 0.3 * losses[0] and right > 0.95
    assert all(not torch.equal(a, b) for a, b in zip(before, edge.parameters(), strict=True))


def test_training_with_simulate_itself_reaches_the_edge():
    torch.manual_seed(0)
    x, labels = blobs(240)
    edge, cloud = nn.Sequential(nn.Linear(2, 12), nn.ReLU()), nn.Linear(12, 3)
    codec = lwfc.calibrate(edge(x).detach(), levels=2)
    nn.functional.cross_entropy(cloud(codec.simulate(edge(x))), labels).backward()
    assert edge[0].weight.grad.abs().sum() > 0
