"""The operations on users. Ours: the published API leaves names to another service."""

from __future__ import annotations

from uuid import UUID

from aiohttp import web

from conference.api.auth import caller
from conference.api.body import answer, path_id, uuid
from conference.api.openapi import Operation, Parameter
from conference.errors import BadRequest
from conference.services.users import UserService
from conference.storage import users as storage
from schemas.meetings import User

AT_ONCE = 200


def operations(users: UserService) -> list[Operation]:
    views = UserViews(users)
    return [
        Operation(
            id="getUser",
            method="GET",
            path="/users/{userId}",
            handler=views.get,
            summary="A user's name",
            description="Of one's own organisation, or of somebody whom one meets.",
            tag="users",
            parameters=[Parameter(name="userId", place="path", type=UUID, required=True)],
            returns={200: User},
            refuses={404: "nobody whom you may see has been here by that id"},
        ),
        Operation(
            id="listUsers",
            method="GET",
            path="/users",
            handler=views.list,
            summary="Several users' names; whom you may not see, or nobody has seen, is left out",
            tag="users",
            parameters=[
                Parameter(
                    name="userIds",
                    place="query",
                    type=list[UUID],
                    description=f"separated by commas, or one each time; at most {AT_ONCE}",
                    required=True,
                    style={"style": "form", "explode": False},
                )
            ],
            returns={200: list[User]},
            refuses={400: "userIds is missing, too long, or has something else than UUIDs"},
        ),
    ]


class UserViews:
    def __init__(self, users: UserService) -> None:
        self._users = users

    async def get(self, request: web.Request) -> web.Response:
        return answer(
            _render(await self._users.get(caller(request).user_id, path_id(request, "userId")))
        )

    async def list(self, request: web.Request) -> web.Response:
        found = await self._users.named(caller(request).user_id, _ids(request))
        return answer([_render(user) for user in found])


def _ids(request: web.Request) -> set[UUID]:
    """Named several times, or with commas in between, or both. Raises BadRequest."""
    texts = request.query.getall("userIds", None)
    if texts is None:
        raise BadRequest("userIds: missing", code="no_user_ids")
    parts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    if len(parts) > AT_ONCE:
        raise BadRequest(f"userIds: more than {AT_ONCE}", code="too_many_ids")
    ids = [uuid(part) for part in parts]
    if None in ids:
        raise BadRequest("userIds: not all are UUIDs", code="bad_user_ids")
    return {found for found in ids if found is not None}


def _render(user: storage.User) -> User:
    return User(id=user.id, name=user.name)
