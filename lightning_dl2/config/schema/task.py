"""Define the schemas of conf/task/."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lightning_dl2.config.schema.base import Fraction, Layers, Positive, Strict


class RecurrentTask(Strict):
    """Schema of the keys that all recurrent nets share."""

    name: str
    cell: str
    hidden_size: Positive
    num_layers: Layers
    dropout: Fraction
    bias: bool
    reset_after: bool
    peephole: Literal["gers", "assignment"]
    initialization: Literal["torch", "kaiming", "xavier", "orthogonal"]
    forget_bias: float | Literal["chrono"] | None

    @model_validator(mode="after")
    def forget_bias_needs_a_bias(self) -> "RecurrentTask":
        if self.forget_bias is not None and not self.bias:
            raise ValueError(f"forget_bias={self.forget_bias}: needs task.bias=true; allowed without: null")
        return self


class SequenceClassifier(RecurrentTask):
    name: Literal["sequence_classifier"]
    cell: Literal["rnn", "lstm", "bilstm", "gru", "peephole"]
    bidirectional: bool
    encoding: Literal["one_hot", "embedding", "scalar"]
    embedding_size: Positive
    output_bias: bool
    label_smoothing: Fraction


class TextGenerator(RecurrentTask):
    name: Literal["text_generator"]
    cell: Literal["rnn", "lstm", "gru", "peephole"]
    embedding_size: Positive | None
    projection_size: Positive | None
    tie_weights: bool
    layer_norm: bool
    skip_connections: bool
    input_dropout: Fraction
    output_dropout: Fraction
    locked_dropout: bool
    weight_dropout: Fraction
    reset_probability: Fraction
    focal_gamma: Annotated[float, Field(ge=0, le=10)]
    ensemble_size: Annotated[int, Field(ge=1, le=1000)]

    @model_validator(mode="after")
    def tied_sizes_are_equal(self) -> "TextGenerator":
        features = self.projection_size or self.hidden_size * (self.num_layers if self.skip_connections else 1)
        if self.tie_weights and (self.embedding_size or self.hidden_size) != features:
            raise ValueError(
                f"embedding_size={self.embedding_size or 'null'}: with tie_weights=true allowed: {features}, the size"
                " of what the output layer reads"
            )
        return self


class GraphNet(Strict):
    name: Literal["graph_net"]
    layer: Literal["gcn", "sage", "gat", "gatv2", "gin", "gine", "gatedgcn", "gcnii", "mlp"]
    hidden_size: Positive
    num_layers: Layers
    heads: Positive
    output_heads: Positive
    activation: Literal["relu", "elu"]
    input_dropout: Fraction
    dropout: Fraction
    attention_dropout: Fraction
    residual: bool
    norm: Literal["none", "batch", "layer"]
    jumping_knowledge: Literal["none", "cat", "max", "sum"]
    input_layer: bool
    output_layer: Literal["none", "linear", "mlp"]
    readout: Literal["mean", "sum", "max", "attention"]
    self_loops: bool | None
    edge_features: bool
    alpha: Annotated[float, Field(ge=0, le=1)]
    lambda_: Annotated[float, Field(gt=0)]
    class_weights: Literal["none", "balanced"]
    engine: Literal["auto", "dgl", "torch"]


Task = Annotated[SequenceClassifier | TextGenerator | GraphNet, Field(discriminator="name")]
