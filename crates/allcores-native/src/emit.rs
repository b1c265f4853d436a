//! What writing a function's machine code needs everywhere: values, variables, ways out.
//!
//! A *guard* is a branch to a block that returns the reason. A part of the program that can't be
//! reached with values ends in [`Ended`], after which nothing is written until the next block begins.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, FuncRef, InstBuilder, Signature, Type as Word, Value as Register,
    types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, Variable};

use crate::guard::Guard;
use crate::infer::{Inference, Instance};
use crate::interval::Interval;
use crate::ir::Local;
use crate::ranges::{Ranges, Scope};
use crate::sequences::LookedAt;
use crate::span::Span;
use crate::types::Type;

/// Nothing comes after this: the block has its last instruction.
#[derive(Debug)]
pub(crate) struct Ended;

/// A value at run time: its type, and a register for each word.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) kind: Type,
    pub(crate) words: Vec<Register>,
    /// Between which bounds each word lies that is an int or a bool.
    pub(crate) ranges: Vec<Interval>,
    /// Between which bounds a float lies, if that's known while compiling.
    pub(crate) span: Option<Span>,
}

impl Value {
    pub(crate) fn new(kind: Type, words: Vec<Register>) -> Self {
        let ranges = kind.ranges();
        Self { kind, words, ranges, span: None }
    }

    /// An int between bounds.
    pub(crate) fn within(word: Register, range: Interval) -> Self {
        Self { kind: Type::Int, words: vec![word], ranges: vec![range], span: None }
    }

    pub(crate) fn tuple(items: &[Self]) -> Self {
        Self {
            kind: Type::Tuple(items.iter().map(|item| item.kind.clone()).collect()),
            words: items.iter().flat_map(|item| item.words.clone()).collect(),
            ranges: items.iter().flat_map(|item| item.ranges.clone()).collect(),
            span: None,
        }
    }

    /// The bounds of a value of one word.
    pub(crate) fn range(&self) -> Interval {
        self.ranges.first().copied().unwrap_or(Interval::ALL)
    }

    pub(crate) fn int(word: Register) -> Self {
        Self::new(Type::Int, vec![word])
    }

    pub(crate) fn float(word: Register) -> Self {
        Self::new(Type::Float, vec![word])
    }

    /// Between which bounds the float lies that is nearest to it, if that's known.
    pub(crate) fn span(&self) -> Option<Span> {
        match self.kind {
            Type::Float => self.span,
            Type::Int | Type::Bool => Span::new(self.range().low as f64, self.range().high as f64),
            _ => None,
        }
    }

    pub(crate) fn float_within(word: Register, span: Option<Span>) -> Self {
        Self { span, ..Self::float(word) }
    }

    pub(crate) fn bool(word: Register) -> Self {
        Self::new(Type::Bool, vec![word])
    }
}

/// The type of a register for a word.
pub(crate) fn register(kind: &Type) -> Word {
    match kind {
        Type::Bool => types::I8,
        Type::Float => types::F64,
        _ => types::I64,
    }
}

pub(crate) fn registers(kind: &Type) -> impl Iterator<Item = Word> + use<> {
    kind.words().into_iter().map(|word| register(&word))
}

/// How an instance is called: the context, how much deeper calls may go, the words of the arguments;
/// it returns a word of [`Guard`] and the words of its result.
pub(crate) fn signature(instance: &Instance, convention: CallConv) -> Signature {
    let mut signature = Signature::new(convention);
    signature.params.extend([AbiParam::new(types::I64); 2]);
    for kind in &instance.arguments {
        signature.params.extend(registers(kind).map(AbiParam::new));
    }
    signature.returns.push(AbiParam::new(types::I64));
    signature
        .returns
        .extend(result_of(instance).words().iter().map(|word| AbiParam::new(register(word))));
    signature
}

/// What an instance returns; one that never does may say it returns nothing.
pub(crate) fn result_of(instance: &Instance) -> Type {
    instance.result.clone().unwrap_or(Type::None)
}

/// A variable of Python's, and whether it has a value yet.
pub(crate) struct Place {
    pub(crate) kind: Option<Type>,
    pub(crate) words: Vec<Variable>,
    pub(crate) is_bound: Variable,
}

/// Where `break` and `continue` go.
#[derive(Clone, Copy)]
pub(crate) struct Loop {
    pub(crate) next: Block,
    pub(crate) end: Block,
}

