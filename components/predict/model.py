"""The KServe model: a Student bundle behind the V1 and V2 protocols.

V1  {"instances": [{"history": ["id", ...], "attributes": {"gender": "F"}, "interests": "text", "k": 10, ...}]}
    -> {"predictions": [{"items": [{"item_id", "title", "score", "reason", "source", "about"}], "segment", ...}]}
V2  BYTES tensor ``request`` [n], an instance's JSON in each element
    -> BYTES tensor ``recommendations`` [n], a prediction's JSON in each element
"""

import json
import logging
import math
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from grpc_interceptor.exceptions import Unavailable

from longtail.components.predict import monitoring
from longtail.components.predict.batching import Batching, Moments, OverloadError
from longtail.components.predict.followed_file import FollowedFile
from longtail.components.predict.following_champion import FollowedChampion
from longtail.components.predict.options import DEFAULTS, Options
from longtail.components.predict.request import (
    INPUT_TENSOR,
    Instance,
    instances_of_v1,
    instances_of_v2,
    refused,
)
from longtail.components.predict.service import Served, Service
from longtail.components.predict.tracing import traces_from_environment
from longtail.contracts.errors import UserError
from longtail.scoring.asked import Asked
from longtail.system.kserve_sdk import kserve
from longtail.system.machine import available_cores

log = logging.getLogger(__name__)

OUTPUT_TENSOR = "recommendations"
LAST_GOOD = "the file of {} cannot be taken; what it last said acts"
RETRY_AFTER = "1"  # seconds
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

Prediction = dict[str, Any]


@dataclass(frozen=True)
class _Question:
    """served: what it was checked with, which answers it, whatever takes its place meanwhile."""

    asked: Asked
    served: Served


def request_id(given: str | None) -> str:
    """The client's own, where logs can hold it; else a new one."""
    return given if given and REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def _header(headers: Any) -> str | None:
    return headers.get("x-request-id") if isinstance(headers, dict) else None


class RecommendationModel(kserve.Model):
    """Scores off the event loop, in threads that leave it a core; each takes the requests that wait together."""

    def __init__(self, name: str, bundle: str | os.PathLike[str], options: Options = DEFAULTS) -> None:
        super().__init__(name)
        self.path, self.options = bundle, options
        self.followed: dict[str, FollowedFile] = {}
        self._service = Service(options.max_k)
        threads = max(available_cores() - 1, 1)
        self._batching = Batching(self._predictions, threads, options.most_waiting, options.seconds)

    def load(self) -> bool:
        """Read and check the bundle; ready only once a first answer was computed.

        Raises:
            UserError: naming the bundle's file that is missing or changed, or what is wrong with a file of the options.
        """
        self._meter, self._traces = monitoring.Meter(self.name), traces_from_environment(self.name)
        for name, path, take in (
            ("availability", self.options.availability, self._service.close),
            ("rules", self.options.rules, self._service.obey),
        ):
            if path is not None:
                followed = FollowedFile(name, path, take)
                monitoring.FILE_TAKEN.labels(self.name, name).set_function(followed.is_good)
                self.followed[name] = followed
        if self.options.follow is None:
            self._service.take_bundle(self.path)
        else:
            champion = FollowedChampion(
                self.options.follow, self._service, Path(self.path), self.options.follow_seconds
            )
            champion.start()
            monitoring.BUNDLE_TAKEN.labels(self.name).set_function(champion.is_taken)
        # bundles made before it was recorded have none
        if self.options.follow or "data_until" in self._service.now.bundle.facts:
            monitoring.DATA_UNTIL.labels(self.name).set_function(self._data_until)
        self.ready = True
        return self.ready

    def _data_until(self) -> float:
        return float(self._service.now.bundle.facts.get("data_until", math.nan))

    def get_input_types(self) -> list[dict[str, Any]]:
        return [{"name": INPUT_TENSOR, "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        return [{"name": OUTPUT_TENSOR, "datatype": "BYTES", "shape": [-1]}]

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        """Answer a V1 body or a V2 request.

        Raises:
            InvalidInput: what is wrong with the request; the client gets it as a 400.
        """
        if isinstance(payload, kserve.InferRequest):
            number = request_id(payload.id or _header(headers))
            predictions = await self._answered(
                lambda: instances_of_v2(payload), number, headers, bool(payload.from_grpc)
            )
            texts = [json.dumps(prediction, ensure_ascii=False).encode() for prediction in predictions]
            output = kserve.InferOutput(OUTPUT_TENSOR, [len(texts)], "BYTES")
            output.set_data_from_numpy(np.array(texts, dtype=np.object_))  # kserve makes it JSON again where asked
            return kserve.InferResponse(
                payload.id or "",  # kserve demands a text here, also of a request without an id
                self.name,
                [output],
                use_binary_outputs=payload.use_binary_outputs,
                requested_outputs=payload.request_outputs,
            )
        number = request_id(_header(headers))
        return {"predictions": await self._answered(lambda: instances_of_v1(payload), number, headers)}

    async def explain(self, payload: Any, headers: Any = None) -> Any:
        """KServe's verb for models that explain apart from answering.

        Raises:
            InvalidInput: always; a 501 would count as a failure of the server.
        """
        raise refused(":explain is not answered here; :predict gives a reason with each item")

    async def _answered(
        self, read: Callable[[], list[Instance]], number: str, headers: Any, by_grpc: bool = False
    ) -> list[Prediction]:
        moments, outcome = Moments(time.perf_counter()), None
        questions, predictions = list[_Question](), list[Prediction]()
        try:
            questions = self._asked(read())
            moments.read = time.perf_counter()
            predictions = await self._batching.answer(questions, moments)
            outcome = "served"
        except kserve.errors.InvalidInput:
            outcome = "refused"
            raise
        except OverloadError as overload:
            outcome = "turned_away"
            message = f"overloaded: {overload}; ask again later"
            if by_grpc:
                raise Unavailable(message) from None
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": RETRY_AFTER}) from None
        except Exception:
            outcome = "failed"
            log.exception("a request failed")  # without its text, which may be the client's: see private_logs
            # KServe shows clients an exception's text: theirs tells nothing of the inside
            raise RuntimeError("internal error; the server's log has the details") from None
        finally:
            moments.ended = time.perf_counter()
            if outcome is not None:  # else the client went away
                self._meter.ended(outcome)
                if self._traces is not None:
                    self._traces.record(headers, outcome, moments, [one.asked for one in questions], predictions)
        self._meter.answered(predictions)
        self._meter.took(moments.phases())
        return [prediction | {"request_id": number} for prediction in predictions]

    def _asked(self, instances: list[Instance]) -> list[_Question]:
        served = self._service.now
        asked = [instance.asked() for instance in instances]
        for number, one in enumerate(asked):
            try:
                served.recommender.check(one)
            except UserError as error:
                raise refused(f"instance {number}: {error}") from None
        return [_Question(one, served) for one in asked]

    def _predictions(self, questions: list[_Question]) -> list[Prediction]:
        predictions = [
            vars(answer) | {"items": [vars(item) for item in answer.items], "bundle_version": served.version}
            for served, group in groupby(questions, key=lambda question: question.served)
            for answer in served.recommender.answers([question.asked for question in group])
        ]
        for faulty in (followed.name for followed in self.followed.values() if followed.fault is not None):
            for prediction in predictions:
                prediction["degraded"] = prediction["degraded"] or LAST_GOOD.format(faulty)
        return predictions
