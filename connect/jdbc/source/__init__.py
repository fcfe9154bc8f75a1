"""The JDBC source: rows of tables and queries into topics."""
