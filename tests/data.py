"""Where the public data sets lie that some tests read: beside the checkout, or where STAYCAST_DATA says."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(os.environ.get("STAYCAST_DATA", Path(__file__).parents[2] / "shared" / "data"))
