"""calibrate: from sample activations of a layer to its Codec."""

from typing import Any

import numpy as np

from ..base.errors import CalibrationWarning, ParameterError
from ..base.progress import Progress, takes_progress
from ..base.threads import blas_limit, thread_count
from ..base.warn import warn_caller
from ..codec.codec import Codec
from ..model.ranges import RangeChoice, guess_activation
from .fitting import Fitting, fit_parts
from .integers import Integers
from .options import check_options, warn_of_idle
from .quantizers import make_quantizers
from .samples import Batches, opened
from .statistics import Statistics, measure
from .transforming import with_transform

__all__ = ["calibrate"]

# The lowest numbers of float32, float16 and bfloat16.
FILLED = np.float32([-3.4028235e38, -65504, -3.3895314e38])
BOUNDS = {"relu": (0.0, np.inf), "relu6": (0.0, 6.0)}  # no restored value leaves these


@takes_progress
@with_transform
def calibrate(
    samples: Any,
    *,
    transform: str = "none",
    block: Any = None,
    step: float | None = None,
    distortion: float | None = None,
    target_bits: float | None = None,
    metric: Any = None,
    levels: int = 4,
    activation: str = "auto",
    slope: float = 0.1,
    kappa: float | None = None,
    clip: Any = "model",
    clip_scale: float = 1.0,
    clip_lo: float | str | None = None,
    quantizer: str = "uniform",
    rate_weight: float = 0.0,
    coder: str = "rans",
    restore: str = "none",
    restore_strength: float = 1.0,
    granularity: str = "tensor",
    channel_axis: int | None = None,
    scale: Any = None,
    zero_point: Any = 0,
    nan: str = "zero",
    bound: bool | None = None,
    progress: Progress | bool | None = None,
    batched: bool | None = None,
    sample_axis: int = 0,
    num_threads: int | None = 1,
) -> Codec:
    """A codec for tensors like the samples; neither labels nor gradients are needed.

    ``samples``
        One array or tensor whose axis 0 counts samples (of any library, or of an HDF5 or zarr
        file, which is read in slices), or an iterable of such batches or of single samples: a
        list, a data set, a data loader. Labels beside the features are left out. Memory does not
        grow with their number: what can be iterated again is, up to three times; a generator is
        consumed once, into a temporary file.
    ``batched``, ``sample_axis``
        Whether axis 0 of each array counts samples; None: seen from the first ones, with a
        warning where nothing tells. ``sample_axis`` is 1 for (time, samples, channels): samples
        are then read, and to be coded, as ``numpy.moveaxis(x, 1, 0)``.
    ``transform``
        "none": a quantizer for each value, everything from ``levels`` to ``granularity`` below.
        "dct": the transform profile, smallest by far for *one* second half: faithful to its
        outputs, not to the features, and to be calibrated anew for a retrained head. Nothing of
        the plain profile goes with it but ``channel_axis`` and ``nan``. "auto": whichever codes
        held-out samples smaller at equal distortion. Falling back is a CalibrationWarning.
    ``metric``
        Gradients of random projections of the outputs with respect to the samples (r . outputs,
        r of +-1): an array shaped like the samples, or with a first or second axis of draws, or
        an iterable of such batches. None: an error counts the less the higher its frequency.
        :func:`lwfc.torch.calibrate` makes them.
    ``step``, ``distortion``, ``target_bits``
        One of them: the transform's step in units of the features; the share of the outputs'
        power that errors may have, by the gradients of held-out samples, 0.02 unless given; bits
        per element of one stream a sample, every byte counted, which other samples may pass by a
        fifth where there are but a dozen. Without gradients distortion is a share of the features'
        power by frequency, and says nothing of the outputs: measure those.
        ``metadata["distortion_measure"]`` tells which. A distortion that no step meets, as of few
        samples, is left to the profile with levels, with a CalibrationWarning.
    ``block``
        Of the transform: None (chosen on held-out samples), "map", a side, or (height, width);
        sides divide the map's. Features must then always have the calibrated inner shape.
    ``levels``
        Number of symbols, 2 to 256. Entropy-constrained designs may end with fewer.
    ``activation``, ``slope``, ``kappa``
        "relu", "relu6", "leaky_relu" with its ``slope``, "identity": the paper's model of it, with
        a warning where the samples do not follow it. "auto" guesses the activation from the
        values and takes its model where that fits the samples, else their own law (SiLU, GELU,
        BatchNorm after ReLU, offsets); ``metadata["law"]`` says which. ``kappa`` is the model's
        skew, None: 0.5 as in the paper, 1 for "identity".
    ``clip``
        The range: "model" (least squared error under the model or the samples' own law), "mse"
        (on the samples), "aciq", "minmax", "percentile" (99.9), or a pair (lo, hi). The lower end
        is 0 after a named (leaky) ReLU, else chosen; ``clip_lo`` gives another, or "free" to
        choose it as well (networks may need the negative values of a leaky ReLU). Where it is
        chosen, a level is exactly 0 if values stop at 0, if a tenth of them are 0 (three levels
        or more), or if it costs 5 % of squared error at most; others may then lie unevenly.
        ``clip_scale`` stretches the range: at its upper end where there is a floor, from 0 where
        that is kept, else at both ends.
    ``quantizer``
        "uniform"; "ecsq", entropy-constrained with the outer values kept; "deadzone", uniform
        values with thresholds moved a sixth of a step away from zero.
    ``rate_weight``
        What one bit is worth, as squared error in units of the samples' variance. Used by the
        design of "ecsq", and by the encoder's rate-distortion pass with ``coder="context"``.
    ``coder``
        "raw", "cabac", "rans" or "context"; see :class:`lwfc.Codec`.
    ``restore``
        What the decoder puts back: "none" the quantizer's values, "centroid" the mean of each
        cell (but 0 where that is a mass point), "local" and "linear" least-squares estimates from
        decoded neighbours, of the own channel and of all; no channel's error is larger than with
        its quantizer's values. ``restore_strength`` 0..1 blends from centroid to estimate.
    ``granularity``, ``channel_axis``
        One quantizer for the "tensor" or for each "channel". ``channel_axis=None`` measures which
        axis holds the channels: the one that codes best; ``repr`` and ``metadata["channels"]`` say
        which. A warning (CalibrationWarning) names two that code alike.
    ``scale``, ``zero_point``
        For int8 and uint8 samples q of a quantized network, which stand for (q - zero_point) *
        scale: numbers, or arrays with one for each channel. All ranges are chosen for what the
        integers stand for; the codec takes and gives the integers. None: PyTorch's quantized
        tensors know theirs, other integers are numbers like all others.
    ``nan``, ``bound``
        As for :class:`lwfc.Codec`; "raise" also refuses samples with NaN or infinities. None
        binds the streams of ``granularity="channel"``, whose tables would outweigh what they code.
    ``progress``
        None and False: silence. True: a bar on terminals and in notebooks, elsewhere lines, on
        standard error. Else called as ``progress(done, total, what)``; total is None while
        unknown.

    Statistics no model has (a mean not above 0 after a named ReLU) give the samples' best range,
    a constant c gives [c, c + max(1, abs(c))], both with a CalibrationWarning; so does one channel
    or token that takes the range from all others.
    An option without effect beside the others gets an OptionWarning that says what it needs.
    Errors: ParameterError, naming the parameter.
    """
    options = dict(
        levels=levels,
        activation=activation,
        slope=slope,
        kappa=kappa,
        clip=clip,
        clip_scale=clip_scale,
        clip_lo=clip_lo,
        quantizer=quantizer,
        rate_weight=rate_weight,
        coder=coder,
        restore=restore,
        restore_strength=restore_strength,
        granularity=granularity,
        channel_axis=channel_axis,
        nan=nan,
    )
    check_options(options)
    integers = None if scale is None else Integers(scale, zero_point)
    num_threads = thread_count(num_threads)
    with opened(samples, progress, batched=batched, sample_axis=sample_axis) as batches:
        layout = batches.layout(channel_axis)
        channel_axis = layout.channel_axis
        if integers is None and batches.scales:
            integers = Integers(*next(iter(batches.scales)))
        walked = batches if integers is None else integers.walk(batches, layout.axis)
        statistics = measure(
            walked,
            channels=granularity == "channel",
            channel_axis=channel_axis,
            num_threads=num_threads,
        )
        _check_samples(statistics, nan)
        _check_scales(batches)
        whole = statistics.tensor
        auto = activation == "auto"
        if auto:
            activation = guess_activation(whole.moments, whole.sample)
        choice = RangeChoice(levels, activation, slope, kappa, clip, clip_scale, clip_lo, auto)
        variance = whole.moments.variance
        made = make_quantizers(
            statistics,
            choice,
            quantizer,
            rate_weight * variance,
            restored=restore != "none",
            channel_axis=layout.axis,
        )
        warn_of_idle(options | {"activation": activation}, made.law)
        notes = {
            "activation": activation,
            "clip": clip if isinstance(clip, str) else [float(end) for end in clip],
            "clip_scale": float(clip_scale),
            "range": [float(made.values.min()), float(made.values.max())],
            "law": made.law,
            "channels": layout.note,
            "quantizer": quantizer,
            "restore": restore,
            "restore_strength": float(restore_strength),
            "rate_weight": float(rate_weight),
            "samples": statistics.nsamples,
            "mean": whole.moments.mean,
            "variance": variance,
        }
        bounds, weight = BOUNDS.get(activation, (-np.inf, np.inf)), rate_weight * variance
        if integers is not None:
            dtype = walked.dtype
            made.thresholds, made.values = integers.tables(made.thresholds, made.values, dtype)
            bounds, weight = integers.bounds(bounds, dtype), integers.rate_weight(weight)
            notes |= integers.notes(dtype)
            notes["range"] = [float(made.values.min()), float(made.values.max())]
        arguments = dict(channel_axis=channel_axis, inner_shape=statistics.inner_shape, nan=nan)
        if bound is None and len(made.values) > 1:
            bound = True  # a table for each channel is far larger than what it decodes
        if coder != "context" and restore == "none":
            return Codec(made.thresholds, made.values, coder=coder, bound=bound, metadata=notes,
                         **arguments)  # fmt: skip
        plain = Codec(
            made.thresholds,
            made.values,
            coder="rans" if coder == "context" else coder,
            **arguments,  # no notes yet: an integer type there would refuse the batches' floats
        )
        fitting = Fitting(
            context=coder == "context",
            restore=restore,
            strength=float(restore_strength),
            rate_weight=weight,
            bounds=bounds,
            zeros=np.broadcast_to(made.zeros, len(made.values)),
            at=np.zeros(1) if integers is None else integers.zero_point,
            progress=progress,
            num_threads=num_threads,
        )
        with blas_limit(num_threads):
            parts = fit_parts(plain, batches, fitting)
        if integers is not None and "values" in parts:
            parts["values"] = integers.rounded(parts["values"], dtype)
    return plain.replace(bound=bound, metadata=notes, **parts)


def _check_scales(batches: Batches) -> None:
    if len(batches.scales) > 1:
        raise ParameterError(
            f"the samples are quantized with {len(batches.scales)} scales: pass x.dequantize(), or "
            "those of one scale"
        )


def _check_samples(statistics: Statistics, nan: str) -> None:
    moments = statistics.tensor.moments
    if nan == "raise" and moments.nonfinite:
        raise ParameterError(
            f'the samples hold {moments.nonfinite} NaN or infinities; nan="zero" leaves them out'
        )
    if not moments.count:
        raise ParameterError("the samples hold no finite value: nothing to calibrate on")
    filled = np.isin(statistics.tensor.sample, FILLED)
    if filled.any() and not filled.all():
        warn_caller(
            f"{100 * filled.mean():.2g} % of the values are the lowest of a float type, as masks "
            "of attention are filled: they decide the range; leave them out with mask= of a "
            "framework's calibrate, or give the others' with clip=(lo, hi)",
            CalibrationWarning,
        )
