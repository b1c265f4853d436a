//! Buffers, lists and tuples by index: Python's rule for indices below zero, and a look at the bounds.
//!
//! Buffers are only read. Lists are the program's own, see `lists`.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{BlockArg, InstBuilder, MemFlagsData, Value as Register, types};

use crate::call::{list_push, list_repeat};
use crate::emit::{Emitter, Ended, Value, register};
use crate::expressions::elements;
use crate::guard::Guard;
use crate::interval::Interval;
use crate::ir::{Binary, Builtin, Comparison, Expression, Junction, Kind, Local};
use crate::lists::{DATA_OFFSET, LENGTH_OFFSET};
use crate::types::{Element, LENGTHS, Scalar, Type};

/// An index that was found within a length, or within that of a list that grows.
pub(crate) struct LookedAt {
    index: Register,
    of: Register,
    place: Register,
}

impl Emitter<'_, '_> {
    /// How many elements a value has.
    pub(crate) fn length(&mut self, value: &Value) -> Value {
        match &value.kind {
            Type::Buffer(_) => Value::within(value.words[1], LENGTHS),
            Type::List(_) => Value::within(self.list_length(value.words[0]), LENGTHS),
            Type::Row(_) => Value::within(value.words[1], LENGTHS),
            _ => {
                let count = i64::try_from(elements(value).len()).unwrap_or_default();
                Value::within(self.constant(count), Interval::exact(count))
            }
        }
    }

    /// The element that the indices name.
    /// `is_inside` says that the only index is known to be within bounds.
    pub(crate) fn index(
        &mut self,
        value: &Value,
        indices: &[Value],
        is_inside: bool,
    ) -> Result<Value, Ended> {
        match &value.kind {
            Type::Buffer(buffer) => {
                let mut place = None;
                for (index, length) in indices.iter().zip(&value.words[1..]) {
                    let index =
                        if is_inside { index.words[0] } else { self.placed(index, *length, None) };
                    place = Some(match place {
                        None => index,
                        Some(outer) => {
                            let whole = self.builder.ins().imul(outer, *length);
                            self.builder.ins().iadd(whole, index)
                        }
                    });
                }
                let Some(place) = place else { return Err(self.leave_always(Guard::Type)) };
                let size = i64::try_from(buffer.element.size()).unwrap_or_default();
                let offset = self.builder.ins().imul_imm_s(place, size);
                let address = self.builder.ins().iadd(value.words[0], offset);
                let mut element = self.load(buffer.element, address);
                if buffer.is_foreign {
                    element.kind = Type::Foreign(buffer.element.scalar());
                }
                Ok(element)
            }
            Type::List(scalar) | Type::Row(scalar) => {
                let address = self.place_in_list(value, &indices[0], is_inside);
                let element = match scalar {
                    Scalar::Float => Element::F64,
                    Scalar::Int | Scalar::Bool => Element::I64,
                };
                let element = self.load(element, address);
                Ok(match scalar {
                    Scalar::Bool => Value::bool(self.truth(&element)),
                    _ => element,
                })
            }
            _ => self.index_of_tuple(value, &indices[0]),
        }
    }

    fn index_of_tuple(&mut self, value: &Value, index: &Value) -> Result<Value, Ended> {
        let items = elements(value);
        let Some(last) = items.last() else { return Err(self.leave_always(Guard::Index)) };
        let length = self.constant(i64::try_from(items.len()).unwrap_or_default());
        let place = self.placed(index, length, None);
        let mut words = last.words.clone();
        for (number, item) in (0..).zip(&items[..items.len() - 1]) {
            let is_this = self.builder.ins().icmp_imm_s(IntCC::Equal, place, number);
            for (word, this) in words.iter_mut().zip(&item.words) {
                *word = self.choice(is_this, *this, *word);
            }
        }
        Ok(Value::new(last.kind.clone(), words))
    }

