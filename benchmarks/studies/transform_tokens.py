"""Study "transform_tokens": a small transformer on Fashion-MNIST, cut between its blocks.

It is trained here, briefly, on images that no other split uses; its weights are kept in the cache.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lwfc

from .measuring import BATCH, Rows, calibrated, coded, normalised_error
from .tasks import CALIBRATION, Classification
from .text import table

__all__ = ["study"]

SIDE, WIDTH, BLOCKS, HEADS = 4, 64, 4, 4  # of a patch; of a token; 7 x 7 tokens an image
TRAINED, EPOCHS, BATCHED, RATE = 20_000, 3, 100, 1e-3
LAYER = "blocks.1"
DISTORTIONS = (0.005, 0.01, 0.02, 0.03)  # nats
PAPER = tuple((n, s) for n in (2, 3, 4, 6) for s in (1.0, 1.4))
PLAIN = ((4, 1.4), (6, 1.4))


def make_model() -> Any:
    """Patches, learned places, four blocks, the mean of the tokens."""
    import torch
    from torch import nn

    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, WIDTH, SIDE, SIDE)
            self.places = nn.Parameter(0.02 * torch.randn(1, (28 // SIDE) ** 2, WIDTH))
            self.blocks = nn.Sequential(
                *(
                    nn.TransformerEncoderLayer(
                        WIDTH, HEADS, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
                    )
                    for _ in range(BLOCKS)
                )
            )
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10)

        def edge(self, images: Any) -> Any:
            x = self.patches(images).flatten(2).transpose(1, 2) + self.places
            return self.blocks[:2](x)

        def cloud(self, x: Any) -> Any:
            return self.head(self.norm(self.blocks[2:](x)).mean(1))

        def forward(self, images: Any) -> Any:
            return self.cloud(self.edge(images))

    return Tokens()


def trained(path: Path, quick: bool) -> Any:
    """The model in evaluation mode, trained if there are no weights yet."""
    import demo_nets
    import torch
    from torch.nn.functional import cross_entropy

    torch.manual_seed(0)
    model = make_model()
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    raw, labels = demo_nets.data.read_images("train", True)
    count = 1000 if quick else TRAINED
    images = demo_nets.data.to_input(raw[:count])
    truth = torch.from_numpy(labels[:count].astype("int64"))
    steps = EPOCHS * count // BATCHED
    optimizer = torch.optim.AdamW(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2 * RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for part in torch.randperm(count).split(BATCHED):
            loss = cross_entropy(model(images[part]), truth[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    torch.save(model.state_dict(), path)
    return model.eval()


def load(cache: Path, quick: bool) -> Classification:
    """The task on all test images."""
    import demo_nets
    import torch

    model = trained(cache / f"tokens{'-quick' if quick else ''}.pt", quick)
    images, _ = demo_nets.load_classifier_data("calibration", 60 if quick else CALIBRATION)
    tests, labels = demo_nets.load_classifier_data("test", 60 if quick else None, full=not quick)
    with torch.no_grad():
        features = [
            torch.cat([model.edge(part) for part in split.split(100)]).numpy()
            for split in (images, tests)
        ]
    return Classification("tokens", model, "identity", features[0], {"test": features[1]},
                          {"calibration": images, "test": tests}, {"test": labels.numpy()},
                          "top-1")  # fmt: skip


def measured(task: Classification, make: Callable[[], lwfc.Codec]) -> dict[str, Any]:
    """Real bytes of the test samples, and what becomes of the metric."""
    codec, x = make(), task.features["test"]
    single, _ = coded(codec, x, 1)
    batch, decoded = coded(codec, x, BATCH)
    row = {
        "bits": 8 * batch / x.size,
        "bits_single": 8 * single / x.size,
        "error": normalised_error(x, decoded),
        "file": len(codec.to_bytes()) / 1000,
    }
    return row | task.judge("test", task.head(decoded), interval=True)


def recipes(task: Classification, quick: bool) -> list[tuple[str, str, Callable[[], lwfc.Codec]]]:
    """(profile, settings, how its codec is made)."""
    import lwfc.torch as lt

    found = []
    tokens = partial(calibrated, task.calibration, "identity", channel_axis=2)
    for n, scale in PAPER[::4] if quick else PAPER:
        make = partial(tokens, levels=n, clip_scale=scale, coder="cabac")
        found.append(("paper", f"N={n} s={scale:g}", make))
    for n, scale in PLAIN:
        make = partial(tokens, levels=n, clip_scale=scale, coder="context", restore="linear")
        found.append(("context + linear", f"N={n} s={scale:g}", make))
    for wanted in DISTORTIONS:
        make = partial(lt.calibrate, task.model, LAYER, task.images["calibration"],
                       transform="dct", distortion=wanted, channel_axis=2)  # fmt: skip
        found.append(("transform", f"distortion {wanted:g}", make))
    return found


def study(quick: bool, cache: Path, say: Callable[[str], None]) -> None:
    """49 tokens of 64 in the middle of the network."""
    task, rows = load(cache, quick), Rows(cache / "transform_tokens.jsonl")
    count, lines = len(task.features["test"]), []
    for profile, settings, make in recipes(task, quick):
        row = rows.get(partial(measured, task, make), profile=profile, settings=settings,
                       count=count)  # fmt: skip
        fields = ("bits", "bits_single", "loss", "interval", "error", "file")
        lines.append([profile, settings, *(row[field] for field in fields)])
    say(f"### small transformer, 49 tokens of 64: {len(task.calibration)} calibration samples, "
        f"{count} test images, top-1 {task.quality(task.reference('test')):.2f} %\n")  # fmt: skip
    say(table(("profile", "settings", "bits, streams of 100", "bits, stream per sample", "loss",
               "95 % interval", "squared error", "codec file, kB"), lines))  # fmt: skip
