"""Wire types as msgspec Structs: data only, no behaviour, no I/O."""
