"""Published descriptions of APIs (OpenAPI 3): what requests and answers have to look like."""

import copy
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

BASE = "urn:described"


class Description:
    """The whole of it: which operation a request is, what it may send, what may be answered."""

    def __init__(self, document: Any) -> None:
        self._document = document
        resource = Resource.from_contents(document, default_specification=DRAFT4)
        self._registry = Registry().with_resource(BASE, resource)
        self._paths = [
            (
                re.compile(
                    re.sub(r"\\\{path\\\}", ".+", re.sub(r"\\\{(?!path)\w+\\\}", "[^/]+", re.escape(path))) + r"\Z"
                ),
                path,
            )
            for path in sorted(document["paths"], key=lambda path: path.count("{"))
        ]

    def example(self, name: str, /, **changes: Any) -> Any:
        """The example answer of that name, changed."""
        value = copy.deepcopy(self._document["components"]["examples"][name]["value"])
        return {**value, **changes} if isinstance(value, dict) else value

    def answer_of(self, method: str, path: str, status: int) -> Any:
        """The example answer of an operation that has one."""
        described = self._resolved(self._document["paths"][path][method.lower()]["responses"][str(status)])
        (content,) = described["content"].values()
        return copy.deepcopy(self._resolved(next(iter(content["examples"].values())))["value"])

    def misfits(self, name: str, value: Any) -> list[str]:
        """What of `value` is not as the schema of that name."""
        return self._against({"$ref": f"#/components/schemas/{name}"}, value)

    def complaints(
        self,
        method: str,
        target: str,
        body: bytes,
        status: int,
        answer: bytes,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> list[str]:
        """What of a request and its answer is not as described; empty where all is. `headers`: those of the request
        in lower case, of which those that are required have to be there."""
        parts = urlsplit(target)
        where = f"{method} {parts.path}"
        found = next((path for pattern, path in self._paths if pattern.match(parts.path)), None)
        operation = self._document["paths"].get(found, {}).get(method.lower()) if found else None
        if operation is None:
            return [f"{where}: no such operation"]
        complaints = [f"{where}: {words}" for words in self._query(operation, parts.query)]
        if headers is not None:
            complaints += [f"{where}: {words}" for words in self._headers(operation, headers)]
        complaints += [f"{where}: {words}" for words in self._body(operation, body)]
        return complaints + [f"{where}: {status}: {words}" for words in self._answer(operation, status, answer, kind)]

    def _query(self, operation: Any, query: str) -> list[str]:
        known = {
            each["name"]: each for each in map(self._resolved, operation.get("parameters", ())) if each["in"] == "query"
        }
        found = []
        for name, values in parse_qs(query).items():
            if name not in known:
                found.append(f"parameter {name} is not described")
                continue
            schema = self._resolved(known[name]["schema"])
            given: list[Any] = [values] if schema.get("type") == "array" else values
            for value in given:
                if schema.get("type") == "integer":
                    value = int(value)
                elif schema.get("type") == "boolean":
                    value = {"true": True, "false": False}.get(value, value)
                found += [f"parameter {name}: {words}" for words in self._against(schema, value)]
        return found

    def _headers(self, operation: Any, headers: Mapping[str, str]) -> list[str]:
        found = []
        for each in map(self._resolved, operation.get("parameters", ())):
            if each["in"] == "header" and (value := headers.get(each["name"].lower())) is not None:
                found += [f"header {each['name']}: {words}" for words in self._against(each["schema"], value)]
            elif each["in"] == "header" and each.get("required"):
                found.append(f"header {each['name']} is missing")
        return found

    def _body(self, operation: Any, body: bytes) -> list[str]:
        if "requestBody" not in operation:
            return ["a body where none is described"] if body else []
        described = self._resolved(operation["requestBody"])
        if not body:
            return ["no body"] if described.get("required") else []
        sent = json.loads(body)
        schema = described["content"]["application/json"]["schema"]
        unknown = set(sent) - set(self._resolved(schema).get("properties", sent)) if isinstance(sent, dict) else set()
        return [f"body: {name} is not described" for name in sorted(unknown)] + self._against(schema, sent)

    def _answer(self, operation: Any, status: int, answer: bytes, kind: str) -> list[str]:
        if status == 304 or status >= 400:  # errors are described for few operations, and 304 for fewer
            return []
        described = operation["responses"].get(str(status))
        if described is None:
            return ["a status that is not described"]
        content = self._resolved(described).get("content")
        if not content:
            return ["a body where none is described"] if answer else []
        return self._against(content["application/json"]["schema"], json.loads(answer))

    def _against(self, schema: Any, value: Any) -> list[str]:
        validator = OAS30Validator({"$id": BASE, **self._absolute(schema)}, registry=self._registry)
        return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]

    def _absolute(self, schema: Any) -> Any:
        """With references that hold outside of the document; its discriminators name some that do not."""
        if isinstance(schema, dict):
            return {
                key: BASE + value if key == "$ref" and isinstance(value, str) else self._absolute(value)
                for key, value in schema.items()
                if key != "discriminator"
            }
        return [self._absolute(each) for each in schema] if isinstance(schema, list) else schema

    def _resolved(self, thing: Any) -> Any:
        while isinstance(thing, dict) and "$ref" in thing:
            found = self._document
            for part in thing["$ref"].removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            thing = found
        return thing
