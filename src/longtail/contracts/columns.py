"""The names of columns, in input tables and in the Prepared data set."""

DAY = 86_400_000_000  # microseconds


class Columns:
    """Column names. Ids are the user's own strings; codes (``*_code``) are private to one artifact."""

    # input tables
    USER = "user_id"
    ITEM = "item_id"
    TIMESTAMP = "timestamp"  # a time; in the Prepared data set int64, microseconds since 1970
    EVENT = "event"  # optional: view, click, cart, purchase, rating
    VALUE = "value"  # optional: the rating
    TITLE = "title"
    DESCRIPTION = "description"
    ATTRIBUTES = "attributes"  # list[str]
    IMAGE = "image"  # optional: the address of a picture, or a vector of one; the same in the Prepared data set

    # Prepared data set
    USER_CODE = "user_code"  # int32, rank of user_id in sorted order
    ITEM_CODE = "item_code"  # int32, rank of item_id in sorted order
    POSITION = "position"  # int32, 0-based place in the user's history
    SPLIT = "split"  # int8, see prepared.Split
    TIED = "tied"  # bool, another event of the user has the same time
    CONTEXT = "context"  # list[str] ``name=value``, what was known of the moment before the choice
    TEXT = "text"  # title | attributes | description
    NUMERIC = "numeric"  # list[float32], standardised; names in the manifest
    NUMBERS = "numbers"  # list[float64], as they were given; null where there is none; names as those of ``numeric``
    TRAIN_COUNT = "train_count"  # int64, training events of the item
