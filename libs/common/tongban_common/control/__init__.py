"""State that operators set and every replica follows: records of the compacted `control.*` topics.

A record's key says what it is about and its value is the newest state as a JSON body from a
pydantic model; no CloudEvents headers, as it is not an event but what holds now. Changes are
additive only, as they are for events. Written by the operators' commands alone, read through
`CompactedView`. `connectors` goes the other way: what processes tell operators.
"""
