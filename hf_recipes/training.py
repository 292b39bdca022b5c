"""The trainer of the recipes: what it adds to that of transformers, from augmentation to publishing."""

import contextlib
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PreTrainedModel, Trainer, TrainerCallback
from transformers.dynamic_module_utils import custom_object_save
from transformers.trainer_callback import ExportableState
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, rotate_checkpoints

from .arguments import RecipeTrainingArguments
from .checkpoints import step_of, write_manifest
from .lora import merge_lora
from .model_card import CardInfo, Report, write_card
from .publishing import push_folder, with_retries

logger = logging.getLogger(__name__)

SETTINGS_FILE = "settings.json"  # of a run, in its folder
TRAINED_WEIGHTS_FILE = "trained_weights.safetensors"  # in a checkpoint: the weights under the average
# "log.txt" is of a study, "runs" of a tracker: they name this machine's folders
NOT_PUBLISHED = [
    *("_*", f"{PREFIX_CHECKPOINT_DIR}-*", "training_args.bin", "trainer_state.json", SETTINGS_FILE),
    *("*.tmp", "log.txt", "runs/*"),
]


class WallClock(TrainerCallback, ExportableState):
    """Seconds of training, validation included, kept in the checkpoints so that they add up over resumed runs."""

    def __init__(self, seconds: float = 0.0):
        self.before, self.started = seconds, None

    def on_train_begin(self, args, state, control, **kwargs):
        saved = state.stateful_callbacks.get(type(self).__name__)
        self.before = saved["args"]["seconds"] if saved else 0.0
        self.started = time.monotonic()

    def on_train_end(self, args, state, control, **kwargs):
        self.before, self.started = self.seconds, None  # the test is not part of the training

    @property
    def seconds(self) -> float:
        return self.before + (0.0 if self.started is None else time.monotonic() - self.started)

    def state(self) -> dict:
        return {"args": {"seconds": self.seconds}, "attributes": {}}


class LoggedLoss(TrainerCallback, ExportableState):
    """The loss since it was last logged, kept in the checkpoints (of several processes, that of the first), so that a resumed run logs means over
    as many steps as an unbroken one."""

    trainer: "RecipeTrainer"

    def __init__(self, loss: float = 0.0, since: int = 0):
        pass  # `Trainer` may make it from what `state` says

    def on_train_begin(self, args, state, control, **kwargs):
        saved = state.stateful_callbacks.get(type(self).__name__)
        if saved and state.global_step:
            self.trainer._tr_loss.fill_(saved["args"]["loss"])
            self.trainer._globalstep_last_logged = saved["args"]["since"]

    def state(self) -> dict:
        begun = hasattr(self.trainer, "_tr_loss")
        loss, since = (self.trainer._tr_loss.item(), self.trainer._globalstep_last_logged) if begun else (0.0, 0)
        return {"args": {"loss": loss, "since": since}, "attributes": {}}


class AverageWeights(TrainerCallback):
    """Tells a `RecipeTrainer` that the optimiser has made a step."""

    def __init__(self, trainer: "RecipeTrainer"):
        self.trainer = trainer

    def on_step_end(self, args, state, control, **kwargs):
        self.trainer.update_average()


