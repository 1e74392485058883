"""Run one statement for many rows, or ask for many, at little more than what the database itself takes.

A statement is written once, in SQLAlchemy's words. What SQLAlchemy does anew for every row, naming parameters and
looking up how each is converted, is done here once; rows go to the driver as bare tuples. What is written, and that
all rows have the same keys, is left to the callers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Integer,
    Row,
    String,
    Table,
    Update,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from scheduler_daemon.storage.types import to_json

Convert = Callable[[Any], Any]
Values = Mapping[str, Any]


def among(db: Connection, column: ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Return the condition that a column of text or numbers holds one of many values: one parameter, however many."""
    if db.dialect.name == "sqlite":
        each = func.json_each(bindparam(None, to_json(list(values)), String)).table_valued("value")
        return column.in_(select(each.c.value))
    return column == any_(bindparam(None, list(values), postgresql.ARRAY(column.type)))


class _Compiled(NamedTuple):
    """A statement as one database takes it."""

    text: str
    columns: tuple[tuple[str, Convert | None], ...]
    """The key of each parameter in a row, and how its values are converted."""
    fixed: dict[str, Any]
    """Parameters that are the same for every row."""


class ForEach:
    """A statement without a result, run for each of many rows.

    `columns` are set to what a row has under their names, beside what the statement sets itself. A parameter `b_x` of
    the statement takes what a row has under `x`.
    """

    def __init__(self, statement: Insert | Update, columns: Sequence[str]) -> None:
        self._statement = statement
        self._columns = list(columns)
        self._compiled: dict[str, _Compiled] = {}

    def run(self, db: Connection, rows: Sequence[Values]) -> None:
        """Run it; rows may hold other keys too."""
        if not rows:
            return
        text, columns, fixed = self._compiled.get(db.dialect.name) or self._compile(db.dialect)
        found = [
            [fixed[key]] * len(rows) if key in fixed else _converted(rows, key, convert) for key, convert in columns
        ]
        db.exec_driver_sql(text, list(zip(*found, strict=True)))

    def _compile(self, dialect: Dialect) -> _Compiled:
        compiled = self._statement.compile(dialect=dialect, column_keys=self._columns, for_executemany=True)
        assert isinstance(compiled, SQLCompiler)
        binds = [(name, compiled.binds[name]) for name in compiled.positiontup or ()]
        made = self._compiled[dialect.name] = _Compiled(
            compiled.string,
            tuple((name.removeprefix("b_"), _conversion(bind, dialect)) for name, bind in binds),
            {name: bind.effective_value for name, bind in binds if not bind.required},
        )
        return made


class InsertNew:
    """An insert that leaves alone what is there already, and returns the columns `returning` of what was not.

    `keys` are the columns of a row; the table has a whole number as its key.
    """

    def __init__(self, table: Table, keys: Sequence[str], returning: Sequence[str]) -> None:
        told = [table.c[key] for key in returning]
        each = sqlite.insert(table).values({key: bindparam(f"b_{key}") for key in keys}).on_conflict_do_nothing()
        self._each = ForEach(each, ())
        self._rowid = literal_column("rowid", Integer)
        self._highest = select(func.coalesce(func.max(self._rowid), 0)).select_from(table)
        self._above = select(*told).where(self._rowid > bindparam("before"))
        self._on_postgres = postgresql.insert(table).on_conflict_do_nothing().returning(*told)

    def run(self, db: Connection, rows: Sequence[Values]) -> Sequence[Row[*tuple[Any, ...]]]:
        """Insert rows; return those that were new, in no order."""
        if not rows:
            return []
        if db.dialect.name != "sqlite":
            return db.execute(self._on_postgres, rows).all()
        # To return what one statement for all rows inserts takes SQLite three times as long; it has one writer, which
        # we are by now, so that what is numbered higher than all before is ours.
        before = db.execute(self._highest).scalar_one()
        self._each.run(db, rows)
        return db.execute(self._above, {"before": before}).all()


def _conversion(element: ColumnElement[Any], dialect: Dialect) -> Convert | None:
    """Return how values for a column or parameter are converted to what the driver takes."""
    kind = element.type.dialect_impl(dialect)
    return to_json if isinstance(kind, JSON) else kind.bind_processor(dialect)  # SQLAlchemy calls it through two more


def _converted(rows: Iterable[Values], key: str, convert: Convert | None) -> list[Any]:
    """Return the values of one key; what is the same object as in the row before is not converted again."""
    values = map(itemgetter(key), rows)
    if convert is None:
        return list(values)
    found = []
    last = made = None
    for value in values:
        if value is not last or made is None:
            last, made = value, convert(value)
        found.append(made)
    return found
