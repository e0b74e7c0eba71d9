"""``/openapi.json``, made from what each route says of itself. Format: OpenAPI 3.1.1 and JSON Schema 2020-12."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.routing import BaseRoute, Route

from cosystream import __version__
from cosystream.errors import Unauthorized
from cosystream.web.errors import STATUS
from cosystream.web.operations import EVENTS, FORM, JSON, MULTIPART, Operation, operation_of
from cosystream.wire.fields import ALIASES, RequestFields
from cosystream.wire.legacy import LegacyFailure
from cosystream.wire.native import Audio, Done, Failure, FailureEvent, Queued, Sentence, Start

EVENT_TYPES = {
    "queued": Queued,
    "start": Start,
    "audio": Audio,
    "sentence": Sentence,
    "done": Done,
    "error": FailureEvent,
}
BODIES = {JSON: "RequestFields", FORM: "FormFields", MULTIPART: "MultipartFields"}
REF = "#/components/schemas/{name}"

Json = dict[str, Any]


def document(routes: Iterable[BaseRoute]) -> Json:
    """The whole of it, as values for a JSON encoder."""
    described = [
        (route, method.lower(), operation)
        for route in routes
        if isinstance(route, Route) and (operation := operation_of(route.endpoint)) is not None
        for method in sorted((route.methods or set()) - {"HEAD"})
    ]
    types = {kind for *_, operation in described for kind in operation.answers.values() if kind is not None}
    kinds = [
        RequestFields,
        Failure,
        LegacyFailure,
        *EVENT_TYPES.values(),
        *sorted(types - {dict}, key=lambda kind: kind.__name__),
    ]
    _, components = msgspec.json.schema_components(kinds, ref_template=REF)
    components["RequestFields"]["properties"] |= _alias_properties(components["RequestFields"])
    components |= {**_forms(components["RequestFields"]), "Event": _event()}
    paths: dict[str, Json] = {}
    for route, method, operation in described:
        paths.setdefault(route.path, {})[method] = _operation(operation, components["RequestFields"])
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "cosystream",
            "version": __version__,
            "description": "Speech that starts at once and never stutters.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    }


def _operation(operation: Operation, fields: Json) -> Json:
    described: Json = {"summary": operation.summary, "responses": _responses(operation)}
    if operation.description:
        described["description"] = operation.description
    if operation.takes:
        described["requestBody"] = {
            "required": True,
            "content": {media_type: {"schema": _ref(BODIES[media_type])} for media_type in operation.takes},
        }
    if operation.in_query:
        described["parameters"] = [
            {"name": name, "in": "query", "required": name in fields["required"], "schema": schema}
            for name, schema in fields["properties"].items()
            if name != "prompt_wav"
        ]
    if not operation.open:
        described["security"] = [{}, {"bearer": []}, {"header": []}]
    return described


def _responses(operation: Operation) -> Json:
    content = {media_type: _content(media_type, kind) for media_type, kind in operation.answers.items()}
    responses: Json = {"200": {"description": "As it says.", "content": content}}
    if operation.in_query:
        responses["204"] = {"description": "To a Last-Event-ID: there is no more to hear."}
    failure = {JSON: {"schema": _ref("LegacyFailure" if operation.legacy else "Failure")}}
    raised = (*operation.raises, *(() if operation.open else (Unauthorized,)))
    for status in sorted({STATUS[error] for error in raised}):
        types = sorted({error.type for error in raised if STATUS[error] == status})
        responses[str(status)] = {"description": f"{HTTPStatus(status).phrase}: {', '.join(types)}", "content": failure}
    return responses


def _content(media_type: str, kind: type | None) -> Json:
    if kind is dict:
        return {"schema": {"type": "object"}}
    if kind is not None:
        return {"schema": _ref(kind.__name__)}
    if media_type == EVENTS:
        return {"schema": _ref("Event")}
    return {}


def _ref(name: str) -> Json:
    return {"$ref": REF.format(name=name)}


def _event() -> Json:
    """What a client decodes: OpenAPI 3.1 has no word for a stream, so that tools apply a schema to each event."""
    kinds = [
        {
            "title": name,
            "type": "object",
            "properties": {
                "event": {"const": name},
                "id": {"type": "string"},
                "data": {"type": "string", "contentMediaType": JSON, "contentSchema": _ref(kind.__name__)},
            },
            "required": ["event", "data"],
        }
        for name, kind in EVENT_TYPES.items()
    ]
    return {"title": "Event", "description": "Of server-sent events, each.", "oneOf": kinds}


def _forms(fields: Json) -> Json:
    """What forms may hold instead: an upload is bytes as they are, and urlencoded forms have none."""
    others = {name: schema for name, schema in fields["properties"].items() if name != "prompt_wav"}
    upload = {"type": "string", "format": "binary", "description": "A recording to imitate."}
    return {
        BODIES[FORM]: {**fields, "title": BODIES[FORM], "properties": others},
        BODIES[MULTIPART]: {**fields, "title": BODIES[MULTIPART], "properties": {**others, "prompt_wav": upload}},
    }


def _alias_properties(fields: Mapping[str, Any]) -> Json:
    return {
        alias: {**fields["properties"][name], "description": f"Another name for {name}."}
        for alias, name in ALIASES.items()
    }
