"""benchmarks/rivals: each that can run here codes toy features, and decodes to what it says."""

import sys
from pathlib import Path

import numpy as np
import pytest
from common import features

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import rivals  # noqa: E402
from rivals import inputs, video  # noqa: E402

from lwfc.evaluation.measure import measure  # noqa: E402
from lwfc.evaluation.study import Study  # noqa: E402


def study(shape, images=None):
    x = features((24, *shape))
    return Study(
        "silero",
        {"calibration": x, "tune": x, "test": x},
        lambda x: x.reshape(24, -1),
        images=images and {"tune": images},
        whole=lambda images: x.reshape(24, -1),
    )


@pytest.mark.parametrize("shape", [(6, 7, 8), (16, 24), (12,)])
def test_samples_side_by_side_come_back(shape):
    x = video.pictures_of(np.arange(5 * np.prod(shape)).reshape(5, *shape))
    picture = video.mosaic(x)
    assert picture.ndim == 2 and np.array_equal(video.unmosaic(picture, 5, x.shape[1:]), x)


@pytest.mark.parametrize("shape", [(6, 8, 8), (16, 24)])
def test_rivals_code_and_decode(shape):
    found, missing = rivals.load(r for r in rivals.RIVALS if r != "inputs")
    assert set(missing) <= set(rivals.RIVALS)
    made, some = 0, study(shape)
    for family in found:
        for setting in (family.settings[0], family.settings[-1]):
            try:
                family.make(some, **setting)
            except (ImportError, FileNotFoundError):
                continue
            record = measure(some, family, setting, "tune", 7)
            assert 0 < record["bits"] < 40 and record["error"] < 2, family.name
            made += 1
    if not made:
        pytest.skip("no rival is installed")


PICTURES = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (24, 24, 1))
SOUND = np.rint(3000 * np.sin(np.arange(4000) / 9)).astype(np.int16)[None].repeat(24, 0)
TOKENS = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40) % 257


@pytest.mark.parametrize(
    ("images", "count"), [(PICTURES, 4), (SOUND, 2), (TOKENS, 1)], ids=["uint8", "int16", "uint16"]
)
def test_inputs_are_sent(images, count):
    pytest.importorskip("PIL")
    some = study((6, 8, 8))
    some.images = {"tune": images}
    found = [family for family in inputs.families() if inputs.fits(family, some)]
    assert len(found) <= count and not any(inputs.fits(f, study((6, 8, 8))) for f in found)
    for family in found:
        try:
            coder = family.make(some, **family.settings[-1])
            back = coder.decode(coder.encode(images))
        except (ImportError, FileNotFoundError) as error:
            pytest.skip(str(error))
        assert back.shape == images.shape and back.dtype == images.dtype
        if family.name.split()[-1] in ("PNG", "FLAC", "zstd"):
            assert np.array_equal(back, images)
        else:
            error = np.square(back.astype(float) - images).mean() / images.var()
            assert error < 0.1, family.name
