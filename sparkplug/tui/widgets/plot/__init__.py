"""Values over time, drawn with dots: several series, axes, a cursor."""
