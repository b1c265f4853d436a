//! What can go wrong here that is nobody's code: the halves don't fit, or the generator fails.

/// Bytes that are no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end within a node.
    #[error("the program ends too early")]
    TooShort,
    /// Something follows the last function.
    #[error("bytes follow the program")]
    TooLong,
    /// It has no function.
    #[error("the program has no function")]
    Empty,
    /// A code that means nothing.
    #[error("code `{0}` means nothing")]
    Code(u8),
    /// A variable that the function doesn't have.
    #[error("there is no variable `{0}`")]
    Local(usize),
    /// A function that the program doesn't have.
    #[error("there is no function `{0}`")]
    Function(usize),
}

/// Why there is no machine code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program has no exact meaning for these types; Python runs it.
    #[error(transparent)]
    Refused(#[from] crate::refuse::Refusal),
    /// This machine has no code generator, or it failed; Python runs the function.
    #[error("no machine code could be made")]
    Generator(#[source] Box<cranelift_module::ModuleError>),
    /// The code generator knows nothing of this processor.
    #[error("machine code can't be made for this processor")]
    Processor,
}
