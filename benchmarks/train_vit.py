"""Train the small vision transformer of the evaluation and write demo_data/vit.npz.

Usage: python benchmarks/train_vit.py [--epochs 8] [--out FOLDER]

Needs Fashion-MNIST (Debian package dataset-fashion-mnist). Minutes on one core; seeded.
"""

import argparse
import time
from pathlib import Path

import torch
from demo_nets import accuracy, load_classifier_data
from demo_nets.data import SHIPPED, load_weights, read_images, save_weights, to_input
from demo_nets.vit import Transformer
from torch.nn import functional as F

BATCH, RATE = 128, 2e-3


def train(epochs: int) -> Transformer:
    """One-cycle AdamW; images mirrored half of the time."""
    torch.manual_seed(18)
    model = Transformer()
    pixels, labels = read_images("train", full=True)
    images, labels = to_input(pixels), torch.from_numpy(labels.astype("int64"))
    steps = epochs * (len(images) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    for epoch in range(epochs):
        started, order, total = time.monotonic(), torch.randperm(len(images)), 0.0
        for part in order[: len(order) // BATCH * BATCH].split(BATCH):
            x = images[part]
            x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(-1), x)
            loss = F.cross_entropy(model(x), labels[part], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss) * len(part)
        print(f"epoch {epoch + 1}: loss {total / len(order):.4f}, "
              f"{time.monotonic() - started:.0f} s", flush=True)  # fmt: skip
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    model = train(chosen.epochs)
    save_weights(model, chosen.out / "vit.npz")
    model = load_weights(Transformer(), chosen.out / "vit.npz")
    for split, full in (("tune", False), ("test", True)):
        print(f"{split}: {accuracy(model, *load_classifier_data(split, full=full)):.2f} %")


if __name__ == "__main__":
    main()
