"""GraphQL without its transport: one request in, status and answer out.

Statuses and shapes are the reference's (section 1.3): 422 where the request itself is
wrong, 200 with ``errors`` where a resolver says no. No message repeats a value that the
client sent: values may be secrets.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    execute_sync,
    parse,
    validate,
)

from dsq.sbatch.service.sdl import make_schema

log = logging.getLogger("dsq.sbatch.service.engine")

MAX_TOKENS = 250_000
"""Longest document: 10,000 steps written into the query itself fit."""

MAX_FIELDS = 500
"""Most fields of a document, since the rules compare them with each other."""

MAX_MUTATIONS = 10
"""Most mutations in one request."""

MAX_NESTING = 200
"""Most brackets inside each other: the parser recurses, and libraries raise the interpreter's
limit beyond what the stack holds."""

MAX_ERRORS = 50

PARSED_CACHE = 1000
PARSED_CACHE_CHARACTERS = 32 << 10
"""Longer documents, which hold workflows, are not kept."""

PERSISTED_CACHE = 100

PARSE_FAILED = {"code": "GRAPHQL_PARSE_FAILED"}
VALIDATION_FAILED = {"code": "GRAPHQL_VALIDATION_FAILED"}
NOT_PERSISTED = {"code": "PERSISTED_QUERY_NOT_FOUND"}

_BRACKETS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\\n]|\\.)*"|#[^\n]*|[{\[(]|[}\])]', re.DOTALL
)

_FOUND = re.compile(r"(,? ?\b[Ff]ound|\bcannot represent[^:]*): .*", re.DOTALL)
_TOKEN = re.compile(r'\b(String|BlockString|Int|Float|Name|Comment) ["\'].*', re.DOTALL)


class DomainError(Exception):
    """A resolver's no. The answer keeps its data and lists these errors.

    Attributes:
        errors: Messages and extensions.
    """

    def __init__(self, errors: list[tuple[str, dict[str, Any]]]) -> None:
        super().__init__(errors[0][0] if errors else "no reason")
        self.errors = errors


class Operations(Protocol):
    """What the service does for one request; raises :class:`DomainError`."""

    def submit(self, job: dict[str, Any], secrets: list[dict[str, str]] | None, slot: str) -> str:
        """Keeps the script of a job.

        Args:
            secrets: Names and values of its secrets.
            slot: Name of this mutation's place in the answer.
        """
        ...

    def validate(self, module: dict[str, Any]) -> str:
        """Checks a module."""
        ...


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """A request as any transport gives it."""

    query: str
    variables: dict[str, Any] = field(default_factory=dict, repr=False)
    operation_name: str | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP status and JSON body of an answer."""

    status: int
    body: dict[str, Any]


class _RequestError(Exception):
    def __init__(self, status: int, errors: list[dict[str, Any]]) -> None:
        super().__init__(status)
        self.answer = Answer(status, {"errors": errors, "data": None})


class Engine:
    """Runs requests. Calls may come from several threads at once."""

    def __init__(self) -> None:
        self.schema = make_schema()
        self._parsed: OrderedDict[str, DocumentNode] = OrderedDict()
        self._persisted: OrderedDict[str, str] = OrderedDict()

    def run(
        self, request: GraphQLRequest, operations: Operations, *, read_only: bool = False
    ) -> Answer:
        """Answers one request.

        Args:
            read_only: Refuse mutations (requests by GET).
        """
        try:
            document = self._document(self._query(request))
            operation = _operation(document, request.operation_name)
            if read_only and operation.operation is not OperationType.QUERY:
                message = "GET requests only allow query operations"
                raise _RequestError(406, [{"message": message}])
            if (
                operation.operation is OperationType.MUTATION
                and sum(1 for _ in _fields(operation.selection_set)) > MAX_MUTATIONS
            ):
                raise _invalid(f"A request has at most {MAX_MUTATIONS} mutations.")
            return self._execute(document, request, operations)
        except _RequestError as error:
            return error.answer
        except RecursionError:
            return _invalid("The request is nested too deeply.").answer

    # -- before execution ----------------------------------------------------------

    def _query(self, request: GraphQLRequest) -> str:
        """The query's text; persisted queries are looked up or kept."""
        persisted = request.extensions.get("persistedQuery")
        if not isinstance(persisted, Mapping):
            if not request.query:
                raise _RequestError(422, [{"message": "no operation provided"}])
            return request.query
        digest = str(persisted.get("sha256Hash", ""))
        if persisted.get("version") != 1:
            raise _RequestError(200, [{"message": "unsupported APQ version"}])
        if not request.query:
            query = self._persisted.get(digest)
            if query is None:
                error = {"message": "PersistedQueryNotFound", "extensions": NOT_PERSISTED}
                raise _RequestError(200, [error])
            return query
        if hashlib.sha256(request.query.encode()).hexdigest() != digest:
            raise _RequestError(200, [{"message": "provided APQ hash does not match query"}])
        if len(request.query) <= PARSED_CACHE_CHARACTERS:
            _remember(self._persisted, digest, request.query, PERSISTED_CACHE)
        return request.query

    def _document(self, query: str) -> DocumentNode:
        known = self._parsed.get(query)
        if known is not None:
            return known
        if nesting(query) > MAX_NESTING:
            raise _invalid("The request is nested too deeply.")
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
        except GraphQLSyntaxError as error:
            raise _RequestError(422, [_shown(error, PARSE_FAILED)]) from error
        fields = 0
        for definition in document.definitions:
            for _ in _fields(getattr(definition, "selection_set", None)):
                fields += 1
        if fields > MAX_FIELDS:
            raise _invalid(f"A document has at most {MAX_FIELDS} fields.")
        errors = validate(self.schema, document, max_errors=MAX_ERRORS)
        if errors:
            raise _RequestError(422, [_shown(error, VALIDATION_FAILED) for error in errors])
        if len(query) <= PARSED_CACHE_CHARACTERS:
            _remember(self._parsed, query, document, PARSED_CACHE)
        return document

    # -- execution -----------------------------------------------------------------

    def _execute(
        self, document: DocumentNode, request: GraphQLRequest, operations: Operations
    ) -> Answer:
        root = _Root(operations)
        result = execute_sync(
            self.schema,
            document,
            root_value=root,
            variable_values=request.variables,
            operation_name=request.operation_name,
        )
        if result.data is None and result.errors and not root.was_asked:
            # No resolver ran: the variables do not fit.
            raise _RequestError(422, [_shown(each, VALIDATION_FAILED) for each in result.errors])
        errors = [_shown(error, None) for error in result.errors or ()] + root.errors
        body: dict[str, Any] = {"data": result.data}
        if errors:
            body["errors"] = errors
        return Answer(200, body)


