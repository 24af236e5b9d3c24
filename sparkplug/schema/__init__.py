"""The vocabulary: models and enums of everything that crosses a process. Imports none of ours."""
