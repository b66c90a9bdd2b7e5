"""Draw the jobs of a search with Optuna, whose journal in the sweep's directory survives a killed process.

A trial that was running then is still running for Optuna: the next call resumes it, in the same run directory.
"""

import sys
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_dl2.common.errors import UserError
from lightning_dl2.common.files import WriteError, replacing, writing
from lightning_dl2.common.run_files import check_own_files
from lightning_dl2.config import schema
from lightning_dl2.config.identity import digest
from lightning_dl2.sweeps.jobs import Job, Objective, Plan, check_inactive
from lightning_dl2.sweeps.overrides import SweepOverrides, SweptKey

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

JOURNAL = "optuna.log"
MOST_EXAMPLES = 1000  # combinations to try until every key has an effect in one


class Search(Plan):
    """The jobs of a search, drawn one by one.

    Its arguments are those of `Grid`.

    Raises:
        UserError: no key varies, Optuna is not installed, or an end of the space is no valid configuration.
    """

    study: "Study"  # from `open` on

    def __init__(self, overrides: SweepOverrides, extra: list[str], rules: schema.Search) -> None:
        if not overrides.swept:
            raise UserError(f"sweep={rules.method}: no key varies; fix: add a key=interval(low,high) or key=a,b")
        try:
            import optuna
        except ImportError as error:
            raise UserError(f"sweep={rules.method}: needs Optuna; fix: pip install optuna, or sweep=grid") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.overrides, self.extra, self.rules, self.metric = overrides, extra, rules, ""
        # Each choice and each end must be valid before anything is drawn.
        jobs = [self._make_job(1, values) for values in corners(overrides.swept)]
        combined = islice(combinations(overrides.swept), MOST_EXAMPLES)
        self.notes = check_inactive(jobs, (self._make_job(1, values) for values in combined))
        self.examples = [job.config for job in jobs]
        self._check_pruner()
        self.space = {swept.name: distribution(swept) for swept in overrides.swept}
        self.jobs: list[Job] = []
        self._trials: dict[Job, Trial] = {}
        self._resumed: list[Job] = []

    def _make_job(self, number: int, values: dict[str, str]) -> Job:
        return Job(number, values, [*self.overrides.with_values(values), *self.extra])

    @property
    def total(self) -> int:
        return max(self.rules.trials, len(self.jobs))

    def open(self, directory: Path, objective: Objective, *, dry: bool) -> None:
        """Resume the search in `directory` for the best objective, or begin it there; `dry` only reads.

        Raises:
            UserError: the journal is damaged, or not a regular file.
            WriteError: the journal cannot be written.
        """
        from optuna.trial import TrialState

        self.metric, file = objective.metric, directory / JOURNAL
        check_own_files(file)  # Optuna appends through a link, and waits for a pipe
        if dry and not (file.exists() and file.stat().st_size):
            return
        try:
            if not dry:
                _mend(file)
            self.study = self._study(file, objective.mode, dry)
            trials = self.study.get_trials(deepcopy=False)
        except WriteError:
            raise
        except Exception as error:  # a damaged file makes Optuna raise errors of any type
            why = next(iter(str(error).splitlines()), "")
            raise UserError(
                f"{file}: is damaged: {type(error).__name__}: {why}; fix: remove it (the runs stay, and are drawn"
                " again), or choose another sweep.name"
            ) from error
        for trial in trials:
            if trial.params.keys() == self.space.keys():
                self._remember(trial)
            elif trial.state == TrialState.RUNNING and not dry:  # killed while it was drawn
                self.study.tell(trial.number, state=TrialState.FAIL)
        if not dry:
            self._enqueue_failed()

    def _study(self, file: Path, mode: str, dry: bool) -> "Study":
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
        from optuna.study import StudyDirection

        class Journal(JournalFileBackend):
            def append_logs(self, logs: list[dict[str, Any]]) -> None:
                with writing(file):
                    super().append_logs(logs)

        known: dict[str, Any] = {"storage": JournalStorage(Journal(str(file))), "study_name": file.parent.name}
        if dry:
            return optuna.load_study(**known, pruner=self._pruner())
        direction = StudyDirection.MAXIMIZE if mode == "max" else StudyDirection.MINIMIZE
        return optuna.create_study(**known, direction=direction, pruner=self._pruner(), load_if_exists=True)

    def _remember(self, trial: "FrozenTrial") -> None:
        from optuna.trial import Trial, TrialState

        try:
            job = self._job(trial)
        except UserError:  # reported when the trial was drawn
            return
        job.pruned = trial.state == TrialState.PRUNED
        self.jobs.append(job)
        if trial.state == TrialState.RUNNING:
            self._trials[job] = Trial(self.study, trial._trial_id)
        if trial.state == TrialState.RUNNING or (trial.state == TrialState.COMPLETE and not job.finished):
            self._resumed.append(job)  # the run of a complete trial may be lost; Optuna still knows its value

    def _enqueue_failed(self) -> None:
        """Enqueue failed trials again: those whose run directories are lost, and with retry_failed all."""
        from optuna.trial import TrialState

        trials = self.study.get_trials(deepcopy=False)
        again = {trial.user_attrs.get("again") for trial in trials}
        lost = {job.number - 1 for job in self.jobs if job.state == "missing"}
        for trial in trials:
            chosen = trial.params and (self.rules.retry_failed or trial.number in lost)
            if chosen and trial.state == TrialState.FAIL and trial.number not in again:
                self.study.enqueue_trial(trial.params, user_attrs={"again": trial.number})

    def _job(self, trial: "FrozenTrial | Trial") -> Job:
        return self._make_job(trial.number + 1, {name: format_value(trial.params[name]) for name in self.space})

    def to_come(self) -> list[str]:
        left = max(0, self.rules.trials - len(self.jobs))
        return [f"{left} more to be drawn of", *(f"    {swept}" for swept in self.overrides.swept)] if left else []

    def next(self) -> Job | None:
        from optuna.trial import TrialState

        if self._resumed:
            return self._resumed.pop(0)
        while True:
            trials = self.study.get_trials(deepcopy=False)
            drawn = [trial for trial in trials if trial.params and "again" not in trial.user_attrs]
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            if len(drawn) >= self.rules.trials and not waiting:
                return None
            # Seeded by the trial's number, so that a resumed search draws the same values.
            self.study.sampler = self._sampler(len(trials))
            trial = self.study.ask(self.space)
            try:
                job = self._job(trial)
            except UserError as error:  # each end is valid, this combination is not
                print(f"skipped: {error}", file=sys.stderr)
                trial.set_user_attr("error", str(error))
                self.study.tell(trial, state=TrialState.FAIL)
                continue
            self.jobs.append(job)
            self._trials[job] = trial
            return job

    def watch(self, job: Job) -> bool:
        """Return True where the pruner would stop a running job: at one of its steps it was worse than others."""
        if job not in self._trials:
            return False
        trial = self._trials[job]
        for step, value in self._unreported(job):
            trial.report(value, step)
            # After each step: Optuna judges only the last, which other trials may not have reached.
            job.pruned = job.pruned or trial.should_prune()
        return job.pruned

    def _unreported(self, job: Job) -> list[tuple[int, float]]:
        """Return the steps and values that the job has logged and Optuna does not know."""
        known = self.study.get_trials(deepcopy=False)[self._trials[job].number].intermediate_values
        return [(step, value) for step, value in sorted(job.history(self.metric).items()) if step not in known]

    def ended(self, job: Job) -> None:
        """Tell Optuna the result of a job that has ended; the trial of an interrupted job stays running."""
        from optuna.trial import TrialState

        if job not in self._trials:
            return
        trial, value = self._trials[job], job.metric(self.metric)
        for step, logged in self._unreported(job):
            trial.report(logged, step)
        if job.pruned and job.finished:  # it finished before the signal arrived
            job.pruned, job.code = False, 0
        if job.finished and value is not None:
            self.study.tell(trial, value)
        elif job.pruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        elif job.finished or job.state == "failed":  # a finished job without a validation has no value to learn from
            self.study.tell(trial, state=TrialState.FAIL)

    def _check_pruner(self) -> None:
        """Raise UserError where a pruner has no validation before the last step to compare."""
        for trainer in (example.trainer for example in self.examples):
            first = _first_validation(trainer)
            if self.rules.pruner != "none" and 0 < trainer.max_steps <= first:
                raise UserError(
                    f"sweep.pruner={self.rules.pruner}: the first validation comes at step {first}, and"
                    f" trainer.max_steps={trainer.max_steps};"
                    " fix: sweep.pruner=none, or a lower trainer.val_check_interval"
                )

    def _sampler(self, trial: int) -> "BaseSampler":
        from optuna.samplers import RandomSampler, TPESampler

        seed = int(digest({"seed": self.rules.seed, "trial": trial}), 16)
        if self.rules.method == "random":
            return RandomSampler(seed)
        return TPESampler(n_startup_trials=self.rules.startup_trials, seed=seed)

    def _pruner(self) -> "BasePruner":
        from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

        if self.rules.pruner == "median":
            return MedianPruner(n_startup_trials=self.rules.startup_trials)
        if self.rules.pruner == "hyperband":
            trainer = self.examples[0].trainer
            longest = trainer.max_steps if trainer.max_steps > 0 else "auto"
            return HyperbandPruner(min_resource=_first_validation(trainer), max_resource=longest)
        return NopPruner()


