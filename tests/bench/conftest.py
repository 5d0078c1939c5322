"""The benchmarks' load side is not an installed package: it lies beside the scripts that use it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "benches"))
