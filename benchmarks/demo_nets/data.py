"""Images, scenes and weights of the demonstration networks.

Splits.  The networks' weights were trained on the first 58,000 Fashion-MNIST training images.
``tune`` (labelled) and ``calibration`` (unlabelled) come from the 2,000 training images held out,
``test`` from the test images.  Scenes use objects of the split of the same name, on photographs
that no other split uses.
"""

import gzip
from pathlib import Path

import numpy as np
import torch

SHIPPED = Path(__file__).resolve().parent.parent / "demo_data"
DATASET = Path("/usr/share/datasets/fashion-mnist")  # Debian package dataset-fashion-mnist
TRAINED = 58_000  # training images the weights were fitted on; the rest are held out
TUNE, CALIBRATION, TEST = 500, 600, 1_000  # shipped images per split
SCENE = 96  # scene side in pixels
SCENE_SEEDS = {"calibration": 101, "tune": 102, "test": 103}


def read_idx(path):
    """Array of a gzip-compressed IDX file of bytes."""
    raw = gzip.decompress(Path(path).read_bytes())
    dims = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(raw[3])]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(dims)


def read_dataset(folder=DATASET):
    """Full data set as {split: (images uint8 (N, 28, 28), labels uint8 (N,))}."""
    read = {
        part: tuple(
            read_idx(Path(folder) / f"{part}-{kind}-ubyte.gz")
            for kind in ("images-idx3", "labels-idx1")
        )
        for part in ("train", "t10k")
    }
    images, labels = read["train"]
    cuts = {
        "train": slice(0, TRAINED),
        "tune": slice(TRAINED, TRAINED + TUNE),
        "calibration": slice(TRAINED + TUNE, None),
    }
    splits = {name: (images[cut], labels[cut]) for name, cut in cuts.items()}
    splits["test"] = read["t10k"]
    return splits


def read_images(split, full=False, folder=DATASET):
    """(images, labels) of one split as bytes, shipped or (``full``) from the data set.

    Labels of "calibration" are None.
    """
    if full:
        images, labels = read_dataset(folder)[split]
        return images, None if split == "calibration" else labels
    with np.load(SHIPPED / "images.npz") as shipped:
        return shipped[f"{split}_images"], shipped.get(f"{split}_labels")


def read_backgrounds(split):
    """Grayscale photographs (uint8) that scenes of ``split`` are placed on."""
    with np.load(SHIPPED / "backgrounds.npz") as shipped:
        return [shipped[k] for k in sorted(shipped.files) if k.startswith(split + "_")]


def to_input(images):
    """Bytes (N, H, W) to a network input: float tensor (N, 1, H, W) in [0, 1]."""
    return torch.from_numpy(np.array(images))[:, None].float() / 255


def load_classifier_data(split, n=None, full=False, folder=DATASET):
    """(images (N, 1, 28, 28), labels (N,) or None) of a split, the first ``n`` images.

    ``split``: "test" and "tune" are labelled; "calibration" and "train_unlabelled" are not.
    ``full=True`` reads the installed data set instead of the shipped files: 10,000 test images,
    1,500 calibration images.  "train_unlabelled" (images the weights have seen) is always read
    from there.
    """
    labelled = split in ("test", "tune")
    if split == "train_unlabelled":
        images, labels = read_images("train", True, folder)
    elif labelled or split == "calibration":
        images, labels = read_images(split, full, folder)
    else:
        raise ValueError(f"unknown split {split!r}")
    if labelled:
        return to_input(images[:n]), torch.from_numpy(labels[:n].astype(np.int64))
    return to_input(images[:n]), None


def resample_matrix(source, target):
    """Row-stochastic (target, source) matrix of antialiased linear interpolation."""
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale - 0.5
    distance = np.abs(np.arange(source)[None] - centres[:, None]) / max(scale, 1.0)
    weights = np.maximum(1.0 - distance, 0.0)
    return weights / weights.sum(1, keepdims=True)


