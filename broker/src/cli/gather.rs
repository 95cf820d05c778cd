//! Where the settings of a start are looked for.

use crate::cli::ServeArgs;
use crate::config::{Sources, default_log_dir, with_files, with_lost_names};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Read where the command line names no file.
pub(super) const SYSTEM_FILE: &str = "/etc/milena/server.properties";
/// Where the images of Apache, Bitnami and Debezium look for a file that was mounted.
pub(super) const MOUNTED_FILES: [&str; 3] = [
    "/mnt/shared/config/server.properties",
    "/bitnami/kafka/config/server.properties",
    "/kafka/config/server.properties",
];
/// What an image sets where nobody else does.
const OF_IMAGE: [(&str, &str); 2] =
    [("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"), ("milena.log.format", "kafka")];
/// Where the images of others keep their data: where somebody has mounted a volume there, or above it, the data is to be on
/// it. Anywhere else it would go with the container.
const VOLUMES: [(&str, &str); 7] = [
    ("/bitnami/kafka/data", "/bitnami/kafka/data"),
    ("/bitnami/kafka", "/bitnami/kafka/data"),
    ("/bitnami", "/bitnami/kafka/data"),
    ("/kafka/data", "/kafka/data"),
    ("/kafka/kafka-logs", "/kafka/kafka-logs"),
    ("/kafka", "/kafka/kafka-logs"),
    ("/tmp/kraft-combined-logs", "/tmp/kraft-combined-logs"),
];
/// The volume of our own image, which has no other place.
const OWN_DATA: &str = "/var/lib/milena";
const IMAGE_DATA: &str = "/var/lib/kafka/data";

/// Reads the files and the environment that a start is configured from. Gives the directory for the data, too, where no
/// source names one.
///
/// # Errors
/// One sentence: a file is there and cannot be read.
pub fn gather(args: ServeArgs) -> Result<(Sources, PathBuf), String> {
    let file = match args.properties {
        Some(path) => Some(read(path.clone())?.ok_or_else(|| format!("{} does not exist", path.display()))?),
        // What is said there is for the broker of this machine, and not for that of a test.
        None if args.ephemeral => None,
        None => read(SYSTEM_FILE.into())?,
    };
    let mut sources = if args.image { of_image() } else { Sources::default() };
    (sources.file, sources.overrides) = (file, args.overrides);
    let mut variables: Vec<_> =
        std::env::vars_os().filter_map(|pair| text(pair).transpose()).collect::<Result<_, _>>()?;
    if args.image {
        for path in MOUNTED_FILES {
            sources.mounted.extend(read(path.into())?);
        }
        // Of another user's process it cannot be read.
        let first = std::fs::read("/proc/1/environ").unwrap_or_default();
        variables = with_lost_names(variables, &first);
    }
    sources.environment = with_files(variables, |path| std::fs::read_to_string(path))?;
    if let Some(start) = args.redpanda {
        start.awaited(Path::is_file).map(wait_for);
        let found = start.settings(read_text, |name| std::env::var(name).ok())?;
        sources.overrides.push(("milena.log.format".into(), "redpanda".into()));
        sources.overrides.extend(found.keys);
        sources.notes = found.notes;
    }
    let (xdg, home) = (std::env::var_os("XDG_DATA_HOME"), std::env::var_os("HOME"));
    let data = if args.image { image_data() } else { default_log_dir(xdg.as_deref(), home.as_deref()) };
    Ok((sources, data))
}

/// The broker of an image that nobody has told anything.
fn of_image() -> Sources {
    let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    Sources { image: OF_IMAGE.map(pair).to_vec(), in_image: true, ..Sources::default() }
}

/// A variable of the environment; `None` for one that can be no setting.
fn text((name, value): (OsString, OsString)) -> Result<Option<(String, String)>, String> {
    let Ok(name) = name.into_string() else { return Ok(None) };
    match value.into_string() {
        Ok(value) => Ok(Some((name, value))),
        Err(_) if name.starts_with("KAFKA_") || name.starts_with("MILENA_") => {
            Err(format!("environment variable {name} is not valid UTF-8"))
        }
        Err(_) => Ok(None),
    }
}

/// A file and its bytes; `None` if it is not there.
fn read(path: PathBuf) -> Result<Option<(PathBuf, Vec<u8>)>, String> {
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some((path, bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // Docker makes a directory of a file that it was to mount and did not find.
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            Err(format!("{} is a directory; mount the file itself", path.display()))
        }
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Waits for a second at most until there is something in a file.
fn wait_for(path: &Path) {
    let end = Instant::now() + Duration::from_secs(1);
    while !std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn read_text(path: &Path) -> Result<Option<String>, String> {
    let Some((path, bytes)) = read(path.into())? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| format!("{} is not valid UTF-8", path.display()))
}

fn image_data() -> PathBuf {
    if Path::new(OWN_DATA).is_dir() {
        return OWN_DATA.into();
    }
    data_on_a_volume(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// The directory for the data, by `/proc/self/mountinfo`: the fifth field of a line is where something is mounted.
fn data_on_a_volume(mounts: &str) -> PathBuf {
    let is_mounted = |place: &str| mounts.lines().any(|line| line.split(' ').nth(4) == Some(place));
    // Whoever has mounted the usual place means that one.
    let places = if is_mounted(IMAGE_DATA) { &[][..] } else { &VOLUMES };
    places.iter().find(|(place, _)| is_mounted(place)).map_or(IMAGE_DATA, |(_, data)| data).into()
}

#[cfg(test)]
mod tests;
