"""What opens over a pane: questions, texts, logs, answers, runs."""
