"""Tasks whose answers stand at marked positions: formal languages, arithmetic, groups, memory."""
