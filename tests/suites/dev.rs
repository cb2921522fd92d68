//! `holm dev`: a save is served, a mistake is shown.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use libtest_mimic::Trial;
use tokio::process::Command;
use tokio::time::{MissedTickBehavior, interval};

use crate::harness::client::Answer;
use crate::harness::{Request, Server, World, program};

/// How long a save may take to be served, on a debug build and a busy machine.
const RELOAD_DEADLINE: Duration = Duration::from_secs(20);

/// How often the server is asked while a change is awaited.
const POLL: Duration = Duration::from_millis(50);

const HOST: &str = "app.localhost";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("dev::reload_on_save", async |_| reload().await),
        world.trial("dev::reload_when_an_editor_renames", async |_| {
            renamed().await
        }),
        world.trial("dev::error_page_with_code_frame", async |_| {
            error_page().await
        }),
        world.trial("dev::broken_limit_and_its_key", async |_| limit().await),
        world.trial("dev::stack_and_frame_agree", async |_| one_position().await),
        world.trial("dev::folder_of_functions", async |_| folder().await),
        world.trial("dev::one_function_at_plain_localhost", async |_| {
            plain().await
        }),
        world.trial("dev::other_files_in_the_folder", async |_| own_log().await),
        world.trial("dev::a_new_function_and_a_missing_import", async |_| {
            appearing().await
        }),
        world.trial("dev::its_own_holm_toml", async |_| own_file().await),
        world.trial("dev::https_with_an_authority_of_its_own", async |_| {
            https().await
        }),
    ]
}

fn answers(text: &str) -> String {
    format!("export default {{\n  fetch() {{\n    return new Response('{text}');\n  }},\n}};\n")
}

async fn dev(path: &Path) -> anyhow::Result<Server> {
    let path_text = crate::harness::server::path_text(path)?;
    let folder = if path.is_dir() {
        Some(path)
    } else {
        path.parent()
    };
    let folder = folder.context("no folder")?;
    Server::spawn(&["dev", path_text, "--port", "0"], folder).await
}

/// Asks until the answer is as wanted.
async fn until(
    server: &Server,
    host: &str,
    wanted: impl Fn(&Answer) -> bool,
) -> anyhow::Result<Answer> {
    let begin = Instant::now();
    let mut poll = interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        poll.tick().await;
        let request = Request::get(host, "/").header("accept", "text/html");
        let answer = request.send(server.address()).await?;
        if wanted(&answer) {
            return Ok(answer);
        }
        if begin.elapsed() > RELOAD_DEADLINE {
            bail!(
                "still {}: {}",
                answer.status,
                String::from_utf8_lossy(&answer.body)
            );
        }
    }
}

async fn reload() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let app = folder.path().join("app");
    std::fs::create_dir(&app)?;
    std::fs::write(app.join("text.js"), "export const text = 'one';\n")?;
    let index = "import { text } from './text.js';\n\
        export default { fetch() { return new Response(text); } };\n";
    std::fs::write(app.join("index.js"), index)?;
    let server = dev(&app).await?;
    until(&server, HOST, |answer| answer.body == "one").await?;
    // A module that main imports counts as much as main itself.
    std::fs::write(app.join("text.js"), "export const text = 'two';\n")?;
    until(&server, HOST, |answer| answer.body == "two").await?;
    std::fs::write(app.join("index.js"), answers("three"))?;
    until(&server, HOST, |answer| answer.body == "three").await?;
    Ok(())
}

async fn renamed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let app = folder.path().join("app");
    std::fs::create_dir(&app)?;
    std::fs::write(app.join("index.js"), answers("one"))?;
    let server = dev(&app).await?;
    until(&server, HOST, |answer| answer.body == "one").await?;
    std::fs::write(app.join("index.js.tmp"), answers("two"))?;
    std::fs::rename(app.join("index.js.tmp"), app.join("index.js"))?;
    until(&server, HOST, |answer| answer.body == "two").await?;
    Ok(())
}

