"""Our own search, at the same questions and costs: one worker's moves, on what a table knows."""

from dataclasses import dataclass, field, replace

from archsearch.search import Observation, ProposalSeed, Reading, SuccessiveHalving, next_promotion, propose
from archsearch.trial import Proposal, Trial
from studies.search_tables.measure import Finished, finish
from studies.search_tables.tables import Point, Table

# Name: sampler, whether there are rungs, what the rungs are read by.
METHODS: dict[str, tuple[str, str | None]] = {
    "ours-random": ("random", None),
    "ours-gp": ("gp", None),
    "ours-tpe": ("tpe", None),
    "ours-nsga2": ("nsga2", None),
    "ours-evolution": ("evolution", None),
    "ours-auto": ("auto", None),
    "ours-random-rungs": ("random", "loss"),
    "ours-gp-rungs": ("gp", "loss"),
    "ours-tpe-rungs": ("tpe", "loss"),
    "ours-nsga2-rungs": ("nsga2", "loss"),
    "ours-auto-rungs": ("auto", "loss"),
    "ours-auto-rungs-accuracy": ("auto", "accuracy"),
}


@dataclass(frozen=True)
class SearchableTable:
    """The space of a table as ``archsearch.search`` wants it."""

    table: Table

    def sample(self, trial: Trial, /) -> Point:
        """The point that ``trial`` chooses."""
        return self.table.space.sample(trial)

    def violations(self, point: Point, /) -> list[str]:
        """Why it cannot be trained."""
        return self.table.space.violations(point)

    def costs(self, point: Point, /) -> tuple[float, ...]:
        """Known before any training."""
        return self.table.costs(point)

    def features(self, point: Point, /) -> tuple[float, ...]:  # noqa: ARG002 - part of the protocol
        """A table tells nothing else."""
        return ()


@dataclass
class Search:
    """One search: what it knows, what it has spent, and what it has finished."""

    table: Table
    sampler: str
    seed: int
    halving: SuccessiveHalving | None
    by_loss: bool
    samples: float = 0.0
    observations: list[Observation] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    trace: list[Finished] = field(default_factory=list)

    @property
    def shares(self) -> tuple[float, ...]:
        """Where a training is read, the end included."""
        return (*(self.halving.shares if self.halving else ()), 1.0)

    def move(self) -> bool:
        """Train somebody from one reading to the next; False if nobody is left."""
        goes_on = self.halving and next_promotion(self.observations, self.halving, more_to_come=True)
        slot = goes_on[0] if goes_on else self.start()
        if slot is None:
            return False
        self.train(slot)
        return True

    def start(self) -> int | None:
        """A new candidate, unread."""
        slot = len(self.observations)
        proposal = propose(
            SearchableTable(self.table), self.sampler, self.observations, ProposalSeed(self.seed, slot)
        )
        if proposal is None:
            return None
        self.points.append(proposal.architecture)
        self.observations.append(unread(slot, proposal, self.table.costs(proposal.architecture)))
        return slot

    def train(self, slot: int) -> None:
        """To the next rung or to the end, and pay for it."""
        candidate, point = self.observations[slot], self.points[slot]
        number = len(candidate.readings)
        share, before = self.shares[number], self.shares[number - 1] if number else 0.0
        self.samples += (share - before) * self.table.full_samples
        read = self.table.read(point, share, self.seed)
        reading = Reading(read.top1, read.train_loss if self.by_loss else None)
        state = "trained" if share == 1.0 else "paused"
        self.observations[slot] = replace(candidate, readings=(*candidate.readings, reading), state=state)
        if share == 1.0:
            self.trace.append(finish(self.table, point, self.samples))


def unread(slot: int, proposal: Proposal, costs: tuple[float, ...]) -> Observation:
    """A proposal as the search will know it."""
    point = proposal.architecture
    return Observation(slot, point.id, proposal.params, proposal.choices, point.family, "running", costs)


def ours(table: Table, method: str, seed: int, budget: float) -> list[Finished]:
    """The trace of one search of ours; every full training that it finishes within the budget."""
    sampler, read_by = METHODS[method]
    halving = SuccessiveHalving(table.rungs, seed=seed) if read_by and table.rungs else None
    search = Search(table, sampler, seed, halving, by_loss=read_by == "loss")
    while search.samples < budget and search.move():
        pass
    return [finished for finished in search.trace if finished.samples <= budget]
