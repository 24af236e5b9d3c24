"""Plans: the journal of their runs, templates, the ready-set scheduler, and the planner."""
