//! `milena compat install`: links by the names of Kafka's tools.

use super::failure::Failure;
use super::screen::Screen;
use super::tools::{Run, TOOLS, Tool};
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The tool.
pub(crate) const RUN: Run = Run::Words(run);

fn run(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    match words {
        [command, folder] if command == "install" => install(screen, Path::new(folder)),
        [command] if command == "list" => Ok(names().try_for_each(|name| screen.say(name))?),
        _ => Err(Failure::Usage("usage: milena compat install DIR | milena compat list".into())),
    }
}

/// All names that lead to this binary.
fn names() -> impl Iterator<Item = String> {
    TOOLS.iter().filter(|tool| tool.is_linked).flat_map(names_of)
}

fn names_of(tool: &Tool) -> Vec<String> {
    let plain = tool.name.to_owned();
    if tool.is_script { vec![format!("{plain}.sh"), plain] } else { vec![plain] }
}

/// Makes the links. Those that are there already, of whatever they may be, are made anew; files are not touched.
fn install(screen: &mut Screen, folder: &Path) -> Result<(), Failure> {
    let binary = std::env::current_exe()?;
    std::fs::create_dir_all(folder)?;
    for name in names() {
        let link = folder.join(&name);
        if link.is_symlink() {
            std::fs::remove_file(&link)?;
        }
        symlink(&binary, &link).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Failure::text(format!("{} is a file and not a link; it stays", link.display()))
            }
            _ => Failure::text(format!("{}: {error}", link.display())),
        })?;
        screen.say(link.display())?;
    }
    Ok(())
}