/// The writer of one instance.
pub(crate) struct Emitter<'a, 'b> {
    pub(crate) builder: &'a mut FunctionBuilder<'b>,
    pub(crate) inference: &'a Inference,
    pub(crate) functions: &'a mut dyn FnMut(usize, &mut FunctionBuilder<'_>) -> FuncRef,
    pub(crate) pause: FuncRef,
    pub(crate) convention: CallConv,
    pub(crate) context: Register,
    pub(crate) depth: Register,
    pub(crate) places: Vec<Place>,
    /// Which variables surely have a value here.
    pub(crate) bound: Vec<bool>,
    /// Between which bounds the variables lie here.
    pub(crate) ranges: Ranges,
    /// Pairs of an index and what it is an index of: within bounds here, if it isn't below zero.
    pub(crate) within: Vec<(Local, Local)>,
    /// What the code so far has looked at, see `sequences`.
    pub(crate) looked_at: Vec<LookedAt>,
    /// Guards count only where this is true; see `light`.
    pub(crate) predicate: Option<Register>,
    pub(crate) scope: Scope<'a>,
    pub(crate) result: Type,
    /// The block that returns the word it is given.
    pub(crate) leave: Block,
    /// Returns the word it is given too, by the guard's own block, see `before_loops`.
    pub(crate) anchor: Option<Block>,
    /// The blocks that return a guard's word, made when first needed.
    pub(crate) guards: Vec<(Guard, Block)>,
    pub(crate) loops: Vec<Loop>,
    /// For each of the loops, the bounds where it was left.
    pub(crate) ends: Vec<Option<Ranges>>,
}

impl Emitter<'_, '_> {
    pub(crate) fn constant(&mut self, value: i64) -> Register {
        self.builder.ins().iconst(types::I64, value)
    }

    pub(crate) fn float_constant(&mut self, value: f64) -> Register {
        self.builder.ins().f64const(value)
    }

    pub(crate) fn truth_constant(&mut self, value: bool) -> Register {
        self.builder.ins().iconst(types::I8, i64::from(value))
    }

    /// A new block that only the branch at hand leads to; writing goes on there.
    pub(crate) fn go_on_in(&mut self, block: Block) {
        self.builder.seal_block(block);
        self.builder.switch_to_block(block);
    }

    fn guard_block(&mut self, guard: Guard) -> Block {
        if let Some((_, block)) = self.guards.iter().find(|(known, _)| *known == guard) {
            return *block;
        }
        let block = self.builder.create_block();
        self.builder.set_cold_block(block);
        self.guards.push((guard, block));
        block
    }

    /// Leaves the item to Python if `condition` holds.
    pub(crate) fn guard(&mut self, condition: Register, guard: Guard) {
        let out = self.guard_block(guard);
        let condition = match self.predicate {
            Some(counts) => self.builder.ins().band(condition, counts),
            None => condition,
        };
        let next = self.builder.create_block();
        self.builder.ins().brif(condition, out, &[], next, &[]);
        self.go_on_in(next);
    }

    /// Leaves the item to Python unless `condition` holds.
    pub(crate) fn require(&mut self, condition: Register, guard: Guard) {
        if self.predicate.is_some() {
            let condition = self.builder.ins().bxor_imm_s(condition, 1);
            return self.guard(condition, guard);
        }
        let out = self.guard_block(guard);
        let next = self.builder.create_block();
        self.builder.ins().brif(condition, next, &[], out, &[]);
        self.go_on_in(next);
    }

    /// Has something written of which the guards count only where `predicate` is true.
    pub(crate) fn under<T>(
        &mut self,
        mut predicate: Register,
        write: impl FnOnce(&mut Self) -> Result<T, Ended>,
    ) -> Result<T, Ended> {
        let outer = self.predicate;
        if let Some(outer) = outer {
            predicate = self.builder.ins().band(outer, predicate);
        }
        self.predicate = Some(predicate);
        let written = write(self);
        self.predicate = outer;
        written
    }

    /// One of two values, without a branch.
    pub(crate) fn choice(&mut self, truth: Register, one: Register, other: Register) -> Register {
        self.builder.ins().select(truth, one, other)
    }

    /// Leaves the item to Python, whatever the case.
    pub(crate) fn leave_always(&mut self, guard: Guard) -> Ended {
        let out = self.guard_block(guard);
        self.builder.ins().jump(out, &[]);
        Ended
    }

    /// Leaves the item with a word that is a guard's, if it isn't zero.
    pub(crate) fn leave_with(&mut self, word: Register) {
        let (out, next) = (self.leave, self.builder.create_block());
        self.builder.ins().brif(word, out, &[BlockArg::Value(word)], next, &[]);
        self.go_on_in(next);
    }

    /// The ways out, written once the function is.
    pub(crate) fn write_guards(&mut self) {
        let guards = std::mem::take(&mut self.guards);
        if let Some(anchor) = self.anchor {
            self.write_anchor(anchor, &guards);
        }
        for (guard, block) in guards {
            self.builder.switch_to_block(block);
            let word = self.constant(guard.word());
            self.builder.ins().jump(self.leave, &[BlockArg::Value(word)]);
            self.builder.seal_block(block);
        }
        self.builder.switch_to_block(self.leave);
        let mut words = vec![self.builder.block_params(self.leave)[0]];
        for kind in registers(&self.result.clone()) {
            let zero = self.zero(kind);
            words.push(zero);
        }
        self.builder.ins().return_(&words);
        self.builder.seal_block(self.leave);
    }

