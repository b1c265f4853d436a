//! A program for certain types, made into machine code.
//!
//! Each instance is one function; one more, the *entry*, reads an item's words from memory, calls the
//! first instance and writes the words of the result. Memory is writable while the code is written
//! and executable afterwards, never both (`cranelift-jit` sees to that).

use cranelift_codegen::ir::{FuncRef, InstBuilder, MemFlagsData, Signature, UserFuncName, types};
use cranelift_codegen::settings::{Configurable, Flags};
use cranelift_codegen::{Context, ir::AbiParam, isa::CallConv};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module, ModuleError};

use crate::emit::{Emitter, Place, Value, register, registers, result_of, signature};
use crate::error::Error;
use crate::infer::{Inference, infer};
use crate::ir::Program;
use crate::ranges::Scope;
use crate::refuse::{Reason, Refusal};
use crate::types::Type;

/// Machine code, and where it begins.
pub(crate) struct Made {
    pub(crate) module: JITModule,
    pub(crate) entry: *const u8,
    pub(crate) result: Type,
    pub(crate) is_recursive: bool,
}

pub(crate) fn compile(
    program: &Program,
    arguments: &[Type],
    pause: *const u8,
) -> Result<Made, Error> {
    let inference = infer(program, arguments)?;
    let result = result_of(&inference.instances[0]);
    // Of two lists in a result, nobody knows whether they are one and the same.
    if result.is_bound_to_run() || result.lists() > 1 {
        return Err(Refusal::new(Reason::Escapes, program.functions[0].at).into());
    }
    let mut module = new_module()?;
    let convention = module.isa().default_call_conv();
    let generator = |error: ModuleError| Error::Generator(Box::new(error));
    let mut ids = Vec::new();
    for (number, instance) in inference.instances.iter().enumerate() {
        let signature = signature(instance, convention);
        let id = module.declare_function(&format!("instance{number}"), Linkage::Local, &signature);
        ids.push(id.map_err(generator)?);
    }
    let mut context = module.make_context();
    let mut builders = FunctionBuilderContext::new();
    let pause = write_pause(&mut module, &mut context, &mut builders, pause)?;
    for number in 0..ids.len() {
        write_instance(
            program,
            &inference,
            number,
            &mut module,
            &ids,
            &mut context,
            &mut builders,
            pause,
        );
        module.define_function(ids[number], &mut context).map_err(generator)?;
        module.clear_context(&mut context);
    }
    let entry = entry(&mut module, &inference, arguments, ids[0], &mut context, &mut builders)?;
    module.finalize_definitions().map_err(generator)?;
    Ok(Made {
        entry: module.get_finalized_function(entry),
        module,
        result: result_of(&inference.instances[0]),
        is_recursive: (0..ids.len()).any(|number| inference.is_recursive(number)),
    })
}

fn new_module() -> Result<JITModule, Error> {
    let mut flags = cranelift_codegen::settings::builder();
    for (name, value) in [
        ("opt_level", "speed"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("enable_multi_ret_implicit_sret", "true"),
        ("use_colocated_libcalls", "false"),
        ("is_pic", "false"),
    ] {
        flags.set(name, value).map_err(|_| Error::Processor)?;
    }
    let isa = cranelift_native::builder().map_err(|_| Error::Processor)?;
    let isa = isa.finish(Flags::new(flags)).map_err(|_| Error::Processor)?;
    Ok(JITModule::new(JITBuilder::with_isa(isa, cranelift_module::default_libcall_names())))
}

#[expect(
    clippy::too_many_arguments,
    reason = "they are the parts of one thing: the module under way"
)]
fn write_instance(
    program: &Program,
    inference: &Inference,
    number: usize,
    module: &mut JITModule,
    ids: &[FuncId],
    context: &mut Context,
    builders: &mut FunctionBuilderContext,
    pause: FuncId,
) {
    let instance = &inference.instances[number];
    let function = &program.functions[instance.function];
    let convention = module.isa().default_call_conv();
    context.func.signature = signature(instance, convention);
    context.func.name = UserFuncName::user(0, ids[number].as_u32());
    let config = module.target_config();
    let pause = module.declare_func_in_func(pause, &mut context.func);
    let mut known: Vec<Option<FuncRef>> = vec![None; ids.len()];
    let mut functions = |number: usize, builder: &mut FunctionBuilder<'_>| {
        *known[number].get_or_insert_with(|| module.declare_func_in_func(ids[number], builder.func))
    };
    let mut builder = FunctionBuilder::new(&mut context.func, builders);
    let start = builder.create_block();
    builder.append_block_params_for_function_params(start);
    builder.switch_to_block(start);
    builder.seal_block(start);
    let parameters = builder.block_params(start).to_vec();
    let mut words = parameters[2..].iter().copied();
    let mut places = Vec::new();
    for kind in &instance.locals {
        let kinds = kind.iter().flat_map(registers);
        let variables: Vec<Variable> = kinds.map(|kind| builder.declare_var(kind)).collect();
        let is_bound = builder.declare_var(types::I8);
        for (&variable, kind) in variables.iter().zip(kind.iter().flat_map(Type::words)) {
            let word = if kind == Type::Float {
                builder.ins().f64const(0.0)
            } else {
                builder.ins().iconst(register(&kind), 0)
            };
            builder.def_var(variable, word);
        }
        let unbound = builder.ins().iconst(types::I8, 0);
        builder.def_var(is_bound, unbound);
        places.push(Place { kind: kind.clone(), words: variables, is_bound });
    }
    let loose = function.loose();
    let scope = Scope { inference, instance: number, loose: &loose };
    let leave = builder.create_block();
    builder.append_block_param(leave, types::I64);
    builder.set_cold_block(leave);
    let mut emitter = Emitter {
        builder: &mut builder,
        inference,
        functions: &mut functions,
        pause,
        convention,
        context: parameters[0],
        depth: parameters[1],
        bound: (0..places.len()).map(|local| local < function.parameters).collect(),
        ranges: scope.first(),
        scope,
        predicate: None,
        within: Vec::new(),
        looked_at: Vec::new(),
        places,
        result: result_of(instance),
        leave,
        anchor: None,
        guards: Vec::new(),
        loops: Vec::new(),
        ends: Vec::new(),
    };
    for (local, kind) in instance.arguments.iter().enumerate() {
        let value = Value::new(kind.clone(), words.by_ref().take(kind.width()).collect());
        emitter.set_local(local, &value);
    }
    if inference.is_recursive(number) {
        emitter.poll();
    }
    emitter.whole_body(&function.body);
    builder.finalize(config);
}

