"""Where a search keeps its trials: a journal file in its folder, or a database.

A database, such as PostgreSQL, needs no folder that all machines can write to.  Each machine then
has the runs of its own trials.  optuna defines the tables.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elman.errors import OptionError
from elman.extras import extra

#: seconds to wait for a database that does not answer
_PATIENCE = 10


def open_storage(folder: Path, url: str) -> Any:
    """optuna's storage of a search; ``OptionError`` if the database cannot be used."""
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    if not url:
        journal = str(folder / "journal.log")
        return JournalStorage(JournalFileBackend(journal, lock_obj=JournalFileOpenLock(journal)))
    name, engine = shown(url), dict[str, Any]()
    if url.startswith("postgresql"):
        with extra("postgresql", "a search on PostgreSQL"):
            import pg8000  # noqa: F401 - the driver that the URL names
        url = url.replace("postgresql://", "postgresql+pg8000://", 1)
        from sqlalchemy.pool import NullPool

        # a connection is closed after each use: trials take minutes, and servers limit connections
        engine = {"connect_args": {"timeout": _PATIENCE}, "poolclass": NullPool}
    try:
        return RDBStorage(url, engine_kwargs=engine)
    except Exception as error:  # SQLAlchemy's and the driver's
        why = " ".join(str(error.__cause__ or error).split())[:200].rstrip(".")
        raise OptionError(
            f"storage: the database {name} cannot be used ({why}); give a URL such as "
            "postgresql://user:password@host/database."
        ) from error


def shown(url: str) -> str:
    """A URL without its password.

    >>> shown("postgresql://ann:secret@host/db")
    'postgresql://ann:***@host/db'
    """
    head, at, tail = url.rpartition("@")
    scheme, colon, user = head.partition("://")
    name, _, password = user.partition(":")
    return f"{scheme}{colon}{name}{':***' if password else ''}{at}{tail}" if at else url


def study_name(task: str, record: Mapping[str, Any], url: str) -> str:
    """The name of the study: in a database, a search with other settings is another one."""
    if not url:
        return task
    text = json.dumps(record, sort_keys=True)
    return f"elman-{task}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@contextmanager
def one_at_a_time(storage: Any, folder: Path, name: str) -> Iterator[None]:
    """Let only one worker choose the next trial: of those that share the database or the folder."""
    from optuna.storages.journal import JournalFileOpenLock

    engine = getattr(storage, "engine", None)
    if engine is not None and engine.dialect.name == "postgresql":
        from sqlalchemy import text

        key = int(hashlib.sha256(name.encode()).hexdigest()[:15], 16)
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": key})
            try:
                yield
            finally:
                connection.execute(text("select pg_advisory_unlock(:key)"), {"key": key})
                connection.rollback()
        return
    lock = JournalFileOpenLock(str(folder / "next"))
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
