"""Generate text from a recurrent language model: greedily, by sampling or by beam search. Needs torch alone.

    results = generate(model, [prompt], Decoding(temperature=0.5), start_token=0)
    results[0][0].tokens

The model is anything with
    model(tokens [B, T], state | None) -> logits [B, T, V], state;
    model.stepper() -> step, step(tokens [B], state) -> logits [B, V], state: optional, one token at a time.
Its state is a tensor or a tuple of tensors, each [L, B, H]. B batch, T steps, V vocabulary.
"""

from lightning_dl2.decoding.generation import generate as generate
from lightning_dl2.decoding.settings import Decoding as Decoding
from lightning_dl2.decoding.settings import Generated as Generated
from lightning_dl2.decoding.warping import warp as warp