    fn write_anchor(&mut self, anchor: Block, guards: &[(Guard, Block)]) {
        self.go_on_in(anchor);
        let word = self.builder.block_params(anchor)[0];
        for (guard, block) in guards {
            let is_theirs = self.builder.ins().icmp_imm_s(IntCC::Equal, word, guard.word());
            let next = self.builder.create_block();
            self.builder.set_cold_block(next);
            self.builder.ins().brif(is_theirs, *block, &[], next, &[]);
            self.go_on_in(next);
        }
        self.builder.ins().jump(self.leave, &[BlockArg::Value(word)]);
    }

    pub(crate) fn zero(&mut self, kind: Word) -> Register {
        if kind == types::F64 {
            self.float_constant(0.0)
        } else {
            self.builder.ins().iconst(kind, 0)
        }
    }

    /// Calls a function of ours.
    pub(crate) fn helper(
        &mut self,
        function: *const u8,
        arguments: &[Register],
        returns: &[Word],
    ) -> Vec<Register> {
        let mut signature = Signature::new(self.convention);
        for &argument in arguments {
            signature.params.push(AbiParam::new(self.builder.func.dfg.value_type(argument)));
        }
        signature.returns.extend(returns.iter().map(|&word| AbiParam::new(word)));
        let signature = self.builder.import_signature(signature);
        let address = self.constant(function.addr().cast_signed() as i64);
        let call = self.builder.ins().call_indirect(signature, address, arguments);
        self.builder.inst_results(call).to_vec()
    }

    /// Calls a function of ours that gives a float, and leaves whatever isn't finite to Python.
    pub(crate) fn finite(&mut self, function: *const u8, arguments: &[Register]) -> Value {
        let word = self.helper(function, arguments, &[types::F64])[0];
        self.require_finite(word);
        Value::float(word)
    }

    pub(crate) fn require_finite(&mut self, word: Register) {
        // What isn't finite has no difference from itself.
        let zero = self.builder.ins().fsub(word, word);
        let is_finite = self.builder.ins().fcmp(FloatCC::Ordered, zero, zero);
        self.require(is_finite, Guard::Domain);
    }

    /// Calls a function of ours that gives an int or a guard's word.
    pub(crate) fn checked(&mut self, function: *const u8, arguments: &[Register]) -> Value {
        let words = self.helper(function, arguments, &[types::I64, types::I64]);
        self.leave_with(words[1]);
        Value::int(words[0])
    }

    /// A bool or an int as an int.
    pub(crate) fn int_of(&mut self, value: &Value) -> Register {
        match value.kind {
            Type::Bool => self.builder.ins().uextend(types::I64, value.words[0]),
            _ => value.words[0],
        }
    }

    /// A number as the nearest float; beyond 2**53 the even one of two, as Python has it.
    pub(crate) fn float_of(&mut self, value: &Value) -> Register {
        match value.kind {
            Type::Float | Type::Number => value.words[0],
            _ => {
                let word = self.int_of(value);
                self.builder.ins().fcvt_from_sint(types::F64, word)
            }
        }
    }

    /// A number as a float that is exactly the same number.
    pub(crate) fn same_float_of(&mut self, value: &Value) -> Register {
        const LAST: i64 = 1 << 53;
        if value.kind == Type::Int && !value.range().is_within(-LAST, LAST) {
            let shifted = self.builder.ins().iadd_imm_s(value.words[0], LAST);
            let is_beyond =
                self.builder.ins().icmp_imm_s(IntCC::UnsignedGreaterThan, shifted, 2 * LAST);
            self.guard(is_beyond, Guard::Inexact);
        }
        self.float_of(value)
    }

    /// A float without fraction as an int.
    pub(crate) fn float_to_int(&mut self, word: Register, span: Option<Span>) -> Value {
        const END: f64 = 9_223_372_036_854_775_808.0;
        let known = span.filter(|span| -END < span.low && span.high < END);
        if known.is_none() {
            // The least int is left to Python too, for one comparison less.
            let (size, end) = (self.builder.ins().fabs(word), self.float_constant(END));
            let fits = self.builder.ins().fcmp(FloatCC::LessThan, size, end);
            self.require(fits, Guard::Overflow);
        }
        let range = known.map(|span| Interval::new(span.low as i64, span.high as i64));
        let value = self.builder.ins().fcvt_to_sint_sat(types::I64, word);
        Value::within(value, range.unwrap_or(Interval::ALL))
    }

    /// Is the value true?
    pub(crate) fn truth(&mut self, value: &Value) -> Register {
        match &value.kind {
            Type::None => self.truth_constant(false),
            Type::Bool => value.words[0],
            Type::Int => self.builder.ins().icmp_imm_s(IntCC::NotEqual, value.words[0], 0),
            Type::Float | Type::Number => {
                let zero = self.float_constant(0.0);
                self.builder.ins().fcmp(FloatCC::NotEqual, value.words[0], zero)
            }
            Type::Tuple(items) => self.truth_constant(!items.is_empty()),
            Type::Buffer(_) | Type::List(_) | Type::Row(_) => self.has_elements(value),
            // Inference has refused it.
            Type::Foreign(_) => self.truth_constant(false),
        }
    }
}
