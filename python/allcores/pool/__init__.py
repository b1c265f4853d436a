"""What replaces `concurrent.futures.process`: the executor, its futures, and what runs in its
workers.
"""
