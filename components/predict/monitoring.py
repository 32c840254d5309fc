"""What Prometheus reads at ``/metrics`` beside KServe's own histograms of seconds; a label ``model_name`` on each.

Every label has a few values that are known beforehand: nothing that a client sends becomes one.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from prometheus_client import Counter, Gauge, Histogram

from longtail.contracts.segments import SEGMENTS
from longtail.scoring.reasons import Source

OUTCOMES = ("served", "refused", "turned_away", "failed")
PHASES = ("reading", "waiting", "scoring", "whole")
# The fastest answer takes half a millisecond of a core, a request is given up after ten seconds; .25 is what LongtailSlow asks for
SECONDS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# First items of the demo, Amazon Beauty and MovieLens score from 5 to 42, nine of ten of one bundle within 10: steps of 2 show a shift
SCORE_BUCKETS = (*range(0, 34, 2), 40, 48, 64)

REQUESTS = Counter(
    "longtail_requests",
    "Requests: served, refused (the client's fault), turned_away (overload), failed (ours).",
    ["model_name", "outcome"],
)
ANSWERS = Counter(
    "longtail_answers",
    "Users answered, by segment; degraded is yes where not as they asked: no item of history or similar_to is known, nothing "
    "is explored because of a rule, or a followed file cannot be taken.",
    ["model_name", "segment", "degraded"],
)
FEWER = Counter("longtail_fewer_than_k", "Users given fewer items than they asked for.", ["model_name"])
ITEMS = Counter(
    "longtail_items", "Items given, by the source of their reason, where it was asked for.", ["model_name", "source"]
)
FIRST_SCORE = Histogram(
    "longtail_first_score",
    "Score of the first item of each answer: where it shifts, users, catalogue or model did.",
    ["model_name"],
    buckets=SCORE_BUCKETS,
)
SECONDS = Histogram(
    "longtail_phase_seconds",
    "Seconds of served requests: reading (checking what is asked), waiting (for a thread), scoring (with what waited along), whole.",
    ["model_name", "phase"],
    buckets=SECONDS_BUCKETS,
)
DATA_UNTIL = Gauge(
    "longtail_data_until_timestamp_seconds",
    "Time of the newest interaction in the data that the model was made from.",
    ["model_name"],
)

FILE_TAKEN = Gauge(
    "longtail_file_taken",
    "1 where the file (availability, rules, tokens) acts as it is, 0 where its last good state does.",
    ["model_name", "file"],
)

BUNDLE_TAKEN = Gauge(
    "longtail_bundle_taken",
    "1 where the followed registry's champion serves, 0 where it cannot be taken and the bundle before serves on.",
    ["model_name"],
)

KEPT_OUT = Counter(
    "longtail_kept_out",
    "Requests that were not read: 401 no known token, 403 not its scope, 429 beyond its rate, 413 too long a body.",
    ["model_name", "status"],
)
KEPT_OUT_BY = ("401", "403", "413", "429")


class Meter:
    """Counts for one model. Its series are looked up here, once, which costs more than counting; and a rate needs a series that was
    there before its first increase."""

    def __init__(self, model_name: str) -> None:
        self._outcomes = {outcome: REQUESTS.labels(model_name, outcome) for outcome in OUTCOMES}
        self._answers = {
            (segment, degraded): ANSWERS.labels(model_name, segment, "yes" if degraded else "no")
            for segment in SEGMENTS
            for degraded in (True, False)
        }
        self._fewer, self._first_score = FEWER.labels(model_name), FIRST_SCORE.labels(model_name)
        self._items = {source: ITEMS.labels(model_name, source) for source in get_args(Source)}
        self._seconds = {phase: SECONDS.labels(model_name, phase) for phase in PHASES}
        for status in KEPT_OUT_BY:
            KEPT_OUT.labels(model_name, status)

    def ended(self, outcome: str) -> None:
        """A request did."""
        self._outcomes[outcome].inc()

    def answered(self, predictions: Iterable[Mapping[str, Any]]) -> None:
        """The users of a served request."""
        sources = Tally[str]()
        for one in predictions:
            self._answers[one["segment"], one["degraded"] is not None].inc()
            if one["fewer_than_k"] is not None:
                self._fewer.inc()
            if one["items"]:
                self._first_score.observe(one["items"][0]["score"])
            sources.update(item["source"] for item in one["items"] if item["source"] is not None)
        for source, count in sources.items():
            self._items[source].inc(count)

    def took(self, phases: Mapping[str, tuple[float, float]]) -> None:
        """phase -> begin and end, in seconds, of a served request."""
        for phase, (begin, end) in phases.items():
            self._seconds[phase].observe(end - begin)
