"""The transform profile of the extension and of Codec. Streams and files: test_format.py."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from transform_cases import CASES, FREE, Section, codec_of, make_transform, section_of, smooth

import lwfc
from lwfc import _core

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))

import cutting
import decoder
import transform

LEVELS = ("scalar", "avx2", None)


@pytest.fixture(autouse=True)
def every_level():
    yield
    _core.limit_cpu(None)


def reference_of(codec):
    return decoder.read_codec(_core.codec_write(codec))


def test_the_integer_dct_is_that_of_the_specification():
    for n in range(1, 65):
        table, bits = _core.transform_dct(n)
        expected, expected_bits = transform.dct(n)
        np.testing.assert_array_equal(table, expected)
        assert bits == expected_bits


@pytest.mark.parametrize("name", CASES)
def test_coefficients_are_those_of_the_specification(name):
    codec, (_, shape, _, _) = codec_of(name), CASES[name]
    reference = reference_of(codec)
    x = smooth(shape, 5)
    x.flat[::31] *= 40  # clipped
    x.flat[3], x.flat[-1], x.flat[x.size // 2] = np.nan, np.inf, -np.inf
    axis = decoder.resolve_axis(reference.channel_axis, x.ndim)
    four, axis = decoder.transform_shape(reference, list(shape), axis)
    values = x.reshape(four)
    if axis == len(four) - 1:
        values = np.moveaxis(values, -1, 1)
    values = values.reshape(cutting.geometry(four, axis))
    expected = np.array([
        transform.forward(reference.transform, tile)
        for tile in transform.tiles_of(reference.transform, values)
    ])  # fmt: skip
    for level in LEVELS:
        _core.limit_cpu(level)
        np.testing.assert_array_equal(_core.symbols(codec, x), expected, strict=False)


@pytest.mark.parametrize("name", CASES)
def test_reconstruction_at_the_limits_is_that_of_the_specification(name):
    codec = codec_of(name)
    part, layout = reference_of(codec).transform, _core.transform_layout(codec)
    limits = np.repeat(np.array(layout["limits"])[part.index], part.columns)
    assert layout["limits"] == [m.limit for m in part.matrices]
    shape = (1, layout["blocks"], layout["coefficients"])
    q = (np.random.default_rng(0).choice([-1, 0, 1], shape) * limits).astype(np.int16)
    expected = np.zeros((layout["channels"], *part.map), np.float32)
    for number, block in enumerate(transform.blocks_of(part, expected)):
        block[...] = transform.inverse(part, q[0, number].astype(int), number)
    for level in LEVELS:
        _core.limit_cpu(level)
        assert _core.transform_reconstruct(codec, q)[0].tobytes() == expected.tobytes()
    over = np.where(limits < 32767, 32767, 0).astype(np.int16)
    if over.any():
        with pytest.raises(lwfc.ParameterError):
            _core.transform_reconstruct(codec, np.broadcast_to(over, shape))


def test_layouts_types_and_threads_give_one_stream():
    codec = codec_of("blocks")
    x = smooth((40, 48, 16, 24), 2)  # several blocks of the container
    data = _core.encode(codec, x)
    y = _core.decode(data, codec)
    assert _core.inspect(data, codec)["nblocks"] > 1
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    wide = np.zeros((40, 48, 16, 50), np.float32)
    wide[..., ::2] = np.pad(x, ((0, 0), (0, 0), (0, 0), (0, 1)))
    for other in (last, wide[..., :48:2], x[::-1][::-1], x.astype(">f4")):
        for threads in (1, 2, 3):
            assert _core.encode(codec, other, threads) == data
    for out in (np.empty_like(last), np.empty_like(wide)[..., :48:2], np.empty_like(x)):
        for level in LEVELS:
            _core.limit_cpu(level)
            out[...] = -1
            _core.decode(data, codec, out, 0, 2)
            np.testing.assert_array_equal(out, y)
    doubles = _core.encode(codec, x.astype(np.float64))
    np.testing.assert_array_equal(_core.decode(doubles, codec), y.astype(np.float64))


def test_one_bad_value_costs_its_place_only():
    codec = codec_of("whole map")
    x = smooth((1, 20, 14, 14), 3)
    y = _core.decode(_core.encode(codec, x), codec)
    bad = x.copy()
    bad[0, 4, 5, 6] = np.nan
    z = _core.decode(_core.encode(codec, bad), codec)
    assert np.isfinite(z).all() and np.abs(z - y).max() < np.abs(y).max()
    strict = make_transform(section_of("whole map"), nan=1)
    with pytest.raises(lwfc.ParameterError, match="NaN or infinity"):
        _core.encode(strict, bad)


def test_half_types_stay_finite():
    section = Section(4, (2, 2), (2, 2), unit=2.0**90, clip=(-1e30, 1e30))
    codec = make_transform(section.bytes())
    for dtype in (np.float16, np.float32):
        y = _core.decode(_core.encode(codec, np.full((1, 4, 2, 2), 1e4, dtype)), codec)
        assert np.isfinite(y).all()
        assert y.dtype == dtype


def test_compact_streams_take_eight_bytes_or_less():
    codec = codec_of("whole map")
    x = smooth((3, 20, 14, 14), 4)
    for tensor, header in ((x[:1], 7), (x, 8)):
        data = _core.encode(codec, tensor)
        assert _core.inspect(data, codec)["header_nbytes"] == header
        assert data[-1] != 0
    assert _core.inspect(data)["shape"] is None
    empty = _core.encode(codec, x[:0])
    assert _core.decode(empty, codec).shape == (0, 20, 14, 14)


@pytest.mark.parametrize("name", CASES)
def test_other_shapes_are_refused(name):
    codec, (section, shape, _, _) = codec_of(name), CASES[name]
    axis = shape.index(section.channels)
    wrong = [shape[:axis] + (section.channels + 1,) + shape[axis + 1 :]]
    if not section.flags & FREE and len(shape) > 2:
        wrong.append((*shape[:-1], shape[-1] * 2))
    for other in wrong:
        with pytest.raises(lwfc.ParameterError, match="another inner shape"):
            _core.encode(codec, np.zeros(other, np.float32))


def test_a_lone_vector_is_told_to_come_as_a_batch():
    inner = CASES["vectors"][3]
    codec = lwfc.Codec(transform=section_of("vectors"), inner_shape=inner)
    with pytest.raises(lwfc.ParameterError, match=r"x\[None\]"):
        codec.encode(np.zeros(inner, np.float32))


def test_streams_name_the_codec_they_are_bound_to():
    codec = lwfc.Codec(transform=section_of("blocks"), inner_shape=CASES["blocks"][3])
    other = lwfc.calibrate(smooth((9, 8, 6, 6)), levels=3, bound=True)
    for bound, x, digits in ((codec, smooth(CASES["blocks"][1]), 4), (other, np.ones(9), 8)):
        data = bound.encode(x)
        for wrong in (None, codec if bound is other else other):
            for call in (lwfc.decode, lwfc.inspect) if wrong else (lwfc.decode,):
                with pytest.raises(lwfc.FormatError) as caught:
                    call(data, wrong)
                assert str(caught.value).endswith(f"{bound.digest:016x}"[-digits:] + ")")


def test_tiles_of_a_free_transform_are_samples():
    codec = codec_of("free tokens")
    x = smooth((2, 24, 64), 6)
    parts = [_core.symbols(codec, x[:, i : i + 8]) for i in (0, 8, 16)]
    whole = _core.symbols(codec, x)
    np.testing.assert_array_equal(whole, np.stack(parts, 1).reshape(whole.shape))


def test_codec_is_a_value():
    _, _, _, inner = CASES["blocks"]
    codec = lwfc.Codec(transform=section_of("blocks"), inner_shape=inner, metadata={"step": 1})
    assert codec.levels is None and codec.values is None and codec.thresholds is None
    assert codec.bound and codec.clip_range == (-4.0, 8.0) and "dct-klt" in repr(codec)
    copies = (
        pickle.loads(pickle.dumps(codec)),
        lwfc.Codec.from_config(codec.get_config()),
        lwfc.Codec.from_bytes(codec.to_bytes()),
        codec.replace(metadata=None),
    )
    assert all(copy == codec and hash(copy) == hash(codec) for copy in copies)
    x = smooth((2, 48, 16, 24))
    data = codec.encode(x)
    np.testing.assert_array_equal(codec.decode(data), codec.simulate(x))
    info = lwfc.inspect(data, codec)
    assert (info.transform, info.levels, info.shape) == ("dct-klt", None, x.shape)
    assert info.coder == "transform"
    assert lwfc.inspect(data).shape is None
    assert codec.symbols(x).dtype == np.int16


@pytest.mark.parametrize("name", CASES)
def test_packed_section_gives_the_section(name):
    section = section_of(name)
    file = _core.codec_write(codec_of(name))
    assert bytes(_core.codec_fields(_core.codec_read(file))["transform"]) == section


def test_smooth_means_take_few_bytes():
    """A mean map that rises evenly, with jumps from end to end of what int16 holds."""
    section = Section(48, (16, 24), (8, 8), matrices=5)
    raw = bytearray(section.bytes())
    at, end = raw.index(section.classes_bytes()) - 2 * 48 * 16 * 24, 2 * 48 * 16 * 24
    ramp = (np.add.outer(np.arange(48), np.add.outer(9 * np.arange(16), 5 * np.arange(24)))).ravel()
    ramp[5::1000] = 32767
    ramp[6::1000] = -32767
    raw[at : at + end] = ramp.astype("<i2").tobytes()
    file = _core.codec_write(make_transform(bytes(raw), inner_shape=(48, 16, 24)))
    assert bytes(_core.codec_fields(_core.codec_read(file))["transform"]) == bytes(raw)
    assert len(file) < len(raw) - 1.5 * ramp.size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "thresholds and values, or a transform"),
        ({"transform": b"no section"}, "section"),
        ({"transform": section_of("odd"), "coder": "cabac"}, "leave them out"),
        ({"transform": section_of("odd"), "values": [0, 1]}, "leave them out"),
        ({"transform": section_of("odd"), "bound": False}, "always bound"),
        ({"transform": section_of("odd"), "inner_shape": (3, 4, 5)}, "section"),
    ],
)
def test_wrong_arguments_of_codec(arguments, message):
    with pytest.raises(lwfc.ParameterError, match=message):
        lwfc.Codec(**arguments)
