"""When models were last used, so that a server that starts has those in memory that are likely to be asked for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, insert, literal, select

from app.store.database import Database
from app.store.dialect import Order
from app.store.tables import UtcDateTime, model_uses, models


class Uses:
    """When models were last used; not to the second."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, model_ids: Collection[str], at: datetime) -> None:
        """Note that models were used; those that are gone have nothing to note."""
        there = select(models.c.id, literal(at, UtcDateTime)).where(models.c.id.in_(model_ids))
        there = there.with_for_update(read=True, key_share=True)
        with self._database.write(Order.MODELS, Order.USES) as connection:
            connection.execute(delete(model_uses).where(model_uses.c.model_id.in_(model_ids)))
            connection.execute(insert(model_uses).from_select(["model_id", "used_at"], there))
