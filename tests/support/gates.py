"""Events by which a test and a module that it imports wait for each other."""

from threading import Event

reached, opened = Event(), Event()
