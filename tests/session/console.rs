//! The console: what it shows, what it does, and for whom.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use pgveil::server::config::PoolMode;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::stage::{
    Another, PASSWORD, Stage, code, eventually, options, records, runs, until_it_runs,
};

/// A console: `app` is an administrator on this stage, `support` may look.
async fn console(addr: SocketAddr, user: &str) -> Client {
    let mut options = options(addr, user);
    options.dbname("pgveil");
    let (client, connection) = options.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn client(addr: SocketAddr, user: &str, application: &str) -> Client {
    let mut options = options(addr, user);
    options.application_name(application);
    let (client, connection) = options.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn rows(console: &Client, command: &str) -> Vec<SimpleQueryRow> {
    let messages = console.simple_query(command).await.unwrap();
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

/// The row in which a column has a value.
async fn find(console: &Client, command: &str, column: &str, value: &str) -> SimpleQueryRow {
    let rows = rows(console, command).await;
    let found = rows.into_iter().find(|row| row.get(column) == Some(value));
    assert!(found.is_some(), "{command}: no {column} = {value}");
    found.unwrap()
}

fn another() -> Another {
    Stage::shared().another(|_| {})
}

/// Whatever its role, and whether its connection is lent.
#[tokio::test]
async fn times_and_states_are_those_of_the_client() {
    const THINKS: Duration = Duration::from_millis(80);
    for (user, mode) in [
        ("app", PoolMode::Session),
        ("support", PoolMode::Session),
        ("app", PoolMode::Transaction),
        ("support", PoolMode::Transaction),
    ] {
        let running = Stage::shared().another(|config| config.pool.mode = mode);
        let what = format!("{user}, {mode:?}");
        let console = console(running.addr, "support").await;
        let one = client(running.addr, user, "timed").await;
        one.simple_query("SELECT 1").await.unwrap();
        one.simple_query("BEGIN").await.unwrap();
        one.query("SELECT count(*) FROM people", &[]).await.unwrap();
        tokio::time::sleep(THINKS).await;
        one.simple_query("COMMIT").await.unwrap();
        let stats = find(&console, "SHOW STATS", "database", "stage").await;
        let number = |name: &str| stats.get(name).unwrap().parse::<u128>().unwrap();
        let (transactions, queries) = (number("total_xact_time"), number("total_query_time"));
        assert!(queries > 0, "{what}");
        assert!(
            transactions >= queries + THINKS.as_micros(),
            "{what}: {transactions}, {queries}"
        );
        // The client knows of an error before ReadyForQuery has come.
        let idle = || {
            eventually("it stays active", async || {
                let shown = find(&console, "SHOW CLIENTS", "application_name", "timed").await;
                shown.get("state") == Some("idle")
            })
        };
        for wrong in ["DO $$ BEGIN END $$ x", "SELECT 1/0"] {
            assert!(one.simple_query(wrong).await.is_err());
            idle().await;
        }
        assert!(one.query("SELECT nothing", &[]).await.is_err());
        idle().await;
    }
}

#[tokio::test]
async fn clients_servers_and_pools_are_shown_as_they_are() {
    let running = another();
    let console = console(running.addr, "support").await;
    let app = client(running.addr, "app", "shown").await;
    app.simple_query("SELECT 1").await.unwrap();
    app.simple_query("BEGIN; SELECT 2").await.unwrap();
    let pid: i32 = app
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);

    let shown = find(&console, "SHOW CLIENTS", "application_name", "shown").await;
    for (column, value) in [
        ("type", "C"),
        ("user", "app"),
        ("role", "app"),
        ("database", "stage"),
        ("state", "active"),
        ("addr", "127.0.0.1"),
        ("xact_count", "1"),
        ("link", &pid.to_string()),
        ("wait", "0"),
    ] {
        assert_eq!(shown.get(column), Some(value), "{column}");
    }
    let queries: u32 = shown.get("query_count").unwrap().parse().unwrap();
    assert!(queries >= 3, "{queries}");
    assert!(shown.get("received").unwrap().parse::<u32>().unwrap() > 20);
    app.simple_query("COMMIT").await.unwrap();
    let shown = find(&console, "SHOW CLIENTS", "application_name", "shown").await;
    assert_eq!(shown.get("state"), Some("idle"));

    let server = find(&console, "SHOW SERVERS", "application_name", "shown").await;
    let port = Stage::shared().cluster.address().port().to_string();
    assert_eq!(server.get("remote_pid"), Some(pid.to_string().as_str()));
    assert_eq!(server.get("port"), Some(port.as_str()));
    assert_eq!(server.get("user"), Some("stage_login"));

    let pool = find(&console, "SHOW POOLS", "database", "stage").await;
    for (column, value) in [
        ("user", "stage_login"),
        ("cl_active", "1"),
        ("cl_waiting", "0"),
        ("sv_active", "1"),
        ("maxwait_us", "0"),
        ("pool_mode", "session"),
    ] {
        assert_eq!(pool.get(column), Some(value), "{column}");
    }

    let stats = find(&console, "SHOW STATS", "database", "stage").await;
    assert_eq!(stats.get("total_xact_count"), Some("2"));
    assert!(
        stats
            .get("total_query_time")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    assert!(stats.get("avg_query_count").is_some());
    let totals = find(&console, "SHOW STATS_TOTALS", "database", "stage").await;
    let averages = totals
        .columns()
        .iter()
        .filter(|c| c.name().starts_with("avg"));
    assert_eq!(averages.count(), 0);

    let user = find(&console, "SHOW USERS", "name", "app").await;
    assert_eq!(user.get("current_client_connections"), Some("1"));
    let database = find(&console, "SHOW DATABASES", "name", "stage").await;
    assert_eq!(database.get("port"), Some(port.as_str()));
    assert_eq!(database.get("paused"), Some("0"));
    let version = rows(&console, "show version;").await;
    assert!(version[0].get(0).unwrap().starts_with("pgveil "));
    // Who leaves is gone from the list, and what it did is not forgotten.
    drop(app);
    eventually("its pool stays", async || {
        rows(&console, "SHOW POOLS").await.is_empty()
    })
    .await;
    let stats = find(&console, "SHOW STATS", "database", "stage").await;
    assert_eq!(stats.get("total_xact_count"), Some("2"));
}

#[tokio::test]
async fn the_configuration_is_shown_without_its_secrets() {
    let console = console(Stage::shared().addr, "app").await;
    let mut settings = HashMap::new();
    for row in rows(&console, "SHOW CONFIG").await {
        for column in 0..row.len() {
            let text = row.get(column).unwrap_or_default();
            assert!(
                !text.contains(PASSWORD) || text.contains("stage_login"),
                "{text}"
            );
        }
        settings.insert(
            row.get("key").unwrap().to_owned(),
            row.get("value").unwrap().to_owned(),
        );
    }
    assert_eq!(settings["pool.size"], "50");
    assert_eq!(settings["upstream.logins"], "*: stage_login");
    assert_eq!(settings["admin_users"], "app");
}

#[tokio::test]
async fn refusals_are_shown_without_a_word_of_the_query() {
    let running = another();
    let console = console(running.addr, "app").await;
    let support = client(running.addr, "support", "denied").await;
    let asked = "UPDATE people SET city = 'CANARY' WHERE id = 1";
    let refused = support.simple_query(asked).await.unwrap_err();
    // Whoever writes the audit log says it here as well, a moment later.
    eventually("nothing is shown", async || {
        !rows(&console, "SHOW DENIED").await.is_empty()
    })
    .await;
    let denied = find(&console, "SHOW DENIED", "application_name", "denied").await;
    assert_eq!(denied.get("sqlstate"), Some(code(&refused).as_str()));
    assert_eq!(denied.get("role"), Some("support"));
    assert_eq!(denied.get("reason"), Some("permission denied for table"));
    // The number a user reads in the error's words is the one shown here.
    let decision = denied.get("decision").unwrap();
    assert!(format!("{:?}", refused.as_db_error().unwrap()).contains(decision));
    for column in 0..denied.len() {
        assert!(!denied.get(column).unwrap_or_default().contains("CANARY"));
    }
}

#[tokio::test]
async fn who_may_look_may_not_touch_and_others_may_not_even_look() {
    let running = another();
    let looking = console(running.addr, "support").await;
    for command in [
        "PAUSE",
        "RESUME",
        "RELOAD",
        "KILL",
        "KILL_CLIENT 1",
        "SHUTDOWN",
    ] {
        let error = looking.simple_query(command).await.unwrap_err();
        assert_eq!(code(&error), "42501", "{command}");
    }
    assert!(!rows(&looking, "SHOW STATE").await.is_empty());
    let mut stranger = options(running.addr, "watched");
    stranger.dbname("pgveil");
    let refused = stranger.connect(NoTls).await.err().unwrap();
    assert_eq!(code(&refused), "28000");
    // Where nobody is named, the name is any database's.
    let without = Stage::shared().another(|config| {
        config.admin_users.clear();
        config.stats_users.clear();
    });
    let mut nowhere = options(without.addr, "app");
    nowhere.dbname("pgveil");
    assert_eq!(code(&nowhere.connect(NoTls).await.err().unwrap()), "3D000");
}

#[tokio::test]
async fn what_is_no_command_is_not_repeated() {
    let console = console(Stage::shared().addr, "app").await;
    for text in [
        "SELECT 'CANARY'",
        "SHOW CANARY",
        "PAUSE CANARY CANARY",
        "SET canary = 1",
    ] {
        let error = console.simple_query(text).await.unwrap_err();
        assert_eq!(code(&error), "42601", "{text}");
        assert!(!format!("{error:?}").to_uppercase().contains("CANARY"));
    }
    let error = console.simple_query("PAUSE nowhere").await.unwrap_err();
    assert_eq!(code(&error), "3D000");
    assert_eq!(
        code(&console.simple_query("KILL 99999999").await.unwrap_err()),
        "42704"
    );
    assert_eq!(
        code(&console.simple_query("RESUME").await.unwrap_err()),
        "55000"
    );
}

#[tokio::test]
async fn drivers_may_use_the_extended_protocol() {
    let running = another();
    let console = console(running.addr, "app").await;
    let _app = client(running.addr, "app", "extended").await;
    let rows = console.query("SHOW CLIENTS", &[]).await.unwrap();
    let row = rows
        .iter()
        .find(|r| r.get::<_, &str>("application_name") == "extended");
    let id: i64 = row.unwrap().get("id");
    assert!(id > 0);
    assert!(console.query("SELECT 1", &[]).await.is_err());
    // The session goes on after an error.
    assert_eq!(console.execute("RELOAD", &[]).await.unwrap(), 0);
    assert!(console.query("SHOW HELP", &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_killed_client_is_told_and_its_query_ends() {
    let running = another();
    let console = console(running.addr, "app").await;
    for (user, rows) in [("app", 90_001), ("support", 90_002)] {
        let victim = client(running.addr, user, "victim").await;
        let other = client(running.addr, user, "bystander").await;
        let slow = slow(rows);
        let query = tokio::spawn(async move { victim.simple_query(&slow).await });
        let words = format!("generate_series%{rows}");
        until_it_runs(&words).await;
        let shown = find(&console, "SHOW CLIENTS", "application_name", "victim").await;
        let kill = format!("KILL {}", shown.get("id").unwrap());
        console.simple_query(&kill).await.unwrap();
        assert_eq!(code(&query.await.unwrap().unwrap_err()), "57P01");
        assert!(other.simple_query("SELECT 1").await.is_ok());
        // Its work in PostgreSQL is cancelled, not left to run on for nobody.
        let cluster = &Stage::shared().cluster;
        eventually("it runs on", async || runs(cluster, &words, 0)).await;
    }
}

/// Longer than a test, and allowed to both roles.
fn slow(rows: u32) -> String {
    format!(
        "SELECT count(*) FROM generate_series(1, {rows}) a(i), generate_series(1, {rows}) b(j), \
         generate_series(1, {rows}) c(k)"
    )
}

#[tokio::test]
async fn a_killed_database_is_empty_until_it_is_resumed() {
    let running = another();
    let (console, addr) = (console(running.addr, "app").await, running.addr);
    let victim = client(addr, "app", "victim").await;
    console.simple_query("KILL stage").await.unwrap();
    eventually("it goes on", async || victim.is_closed()).await;
    let back = tokio::spawn(async move { client(addr, "app", "back").await });
    eventually("it does not wait", async || {
        let rows = rows(&console, "SHOW CLIENTS").await;
        let back = |row: &SimpleQueryRow| row.get("application_name") == Some("back");
        let waiting = |row: &SimpleQueryRow| row.get("state") == Some("waiting");
        rows.iter().any(|row| back(row) && waiting(row))
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!back.is_finished());
    console.simple_query("RESUME stage").await.unwrap();
    assert!(back.await.unwrap().simple_query("SELECT 1").await.is_ok());
}

#[tokio::test]
async fn a_pause_lets_nobody_begin_and_returns_when_all_have_left() {
    let running = another();
    let (first, second) = (
        console(running.addr, "app").await,
        console(running.addr, "app").await,
    );
    let addr = running.addr;
    let before = client(addr, "app", "before").await;
    let pause = tokio::spawn(async move { first.simple_query("PAUSE").await.map(|_| first) });
    eventually("it is not paused", async || {
        let database = find(&second, "SHOW DATABASES", "name", "stage").await;
        database.get("paused") == Some("1")
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // In session mode a client has its server until it leaves.
    assert!(!pause.is_finished());
    assert!(before.simple_query("SELECT 1").await.is_ok());
    let later = tokio::spawn(async move { client(addr, "support", "later").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!later.is_finished());
    let again = second.simple_query("PAUSE").await.unwrap_err();
    assert_eq!(code(&again), "55000");
    drop(before);
    assert!(pause.await.unwrap().is_ok());
    assert!(!later.is_finished());
    second.simple_query("RESUME").await.unwrap();
    assert!(later.await.unwrap().simple_query("SELECT 1").await.is_ok());
}

#[tokio::test]
async fn commands_leave_records_and_a_wrong_policy_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let policy = std::fs::read_to_string(Stage::shared().policy()).unwrap();
    std::fs::write(&file, &policy).unwrap();
    let audit = folder.path().join("audit.jsonl");
    let (at, log) = (file.clone(), audit.clone());
    let running = Stage::shared().another(move |config| {
        config.policies = at;
        config.audit = Some(log);
    });
    let console = console(running.addr, "app").await;
    console.simple_query("RELOAD").await.unwrap();
    std::fs::write(&file, "version: 1\nroles: nonsense\n").unwrap();
    let error = console.simple_query("RELOAD").await.unwrap_err();
    assert_eq!(code(&error), "F0000");
    let detail = error.as_db_error().unwrap().detail().unwrap().to_owned();
    assert!(detail.contains("policy.yaml:2"), "{detail}");
    console.simple_query("KILL stage").await.unwrap();
    let said = || -> Vec<String> {
        let records = records(&audit).into_iter();
        let admin = records.filter(|r| r["event"] == "admin");
        admin
            .map(|r| {
                format!(
                    "{} {} {} {}",
                    r["login"], r["kind"], r["decision"], r["target"]
                )
            })
            .collect()
    };
    eventually("records are missing", async || said().len() >= 3).await;
    assert_eq!(
        said(),
        [
            r#""app" "RELOAD" "allow" null"#,
            r#""app" "RELOAD" "error" null"#,
            r#""app" "KILL" "allow" "stage""#
        ]
    );
}

#[tokio::test]
async fn roles_and_logins_have_as_many_sessions_as_they_may() {
    let running = Stage::shared().another(|config| {
        config.max_connections.logins = [("app".to_owned(), 1)].into();
        config.max_connections.roles = [("support".to_owned(), 1)].into();
    });
    for user in ["app", "support"] {
        let first = client(running.addr, user, "first").await;
        let refused = options(running.addr, user).connect(NoTls).await;
        assert_eq!(code(&refused.err().unwrap()), "53300", "{user}");
        drop(first);
        eventually("its place is not free again", async || {
            options(running.addr, user).connect(NoTls).await.is_ok()
        })
        .await;
    }
    // The console is for when everything is full.
    drop(console(running.addr, "app").await);
}
