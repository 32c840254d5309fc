"""The package kserve: ``from longtail.system.kserve_sdk import kserve``, never directly.

kserve 0.21 parses ``sys.argv`` when it is imported, by an argparse that takes ``--config FILE`` for an abbreviation of its
``--configure_logging`` and ends the process. So it is imported while there are no arguments.
"""

import sys

_arguments, sys.argv = sys.argv, ["longtail"]
try:
    import kserve
finally:
    sys.argv = _arguments

__all__ = ["kserve"]
