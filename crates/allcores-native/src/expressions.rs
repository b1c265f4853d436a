//! Expressions in machine code; what gives no value in time ends the block.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value as Register, types};

use crate::emit::{Emitter, Ended, Value, registers};
use crate::guard::Guard;
use crate::infer::place;
use crate::interval::Interval;
use crate::ir::{Binary, Comparison, Expression, Junction, Kind, Local, Target, Unary};
use crate::ranges::{ROOT, squared};
use crate::span::Span;
use crate::types::Type;

impl Emitter<'_, '_> {
    pub(crate) fn expression(&mut self, value: &Expression) -> Result<Value, Ended> {
        match &value.kind {
            Kind::Int(number) => {
                let word = self.constant(*number);
                Ok(Value::within(word, Interval::exact(*number)))
            }
            Kind::Float(number) => {
                let word = self.float_constant(*number);
                Ok(Value::float_within(word, Span::new(*number, *number)))
            }
            Kind::Bool(truth) => Ok(Value::bool(self.truth_constant(*truth))),
            Kind::None => Ok(Value::new(Type::None, Vec::new())),
            Kind::Local(local) => self.local(*local),
            Kind::Unary { operation: Unary::Not, operand } => {
                let [yes, no, join] = self.blocks();
                self.builder.append_block_param(join, types::I8);
                self.test(operand, yes, no);
                self.truth_of_branches(yes, no, join, [false, true]);
                Ok(Value::bool(self.builder.block_params(join)[0]))
            }
            Kind::Unary { operation, operand } => {
                let operand = self.expression(operand)?;
                self.unary(*operation, &operand)
            }
            Kind::Binary { operation, left, right } => {
                let operands = (&**left, &**right);
                let left = self.expression(left)?;
                let right = self.expression(right)?;
                let mut value = self.binary(*operation, &left, &right)?;
                self.note_square(*operation, &mut value, operands);
                Ok(value)
            }
            Kind::Compare { first, rest } if rest.len() == 1 => {
                let left = self.expression(first)?;
                let right = self.expression(&rest[0].1)?;
                Ok(Value::bool(self.compare(rest[0].0, &left, &right)))
            }
            Kind::Compare { .. } => {
                let [yes, no, join] = self.blocks();
                self.builder.append_block_param(join, types::I8);
                self.test(value, yes, no);
                self.truth_of_branches(yes, no, join, [true, false]);
                Ok(Value::bool(self.builder.block_params(join)[0]))
            }
            Kind::Junction { junction, operands } => {
                let joined = self.junction(*junction, operands)?;
                Ok(self.bounded(joined, value))
            }
            Kind::Conditional { test, then, otherwise } => {
                let chosen = self.choose_value(test, then, otherwise)?;
                let joined = match chosen {
                    Some(chosen) => chosen,
                    None => self.conditional(test, then, otherwise)?,
                };
                Ok(self.bounded(joined, value))
            }
            Kind::Tuple(items) => {
                let items: Vec<_> =
                    items.iter().map(|item| self.expression(item)).collect::<Result<_, _>>()?;
                Ok(Value::tuple(&items))
            }
            Kind::Item { tuple, index } => {
                let tuple = self.expression(tuple)?;
                if !matches!(tuple.kind, Type::Tuple(_)) {
                    let word = self.constant(*index);
                    let index = Value::within(word, Interval::exact(*index));
                    return self.index(&tuple, &[index], false);
                }
                let items = elements(&tuple);
                let item =
                    place(*index, items.len()).and_then(|place| items.into_iter().nth(place));
                item.ok_or_else(|| self.leave_always(Guard::Type))
            }
            Kind::Index { value, indices } => {
                let is_inside = self.is_within(value, indices);
                let value = self.expression(value)?;
                let indices: Vec<_> =
                    indices.iter().map(|each| self.expression(each)).collect::<Result<_, _>>()?;
                self.index(&value, &indices, is_inside)
            }
            Kind::List(items) => self.list(items),
            Kind::Builtin { builtin, arguments } => {
                let arguments: Vec<_> =
                    arguments.iter().map(|each| self.expression(each)).collect::<Result<_, _>>()?;
                self.builtin(*builtin, &arguments)
            }
            Kind::Call { function, arguments } => self.call(*function, arguments),
            Kind::Named { local, value } => {
                let value = self.expression(value)?;
                self.set_local(*local, &value);
                Ok(value)
            }
            Kind::IsNone { value, expected } => {
                let value = self.expression(value)?;
                Ok(Value::bool(self.truth_constant((value.kind == Type::None) == *expected)))
            }
        }
    }

