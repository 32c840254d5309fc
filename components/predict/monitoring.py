"""What Prometheus reads at ``/metrics`` beside KServe's own histograms of seconds; a label ``model_name`` on each."""

from prometheus_client import Counter, Gauge

OUTCOMES = ("served", "refused", "turned_away", "failed")

REQUESTS = Counter(
    "longtail_requests",
    "Requests: served, refused (the client's fault), turned_away (overload), failed (ours).",
    ["model_name", "outcome"],
)
ANSWERS = Counter("longtail_answers", "Users answered.", ["model_name"])
DEGRADED = Counter(
    "longtail_degraded_answers",
    "Users not answered as they asked: no item of history or similar_to is known, or a followed file cannot be taken.",
    ["model_name"],
)
DATA_UNTIL = Gauge(
    "longtail_data_until_timestamp_seconds",
    "Time of the newest interaction in the data that the model was made from.",
    ["model_name"],
)

FILE_TAKEN = Gauge(
    "longtail_file_taken",
    "1 where the file (availability, rules) acts as it is, 0 where its last good state does.",
    ["model_name", "file"],
)


def start_at_zero(model_name: str) -> None:
    """A rate needs a series that was there before its first increase."""
    for outcome in OUTCOMES:
        REQUESTS.labels(model_name, outcome)
    ANSWERS.labels(model_name)
    DEGRADED.labels(model_name)
