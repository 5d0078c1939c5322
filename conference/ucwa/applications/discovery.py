"""Where a program begins: the root that anybody may read, and what is there for somebody who has signed in.

Their addresses are whole: most clients pass them on to their HTTP library as they are.
"""

from __future__ import annotations

from conference.ucwa.engine.call import Call, Endpoint, Reply
from conference.ucwa.engine.resource import Link, Resource
from conference.ucwa.engine.urls import APPLICATIONS, DISCOVERY, ROOT, USER, XFRAME

_XFRAME_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Parley UCWA</title>
<p>Programs reach this API by HTTP requests from their own server, or from a page of this domain. The frame that
passes messages of other sites' pages on is not served: it would let any site that a person visits act for them.</p>
</html>
"""


def endpoints() -> list[Endpoint]:
    return [
        *(
            Endpoint(
                method="GET",
                path=path,
                view=_Root(path).view,
                rel="root",
                summary="Where to begin: links to user and xframe",
                public=True,
            )
            for path in (ROOT, DISCOVERY)
        ),
        Endpoint(
            method="GET",
            path=USER,
            view=_user,
            rel="user",
            summary="What a signed-in user finds: the link to applications",
        ),
        Endpoint(
            method="GET",
            path=XFRAME,
            view=_xframe,
            rel="xframe",
            summary="A page that says how pages reach this API",
            public=True,
            gives="text/html",
            batched=False,
        ),
    ]


class _Root:
    def __init__(self, path: str) -> None:
        self._path = path

    async def view(self, call: Call) -> Reply:
        links = {"user": Link(call.origin + USER), "xframe": Link(call.origin + XFRAME)}
        return Reply(resource=Resource(rel="root", href=call.origin + self._path, links=links))


async def _user(call: Call) -> Reply:
    links = {
        "applications": Link(call.origin + APPLICATIONS, revision="2"),
        "xframe": Link(call.origin + XFRAME),
    }
    return Reply(resource=Resource(rel="user", href=call.origin + USER, links=links))


async def _xframe(call: Call) -> Reply:
    return Reply(
        body=_XFRAME_PAGE.encode(),
        content_type="text/html; charset=utf-8",
        headers={"Content-Security-Policy": "default-src 'none'"},
    )