    /// An index as a place from the beginning, which is within the length. A list that grows is
    /// never shorter than it was.
    fn placed(&mut self, index: &Value, length: Register, growing: Option<Register>) -> Register {
        let (word, range) = (self.int_of(index), index.range());
        let of = growing.unwrap_or(length);
        let known = self.looked_at.iter().find(|known| known.index == word && known.of == of);
        if let Some(known) = known {
            return known.place;
        }
        let place = if range.low >= 0 {
            word
        } else {
            let from_end = self.builder.ins().iadd(word, length);
            if range.high < 0 {
                from_end
            } else {
                let is_from_end = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, word, 0);
                self.choice(is_from_end, from_end, word)
            }
        };
        let is_inside = self.builder.ins().icmp(IntCC::UnsignedLessThan, place, length);
        self.require(is_inside, Guard::Index);
        if self.predicate.is_none() && (growing.is_none() || range.low >= 0) {
            self.looked_at.push(LookedAt { index: word, of, place });
        }
        place
    }

    fn load(&mut self, element: Element, address: Register) -> Value {
        let flags = MemFlagsData::trusted();
        let word = match element {
            Element::Bool => {
                let byte = self.builder.ins().load(types::I8, flags, address, 0);
                return Value::bool(self.builder.ins().icmp_imm_s(IntCC::NotEqual, byte, 0));
            }
            Element::F64 => {
                return Value::float(self.builder.ins().load(types::F64, flags, address, 0));
            }
            Element::F32 => {
                let single = self.builder.ins().load(types::F32, flags, address, 0);
                return Value::float(self.builder.ins().fpromote(types::F64, single));
            }
            Element::I8 => self.builder.ins().sload8(types::I64, flags, address, 0),
            Element::U8 => self.builder.ins().uload8(types::I64, flags, address, 0),
            Element::I16 => self.builder.ins().sload16(types::I64, flags, address, 0),
            Element::U16 => self.builder.ins().uload16(types::I64, flags, address, 0),
            Element::I32 => self.builder.ins().sload32(flags, address, 0),
            Element::U32 => self.builder.ins().uload32(flags, address, 0),
            Element::I64 | Element::U64 => self.builder.ins().load(types::I64, flags, address, 0),
        };
        if element == Element::U64 {
            let is_wide = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, word, 0);
            self.guard(is_wide, Guard::Overflow);
        }
        Value::within(word, element.range())
    }

    // Lists

    fn list_length(&mut self, list: Register) -> Register {
        self.builder.ins().load(types::I64, MemFlagsData::trusted(), list, LENGTH_OFFSET)
    }

    fn place_in_list(&mut self, list: &Value, index: &Value, is_inside: bool) -> Register {
        let [data, length] = self.row_of(list);
        let list_that_grows = matches!(list.kind, Type::List(_)).then(|| list.words[0]);
        let place =
            if is_inside { index.words[0] } else { self.placed(index, length, list_that_grows) };
        let offset = self.builder.ins().imul_imm_s(place, 8);
        self.builder.ins().iadd(data, offset)
    }

    /// Where a list's words are, and how many.
    fn row_of(&mut self, list: &Value) -> [Register; 2] {
        if let Type::Row(_) = list.kind {
            return [list.words[0], list.words[1]];
        }
        let length = self.list_length(list.words[0]);
        let flags = MemFlagsData::trusted();
        [self.builder.ins().load(types::I64, flags, list.words[0], DATA_OFFSET), length]
    }

    /// A list without elements.
    pub(crate) fn empty_list(&mut self, kind: Type) -> Value {
        let zero = self.constant(0);
        self.new_list(kind, [zero, zero], (zero, zero))
    }

    /// A list of these values, which are of one type.
    pub(crate) fn list(&mut self, items: &[Expression]) -> Result<Value, Ended> {
        let values: Vec<_> =
            items.iter().map(|item| self.expression(item)).collect::<Result<_, _>>()?;
        let scalar = values.first().and_then(|value| Scalar::of(&value.kind));
        let Some(scalar) = scalar else { return Err(self.leave_always(Guard::Type)) };
        let first = self.word_of_list(&values[0]);
        let count = self.constant(i64::try_from(values.len()).unwrap_or_default());
        let zero = self.constant(0);
        let kind = self.inference.list(scalar);
        let list = self.new_list(kind, [zero, zero], (first, count));
        let [data, _] = self.row_of(&list);
        for (value, place) in values.iter().zip(0..).skip(1) {
            let word = self.word_of_list(value);
            self.builder.ins().store(MemFlagsData::trusted(), word, data, place * 8);
        }
        Ok(list)
    }

    /// A list of the words of another, repeated; if that has none, of one word.
    fn new_list(
        &mut self,
        kind: Type,
        [data, length]: [Register; 2],
        (word, times): (Register, Register),
    ) -> Value {
        let arguments = [self.context, data, length, word, times];
        let list = self.helper(list_repeat as *const u8, &arguments, &[types::I64])[0];
        let is_none = self.builder.ins().icmp_imm_s(IntCC::Equal, list, 0);
        self.guard(is_none, Guard::Memory);
        if let Type::List(_) = kind {
            return Value::new(kind, vec![list]);
        }
        let length = self.list_length(list);
        let flags = MemFlagsData::trusted();
        let data = self.builder.ins().load(types::I64, flags, list, DATA_OFFSET);
        Value::new(kind, vec![data, length])
    }

    /// `[a] * times` and `times * [a]`.
    pub(crate) fn repeated(&mut self, list: &Value, times: &Value) -> Value {
        let (times, zero) = (self.int_of(times), self.constant(0));
        let row = self.row_of(list);
        self.new_list(list.kind.clone(), row, (zero, times))
    }

    fn word_of_list(&mut self, value: &Value) -> Register {
        match value.kind {
            Type::Float => {
                self.builder.ins().bitcast(types::I64, MemFlagsData::new(), value.words[0])
            }
            _ => self.int_of(value),
        }
    }

    fn push(&mut self, list: Register, value: &Value) {
        let word = self.word_of_list(value);
        let pushed = self.helper(list_push as *const u8, &[list, word], &[types::I64])[0];
        let is_full = self.builder.ins().icmp_imm_s(IntCC::Equal, pushed, 0);
        self.guard(is_full, Guard::Memory);
    }

    /// `list.append(value)`
    pub(crate) fn append(&mut self, list: &Expression, value: &Expression) -> Result<(), Ended> {
        let list = self.expression(list)?;
        let value = self.expression(value)?;
        self.push(list.words[0], &value);
        Ok(())
    }

    /// `list[index] = value`
    pub(crate) fn store(
        &mut self,
        list: &Expression,
        index: &Expression,
        value: &Value,
    ) -> Result<(), Ended> {
        let is_inside = self.is_within(list, std::slice::from_ref(index));
        let list = self.expression(list)?;
        let index = self.expression(index)?;
        let address = self.place_in_list(&list, &index, is_inside);
        let word = self.word_of_list(value);
        self.builder.ins().store(MemFlagsData::trusted(), word, address, 0);
        Ok(())
    }

    /// `sum(values)` of numbers of one type.
    pub(crate) fn sum_of(&mut self, values: &Value) -> Result<Value, Ended> {
        if values.kind.element(1) == Some(Type::Float) {
            return self.sum_of_floats(values);
        }
        if let Type::Tuple(_) = values.kind {
            let mut total = Value::within(self.constant(0), Interval::exact(0));
            for item in elements(values) {
                total = self.binary(Binary::Add, &total, &item)?;
            }
            return Ok(total);
        }
        let length = self.length(values).words[0];
        let [head, body, end] = [(); 3].map(|()| self.builder.create_block());
        for block in [head, body] {
            self.builder.append_block_param(block, types::I64);
            self.builder.append_block_param(block, types::I64);
        }
        self.builder.append_block_param(end, types::I64);
        let zero = self.constant(0);
        self.builder.ins().jump(head, &[BlockArg::Value(zero), BlockArg::Value(zero)]);
        self.builder.switch_to_block(head);
        let [place, total] = self.builder.block_params(head)[..] else { return Err(Ended) };
        let is_more = self.builder.ins().icmp(IntCC::SignedLessThan, place, length);
        let both = [BlockArg::Value(place), BlockArg::Value(total)];
        self.builder.ins().brif(is_more, body, &both, end, &[BlockArg::Value(total)]);
        self.go_on_in(body);
        let [place, total] = self.builder.block_params(body)[..] else { return Err(Ended) };
        let element = self.index(values, &[Value::within(place, LENGTHS)], true)?;
        let element = self.int_of(&element);
        let (sum, overflows) = self.builder.ins().sadd_overflow(total, element);
        self.guard(overflows, Guard::Overflow);
        let next = self.builder.ins().iadd_imm_s(place, 1);
        self.builder.ins().jump(head, &[BlockArg::Value(next), BlockArg::Value(sum)]);
        self.builder.seal_block(head);
        self.go_on_in(end);
        Ok(Value::int(self.builder.block_params(end)[0]))
    }

    /// `sum(values)` of floats: an int if there are none. From Python 3.12 on it is Neumaier's: what each
    /// addition loses is added at last (`builtin_sum_impl` of CPython; A. Neumaier, Rundungsfehleranalyse
    /// einiger Verfahren zur Summation endlicher Summen, 1974).
    fn sum_of_floats(&mut self, values: &Value) -> Result<Value, Ended> {
        let length = self.length(values).words[0];
        let [head, body, end] = [(); 3].map(|()| self.builder.create_block());
        for block in [head, body, end] {
            for kind in [types::I64, types::F64, types::F64] {
                self.builder.append_block_param(block, kind);
            }
        }
        let (first, zero) = (self.constant(0), self.float_constant(0.0));
        self.jump_with(head, &[first, zero, zero]);
        self.builder.switch_to_block(head);
        let [place, total, lost] = self.builder.block_params(head)[..] else { return Err(Ended) };
        let is_more = self.builder.ins().icmp(IntCC::SignedLessThan, place, length);
        let all = [place, total, lost].map(BlockArg::Value);
        self.builder.ins().brif(is_more, body, &all, end, &all);
        self.go_on_in(body);
        let [place, total, lost] = self.builder.block_params(body)[..] else { return Err(Ended) };
        let element = self.index(values, &[Value::within(place, LENGTHS)], true)?.words[0];
        let sum = self.builder.ins().fadd(total, element);
        let lost = if self.inference.sums_compensate {
            let sizes = [total, element].map(|each| self.builder.ins().fabs(each));
            let [above, below] = [(total, element), (element, total)].map(|(large, small)| {
                let kept = self.builder.ins().fsub(large, sum);
                self.builder.ins().fadd(kept, small)
            });
            let is_above = self.builder.ins().fcmp(FloatCC::GreaterThanOrEqual, sizes[0], sizes[1]);
            let more = self.choice(is_above, above, below);
            self.builder.ins().fadd(lost, more)
        } else {
            lost
        };
        let next = self.builder.ins().iadd_imm_s(place, 1);
        self.jump_with(head, &[next, sum, lost]);
        self.builder.seal_block(head);
        self.go_on_in(end);
        let [_, total, lost] = self.builder.block_params(end)[..] else { return Err(Ended) };
        let mut sum = total;
        if self.inference.sums_compensate {
            // It is added if it is neither zero, nor infinite, nor no number.
            let (size, infinity) =
                (self.builder.ins().fabs(lost), self.float_constant(f64::INFINITY));
            let is_some = self.builder.ins().fcmp(FloatCC::GreaterThan, size, zero);
            let is_finite = self.builder.ins().fcmp(FloatCC::LessThan, size, infinity);
            let counts = self.builder.ins().band(is_some, is_finite);
            let whole = self.builder.ins().fadd(total, lost);
            sum = self.choice(counts, whole, total);
        }
        let is_empty = self.builder.ins().icmp_imm_s(IntCC::Equal, length, 0);
        Ok(Value::new(Type::Number, vec![sum, is_empty]))
    }

    /// `min(values)` or `max(values)` of numbers of one type: the first that no other is beyond.
    pub(crate) fn extreme_of(&mut self, builtin: Builtin, values: &Value) -> Result<Value, Ended> {
        let beyond = if builtin == Builtin::Min { Comparison::Less } else { Comparison::Greater };
        let length = self.length(values).words[0];
        let is_empty = self.builder.ins().icmp_imm_s(IntCC::Equal, length, 0);
        self.guard(is_empty, Guard::Raised);
        let [zero, one] = [0, 1].map(|place| self.constant(place));
        let first = self.index(values, &[Value::within(zero, LENGTHS)], true)?;
        let kind = first.kind.clone();
        let [head, body, end] = [(); 3].map(|()| self.builder.create_block());
        for block in [head, body, end] {
            self.builder.append_block_param(block, types::I64);
            self.builder.append_block_param(block, register(&kind));
        }
        self.jump_with(head, &[one, first.words[0]]);
        self.builder.switch_to_block(head);
        let [place, best] = self.builder.block_params(head)[..] else { return Err(Ended) };
        let is_more = self.builder.ins().icmp(IntCC::SignedLessThan, place, length);
        let both = [place, best].map(BlockArg::Value);
        self.builder.ins().brif(is_more, body, &both, end, &both);
        self.go_on_in(body);
        let [place, best] = self.builder.block_params(body)[..] else { return Err(Ended) };
        let element = self.index(values, &[Value::within(place, LENGTHS)], true)?;
        let old = Value::new(kind.clone(), vec![best]);
        let is_beyond = self.compare(beyond, &element, &old);
        let best = self.choice(is_beyond, element.words[0], best);
        let next = self.builder.ins().iadd_imm_s(place, 1);
        self.jump_with(head, &[next, best]);
        self.builder.seal_block(head);
        self.go_on_in(end);
        Ok(Value::new(kind, vec![self.builder.block_params(end)[1]]))
    }

    /// Has a test found the index below the length? Nothing makes a list shorter.
    pub(crate) fn is_within(&self, sequence: &Expression, indices: &[Expression]) -> bool {
        match (&sequence.kind, indices) {
            (Kind::Local(sequence), [Expression { kind: Kind::Local(index), .. }]) => {
                self.within.contains(&(*index, *sequence))
                    && self.places[*index].kind == Some(Type::Int)
                    && self.ranges[*index].first().is_some_and(|range| range.low >= 0)
            }
            _ => false,
        }
    }

    /// Notes what a test finds that was passed: `index < len(sequence)`, perhaps several such.
    pub(crate) fn note_within(&mut self, test: &Expression) {
        match &test.kind {
            Kind::Junction { junction: Junction::All, operands } => {
                operands.iter().for_each(|each| self.note_within(each));
            }
            Kind::Compare { first, rest } => {
                if let (Kind::Local(index), [(Comparison::Less, bound)]) = (&first.kind, &rest[..])
                {
                    self.note_below(*index, bound);
                }
            }
            _ => {}
        }
    }

    /// Notes that a variable is below `len(sequence)`, if the bound is that.
    pub(crate) fn note_below(&mut self, index: Local, bound: &Expression) {
        let Kind::Builtin { builtin: Builtin::Len, arguments } = &bound.kind else { return };
        let [Expression { kind: Kind::Local(sequence), .. }] = arguments[..] else { return };
        if !self.scope.loose[index] && !self.scope.loose[sequence] {
            self.within.push((index, sequence));
        }
    }

    /// Is a sequence true: has it an element?
    pub(crate) fn has_elements(&mut self, value: &Value) -> Register {
        let length = self.length(value).words[0];
        self.builder.ins().icmp_imm_s(IntCC::NotEqual, length, 0)
    }
}
