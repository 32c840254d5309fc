"""What the data sets of the quality benchmark need beside the defaults, by the names of their folders."""

SETTINGS: dict[str, list[str]] = {
    "amazon-beauty": [],
    "amazon-toys": [],
    "movielens-100k": [],
    "rent-the-runway": [
        "preprocess.split=global_time",
        "preprocess.events=[rent]",
        "preprocess.context=[rented_for]",
    ],
    "movietweetings-100k": ["preprocess.split=global_time", "preprocess.events=[rate]"],
    "amazon-games-timesplit": ["preprocess.split=given", "preprocess.events=[interact]"],
}
