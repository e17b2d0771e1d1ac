"""The console in a browser: ``dsq-console --web``.

textual-serve runs one console for each tab and shows it there. It listens on loopback only,
and every request must bear the token of the link that is printed: other users of the machine,
and pages of other sites in the same browser, get nothing.
"""

from __future__ import annotations

import hmac
import re
import secrets
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server

from dsq.core.errors import UsageError
from dsq.core.loopback import free_port
from dsq.core.quoting import join

HOST = "127.0.0.1"
COOKIE = "dsq-console"
FOREIGN = re.compile(r"<link[^>]*https://[^>]*>")
"""What the page of textual-serve would load from other sites."""

HEAD = """<title>dsq</title>
    <link rel="icon" href="data:," />
    <script>
      // The terminal has the keys as soon as it is there, and whenever the tab is in front.
      function takeKeys() {
        const keys = document.querySelector(".xterm-helper-textarea");
        if (keys) keys.focus();
      }
      window.addEventListener("focus", takeKeys);
      window.addEventListener("DOMContentLoaded", () =>
        new MutationObserver(takeKeys).observe(document.body, { attributes: true })
      );
    </script>
  </head>"""

POLICY = "default-src 'self' data: 'unsafe-inline'; connect-src 'self' ws:; frame-ancestors 'none'"


class TokenServer(Server):
    """A server whose every answer needs the token.

    Args:
        arguments: The console's own arguments.
        port: Where to listen; 0 finds a free port.
    """

    def __init__(self, arguments: Sequence[str], port: int) -> None:
        self.token = secrets.token_urlsafe(24)
        place = port or free_port()
        command = join([sys.executable, "-m", "dsq.console.console_command", *arguments])
        super().__init__(command, HOST, place, "dsq", f"http://{HOST}:{place}")

    @property
    def link(self) -> str:
        """What is opened in the browser."""
        return f"{self.public_url}/?token={self.token}"

    def initialize_logging(self) -> None:
        """Nothing goes to the log but faults: links with the token must not."""

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard())
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Nothing yet: the link is told when somebody listens behind it."""

    def serve(self, debug: bool = False) -> None:  # noqa: ARG002
        """Serves until it is interrupted."""

        def listening(*_: object) -> None:
            sys.stdout.write(f"Open {self.link} in a browser; ctrl+C ends it.\n")
            sys.stdout.flush()

        web.run_app(self._make_app(), host=self.host, port=self.port, print=listening)

    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            own = urlsplit(self.public_url).netloc
            # Another name for this address is a page that had its name point here.
            if request.host != own:
                raise web.HTTPForbidden(text="This console is not served under that name.")
            origin = request.headers.get("Origin")
            if origin is not None and urlsplit(origin).netloc != request.host:
                raise web.HTTPForbidden(text="Another site may not use this console.")
            if self._is(request.query.get("token", "")) and request.path == "/":
                known = web.HTTPFound("/")
                known.set_cookie(COOKIE, self.token, httponly=True, samesite="Strict")
                raise known
            if not self._is(request.cookies.get(COOKIE, "")):
                raise web.HTTPForbidden(text="Open the link that dsq-console has printed.")
            answer = await handler(request)
            if isinstance(answer, web.Response) and answer.content_type == "text/html":
                answer.text = FOREIGN.sub("", answer.text or "").replace("</head>", HEAD, 1)
            if not answer.prepared:
                answer.headers["Content-Security-Policy"] = POLICY
                answer.headers["Referrer-Policy"] = "no-referrer"
            return answer

        return guard

    def _is(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self.token.encode())


def serve(arguments: Sequence[str], port: int) -> None:
    """Serves the console until it is interrupted.

    Args:
        arguments: The console's own arguments; each tab of the browser runs it with them.
        port: Where to listen on loopback; 0 finds a free port.

    Raises:
        UsageError: Something else listens there.
    """
    try:
        TokenServer(arguments, port).serve()
    except OSError as error:
        raise UsageError(
            f"Nothing can listen on {HOST}:{port}: {error.strerror}.",
            hint="Choose another --port.",
        ) from error
