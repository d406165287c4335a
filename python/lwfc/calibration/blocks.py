"""calibrate's option ``block`` of a transform."""

from typing import Any

import numpy as np

from ..base.checks import choose
from ..base.errors import ParameterError
from ..transform.geometry import Geometry, Layout, candidates

__all__ = ["geometries_of"]


def geometries_of(layout: Layout, block: Any) -> list[Geometry]:
    """The geometries to choose from. Errors: ParameterError for blocks that do not tile the map."""
    if block is None:
        return candidates(layout)
    if isinstance(block, str):
        choose("block", block, ("map",))
        sides = layout.height, layout.width
    else:
        try:
            both = tuple(block) if np.ndim(block) else (block, block)
            height, width = (int(side) for side in both)
        except (TypeError, ValueError):
            raise ParameterError(
                f'block={block!r}: must be "map", a side, or a pair (height, width)'
            ) from None
        sides = min(height, layout.height), min(width, layout.width)
    for name, side, whole in zip(
        ("height", "width"), sides, (layout.height, layout.width), strict=True
    ):
        if side < 1 or whole % side:
            divisors = [d for d in range(1, min(whole, 64) + 1) if whole % d == 0]
            raise ParameterError(
                f"block={block!r}: blocks are never padded, so its {name} must divide {whole}: "
                f"one of {', '.join(map(str, divisors))}"
            )
    if not layout.fits(*sides):
        raise ParameterError(f"block={block!r}: a block's sides are at most 64")
    return [layout.geometry(*sides)]
