"""Several requests in one: each is dispatched as if it had come alone, in the order in which they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID, uuid4

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from conference.api.refusal import Refusal, refusal
from conference.errors import BadRequest, DomainError
from conference.ucwa.engine import multipart, negotiate
from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.dispatch import Answered, Asked, Dispatch
from conference.ucwa.engine.multipart import Part
from conference.ucwa.engine.refusals import written
from conference.ucwa.engine.spelling import spelled
from conference.ucwa.engine.table import Table, WrongMethod
from schemas.errors import Problem

OUTSTANDING_MOST = 100
"""Of a user's requests at one time, over all batches."""


class Outstanding(Protocol):
    def counted(self, user_id: UUID, many: int) -> AbstractAsyncContextManager[None]:
        """Entering raises TooManyRequests."""
        ...


class Batches:
    def __init__(
        self, dispatch: Dispatch, endpoints: Sequence[Endpoint], outstanding: Outstanding
    ) -> None:
        """`endpoints`: of the whole family; those that may not be parts are told from those that are not there."""
        self._dispatch = dispatch
        self._table = Table([*endpoints, self.endpoint()])
        self._outstanding = outstanding

    def endpoint(self) -> Endpoint:
        return Endpoint(
            method="POST",
            path="batch",
            view=self.run,
            rel="batch",
            summary="Several requests in one",
            reads=multipart.MEDIA_TYPE,
            gives=multipart.MEDIA_TYPE,
            batched=False,
            waits=True,
        )

    async def run(self, call: Call) -> Reply:
        """Raises BadRequest, and TooManyRequests with nothing run."""
        content_type = call.headers.get("Content-Type", "")
        parts = multipart.read(call.body, content_type, OUTSTANDING_MOST)
        async with self._outstanding.counted(call.caller.user_id, len(parts)):
            answered = [await self._answer(part, call) for part in parts]
        boundary = str(uuid4())
        return Reply(
            body=multipart.write(answered, boundary),
            content_type=f'{multipart.MEDIA_TYPE}; boundary="{boundary}"',
        )

    async def _answer(
        self, part: Part | DomainError, call: Call
    ) -> tuple[int, Mapping[str, str], bytes]:
        """A part that fails is answered in its place; the others run all the same."""
        accept = _accept(part, call)
        try:
            answered = await self._dispatched(part, call, accept)
        except WrongMethod as error:
            problem = Problem(code="method_not_allowed", message="not by this method")
            allow = {"Allow": ",".join(error.allowed)}
            answered = _refused(Refusal(405, problem, allow), accept)
        except Exception as error:  # as the server's middleware does for a request on its own
            answered = _refused(refusal(error), accept)
        return answered.status, answered.headers, answered.body

    async def _dispatched(self, part: Part | DomainError, call: Call, accept: str) -> Answered:
        if isinstance(part, DomainError):
            raise part
        _check_sender(part, call)
        url = _url(part.target)
        endpoint, params = self._table.find(part.method, spelled(url.raw_path))
        if not endpoint.batched:
            raise BadRequest(f"{endpoint.rel} can't be asked for in a batch")
        headers = CIMultiDict(part.headers)
        headers["Accept"] = accept
        asked = Asked(
            method=part.method,
            query=url.query,
            headers=CIMultiDictProxy(headers),
            body=part.body,
            caller=call.caller,
            origin=call.origin,
        )
        return await self._dispatch(endpoint, asked, params)


def _accept(part: Part | DomainError, call: Call) -> str:
    """The part's own wish, or that of the batch as far as it is about more than batches."""
    if isinstance(part, Part) and "Accept" in part.headers:
        return ",".join(part.headers.getall("Accept"))
    return negotiate.form_or_json(call.headers.get("Accept", "")).media_type


def _check_sender(part: Part, call: Call) -> None:
    own = part.headers.get("Authorization")
    if own is not None and own != call.headers.get("Authorization"):
        raise BadRequest("a part is sent by whoever sends the batch: leave Authorization out")


def _url(target: str) -> URL:
    try:
        return URL(target, encoded=True)
    except ValueError:
        raise BadRequest(f"{target} is no path") from None


def _refused(found: Refusal, accept: str) -> Answered:
    status, content_type, body = written(accept, found.status, found.problem)
    headers = CIMultiDict({"Content-Type": content_type, **found.headers})
    return Answered(status=status, headers=headers, body=body)
