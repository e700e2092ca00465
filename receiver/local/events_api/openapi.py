"""The OpenAPI 3.1 description of the local Events API, served at `/v1/openapi.json`."""

from typing import Any, Final

from receiver.local.events_api.catalogue import BUCKETS, ENVIRONMENTS, EVERYTHING
from receiver.local.events_api.options import Options
from receiver.local.events_api.traffic import INTERVALS, STATUS_CLASSES
from receiver.local.events_api.validation import (
    DEFAULT_PAGE_SIZE,
    DESCRIPTION_LIMIT,
    EVENT_TYPES,
    LARGEST_PAGE_SIZE,
    LAST_PAGE,
    METADATA_LIMIT,
    NAME_LIMIT,
)

Schema = dict[str, Any]

TIMESTAMP_IN: Final[Schema] = {"type": "string", "format": "date-time"}
TIMESTAMP_OUT: Final[Schema] = {
    "type": "string",
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
}
ERROR_CODES: Final = (
    "INVALID_TOKEN",
    "RATE_LIMIT_EXCEEDED",
    "RESOURCE_NOT_FOUND",
    "VALIDATION_ERROR",
    "INTERNAL_ERROR",
)
RATE_HEADERS: Final = {
    "X-RateLimit-Limit": "Requests allowed in each window.",
    "X-RateLimit-Remaining": "Requests left in this window.",
    "X-RateLimit-Reset": "When the next window begins, in Unix seconds.",
}


