"""What watching costs: microseconds of a core for each request of one user and ten items, by metrics and by traces.

    python benchmarks/watching.py

The least of several rounds, beside what the same counts cost where each looks its series up.
"""

import os
import sys
import time
import timeit
from collections.abc import Callable
from typing import Any

from longtail.components.predict import monitoring
from longtail.components.predict.batching import Moments
from longtail.components.predict.tracing import traces_from_environment
from longtail.scoring.asked import Asked

SOURCES = ("co-occurrence",) * 7 + ("history",) * 2 + ("popularity",)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"
NOBODY = "http://127.0.0.1:9"  # discards; spans that find no room are dropped
ROUNDS, CALLS = 7, 400


def microseconds(call: Callable[[], None]) -> float:
    return min(timeit.repeat(call, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def main() -> None:
    begin = time.perf_counter()
    moments = Moments(begin, begin + 0.0001, begin + 0.0002, begin + 0.001, begin + 0.002)
    items = [{"source": source, "score": 10.0} for source in SOURCES]
    answer: dict[str, Any] = {"segment": "tail", "degraded": None, "fewer_than_k": None, "items": items}
    predictions, asked, meter = [answer | {"bundle_version": "v"}], [Asked(k=10)], monitoring.Meter("shop")

    def bound() -> None:
        meter.ended("served")
        meter.answered(predictions)
        meter.took(moments.phases())

    def looked_up() -> None:
        monitoring.REQUESTS.labels("shop", "served").inc()
        monitoring.ANSWERS.labels("shop", "tail", "no").inc()
        monitoring.FIRST_SCORE.labels("shop").observe(10.0)
        for item in items:
            monitoring.ITEMS.labels("shop", item["source"]).inc()
        for phase, (start, end) in moments.phases().items():
            monitoring.SECONDS.labels("shop", phase).observe(end - start)

    os.environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
    traces = traces_from_environment("shop")
    if traces is None:
        raise SystemExit("error: OTEL_SDK_DISABLED is set; unset it")
    record = traces.record

    print(f"{'metrics':<28}{microseconds(bound):>8.1f}")
    print(f"{'metrics, looked up each time':<28}{microseconds(looked_up):>8.1f}")
    for name, flag in (("trace, sampled", "01"), ("trace, not sampled", "00")):
        headers = {"traceparent": TRACEPARENT + flag}
        cost = microseconds(lambda given=headers: record(given, "served", moments, asked, predictions))  # type: ignore[misc]
        print(f"{name:<28}{cost:>8.1f}")
    sys.stdout.flush()
    os._exit(0)  # not to wait for the collector that is not there


if __name__ == "__main__":
    main()