    /// A value that has come together from several, with what is known of them all.
    fn bounded(&self, mut joined: Value, value: &Expression) -> Value {
        if let Some(ranges) = self.scope.words(value, &self.ranges, joined.words.len()) {
            joined.ranges = ranges;
        }
        joined
    }

    fn blocks(&mut self) -> [Block; 3] {
        [(); 3].map(|()| self.builder.create_block())
    }

    /// Two branches that each give a truth, in `join`.
    fn truth_of_branches(&mut self, yes: Block, no: Block, join: Block, truths: [bool; 2]) {
        for (block, truth) in [yes, no].into_iter().zip(truths) {
            self.go_on_in(block);
            let word = self.truth_constant(truth);
            self.builder.ins().jump(join, &[BlockArg::Value(word)]);
        }
        self.go_on_in(join);
    }

    pub(crate) fn local(&mut self, local: Local) -> Result<Value, Ended> {
        let place = &self.places[local];
        let Some(kind) = place.kind.clone() else { return Err(self.leave_always(Guard::Unbound)) };
        let (words, is_bound) = (place.words.clone(), place.is_bound);
        if !self.bound[local] {
            let is_bound = self.builder.use_var(is_bound);
            self.require(is_bound, Guard::Unbound);
        }
        let words = words.into_iter().map(|word| self.builder.use_var(word)).collect();
        Ok(Value { kind, words, ranges: self.ranges[local].clone(), span: None })
    }

    fn note_square(
        &mut self,
        operation: Binary,
        value: &mut Value,
        (left, right): (&Expression, &Expression),
    ) {
        if value.kind == Type::Int {
            value.ranges[0] = squared(operation, left, right, value.ranges[0]);
            if let (Kind::Local(one), Kind::Local(other)) = (&left.kind, &right.kind)
                && one == other
                && matches!(operation, Binary::Multiply)
                && self.predicate.is_none()
                && self.places[*one].kind == Some(Type::Int)
                && !self.scope.loose[*one]
            {
                // Or the code hadn't come here.
                let range = &mut self.ranges[*one][0];
                *range = range.meet(Interval::new(-ROOT, ROOT));
            }
        }
    }

    pub(crate) fn set_local(&mut self, local: Local, value: &Value) {
        let kind = self.places[local].kind.clone().unwrap_or(Type::None);
        let Ok(value) = &self.converted(value, &kind) else { return };
        for (index, word) in value.words.iter().enumerate() {
            let variable = self.places[local].words[index];
            self.builder.def_var(variable, *word);
        }
        self.scope.assign(&mut self.ranges, &Target::Local(local), &value.ranges);
        self.within.retain(|(index, sequence)| *index != local && *sequence != local);
        if !self.bound[local] {
            let truth = self.truth_constant(true);
            let is_bound = self.places[local].is_bound;
            self.builder.def_var(is_bound, truth);
            self.bound[local] = true;
        }
    }

