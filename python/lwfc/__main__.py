"""python -m lwfc"""

import sys

from .tools.cli import main

sys.exit(main())
