"""The configuration's types and limits. Imports neither torch nor Hydra, so that a mistake is told at once.

Units and consequences of each value stand in the YAML files under conf/.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Scalar = bool | int | float | str | None | list[float]

TEXTS = (
    "python_docs",
    "tiny_shakespeare",
    "grimms_fairy_tales",
    "democracy_in_america",
    "darwin_dutch",
    "anna_karenina_dutch",
    "calculus_made_easy",
    "text",  # any file, by its path
)
MINIMUM_LENGTH = {"decimal_palindrome": 2, "binary_palindrome": 1, "baum_sweet": 2, "random_combinations": 2}


class Strict(BaseModel):
    """Unknown keys are errors, and nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=())


class Curriculum(Strict):
    enabled: bool
    start: Positive
    growth: Annotated[float, Field(gt=1)]
    threshold: Annotated[float, Field(gt=0, le=1)]
    smoothing: Fraction
    shortest: Annotated[float, Field(gt=0, le=1)]
    tokens_per_batch: Positive | None
    minimum_batch_size: Positive
    full_rate_length: Positive | None
    final_steps: Positive | None


class SequenceData(Strict):
    name: Literal["decimal_palindrome", "binary_palindrome", "baum_sweet", "random_combinations"]
    sequence_length: Positive
    batch_size: Positive
    batches_per_epoch: Positive
    validation_size: Positive
    test_size: Positive
    evaluation_batch_size: Positive
    curriculum: Curriculum

    @model_validator(mode="after")
    def lengths_are_possible(self) -> "SequenceData":
        least = MINIMUM_LENGTH[self.name]
        if self.sequence_length < least:
            raise ValueError(f"sequence_length={self.sequence_length}: {self.name} allowed: {least} or more")
        if self.curriculum.enabled and not least <= self.curriculum.start <= self.sequence_length:
            raise ValueError(
                f"curriculum.start={self.curriculum.start}:"
                f" allowed: {least} to data.sequence_length={self.sequence_length}"
            )
        return self


class TextData(Strict):
    name: Literal[TEXTS]
    path: str | None
    tokens: Literal["characters", "bytes"]
    encoding: Annotated[str, Field(min_length=1)]
    sequence_length: Positive
    batch_size: Positive
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Fraction
    evaluation_batch_size: Positive
    evaluation_warmup: Natural
    cold_window: Positive
    cache_dir: str | None

    @model_validator(mode="after")
    def something_is_left_to_train_on(self) -> "TextData":
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"validation_fraction={self.validation_fraction}: with test_fraction={self.test_fraction} nothing is"
                " left to train on; allowed: a sum below 1"
            )
        return self


# The name tells which keys there are.
Data = Annotated[SequenceData | TextData, Field(discriminator="name")]


def _forget_bias_needs_a_bias(task: Any) -> Any:
    if task.forget_bias is not None and not task.bias:
        raise ValueError(f"forget_bias={task.forget_bias}: needs task.bias=true; allowed without: null")
    return task


class SequenceClassifier(Strict):
    name: Literal["sequence_classifier"]
    cell: Literal["rnn", "lstm", "bilstm", "gru", "peephole"]
    hidden_size: Positive
    num_layers: Positive
    bidirectional: bool
    dropout: Fraction
    encoding: Literal["one_hot", "embedding", "scalar"]
    embedding_size: Positive
    bias: bool
    output_bias: bool
    reset_after: bool
    peephole: Literal["gers", "assignment"]
    initialization: Literal["torch", "kaiming", "xavier", "orthogonal"]
    forget_bias: float | Literal["chrono"] | None
    label_smoothing: Fraction

    @model_validator(mode="after")
    def forget_bias_needs_a_bias(self) -> "SequenceClassifier":
        return _forget_bias_needs_a_bias(self)


class TextGenerator(Strict):
    name: Literal["text_generator"]
    cell: Literal["rnn", "lstm", "gru", "peephole"]
    hidden_size: Positive
    num_layers: Positive
    embedding_size: Positive | None
    projection_size: Positive | None
    tie_weights: bool
    layer_norm: bool
    input_dropout: Fraction
    dropout: Fraction
    output_dropout: Fraction
    locked_dropout: bool
    weight_dropout: Fraction
    reset_probability: Fraction
    bias: bool
    reset_after: bool
    peephole: Literal["gers", "assignment"]
    initialization: Literal["torch", "kaiming", "xavier", "orthogonal"]
    forget_bias: float | Literal["chrono"] | None

    @model_validator(mode="after")
    def forget_bias_needs_a_bias(self) -> "TextGenerator":
        return _forget_bias_needs_a_bias(self)

    @model_validator(mode="after")
    def tied_sizes_are_equal(self) -> "TextGenerator":
        features = self.projection_size or self.hidden_size
        if self.tie_weights and (self.embedding_size or self.hidden_size) != features:
            raise ValueError(
                f"embedding_size={self.embedding_size or 'null'}: with tie_weights=true allowed: {features}, the size"
                " of what the output layer reads"
            )
        return self


Task = Annotated[SequenceClassifier | TextGenerator, Field(discriminator="name")]


class Schedule(Strict):
    name: Literal["constant", "linear", "cosine", "exponential", "plateau"]
    warmup_steps: Natural
    total_steps: Positive | None
    final_factor: Annotated[float, Field(ge=0, le=1)]
    decay: Annotated[float, Field(gt=0, le=1)]
    decay_every: Positive
    patience: Natural

    @model_validator(mode="after")
    def total_steps_where_needed(self) -> "Schedule":
        if self.name == "plateau" and self.warmup_steps:
            raise ValueError(f"warmup_steps={self.warmup_steps}: schedule plateau has no warm-up; allowed: 0")
        if self.name in ("linear", "cosine"):
            if self.total_steps is None:
                raise ValueError(f"total_steps=null: schedule {self.name} needs a number of steps")
            if self.total_steps <= self.warmup_steps:
                raise ValueError(f"warmup_steps={self.warmup_steps}: allowed: less than total_steps={self.total_steps}")
        return self


