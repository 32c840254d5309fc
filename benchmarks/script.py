"""How a benchmark ends as a script: with the result of its main, or with one line for what its user can mend."""

import sys
from collections.abc import Callable
from typing import NoReturn

from longtail.contracts.errors import EXIT_CODE, UserError


def run(main: Callable[[], int]) -> NoReturn:
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)
