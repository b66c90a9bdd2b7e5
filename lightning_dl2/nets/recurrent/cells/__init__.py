"""The recurrent cells of the package: a class each, by its name in CELLS."""

from lightning_dl2.nets.recurrent.cells.base import Cell as Cell
from lightning_dl2.nets.recurrent.cells.base import Shapes as Shapes
from lightning_dl2.nets.recurrent.cells.base import Step as Step
from lightning_dl2.nets.recurrent.cells.base import Weights as Weights
from lightning_dl2.nets.recurrent.cells.classic import GRU as GRU
from lightning_dl2.nets.recurrent.cells.classic import LSTM as LSTM
from lightning_dl2.nets.recurrent.cells.classic import RNN as RNN
from lightning_dl2.nets.recurrent.cells.classic import AssignmentPeephole as AssignmentPeephole
from lightning_dl2.nets.recurrent.cells.classic import GersPeephole as GersPeephole
from lightning_dl2.nets.recurrent.cells.classic import PaperGRU as PaperGRU
from lightning_dl2.nets.recurrent.cells.diagonal import LRU as LRU
from lightning_dl2.nets.recurrent.cells.exponential import SLSTM as SLSTM
from lightning_dl2.nets.recurrent.cells.external_memory.stack import StackRNN as StackRNN
from lightning_dl2.nets.recurrent.cells.external_memory.tape import TapeRNN as TapeRNN
from lightning_dl2.nets.recurrent.cells.independent import IndRNN as IndRNN
from lightning_dl2.nets.recurrent.cells.matrix import MLSTM as MLSTM
from lightning_dl2.nets.recurrent.cells.matrix import GatedDeltaNet as GatedDeltaNet
from lightning_dl2.nets.recurrent.cells.matrix import SignedGatedDeltaNet as SignedGatedDeltaNet
from lightning_dl2.nets.recurrent.cells.minimal import MinGRU as MinGRU
from lightning_dl2.nets.recurrent.cells.minimal import MinLSTM as MinLSTM
from lightning_dl2.nets.recurrent.cells.normalized import LayerNormLSTM as LayerNormLSTM
from lightning_dl2.nets.recurrent.cells.orthogonal import ExpRNN as ExpRNN
from lightning_dl2.nets.recurrent.cells.selective import S6 as S6
from lightning_dl2.nets.recurrent.cells.selective import SignedS6 as SignedS6

PEEPHOLES: dict[str, type[Cell]] = {"gers": GersPeephole, "assignment": AssignmentPeephole}
CLASSIC: dict[str, type[Cell]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU, "peephole": GersPeephole}
CELLS: dict[str, type[Cell]] = CLASSIC | {
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "lru": LRU,
    "s6": S6,
    "s6_signed": SignedS6,
    "indrnn": IndRNN,
    "layernorm_lstm": LayerNormLSTM,
    "slstm": SLSTM,
    "mlstm": MLSTM,
    "gated_deltanet": GatedDeltaNet,
    "gated_deltanet_signed": SignedGatedDeltaNet,
    "exprnn": ExpRNN,
    "stack_rnn": StackRNN,
    "tape_rnn": TapeRNN,
}