    /// Branches by the truth of an expression; writing goes on nowhere, and both blocks must be
    /// written even if it turns out that nothing leads to one.
    pub(crate) fn test(&mut self, value: &Expression, yes: Block, no: Block) {
        match &value.kind {
            Kind::Unary { operation: Unary::Not, operand } => self.test(operand, no, yes),
            Kind::Junction { junction, operands } => {
                self.test_junction(*junction, operands, yes, no)
            }
            Kind::Compare { first, rest } => {
                let before = self.bound.clone();
                let looked_at = self.looked_at.len();
                // If an operand ends the item, so it does here; its branches so far stay.
                if self.test_chain(first, rest, yes, no).is_err() {
                    self.looked_at.truncate(looked_at);
                }
                self.bound = before;
            }
            Kind::Bool(truth) => {
                self.builder.ins().jump(if *truth { yes } else { no }, &[]);
            }
            _ => {
                if let Ok(value) = self.expression(value) {
                    let truth = self.truth(&value);
                    self.builder.ins().brif(truth, yes, &[], no, &[]);
                }
            }
        }
    }

    fn test_junction(
        &mut self,
        junction: Junction,
        operands: &[Expression],
        yes: Block,
        no: Block,
    ) {
        let before = (self.bound.clone(), self.ranges.clone());
        let looked_at = self.looked_at.len();
        for (index, operand) in operands.iter().enumerate() {
            if index + 1 == operands.len() {
                self.test(operand, yes, no);
                break;
            }
            let next = self.builder.create_block();
            match junction {
                Junction::All => self.test(operand, next, no),
                Junction::Any => self.test(operand, yes, next),
            }
            self.go_on_in(next);
            self.scope.refine(&mut self.ranges, operand, junction == Junction::All);
        }
        self.looked_at.truncate(looked_at);
        (self.bound, self.ranges) = before;
    }

    fn test_chain(
        &mut self,
        first: &Expression,
        rest: &[(Comparison, Expression)],
        yes: Block,
        no: Block,
    ) -> Result<(), Ended> {
        let mut left = self.expression(first)?;
        let mut looked_at = self.looked_at.len();
        for (index, (comparison, right)) in rest.iter().enumerate() {
            let right = self.expression(right)?;
            if index == 0 {
                looked_at = self.looked_at.len();
            }
            let truth = self.compare(*comparison, &left, &right);
            if index + 1 == rest.len() {
                self.builder.ins().brif(truth, yes, &[], no, &[]);
            } else {
                let next = self.builder.create_block();
                self.builder.ins().brif(truth, next, &[], no, &[]);
                self.go_on_in(next);
            }
            left = right;
        }
        self.looked_at.truncate(looked_at);
        Ok(())
    }

    fn junction(&mut self, junction: Junction, operands: &[Expression]) -> Result<Value, Ended> {
        let Some((first, rest)) = operands.split_first() else {
            return Err(self.leave_always(Guard::Type));
        };
        let kind = self.common_kind(operands);
        let mut value = self.expression(first)?;
        let kind = kind.unwrap_or_else(|| value.kind.clone());
        let join = self.join_of(&kind);
        let bound = self.bound.clone();
        let looked_at = self.looked_at.len();
        for operand in rest {
            let truth = self.truth(&value);
            let next = self.builder.create_block();
            let converted = self.converted(&value, &kind)?;
            let words: Vec<_> = converted.words.into_iter().map(BlockArg::Value).collect();
            match junction {
                Junction::All => self.builder.ins().brif(truth, next, &[], join, &words),
                Junction::Any => self.builder.ins().brif(truth, join, &words, next, &[]),
            };
            self.go_on_in(next);
            match self.expression(operand) {
                Ok(another) => value = another,
                Err(Ended) => {
                    self.bound = bound;
                    self.looked_at.truncate(looked_at);
                    return Ok(self.joined(kind, join));
                }
            }
        }
        let value = self.converted(&value, &kind)?;
        self.jump_with(join, &value.words);
        self.bound = bound;
        self.looked_at.truncate(looked_at);
        Ok(self.joined(kind, join))
    }

