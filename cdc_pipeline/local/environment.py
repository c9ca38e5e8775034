"""`python -m cdc_pipeline.local.environment .venv`: a virtual environment with pip, also where Python lacks ensurepip.

Debian keeps ensurepip in a package of its own; who is not root has it in the cache, with a wheel of pip. Standard
library only.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from cdc_pipeline.local import tools


def make(folder: Path) -> None:
    """Make it anew, whatever is there."""
    pip = tools.find_pip()
    wheel = pip if pip is not None and pip.suffix == ".whl" else None
    venv.create(folder, clear=True, symlinks=True, with_pip=wheel is None)
    if wheel is not None:
        command = [folder / "bin" / "python", wheel / "pip", "install", "--quiet", "--no-index", wheel]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
