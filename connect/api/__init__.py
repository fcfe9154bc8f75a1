"""What authors of plug-ins import, and nothing else: connectors, tasks, schemas, converters, transforms.

    data.py      Schema, SchemaBuilder, Struct, logical types     connector.py  Connector, Task
    records.py   SourceRecord, SinkRecord, Headers                source.py     SourceConnector, SourceTask
    config_def.py  ConfigDef                                      sink.py       SinkConnector, SinkTask
    converter.py  transform.py  predicate.py  errors.py

Names are Kafka Connect's, in snake case. Nothing here does any work of its own or needs a worker, so a
plug-in is tested by calling it.
"""
