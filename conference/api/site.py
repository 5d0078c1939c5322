"""The pages that people open: the web client, the join link, the documentation. Static files, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from conference.api.body import answer
from conference.api.openapi import Handler, Json

WEB_ROOT = Path(__file__).parent.parent / "web"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".wav": "audio/wav",
}
_HEADERS = {
    # every file is asked for again and answered 304 by its ETag: no build step, so no hashed names
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
        "img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
        "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    "Referrer-Policy": "no-referrer",  # join links and tokens are in addresses
}


def add_routes(app: web.Application, document: Json, root: Path = WEB_ROOT) -> None:
    """`document` is what /openapi.json gives."""
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    router = app.router
    # a family may answer programs there
    router.add_get("/", _page(root / "index.html", {"Vary": "Accept"}))
    router.add_get("/join/{code}", _page(root / "index.html"))
    router.add_get("/docs", _page(root / "docs" / "index.html"))
    router.add_get("/favicon.ico", _page(root / "favicon.svg"))
    router.add_get("/web/{path:.+}", _files(files))
    router.add_get("/openapi.json", _document(document))


def _page(path: Path, headers: Mapping[str, str] | None = None) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        response = _file(path)
        response.headers.update(headers or {})
        return response

    return serve


def _files(files: dict[str, Path]) -> Handler:
    """Only what was there at the start can be asked for, so no path leads out."""

    async def serve(request: web.Request) -> web.StreamResponse:
        path = files.get(request.match_info["path"])
        if path is None:
            raise web.HTTPNotFound
        return _file(path)

    return serve


def _file(path: Path) -> web.FileResponse:
    kind = _TYPES.get(path.suffix, "application/octet-stream")
    return web.FileResponse(path, headers={**_HEADERS, "Content-Type": kind})


def _document(document: Json) -> Handler:
    response_body = answer(document).body

    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=response_body,
            content_type="application/json",
            headers={"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"},
        )

    return serve