    fn conditional(
        &mut self,
        test: &Expression,
        then: &Expression,
        otherwise: &Expression,
    ) -> Result<Value, Ended> {
        let kind = self.common_kind([then, otherwise]);
        let (yes, no) = (self.builder.create_block(), self.builder.create_block());
        self.test(test, yes, no);
        let before = (self.bound.clone(), self.ranges.clone());
        let looked_at = self.looked_at.len();
        let mut join = None;
        for (block, branch, truth) in [(yes, then, true), (no, otherwise, false)] {
            self.go_on_in(block);
            (self.bound, self.ranges) = before.clone();
            self.scope.refine(&mut self.ranges, test, truth);
            let written = self.expression(branch).and_then(|value| match &kind {
                Some(kind) => self.converted(&value, kind),
                None => Ok(value),
            });
            if let Ok(value) = written {
                let (_, block) = join.get_or_insert_with(|| {
                    let block = self.builder.create_block();
                    for kind in registers(&value.kind) {
                        self.builder.append_block_param(block, kind);
                    }
                    (value.kind.clone(), block)
                });
                let block = *block;
                self.jump_with(block, &value.words);
            }
            self.looked_at.truncate(looked_at);
        }
        (self.bound, self.ranges) = before;
        let (kind, block) = join.ok_or(Ended)?;
        Ok(self.joined(kind, block))
    }

    /// The type that all of these are of; what has none is never reached.
    fn common_kind<'e>(&self, values: impl IntoIterator<Item = &'e Expression>) -> Option<Type> {
        let kinds = values.into_iter().filter_map(|each| self.scope.kind(each, &self.ranges));
        kinds.map(Some).reduce(|one, other| one?.either(&other?)).flatten()
    }

    fn join_of(&mut self, kind: &Type) -> Block {
        let block = self.builder.create_block();
        for word in registers(kind) {
            self.builder.append_block_param(block, word);
        }
        block
    }

    pub(crate) fn jump_with(&mut self, block: Block, words: &[Register]) {
        let words: Vec<_> = words.iter().copied().map(BlockArg::Value).collect();
        self.builder.ins().jump(block, &words);
    }

    fn joined(&mut self, kind: Type, block: Block) -> Value {
        self.go_on_in(block);
        Value::new(kind, self.builder.block_params(block).to_vec())
    }

    fn call(&mut self, function: usize, arguments: &[Expression]) -> Result<Value, Ended> {
        let arguments: Vec<_> =
            arguments.iter().map(|each| self.expression(each)).collect::<Result<_, _>>()?;
        let kinds = arguments.iter().map(|each| each.kind.clone()).collect();
        let Some(number) = self.inference.instance(function, kinds) else {
            return Err(self.leave_always(Guard::Type));
        };
        let Some(result) = self.inference.instances[number].result.clone() else {
            return Err(self.leave_always(Guard::Raised));
        };
        let callee = (self.functions)(number, self.builder);
        let mut words = vec![self.context, self.depth];
        if self.inference.is_recursive(number) {
            words[1] = self.builder.ins().iadd_imm_s(self.depth, -1);
            let is_spent = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, words[1], 0);
            self.guard(is_spent, Guard::Depth);
        }
        words.extend(arguments.iter().flat_map(|each| &each.words));
        let call = self.builder.ins().call(callee, &words);
        let returned = self.builder.inst_results(call).to_vec();
        self.leave_with(returned[0]);
        Ok(Value::new(result, returned[1..].to_vec()))
    }
}

/// The elements of a tuple.
pub(crate) fn elements(tuple: &Value) -> Vec<Value> {
    let Type::Tuple(kinds) = &tuple.kind else { return Vec::new() };
    let mut words = tuple.words.iter().copied();
    let mut ranges = tuple.ranges.iter().copied();
    kinds
        .iter()
        .map(|kind| Value {
            kind: kind.clone(),
            words: words.by_ref().take(kind.width()).collect(),
            ranges: ranges.by_ref().take(kind.width()).collect(),
            span: None,
        })
        .collect()
}
