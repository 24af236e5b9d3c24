"""A plane of boxes and the edges between them: layout, routing, drawing, and the widget."""
