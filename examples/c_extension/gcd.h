/* The greatest common divisor by brute force, and a place where two calls can meet. */

#ifdef __cplusplus
extern "C" {
#endif

/* The greatest common divisor of two positive numbers; 0 if one of them is not positive. */
long long gcd(long long a, long long b);

/* Waits until two calls are in it at the same time: 1 if that happened within so many seconds, else
   0. Two threads meet only if whoever calls it has let go of the interpreter's lock. */
int meet(double seconds);

#ifdef __cplusplus
}
#endif