async fn error_page() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let app = folder.path().join("app");
    std::fs::create_dir(&app)?;
    std::fs::write(app.join("index.js"), answers("one"))?;
    let server = dev(&app).await?;
    until(&server, HOST, |answer| answer.body == "one").await?;

    std::fs::write(
        app.join("index.js"),
        "export default {\n  fetch() {\n    return (;\n",
    )?;
    let page = until(&server, HOST, |answer| answer.status == 500).await?;
    let text = String::from_utf8_lossy(&page.body);
    for part in ["index.js", "3", "return (;"] {
        ensure!(text.contains(part), "no {part:?} on the error page: {text}");
    }

    let throws = "export default {\n  fetch() {\n    throw new Error('on purpose');\n  },\n};\n";
    std::fs::write(app.join("index.js"), throws)?;
    let page = until(&server, HOST, |answer| {
        String::from_utf8_lossy(&answer.body).contains("on purpose")
    })
    .await?;
    let text = String::from_utf8_lossy(&page.body);
    ensure!(page.status == 500, "status {}", page.status);
    for part in [
        "    at Object.fetch (index.js:3:11)\n\n",
        " --&gt; index.js:3:11\n",
    ] {
        ensure!(text.contains(part), "no {part:?} on the error page: {text}");
    }

    std::fs::write(app.join("index.js"), answers("mended"))?;
    until(&server, HOST, |answer| {
        answer.status == 200 && answer.body == "mended"
    })
    .await?;
    Ok(())
}

/// Stack and frame agree on the place that was written, whatever was made of it before it ran.
/// Which limit it was, and what raises it.
async fn limit() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("app.js");
    std::fs::write(&script, "export default { fetch() { for (;;); } };\n")?;
    let server = dev(&script).await?;
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(
        answer.status == 503
            && text.contains("app: used more than its 50ms of CPU time; `limits.cpu` raises it"),
        "{} {text}",
        answer.status
    );
    server.assert_healthy().await
}

async fn one_position() -> anyhow::Result<()> {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/errors");
    let worker = "worker.ts:20:32)\n\n";
    let bundles = [
        (
            "bundle-inline-map/worker.js",
            "(src/util.ts:7:21)\n    at Object.fetch (src/",
            "--> src/util.ts:7:21\n",
        ),
        (
            "bundle-map-beside/dist/index.js",
            "(../src/util.ts:7:21)\n    at Object.fetch (../src/",
            "--> ../src/util.ts:7:21\n",
        ),
        (
            "bundle-compiled-again/worker.ts",
            "(src/util.ts:7:21)\n    at Object.fetch (src/",
            "--> src/util.ts:7:21\n",
        ),
        (
            "bundle-map-beside/src/worker.ts",
            "(util.ts:7:21)\n    at Object.fetch (",
            "--> util.ts:7:21\n",
        ),
    ];
    for (main, stack, frame) in bundles {
        let main = cases.join(main);
        let parent = main.parent().context("a file is in a folder")?;
        let main_text = crate::harness::server::path_text(&main)?;
        let server = Server::spawn(&["dev", main_text, "--port", "0"], parent).await?;
        let folder = parent.file_name().and_then(|name| name.to_str());
        let host = format!("{}.localhost", folder.unwrap_or_default());
        let page = Request::get(&host, "/").send(server.address()).await?;
        let text = String::from_utf8_lossy(&page.body);
        ensure!(
            page.status == 500,
            "status {} for {main:?}: {text}",
            page.status
        );
        let stack = format!("{stack}{worker}");
        let line = r#"7 |   if (!order) throw new RangeError("no such order");"#;
        for part in [stack.as_str(), frame, line] {
            ensure!(text.contains(part), "no {part:?} for {main:?}: {text}");
        }
    }
    Ok(())
}

