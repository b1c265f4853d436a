"""The soak: pools of every kind under random kills, and an account of every task.

```
   __main__   the whole run: starts players, hears them, sees hangs, adds up and prints
   player     one process that plays one round after the other
   plan       seed and number of a round ──► its decisions, all of them, before it begins
   game       carries a plan out: pool, calls, maps, cancellations, the end
   killer     a thread that kills workers at random moments
   tasks      what runs in the workers; writes into the ledger
   ledger     a file of who started and ended what, and when, that survives every death
   verdict    plan, outcomes and ledger ──► what should not have been
```

A round has its own seed, `seed:round`, so that each can be played alone (`--seed S --round N`).
What repeats is what was decided: pools, calls, sizes, gaps between kills. When the system runs
which process does not repeat, so neither does which call a kill hits; a round that failed once may
have to be played many times (`--times`).
"""
