//! `milena wait`: until a broker answers. For health checks, and for scripts that start one.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(50);
const CORRELATION_ID: i32 = 0x6d69_6c65;

/// For whom to wait, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitArgs {
    /// `host:port` of brokers, separated by commas, each perhaps with `NAME://` before it; one answer is enough.
    pub bootstrap: String,
    /// Until giving up.
    pub timeout: Duration,
}

/// Returns when a broker has answered ApiVersions, which it does when it serves.
///
/// # Errors
/// One sentence about the last try, when the time is over.
pub fn wait(args: &WaitArgs) -> Result<(), String> {
    let deadline = Instant::now() + args.timeout;
    loop {
        let outcome = try_all(&args.bootstrap, deadline);
        match outcome {
            Ok(()) => return Ok(()),
            Err(reason) if Instant::now() + PAUSE >= deadline => {
                return Err(format!("{} does not answer: {reason}", args.bootstrap));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn try_all(bootstrap: &str, deadline: Instant) -> Result<(), String> {
    let mut last = "no address was given".to_owned();
    for server in bootstrap.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        let server = server.split_once("://").map_or(server, |(_, address)| address).trim_end_matches('/');
        let addresses = match server.to_socket_addrs() {
            Ok(addresses) => addresses,
            Err(error) => {
                last = format!("{server}: {error}");
                continue;
            }
        };
        for address in addresses {
            match ask(address, deadline) {
                Ok(()) => return Ok(()),
                Err(error) => last = format!("{address}: {error}"),
            }
        }
    }
    Err(last)
}

fn ask(address: SocketAddr, deadline: Instant) -> io::Result<()> {
    // An address that never answers must not take the whole time from the next one; no time at all is an error.
    let limit = TRY.min(deadline.saturating_duration_since(Instant::now())).max(Duration::from_millis(1));
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(&request())?;
    // Length, correlation id, error code.
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    if answer[4..8] != CORRELATION_ID.to_be_bytes() {
        return Err(io::Error::other("this is no Kafka broker"));
    }
    match i16::from_be_bytes([answer[8], answer[9]]) {
        0 => Ok(()),
        code => Err(io::Error::other(format!("it answers with error code {code}"))),
    }
}

/// ApiVersions, version 0: length, key, version, correlation id, client id.
fn request() -> Vec<u8> {
    const CLIENT: &[u8] = b"milena-wait";
    let mut body = Vec::from([0, 18, 0, 0]);
    body.extend(CORRELATION_ID.to_be_bytes());
    body.extend([0, CLIENT.len() as u8]);
    body.extend(CLIENT);
    let mut frame = Vec::from((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame
}

#[cfg(test)]
mod tests {
    use super::{CORRELATION_ID, WaitArgs, request, wait};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::time::Duration;

    /// Waits for one that answers each of its clients with the next of these.
    fn against(answers: Vec<Vec<u8>>, timeout_ms: u64) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bootstrap = format!(" PLAINTEXT://{}/,", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = vec![0; request().len()];
                stream.read_exact(&mut asked).unwrap();
                assert_eq!(asked, request());
                stream.write_all(&answer).unwrap();
            }
        });
        let outcome = wait(&WaitArgs { bootstrap, timeout: Duration::from_millis(timeout_ms) });
        server.join().unwrap();
        outcome
    }

    fn answer(code: u8) -> Vec<u8> {
        [&[0, 0, 0, 10][..], &CORRELATION_ID.to_be_bytes(), &[0, code, 0, 0, 0, 0]].concat()
    }

    #[test]
    fn the_first_answer_is_enough() {
        assert_eq!(against(vec![answer(0)], 60_000), Ok(()));
        assert_eq!(
            against(vec![answer(15), b"HTTP/1.1 400".to_vec(), Vec::new(), answer(0)], 60_000),
            Ok(())
        );
    }

    #[test]
    fn the_last_reason_is_told() {
        let error = against(vec![answer(35)], 0).unwrap_err();
        assert!(error.ends_with("it answers with error code 35"), "{error}");
        let none = WaitArgs { bootstrap: ",".into(), timeout: Duration::ZERO };
        assert_eq!(wait(&none), Err(", does not answer: no address was given".to_owned()));
    }
}
