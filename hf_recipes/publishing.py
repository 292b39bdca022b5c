"""Talking to a Hub that may be busy, away, or unwilling."""

import logging
import time
from collections.abc import Callable
from typing import Any

from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

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
                raise RuntimeError(
                    f"{doing} failed: {hub_problem(error)}. Nothing local is lost: start the same command again to retry"
                ) from error
            logger.warning("%s failed (%s); trying again, %d of %d", doing, status or error, attempt, TRIES - 1)
            time.sleep(2**attempt)


def http_status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def hub_problem(error: Exception) -> str:
    """Why a request to the Hub failed, and what to do, in one line."""
    status = http_status(error)
    reason = " ".join((getattr(error, "server_message", None) or str(error)).split())[:300]
    if status == 401:
        return f"the Hub does not know the token ({reason}); log in with `hf auth login` or set HF_TOKEN"
    if status == 403:
        return (
            f"the token has not the rights to write there ({reason}); make one that may write, or change --hub_model_id"
        )
    if status is None and isinstance(error, httpx.HTTPError):
        return f"the Hub cannot be reached, or the connection broke ({reason or type(error).__name__})"
    return reason
