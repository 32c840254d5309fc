"""The one text form of an id: 12, 12.0, " 12 " and "12" are one user, whichever file or request says so.

``tables/id_sql.py`` says the same in SQL, for columns of tables.
"""

import math
import re
from decimal import Decimal

WHITE = " \t\n\r\u00a0\ufeff"  # around an id it is never meant; 00a0 and feff come from spreadsheets and web pages
WHOLE = "(0|-?[1-9][0-9]*)[.]0"  # a whole number as pandas, Spark and JavaScript write a float
MISSING_WORDS = (
    "nan",
    "null",
    "none",
    "na",
    "n/a",
    "<na>",
    "nil",
    "undefined",
)  # ids only by a mistake, in small letters


def canonical_id(value: object) -> str | None:
    """An id's text as it is compared and kept; None where there is no id (null, NaN, infinite, blank).

    Whole floats lose their ``.0``, also as text; whole numbers keep every digit; leading zeros, case and inner white space
    of texts stay; surrounding white space goes.

    >>> [canonical_id(value) for value in (12, 12.0, "12.0", " 12 ", "007", "a b", float("nan"), None, " ")]
    ['12', '12', '12', '12', '007', 'a b', None, None, None]
    """
    if value is None:
        return None
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value == int(value) else str(value)
    text = str(value).strip(WHITE)
    whole = re.fullmatch(WHOLE, text)
    return (whole[1] if whole else text) or None