class RecipeTrainer(Trainer):
    """A `Trainer` for recipes: whole checkpoints only, seeded augmentation, weight averaging, metrics by example, cards.

    Args:
        card: what the model card says of the task and the data.
        augment: `augment(batch, generator)` returns the augmented batch, on the training device, right before the step.
            The generator is seeded by the seed, the step and the process, so that a resumed run sees what an unbroken
            one would have seen, and no two processes see the same.
        reduce: `reduce(batch, outputs)` returns `(predictions, references)`, two dictionaries of tensors with one row
            per example: all that `compute_metrics` needs. Only these rows are gathered from the processes and kept, so
            that memory does not grow with maps or images, and the rows that fill up the last batch are dropped. The
            validation loss is one of the rows, since a mean per batch would count the filling twice.
        pipeline_class: the pipeline that travels to the Hub with the model, for the task `card.pipeline_task`.
    """

    loss_is_scaled_for_ga = False  # losses here are means of a batch, also those of a `compute_loss_func`

    def __init__(
        self,
        *,
        args: RecipeTrainingArguments,
        card: CardInfo,
        augment: Callable[[dict, torch.Generator], dict] | None = None,
        reduce: Callable[[dict, Any], tuple[dict, dict]] | None = None,
        pipeline_class: type | None = None,
        **kwargs,
    ):
        check_writable(Path(args.output_dir))
        super().__init__(args=args, **kwargs)
        # a model whose forward takes `**kwargs` would be taken to divide its loss by the items of all batches
        self.model_accepts_loss_kwargs = False
        self.card, self.augment, self.reduce, self.pipeline_class = card, augment, reduce, pipeline_class
        self.report = Report()
        self.clock = WallClock()
        self.add_callback(self.clock)
        logged = LoggedLoss()
        logged.trainer = self
        self.add_callback(logged)
        self.average: dict[str, torch.Tensor] | None = None
        if self.args.weight_average:
            self.add_callback(AverageWeights(self))
        self.place = (-1, 0)  # (step, batch within the step) of the last augmentation
        self.order = torch.Generator()  # of the examples, where they are grouped by length
        self.use_channels_last()
        logger.info("Training in %s", self.args.trained_precision)

    def use_channels_last(self) -> None:
        if getattr(self.model, "main_input_name", "") == "pixel_values":
            self.model.to(memory_format=torch.channels_last)

    # -- training ---------------------------------------------------------------------------------
    def training_step(self, model: nn.Module, inputs: dict, num_items_in_batch=None) -> torch.Tensor:
        if self.augment is not None:
            inputs = self.augment(self._prepare_inputs(inputs), self.batch_generator())
        with self.plain_attention():
            loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.state.global_step}; lower --learning_rate or check the data"
            )
        return loss

    def _get_train_sampler(self, *args, **kwargs):
        sampler = super()._get_train_sampler(*args, **kwargs)
        if isinstance(sampler, LengthGroupedSampler):
            sampler.generator = self.order
        return sampler

    def _run_epoch(self, **kwargs) -> None:
        """A finished training that is resumed, in the middle of an epoch, is finished: `Trainer` would make a step more.

        The order of examples that are grouped by length is that of the seed and the epoch, in all processes and in a run that is resumed;
        `Trainer` draws it as the generator of this process happens to stand.
        """
        self.order.manual_seed(1000 * self.args.seed + kwargs["epoch"])
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(**kwargs)

    def _finalize_training(self, *args, **kwargs):
        with self.all_checkpoints():  # `Trainer` would leave the best one only, before the model is saved and tested
            return super()._finalize_training(*args, **kwargs)

    @contextlib.contextmanager
    def all_checkpoints(self) -> Iterator[int | None]:
        """No checkpoint is deleted; gives how many are to be kept otherwise."""
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            yield limit
        finally:
            self.args.save_total_limit = limit

    @contextlib.contextmanager
    def plain_attention(self) -> Iterator[None]:
        """On a processor plain attention trains faster, above all in bf16 without dropout; fused is the faster one where nothing is learned."""
        can_change = isinstance(self.model, PreTrainedModel) and self.args.device.type == "cpu"
        fused = can_change and self.model.config._attn_implementation == "sdpa"
        if fused:
            self.model.set_attn_implementation("eager")
        try:
            yield
        finally:
            if fused:
                self.model.set_attn_implementation("sdpa")

    def batch_generator(self) -> torch.Generator:
        step, batch = self.place
        self.place = (self.state.global_step, batch + 1 if step == self.state.global_step else 0)
        seed = hashlib.sha256(repr((self.args.seed, self.args.process_index, *self.place)).encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(seed[:8], "big") >> 1)

    def compute_loss(self, model: nn.Module, inputs: dict, *args, **kwargs):
        if model.training:
            all_frozen = self.state.global_step >= self.args.freeze_batch_norm_at * self.state.max_steps
            for module in model.modules():
                # a layer whose weights are frozen keeps its statistics, too
                if isinstance(module, _BatchNorm) and (all_frozen or not all_trained(module)):
                    module.eval()
        return super().compute_loss(model, self.model_inputs(inputs), *args, **kwargs)

    def model_inputs(self, batch: dict) -> dict:
        """What of a batch the model's forward takes; the rest is there for `augment` and `reduce`."""
        self._set_signature_columns_if_needed()
        return {name: value for name, value in batch.items() if name in self._signature_columns}

    def train(self, *args, **kwargs):
        batch = self.args.train_batch_size * self.args.world_size
        nothing = self.args.max_steps == 0 or (self.args.max_steps < 0 and self.args.num_train_epochs <= 0)
        if nothing or (self.args.dataloader_drop_last and len(self.train_dataset) < batch):
            raise ValueError(
                f"the training would make no step: --max_steps or --num_train_epochs is 0, or {len(self.train_dataset)} training examples are fewer "
                f"than a batch of {batch}; lower --per_device_train_batch_size"
            )
        output = super().train(*args, **kwargs)
        best_was_loaded = self.args.load_best_model_at_end and self.state.best_model_checkpoint is not None
        if self.average is not None and not best_was_loaded:  # a best checkpoint holds averaged weights already
            self.model.load_state_dict(self.average)
        self.average = None
        merge_lora(self.model)  # what is saved is whole
        return output

    @property
    def chosen_step(self) -> int:
        """The step whose weights are kept: the best one's, where it is asked for and its checkpoint is there, or the last."""
        best = self.state.best_model_checkpoint if self.args.load_best_model_at_end else None
        # not `best_global_step`, at which there may have been no checkpoint
        return step_of(Path(best)) if best else self.state.global_step

    # -- average of the weights -------------------------------------------------------------------
    @torch.no_grad()
    def update_average(self) -> None:
        weights = self.model.state_dict()
        if self.average is None:
            self.average = {name: value.clone() for name, value in weights.items()}
        steps = self.state.global_step
        decay = min(self.args.weight_average, (1 + steps) / (10 + steps))  # short at first, to forget the start
        for name, value in self.average.items():
            if value.is_floating_point():
                value.lerp_(weights[name], 1 - decay)
            else:
                value.copy_(weights[name])

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """The model holds the average inside and its trained weights again outside."""
        if self.average is None:
            yield
            return
        trained = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        try:
            yield
        finally:
            self.model.load_state_dict(trained)

    # -- evaluation -------------------------------------------------------------------------------
    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        with self.averaged_weights():
            return super().evaluate(*args, **kwargs)

    def _get_dataloader(
        self, dataset, description, batch_size, sampler_fn=None, is_training=False, dataloader_key=None
    ):
        """`dataloader_drop_last` is for the training alone: every validation and test example counts."""
        drop_last = self.args.dataloader_drop_last
        self.args.dataloader_drop_last = drop_last and is_training
        try:
            return super()._get_dataloader(dataset, description, batch_size, sampler_fn, is_training, dataloader_key)
        finally:
            self.args.dataloader_drop_last = drop_last

    def prediction_step(self, model: nn.Module, inputs: dict, prediction_loss_only: bool, ignore_keys=None):
        if self.reduce is None:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            predictions, references = self.reduce(inputs, model(**self.model_inputs(inputs)))
        return None, predictions, references

    def test(self, dataset: Any):
        """Predict a data set once with the saved model, reloaded from the output folder, in fp32."""
        model = type(self.model).from_pretrained(self.args.output_dir, dtype=torch.float32)
        self.model = self.model_wrapped = model.to(self.args.device).eval()
        self.use_channels_last()
        self.accelerator.native_amp = False
        return self.predict(dataset, metric_key_prefix="test")

    # -- checkpoints ------------------------------------------------------------------------------
    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint, then its manifest, and only then delete older ones."""
        folder = Path(self.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        try:
            if self.average is not None and self.args.should_save:
                folder.mkdir(parents=True, exist_ok=True)
                trained = {name: value.contiguous() for name, value in self.model.state_dict().items()}
                safetensors.torch.save_file(trained, folder / TRAINED_WEIGHTS_FILE)
            with self.averaged_weights(), self.all_checkpoints() as limit:
                super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()  # every process has written its random state
            if self.args.should_save:
                write_manifest(folder)
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise OSError(
                f"cannot write the checkpoint {folder}: {error}. Earlier checkpoints are whole: make room and start the "
                "same command again, and the run goes on from the last of them"
            ) from error
        if self.args.should_save:
            rotate_checkpoints(self.args.output_dir, limit, self.state.best_model_checkpoint, use_mtime=False)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        trained = Path(resume_from_checkpoint) / TRAINED_WEIGHTS_FILE
        if self.args.weight_average and trained.exists():
            self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.model.load_state_dict(safetensors.torch.load_file(trained))

    # -- what is saved and published --------------------------------------------------------------
    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        folder = output_dir or self.args.output_dir
        if self.pipeline_class is not None:
            module = self.pipeline_class.__module__.split(".")[-1]
            self.model.config.custom_pipelines = {
                self.card.pipeline_task: {
                    "impl": f"{module}.{self.pipeline_class.__name__}",
                    "pt": [self.card.auto_class],
                    "type": "image" if self.model.main_input_name == "pixel_values" else "text",
                }
            }
        super()._save(folder, state_dict)
        if self.args.should_save:
            if self.pipeline_class is not None:
                custom_object_save(self.pipeline_class, folder)
            write_card(self, Path(folder))

    def create_model_card(self, *args, **kwargs) -> None:
        if self.is_world_process_zero():
            write_card(self, Path(self.args.output_dir))

    def push_to_hub(self, commit_message: str = "End of training", blocking: bool = True, token: str | None = None,
                    revision: str | None = None, private: bool | None = None, **kwargs):  # fmt: skip
        """Upload the output folder without checkpoints; the same arguments as `Trainer.push_to_hub`.

        Passing failures are tried again; see `publishing.with_retries`. The folder keeps all it had, so a push that failed
        can be made again by starting the same command.

        Raises:
            RuntimeError: in one line, when the Hub refuses or cannot be reached.
        """
        if not self.is_world_process_zero():
            return None
        token = token or self.args.hub_token
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        return push_folder(
            Path(self.args.output_dir),
            self.hub_model_id,
            commit_message,
            leave_out=NOT_PUBLISHED,
            token=token,
            revision=revision or self.args.hub_revision,
            blocking=blocking,
        )

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Make the repository, if it is not there; tried again like a push. Called before a training that is to be pushed."""
        name = self.args.hub_model_id or Path(self.args.output_dir).absolute().name
        try:
            with_retries(partial(super().init_hf_repo, token=token, private=private), f"making the repository {name}")
        except KeyError:  # a Hub other than huggingface.co said that it is there already, and not at which address
            self.hub_model_id, self.push_in_progress = name, None


def all_trained(module: nn.Module) -> bool:
    return all(parameter.requires_grad for parameter in module.parameters(recurse=False))


def check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f"probe-{os.getpid()}.tmp"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(f"cannot write to --output_dir {folder}: {error.strerror or error}") from error
