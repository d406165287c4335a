"""lwfc for JAX: code tensors inside jitted functions, simulate in jax.numpy, run two halves.

    codec = calibrate(edge, images)             # edge: images -> features, jitted or not
    y = code(x, codec)                          # real bytes, under jit, vmap, grad and scan
    y = simulate(x, codec)                      # the same values wholly in jax.numpy
    device, server = split(edge, cloud, codec)  # server(device(images)), bytes in between

Needs the extra ``jax``.
"""

try:
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise ImportError(f"lwfc.jax needs JAX: pip install 'lwfc[jax]' ({error})") from error

from ..split.functions import calibrate, explore, features, split
from .attach import Tap, attach
from .code import code
from .simulate import simulate

__all__ = ["Tap", "attach", "calibrate", "code", "explore", "features", "simulate", "split"]
