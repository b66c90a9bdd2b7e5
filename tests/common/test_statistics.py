"""Test the number of digits of shown numbers, and that means leave out what is not a number."""

import math

import pytest

from lightning_dl2.common.statistics import MeanStd, bare_name, by_quality, find_metric, in_split, split_of, with_split


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.5], "0.5"),
        ([2200], "2,200"),
        ([10000], "10,000"),
        ([0.81957, 0.8133, 0.8258], "0.8196 ± 0.0063"),
        ([272.4, 390, 150], "271 ± 120"),
        ([1.0, 1.0], "1 ± 0"),
        ([1e-9], "1e-09"),
        ([3e-8, 4e-8], "3.5e-08 ± 7.1e-09"),
        ([4.4e16], "4.4e+16"),
        ([4.4e16, 4.6e16], "4.5e+16 ± 1.4e+15"),
        ([2.302581, 2.302585, 2.302589], "2.302585 ± 4e-06"),
        ([1.2345678, 1.2345679], "1.23456785 ± 7.1e-08"),
        ([1e149, -1e149], "0 ± 1.4e+149"),
        ([0.0, 1e-9], "5e-10 ± 7.1e-10"),
    ],
)
def test_numbers_have_as_many_digits_as_they_deserve(values, text):
    assert str(MeanStd.of(values)) == text


def test_what_is_no_number_is_left_out():
    assert MeanStd.of([None, math.nan, 1.0]) == MeanStd(1.0, None, 1)
    assert MeanStd.of([None, math.inf, 1.7e308]) is None


@pytest.mark.parametrize(("mode", "order"), [("min", [-1.0, 0.0, 2.0, None]), ("max", [2.0, 0.0, -1.0, None])])
def test_the_best_value_comes_first_and_a_missing_one_last(mode, order):
    assert sorted([0.0, None, 2.0, -1.0], key=lambda value: by_quality(value, mode)) == order


@pytest.mark.parametrize(
    ("metric", "split", "name", "on_test"),
    [
        ("val/loss", "val", "loss", "test/loss"),
        ("val_loss", "val", "loss", "test_loss"),
        ("valid/acc", "val", "acc", "test/acc"),
        ("Validation.f1", "val", "f1", "test.f1"),
        ("loss/val", "val", "loss", "loss/test"),
        ("train_loss_epoch", "train", "loss", "test_loss_epoch"),
        ("test/bits_per_byte_gzip_-9", "test", "bits_per_byte_gzip_-9", "test/bits_per_byte_gzip_-9"),
        ("accuracy", None, "accuracy", "test/accuracy"),
        ("values", None, "values", "test/values"),
        ("trainable/val_count", None, "trainable/val_count", "test/trainable/val_count"),
    ],
)
def test_names_of_metrics_say_their_split(metric, split, name, on_test):
    assert (split_of(metric), bare_name(metric), in_split(metric, "test")) == (split, name, on_test)
    assert with_split(metric, "test") == (metric if split else on_test)


def test_of_a_metric_logged_by_step_and_by_epoch_that_of_epochs_is_found():
    logged = ["step", "train_loss_step", "train_loss_epoch", "val_loss"]
    assert find_metric(logged, "loss", "train") == "train_loss_epoch"
    assert find_metric(logged, "loss", "val") == "val_loss" and find_metric(logged, "acc", "val") is None
