"""Write the entry by which vsrepo lists this plugin.

    python -m release.vsrepo > animesr.json

It goes into the folder `local` of vsrepo's repository, which takes versions and files from the
package index by `pypiname`.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
DEVICES = ["cpu", "cuda"]
"""As vsrepo names them: those that have an own name there."""


def entry(root: Path = ROOT) -> dict[str, object]:
    """The entry, out of what the project says of itself.

    Args:
        root: The project's folder.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shim = (root / "native" / "animesr.c").read_text(encoding="utf-8")
    names = re.search(r'configPlugin\("([\w.]+)", "(\w+)"', shim)
    assert names, "native/animesr.c registers no plugin"
    return {
        "name": "AnimeSR",
        "type": "VSPlugin",
        "category": "Resizing and Format Conversion",
        "description": project["description"],
        "identifier": names[1],
        "namespace": names[2],
        "pypiname": project["name"],
        "device": DEVICES,
        "releases": [],
    }


if __name__ == "__main__":
    json.dump(entry(), sys.stdout, indent="\t", ensure_ascii=False)
    sys.stdout.write("\n")
