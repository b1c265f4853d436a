//! Buffers, lists and tuples by index: Python's rule for indices below zero, and a look at the bounds.
//!
//! Buffers are only read. Lists are the program's own, see `lists`.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, MemFlagsData, Value as Register, types};

use crate::call::{list_push, list_repeat};
use crate::emit::{Emitter, Ended, Value};
use crate::expressions::elements;
use crate::guard::Guard;
use crate::interval::Interval;
use crate::ir::{Binary, Expression};
use crate::lists::{DATA_OFFSET, LENGTH_OFFSET};
use crate::types::{Element, LENGTHS, Scalar, Type};

impl Emitter<'_, '_> {
    /// How many elements a value has.
    pub(crate) fn length(&mut self, value: &Value) -> Value {
        match &value.kind {
            Type::Buffer(_) => Value::within(value.words[1], LENGTHS),
            Type::List(_) => Value::within(self.list_length(value.words[0]), LENGTHS),
            _ => {
                let count = i64::try_from(elements(value).len()).unwrap_or_default();
                Value::within(self.constant(count), Interval::exact(count))
            }
        }
    }

    /// The element that the indices name.
    pub(crate) fn index(&mut self, value: &Value, indices: &[Value]) -> Result<Value, Ended> {
        match &value.kind {
            Type::Buffer(buffer) => {
                let mut place = None;
                for (index, length) in indices.iter().zip(&value.words[1..]) {
                    let index = self.placed(index, *length);
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
            Type::List(scalar) => {
                let address = self.place_in_list(value, &indices[0]);
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
        let place = self.placed(index, length);
        let mut words = last.words.clone();
        for (number, item) in (0..).zip(&items[..items.len() - 1]) {
            let is_this = self.builder.ins().icmp_imm_s(IntCC::Equal, place, number);
            for (word, this) in words.iter_mut().zip(&item.words) {
                *word = self.choice(is_this, *this, *word);
            }
        }
        Ok(Value::new(last.kind.clone(), words))
    }

    /// An index as a place from the beginning, which is within the length.
    fn placed(&mut self, index: &Value, length: Register) -> Register {
        let (word, range) = (self.int_of(index), index.range());
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

    fn place_in_list(&mut self, list: &Value, index: &Value) -> Register {
        let length = self.list_length(list.words[0]);
        let place = self.placed(index, length);
        let flags = MemFlagsData::trusted();
        let data = self.builder.ins().load(types::I64, flags, list.words[0], DATA_OFFSET);
        let offset = self.builder.ins().imul_imm_s(place, 8);
        self.builder.ins().iadd(data, offset)
    }

    /// A list of these values, which are of one type.
    pub(crate) fn list(&mut self, items: &[Expression]) -> Result<Value, Ended> {
        let values: Vec<_> =
            items.iter().map(|item| self.expression(item)).collect::<Result<_, _>>()?;
        let scalar = values.first().and_then(|value| Scalar::of(&value.kind));
        let Some(scalar) = scalar else { return Err(self.leave_always(Guard::Type)) };
        let first = self.word_of_list(&values[0]);
        let [nothing, one] = [0, 1].map(|number| self.constant(number));
        let list = self.new_list(nothing, first, one);
        for value in &values[1..] {
            self.push(list, value);
        }
        Ok(Value::new(Type::List(scalar), vec![list]))
    }

    /// `list * times`, a list of its own; with no list, one of a word.
    fn new_list(&mut self, list: Register, word: Register, times: Register) -> Register {
        let arguments = [self.context, list, word, times];
        let list = self.helper(list_repeat as *const u8, &arguments, &[types::I64])[0];
        let is_none = self.builder.ins().icmp_imm_s(IntCC::Equal, list, 0);
        self.guard(is_none, Guard::Memory);
        list
    }

    /// `[a] * times` and `times * [a]`.
    pub(crate) fn repeated(&mut self, list: &Value, times: &Value) -> Value {
        let (times, zero) = (self.int_of(times), self.constant(0));
        let word = self.new_list(list.words[0], zero, times);
        Value::new(list.kind.clone(), vec![word])
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
        let list = self.expression(list)?;
        let index = self.expression(index)?;
        let address = self.place_in_list(&list, &index);
        let word = self.word_of_list(value);
        self.builder.ins().store(MemFlagsData::trusted(), word, address, 0);
        Ok(())
    }

    /// `sum(values)` of ints.
    pub(crate) fn sum_of(&mut self, values: &Value) -> Result<Value, Ended> {
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
        let element = self.index(values, &[Value::within(place, LENGTHS)])?;
        let element = self.int_of(&element);
        let (sum, overflows) = self.builder.ins().sadd_overflow(total, element);
        self.guard(overflows, Guard::Overflow);
        let next = self.builder.ins().iadd_imm_s(place, 1);
        self.builder.ins().jump(head, &[BlockArg::Value(next), BlockArg::Value(sum)]);
        self.builder.seal_block(head);
        self.go_on_in(end);
        Ok(Value::int(self.builder.block_params(end)[0]))
    }

    /// Is a sequence true: has it an element?
    pub(crate) fn has_elements(&mut self, value: &Value) -> Register {
        let length = self.length(value).words[0];
        self.builder.ins().icmp_imm_s(IntCC::NotEqual, length, 0)
    }
}