async fn folder() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for name in ["first", "second"] {
        let app = folder.path().join(name);
        std::fs::create_dir(&app)?;
        std::fs::write(app.join("index.js"), answers(name))?;
    }
    let server = dev(folder.path()).await?;
    until(&server, "first.localhost", |answer| answer.body == "first").await?;
    until(&server, "second.localhost", |answer| {
        answer.body == "second"
    })
    .await?;
    // Which of them would plain localhost be? It says where they are.
    let port = server.address().port();
    for accept in ["text/plain", "text/html"] {
        let request = Request::get("localhost", "/").header("accept", accept);
        let answer = request.send(server.address()).await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status == 404, "status {}", answer.status);
        for name in ["first", "second"] {
            let url = format!("http://{name}.localhost:{port}/");
            ensure!(text.contains(&url), "no {url}: {text}");
        }
    }
    Ok(())
}

async fn plain() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("app.js"), answers("one"))?;
    let server = dev(&folder.path().join("app.js")).await?;
    let port = server.address().port();
    for host in [HOST, "localhost", "127.0.0.1", &format!("localhost:{port}")] {
        let answer = Request::get(host, "/x").send(server.address()).await?;
        ensure!(answer.body == "one", "{host}: {answer:?}");
    }
    let elsewhere = Request::get("other.test", "/").send(server.address());
    ensure!(elsewhere.await?.status == 404);
    Ok(())
}

/// Variables, limits and routes are those of the file.
async fn own_file() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let script = "export default { fetch: (request, env) => new Response(env.WORD) };\n";
    std::fs::write(folder.path().join("index.js"), script)?;
    let config = "version = 1\nserver.http = \"0.0.0.0:1\"\n[functions.a]\nmain = \"index.js\"\nvars = { WORD = \"one\" }\n\
        routes = [\"*.example.test\", \"b.example.test/api/*\"]\n";
    let file = folder.path().join("holm.toml");
    std::fs::write(&file, config)?;
    let server = dev(folder.path()).await?;
    let port = server.address().port();
    ensure!(server.address().ip().is_loopback(), "{}", server.address());
    let url = format!("http://b.example.test:{port}/api/");
    let serving = |line: &serde_json::Value| line["msg"] == "serving" && line["url"] == *url;
    server.log().first(&url, serving).await?;
    for host in ["a.example.test", "localhost"] {
        let answer = Request::get(host, "/").send(server.address()).await?;
        ensure!(answer.body == "one", "{host}: {answer:?}");
    }
    std::fs::write(&file, config.replace("one", "two"))?;
    until(&server, "localhost", |answer| answer.body == "two").await?;
    // What is wrong with it shows on every page that is Holm's own, and the function goes on.
    std::fs::write(&file, config.replace("vars", "varz"))?;
    let is_shown = |answer: &Answer| {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        text.contains("Not reloaded") && text.contains("varz")
    };
    until(&server, "nobody.test", is_shown).await?;
    let answer = Request::get("localhost", "/")
        .send(server.address())
        .await?;
    ensure!(answer.body == "two", "{answer:?}");
    std::fs::write(&file, config.replace("one", "three"))?;
    until(&server, "localhost", |answer| answer.body == "three").await?;
    until(&server, "nobody.test", |answer| !is_shown(answer)).await?;
    Ok(())
}

/// `holm dev one.js 2>dev.log`: what it writes itself is no reason to load anything anew.
async fn own_log() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("one.js");
    let log = folder.path().join("dev.log");
    std::fs::write(&script, answers("one"))?;
    let _child = Command::new(program::holm())
        .args(["dev", "one.js", "--port", "0"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log)?)
        .kill_on_drop(true)
        .spawn()?;
    said(&log, "listening", 1).await?;
    for times in 1..=3 {
        // Whole at once, as editors do it.
        let draft = folder.path().join("one.js~");
        std::fs::write(&draft, answers(&times.to_string()))?;
        std::fs::rename(&draft, &script)?;
        said(&log, "reloaded", times).await?;
    }
    // Its own lines about that must not have set it off again. A reload takes a tenth of this.
    std::fs::write(folder.path().join("other.txt"), "unread")?;
    let mut poll = interval(POLL);
    for _ in 0..20 {
        poll.tick().await;
        let text = std::fs::read_to_string(&log)?;
        let reloads = text.matches("reloaded").count();
        ensure!(reloads == 3, "reloaded {reloads} times: {text}");
    }
    Ok(())
}