/// A function around `pause` that keeps all registers, so that loops which look up now and then have
/// theirs for themselves.
fn write_pause(
    module: &mut JITModule,
    context: &mut Context,
    builders: &mut FunctionBuilderContext,
    pause: *const u8,
) -> Result<FuncId, Error> {
    let generator = |error: ModuleError| Error::Generator(Box::new(error));
    let mut outer = Signature::new(CallConv::PreserveAll);
    outer.params.push(AbiParam::new(types::I64));
    let mut inner = Signature::new(module.isa().default_call_conv());
    inner.params.push(AbiParam::new(types::I64));
    let id = module.declare_function("pause", Linkage::Local, &outer).map_err(generator)?;
    context.func.signature = outer;
    context.func.name = UserFuncName::user(0, id.as_u32());
    let config = module.target_config();
    let mut builder = FunctionBuilder::new(&mut context.func, builders);
    let start = builder.create_block();
    builder.append_block_params_for_function_params(start);
    builder.switch_to_block(start);
    builder.seal_block(start);
    let run = builder.block_params(start)[0];
    let inner = builder.import_signature(inner);
    let address = builder.ins().iconst(types::I64, pause.addr().cast_signed() as i64);
    builder.ins().call_indirect(inner, address, &[run]);
    builder.ins().return_(&[]);
    builder.finalize(config);
    module.define_function(id, context).map_err(generator)?;
    module.clear_context(context);
    Ok(id)
}

/// `entry(context, depth, words in, words out)`, as [`Machine`](crate::call::Machine) calls it.
fn entry(
    module: &mut JITModule,
    inference: &Inference,
    arguments: &[Type],
    first: FuncId,
    context: &mut Context,
    builders: &mut FunctionBuilderContext,
) -> Result<FuncId, Error> {
    let generator = |error: ModuleError| Error::Generator(Box::new(error));
    let convention: CallConv = module.isa().default_call_conv();
    let mut signature = Signature::new(convention);
    signature.params.extend([AbiParam::new(types::I64); 4]);
    signature.returns.push(AbiParam::new(types::I64));
    let id = module.declare_function("entry", Linkage::Local, &signature).map_err(generator)?;
    context.func.signature = signature;
    context.func.name = UserFuncName::user(0, id.as_u32());
    let config = module.target_config();
    let mut builder = FunctionBuilder::new(&mut context.func, builders);
    let callee = module.declare_func_in_func(first, builder.func);
    let start = builder.create_block();
    builder.append_block_params_for_function_params(start);
    builder.switch_to_block(start);
    builder.seal_block(start);
    let [run, depth, input, output] = builder.block_params(start)[..] else {
        unreachable!("the entry has four parameters");
    };
    let mut words = vec![run, depth];
    for (index, kind) in (0..).zip(arguments.iter().flat_map(Type::words)) {
        let flags = MemFlagsData::trusted();
        words.push(match kind {
            Type::Bool => {
                let word = builder.ins().load(types::I64, flags, input, index * 8);
                builder.ins().ireduce(types::I8, word)
            }
            kind => builder.ins().load(register(&kind), flags, input, index * 8),
        });
    }
    let call = builder.ins().call(callee, &words);
    let returned = builder.inst_results(call).to_vec();
    let kinds = result_of(&inference.instances[0]).words();
    for ((index, kind), &word) in (0..).zip(kinds).zip(&returned[1..]) {
        let word = if kind == Type::Bool { builder.ins().uextend(types::I64, word) } else { word };
        builder.ins().store(MemFlagsData::trusted(), word, output, index * 8);
    }
    builder.ins().return_(&returned[..1]);
    builder.finalize(config);
    module.define_function(id, context).map_err(generator)?;
    module.clear_context(context);
    Ok(id)
}
