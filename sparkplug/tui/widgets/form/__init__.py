"""Forms made from pydantic models. Imports pydantic: only once the first frame is drawn."""
