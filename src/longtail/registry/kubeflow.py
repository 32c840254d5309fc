"""Kubeflow Model Registry: it knows the versions and the promotions; the bundles lie in a bucket or a claim.

``model-registry://host:port/name?files=s3://bucket/prefix``; https where the port is 443.

    RegisteredModel ``name``                      the recommender
      ModelVersion, by the bundle's id            with a ModelArtifact whose uri is what storageUri names
    ServingEnvironment, InferenceService ``name`` where it serves
      ServeModel ``promotion-000001``, …          one a promotion, in order; the last one is the champion

The registry has no conditional update, but refuses a second ServeModel of one name: the number is the compare-and-swap.
The client's generated half (``mr_openapi``) is used: the other one configures logging, patches asyncio, and has no ServeModels.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import aiohttp
import mr_openapi as mr
from mr_openapi.exceptions import ApiException, ConflictException, NotFoundException, OpenApiException

from longtail.contracts.decision import Decision
from longtail.contracts.errors import UserError
from longtail.registry.bundles import BundleRegistry
from longtail.registry.interface import Golden, Promotion, Version
from longtail.registry.locations import fetch_bundle, open_store

SCHEME = "model-registry://"
ENVIRONMENT = "longtail-champions"  # apart from those that Kubeflow's controller makes of InferenceServices
MODEL_FORMAT, MODEL_FORMAT_VERSION = "longtail-bundle", "1"
TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105  (file of the pod's token, as Kubeflow's client reads it)
OVERRIDE = "override"  # property of a promotion: why a Decision was passed over
TIMEOUT_SECONDS, PAGE = 60.0, "100"

Answer = TypeVar("Answer")
Ask = Callable[[mr.ModelRegistryServiceApi], Coroutine[Any, Any, Answer]]


class KubeflowRegistry:
    """A recommender in Kubeflow Model Registry."""

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        self._uri, self._host, self._name = uri, parts.netloc, parts.path.strip("/")
        self._files = parse_qs(parts.query).get("files", [None])[0]
        if not self._host or not self._name or "/" in self._name:
            raise UserError(
                f"{uri}: is no model of a registry; the form is {SCHEME}host:port/name?files=s3://bucket/prefix"
            )
        self._server = f"{'https' if parts.port == 443 else 'http'}://{self._host}"

    @property
    def uri(self) -> str:
        return self._uri

    def publish(self, bundle: Path, decision: Path | None = None, golden: Sequence[Golden] = ()) -> Version:
        if not self._files:
            raise UserError(f"{self._uri}: says not where bundles lie; add ?files=s3://bucket/prefix")
        stored = BundleRegistry(open_store(self._files)).publish(bundle, decision, golden)
        model = self._found_or_made(self._find_model, lambda api: api.create_registered_model(_model(self._name)))
        entry = self._found_or_made(
            lambda: self._find_version(model.id, stored.id),
            lambda api: api.create_model_version(mr.ModelVersionCreate(name=stored.id, registeredModelId=model.id)),
        )
        if self._artifact_uri(entry.id) is None:
            artifact = mr.Artifact(_artifact(stored))
            self._ask(lambda api: api.upsert_model_version_artifact(entry.id, artifact))
        return self.version(stored.id)

    def version(self, id: str) -> Version:
        model = self._find_model()
        entry = self._find_version(model.id, id) if model else None
        uri = self._artifact_uri(entry.id) if entry else None
        if uri is None:
            raise UserError(f"{self._uri}: there is no version {id}; publish the bundle")
        return Version(id, uri)

    def manifest(self, version: Version) -> bytes:
        return _files_of(version).manifest(version)

    def decision(self, version: Version) -> Decision | None:
        return _files_of(version).decision(version)

    def golden(self, version: Version) -> list[Golden]:
        return _files_of(version).golden(version)

    def champion(self) -> Version | None:
        moves = self.promotions()
        return self.version(moves[-1].version) if moves else None

    def promotions(self) -> list[Promotion]:
        service = self._find_service()
        if service is None:
            return []
        serves = sorted(self._serves(service.id), key=lambda serve: str(serve.name))
        names = {id: self._version_name(id) for id in {serve.model_version_id for serve in serves}}
        moves: list[Promotion] = []
        for serve in serves:
            at = datetime.fromtimestamp(int(serve.create_time_since_epoch) / 1000, UTC)
            previous = moves[-1].version if moves else None
            override = (serve.custom_properties or {}).get(OVERRIDE)
            why = override.actual_instance.string_value if override else None
            moves.append(Promotion(names[serve.model_version_id], at, previous, serve.description or "", why))
        return moves

    def promote(self, version: Version, expected: Version | None, reason: str, override: str | None = None) -> None:
        self.version(version.id)
        moves = self.promotions()
        champion = moves[-1].version if moves else None
        if champion == (expected.id if expected else None):
            model = self._find_model()
            entry = self._find_version(model.id, version.id)
            service = self._found_or_made(self._find_service, self._make_service(model.id))
            serve = mr.ServeModelCreate(
                name=f"promotion-{len(moves) + 1:06d}",
                description=reason,
                modelVersionId=entry.id,
                customProperties={OVERRIDE: _text(override)} if override else None,
            )
            try:
                self._ask(lambda api: api.create_inference_service_serve(service.id, serve))
                return
            except ConflictException:
                champion = "another version"
        raise UserError(
            f"{self._uri}: the champion is {champion or 'not set'}, not {expected.id if expected else 'unset'} as expected: "
            f"somebody else moved it, so {version.id} was not promoted; look at the promotions, and promote again if right"
        )

    def fetch(self, version: Version, folder: Path) -> Path:
        return fetch_bundle(version.uri, version.id, folder)

    def _find_model(self) -> Any:
        return self._find(lambda api: api.find_registered_model(name=self._name))

    def _find_version(self, model_id: str, id: str) -> Any:
        return self._find(lambda api: api.find_model_version(name=id, parent_resource_id=model_id))

    def _version_name(self, entry_id: str) -> str:
        return str(self._ask(lambda api: api.get_model_version(entry_id)).name)

    def _artifact_uri(self, entry_id: str) -> str | None:
        found = self._ask(lambda api: api.get_model_version_artifacts(entry_id, page_size=PAGE)).items or []
        uris = [item.actual_instance.uri for item in found if isinstance(item.actual_instance, mr.ModelArtifact)]
        return uris[0] if uris else None

    def _find_service(self) -> Any:
        environment = self._find(lambda api: api.find_serving_environment(name=ENVIRONMENT))
        if environment is None:
            return None
        return self._find(lambda api: api.find_inference_service(name=self._name, parent_resource_id=environment.id))

    def _make_service(self, model_id: str) -> Ask[Any]:
        environment = self._found_or_made(
            lambda: self._find(lambda api: api.find_serving_environment(name=ENVIRONMENT)),
            lambda api: api.create_serving_environment(mr.ServingEnvironmentCreate(name=ENVIRONMENT)),
        )
        service = mr.InferenceServiceCreate(
            name=self._name, registeredModelId=model_id, servingEnvironmentId=environment.id
        )
        return lambda api: api.create_inference_service(service)

    def _serves(self, service_id: str) -> list[Any]:
        found: list[Any] = []
        token: str | None = None
        while token is None or token:
            page = self._ask(
                lambda api, after=token: api.get_inference_service_serves(  # type: ignore[misc]
                    service_id, page_size=PAGE, next_page_token=after or None
                )
            )
            found += page.items or []
            token = page.next_page_token or ""
        return found

    def _find(self, ask: Ask[Answer]) -> Answer | None:
        try:
            return self._ask(ask)
        except NotFoundException:
            return None

    def _found_or_made(self, find: Callable[[], Any], make: Ask[Any]) -> Any:
        """What is there, else what is made, else what somebody else made meanwhile."""
        if (found := find()) is not None:
            return found
        try:
            return self._ask(make)
        except ConflictException:
            return find()
        except NotFoundException:
            raise UserError(f"{self._uri}: {self._server} does not know this API; {_CLIENT}") from None

    def _ask(self, ask: Ask[Answer]) -> Answer:
        """One call; "not there" and "there already" are the caller's to understand.

        Raises:
            UserError: no answer, or a refusal.
        """

        async def call() -> Answer:
            configuration = mr.Configuration(host=self._server, access_token=_token())
            async with mr.ApiClient(configuration) as client:
                return await asyncio.wait_for(ask(mr.ModelRegistryServiceApi(client)), TIMEOUT_SECONDS)

        try:
            return asyncio.run(call())
        except (NotFoundException, ConflictException):
            raise
        except ApiException as error:
            if error.status in (401, 403):
                raise UserError(
                    f"{self._uri}: the model registry refused this account (HTTP {error.status}); check the token in the file "
                    f"that {TOKEN_VARIABLE} names"
                ) from None
            raise UserError(
                f"{self._uri}: the model registry failed (HTTP {error.status} {error.reason}); try again"
            ) from None
        except (aiohttp.ClientError, TimeoutError):
            raise UserError(f"{self._uri}: nobody answers at {self._server}; check host and port") from None
        except (OpenApiException, ValueError) as error:
            raise UserError(f"{self._uri}: an answer cannot be read ({type(error).__name__}); {_CLIENT}") from None


_CLIENT = "install the model-registry client of the server's release"


def _token() -> str | None:
    path = os.environ.get(TOKEN_VARIABLE)
    return Path(path).read_text().strip() if path else None


def _model(name: str) -> Any:
    return mr.RegisteredModelCreate(name=name, description="Recommendations for users with little history")


def _files_of(version: Version) -> BundleRegistry:
    """Where the version's files lie, whatever the address says now."""
    return BundleRegistry(open_store(version.uri.removesuffix(f"/versions/{version.id}")))


def _text(value: str) -> Any:
    return mr.MetadataValue(mr.MetadataStringValue(string_value=value, metadataType="MetadataStringValue"))


def _artifact(stored: Version) -> Any:
    return mr.ModelArtifact(
        name=stored.id, uri=stored.uri, modelFormatName=MODEL_FORMAT, modelFormatVersion=MODEL_FORMAT_VERSION
    )
