//! What machine code calls: the parts of Python's arithmetic that are longer than a few instructions.
//!
//! A function of floats answers NaN where it can't be sure of Python's answer; whoever calls it
//! leaves to Python whatever isn't finite. The functions of `math` are those of the system's own
//! library, which CPython calls too, so that every bit agrees.

use crate::guard::{DONE, Guard};

/// An int, or why there is none.
#[repr(C)]
pub(crate) struct Checked {
    value: i64,
    guard: i64,
}

fn checked(value: Option<i64>, otherwise: Guard) -> Checked {
    match value {
        Some(value) => Checked { value, guard: DONE },
        None => Checked { value: 0, guard: otherwise.word() },
    }
}

/// `base ** exponent` for ints.
pub(crate) extern "C" fn power_of_ints(base: i64, exponent: i64) -> Checked {
    if exponent < 0 {
        return checked(None, Guard::Type);
    }
    let value = match base {
        0 | 1 => Some(if exponent == 0 { 1 } else { base }),
        -1 => Some(if exponent % 2 == 0 { 1 } else { -1 }),
        _ => u32::try_from(exponent).ok().and_then(|exponent| base.checked_pow(exponent)),
    };
    checked(value, Guard::Overflow)
}

/// `pow(base, exponent, modulus)`.
pub(crate) extern "C" fn power_modulo(base: i64, exponent: i64, modulus: i64) -> Checked {
    if modulus == 0 || exponent < 0 {
        return checked(None, Guard::Domain);
    }
    let size = u128::from(modulus.unsigned_abs());
    let mut square = i128::from(base).rem_euclid(i128::from(modulus)).unsigned_abs();
    let mut result = 1 % size;
    let mut bits = exponent;
    while bits > 0 {
        if bits & 1 == 1 {
            result = result * square % size;
        }
        square = square * square % size;
        bits >>= 1;
    }
    // The result has the sign of the modulus.
    let positive = i128::try_from(result).unwrap_or_default();
    let signed =
        if modulus < 0 && positive != 0 { positive + i128::from(modulus) } else { positive };
    checked(i64::try_from(signed).ok(), Guard::Overflow)
}

/// `math.gcd`
pub(crate) extern "C" fn gcd(a: i64, b: i64) -> Checked {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    checked(i64::try_from(a).ok(), Guard::Overflow)
}

/// `math.isqrt`
pub(crate) extern "C" fn isqrt(a: i64) -> Checked {
    checked(a.checked_isqrt(), Guard::Domain)
}

/// `a % b` for floats, `b` not zero: the sign is that of `b`, even of a zero.
pub(crate) extern "C" fn modulo(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest == 0.0 {
        0.0_f64.copysign(b)
    } else if (b < 0.0) != (rest < 0.0) {
        rest + b
    } else {
        rest
    }
}

/// `a // b` for floats, `b` not zero, step by step as CPython has it.
pub(crate) extern "C" fn floor_divide(a: f64, b: f64) -> f64 {
    let rest = a % b;
    let mut quotient = (a - rest) / b;
    if rest != 0.0 && (b < 0.0) != (rest < 0.0) {
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return 0.0_f64.copysign(a / b);
    }
    let floor = quotient.floor();
    if quotient - floor > 0.5 { floor + 1.0 } else { floor }
}

/// `a ** b` for floats.
pub(crate) extern "C" fn power(a: f64, b: f64) -> f64 {
    if !a.is_finite() || !b.is_finite() {
        return f64::NAN;
    }
    let result = a.powf(b);
    // Where a result underflows, CPython looks at what the library has to say about it.
    if result.is_normal() || a == 0.0 { result } else { f64::NAN }
}

/// `math.pow`
pub(crate) extern "C" fn math_power(a: f64, b: f64) -> f64 {
    if a.is_finite() && b.is_finite() { a.powf(b) } else { f64::NAN }
}

/// `math.fmod`
pub(crate) extern "C" fn fmod(a: f64, b: f64) -> f64 {
    a % b
}

macro_rules! library {
    ($($name:ident),*) => {
        $(#[doc = concat!("`math.", stringify!($name), "`")]
        pub(crate) extern "C" fn $name(a: f64) -> f64 { a.$name() })*
    };
}

library!(sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, exp, log2, log10);

/// `math.log`
pub(crate) extern "C" fn log(a: f64) -> f64 {
    a.ln()
}

/// `math.expm1`
pub(crate) extern "C" fn expm1(a: f64) -> f64 {
    a.exp_m1()
}

/// `math.log1p`, whose zeros keep their sign on every system.
pub(crate) extern "C" fn log1p(a: f64) -> f64 {
    if a == 0.0 { a } else { a.ln_1p() }
}

/// `math.atan2`
pub(crate) extern "C" fn atan2(a: f64, b: f64) -> f64 {
    a.atan2(b)
}
