"""That the description of the interface is whole, and true of what can go wrong."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest

from cosystream import __version__
from cosystream.audio.formats import FORMATS
from cosystream.config import ApiKeys, Settings
from cosystream.runtime.protocol import Place
from cosystream.web.app import create_app
from cosystream.web.errors import STATUS
from cosystream.web.operations import SPEAKING
from cosystream.wire.fields import ALIASES, Encoding, RequestFields
from cosystream.wire.native import Audio, Done, FailureEvent, Queued, Sentence, Start
from tests.support.asgi import ask
from tests.support.engines import ScriptedEngine, chunk

Json = dict[str, Any]
STREAM = "/synthesize/stream"
SPEAKS = [(STREAM, "post"), (STREAM, "get"), ("/synthesize", "post"), ("/synthesize_complete", "post")]


@pytest.fixture(name="document")
async def _document() -> Json:
    answer = await ask(create_app(ScriptedEngine(), Settings()), "GET", "/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json
    assert isinstance(document, dict)
    return document


def values(json: object, key: str) -> Iterator[object]:
    """Whatever stands under ``key``, at any depth."""
    if isinstance(json, dict):
        for name, inner in json.items():
            if name == key:
                yield inner
            yield from values(inner, key)
    elif isinstance(json, list):
        for inner in json:
            yield from values(inner, key)


def test_it_says_what_it_is(document: Json) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == __version__


def test_everything_it_refers_to_is_there_and_nothing_else(document: Json) -> None:
    schemas = document["components"]["schemas"]
    referred = {str(ref).removeprefix("#/components/schemas/") for ref in values(document, "$ref")}
    assert referred == set(schemas)
    schemes = {name for requirements in values(document, "security") for one in requirements for name in one}  # type: ignore[attr-defined]
    assert schemes == set(document["components"]["securitySchemes"])


@pytest.mark.parametrize(("path", "method"), SPEAKS)
def test_a_route_that_speaks_lists_every_way_to_fail(document: Json, path: str, method: str) -> None:
    responses = document["paths"][path][method]["responses"]
    statuses = {str(STATUS[error]) for error in SPEAKING} | {"200", "401"} | ({"204"} if path == STREAM else set())
    assert set(responses) == statuses
    for error in SPEAKING:
        assert error.type in responses[str(STATUS[error])]["description"]
    shape = "Failure" if path == STREAM else "LegacyFailure"
    for status in statuses - {"200", "204"}:
        schema = responses[status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{shape}"}


def test_an_answer_is_told_in_words(document: Json) -> None:
    told = {
        (path, method): {status: response["description"] for status, response in described["responses"].items()}
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    }
    assert told["/speakers", "get"]["200"] == "OK: JSON"
    assert told["/v1/voices", "post"]["201"] == "Created: JSON"
    assert told["/requests/{request_id}", "delete"]["204"] == "No Content: it is done"
    assert told[STREAM, "post"]["200"] == "OK: events as they are made, or audio"
    assert told["/synthesize", "post"]["200"] == "OK: JSON, or events as they are made, or audio"
    assert told["/", "get"]["200"] == "OK: a page"
    assert told["/metrics", "get"]["200"] == "OK: text"


def test_it_says_where_the_websockets_are_described(document: Json) -> None:
    assert "WebSockets are described in docs/api.md" in document["info"]["description"]


def test_fields_are_described_wherever_they_may_stand(document: Json) -> None:
    names = {*RequestFields.__struct_fields__, *ALIASES}
    schemas = document["components"]["schemas"]
    in_query = {parameter["name"]: parameter for parameter in document["paths"][STREAM]["get"]["parameters"]}
    bodies = document["paths"][STREAM]["post"]["requestBody"]["content"]
    described = {kind: schemas[body["schema"]["$ref"].rpartition("/")[2]] for kind, body in bodies.items()}
    assert set(described["application/json"]["properties"]) == names
    assert set(described["multipart/form-data"]["properties"]) == names
    assert described["multipart/form-data"]["properties"]["prompt_wav"]["format"] == "binary"
    assert set(described["application/x-www-form-urlencoded"]["properties"]) == names - {"prompt_wav"}
    assert set(in_query) == names - {"prompt_wav"}
    for body in described.values():
        assert (body["required"], body["additionalProperties"]) == (["text"], False)
    assert [name for name, parameter in in_query.items() if parameter["required"]] == ["text"]


def test_ranges_and_choices_are_told(document: Json) -> None:
    properties = document["components"]["schemas"]["RequestFields"]["properties"]
    assert (properties["speed"]["minimum"], properties["speed"]["maximum"]) == (0.5, 2.0)
    assert set(properties["encoding"]["enum"]) == set(get_args(Encoding))
    assert {"enum": sorted(FORMATS), "description": "Answer with audio in this container."} in (
        properties["format"]["anyOf"]
    )
    for name, most in (("instruction", 500), ("instruct", 500), ("prompt_text", 1000)):
        assert [choice.get("maxLength") for choice in properties[name]["anyOf"]] == [most, None]
    assert properties["voice"]["description"] == "Another name for speaker."


async def test_every_event_that_is_sent_is_described(document: Json) -> None:
    schemas = document["components"]["schemas"]
    kinds = {kind["title"]: kind["properties"]["data"]["contentSchema"]["$ref"] for kind in schemas["Event"]["oneOf"]}
    types = {
        "queued": Queued,
        "start": Start,
        "audio": Audio,
        "sentence": Sentence,
        "done": Done,
        "error": FailureEvent,
    }
    assert kinds == {name: f"#/components/schemas/{kind.__name__}" for name, kind in types.items()}
    app = create_app(ScriptedEngine(chunk(2400, "Hello."), places=(Place(1, 0.1),)), Settings())
    for event in (await ask(app, "POST", STREAM, json={"text": "hello"})).events:
        schema = schemas[kinds[event.name].rpartition("/")[2]]
        assert set(schema["required"]) <= set(event.data) == set(schema["properties"])


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_open_doors_are_described_as_open(document: Json, path: str) -> None:
    described = document["paths"][path]["get"]
    assert "security" not in described
    assert "401" not in described["responses"]


async def test_it_is_the_same_whether_keys_are_wanted_or_not(document: Json) -> None:
    locked = create_app(ScriptedEngine(), Settings(api_keys=ApiKeys(["s3cret"])))
    assert (await ask(locked, "GET", "/openapi.json", headers={"x-api-key": "s3cret"})).json == document
