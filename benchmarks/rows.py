"""What was measured as rows: medians, ratios to the floor of the same run, and whether limits are met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.running import Cost


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    what: str
    where: str
    who: str
    seconds: float
    """Median, wall clock."""
    processor: float
    """Median of processor seconds."""
    ratio: float | None
    """Median over the rounds of the time divided by the floor's in the same round; None: no floor."""
    limit: float | None
    """What `ratio` may be at most."""
    peak: int
    """Most memory in KiB, 0 where it is not measured."""

    @property
    def met(self) -> bool | None:
        """Whether the limit is kept; None where there is none, or no floor."""
        return None if self.limit is None or self.ratio is None else self.ratio <= self.limit

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {**asdict(self), "met": self.met}


def row(
    subject: tuple[str, str, str], costs: Sequence[Cost], floors: Sequence[Cost], limit: float | None = None
) -> Row:
    """Of (what, where, who), from the rounds of one contender and of what it is compared with."""
    ratios = [cost.seconds / floor.seconds for cost, floor in zip(costs, floors, strict=False)]
    return Row(
        *subject,
        median(cost.seconds for cost in costs),
        median(cost.processor for cost in costs),
        median(ratios) if ratios else None,
        limit,
        max(cost.peak for cost in costs),
    )


def table(rows: Sequence[Row]) -> str:
    """As text, a block for each thing that was done."""
    lines: list[str] = []
    before = None
    for one in rows:
        if (one.what, one.where) != before:
            before = (one.what, one.where)
            lines += ["", f"{one.what} ({one.where})"]
            lines.append(f"  {'':26}{'seconds':>9}{'cpu s':>9}{'ratio':>8}{'limit':>8}{'':8}{'peak MiB':>10}")
        lines.append(f"  {one.who:26}{_cells(one)}".rstrip())
    return "\n".join([*lines, ""])


def _cells(one: Row) -> str:
    ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
    limit = "" if one.limit is None else f"{one.limit:.1f}"
    met = {None: "", True: "  met", False: "  MISSED"}[one.met]
    peak = f"{one.peak / 1024:.0f}" if one.peak else ""
    return f"{one.seconds:9.3f}{one.processor:9.3f}{ratio:>8}{limit:>8}{met:8}{peak:>10}"
