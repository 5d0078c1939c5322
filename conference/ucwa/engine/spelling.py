"""Addresses as programs write them: in the capitals of the first server of this API, or as another release had them.

Programs begin at addresses that they put together by themselves, and only then follow links. Whatever stands for one
of ours is answered as that one is.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.web_urldispatcher import PlainResource, UrlDispatcher, UrlMappingMatchInfo
from yarl import URL

from conference.ucwa.engine import negotiate
from conference.ucwa.engine.urls import APPLICATIONS, DISCOVERY, FIRST, ROOT, TOKEN, USER, XFRAME

_SPELLINGS = {
    **{path.lower(): path for path in (ROOT, DISCOVERY, USER, XFRAME, TOKEN)},
    f"{DISCOVERY}/user": USER,
    f"{XFRAME}.html": XFRAME,
    "/xframe": XFRAME,
    "/xframe/xframe.html": XFRAME,
    "/autodiscover/xframe": XFRAME,
    "/autodiscover/xframe/xframe.html": XFRAME,
    "/ucwa/xframe/xframe.html": XFRAME,
}
"""In lower case."""
_DISCOVER = ("lyncdiscover.", "lyncdiscoverinternal.")
"""How a host's name begins that is there for programs alone."""
_APPLICATIONS = ("/ucwa/oauth/v1/applications", APPLICATIONS)


def spelled(path: str) -> str:
    """As we write what this path stands for; the path itself when it stands for nothing else. What is below an
    application keeps its spelling: ids have theirs."""
    lower = path.lower()
    for prefix in _APPLICATIONS:
        if lower.startswith(prefix):
            rest = path[len(prefix) :]
            if not rest.strip("/"):
                return APPLICATIONS
            if rest.startswith("/"):
                return APPLICATIONS + rest
    return _SPELLINGS.get(lower.rstrip("/"), path)


def add_routes(router: UrlDispatcher) -> None:
    """To be added before what else answers at `/`."""
    router.register_resource(_Spellings(router))


class _Spellings(PlainResource):
    """Resolves what is spelled otherwise by what it stands for. It is looked at after all that has a route."""

    def __init__(self, router: UrlDispatcher) -> None:
        super().__init__(FIRST)
        self._router = router

    async def resolve(self, request: web.Request) -> tuple[UrlMappingMatchInfo | None, set[str]]:
        asked = request.rel_url
        path = ROOT if _begins(request) else spelled(asked.raw_path)
        if path == asked.raw_path:
            return None, set()
        url = URL.build(path=path, query_string=asked.raw_query_string, encoded=True)
        return await self._router.resolve(request.clone(rel_url=url)), set()

    def raw_match(self, path: str) -> bool:
        """So that nobody adds a route to this one."""
        return False


def _begins(request: web.Request) -> bool:
    """A program begins at `lyncdiscover.DOMAIN/`, where a browser finds the web client. At that name programs that
    say nothing of forms begin too, and nobody else does."""
    if request.rel_url.raw_path != FIRST:
        return False
    accept = ",".join(request.headers.getall("Accept", []))
    if request.headers.get("Host", "").lower().startswith(_DISCOVER):
        return not negotiate.names_html(accept)
    return negotiate.wants_resource(accept)
