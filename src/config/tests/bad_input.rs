//! Each `bad/*.toml` and what an operator reads about it, in `bad/*.snap`.
//!
//! After a change of wording: `INSTA_UPDATE=always cargo test config`, and read the difference.

use std::error::Error;
use std::fs;
use std::path::Path;

use super::{beside_the_site, folder};
use crate::config::{self, Problems};

#[test]
fn every_kind_of_problem_reads_well() -> Result<(), Box<dyn Error>> {
    let mut cases: Vec<_> = fs::read_dir(folder().join("bad"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    cases.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    cases.sort();
    assert!(!cases.is_empty());

    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("bad");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for case in cases {
        let name = case.file_stem().and_then(|stem| stem.to_str());
        let name = name.ok_or("a name in ASCII")?;
        let source = fs::read_to_string(&case)?;
        let problems = config::parse(&source, &beside_the_site("holm.toml"))
            .err()
            .ok_or_else(|| format!("{name}.toml is accepted"))?;
        settings.bind(|| insta::assert_snapshot!(name, as_read(&problems)));
    }
    Ok(())
}

/// As printed, with the machine's own folder left out.
fn as_read(problems: &Problems) -> String {
    let here = std::path::absolute(folder()).expect("the tests run in a folder");
    problems
        .render(false, None)
        .replace(&here.display().to_string(), "FOLDER")
        .replace(&folder().display().to_string(), "FOLDER")
}

#[test]
fn problems_of_all_stages_come_at_once_in_the_order_of_the_file() {
    let source = "\
version = 2
colour = true
[functions.a]
main = \"nothing.js\"
routes = [\"a b\", \"x.localhost\"]
limits = { cpu = \"1h\" }
[functions.b]
main = \"site/hello/index.js\"
routes = [\"x.localhost\"]
";
    let problems = config::parse(source, Path::new("holm.toml")).expect_err("six problems");
    let places: Vec<String> = problems
        .lines()
        .map(|line| line.splitn(4, ':').take(3).collect::<Vec<_>>().join(":"))
        .collect();
    assert_eq!(
        places,
        [
            "holm.toml:1:11",
            "holm.toml:2:1",
            "holm.toml:4:8",
            "holm.toml:5:13",
            "holm.toml:6:18",
            "holm.toml:8:8",
            "holm.toml:9:11",
        ]
    );
}

#[test]
fn a_log_line_says_it_all() {
    let problems = config::parse(
        "version = 1\n[functions.a]\nmian = \"x.js\"\nroutes = []",
        Path::new("holm.toml"),
    )
    .expect_err("two problems");
    let lines: Vec<String> = problems.lines().collect();
    assert_eq!(
        lines,
        [
            "holm.toml:3:1: unknown key `mian` in [functions.a]: not a key of this table (did you \
             mean `main`? keys here: `main`, `routes`, `vars`, `limits`, \
             `concurrency`, `eval`, `access`, `redirect_to_https`, `hsts`, `compress` and `assets`)",
            "holm.toml:4:10: function `a` has no route: nobody reaches it (write routes = \
             [\"a.localhost\"])",
        ]
    );
    assert_eq!(problems.to_string(), "2 problems in holm.toml");
}

#[test]
fn colour_only_adds_escape_codes() {
    let problems = config::parse("version = 1\nx = 1", Path::new("holm.toml")).expect_err("bad");
    let plain = problems.render(false, Some(80));
    let coloured = problems.render(true, Some(80));
    assert!(!plain.contains('\u{1b}'));
    assert!(coloured.contains("\u{1b}["));
    let mut stripped = String::new();
    for part in coloured.split('\u{1b}') {
        let text = part.strip_prefix('[').and_then(|code| code.split_once('m'));
        stripped.push_str(text.map_or(part, |(_, text)| text));
    }
    assert_eq!(stripped, plain);
}

#[test]
fn a_file_that_cannot_be_read_is_named() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let said = |path: &Path| {
        let problems = config::load(path).expect_err("nothing to read");
        let line = problems.lines().next().expect("never empty");
        line.replace(&folder.path().display().to_string(), "FOLDER")
    };
    let binary = folder.path().join("binary.toml");
    fs::write(&binary, b"version = 1\n# caf\xe9\n")?;
    assert_eq!(
        said(&binary),
        "FOLDER/binary.toml is not UTF-8 text: line 2, byte 17 of the file (save it as UTF-8; \
         TOML knows no other encoding)"
    );
    assert_eq!(
        said(folder.path()),
        "FOLDER is a folder (name the TOML file in it; a folder of functions is served by \
         `holm dev`)"
    );
    assert_eq!(
        said(&folder.path().join("nothing.toml")),
        "FOLDER/nothing.toml does not exist (`holm new NAME` makes a first function and a file \
         for it)"
    );
    let endless = said(Path::new("/dev/zero"));
    assert_eq!(
        endless,
        "/dev/zero is longer than 16MiB (is it the right file?)"
    );
    Ok(())
}
