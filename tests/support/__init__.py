"""What the tests share: the two implementations, tasks that workers can import, what may be left
over, the watchdog."""
