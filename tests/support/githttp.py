"""A real git server over HTTP on loopback, for tests: ``git http-backend`` behind http.server."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class GitServer:
    """Repositories below ``root``, as ``127.0.0.1:<port>/owner/name``.

    Attributes:
        paths: The paths that were asked for.
        redirect: Answers every request with a redirect there.
    """

    root: Path
    port: int = 0
    paths: list[str] = field(default_factory=list)
    redirect: str = ""

    @property
    def host(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def commit(self, name: str, files: Mapping[str, str | None], *, tag: str = "") -> str:
        """Commits files to a repository, made when it is not there; a link where text is None."""
        folder = self.root / name
        if not folder.exists():
            folder.mkdir(parents=True)
            self.git(folder, "init", "--quiet", "--initial-branch=main", ".")
        for path, text in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                place.symlink_to("/etc/passwd")
            else:
                place.write_text(text)
        self.git(folder, "add", "--all")
        self.git(folder, "commit", "--quiet", "--message=change")
        if tag:
            self.git(folder, "tag", "--annotate", "--message=tag", tag)
        return self.git(folder, "rev-parse", "HEAD").strip()

    def git(self, folder: Path, *words: str) -> str:
        """Runs git in a repository."""
        return subprocess.run(
            ["git", *words],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.root),
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_AUTHOR_NAME": "test",
                "GIT_AUTHOR_EMAIL": "test@test",
                "GIT_COMMITTER_NAME": "test",
                "GIT_COMMITTER_EMAIL": "test@test",
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout


@contextmanager
def git_server(root: Path) -> Iterator[GitServer]:
    """Serves repositories until the block ends."""
    server = GitServer(root)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            """Says nothing."""

        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            server.paths.append(self.path)
            if server.redirect:
                self.send_response(301)
                self.send_header("location", server.redirect + self.path)
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            owner, name, *rest = path.strip("/").split("/")
            if not (root / owner / name / ".git").is_dir():
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            answer = subprocess.run(
                ["git", "http-backend"],
                input=body,
                capture_output=True,
                env={
                    "PATH": os.environ["PATH"],
                    "REQUEST_METHOD": self.command,
                    "GIT_PROJECT_ROOT": str(root),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "PATH_INFO": "/".join(["", owner, name, ".git", *rest]),
                    "QUERY_STRING": query,
                    "REMOTE_ADDR": "127.0.0.1",
                    "CONTENT_TYPE": self.headers.get("content-type", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                    "GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "safe.directory",
                    "GIT_CONFIG_VALUE_0": "*",
                },
            ).stdout
            head, _, content = answer.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.port = http.server_port
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
