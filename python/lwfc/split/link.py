"""The link between the two halves, and the time a sample takes on its way."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..base.checks import check_number

__all__ = ["TIMES", "Link", "latency"]

# What a sample's time is made of, in milliseconds, in order.
TIMES = ("head_ms", "encode_ms", "transfer_ms", "rtt_ms", "decode_ms", "tail_ms")


@dataclass(frozen=True)
class Link:
    """A link: ``mbit_s`` megabits (10^6 bits) a second towards the cloud, ``rtt_ms`` milliseconds
    there and back. The answer is taken to be small. Errors: ParameterError.
    """

    mbit_s: float
    rtt_ms: float = 0.0

    def __post_init__(self) -> None:
        check_number("mbit_s", self.mbit_s, 1e-9, 1e9)
        check_number("rtt_ms", self.rtt_ms, 0, 1e9)

    def transfer_ms(self, nbytes: float) -> float:
        """Milliseconds that ``nbytes`` occupy the link, without the round trip."""
        return nbytes * 8e-3 / self.mbit_s

    def to_dict(self) -> dict[str, float]:
        """The two numbers as JSON-able values."""
        return asdict(self)


def latency(
    measured: Mapping[str, float | None],
    nbytes: float | None,
    link: Link | None,
    edge_speed: float = 1.0,
    cloud_speed: float = 1.0,
) -> dict[str, Any]:
    """A sample's times by part and in sum: head + encode + bytes/bandwidth + rtt + decode + tail.

    ``measured``: milliseconds on this machine for "head", "encode", "decode" and "tail"; what is
    missing is 0. ``edge_speed``, ``cloud_speed``: how many times as fast as this machine the two
    sides are. ``nbytes`` None: nothing is sent, so there is no round trip either. ``link`` None:
    the link costs nothing.
    """
    sides = {"head": edge_speed, "encode": edge_speed, "decode": cloud_speed, "tail": cloud_speed}
    times = {f"{part}_ms": (measured.get(part) or 0.0) / speed for part, speed in sides.items()}
    sent = nbytes is not None and link is not None
    times["transfer_ms"] = link.transfer_ms(nbytes) if sent else 0.0
    times["rtt_ms"] = float(link.rtt_ms) if sent else 0.0
    times = {name: times[name] for name in TIMES}
    return times | {"total_ms": math.fsum(times.values())}
