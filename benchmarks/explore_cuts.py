"""The explorer on real networks, its own cost, the hooks' cost, and two processes on a socket.

python benchmarks/explore_cuts.py resnet18 [--weights FILE] [--html FILE] [--plot PNG]
python benchmarks/explore_cuts.py efficientnet ...
python benchmarks/explore_cuts.py cost | hooks | processes

resnet18 trains its network first where the weights file is missing (Debian package
dataset-fashion-mnist, some minutes on two cores). efficientnet needs the packages of
photo_features.py. Times are those of the machine and its load; ``--threads`` sets PyTorch's.
"""

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from studies.text import table

import lwfc.torch
from lwfc.base.progress import Bar
from lwfc.serve import Client
from lwfc.split import Link

COLUMNS = ("cut", "profile", "live", "raw_bytes", "coded_bytes", "bits_per_element", "codec_bytes",
           "head_macs", "head_ms", "encode_ms", "transfer_ms", "decode_ms", "tail_ms", "total_ms",
           "loss", "agreement", "metric")  # fmt: skip


def resnet(args):
    """(model, loader, metric) on Fashion-MNIST enlarged to 64x64."""
    from demo_nets import resnet

    weights = Path(args.weights)
    if not weights.exists():
        resnet.train(weights)
    images, _ = resnet.samples("calibration", args.samples)
    tests, labels = resnet.samples("test", args.tests)

    def accuracy(model):
        right = sum(int((model(x).argmax(1) == y).sum())
                    for x, y in zip(tests.split(50), labels.split(50), strict=True))  # fmt: skip
        return 100 * right / len(labels)

    return resnet.load(weights), images.split(16), accuracy


def efficientnet(args):
    """(model, loader, None) on crops of photographs; agreement stands in for accuracy."""
    import photo_features

    half = args.samples // 2
    crops = [photo_features.crops(split, half) for split in ("calibration", "test")]
    batches = [torch.from_numpy(part) for x in crops for part in np.array_split(x, half // 8)]
    return photo_features.load_network(), batches, None


def explore(args, make):
    model, loader, metric = make(args)
    pixels = (0.0, 1.0) if make is resnet else (-127 / 128, 1.0)
    clock = time.process_time if args.cpu_time else time.perf_counter
    with Bar() as bar:
        result = lwfc.torch.explore(
            model, loader, metric, link=Link(args.mbit_s, args.rtt_ms), edge_speed=args.edge_speed,
            max_loss=args.max_loss, samples=args.samples, shortlist=args.shortlist, pixels=pixels,
            log=args.log, progress=bar, clock=clock,
        )  # fmt: skip
    if args.html:
        result.to_html(args.html)
    if args.plot:
        import matplotlib

        matplotlib.use("Agg")
        result.plot()[0].figure.savefig(args.plot, dpi=110)
    if args.json:
        Path(args.json).write_text(result.to_json())
    exact = [row for row in result.rows if row["pass"] == "exact"]
    estimates = [row for row in result.rows if row["pass"] != "exact"]
    print(f"{len(result.cuts)} cuts by {result.about['way']}; best: {result.best['cut']} "
          f"{result.best['profile']}\n")  # fmt: skip
    print(table(COLUMNS, [[shown(name, row[name]) for name in COLUMNS] for row in exact]))
    if args.estimates:
        kept = [name for name in COLUMNS if any(row[name] is not None for row in estimates)]
        print(table(kept, [[shown(name, row[name]) for name in kept] for row in estimates]))


def shown(name, value):
    if value is None:
        return "–"
    if name.endswith("macs"):
        return f"{value / 1e6:.0f} M"
    if name.endswith("bytes"):
        return f"{value:.0f}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def clock(action):
    """(CPU seconds, value)."""
    started = time.process_time()
    value = action()
    return time.process_time() - started, value


def cost(args):
    """The estimate pass with 20 cuts against the forward pass over the same samples; CPU time."""
    from demo_nets.resnet import ResNet18

    from lwfc.split.estimate import Drafts, estimate
    from lwfc.split.profiles import choose_profiles
    from lwfc.torch.explore import TorchNetwork

    imported, _ = clock(lambda: importlib.import_module("torch.export._trace"))
    torch.manual_seed(0)
    model, x = ResNet18(1000).eval(), torch.randn(16, 3, 224, 224)
    layers = ["conv1", "bn1", "relu", "maxpool"]
    layers += [f"layer{i}.{j}{end}" for i in (1, 2, 3, 4) for j in (0, 1) for end in ("", ".conv1")]
    profiles = choose_profiles("auto")

    def forward():
        with torch.no_grad():
            for i in range(len(x)):
                model(x[i : i + 1])

    def drafts(network, survey):
        made = Drafts(survey)
        for cut in network.cuts:
            for profile in profiles:
                estimate(cut, survey, made, profile, 0.02)

    forward()
    rounds = []
    for _ in range(args.rounds):
        plain, _ = clock(forward)
        traced, network = clock(lambda: TorchNetwork(model, x, layers, len(x)))
        looked, survey = clock(
            partial(network.survey, network.cuts, len(x), None, time.perf_counter)
        )
        drafted, _ = clock(partial(drafts, network, survey))
        rounds.append((plain, traced, looked, drafted))
    plain, traced, looked, drafted = map(statistics.median, zip(*rounds, strict=True))
    print(f"{len(network.cuts)} cuts, {len(profiles)} profiles, {network.macs / 1e9:.3f} G "
          "multiply-adds a sample of 224x224\n")  # fmt: skip
    print(table(("what", "CPU s", "of 16 samples' passes", "of 64 samples'"), [
        (name, f"{s:.2f}", f"{s / plain:.2f}", f"{s / plain / 4:.2f}")
        for name, s in (("forward passes, one by one, of 16 samples", plain),
                        ("tracing by torch.export, checked, counted", traced),
                        ("survey: times, features, gradients", looked),
                        ("drafts: every cut, every profile", drafted),
                        ("estimate pass, all of it", traced + looked + drafted),
                        ("import of torch.export, once a process", imported))
    ]))  # fmt: skip


def hooks(args):
    """A tap on layer2 of ResNet-18 at 224x224: what it adds beside the codec's own work."""
    from demo_nets.resnet import ResNet18

    torch.manual_seed(0)
    model, x = ResNet18(1000).eval(), torch.randn(1, 3, 224, 224)
    codec = lwfc.torch.calibrate(model, "layer2", torch.randn(8, 3, 224, 224), levels=4)

    with torch.no_grad():
        feature = model.layer2(model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(x))))))
        forwards = [clock(lambda: model(x))[0] for _ in range(args.rounds)]
        with lwfc.torch.attach(model, {"layer2": codec}) as tap:
            (hook,) = model.layer2._forward_hooks.values()
            hook(model.layer2, (), feature)
            hooked = [clock(lambda: hook(model.layer2, (), feature))[0] for _ in range(500)]
            assert tap.report().rows[0]["calls"] == 501
    out = torch.empty_like(feature)
    codings = [clock(lambda: codec.decode(codec.encode(feature), out=out))[0] for _ in range(500)]
    forward, whole, coded = (
        statistics.median(times) * 1e3 for times in (forwards, hooked, codings)
    )
    print(table(("what", "ms", "of a forward pass"), [
        (name, f"{ms:.3f}", f"{100 * ms / forward:.2f} %")
        for name, ms in (("forward, ResNet-18 at 224x224", forward), ("the hook's call", whole),
                         ("in it: codec, encode and decode, 128x28x28", coded),
                         ("the rest: hook, operator, copies", whole - coded))
    ]))  # fmt: skip


