//! The shell that removes a throwaway cluster when the process that made it is gone, however it went.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits at the other end of a pipe. When it closes without the word `done`, this process is gone:
/// stop the server named by `postmaster.pid` and remove the folder. A statically kept cluster (Rust
/// runs no destructors for statics) and a killed process end here.
const CLEANER: &str = r#"
trap '' INT TERM HUP QUIT
word=; read -r word
[ "$word" = done ] && exit 0
pid=; [ -f "$1/data/postmaster.pid" ] && read -r pid < "$1/data/postmaster.pid"
if [ -n "$pid" ]; then
  kill -QUIT "$pid"
  tries=0
  while kill -0 "$pid" && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
fi
rm -rf -- "$1"
"#;

/// Starts it for one folder.
pub(super) fn spawn(folder: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", CLEANER, "pgveil-cleaner"])
        .arg(folder)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// The folder is removed: it has nothing to do.
pub(super) fn dismiss(cleaner: &mut Child) {
    if let Some(mut pipe) = cleaner.stdin.take() {
        pipe.write_all(b"done\n").unwrap_or_default();
    }
    cleaner.wait().map(drop).unwrap_or_default();
}
