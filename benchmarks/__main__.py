"""`python -m benchmarks`: all questions, in less than a quarter of an hour."""

from benchmarks.run import main

if __name__ == "__main__":
    main()
