"""Small networks of other kinds than the demo's, trained in a minute or two each.

Pictures are Fashion-MNIST, text is Python's own library, sound is made of tones and noise.
"""

import sysconfig
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .data import load_classifier_data, read_dataset, to_input

__all__ = ["NETWORKS", "load"]

RATE, BATCH = 2e-3, 64
LETTERS, LINE = 96, 64  # printable characters and a line's end; of a piece of text
SOUND = 4096  # samples of a sound


class UNet(nn.Module):
    """Noisy pictures (N, 1, 28, 28) to clean ones; two halvings, shortcuts across."""

    def __init__(self, width=32):
        super().__init__()

        def block(inputs, outputs):
            return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1), nn.SiLU(),
                                 nn.Conv2d(outputs, outputs, 3, 1, 1), nn.SiLU())  # fmt: skip

        self.down1, self.down2 = block(1, width), block(width, 2 * width)
        self.middle = block(2 * width, 4 * width)
        self.up2, self.up1 = block(6 * width, 2 * width), block(3 * width, width)
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.middle(F.max_pool2d(b, 2))
        b = self.up2(torch.cat([F.interpolate(c, scale_factor=2), b], 1))
        a = self.up1(torch.cat([F.interpolate(b, scale_factor=2), a], 1))
        return self.last(a)


class Letters(nn.Module):
    """Text (N, LINE) to logits (N, LINE, LETTERS) of the letters that follow."""

    def __init__(self, width=96):
        super().__init__()
        self.letters = nn.Embedding(LETTERS, width)
        self.places = nn.Parameter(0.02 * torch.randn(1, LINE, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 3 * width, 0.0, "gelu", batch_first=True,
                                       norm_first=True) for _ in range(3)
        )  # fmt: skip
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, LETTERS)

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(LINE)
        x = self.letters(x) + self.places
        for block in self.blocks:
            x = block(x, src_mask=mask, is_causal=True)
        return self.head(self.norm(x))


class Sounds(nn.Module):
    """Sound (N, 1, SOUND) to logits of 12 keys; strided 1-D convolutions."""

    def __init__(self):
        super().__init__()
        widths = 1, 32, 48, 64, 96
        self.body = nn.Sequential(*(
            nn.Sequential(nn.Conv1d(a, b, 9, 4, 4), nn.BatchNorm1d(b), nn.GELU())
            for a, b in zip(widths, widths[1:], strict=False)
        ))  # fmt: skip
        self.head = nn.Linear(96, 12)

    def forward(self, x):
        return self.head(self.body(x).mean(2))


class Perceptron(nn.Module):
    """Pictures to logits; three layers, ReLU."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU())
        self.second = nn.Sequential(nn.Linear(256, 128), nn.ReLU())
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.second(self.first(x)))


class Rows(nn.Module):
    """Pictures to logits; an LSTM over rows, then attention."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(28, 96, batch_first=True)
        self.weight, self.head = nn.Linear(96, 1), nn.Linear(96, 10)

    def forward(self, x):
        rows, _ = self.lstm(x[:, 0])
        return self.head((self.weight(rows).softmax(1) * rows).sum(1))


def text(split, count, seed):
    """(pieces of Python's library, the letters that follow)."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    files = [f for i, f in enumerate(files) if (i % 5 == 0) == (split != "train")]
    whole = "".join(f.read_text("utf-8", errors="replace") for f in files).encode("ascii", "ignore")
    codes = np.frombuffer(whole, np.uint8)
    codes = np.where(codes == 10, 95, np.clip(codes, 32, 126) - 32).astype(np.int64)
    starts = np.random.default_rng(seed).integers(0, len(codes) - LINE - 1, count)
    pieces = torch.from_numpy(codes[starts[:, None] + np.arange(LINE + 1)])
    return pieces[:, :-1], pieces[:, 1:]


def sounds(count, seed):
    """(tones with harmonics in noise, their keys)."""
    rng = np.random.default_rng(seed)
    keys, time = rng.integers(0, 12, count), np.arange(SOUND) / 8000
    x = np.empty((count, 1, SOUND), np.float32)
    for i, key in enumerate(keys):
        pitch = 220 * 2 ** ((key + rng.uniform(-0.3, 0.3)) / 12) * rng.choice([1, 2])
        tone = sum(k**-rng.uniform(0.5, 2) * np.sin(2 * np.pi * (k * pitch * time + rng.random()))
                   for k in range(1, 6))  # fmt: skip
        fall = np.exp(-rng.choice([0, 3, 8]) * time)
        noise = rng.uniform(0.02, 0.5) * rng.normal(size=SOUND)
        x[i, 0] = rng.uniform(0.2, 1) * fall * tone + noise
    return torch.from_numpy(x), torch.from_numpy(keys)


def pictures(split, count, seed):
    """(pictures, labels); labels are None for calibration."""
    if split != "train":
        return load_classifier_data(split, count)
    images, labels = read_dataset()["train"]
    chosen = np.random.default_rng(seed).integers(0, len(labels), count)
    return to_input(images[chosen]), torch.from_numpy(labels[chosen].astype("int64"))


def noisy(split, count, seed):
    """(pictures with noise, without)."""
    x, _ = pictures(split, count, seed)
    return x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)), x


def classes(logits, truth):
    return F.cross_entropy(logits.flatten(0, -2), truth.flatten())


# Name: (network, inputs and truths of (split, count, seed), loss, inputs it is trained on).
NETWORKS = {
    "unet": (UNet, noisy, F.mse_loss, 8_000),
    "letters": (Letters, text, classes, 30_000),
    "sounds": (Sounds, lambda split, count, seed: sounds(count, seed), classes, 12_000),
    "perceptron": (Perceptron, pictures, classes, 60_000),
    "rows": (Rows, pictures, classes, 40_000),
}
SEEDS = {"train": 1, "calibration": 2, "test": 3}


def load(name, folder):
    """(network in evaluation mode, inputs of (split, count)), trained if not in the folder yet."""
    make, data, loss, count = NETWORKS[name]
    torch.manual_seed(0)
    model, path = make(), Path(folder) / f"small-{name}.pt"
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
    else:
        x, truth = data("train", count, SEEDS["train"])
        optimizer = torch.optim.AdamW(model.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2 * RATE,
                                                       total_steps=-(-count // BATCH))  # fmt: skip
        for part, wanted in zip(x.split(BATCH), truth.split(BATCH), strict=True):
            value = loss(model(part), wanted)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            schedule.step()
        torch.save(model.state_dict(), path)
    return model.eval(), lambda split, n: data(split, n, SEEDS[split])[0]
