"""All SQL. Functions take an open connection and never commit; `session.Database` owns transactions."""
