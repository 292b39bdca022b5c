"""Which failures a user can mend, and what to tell of them in one line. All others are bugs and keep their traceback."""


def explain(error: Exception) -> str | None:
    """One line, or None for an exception that no user can do anything about."""
    # all of them heavy, and only needed when something has failed
    from datasets.exceptions import DatasetGenerationError, DatasetsError
    from huggingface_hub.errors import StrictDataclassError
    from huggingface_hub.utils import httpx
    from PIL.Image import DecompressionBombError

    from .publishing import hub_problem

    if isinstance(error, httpx.HTTPError):
        return hub_problem(error)
    if isinstance(error, (DatasetGenerationError, StrictDataclassError)) and error.__cause__ is not None:
        return explain(error.__cause__) or one_line(error)  # what they wrap says more than they do
    mendable = (ValueError, OSError, RuntimeError, FloatingPointError, DatasetsError, StrictDataclassError)
    return one_line(error) if isinstance(error, (*mendable, DecompressionBombError)) else None


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
