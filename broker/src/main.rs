//! The `milena` command: arguments → configuration → broker → signal → stop.

mod allocator;

use milena::broker::Broker;
use milena::cli::{self, Command, Contract, ServeArgs};
use milena::config::{BrokerConfig, LogFormat};
use milena::embedded::EphemeralDir;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A blocking thread that has nothing to do ends after this long. The chores of each second find one that is there; of two,
/// which take turns, one ends.
const KEEP_ALIVE: Duration = Duration::from_millis(1500);
/// How long after the start Kafka looks at the leaders for the first time.
const LATE_LINE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // Where the kernel gives huge pages to everyone (`always`), an idle broker would touch some to use a few hundred KiB.
    // The allocator does not ask for them (`no_thp`): it allocates before `main`, and what it has then stays huge.
    // A kernel that does not know the request only costs that memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let outcome = match cli::parse(std::env::args_os()) {
        Ok(Command::Help) => print(&cli::help()),
        Ok(Command::Version) => print(&format!("milena {}\n", env!("CARGO_PKG_VERSION"))),
        Ok(Command::Serve(args)) => serve(args),
        Ok(Command::Tool(call)) => return call.run(),
        Ok(Command::Properties(args)) => {
            configure(args, None).and_then(|config| print(&cli::as_properties(&config)))
        }
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // Nobody may be reading.
            let _ = writeln!(std::io::stderr(), "milena: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|e| e.to_string())
}

fn serve(args: ServeArgs) -> Result<(), String> {
    args.contract.prepare().map_err(|e| e.to_string())?;
    let ephemeral = args.ephemeral.then(EphemeralDir::new).transpose().map_err(|e| e.to_string())?;
    let contract = args.contract.clone();
    let config = configure(args, ephemeral.as_ref())?;
    cli::start_log(config.log_format)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(KEEP_ALIVE)
        .on_thread_park(allocator::trim)
        .build()
        .map_err(|e| format!("cannot start threads: {e}"))?;
    let run = run(config, contract);
    let outcome = runtime.block_on(async { tokio::spawn(run).await.map_err(|e| e.to_string())? });
    runtime.shutdown_background();
    outcome
}

async fn run(config: BrokerConfig, contract: Contract) -> Result<(), String> {
    // Before the first client can connect: a signal must never find nobody.
    let mut term = signal(SignalKind::terminate()).map_err(|e| e.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| e.to_string())?;
    let mut hangup = Hangup::new()?;
    let parent = contract.watch_parent().map_err(|e| e.to_string())?;
    if config.is_controller_only {
        tracing::info!(
            "process.roles=controller: milena's brokers are their own controllers; this process does nothing until it is \
             stopped"
        );
        contract.idle().map_err(|e| e.to_string())?;
        tokio::select! {
            _ = term.recv() => {}, _ = interrupt.recv() => {}, () = hangup.came() => {}, () = parent.ended() => {}
        }
        contract.stopping();
        return Ok(());
    }
    let broker = Broker::start(config, &contract.topics).await.map_err(|e| e.to_string())?;
    banner(&broker);
    if let Err(error) = contract.ready(&broker) {
        broker.stop().await;
        return Err(error.to_string());
    }
    let ended = tokio::select! {
        _ = term.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        () = hangup.came() => Ok("SIGHUP"),
        () = parent.ended() => Ok("the process of --exit-with-parent has ended"),
        reason = broker.failed() => Err(reason),
    };
    contract.stopping();
    tracing::info!("stopping ({})", ended.as_ref().unwrap_or(&"a data directory has failed"));
    broker.stop().await;
    tracing::info!("stopped");
    ended.map(|_| ())
}

/// SIGHUP: the terminal is gone. Whoever has started us with that ignored (nohup) wants us to go on.
struct Hangup(Option<Signal>);

impl Hangup {
    fn new() -> Result<Self, String> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        // Signals are counted from 1, and SIGHUP is the first.
        let is_ignored = mask & 1 == 1;
        if is_ignored {
            return Ok(Self(None));
        }
        signal(SignalKind::hangup()).map(|signal| Self(Some(signal))).map_err(|e| e.to_string())
    }

    async fn came(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

/// Three lines for people, then those that scripts wait for.
fn banner(broker: &Broker) {
    let config = broker.config();
    let addresses: Vec<String> = broker.addresses().iter().map(ToString::to_string).collect();
    let dirs: Vec<String> = config.log.dirs.iter().map(|d| d.display().to_string()).collect();
    let text = format!(
        "milena {} serves the Kafka protocol on {}\n  data in {}\n  cluster {}, node {}\n{}",
        env!("CARGO_PKG_VERSION"),
        addresses.join(", "),
        dirs.join(", "),
        broker.cluster_id(),
        config.node_id,
        cli::ready_lines(config.log_format, config.node_id),
    );
    say(&text);
    if config.log_format == LogFormat::Kafka {
        tokio::spawn(async {
            tokio::time::sleep(LATE_LINE).await;
            say(&cli::late_line());
        });
    }
}

/// Nobody may be reading; the broker serves all the same.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn configure(args: ServeArgs, ephemeral: Option<&EphemeralDir>) -> Result<BrokerConfig, String> {
    let (mut sources, default_dir) = cli::gather(args)?;
    if let Some(ephemeral) = ephemeral {
        sources.overrides.push(("log.dirs".into(), ephemeral.path().display().to_string()));
        // The metadata goes with the data, wherever that of a lasting broker is kept.
        sources.overrides.push(("metadata.log.dir".into(), String::new()));
    }
    let mut config = BrokerConfig::load(&sources, &default_dir).map_err(|e| e.to_string())?;
    config.is_ephemeral = ephemeral.is_some();
    Ok(config)
}

/// As many open files as the system allows: every connection and every hot partition has one.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!("cannot raise the limit of open files from {soft} to {hard}: {error}");
    }
}
