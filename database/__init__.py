"""What is known and curated, in SQL: the only home of SQLAlchemy."""
