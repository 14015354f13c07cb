"""Tables of a benchmark: a row for each subject, best first, limits last; where a peer is better, they say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from benchmarks.report import names
from benchmarks.report.layout import Section
from benchmarks.report.names import Column
from benchmarks.report.text import bullets, grid, number, paragraph, plain, spread_text
from benchmarks.results import OURS, Line, Spread, spread

ABSENT = "n/a"
ALONE = "this service alone"
"""Title of the table of all cases in which there is nobody to compare with."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one subject did in one case, over all runs."""

    label: str
    case: str
    subject: str
    figures: dict[str, Spread]
    notes: tuple[str, ...] = ()

    @property
    def is_limit(self) -> bool:
        return self.subject.startswith(names.LIMIT)

    @property
    def is_ours(self) -> bool:
        return self.subject == OURS


@dataclass(frozen=True, slots=True)
class Table:
    """Rows that may be compared. ``title`` is the case."""

    title: str
    rows: list[Row]
    columns: list[Column]
    best: str

    def written(self) -> list[str]:
        """Markdown: the table, what is better than the service, the notes."""
        header = ["", *(column.title for column in self.columns)]
        rows = [[self._name(row), *(self._cell(row, column) for column in self.columns)] for row in self._sorted()]
        notes = [f"{plain(row.label)}: {plain(note)}" for row in self._sorted() for note in row.notes]
        return [*grid(header, rows, numbers_from=1), *self._verdict(), *bullets(notes)]

    def better(self, row: Row, column: Column) -> bool:
        """Whether a peer's median is better than that of the service."""
        ours, theirs = self._ours(column), row.figures.get(column.key)
        if row.is_ours or row.is_limit or ours is None or theirs is None or column.more_is_better is None:
            return False
        return theirs.median > ours.median if column.more_is_better else theirs.median < ours.median

    def _ours(self, column: Column) -> Spread | None:
        return next((row.figures.get(column.key) for row in self.rows if row.is_ours), None)

    def _name(self, row: Row) -> str:
        return f"**{plain(row.label)}**" if row.is_ours and self.title != ALONE else plain(row.label)

    def _cell(self, row: Row, column: Column) -> str:
        figure = row.figures.get(column.key)
        if figure is None:
            return ABSENT
        early = " early" if column.key == "earliest_ms" and figure.least < 0 else ""
        return f"**{spread_text(figure)}**" if self.better(row, column) else f"{spread_text(figure)}{early}"

    def _sorted(self) -> list[Row]:
        """What has no such figure comes after what has one, and limits after all: they compete with nobody."""
        sign = -1 if any(column.more_is_better for column in self.columns if column.key == self.best) else 1

        def place(row: Row) -> tuple[bool, bool, float]:
            found = row.figures.get(self.best)
            return row.is_limit, found is None, sign * found.median if found else 0.0

        return sorted(self.rows, key=place)

    def _verdict(self) -> list[str]:
        """In words, what bold says. Nothing where there is nobody to compare with."""
        if all(row.is_ours or row.is_limit for row in self.rows) or not any(row.is_ours for row in self.rows):
            return []
        better = [f"{plain(row.label)} ({', '.join(found)})" for row in self._sorted() if (found := list(self._better(row)))]
        if not better:
            return paragraph("No peer is better than this service in any column.")
        return paragraph(f"**Better than this service** (in bold): {'; '.join(better)}.")

    def _better(self, row: Row) -> Iterator[str]:
        for column in self.columns:
            ours, theirs = self._ours(column), row.figures.get(column.key)
            if self.better(row, column) and ours and theirs:
                yield f"{column.title}: {number(theirs.median)} against {number(ours.median)}"


def tables(section: Section, lines: list[Line]) -> list[Table]:
    """One for each case that several subjects were measured in, one for all cases that the service is alone in."""
    if not section.turned:
        return _by_case(section, lines)
    turned = [_turned(line, section.turned) for line in lines if section.turned in line.figures or not line.figures]
    rest = [_without(line, section.turned) for line in lines]
    return _one_of_all_cases(turned, section) + _by_case(section, [line for line in rest if line.figures])


def _one_of_all_cases(turned: list[Line], section: Section) -> list[Table]:
    cases = dict.fromkeys(case for line in turned for case in line.figures)
    columns = [Column(case, case, names.column(section.turned).more_is_better) for case in cases]
    return [Table(names.column(section.turned).title, _rows(turned, section), columns, next(iter(cases)))] if cases else []


def _by_case(section: Section, lines: list[Line]) -> list[Table]:
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(section.beside.get(line.case, line.case), []).append(line)
    alone = [line for group in groups.values() if _is_ours_alone(group) for line in group]
    made = [_table(case, _rows(group, section), section) for case, group in groups.items() if not _is_ours_alone(group)]
    rows = [replace(row, label=row.case) for row in _rows(alone, section)]
    return made + ([_table(ALONE, rows, section)] if rows else [])


def _table(title: str, rows: list[Row], section: Section) -> Table:
    """Sorted by the section's figure, else by the first that there is. The cases of one subject keep their order."""
    columns = [names.column(key) for key in names.in_order({key for row in rows for key in row.figures})]
    keys = [column.key for column in columns]
    best = section.best if section.best in keys else next(iter(keys), "")
    return Table(title, rows, columns, best if any(not row.is_ours for row in rows) else "")


def _rows(lines: list[Line], section: Section) -> list[Row]:
    """In order of first appearance, but what stands beside another case after that: peers are compared with the first."""
    pairs = sorted(dict.fromkeys((line.case, line.subject) for line in lines), key=lambda pair: pair[0] in section.beside)
    return [_row(lines, section, case, subject) for case, subject in pairs]


def _row(lines: list[Line], section: Section, case: str, subject: str) -> Row:
    own = [line for line in lines if (line.case, line.subject) == (case, subject)]
    keys = names.in_order({key for line in own for key in line.figures})
    figures = {key: found for key in keys if (found := spread(own, case, subject, key))}
    label = f"{subject}, {case}" if case in section.beside else subject
    return Row(label, case, subject, figures, tuple(dict.fromkeys(line.note for line in own if line.note)))


def _is_ours_alone(lines: list[Line]) -> bool:
    return {line.subject for line in lines} == {OURS}


def _turned(line: Line, figure: str) -> Line:
    """Its case as the name of its figure."""
    return msgspec.structs.replace(line, case="", figures={line.case: line.figures[figure]} if figure in line.figures else {})


def _without(line: Line, figure: str) -> Line:
    """The rest of its figures. Its note stays with the figure that was taken out, where there was one."""
    rest = {key: value for key, value in line.figures.items() if key != figure}
    return msgspec.structs.replace(line, figures=rest, note="" if figure in line.figures else line.note)
