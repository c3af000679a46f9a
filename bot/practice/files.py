"""Files: taken in at the upload URL, given out to apps with a token and to the page."""

from aiohttp import web

from bot.practice.records import StoredFile
from bot.practice.state import State


def file_routes(state: State) -> list[web.RouteDef]:
    """Give the routes for files."""

    async def upload(request: web.Request) -> web.StreamResponse:
        file = state.files.get(request.match_info["file_id"])
        if file is None or file.upload_key != request.match_info["key"] or file.completed:
            return web.Response(status=404, text="There is no such upload.\n")
        content = await _content(request)
        if len(content) != file.size:
            text = f"{file.size} bytes were announced, {len(content)} came.\n"
            return web.Response(status=400, text=text)
        file.content = content
        return web.Response(text=f"OK - {len(content)}")

    async def for_apps(request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in {app.bot_token for app in state.apps.values()}:
            return web.Response(status=403, text="A token with files:read is needed.\n")
        return _download(state, request.match_info["file_id"].partition("-")[2])

    async def for_page(request: web.Request) -> web.StreamResponse:
        return _download(state, request.match_info["file_id"])

    return [
        web.post("/upload/v1/{file_id}/{key}", upload),
        web.get("/files-pri/{file_id}/{name}", for_apps),
        web.get("/files-pri/{file_id}/download/{name}", for_apps),
        web.get("/practice/files/{file_id}/{name}", for_page),
    ]


async def _content(request: web.Request) -> bytes:
    if not request.content_type.startswith("multipart/"):
        return await request.read()
    form = await request.post()
    for part in form.values():
        if isinstance(part, web.FileField):
            return part.file.read()
    return b""


def _download(state: State, file_id: str) -> web.Response:
    file = state.files.get(file_id)
    if file is None or file.content is None:
        return web.Response(status=404, text="There is no such file.\n")
    return web.Response(body=file.content, headers=_headers(file))


def _headers(file: StoredFile) -> dict[str, str]:
    """Give headers that keep an uploaded page from running as part of this site."""
    safe = file.mimetype if file.mimetype.startswith(("image/png", "image/jpeg", "image/gif",
                                                      "text/plain")) else ""  # fmt: skip
    name = file.name.replace('"', "").replace("\n", "").replace("\r", "")
    return {
        "Content-Type": safe or "application/octet-stream",
        "Content-Disposition": f'{"inline" if safe else "attachment"}; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
    }