def describe(options: Options) -> dict[str, Any]:
    """Return the description of an API with these options."""
    account = "/v1/accounts/{accountSid}"
    event = _operation("200", "Event", options)
    changing = {
        method.lower(): _with_body("EventChanges", event, "Change the fields that are sent, and no others")
        for method in options.update_methods
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Local ApiTraffic Events API",
            "version": "1",
            "description": "A stand-in for the vendor's API, for demonstrations and tests.",
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": {
            "/healthz": {
                "get": _needs_no_token("The process is up", {"type": "object", "required": ["status"]})
            },
            "/v1/openapi.json": {"get": _needs_no_token("This description", {"type": "object"})},
            f"{account}/events": {
                "parameters": [_account(options)],
                "get": {
                    "summary": "List events, the newest startedAt first",
                    "parameters": [*_filters(), *_paging()],
                    **_operation("200", "EventList", options),
                },
                "post": _with_body("NewEvent", _operation("201", "Event", options), "Create an event"),
            },
            f"{account}/events/{{eventSid}}": {
                "parameters": [_account(options), _event_sid()],
                "get": {"summary": "Get an event", **event},
                **changing,
                "delete": {"summary": "Delete an event", **_operation("200", "Deleted", options)},
            },
            f"{account}/buckets": {
                "parameters": [_account(options)],
                "get": {
                    "summary": "List buckets",
                    "parameters": _paging(),
                    **_operation("200", "BucketList", options),
                },
            },
            f"{account}/environments": {
                "parameters": [_account(options)],
                "get": {
                    "summary": "List environments",
                    "parameters": _paging(),
                    **_operation("200", "EnvironmentList", options),
                },
            },
            f"{account}/metrics/throughput": {
                "parameters": [_account(options)],
                "get": {
                    "summary": "Add up the traffic of each interval",
                    "parameters": [
                        *_filters()[1:],
                        {"name": "interval", "in": "query", "schema": {"enum": list(INTERVALS)}},
                    ],
                    **_operation("200", "Throughput", options),
                },
            },
            f"{account}/metrics/summary": {
                "parameters": [_account(options)],
                "get": {
                    "summary": "Add up the traffic of a period",
                    "parameters": _filters()[1:],
                    **_operation("200", "Summary", options),
                },
            },
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _schemas() -> dict[str, Schema]:
    fields = _event_fields()
    named: dict[str, Schema] = {
        "type": {"enum": list(EVENT_TYPES)},
        "name": {"type": "string", "minLength": 1, "maxLength": NAME_LIMIT},
    }
    server_set: dict[str, Schema] = {
        "sid": {"type": "string", "pattern": "^evt_[A-Za-z0-9]{27}$"},
        "accountSid": {"type": "string"},
        "createdAt": TIMESTAMP_OUT,
        "updatedAt": TIMESTAMP_OUT,
    }
    times = {"startedAt": TIMESTAMP_OUT, "endedAt": _nullable(TIMESTAMP_OUT)}
    text: Schema = {"type": "string"}
    flag: Schema = {"type": "boolean"}
    resource: dict[str, Schema] = {"sid": text, "accountSid": text, "name": text, "createdAt": TIMESTAMP_OUT}
    schemas = {
        "NewEvent": _object({**named, **fields}, required=list(named)),
        "EventChanges": _object({**named, **fields}, required=[]),
        "Event": _object({**server_set, **named, **fields, **times}),
        "Deleted": _object({"sid": text, "deleted": {"const": True}}),
        "Bucket": _object({**resource, "verifySslCerts": flag, "appIsConnected": flag}),
        "Environment": _object(resource),
        "Error": _error(),
        "Throughput": _object({"hasMore": flag, "records": {"type": "array", "items": _traffic()}}),
        "Summary": _object(
            {
                "totalRequests": {"type": "integer"},
                "totalErrors": {"type": "integer"},
                "averageResponseTime": {"type": "number"},
                "requestsByStatus": _object(
                    {key: {"type": "integer", "minimum": 0} for key in STATUS_CLASSES}
                ),
                "requestsByMethod": {"type": "object"},
                "topEndpoints": {"type": "array"},
            }
        ),
    }
    for name in ("Event", "Bucket", "Environment"):
        records = {"type": "array", "items": _reference(name), "maxItems": LARGEST_PAGE_SIZE}
        schemas[f"{name}List"] = _object({"hasMore": flag, "records": records})
    return schemas


def _event_fields() -> dict[str, Schema]:
    """The optional fields of an event, as clients may send them."""
    return {
        "description": _nullable({"type": "string", "maxLength": DESCRIPTION_LIMIT}),
        "source": _nullable({"type": "string"}),
        "metadata": {"type": "object", "description": f"At most {METADATA_LIMIT} bytes of JSON."},
        "buckets": _scope(list(BUCKETS)),
        "environments": _scope(list(ENVIRONMENTS)),
        "startedAt": {**TIMESTAMP_IN, "description": "By default now."},
        "endedAt": {**_nullable(TIMESTAMP_IN), "description": "Not before startedAt."},
    }


def _traffic() -> Schema:
    count: Schema = {"type": "integer", "minimum": 0}
    return _object(
        {"timestamp": TIMESTAMP_OUT, "requests": count, "errors": count, "average": {"type": "number"}}
    )


def _error() -> Schema:
    problem = _object({"field": {"type": "string"}, "message": {"type": "string"}})
    error: dict[str, Schema] = {
        "code": {"enum": list(ERROR_CODES)},
        "message": {"type": "string"},
        "details": {"type": "array", "items": problem, "description": "The fields that were refused."},
    }
    return _object({"success": {"const": False}, "error": _object(error)})


def _object(properties: dict[str, Schema], required: list[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties) if required is None else required,
        "additionalProperties": False,
    }


def _scope(sids: list[str]) -> Schema:
    return {"type": "array", "items": {"enum": [EVERYTHING, *sids]}, "minItems": 1, "default": [EVERYTHING]}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _account(options: Options) -> Schema:
    return {"name": "accountSid", "in": "path", "required": True, "schema": {"enum": [options.account_sid]}}


def _event_sid() -> Schema:
    return {"name": "eventSid", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _filters() -> list[Schema]:
    schemas = {
        "type": {"enum": list(EVENT_TYPES)},
        "startDate": TIMESTAMP_IN,
        "endDate": TIMESTAMP_IN,
        "bucketSid": {"type": "string"},
        "environmentSid": {"type": "string"},
    }
    return [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]


def _paging() -> list[Schema]:
    limit = {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE}
    page = {"type": "integer", "minimum": 1, "maximum": LAST_PAGE, "default": 1}
    return [
        {"name": "limit", "in": "query", "schema": limit},
        {"name": "page", "in": "query", "schema": page},
    ]


def _needs_no_token(summary: str, schema: Schema) -> dict[str, Any]:
    return {"summary": summary, "security": [], "responses": {"200": _response("As it says", schema)}}


def _with_body(schema: str, operation: dict[str, Any], summary: str) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": _reference(schema)}}}
    return {"summary": summary, "requestBody": body, **operation}


def _operation(status: str, schema: str, options: Options) -> dict[str, Any]:
    """The responses of an operation that needs the token."""
    data = _reference(schema)
    if options.envelope:
        meta = _object({"timestamp": TIMESTAMP_OUT})
        data = _object({"success": {"const": True}, "data": data, "meta": meta})
    return {
        "responses": {
            status: _response("Done", data),
            # Not listed one by one: an injected fault can be any of them.
            "4XX": _response("The request is refused", _reference("Error")),
            "5XX": _response("The API has failed", _reference("Error")),
        }
    }


def _response(description: str, schema: Schema) -> dict[str, Any]:
    headers = {
        name: {"description": meaning, "required": True, "schema": {"type": "integer"}}
        for name, meaning in RATE_HEADERS.items()
    }
    return {
        "description": description,
        "headers": headers,
        "content": {"application/json": {"schema": schema}},
    }
