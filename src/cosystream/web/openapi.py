"""``/openapi.json``, made from what each route says of itself. Format: OpenAPI 3.1.1 and JSON Schema 2020-12."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, get_args

import msgspec
from starlette.routing import BaseRoute, Route

from cosystream import __version__
from cosystream.errors import Unauthorized
from cosystream.web.errors import STATUS
from cosystream.web.operations import EVENTS, FORM, JSON, MULTIPART, Operation, operation_of
from cosystream.wire.fields import ALIASES, RequestFields
from cosystream.wire.native import Audio, Done, FailureEvent, Queued, Sentence, Start

EVENT_TYPES = {
    "queued": Queued,
    "start": Start,
    "audio": Audio,
    "sentence": Sentence,
    "done": Done,
    "error": FailureEvent,
}
SUFFIXES = {JSON: "", FORM: "Form", MULTIPART: "Multipart"}
"""Of the names of the same fields, as each kind of body holds them."""
IN_WORDS = {JSON: "JSON", EVENTS: "events as they are made", "text/html": "a page", "text/plain": "text"}
"""Kinds of answers; all others are audio."""
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
    operations = [operation for *_, operation in described]
    fields = {RequestFields} | {operation.fields for operation in operations if operation.takes or operation.in_query}
    answers = {kind for operation in operations for kind in operation.answers.values() if kind is not None}
    failures = {operation.failure for operation in operations}
    kinds = sorted((fields | answers | failures | set(EVENT_TYPES.values())) - {dict}, key=lambda kind: kind.__name__)
    _, components = msgspec.json.schema_components(kinds, ref_template=REF)
    components["RequestFields"]["properties"] |= _alias_properties(components["RequestFields"])
    for kind in fields:
        components |= _forms(kind, components[kind.__name__])
    components["Event"] = _event()
    paths: dict[str, Json] = {}
    for route, method, operation in described:
        paths.setdefault(route.path, {})[method] = _operation(route, operation, components)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "cosystream",
            "version": __version__,
            "description": "Every HTTP route. The WebSockets are described in docs/api.md.",
        },
        "paths": paths,
        "components": {
            "schemas": _referred_to(paths, components),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    }


def _referred_to(paths: Json, components: Json) -> Json:
    """Those of ``components`` that something leads to."""
    found: set[str] = set()
    unread: list[object] = [paths]
    while unread:
        match unread.pop():
            case {"$ref": str(ref)}:
                name = ref.removeprefix(REF.format(name=""))
                if name not in found:
                    found.add(name)
                    unread.append(components[name])
            case dict() as inner:
                unread += inner.values()
            case list() as inner:
                unread += inner
    return {name: schema for name, schema in components.items() if name in found}


def _operation(route: Route, operation: Operation, components: Json) -> Json:
    described: Json = {"summary": operation.summary, "responses": _responses(operation)}
    if operation.description:
        described["description"] = operation.description
    if operation.takes:
        described["requestBody"] = {
            "required": True,
            "content": {
                media_type: {"schema": _ref(operation.fields.__name__ + SUFFIXES[media_type])}
                for media_type in operation.takes
            },
        }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.param_convertors
    ]
    if operation.in_query:
        form = components[operation.fields.__name__ + SUFFIXES[FORM]]
        parameters += [
            {"name": name, "in": "query", "required": name in form["required"], "schema": schema}
            for name, schema in form["properties"].items()
        ]
    if parameters:
        described["parameters"] = parameters
    if not operation.open:
        described["security"] = [{}, {"bearer": []}, {"header": []}]
    return described


def _responses(operation: Operation) -> Json:
    content = {media_type: _content(media_type, kind) for media_type, kind in operation.answers.items()}
    what_comes = f"{HTTPStatus(operation.status).phrase}: {_what_comes(operation)}"
    responses: Json = {str(operation.status): {"description": what_comes} | ({"content": content} if content else {})}
    if operation.resumable:
        responses["204"] = {"description": "To a Last-Event-ID: there is no more to hear."}
    failure = {JSON: {"schema": _ref(operation.failure.__name__)}}
    raised = (*operation.raises, *(() if operation.open else (Unauthorized,)))
    for status in sorted({operation.failure.status or STATUS[error] for error in raised}):
        if status == operation.status:
            continue  # its clients look for errors inside
        types = sorted({error.type for error in raised if STATUS[error] == status})
        responses[str(status)] = {"description": f"{HTTPStatus(status).phrase}: {', '.join(types)}", "content": failure}
    return responses


def _what_comes(operation: Operation) -> str:
    """When all went well, in words."""
    kinds = (IN_WORDS.get(media_type, "audio") for media_type in operation.answers)
    return ", or ".join(dict.fromkeys(kinds)) or "it is done"


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


def _forms(kind: type, schema: Json) -> Json:
    """What forms may hold instead: an upload is bytes as they are, and urlencoded forms have none."""
    uploads = {field.encode_name for field in msgspec.structs.fields(kind) if _is_upload(field.type)}
    others = {name: property_ for name, property_ in schema["properties"].items() if name not in uploads}
    files = {
        name: {"type": "string", "format": "binary", "description": schema["properties"][name].get("description", "")}
        for name in sorted(uploads)
    }
    form, multipart = kind.__name__ + SUFFIXES[FORM], kind.__name__ + SUFFIXES[MULTIPART]
    required = schema.get("required", [])
    return {
        form: {
            **schema,
            "title": form,
            "properties": others,
            "required": [name for name in required if name not in uploads],
        },
        multipart: {**schema, "title": multipart, "properties": others | files, "required": required},
    }


def _is_upload(kind: Any) -> bool:  # noqa: ANN401 - an annotation
    """Whether it is ``bytes``, or may be, however annotated."""
    return kind is bytes or any(_is_upload(part) for part in get_args(kind) if part is not None)


def _alias_properties(fields: Mapping[str, Any]) -> Json:
    return {
        alias: {**fields["properties"][name], "description": f"Another name for {name}."}
        for alias, name in ALIASES.items()
    }
