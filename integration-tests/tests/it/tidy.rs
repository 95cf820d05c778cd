//! The shape of the source tree: what `ARCHITECTURE.md` promises, checked against the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate and those of this workspace that it may depend on.
const MAY_DEPEND_ON: [(&str, &[&str]); 4] = [
    ("protocol", &[]),
    ("storage", &["milena-protocol"]),
    ("broker", &["milena-protocol", "milena-storage"]),
    ("integration-tests", &["milena", "milena-protocol", "milena-storage"]),
];
/// Crates that would bring requests or an executor into a layer that knows none.
const FORBIDDEN: [(&str, &[&str]); 2] =
    [("protocol", &["tokio", "tracing", "parking_lot"]), ("storage", &["tokio", "kafka-protocol"])];
/// The files that may hold unsafe code: the mapping, and the one call of the allocator that has no safe binding.
const UNSAFE_IN: [&str; 2] = ["storage/src/mapped.rs", "broker/src/allocator.rs"];
/// The one file of the storage crate that may change files.
const WRITES_IN: &str = "storage/src/file.rs";
/// The one file that may ask for the time.
const TIME_IN: &str = "broker/src/clock.rs";
/// A file longer than this is two files.
const LINES_MAX: usize = 700;
/// What changes files behind the back of `Disk`.
const WRITING: [&str; 17] = [
    "fs::write",
    "fs::rename",
    "fs::remove_",
    "fs::create_dir",
    "fs::copy",
    "fs::hard_link",
    "fs::set_permissions",
    "OpenOptions",
    "File::create",
    "File::options",
    ".set_len(",
    ".sync_data(",
    ".write_all_at(",
    ".write_all(",
    "fallocate(",
    "syncfs(",
    "pwritev(",
];

#[test]
fn dependencies_point_one_way() {
    for (package, allowed) in MAY_DEPEND_ON {
        let manifest = read(&root().join(package).join("Cargo.toml"));
        let ours: BTreeSet<String> =
            dependencies(&manifest).into_iter().filter(|name| name.starts_with("milena")).collect();
        let wrong: Vec<_> = ours.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{package} must not depend on {wrong:?}");
    }
    for (package, forbidden) in FORBIDDEN {
        let all = dependencies(&read(&root().join(package).join("Cargo.toml")));
        assert!(!all.is_empty(), "{package}: the manifest was not understood");
        let wrong: Vec<_> = forbidden.iter().filter(|name| all.contains(**name)).collect();
        assert!(wrong.is_empty(), "{package} must not depend on {wrong:?}");
    }
}

#[test]
fn unsafe_code_is_in_two_files() {
    assert_only_in(&UNSAFE_IN, &sources(), unsafe_words);
}

#[test]
fn storage_writes_files_in_one_file() {
    let storage =
        sources().into_iter().filter(|(path, _)| path.starts_with("storage/") && !is_test(path)).collect();
    assert_only_in(&[WRITES_IN], &storage, |text| matches(product(text), &WRITING));
}

#[test]
fn the_clock_is_read_in_one_file() {
    let product_files = sources()
        .into_iter()
        .filter(|(path, _)| !path.starts_with("integration-tests/") && !is_test(path))
        .collect();
    assert_only_in(&[TIME_IN], &product_files, |text| matches(product(text), &["SystemTime::now"]));
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines: {long:?}");
}

#[test]
fn modules_lie_beside_their_folders() {
    let wrong: Vec<_> = sources().into_keys().filter(|path| path.ends_with("/mod.rs")).collect();
    assert!(wrong.is_empty(), "write foo.rs beside foo/ instead of {wrong:?}");
}

#[test]
fn what_is_promised_is_tested() {
    let rows = promises(&read(&root().join("docs/guarantees.md")));
    assert!(rows.len() > 20, "the page was not understood: {} rows", rows.len());
    let tests: BTreeSet<String> = sources().values().flat_map(|text| test_names(text)).collect();
    for (promise, shown_by) in rows {
        assert!(!shown_by.is_empty(), "no test shows that {promise}");
        let missing: Vec<_> = shown_by.iter().filter(|name| !tests.contains(*name)).collect();
        assert!(missing.is_empty(), "{promise}: there is no test {missing:?}");
    }
}

