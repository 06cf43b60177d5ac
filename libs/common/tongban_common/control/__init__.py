"""The records of the compacted `control.*` topics: state that operators set for every replica.

A record's value is the newest state of the thing that its key names, as a JSON body from a pydantic
model. It is no event and has no CloudEvents headers. Changes of the models are additive only, as
for events. Only operators' commands write these topics; services read them through
`tongban_kafka.RegisterView`. `connectors` has the opposite direction: processes report to
operators.
"""
