"""The JDBC sink: records of topics into tables."""
