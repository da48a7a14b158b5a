"""Long runs of evidence: each module proves one claim of docs/reliability.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
