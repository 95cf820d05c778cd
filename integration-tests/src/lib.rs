//! The outside view of milena: what a client, an operator and a kernel see of the built binary.
//!
//! [`broker`] starts, kills and restarts a broker; [`raw`] speaks frames to it, with [`records`] for what lies in them and [`codecs`] for how it is packed,
//! [`requests`] for the everyday ones and [`samples`] for one valid request of every API; [`process`] reads what the kernel charges it. The tests are in
//! `tests/it`, the clients of other languages in `clients/`, [`attacks`] are clients that mean no good, and `examples/bench`
//! measures.
//!
//! The broker under test is the binary of this workspace, unless the environment says otherwise:
//!
//! | variable | meaning |
//! |---|---|
//! | `MILENA_BINARY` | path of the binary, instead of building it |
//! | `MILENA_TEST_SERVER` | a command that runs any broker: `COMMAND DIR PORT [key=value..]` |
//! | `MILENA_TEST_BROKER` | `host:port` of a running broker; tests that need to stop it are skipped aloud |

pub mod attacks;
pub mod broker;
pub mod codecs;
pub mod process;
pub mod random;
pub mod raw;
pub mod records;
pub mod requests;
pub mod samples;
