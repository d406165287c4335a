"""Split networks, whatever made them: links, cuts, the container of several tensors, the explorer.

Nothing here knows a framework; ``lwfc.torch`` and others list cuts and run the two halves.
"""

from .bundle import pack, unpack
from .cuts import Cut, LiveTensor
from .explore import Network, Survey, explore
from .link import Link
from .profiles import PROFILES, Profile
from .result import Exploration, merge

__all__ = [
    "PROFILES",
    "Cut",
    "Exploration",
    "Link",
    "LiveTensor",
    "Network",
    "Profile",
    "Survey",
    "explore",
    "merge",
    "pack",
    "unpack",
]
