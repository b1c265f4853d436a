//! Which of Python's functions take which types, and what they give.

use crate::ir::{Binary, Builtin};
use crate::types::Type;

/// The type of the result, or `None` if this call isn't supported.
pub(crate) fn result(builtin: Builtin, arguments: &[Type]) -> Option<Type> {
    use Builtin as B;
    let numbers = arguments.iter().all(Type::is_number);
    let whole = arguments.iter().all(Type::is_whole);
    match (builtin, arguments) {
        (B::Abs, [one]) => match one {
            Type::Bool | Type::Int => Some(Type::Int),
            Type::Float | Type::Number => Some(arguments[0].clone()),
            _ => None,
        },
        (B::Min | B::Max, [Type::Tuple(items)]) if items.len() > 1 => result(builtin, items),
        (B::Min | B::Max, [Type::Buffer(_) | Type::List(_) | Type::Row(_)]) => {
            arguments[0].element(1).filter(|kind| kind.is_whole() || *kind == Type::Float)
        }
        (B::Min | B::Max, [first, rest @ ..]) => {
            let common = rest.iter().try_fold(first.clone(), |one, each| one.either(each));
            common.filter(|_| numbers && !rest.is_empty())
        }
        (B::Int, [Type::Foreign(_)]) => Some(Type::Int),
        (B::Int | B::Round | B::Floor | B::Ceil | B::Trunc, [_]) => numbers.then_some(Type::Int),
        (B::Float, [Type::Foreign(_)]) => Some(Type::Float),
        (B::Bool, [Type::Buffer(buffer)]) => (!buffer.is_foreign).then_some(Type::Bool),
        (B::Bool, [one]) => (!matches!(one, Type::Foreign(_))).then_some(Type::Bool),
        (B::Len, [Type::Tuple(_) | Type::Buffer(_) | Type::List(_) | Type::Row(_)]) => {
            Some(Type::Int)
        }
        (B::Sum, [Type::Tuple(items)]) => items.iter().all(Type::is_whole).then_some(Type::Int),
        (B::Sum, [one]) => match one.element(1) {
            Some(Type::Float) => Some(Type::Number),
            kind => kind.filter(Type::is_whole).map(|_| Type::Int),
        },
        (B::Divmod, [_, _]) if numbers && !arguments.contains(&Type::Number) => {
            let each = if whole { Type::Int } else { Type::Float };
            Some(Type::Tuple([each.clone(), each].into()))
        }
        (B::Pow, [base, exponent]) => {
            crate::infer::binary(Binary::Power, base, exponent).filter(|_| numbers)
        }
        (B::Pow, [_, _, _]) | (B::Gcd, [_, _]) | (B::Isqrt, [_]) => whole.then_some(Type::Int),
        (B::IsNan | B::IsInf | B::IsFinite, [_]) => numbers.then_some(Type::Bool),
        (B::Atan2 | B::MathPow | B::Fmod | B::Copysign, [_, _]) => numbers.then_some(Type::Float),
        (
            B::Float
            | B::Sqrt
            | B::Sin
            | B::Cos
            | B::Tan
            | B::Asin
            | B::Acos
            | B::Atan
            | B::Sinh
            | B::Cosh
            | B::Tanh
            | B::Exp
            | B::Expm1
            | B::Log
            | B::Log2
            | B::Log10
            | B::Log1p
            | B::Fabs
            | B::Degrees
            | B::Radians,
            [_],
        ) => numbers.then_some(Type::Float),
        _ => None,
    }
}
