"""The kernels of scalars: plain Python functions that Numba and allcores compile as they stand.

Each is called with one item of `KERNELS`; an item takes about a millisecond as machine code. All
ints stay within 64 bits, since Numba wraps silently beyond. Kernels of buffers are in `buffers`.
"""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Kernel = tuple[Callable[..., Any], list[tuple[Any, ...]]]


def gcd(pair):
    """The textbook's: by subtraction of one from the smaller, as examples/gcd has it."""
    a, b = pair
    low = min(a, b)
    for i in range(low, 0, -1):
        if a % i == 0 and b % i == 0:
            return i
    return 1


def euclid(start, count):
    total = 0
    for k in range(start, start + count):
        a, b = 1000003 * k, 900001 + k
        while b:
            a, b = b, a % b
        total += a
    return total


def primes(n):
    count = 0
    for k in range(2, n):
        d = 2
        while d * d <= k:
            if k % d == 0:
                break
            d += 1
        else:
            count += 1
    return count


def collatz(start, count):
    best = 0
    for k in range(start, start + count):
        n = k
        steps = 0
        while n != 1:
            if n % 2 == 0:
                n //= 2
            else:
                n = 3 * n + 1
            steps += 1
        if steps > best:
            best = steps
    return best


def mandelbrot(row, width):
    total = 0
    y = row / 200.0 - 1.0
    for column in range(width):
        x = column / 200.0 - 2.0
        zr = zi = 0.0
        n = 0
        while n < 200 and zr * zr + zi * zi <= 4.0:
            zr, zi = zr * zr - zi * zi + x, 2.0 * zr * zi + y
            n += 1
        total += n
    return total


def monte_carlo(seed, count):
    inside = 0
    state = seed
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2147483648
        x = state / 2147483648.0
        state = (state * 1103515245 + 12345) % 2147483648
        y = state / 2147483648.0
        if x * x + y * y <= 1.0:
            inside += 1
    return 4.0 * inside / count


def accelerate(a, b, mass):
    dx, dy = b[0] - a[0], b[1] - a[1]
    r2 = dx * dx + dy * dy + 0.01
    f = mass / (r2 * math.sqrt(r2))
    return dx * f, dy * f


def nbody(a, b, c, steps):
    for _ in range(steps):
        ab, ac, bc = accelerate(a, b, 1.0), accelerate(a, c, 0.5), accelerate(b, c, 0.5)
        ba, ca, cb = accelerate(b, a, 2.0), accelerate(c, a, 2.0), accelerate(c, b, 1.0)
        avx, avy = a[2] + (ab[0] + ac[0]) * 0.001, a[3] + (ab[1] + ac[1]) * 0.001
        bvx, bvy = b[2] + (ba[0] + bc[0]) * 0.001, b[3] + (ba[1] + bc[1]) * 0.001
        cvx, cvy = c[2] + (ca[0] + cb[0]) * 0.001, c[3] + (ca[1] + cb[1]) * 0.001
        a = (a[0] + avx * 0.001, a[1] + avy * 0.001, avx, avy)
        b = (b[0] + bvx * 0.001, b[1] + bvy * 0.001, bvx, bvy)
        c = (c[0] + cvx * 0.001, c[1] + cvy * 0.001, cvx, cvy)
    return a[0] + b[0] + c[0]


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def ackermann(m, n):
    if m == 0:
        return n + 1
    if n == 0:
        return ackermann(m - 1, 1)
    return ackermann(m - 1, ackermann(m, n - 1))


def simpson(low, high, count):
    h = (high - low) / count
    total = math.sin(low) + math.sin(high)
    for i in range(1, count):
        x = low + i * h
        total += (4.0 if i % 2 else 2.0) * math.sin(x)
    return total * h / 3.0


def polynomial(low, high, count):
    h = (high - low) / count
    total = 0.0
    for i in range(count):
        x = low + (i + 0.5) * h
        total += ((x * 0.5 - 1.0) * x + 3.0) * x - 2.0
    return total * h


def modular_power(base, count):
    total = 0
    for e in range(1, count):
        result, square, bits = 1, base % 1000003, e * 7919
        while bits > 0:
            if bits & 1:
                result = result * square % 1000003
            square = square * square % 1000003
            bits >>= 1
        total += result
    return total


