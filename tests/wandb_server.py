"""Serve W&B on 127.0.0.1 as far as a run needs it, keep what it receives, and fail on request."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal


@dataclass
class SentRun:
    """A run as the server knows it."""

    config: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)  # name, project, group, tags
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    exit_codes: list[int] = field(default_factory=list)  # one per process that reported its end

    def tail(self) -> dict[str, Any]:
        """Return what a process asks for that resumes the run."""
        return {
            "id": "id",
            "config": json.dumps(self.config),
            "summaryMetrics": json.dumps(self.summary),
            "historyLineCount": len(self.history),
            "eventsLineCount": 0,
            "logLineCount": 0,
            "historyTail": json.dumps([json.dumps(row) for row in self.history[-1:]]),
            "eventsTail": "[]",
            "tags": self.about["tags"],
            "wandbConfig": json.dumps({"t": 1}),
        }


class FakeServer(ThreadingHTTPServer):
    """A server in its own thread.

    Attributes:
        runs: by their id.
        mood: "well"; "mute" takes a request and never answers; "broken" answers 500.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, SentRun] = {}
        self.mood: Literal["well", "mute", "broken"] = "well"
        self.requests = 0
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def query(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """Answer a GraphQL request."""
        if operation == "Viewer":
            return {"viewer": {"id": "v", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
        if operation == "RunResumeStatus":
            run = self.runs.get(given["name"])
            return {"model": {"id": "m", "entity": {"name": "me"}, "bucket": run.tail() if run else None}}
        if operation == "UpsertBucket":
            new = given["name"] not in self.runs
            run = self.runs.setdefault(given["name"], SentRun())
            run.config |= json.loads(given["config"] or "{}")
            run.about |= {key: value for key, value in given.items() if value is not None} | {
                "tags": given["tags"] or []
            }
            project = {"id": "p", "name": given["project"], "entity": {"id": "e", "name": "me"}}
            bucket = {"id": "b", "name": given["name"], "displayName": given["displayName"], "project": project}
            return {"upsertBucket": {"inserted": new, "bucket": bucket | {"historyLineCount": len(run.history)}}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in given["files"]]
            return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}
        if operation == "CreateArtifact":
            asked = given["input"]
            self.runs[asked["runName"]].artifacts.append(asked)
            # Already committed, so nothing more is sent.
            artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": {"id": "s", "name": "s"}}
            return {"createArtifact": {"artifact": artifact}}
        return {"project": None}

    def stream(self, run: SentRun, sent: dict[str, Any]) -> None:
        """Receive a piece of a run's history."""
        files = sent.get("files") or {}
        history = files.get("wandb-history.jsonl", {"offset": len(run.history), "content": []})
        run.history[history["offset"] :] = map(json.loads, history["content"])
        for line in files.get("wandb-summary.json", {}).get("content", []):
            run.summary |= json.loads(line)
        if sent.get("complete"):
            run.exit_codes.append(sent["exitcode"])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that have gone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeServer

    def log_message(self, *args: Any) -> None:
        """Log nothing."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _serve(self) -> None:
        body = self._body()
        self.server.requests += 1
        if self.server.mood == "mute":
            self.server.released.wait()
        answer, code = {}, 500 if self.server.mood == "broken" else 200
        if code == 200 and self.path == "/graphql":
            asked = json.loads(body)
            answer = {"data": self.server.query(asked["operationName"], asked.get("variables") or {})}
        elif code == 200 and self.path.endswith("/file_stream"):
            self.server.stream(self.server.runs[self.path.split("/")[-2]], json.loads(body))
        text = json.dumps(answer).encode()
        with suppress(ConnectionError):  # the client waits no longer
            self._answer(code, text)

    def _answer(self, code: int, text: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = _serve


@contextmanager
def serving() -> Iterator[FakeServer]:
    """Serve for the length of the block."""
    with FakeServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
