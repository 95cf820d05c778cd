//! What is broken of what was whole, for the tests that run the targets without libFuzzer.

/// Changes a few bytes of one of the corpus, cuts it, or puts two together. `below` gives a number below another one.
pub(super) fn mutate(below: &mut dyn FnMut(usize) -> usize, corpus: &[&Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[below(corpus.len())].clone();
    bytes.truncate(20_000);
    for _ in 0..below(4) {
        match below(5) {
            0 if !bytes.is_empty() => bytes.truncate(below(bytes.len())),
            1 => bytes.extend(corpus[below(corpus.len())].iter().take(2_000)),
            2 if !bytes.is_empty() => {
                let at = below(bytes.len());
                let len = below(9).min(bytes.len() - at);
                bytes[at..at + len].fill_with(|| below(256) as u8);
            }
            _ if !bytes.is_empty() => {
                let at = below(bytes.len().min(200));
                bytes[at] ^= 1 << below(8);
            }
            _ => {}
        }
    }
    bytes
}