def bit_count(start, count):
    total = 0
    for n in range(start, start + count):
        while n:
            n &= n - 1
            total += 1
    return total


def bit_tricks(start, count):
    total = 0
    for n in range(start, start + count):
        n = n & 0xFFFFFFFF
        n = n - ((n >> 1) & 0x55555555)
        n = (n & 0x33333333) + ((n >> 2) & 0x33333333)
        n = (n + (n >> 4)) & 0x0F0F0F0F
        total += ((n * 0x01010101) & 0xFFFFFFFF) >> 24
    return total


def xorshift(seed, count):
    x = seed
    for _ in range(count):
        x ^= (x << 13) & 0xFFFFFFFF
        x ^= x >> 17
        x ^= (x << 5) & 0xFFFFFFFF
    return x


def divisor_sums(low, high):
    found = 0
    for n in range(low, high):
        total = 1
        d = 2
        while d * d <= n:
            if n % d == 0:
                total += d
                if d != n // d:
                    total += n // d
            d += 1
        if total > n:
            found += 1
    return found


def logistic(x, r, count):
    for _ in range(count):
        x = r * x * (1.0 - x)
    return x


def julia(row, width):
    total = 0
    for column in range(width):
        a, b = column / 150.0 - 1.5, row / 150.0 - 1.5
        for _ in range(150):
            if a * a + b * b > 4.0:
                break
            a, b = a * a - b * b - 0.8, 2.0 * a * b + 0.156
            total += 1
    return total


def leibniz(count):
    total = 0.0
    sign = 1.0
    for k in range(count):
        total += sign / (2 * k + 1)
        sign = -sign
    return 4.0 * total


def newton_roots(low, high):
    total = 0.0
    for n in range(low, high):
        x = float(n)
        for _ in range(12):
            x = 0.5 * (x + n / x)
        total += x
    return total


def digit_sums(low, high):
    total = 0
    for n in range(low, high):
        while n > 0:
            total += n % 10
            n //= 10
    return total


def palindromes(low, high):
    found = 0
    for n in range(low, high):
        rest, mirrored = n, 0
        while rest:
            mirrored = mirrored * 10 + rest % 10
            rest //= 10
        if mirrored == n:
            found += 1
    return found


def josephus(n, k):
    last = 0
    for size in range(2, n + 1):
        last = (last + k) % size
    return last


def totients(low, high):
    total = 0
    for n in range(low, high):
        result, rest, p = n, n, 2
        while p * p <= rest:
            if rest % p == 0:
                while rest % p == 0:
                    rest //= p
                result -= result // p
            p += 1
        if rest > 1:
            result -= result // rest
        total += result
    return total


def is_probable_prime(n, base):
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd //= 2
        twos += 1
    x, square = 1, base % n
    while odd:
        if odd & 1:
            x = x * square % n
        square = square * square % n
        odd >>= 1
    if x == 1 or x == n - 1:
        return True
    for _ in range(twos - 1):
        x = x * x % n
        if x == n - 1:
            return True
    return False


def miller_rabin(low, high):
    found = 0
    for n in range(low | 1, high, 2):
        if is_probable_prime(n, 2) and is_probable_prime(n, 3):
            found += 1
    return found


def gaussian(low, high, count):
    h = (high - low) / count
    total = 0.0
    for i in range(count):
        x = low + i * h
        total += math.exp(-x * x)
    return total * h


def harmonic(count):
    total = 0.0
    for k in range(1, count + 1):
        total += 1 / k
    return total


def triples(most):
    found = 0
    for a in range(1, most):
        for b in range(a, most):
            c2 = a * a + b * b
            c = int(math.sqrt(c2))
            if c * c == c2 and c <= most:
                found += 1
    return found


