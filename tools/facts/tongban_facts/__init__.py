"""Make fact tables for analysts from the event topics: Parquet files that name no person."""
