"""A Hub on loopback that checks what the real one checks: tokens, digests of uploads, and the metadata of cards.

    with running_hub(folder, faults=["PUT:503:2"]) as endpoint: ...

Models are plain folders, FOLDER/OWNER/NAME. `hf_local` may write as the user "local", `hf_readonly` may only read, any
other token is refused. A fault `MATCH:WHAT:TIMES` hits the first TIMES requests whose "METHOD /path" contains MATCH:
WHAT is a status to answer with, or `cut` to break the connection half-way through the answer.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LFS_SUFFIXES = {".safetensors", ".bin", ".png", ".pt"}
TOKENS = {"hf_local": ("local", "write"), "hf_readonly": ("reader", "read")}
NOBODY = "0" * 40


class Store:
    """Folders on disk as repositories; a commit's id is a digest of what the folder holds."""

    def __init__(self, root: Path):
        self.root, self.lock = root.resolve(), threading.RLock()
        (self.root / ".lfs").mkdir(parents=True, exist_ok=True)

    def repo(self, repo_id: str) -> Path | None:
        path = (self.root / repo_id).resolve()
        return path if path.is_dir() and self.root in path.parents else None

    def files(self, repo: Path) -> list[Path]:
        return sorted(path for path in repo.rglob("*") if path.is_file())

    def digests(self, path: Path) -> tuple[str, str]:
        data = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest(), hashlib.sha256(data).hexdigest()

    def head(self, repo: Path) -> str:
        listing = "\n".join(f"{path.relative_to(repo)} {self.digests(path)[0]}" for path in self.files(repo))
        return hashlib.sha1(listing.encode()).hexdigest()

    def entry(self, repo: Path, path: Path) -> dict:
        sha1, sha256 = self.digests(path)
        row = {"type": "file", "path": str(path.relative_to(repo)), "size": path.stat().st_size, "oid": sha1}
        if path.suffix in LFS_SUFFIXES:
            row["lfs"] = {"oid": sha256, "size": row["size"], "pointerSize": 130}
        return row


