"""Asks a served model, as users would: does it answer as evaluated, and without errors and delays while traffic moves?"""

import logging
import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import numpy as np

from longtail.contracts.errors import UserError
from longtail.rollout.addresses import Post
from longtail.rollout.answers import ask_v1, compare_answers, instances_of
from longtail.rollout.kubernetes_errors import Forbidden
from longtail.rollout.readiness import NotServed
from longtail.rollout.service_settings import ServiceSettings
from longtail.system.http import Unreached

log = logging.getLogger(__name__)

REACH_SECONDS = 60.0  # routes and names follow some seconds after pods are ready
PROXY_TRIES, PROXY_SECONDS = 5, 1.0  # a proxy that has nobody behind it for a moment is asked again


class Patient:
    """A way to ask that measures, and that asks again where a proxy has nobody behind it for a moment."""

    def __init__(self, post: Post) -> None:
        self.post, self.milliseconds, self.again = post, list[float](), 0

    def __call__(self, path: str, document: Any) -> Any:
        for tries in range(1, PROXY_TRIES + 1):
            start = time.monotonic()
            try:
                return self.post(path, document)
            except Unreached as error:
                if tries == PROXY_TRIES:
                    raise
                log.info("%s; asking again", error)
            finally:
                self.milliseconds.append((time.monotonic() - start) * 1000)
            self.again += 1
            time.sleep(PROXY_SECONDS)
        raise AssertionError("the last try returns or raises")


def answers_as_evaluated(post: Post, golden: Sequence[dict[str, Any]], settings: ServiceSettings) -> dict[str, Any]:
    """The smoke test on the cluster: see ``compare_answers``.

    Raises:
        NotServed: no answer within a minute, or another than the evaluated.
        Forbidden: the right to ask is missing.
    """
    deadline = time.monotonic() + min(REACH_SECONDS, settings.ready_seconds)
    while True:
        try:
            ask_v1(post, settings.name, instances_of(golden[:1]))
            break
        except Forbidden:
            raise
        except UserError as error:
            if time.monotonic() > deadline:
                raise NotServed(f"its pods are ready, but it is not reached: {error}") from None
            time.sleep(1.0)
    try:
        return compare_answers(Patient(post), settings.name, golden)
    except UserError as error:
        raise NotServed(str(error)) from None


def watch(
    posts: Sequence[Post], percent: int, golden: Sequence[dict[str, Any]], settings: ServiceSettings
) -> dict[str, Any]:
    """Ask the evaluated users at ``posts`` in turn, spread over ``deploy.step_seconds``: errors and latency of one step. What a
    proxy says of nobody behind it is no error of the bundle's, if asking again helps.

    Raises:
        NotServed: more errors or a slower 95th percentile than the settings allow.
    """
    ways, asked, faults = [Patient(post) for post in posts], settings.step_requests, []
    for way, instance in zip(cycle(ways), islice(cycle(instances_of(golden)), asked)):
        try:
            ask_v1(way, settings.name, [instance])
        except Forbidden:
            raise
        except UserError as error:
            faults.append(str(error))
        time.sleep(settings.step_seconds / asked)
    p95 = float(np.percentile([took for way in ways for took in way.milliseconds], 95))
    again = sum(way.again for way in ways)
    log.info(
        "%d %% of the traffic: %d of %d requests failed, %d were asked again as a proxy found nobody, p95 %.0f ms",
        percent, len(faults), asked, again, p95,
    )  # fmt: skip
    if len(faults) / asked > settings.max_error_share:
        raise NotServed(
            f"with {percent} % of the traffic {len(faults)} of {asked} requests failed, the last one so: "
            f"{faults[-1]} (deploy.max_error_share is {settings.max_error_share:g})"
        )
    if p95 > settings.max_p95_ms:
        raise NotServed(
            f"with {percent} % of the traffic the 95th percentile of the latency was {p95:.0f} ms "
            f"(deploy.max_p95_ms is {settings.max_p95_ms:g})"
        )
    counts = {"percent": percent, "requests": asked, "errors": len(faults), "asked_again": again}
    return counts | {"p95_ms": round(p95, 1)}
