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
from longtail.rollout.readiness import NotServed
from longtail.rollout.service_settings import ServiceSettings

log = logging.getLogger(__name__)

REACH_SECONDS = 60.0  # routes and names follow some seconds after pods are ready


def answers_as_evaluated(post: Post, golden: Sequence[dict[str, Any]], settings: ServiceSettings) -> dict[str, Any]:
    """The smoke test on the cluster: see ``compare_answers``.

    Raises:
        NotServed: no answer within a minute, or another than the evaluated.
    """
    deadline = time.monotonic() + min(REACH_SECONDS, settings.ready_seconds)
    while True:
        try:
            ask_v1(post, settings.name, instances_of(golden[:1]))
            break
        except UserError as error:
            if time.monotonic() > deadline:
                raise NotServed(f"its pods are ready, but it is not reached: {error}") from None
            time.sleep(1.0)
    try:
        return compare_answers(post, settings.name, golden)
    except UserError as error:
        raise NotServed(str(error)) from None


def watch(
    posts: Sequence[Post], percent: int, golden: Sequence[dict[str, Any]], settings: ServiceSettings
) -> dict[str, Any]:
    """Ask the evaluated users at ``posts`` in turn, spread over ``deploy.step_seconds``: errors and latency of one step.

    Raises:
        NotServed: more errors or a slower 95th percentile than the settings allow.
    """
    milliseconds, faults = [], []
    requests = zip(cycle(posts), islice(cycle(instances_of(golden)), settings.step_requests))
    for post, instance in requests:
        start = time.monotonic()
        try:
            ask_v1(post, settings.name, [instance])
        except UserError as error:
            faults.append(str(error))
        milliseconds.append((time.monotonic() - start) * 1000)
        time.sleep(settings.step_seconds / settings.step_requests)
    share, p95 = len(faults) / settings.step_requests, float(np.percentile(milliseconds, 95))
    measured = {"percent": percent, "requests": settings.step_requests, "errors": len(faults), "p95_ms": round(p95, 1)}
    log.info(
        "%d %% of the traffic: %d of %d requests failed, p95 %.0f ms", percent, len(faults), len(milliseconds), p95
    )
    if share > settings.max_error_share:
        raise NotServed(
            f"with {percent} % of the traffic {len(faults)} of {len(milliseconds)} requests failed, the last one so: "
            f"{faults[-1]} (deploy.max_error_share is {settings.max_error_share:g})"
        )
    if p95 > settings.max_p95_ms:
        raise NotServed(
            f"with {percent} % of the traffic the 95th percentile of the latency was {p95:.0f} ms "
            f"(deploy.max_p95_ms is {settings.max_p95_ms:g})"
        )
    return measured
