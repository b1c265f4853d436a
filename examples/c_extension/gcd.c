#include "gcd.h"

#include <stdatomic.h>
#include <time.h>

long long gcd(long long a, long long b)
{
    for (long long candidate = a < b ? a : b; candidate > 0; candidate--)
        if (a % candidate == 0 && b % candidate == 0)
            return candidate;
    return 0;
}

/* How many calls of `meet` have found a partner or are waiting for one: odd while one waits. */
static atomic_int arrived = 0;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int meet(double seconds)
{
    const struct timespec moment = {0, 1000000};
    const double until = now() + seconds;
    const int before = atomic_fetch_add(&arrived, 1);
    if (before % 2 == 1)
        return 1;
    while (atomic_load(&arrived) == before + 1) {
        int alone = before + 1;
        if (now() > until && atomic_compare_exchange_strong(&arrived, &alone, before))
            return 0;
        nanosleep(&moment, NULL);
    }
    return 1;
}
