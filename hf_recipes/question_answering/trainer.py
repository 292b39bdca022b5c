"""The trainer of readers: evaluated by question, over all windows of its context."""

from ..training import RecipeTrainer


class QuestionAnsweringTrainer(RecipeTrainer):
    """A `RecipeTrainer` whose model learns from each validation at which temperature its scores are probabilities.

    Spans of all windows of a question are compared by `windows.make_reduce` and `windows.make_compute`; only the best few of each window are
    kept, so that memory does not grow with logits.
    """

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        metrics = super().evaluate(*args, **kwargs)
        self.model.config.answer_temperature = metrics["eval_temperature"]
        return metrics
