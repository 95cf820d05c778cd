#![no_main]

// This part of the broker needs nothing of the rest, which would take minutes to build.
#[path = "../../broker/src"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the broker uses more of it")]
mod broker {
    pub(crate) mod config;
}
#[path = "../properties.rs"]
mod properties;

use broker::config;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    properties::properties(data);
});