class Optimizer(Strict):
    name: str
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0)]
    arguments: dict[str, Scalar]
    schedule: Schedule

    @model_validator(mode="after")
    def arguments_have_no_second_name(self) -> "Optimizer":
        for key, name in (("lr", "learning_rate"), ("weight_decay", "weight_decay")):
            if key in self.arguments:
                value = self.arguments[key]
                raise ValueError(f"arguments.{key}={value}: allowed: optimizer.{name}={value}")
        return self


class Trainer(Strict):
    accelerator: Literal["cpu", "gpu", "auto"]
    devices: Positive | Literal["auto"]
    num_nodes: Positive
    strategy: Literal["auto", "ddp"]
    precision: Literal[32, 64, "bf16-mixed", "16-mixed"]
    max_steps: Annotated[int, Field(ge=-1)]
    max_epochs: Annotated[int, Field(ge=-1)]
    max_time: Annotated[str, Field(pattern=r"^\d+:\d\d:\d\d:\d\d$")] | None
    val_check_interval: Positive
    check_val_every_n_epoch: Positive | None
    log_every_n_steps: Positive
    gradient_clip_val: Rate | None
    accumulate_grad_batches: Positive
    limit_train_batches: Positive | None
    limit_val_batches: Positive | None
    limit_test_batches: Positive | None
    overfit_batches: Natural
    num_threads: Positive | None
    deterministic: bool
    profiler: Literal["simple", "advanced"] | None

    @model_validator(mode="after")
    def training_has_an_end(self) -> "Trainer":
        if self.max_steps == 0 or self.max_epochs == 0:
            key = "max_steps" if self.max_steps == 0 else "max_epochs"
            raise ValueError(f"{key}=0: nothing would be trained; allowed: 1 or more, or -1 for no limit")
        if self.max_steps < 0 and self.max_epochs < 0:
            raise ValueError("max_steps=-1: max_epochs is -1 too; one of the two must end the training")
        return self


class Logger(Strict):
    name: Literal["csv", "wandb", "tensorboard"]
    project: Annotated[str, Field(min_length=1)]
    entity: str | None
    group: str | None
    tags: list[str]


class Monitored(Strict):
    monitor: Literal["val/loss", "val/loss_cold", "val/accuracy"]
    mode: Literal["min", "max"]

    @model_validator(mode="after")
    def mode_fits_the_metric(self) -> "Monitored":
        fits = "max" if self.monitor == "val/accuracy" else "min"
        if self.mode != fits:
            raise ValueError(f"mode={self.mode}: allowed with monitor={self.monitor}: {fits}")
        return self


class Checkpoint(Monitored):
    every_n_steps: Positive


class Solved(Strict):
    enabled: bool
    monitor: Literal["val/accuracy"]
    threshold: float
    times: Positive


class EarlyStopping(Monitored):
    enabled: bool
    patience: Positive
    min_delta: Annotated[float, Field(ge=0)]


class WeightAveraging(Strict):
    enabled: bool
    decay: Annotated[float, Field(gt=0, lt=1)]
    start_step: Natural


class Samples(Strict):
    enabled: bool
    prompts: list[str]
    length: Positive
    temperatures: list[Rate]
    num_greedy: Natural
    greedy_length: Positive


class Callbacks(Strict):
    checkpoint: Checkpoint
    solved: Solved
    early_stopping: EarlyStopping
    weight_averaging: WeightAveraging
    samples: Samples
    progress_bar: bool
    curves: bool


class Config(Strict):
    """One run, fully resolved: plain values only."""

    experiment: str
    debug: Literal["none", "fast", "overfit", "profile"]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    root: Annotated[str, Field(min_length=1)]
    resume: Literal["auto", "never", "restart"]
    data: Data
    task: Task
    optimizer: Optimizer
    trainer: Trainer
    logger: Logger
    callbacks: Callbacks

    @model_validator(mode="after")
    def task_fits_the_data(self) -> "Config":
        text = isinstance(self.data, TextData)
        if text != isinstance(self.task, TextGenerator):
            fits = "text_generator" if text else "sequence_classifier"
            raise ValueError(f"task={self.task.name}: allowed with data={self.data.name}: task={fits}")
        if not text:
            rules = self.callbacks.checkpoint, self.callbacks.early_stopping
            if any(rule.monitor == "val/loss_cold" for rule in rules):
                raise ValueError("callbacks: monitor=val/loss_cold: is of text alone; allowed: val/loss, val/accuracy")
            if self.callbacks.samples.enabled:
                raise ValueError("callbacks.samples.enabled=true: only a text_generator writes; allowed: false")
        return self

    @model_validator(mode="after")
    def one_rule_for_the_learning_rate(self) -> "Config":
        if isinstance(self.data, TextData):
            return self
        rule = self.data.curriculum
        lowers = rule.enabled and (rule.full_rate_length is not None or rule.final_steps is not None)
        if lowers and self.optimizer.schedule.name == "plateau":
            raise ValueError(
                "optimizer.schedule.name=plateau: the curriculum sets the learning rate too; allowed: another schedule,"
                " or data.curriculum.full_rate_length=null and data.curriculum.final_steps=null"
            )
        return self