class _Root:
    """Resolvers of the root fields."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations
        self.was_asked = False
        self.errors: list[dict[str, Any]] = []

    def submit(
        self, info: Any, job: dict[str, Any], secrets: list[dict[str, str]] | None = None
    ) -> str:
        """Domain errors leave "" as data: clients look at ``errors``."""
        self.was_asked = True
        path = info.path.as_list()
        try:
            return self._operations.submit(job, secrets, str(path[-1]))
        except DomainError as error:
            refusals = error.errors
        except Exception as error:
            refusals = [(_fault(error), {"type": "internal"})]
        for message, extensions in refusals:
            self.errors.append({"message": message, "path": path, "extensions": extensions})
        return ""

    def validate(self, info: Any, module: dict[str, Any]) -> str:  # noqa: ARG002
        self.was_asked = True
        try:
            return self._operations.validate(module)
        except Exception as error:
            # No cause: the library would show its message.
            raise GraphQLError(_fault(error)) from None

    def job(self, info: Any, batchLocationHash: str) -> str:  # noqa: ARG002, N803
        self.was_asked = True
        raise GraphQLError("debug mode is off: scripts are for the job's provider only")


def _fault(error: Exception) -> str:
    """Logs a fault of the service by its kind and place: its message may hold secrets."""
    blank = RuntimeError(type(error).__name__)
    log.error(
        "resolver failed error=%s",
        type(error).__name__,
        exc_info=(RuntimeError, blank, error.__traceback__),
    )
    return "The service failed; its log says where."


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    found = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if name:
        found = [node for node in found if node.name is not None and node.name.value == name]
    if len(found) != 1:
        raise _invalid(f"operation {name} not found" if name else "operationName is required")
    return found[0]


def _fields(selections: SelectionSetNode | None) -> Iterator[object]:
    """All fields and spreads below a selection set."""
    pending = [selections]
    while pending:
        current = pending.pop()
        for selection in current.selections if current is not None else ():
            yield selection
            pending.append(getattr(selection, "selection_set", None))


def _invalid(message: str) -> _RequestError:
    return _RequestError(422, [{"message": message, "extensions": VALIDATION_FAILED}])


def _shown(error: GraphQLError, extensions: dict[str, Any] | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"message": without_values(error.message)}
    if error.locations:
        shown["locations"] = [
            {"line": place.line, "column": place.column} for place in error.locations
        ]
    if error.path:
        shown["path"] = list(error.path)
    if extensions:
        shown["extensions"] = extensions
    return shown


def nesting(query: str) -> int:
    """How many brackets stand inside each other, strings and comments left out."""
    depth = deepest = 0
    for match in _BRACKETS.finditer(query):
        sign = match[0]
        if sign in "{[(":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "}])":
            depth -= 1
    return deepest


def without_values(message: str) -> str:
    """Cuts what GraphQL's messages quote of the client's values."""
    text = _FOUND.sub(r"\1", message)
    text = _TOKEN.sub(r"\1.", re.sub(r"[, .]*[Ff]ound$", "", text))
    return text if text[-1:] in (".", "?") else text + "."


def _remember(cache: OrderedDict[str, Any], key: str, value: object, limit: int) -> None:
    cache[key] = value
    while len(cache) > limit:
        cache.popitem(last=False)