/// The checks above read text; this is what they must and must not see in it.
#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(unsafe_words("let a = 1;\nunsafe { f() }\n"), [2]);
    assert_eq!(unsafe_words("#[expect(unsafe_code, reason = \"\")]\n"), [1]);
    assert_eq!(unsafe_words("// unsafe\n/// unsafe { }\nlet unsafely = 1; // unsafe\n"), [0usize; 0]);
    assert_eq!(matches("a\nfs::write(path, b)\n", &WRITING), [2]);
    assert_eq!(
        matches("// fs::write\nself.disk.write_at(f)\ndisk.truncate(f, path, 0)", &WRITING),
        [0usize; 0]
    );
    assert_eq!(product("fn f() {}\n#[cfg(test)]\nmod tests {\n    fs::write();\n}\n"), "fn f() {}\n");
    assert_eq!(product("#[cfg(test)]\nfn only() {}\nfn f() {}\n"), "#[cfg(test)]\nfn only() {}\nfn f() {}\n");
    let page = "text\n\n| what | shown by |\n|---|---|\n| A `key` | `one` `two` |\n| B | C | |\n";
    let expected =
        [("A `key`".to_owned(), vec!["one".to_owned(), "two".to_owned()]), ("B".to_owned(), vec![])];
    assert_eq!(promises(page), expected);
    let text = "#[test]\n#[ignore = \"x\"]\nfn a() {}\nfn b() {}\n    #[tokio::test]\n    async fn c() {}\n";
    assert_eq!(test_names(text), ["a", "c"]);
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = { x = 1 }\n\n[dev-dependencies]\nc = \"1\"\n[lints]\nworkspace = true\n";
    assert_eq!(dependencies(manifest), ["a", "b", "c"].map(str::to_owned).into());
    assert!(is_test("storage/src/log/tests.rs") && is_test("broker/src/group/tests/golden.rs"));
    assert!(is_test("integration-tests/tests/it/main.rs") && is_test("storage/src/golden.rs"));
    assert!(!is_test("storage/src/log.rs") && !is_test("integration-tests/src/broker.rs"));
}

/// The rows of the tables of a page, without their heads: the first cell, and the names between backticks in the last one.
fn promises(page: &str) -> Vec<(String, Vec<String>)> {
    let lines: Vec<&str> = page.lines().collect();
    let is_row = |at: usize| lines[at].starts_with('|');
    let is_head = |at: usize| lines.get(at + 1).is_some_and(|next| next.starts_with("|---"));
    (0..lines.len())
        .filter(|&at| is_row(at) && !is_head(at) && !lines[at].starts_with("|---"))
        .map(|at| {
            let cells: Vec<&str> = lines[at].trim_matches('|').split('|').collect();
            let last = cells.last().copied().unwrap_or_default();
            let names = last.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (cells[0].trim().to_owned(), names)
        })
        .collect()
}

/// The names of the functions that are marked as tests.
fn test_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim) {
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(function) = function {
            if marked {
                names.push(function.split('(').next().unwrap_or_default().to_owned());
            }
            marked = false;
        }
    }
    names
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every source file of the workspace by its path from the top.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (package, _) in MAY_DEPEND_ON {
        let before = found.len();
        for part in ["src", "tests"] {
            collect(&root().join(package).join(part), &mut found);
        }
        assert!(found.len() > before, "no source file of {package} was found");
    }
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder that can be read").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root()).expect("below the top").to_string_lossy().into_owned();
            found.insert(name, read(&path));
        }
    }
}

/// Whether a file holds tests only.
fn is_test(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "table.rs" | "golden.rs" | "testing.rs"))
}

/// A file up to its tests.
fn product(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or(text, |at| &text[..at])
}

/// Numbers of the lines that hold one of the texts outside a comment.
fn matches(text: &str, wanted: &[&str]) -> Vec<usize> {
    let hit = |line: &str| wanted.iter().any(|w| code(line).contains(w));
    (1..).zip(text.lines()).filter(|(_, line)| hit(line)).map(|(number, _)| number).collect()
}

/// Numbers of the lines with the keyword, or with the permission to use it.
fn unsafe_words(text: &str) -> Vec<usize> {
    let hit = |line: &str| {
        code(line)
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == "unsafe" || word == "unsafe_code")
    };
    (1..).zip(text.lines()).filter(|(_, line)| hit(line)).map(|(number, _)| number).collect()
}

/// A line without its comment and without what stands in quotes.
fn code(line: &str) -> String {
    let line = line.split("//").next().unwrap_or_default();
    line.split('"').step_by(2).collect()
}

/// Names in the dependency sections of a manifest.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            names.insert(name.to_owned());
        }
    }
    names
}

/// The one file must be seen to hold it, or the check looks for the wrong thing.
fn assert_only_in(homes: &[&str], files: &BTreeMap<String, String>, find: impl Fn(&str) -> Vec<usize>) {
    let hits: BTreeMap<&str, Vec<usize>> = files
        .iter()
        .map(|(path, text)| (path.as_str(), find(text)))
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    let elsewhere: Vec<_> = hits.iter().filter(|(path, _)| !homes.contains(path)).collect();
    assert!(elsewhere.is_empty(), "belongs into {homes:?}: {elsewhere:?}");
    for home in homes {
        assert!(hits.contains_key(home), "{home} no longer holds what the check looks for");
    }
}
