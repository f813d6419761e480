"""The jobs of a label-efficiency study: pre-trainings, trials that choose settings, and the cells of the grid."""

from dataclasses import asdict, dataclass
from typing import Literal

from avjepa.errors import UserError
from avjepa.ranges import LARGEST
from avjepa.training.optimiser import LARGEST_RATE

Mode = Literal["frozen", "end_to_end"]


@dataclass(frozen=True)
class Setting:
    """How a detector is trained; which setting is chosen for a method is up to the validation split."""

    learning_rate: float
    backbone_learning_rate_factor: float = 1.0
    head_first_steps: int = 0
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        most = LARGEST_RATE / self.learning_rate if self.learning_rate > 0 else 0.0
        factor_is_right = 0 <= self.backbone_learning_rate_factor <= most
        wrong = (
            (not 0 < self.learning_rate <= LARGEST_RATE, "learning_rate", f"above 0 and at most {LARGEST_RATE:g}"),
            (not factor_is_right, "backbone_learning_rate_factor", f"at least 0 and at most {most:g}"),
            (not 0 <= self.head_first_steps <= LARGEST, "head_first_steps", f"at least 0 and at most {LARGEST:g}"),
            (not 0 < self.layer_decay <= 1, "layer_decay", "above 0 and at most 1"),
        )
        for is_wrong, name, right in wrong:
            if is_wrong:
                raise UserError(f"tune: {name} must be {right}, got {getattr(self, name)}")

    def definition(self) -> dict[str, float]:
        """What identifies it in outcomes; a ``layer_decay`` that changes nothing is left out."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("layer_decay", 1.0)}


@dataclass(frozen=True)
class Pretraining:
    """One backbone. With 0 steps it has the random weights of its seed."""

    method: str
    seed: int
    steps: int

    @property
    def name(self) -> str:
        """Identifies it among all jobs and in file names."""
        return f"pretrain-{self.method}-p{self.seed}-{self.steps}"


@dataclass(frozen=True)
class Run:
    """One detector, trained with the labels of some scenes and scored on the test split.

    Attributes:
        backbone: what it starts from.
        mode: whether the backbone is trained too.
        scenes: how many scenes' labels it sees: the first ones of an order that ``seed`` shuffles.
        seed: of the choice of scenes, the order of the data, and the new weights.
        steps: optimiser steps of its training; 0 for the study's.
        means: name of what is added to the method; empty for nothing.
    """

    backbone: Pretraining
    mode: Mode
    scenes: int
    seed: int
    steps: int = 0
    means: str = ""

    @property
    def name(self) -> str:
        """Identifies it among all jobs and in file names."""
        backbone = self.backbone.name.removeprefix("pretrain-")
        further = (f"-n{self.steps}" if self.steps else "") + (f"-{self.means}" if self.means else "")
        return f"{self.mode}-{backbone}-{self.scenes}scenes-s{self.seed}{further}"

    @property
    def method(self) -> str:
        """Its name in tables: ``jepa``, ``jepa+self_training``."""
        return f"{self.backbone.method}+{self.means}" if self.means else self.backbone.method


@dataclass(frozen=True)
class Trial:
    """One detector of a given setting, scored on the validation split."""

    cell: Run
    setting: Setting

    @property
    def name(self) -> str:
        """Identifies it among all jobs and in file names."""
        setting = self.setting
        rates = f"{setting.learning_rate:g}x{setting.backbone_learning_rate_factor:g}h{setting.head_first_steps}"
        if setting.layer_decay != 1:
            rates += f"d{setting.layer_decay:g}"
        return f"tune-{self.cell.name}-{rates}"


StudyJob = Pretraining | Trial | Run


def backbone_of(job: StudyJob) -> Pretraining:
    """The backbone that a job makes or uses."""
    match job:
        case Pretraining():
            return job
        case Trial():
            return job.cell.backbone
        case Run():
            return job.backbone
