//! What `holm dev PATH` serves.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::config::Plan;

type Outcome = Result<(), Box<dyn Error>>;

fn write(folder: &Path, name: &str, text: &str) -> Outcome {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().ok_or("a folder")?)?;
    Ok(fs::write(path, text)?)
}

/// Route and main file of each function; the latter relative to `folder`.
fn served(folder: &Path, path: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let folder = fs::canonicalize(folder)?;
    let plan = Plan::single(path)?;
    let functions = plan.functions.iter().map(|function| {
        let main = function.place().strip_prefix(&folder)?;
        Ok((function.routes[0].to_string(), main.display().to_string()))
    });
    functions.collect()
}

#[test]
fn one_file() -> Outcome {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "My_App.ts", "")?;
    write(folder.path(), "hello/index.js", "")?;
    assert_eq!(
        served(folder.path(), &folder.path().join("My_App.ts"))?,
        [("my-app.localhost".into(), "My_App.ts".into())]
    );
    // A file whose name says nothing is called after its folder.
    assert_eq!(
        served(folder.path(), &folder.path().join("hello/index.js"))?,
        [("hello.localhost".into(), "hello/index.js".into())]
    );
    Ok(())
}

#[test]
fn a_folder_with_an_index_is_one_function() -> Outcome {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "hello/index.mjs", "")?;
    write(folder.path(), "hello/part.js", "")?;
    assert_eq!(
        served(folder.path(), &folder.path().join("hello"))?,
        [("hello.localhost".into(), "hello/index.mjs".into())]
    );
    Ok(())
}

#[test]
fn a_package_names_its_main() -> Outcome {
    let folder = tempfile::tempdir()?;
    write(
        folder.path(),
        "app/package.json",
        r#"{"main": "dist/out.js"}"#,
    )?;
    write(folder.path(), "app/dist/out.js", "")?;
    write(folder.path(), "app/other.js", "")?;
    assert_eq!(
        served(folder.path(), &folder.path().join("app"))?,
        [("app.localhost".into(), "app/dist/out.js".into())]
    );
    Ok(())
}

#[test]
fn a_folder_of_functions() -> Outcome {
    let folder = tempfile::tempdir()?;
    for name in [
        "b/index.ts",
        "app/package.json",
        "a.js",
        "a.test.js",
        "types.d.ts",
        "config.js",
        "node_modules/x/index.js",
        ".hidden.js",
        "docs/readme.md",
        "holm.toml",
    ] {
        write(folder.path(), name, "{}")?;
    }
    assert_eq!(
        served(folder.path(), folder.path())?,
        [
            ("a.localhost".into(), "a.js".into()),
            ("b.localhost".into(), "b/index.ts".into()),
            ("config.localhost".into(), "config.js".into()),
        ]
    );
    Ok(())
}

#[test]
fn nothing_to_serve_is_explained() -> Outcome {
    let folder = tempfile::tempdir()?;
    write(folder.path(), "empty/readme.md", "")?;
    write(folder.path(), "twice/a.js", "")?;
    write(folder.path(), "twice/a/index.js", "")?;
    write(folder.path(), "nameless/äöü.js", "")?;
    let here = fs::canonicalize(folder.path())?.display().to_string();
    let said = |path: &str| {
        let problems = Plan::single(&folder.path().join(path)).expect_err("nothing to serve");
        let line = problems.lines().next().expect("never empty");
        line.replace(&here, "FOLDER")
    };
    assert_eq!(
        said("empty"),
        "there is no function in FOLDER/empty (a function is a file like hello.js, or a folder \
         with an index.js or a package.json that names its main)"
    );
    assert_eq!(
        said("twice"),
        "FOLDER/twice/a/index.js and FOLDER/twice/a.js would both be called `a` (rename one of \
         them, or serve them from a configuration file)"
    );
    assert_eq!(
        said("empty/readme.md"),
        "FOLDER/empty/readme.md is not a JavaScript or TypeScript module (known extensions: \
         `js`, `mjs`, `jsx`, `ts`, `mts` and `tsx`)"
    );
    assert!(said("nameless").starts_with("no hostname can be made of the name of"));
    assert!(said("nothing").contains("cannot open"));
    Ok(())
}
