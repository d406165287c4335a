"""lwfc on PyTorch models.

codec = lwfc.torch.calibrate(model, "layer2", images, levels=4)
with lwfc.torch.attach(model, {"layer2": codec}) as tap:
    evaluate(model)
print(tap.report())
edge, cloud = lwfc.torch.split(model, "layer2", codec, example=images[:2])
"""

from .attach import Tap, attach
from .explore import explore
from .features import calibrate, features
from .operator import register
from .report import Report
from .restorer import Restorer
from .saving import load_split, save_split
from .split import split
from .tune import tune

__all__ = [
    "Report",
    "Restorer",
    "Tap",
    "attach",
    "calibrate",
    "explore",
    "features",
    "load_split",
    "register",
    "save_split",
    "split",
    "tune",
]
