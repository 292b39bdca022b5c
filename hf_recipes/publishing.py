"""Talking to a Hub that may be busy, away, or unwilling."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import filter_repo_objects, httpx

from .model_card import named_card

logger = logging.getLogger(__name__)

TRIES = 4


def with_retries(request: Callable[[], Any], doing: str) -> Any:
    """The result of `request()`, tried up to four times while the Hub is busy or the connection breaks.

    Args:
        doing: what the request does, for the error: "pushing me/model from outputs/run".

    Raises:
        RuntimeError: in one line, when the Hub refuses, or when the last try fails.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return request()
        except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
            status = http_status(error)
            if attempt == TRIES or (status is not None and status < 500 and status != 429):
                rights = "; make a token that may write, or change --hub_model_id" if status == 403 else ""
                raise RuntimeError(
                    f"{doing} failed: {hub_problem(error)}{rights}. Nothing local is lost: start the same command again to retry"
                ) from error
            logger.warning("%s failed (%s); trying again, %d of %d", doing, status or error, attempt, TRIES - 1)
            time.sleep(2**attempt)


def push_folder(
    folder: Path,
    model_id: str,
    message: str,
    *,
    leave_out: Sequence[str] = (),
    token: str | None = None,
    revision: str | None = None,
    blocking: bool = True,
) -> Any:
    """Upload a folder in one commit, its card with the id that it is published under.

    Args:
        folder, model_id, message: what goes where, and the commit's message.
        leave_out: patterns of files that stay.
        token, revision, blocking: of the Hub, as `HfApi.create_commit` takes them.

    Raises:
        RuntimeError: in one line, when the Hub refuses or cannot be reached.
    """
    files = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    operations = [
        CommitOperationAdd(name, named_card(folder / name, model_id) if name == "README.md" else folder / name)
        for name in filter_repo_objects(files, ignore_patterns=list(leave_out))
    ]

    def push():
        return HfApi().create_commit(
            repo_id=model_id,
            operations=operations,
            commit_message=message,
            token=token,
            revision=revision,
            run_as_future=not blocking,
        )

    return with_retries(push, f"pushing {model_id} from {folder}")


def publish_folder(
    folder: Path,
    model_id: str,
    message: str,
    *,
    leave_out: Sequence[str] = (),
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
) -> None:
    """`push_folder` to a repository that is made if it is not there.

    Raises:
        RuntimeError: in one line, when the Hub refuses or cannot be reached.
    """

    def make() -> Any:
        return HfApi(token=token).create_repo(model_id, private=private, exist_ok=True)

    with_retries(make, f"making the repository {model_id}")
    push_folder(folder, model_id, message, leave_out=leave_out, token=token, revision=revision)


def http_status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def hub_problem(error: Exception) -> str:
    """Why a request to the Hub failed, and what to do, in one line."""
    status = http_status(error)
    reason = " ".join((getattr(error, "server_message", None) or str(error)).split())[:300]
    if status == 401:
        return f"the Hub does not know the token ({reason}); log in with `hf auth login` or set HF_TOKEN"
    if status == 403:
        return f"the token has not the rights for that ({reason})"
    if status is None and isinstance(error, httpx.HTTPError):
        return f"the Hub cannot be reached, or the connection broke ({reason or type(error).__name__})"
    return reason
