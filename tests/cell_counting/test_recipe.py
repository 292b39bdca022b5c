import pytest


def test_options_arrive_where_they_are_read(run_tiny, made_trainers, tmp_path):
    trainers = made_trainers("cell_counting")
    run_tiny(tmp_path, crop=0.6, zoom=0.2, noise=0.3, intensity_change=0.4, local_count_weight=0.5, sigma=1.0)
    run_tiny(tmp_path, sigma=4.0)
    augment = trainers[0].augment
    assert (augment.crop, augment.zoom, augment.noise, augment.intensity) == (0.6, 0.2, 0.3, 0.4)
    assert trainers[0].model.config.local_count_weight == 0.5
    sharp, blurred = (each.data_collator([each.train_dataset[0]])["labels"] for each in trainers)
    assert sharp.max() > 4 * blurred.max() and sharp.sum() == pytest.approx(blurred.sum().item(), rel=1e-3)
