"""Train the demonstration networks and write the files of ``demo_data``.

Needs Fashion-MNIST as IDX files (Debian package dataset-fashion-mnist), scikit-image and
scikit-learn (photographs).  Prints the quality of the weights as shipped, in half precision.
"""

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import skimage
import sklearn
import torch
from demo_nets import Classifier, Detector, accuracy, load_scenes, mean_average_precision
from demo_nets import data as demo_data
from demo_nets.detector import area, box_iou, cell_centres, head_boxes
from torch.nn import functional as F

PHOTOGRAPHS = {
    "train": (
        "china.jpg",
        "astronaut.png",
        "coffee.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "motorcycle_left.png",
        "rocket.jpg",
    ),
    "calibration": ("chelsea.png", "grass.png", "retina.jpg"),
    "tune": ("coins.png", "moon.png"),
    "test": ("brick.png", "camera.png", "flower.jpg"),
}
PHOTOGRAPH_SIDE = 192  # shorter side after reduction


def load_photograph(name):
    """A photograph of scikit-image or scikit-learn, reduced, as grayscale bytes."""
    folders = (
        Path(skimage.__file__).parent / "data",
        Path(sklearn.__file__).parent / "datasets" / "images",
    )
    path = next(f / name for f in folders if (f / name).exists())
    image = skimage.io.imread(path)
    if image.ndim == 3:
        image = skimage.color.rgb2gray(image[..., :3])
    shape = np.rint(np.array(image.shape) * PHOTOGRAPH_SIDE / min(image.shape)).astype(int)
    return skimage.util.img_as_ubyte(skimage.transform.resize(image, shape, anti_aliasing=True))


def write_data(dataset, out):
    """Write the shipped images, labels and photographs."""
    counts = {
        "calibration": demo_data.CALIBRATION,
        "tune": demo_data.TUNE,
        "test": demo_data.TEST,
    }
    arrays = {}
    for split, count in counts.items():
        images, labels = dataset[split]
        arrays[f"{split}_images"] = images[:count]
        if split != "calibration":
            arrays[f"{split}_labels"] = labels[:count]
    np.savez_compressed(out / "images.npz", **arrays)
    photographs = {
        f"{split}_{Path(name).stem}": load_photograph(name)
        for split in counts
        for name in PHOTOGRAPHS[split]
    }
    np.savez_compressed(out / "backgrounds.npz", **photographs)


class Averager:
    """Exponential moving average of a model's weights and statistics."""

    def __init__(self, model, decay):
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model):
        for mean, value in zip(
            self.model.state_dict().values(), model.state_dict().values(), strict=True
        ):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - self.decay)


def augment(images, rng):
    """Random flips, shifts of up to two pixels and erased squares of a byte batch (N, 28, 28)."""
    n, side, _ = images.shape
    cols = np.arange(side)[None] + rng.integers(-2, 3, (n, 1))
    rows = np.arange(side)[None] + rng.integers(-2, 3, (n, 1))
    cols = np.where(rng.random((n, 1)) < 0.5, side - 1 - cols, cols)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
    batch = padded[np.arange(n)[:, None, None], rows[:, :, None] + 2, cols[:, None] + 2]
    for i in np.flatnonzero(rng.random(n) < 0.25):
        top, left = rng.integers(-2, side - 4, 2)
        size = rng.integers(4, 11)
        batch[i, max(top, 0) : top + size, max(left, 0) : left + size] = rng.integers(0, 256)
    return batch


def train(model, optimizer, schedule, batches, loss_of, name):
    """Run the optimizer over ``batches`` in bfloat16; returns the averaged model."""
    averager = Averager(model, 0.998)
    start, running = time.time(), 0.0
    model.train().to(memory_format=torch.channels_last)
    for step, (images, targets) in enumerate(batches, 1):
        with torch.autocast("cpu", torch.bfloat16):
            output = model(images)
        loss = loss_of(output.float(), targets)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        averager.update(model)
        running += (loss.item() - running) / min(step, 200)
        if step % 200 == 0:
            seconds = time.time() - start
            print(f"{name}: step {step}, loss {running:.4f}, {seconds:.0f} s", flush=True)
    return averager.model.to(memory_format=torch.contiguous_format).eval()


