#![no_main]

#[path = "../requests.rs"]
mod requests;

/// That of the broker.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    requests::request(data);
});
