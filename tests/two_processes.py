"""What a test compares between one process and two: `two_processes.py MODEL PAIRS OUT.json`.

Started alone or by `accelerate launch`. Evaluates the saved MODEL on data that divide by nothing, then trains a network
without batch norm on data that divide, and writes the metrics, the losses and who wrote files.
"""

import json
import sys
from pathlib import Path

import torch
from accelerate import PartialState
from transformers import set_seed

from hf_recipes import CellCounter, CellCounterConfig, CellCounterImageProcessor
from hf_recipes.arguments import RecipeTrainingArguments
from hf_recipes.cell_counting.card import make_card
from hf_recipes.cell_counting.data import CellCollator, load_cells
from hf_recipes.cell_counting.metrics import compute_metrics, reduce_batch
from hf_recipes.training import RecipeTrainer

model_folder, pairs, out = map(Path, sys.argv[1:])


class Recipe:
    dataset, dataset_name, dataset_url, dataset_license, architecture = "x", None, None, None, "unet"
    test_size = test_names = None
    model_license, card_images = "apache-2.0", True


def make_trainer(model, processor, splits, **options):
    args = RecipeTrainingArguments(
        output_dir=str(out.parent / f"{out.stem}-output"), precision="fp32", use_cpu=True, save_strategy="no", **options
    )
    return RecipeTrainer(
        model=model,
        args=args,
        card=make_card(Recipe),
        train_dataset=splits["train"],
        eval_dataset=splits["test"],
        data_collator=CellCollator(processor),
        processing_class=processor,
        compute_metrics=compute_metrics,
        reduce=reduce_batch,
    )


processor = CellCounterImageProcessor.from_pretrained(model_folder)
splits = load_cells(str(pairs), processor, train_size=8, validation_size=1, test_size=7)
trainer = make_trainer(CellCounter.from_pretrained(model_folder), processor, splits, per_device_eval_batch_size=2)
world = trainer.args.world_size
metrics = {key: value for key, value in trainer.evaluate().items() if not key.endswith(("second", "time"))}

set_seed(0)
config = CellCounterConfig(architecture="regressor", num_channels=1, image_size=splits["train"][0]["shape"][:2],
                           widths=[4, 4], count_mean=5.0, count_std=3.0)  # fmt: skip
trainer = make_trainer(
    CellCounter(config),
    processor,
    splits,
    eval_strategy="no",
    logging_strategy="steps",
    logging_steps=1,
    per_device_train_batch_size=4 // world,
    num_train_epochs=4,
    learning_rate=0.01,
    optim="sgd",
)
torch.set_num_threads(1)
trainer.train()
losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
trainer.save_model()
if trainer.is_world_process_zero():
    out.write_text(json.dumps({"world_size": world, "metrics": metrics, "losses": losses}))
else:
    assert not trainer.args.should_save
PartialState().destroy_process_group()