/// Waits until a file has a word so many times.
async fn said(log: &Path, word: &str, times: usize) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut poll = interval(POLL);
    loop {
        poll.tick().await;
        let text = std::fs::read_to_string(log)?;
        if text.matches(word).count() >= times {
            return Ok(());
        }
        ensure!(begin.elapsed() < RELOAD_DEADLINE, "no {word}: {text}");
    }
}

/// Files that were not there may be the ones that were missed.
async fn appearing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("a.js"), answers("a"))?;
    let server = dev(folder.path()).await?;
    std::fs::write(
        folder.path().join("b.js"),
        "import text from './text.txt';\nexport default { fetch: () => new Response(text) };\n",
    )?;
    let missed = |answer: &Answer| answer.status == 500;
    let page = until(&server, "b.localhost", missed).await?;
    let page = String::from_utf8_lossy(&page.body);
    ensure!(page.contains("text.txt"), "{page}");
    std::fs::write(folder.path().join("text.txt"), "there")?;
    until(&server, "b.localhost", |answer| answer.body == "there").await?;
    std::fs::create_dir(folder.path().join("c"))?;
    std::fs::write(folder.path().join("c/index.js"), answers("c"))?;
    until(&server, "c.localhost", |answer| answer.body == "c").await?;
    // One that throws at its top level, for something that it imports.
    std::fs::write(
        folder.path().join("c/part.js"),
        "throw new Error('early');\n",
    )?;
    let with_part = format!("import './part.js';\n{}", answers("c2"));
    std::fs::write(folder.path().join("c/index.js"), with_part)?;
    until(&server, "c.localhost", missed).await?;
    std::fs::write(folder.path().join("c/part.js"), "")?;
    until(&server, "c.localhost", |answer| answer.body == "c2").await?;
    Ok(())
}

/// Whoever trusts the authority once is served, also when a function has come since, and after a restart.
async fn https() -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir()?;
    let home = tempfile::tempdir()?;
    std::fs::write(folder.path().join("one.js"), answers("one"))?;
    let ca = home.path().join("holm/dev-ca.pem");
    let before = format!("export XDG_DATA_HOME='{}'", home.path().display());
    let args = ["dev", ".", "--port", "0", "--https=0"];
    let curl = async |server: &Server, host: &str| -> anyhow::Result<String> {
        let port = server.https().await?.port();
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--cacert"])
            .arg(&ca)
            .arg("--resolve")
            .arg(format!("{host}:{port}:127.0.0.1"))
            .arg(format!("https://{host}:{port}/"))
            .output()
            .await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &errors)
    };
    let server = Server::spawn_after(&before, &args, folder.path()).await?;
    for host in ["one.localhost", "localhost", "127.0.0.1"] {
        let said = curl(&server, host).await?;
        ensure!(said == "one", "{host}: {said}");
    }
    let told = |line: &serde_json::Value| line["authority"] == ca.display().to_string();
    server.log().first("where the authority is", told).await?;
    let mode = |name: &str| -> anyhow::Result<u32> {
        let metadata = std::fs::metadata(home.path().join("holm").join(name))?;
        Ok(metadata.permissions().mode() & 0o777)
    };
    ensure!(mode("dev-ca.key")? == 0o600 && mode("")? == 0o700);

    std::fs::write(folder.path().join("two.js"), answers("two"))?;
    let begin = Instant::now();
    loop {
        let said = curl(&server, "two.localhost").await?;
        if said == "two" {
            break;
        }
        ensure!(begin.elapsed() < RELOAD_DEADLINE, "{said}");
        tokio::time::sleep(POLL).await;
    }
    server.assert_healthy().await?;
    drop(server);

    let authority = std::fs::read(&ca)?;
    let server = Server::spawn_after(&before, &args, folder.path()).await?;
    ensure!(curl(&server, "two.localhost").await? == "two");
    ensure!(std::fs::read(&ca)? == authority, "it was made again");
    server.assert_healthy().await
}