def card_errors(text: str) -> list[str]:
    """What the Hub would refuse or warn of in a card's metadata, and what this project promises beyond that."""
    found = re.match(r"---\n(.*?)\n---\n", text, re.S)
    if not found:
        return ["the card has no metadata"]
    try:
        data = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return [f"the metadata is not YAML: {error}"]
    errors = [f"'{key}' is missing" for key in ("library_name", "license", "tags", "metrics") if not data.get(key)]
    for model in data.get("model-index") or []:
        if not model.get("name"):
            errors.append("'model-index' has a model without a name")
        for result in model.get("results") or [{}]:
            for part, keys in (("task", ("type",)), ("dataset", ("type", "name"))):
                errors += [f"a result has no {part}.{key}" for key in keys if not (result.get(part) or {}).get(key)]
            for metric in result.get("metrics") or [{}]:
                if not metric.get("type") or not isinstance(metric.get("value"), int | float):
                    errors.append(f"a metric of a result is {metric}, which has no type or no value that is a number")
    return errors


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store
    faults: list[dict]

    def log_message(self, *args):
        pass

    def send(self, status: int, body=None, headers: dict | None = None, content_type: str = "application/json") -> None:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.cut:
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            self.connection.close()
        else:
            self.wfile.write(data)

    def fail(self, status: int, code: str, message: str) -> None:
        self.send(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def user(self) -> tuple[str | None, str]:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        return TOKENS.get(token, (None, "bad" if token else "none"))

    def handle_any(self) -> None:
        self.cut = False
        self.data = self.body() if self.command in ("POST", "PUT", "DELETE") else b""
        for fault in self.faults:
            if fault["left"] and fault["match"] in f"{self.command} {self.path}":
                fault["left"] -= 1
                if fault["what"] != "cut":
                    return self.fail(int(fault["what"]), "Fault", "injected fault")
                self.cut = True
        if self.user()[1] == "bad":
            return self.fail(401, "InvalidToken", "Invalid credentials in Authorization header")
        url = urlsplit(self.path)
        self.query, parts = parse_qs(url.query), [unquote(part) for part in url.path.strip("/").split("/")]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.route(parts)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

    def route(self, parts: list[str]) -> None:
        if parts[0] == ".lfs":
            return self.lfs_object(parts)
        if parts[0] != "api" and "resolve" in parts:
            at = parts.index("resolve")
            return self.resolve("/".join(parts[:at]), parts[at + 1], "/".join(parts[at + 2 :]))
        if parts[-3:] == ["lfs", "objects", "batch"]:
            return self.lfs_batch()
        if parts[:2] == ["api", "whoami-v2"]:
            name, role = self.user()
            if not name:
                return self.fail(401, "NoToken", "Invalid username or password.")
            token = {"type": "access_token", "accessToken": {"role": role, "displayName": "test"}}
            return self.send(
                200, {"type": "user", "id": name, "name": name, "fullname": name, "orgs": [], "auth": token}
            )
        if parts[:2] == ["api", "validate-yaml"]:
            errors = card_errors(json.loads(self.data)["content"])
            return self.send(400 if errors else 200, {"errors": [{"message": e} for e in errors], "warnings": []})
        if parts[:3] == ["api", "repos", "create"]:
            return self.create()
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            return self.repository("/".join(parts[2:4]), parts[4:])
        return self.fail(404, "NotFound", f"no such route: {self.path}")

    def may_write(self, owner: str) -> bool:
        name, role = self.user()
        if name is None:
            self.fail(401, "NoToken", "Invalid username or password.")
        elif role != "write" or owner != name:
            self.fail(403, "Forbidden", "You don't have the rights to write to this repository")
        return role == "write" and owner == name

    def create(self) -> None:
        ask = json.loads(self.data)
        name = ask["name"].split("/")[-1]
        owner = ask.get("organization") or self.user()[0] or ""
        if self.may_write(owner):
            path = self.store.root / owner / name
            if path.is_dir():
                return self.fail(409, "Conflict", "You already created this model repo")
            path.mkdir(parents=True)
            url = f"http://{self.headers['Host']}/{owner}/{name}"
            self.send(200, {"url": url, "name": f"{owner}/{name}", "id": f"{owner}/{name}"})
        return None

    def find(self, repo_id: str) -> Path | None:
        repo = self.store.repo(repo_id)
        if not repo:
            self.fail(401 if self.user()[1] == "none" else 404, "RepoNotFound", "Repository not found")
        return repo

    def repository(self, repo_id: str, rest: list[str]) -> None:
        verb = rest[0] if rest else "revision"
        writes = verb in ("commit", "preupload")
        if (writes and not self.may_write(repo_id.split("/")[0])) or not (repo := self.find(repo_id)):
            return None
        head = self.store.head(repo)
        if len(rest) > 1 and rest[1] not in (head, "main", "HEAD"):
            return self.fail(404, "RevisionNotFound", f"Invalid rev id: {rest[1]}")
        entries = [self.store.entry(repo, path) for path in self.store.files(repo)]
        if verb == "revision":
            siblings = [
                {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]} for entry in entries
            ]
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            info = {
                "_id": head[:24],
                "id": repo_id,
                "modelId": repo_id,
                "sha": head,
                "lastModified": now,
                "createdAt": now,
            }
            return self.send(
                200, info | {"private": False, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings}
            )
        if verb == "tree":
            folder = "/".join(rest[2:])
            return self.send(200, [entry for entry in entries if entry["path"].startswith(folder)])
        if verb == "paths-info":
            asked = json.loads(self.data) if self.data[:1] == b"{" else parse_qs(self.data.decode())
            return self.send(200, [entry for entry in entries if entry["path"] in asked["paths"]])
        if verb == "refs":
            branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": head}
            return self.send(200, {"branches": [branch], "converts": [], "tags": []})
        if verb == "preupload":
            files = [
                {
                    "path": ask["path"],
                    "uploadMode": "lfs" if Path(ask["path"]).suffix in LFS_SUFFIXES else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for ask in json.loads(self.data)["files"]
            ]
            return self.send(200, {"files": files})
        return self.commit(repo_id, repo) if writes else self.fail(404, "NotFound", f"no such route: {self.path}")

    def commit(self, repo_id: str, repo: Path) -> None:
        """All or nothing: every file is checked before the first is written."""
        writes = []
        for line in (json.loads(line) for line in self.data.decode().splitlines() if line.strip()):
            value = line["value"]
            if line["key"] == "lfsFile":
                blob = self.store.root / ".lfs" / value["oid"]
                if not blob.exists():
                    return self.fail(400, "MissingObject", f"{value['path']} was not uploaded")
                writes.append((value["path"], blob.read_bytes()))
            elif line["key"] == "file":
                writes.append((value["path"], base64.b64decode(value["content"])))
        for path, data in writes:
            errors = card_errors(data.decode()) if path == "README.md" else []
            if errors or repo not in (repo / path).resolve().parents:
                return self.fail(400, "BadCommit", f"{path}: {'; '.join(errors) or 'not a path in the repository'}")
        with self.store.lock:
            for path, data in writes:
                (repo / path).parent.mkdir(parents=True, exist_ok=True)
                (repo / path).write_bytes(data)
            head = self.store.head(repo)
        url = f"http://{self.headers['Host']}/{repo_id}/commit/{head}"
        return self.send(200, {"success": True, "commitOid": head, "commitUrl": url, "hookOutput": ""})

    def resolve(self, repo_id: str, revision: str, name: str) -> None:
        repo = self.find(repo_id)
        if not repo:
            return None
        head, path = self.store.head(repo), repo / name
        commit = {"X-Repo-Commit": head}
        if revision not in (head, "main", "HEAD"):
            return self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if not path.is_file():
            return self.send(404, {"error": "Entry not found"}, commit | {"X-Error-Code": "EntryNotFound"})
        entry = self.store.entry(repo, path)
        tag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        headers = commit | {"ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
        data = path.read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted:
            start, end = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            return self.send(206, data[start : end + 1], headers, "application/octet-stream")
        return self.send(200, data, headers, "application/octet-stream")

    def lfs_batch(self) -> None:
        if not self.user()[0]:
            return self.fail(401, "NoToken", "Invalid username or password.")
        objects = []
        for ask in json.loads(self.data)["objects"]:
            row = {"oid": ask["oid"], "size": ask["size"]}
            if not (self.store.root / ".lfs" / ask["oid"]).exists():
                href = f"http://{self.headers['Host']}/.lfs/{ask['oid']}"
                verify = {"href": href + "/verify", "header": {}}
                row["actions"] = {"upload": {"href": href, "header": {}}, "verify": verify}
            objects.append(row)
        return self.send(200, {"transfer": "basic", "objects": objects})

    def lfs_object(self, parts: list[str]) -> None:
        blob = self.store.root / ".lfs" / re.sub(r"[^0-9a-f]", "", parts[1])
        if self.command == "PUT":
            if hashlib.sha256(self.data).hexdigest() != parts[1]:
                return self.fail(400, "BadDigest", "content does not match its digest")
            part = blob.with_suffix(f".{threading.get_ident()}")
            part.write_bytes(self.data)
            os.replace(part, blob)
            return self.send(200, {})
        good = blob.exists() and blob.stat().st_size == json.loads(self.data).get("size")
        return self.send(200, {}) if good else self.fail(422, "Unverified", "object is missing or has another size")


@contextlib.contextmanager
def running_hub(root: Path, faults: list[str] = ()) -> Iterator[str]:
    """Serve `root` on a free port of 127.0.0.1; yields the endpoint."""
    rules = []
    for fault in faults:
        match, what, left = fault.rsplit(":", 2)
        rules.append({"match": match, "what": what, "left": int(left)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (Handler,), {"store": Store(root), "faults": rules}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        shutil.rmtree(root / ".lfs", ignore_errors=True)
