"""The trainer of readers: evaluated by question, over all windows of its context."""

from ..training import RecipeTrainer
from .windows import TEMPERATURES


class QuestionAnsweringTrainer(RecipeTrainer):
    """A `RecipeTrainer` whose model keeps the temperature at which its scores are probabilities, as fitted on the validation questions.

    Spans of all windows of a question are compared by `windows.make_reduce` and `windows.make_compute`; only the best few of each window are
    kept, so that memory does not grow with logits.
    """

    def train(self, *args, **kwargs):
        output = super().train(*args, **kwargs)
        rows = {row["step"]: row for row in self.state.log_history if row.get("eval_temperature") in TEMPERATURES}
        # none where it was killed before, or asked not to evaluate
        chosen = rows.get(self.chosen_step) or self.evaluate()
        self.model.config.answer_temperature = chosen["eval_temperature"]
        return output