def processes(args):
    """The edge here, the cloud in a process of its own behind a socket."""
    from demo_nets.resnet import ResNet18

    torch.manual_seed(0)
    model, x = ResNet18(1000).eval(), torch.randn(20, 3, 224, 224)
    rows = []
    for at in ("layer2", "layer4.0.conv1"):
        edge, cloud = lwfc.torch.split(model, at, example=x[:2])
        codecs = edge.calibrate(x[:8], levels=4, bound=True)
        edge, cloud = edge.with_codec(codecs), cloud.with_codec(codecs)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "half.pt2split"
            lwfc.torch.save_split(path, cloud)
            command = [sys.executable, "-m", "lwfc", "serve", str(path), "--json"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                where = json.loads(server.stdout.readline())
                with Client(where["host"], where["port"]) as client:
                    same, times, sizes, near = True, [], [], []
                    for one in x[8:].split(1):
                        data = edge(one)
                        started = time.perf_counter()
                        answer = client(data)["output"]
                        times.append((time.perf_counter() - started) * 1e3)
                        started = time.perf_counter()
                        here = cloud(data).numpy()
                        near.append((time.perf_counter() - started) * 1e3)
                        same = same and np.array_equal(answer, here)
                        sizes.append(len(data))
                server.terminate()
            size = path.stat().st_size
        rows.append((at, len(edge.cut.tensors), f"{statistics.mean(sizes):.0f}",
                     f"{statistics.median(times):.1f}", f"{statistics.median(near):.1f}",
                     "yes" if same else "NO", f"{size / 1e6:.1f} MB"))  # fmt: skip
    print(table(("cut", "tensors", "bytes a sample", "ms over the socket", "ms in one process",
                 "same answers to the bit", "saved half"), rows))  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    whats = {"resnet18": resnet, "efficientnet": efficientnet, "cost": cost, "hooks": hooks,
             "processes": processes}  # fmt: skip
    parser.add_argument("what", choices=whats)
    parser.add_argument("--weights", default="build/resnet18.pt")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--tests", type=int, default=500)
    parser.add_argument("--shortlist", type=int, default=4)
    parser.add_argument("--max-loss", type=float, default=0.02)
    parser.add_argument("--mbit-s", type=float, default=5.0)
    parser.add_argument("--rtt-ms", type=float, default=20.0)
    parser.add_argument("--edge-speed", type=float, default=0.1)
    parser.add_argument("--cpu-time", action="store_true", help="on a machine others use")
    parser.add_argument("--estimates", action="store_true", help="print these rows as well")
    for name in ("log", "html", "plot", "json"):
        parser.add_argument(f"--{name}")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what in ("resnet18", "efficientnet"):
        explore(args, whats[args.what])
    else:
        whats[args.what](args)


if __name__ == "__main__":
    main()
