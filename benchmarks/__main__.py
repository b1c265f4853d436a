"""`python -m benchmarks`: all questions, in half an hour."""

from benchmarks.run import main

if __name__ == "__main__":
    main()
