"""What agents remember: Mem0 over a vector store, with a catalogue of where each item is from."""
