//! libFuzzer around one target, named by `ALLCORES_FUZZ_TARGET`; `scripts/fuzz.py` builds and runs it.
#![no_main]

#[path = "../../crates/allcores-engine/tests/fuzz/mod.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static BODY: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("ALLCORES_FUZZ_TARGET").unwrap_or_default();
    let found = targets::TARGETS.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, body)| *body).expect("`ALLCORES_FUZZ_TARGET` names a target")
});

fuzz_target!(|data: &[u8]| BODY(data));