def fridays(first, last):
    found = 0
    for year in range(first, last):
        for month in range(1, 13):
            y, m = (year - 1, month + 12) if month < 3 else (year, month)
            if (13 + 13 * (m + 1) // 5 + y + y // 4 - y // 100 + y // 400) % 7 == 6:
                found += 1
    return found


def fnv(seed, count):
    h = 2166136261
    for k in range(count):
        h = ((h ^ ((seed + k) & 255)) * 16777619) & 0xFFFFFFFF
    return h


def lotka_volterra(prey, hunters, steps):
    dt = 0.001
    for _ in range(steps):
        a1, b1 = prey * (1.1 - 0.4 * hunters), hunters * (0.1 * prey - 0.4)
        x, y = prey + 0.5 * dt * a1, hunters + 0.5 * dt * b1
        a2, b2 = x * (1.1 - 0.4 * y), y * (0.1 * x - 0.4)
        prey, hunters = prey + dt * a2, hunters + dt * b2
    return prey, hunters


def floored(low, high):
    total = 0
    for n in range(low, high):
        total += n // 7 + n % 13 - (-n) // 3
    return total


KERNELS: dict[str, Kernel] = {
    "gcd": (gcd, [((400_000 + 2 * n, 600_000 + 6 * n),) for n in range(8)]),
    "euclid": (euclid, [(1 + 5000 * n, 5000) for n in range(8)]),
    "primes": (primes, [(6000 + n,) for n in range(8)]),
    "collatz": (collatz, [(1 + 5000 * n, 5000) for n in range(8)]),
    "mandelbrot": (mandelbrot, [(150 + 8 * n, 600) for n in range(8)]),
    "monte_carlo": (monte_carlo, [(1 + n, 200_000) for n in range(8)]),
    "nbody": (
        nbody,
        [
            ((0.0, 0.1 * n, 0.0, 0.1), (1.0, 0.0, 0.0, 1.0), (0.0, 2.0, -1.0, 0.0), 20_000)
            for n in range(8)
        ],
    ),
    "fib": (fib, [(25,)] * 8),
    "ackermann": (ackermann, [(2, 300 + n) for n in range(8)]),
    "simpson": (simpson, [(0.0, 1.0 + n, 100_000) for n in range(8)]),
    "polynomial": (polynomial, [(0.0, 1.0 + n, 500_000) for n in range(8)]),
    "modular_power": (modular_power, [(3 + n, 6000) for n in range(8)]),
    "bit_count": (bit_count, [(1 + 50_000 * n, 50_000) for n in range(8)]),
    "bit_tricks": (bit_tricks, [(1 + 500_000 * n, 500_000) for n in range(8)]),
    "xorshift": (xorshift, [(2463534242 + n, 500_000) for n in range(8)]),
    "divisor_sums": (divisor_sums, [(1 + 2000 * n, 8000 + 2000 * n) for n in range(8)]),
    "logistic": (logistic, [(0.1 + 0.01 * n, 3.9, 500_000) for n in range(8)]),
    "julia": (julia, [(200 + 4 * n, 450) for n in range(8)]),
    "leibniz": (leibniz, [(500_000 + n,) for n in range(8)]),
    "newton_roots": (newton_roots, [(1 + n, 20_000 + n) for n in range(8)]),
    "digit_sums": (digit_sums, [(100_000 * n, 100_000 * n + 60_000) for n in range(8)]),
    "palindromes": (palindromes, [(100_000 * n, 100_000 * n + 60_000) for n in range(8)]),
    "josephus": (josephus, [(300_000 + n, 7) for n in range(8)]),
    "totients": (totients, [(1 + 3000 * n, 6000 + 3000 * n) for n in range(8)]),
    "miller_rabin": (miller_rabin, [(100_000 + 9000 * n, 109_000 + 9000 * n) for n in range(8)]),
    "gaussian": (gaussian, [(-3.0, 3.0 + n, 100_000) for n in range(8)]),
    "harmonic": (harmonic, [(500_000 + n,) for n in range(8)]),
    "triples": (triples, [(700 + n,) for n in range(8)]),
    "fridays": (fridays, [(1600 + n, 20_000 + n) for n in range(8)]),
    "fnv": (fnv, [(n, 500_000) for n in range(8)]),
    "lotka_volterra": (lotka_volterra, [(10.0 + n, 5.0, 100_000) for n in range(8)]),
    "floored": (floored, [(n - 200_000, 200_000 + n) for n in range(8)]),
}
