"""Pages: what each shows for a state and a result. Layout and events are wired in app.py."""