def train_classifier(dataset, epochs, batch=128):
    """Train the classifier by cross-entropy with label smoothing."""
    images, labels = dataset["train"]
    rng = np.random.default_rng(1)
    torch.manual_seed(1)
    model = Classifier()
    steps = epochs * (len(images) // batch)
    optimizer = torch.optim.SGD(
        model.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, steps, pct_start=0.2)

    def batches():
        for _ in range(epochs):
            order = rng.permutation(len(images))[: len(images) // batch * batch]
            for pick in order.reshape(-1, batch):
                target = torch.from_numpy(labels[pick].astype(np.int64))
                yield demo_data.to_input(augment(images[pick], rng)), target

    def loss_of(logits, target):
        return F.cross_entropy(logits, target, label_smoothing=0.05)

    return train(model, optimizer, schedule, batches(), loss_of, "classifier")


def assign(target, rows=12, cols=12):
    """Index of the object each cell of the grid answers for, -1 where none.

    A cell answers for an object if its centre lies in the middle of the object's box or is the
    centre closest to the box's; the smaller object wins.
    """
    centres = cell_centres(rows, cols).reshape(-1, 1, 2)
    boxes = target["boxes"]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    reach = ((boxes[:, 2:] - boxes[:, :2]) * 0.2).clamp(min=4.0)
    hit = ((centres - middle).abs() <= reach).all(-1)
    sizes = torch.where(hit, area(boxes), torch.inf)
    smallest, owner = sizes.min(1)
    return torch.where(smallest.isfinite(), owner, -1)


def detection_loss(raw, targets):
    """Objectness towards the predicted box's overlap, plus overlap and class terms."""
    owners = torch.stack([assign(t) for t in targets])
    scene, cell = (owners >= 0).nonzero(as_tuple=True)
    first = torch.tensor([0] + [len(t["labels"]) for t in targets]).cumsum(0)[:-1]
    flat = first[scene] + owners[scene, cell]
    truth = torch.cat([t["boxes"] for t in targets])[flat]
    label = torch.cat([t["labels"] for t in targets])[flat]
    boxes = head_boxes(raw).flatten(1, 2)[scene, cell]
    iou = box_iou(boxes, truth)
    hull = torch.cat(
        [torch.minimum(boxes[:, :2], truth[:, :2]), torch.maximum(boxes[:, 2:], truth[:, 2:])], 1
    )
    union = (area(boxes) + area(truth)) / (1 + iou)
    generalised = iou - 1 + union / area(hull).clamp(min=1e-6)
    wanted = torch.zeros(owners.shape)
    wanted[scene, cell] = iou.detach().clamp(0, 1)
    objectness = F.binary_cross_entropy_with_logits(raw[:, 0].flatten(1), wanted, reduction="sum")
    logits = raw[:, 5:].flatten(2).transpose(1, 2)[scene, cell]
    classes = F.cross_entropy(logits, label, reduction="sum")
    return (objectness + 2 * (1 - generalised).sum() + classes) / len(label)


def train_detector(dataset, scenes, batch=64):
    """Train the detector on freshly drawn scenes."""
    rng = np.random.default_rng(2)
    torch.manual_seed(2)
    photographs = [load_photograph(name) for name in PHOTOGRAPHS["train"]]
    maker = demo_data.SceneMaker(*dataset["train"], photographs)
    model = Detector()
    steps = scenes // batch
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps, pct_start=0.15)
    batches = (maker.scenes(batch, rng) for _ in range(steps))
    return train(model, optimizer, schedule, batches, detection_loss, "detector")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, default=demo_data.DATASET)
    parser.add_argument("--out", type=Path, default=demo_data.SHIPPED)
    parser.add_argument("--epochs", type=int, default=12, help="of the classifier")
    parser.add_argument("--scenes", type=int, default=256_000, help="drawn for the detector")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--only", choices=["data", "classifier", "detector"], help="do one part of the work"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    dataset = demo_data.read_dataset(args.dataset)
    if args.only in (None, "data"):
        write_data(dataset, args.out)
    if args.only in (None, "classifier"):
        path = args.out / "classifier.npz"
        demo_data.save_weights(train_classifier(dataset, args.epochs), path)
        model = demo_data.load_weights(Classifier(), path)
        images, labels = demo_data.load_classifier_data("test", full=True, folder=args.dataset)
        print(f"classifier: {accuracy(model, images, labels):.2f} % of {len(labels)} test images")
    if args.only in (None, "detector"):
        path = args.out / "detector.npz"
        demo_data.save_weights(train_detector(dataset, args.scenes), path)
        model = demo_data.load_weights(Detector(), path)
        images, targets = load_scenes("test", 1000)
        quality = mean_average_precision(model.detect(images), targets)
        print(f"detector: mAP@0.5 {quality:.2f} on {len(targets)} test scenes")


if __name__ == "__main__":
    main()
