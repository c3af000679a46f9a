"""Status objects: how the API server says no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.kubernetes.shapes import Shape


class StatusError(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details

    @property
    def body(self) -> dict[str, Any]:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            **({"details": self.details} if self.details else {}),
            "code": self.code,
        }


def _about(shape: Shape, name: str) -> dict[str, Any]:
    return {"name": name, "kind": shape.plural} | ({"group": shape.group} if shape.group else {})


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def not_found(shape: Shape, name: str) -> StatusError:
    message = f'{shape.resource} "{name}" not found'
    return StatusError(404, "NotFound", message, **_about(shape, name))


def exists(shape: Shape, name: str) -> StatusError:
    message = f'{shape.resource} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, **_about(shape, name))


def conflict(shape: Shape, name: str, why: str) -> StatusError:
    message = f'Operation cannot be fulfilled on {shape.resource} "{name}": {why}'
    return StatusError(409, "Conflict", message, **_about(shape, name))


def invalid(shape: Shape, name: str, field: str, why: str) -> StatusError:
    message = f'{shape.kind}.{shape.group} "{name}" is invalid: {field}: {why}'
    causes = [{"reason": "FieldValueInvalid", "message": why, "field": field}]
    return StatusError(422, "Invalid", message, **_about(shape, name), causes=causes)


def forbidden(shape: Shape, name: str, verb: str, namespace: str) -> StatusError:
    where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    message = (
        f'{shape.resource} "{name}" is forbidden: User "system:serviceaccount:ops:tocsin" '
        f'cannot {verb} resource "{shape.plural}" in API group "{shape.group}"{where}'
    )
    return StatusError(403, "Forbidden", message, **_about(shape, name))


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def unsupported(given: str) -> StatusError:
    message = f"the body of the request was in an unknown format - {given!r}"
    return StatusError(415, "UnsupportedMediaType", message)


def no_such_place() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource")