def _first_validation(trainer: schema.Trainer) -> int:
    """Return the optimiser step of the first validation; 1 for a share of an epoch, whose length only data tell."""
    if isinstance(trainer.val_check_interval, float):
        return 1
    return max(1, trainer.val_check_interval // trainer.accumulate_grad_batches)


def _mend(file: Path) -> None:
    """Remove the lock and the half line that a killed process left; the sweep holds its directory alone."""
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    if file.exists():
        content = file.read_bytes()
        if not content.endswith(b"\n"):
            with replacing(file) as temporary:
                temporary.write_bytes(content[: content.rfind(b"\n") + 1])


def distribution(swept: SweptKey) -> "BaseDistribution":
    """Return Optuna's distribution of a key: numbers of a range or an interval, else the values as typed."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    span = swept.span
    if span is None:
        return CategoricalDistribution(swept.values)
    if isinstance(span.low, int) and isinstance(span.high, int):
        return IntDistribution(span.low, span.high, log=span.log, step=int(span.step or 1))
    return FloatDistribution(span.low, span.high, log=span.log, step=span.step)


def format_value(value: Any) -> str:
    """Write a drawn value as it is typed: a number with all its digits."""
    return value if isinstance(value, str) else repr(value)


def corners(space: list[SweptKey]) -> list[dict[str, str]]:
    """Return values that show whether a space is valid: each choice and end once, the other keys at their first."""
    ends = _ends(space)
    first = {name: values[0] for name, values in ends.items()}
    return [first, *({**first, name: value} for name, values in ends.items() for value in values[1:])]


def combinations(space: list[SweptKey]) -> Iterator[dict[str, str]]:
    """Yield each combination of choices and ends."""
    ends = _ends(space)
    return (dict(zip(ends, values, strict=True)) for values in product(*ends.values()))


def _ends(space: list[SweptKey]) -> dict[str, list[str]]:
    """Return the choices of each key, or the ends of its interval."""
    spans = {swept: swept.span for swept in space}
    return {
        each.name: [format_value(span.low), format_value(span.high)] if span else list(each.values)
        for each, span in spans.items()
    }
