"""Print what pyproject.toml requires: the package's own requirements and those of the extras named on the command line.

So that an image's layer of libraries depends on these alone, and a change of our code does not install them again.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = [line for name in sys.argv[1:] for line in project["optional-dependencies"][name]]
print("\n".join([*project["dependencies"], *extras]))
