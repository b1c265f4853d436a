"""Is `backend="auto"` as fast as the best rung, on whatever people run?"""