class SceneMaker:
    """Draws scenes: two to five objects blended onto a crop of a photograph."""

    sizes = range(26, 53)  # side in pixels of the square tile an object is drawn in
    max_overlap = 0.25  # of the smaller of two boxes

    def __init__(self, images, labels, backgrounds):
        self.images = images
        self.labels = labels
        self.backgrounds = backgrounds
        self.resample = {s: resample_matrix(images.shape[1], s) for s in self.sizes}

    def background(self, rng):
        """A randomly flipped crop with random gain, as floats in [0, 255]."""
        photo = self.backgrounds[rng.integers(len(self.backgrounds))]
        top, left = (rng.integers(side - SCENE + 1) for side in photo.shape)
        crop = photo[top : top + SCENE, left : left + SCENE]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        return crop * rng.uniform(0.6, 1.0)

    def scene(self, rng):
        """One scene: (uint8 (96, 96), boxes float32 (K, 4), labels int64 (K,))."""
        canvas = self.background(rng)
        boxes, labels = [], []
        for _ in range(rng.integers(2, 6)):
            index = rng.integers(len(self.images))
            size = int(rng.integers(self.sizes.start, self.sizes.stop))
            gain = rng.uniform(0.75, 1.0)
            mirrored = rng.random() < 0.5
            spots = rng.integers(0, SCENE - size + 1, (10, 2))
            tile = self.resample[size] @ self.images[index] @ self.resample[size].T
            if mirrored:
                tile = tile[:, ::-1]
            alpha = np.clip(tile / 40.0, 0.0, 1.0)
            rows, cols = (np.flatnonzero((alpha > 0.5).any(axis)) for axis in (1, 0))
            if not len(rows):
                continue
            tight = np.array([cols[0], rows[0], cols[-1] + 1, rows[-1] + 1])
            for y, x in spots:
                box = tight + [x, y, x, y]
                if all(overlap(box, other) <= self.max_overlap for other in boxes):
                    window = canvas[y : y + size, x : x + size]
                    window += alpha * (tile * gain - window)
                    boxes.append(box)
                    labels.append(int(self.labels[index]))
                    break
        pixels = np.rint(canvas).clip(0, 255).astype(np.uint8)
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        return pixels, boxes, np.array(labels, np.int64)

    def scenes(self, n, rng):
        """(input tensor (n, 1, 96, 96), list of {"boxes": (K, 4), "labels": (K,)})."""
        drawn = [self.scene(rng) for _ in range(n)]
        targets = [
            {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)}
            for _, boxes, labels in drawn
        ]
        return to_input(np.stack([pixels for pixels, _, _ in drawn])), targets


def overlap(a, b):
    """Share of the smaller box that two corner boxes have in common."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))


def load_scenes(split, n):
    """(images (n, 1, 96, 96), targets) of "test" or "tune"; targets are None for "calibration".

    Scenes are generated from the shipped images and photographs, always the same ones: a smaller
    ``n`` gives the first scenes of a larger one.
    """
    rng = np.random.default_rng(SCENE_SEEDS[split])
    images, labels = read_images(split)
    unlabelled = labels is None
    if unlabelled:
        labels = np.zeros(len(images), np.uint8)
    scenes, targets = SceneMaker(images, labels, read_backgrounds(split)).scenes(n, rng)
    return scenes, None if unlabelled else targets


def save_weights(model, path):
    """Write a model's parameters and statistics in half precision."""
    state = model.state_dict()
    kept = {k: v.numpy().astype(np.float16) for k, v in state.items() if v.is_floating_point()}
    np.savez_compressed(path, **kept)


def load_weights(model, path):
    """Load half-precision weights into ``model`` and switch it to evaluation."""
    state = model.state_dict()
    with np.load(path) as stored:
        for name in stored.files:
            state[name] = torch.from_numpy(stored[name].astype(np.float32))
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)
