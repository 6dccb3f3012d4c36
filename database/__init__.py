"""Tables, queries and transactions. The only package that imports SQLAlchemy."""
