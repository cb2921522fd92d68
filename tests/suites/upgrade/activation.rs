//! Socket activation, by a small activator of the test's own: a shell that has the sockets as its standard input
//! and output, puts them where systemd does, and becomes the program.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::Arc;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use toml::Table;

use crate::harness::area::{function, merge, node, table};
use crate::harness::{Request, Server, World, program, server};

const HOST: &str = "activation.test";
const WORKER: &str = "export default { fetch: () => new Response('active') };\n";

const ACTIVATOR: &str = "exec 3<&0 4<&1 0</dev/null 1>/dev/null
LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=holm.socket:other.socket
export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES
exec \"$0\" serve holm.toml";

pub(super) fn trials(world: &Arc<World>) -> Vec<Trial> {
    vec![
        world.trial("upgrade::activation_by_address", async |_| {
            by_address().await
        }),
        world.trial("upgrade::activation_of_the_admin_socket", async |_| {
            admin_socket().await
        }),
        world.trial("upgrade::activation_for_another_process", async |_| {
            for_another().await
        }),
    ]
}

fn folder(server: Table) -> anyhow::Result<TempDir> {
    let mut config = node(table([("site", function("worker.js", HOST).into())]));
    merge(&mut config, table([("server", server.into())]));
    server::folder(&config, &[("worker.js", WORKER)])
}

/// The program with these sockets, as a service manager starts it.
async fn activated(
    folder: &TempDir,
    script: &str,
    sockets: [OwnedFd; 2],
) -> anyhow::Result<Server> {
    let [first, second] = sockets;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(program::holm());
    command
        .stdin(Stdio::from(first))
        .stdout(Stdio::from(second));
    Server::start_as_it_is(&mut command, folder.path()).await
}

/// A listener is known by its address. One that the file does not name is closed, with a line about it; and
/// whoever connects while there is no process is answered by the next.
async fn by_address() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stranger = TcpListener::bind("127.0.0.1:0")?;
    let (address, closed) = (listener.local_addr()?, stranger.local_addr()?);
    let folder = folder(table([("http", address.to_string().into())]))?;
    let sockets = [listener.try_clone()?.into(), stranger.into()];
    let server = activated(&folder, ACTIVATOR, sockets).await?;
    ensure!(server.address() == address, "{}", server.address());
    let said = |line: &Value| line["addr"] == closed.to_string() && line["level"] == "warn";
    let said = server.log().first("line about the other", said).await?;
    ensure!(said["name"] == "other.socket", "{said}");
    ensure!(TcpStream::connect(closed).await.is_err(), "it is open");
    let answer = Request::get(HOST, "/").send(address).await?;
    ensure!(answer.body == "active", "{answer:?}");
    server.terminate().await?;
    ensure!(server.ended().await?.success());
    // Nobody runs, and nobody is refused.
    let mut waiting = ask(address).await?;
    let null = || std::fs::File::open("/dev/null").map(OwnedFd::from);
    let sockets = [listener.into(), null()?];
    let server = activated(&folder, ACTIVATOR, sockets).await?;
    let strange = |line: &Value| {
        let socket = line["socket"].as_str().unwrap_or_default();
        socket.contains("other.socket") && line["level"] == "warn"
    };
    server.log().first("line about no socket", strange).await?;
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await?;
    ensure!(answer.ends_with("active"), "{answer}");
    server.assert_healthy().await
}

/// A connection with a request on it that nobody has read.
async fn ask(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// The file of a socket that the service manager has made is its own: it stays.
async fn admin_socket() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let folder = folder(table([
        ("http", address.into()),
        ("admin", "unix:admin.sock".into()),
    ]))?;
    let path = folder.path().join("admin.sock");
    let admin = UnixListener::bind(&path)?;
    let sockets = [listener.into(), admin.into()];
    let server = activated(&folder, ACTIVATOR, sockets).await?;
    let args = ["status".to_owned(), "--json".to_owned()];
    let status = program::run(folder.path(), &args).await?;
    ensure!(status.status.success(), "{status:?}");
    let status: Value = serde_json::from_str(&status.stdout)?;
    ensure!(status["node"]["pid"] == server.pid(), "{status}");
    server.terminate().await?;
    ensure!(server.ended().await?.success());
    ensure!(path.exists(), "it was removed");
    Ok(())
}

/// What is meant for another process is left alone.
async fn for_another() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let folder = folder(table([]))?;
    let script = ACTIVATOR.replace("LISTEN_PID=$$", "LISTEN_PID=1");
    let other = std::fs::File::open("/dev/null")?;
    let server = activated(&folder, &script, [listener.into(), other.into()]).await?;
    ensure!(server.address() != address, "{address}");
    let answer = Request::get(HOST, "/").send(server.address()).await?;
    ensure!(answer.body == "active", "{answer:?}");
    let warned = server.log().events("warn");
    let about = |line: &Value| line.to_string().contains("service manager");
    ensure!(!warned.iter().any(about), "{warned:?}");
    Ok(())
}
