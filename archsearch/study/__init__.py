"""The search: proposals, the record, the loop. Import what you need from its modules; this one is light."""
