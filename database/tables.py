"""All ORM models: code that creates, compares or copies the whole schema imports `Base` from here."""

from __future__ import annotations

from database.accounts import models as people_models
from database.field import models as field_models
from database.models import Base

__all__ = ["Base", "field_models", "people_models"]
