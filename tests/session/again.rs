//! Statements of one shape, one after the other: the second is not planned anew, and must not be known
//! by it.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::stage::{code, connect};

/// The first column of a simple query's rows.
async fn column(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap();
    let value = |m: &SimpleQueryMessage| match m {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    };
    messages.iter().filter_map(value).collect()
}

#[tokio::test]
async fn each_text_has_its_own_constants_and_its_masks() {
    let (client, _task) = connect("support").await;
    for _ in 0..3 {
        for (id, email) in [
            (1, "a**@example.com"),
            (2, "g****@example.com"),
            (3, "NULL"),
        ] {
            let sql = format!("SELECT email FROM people WHERE id = {id}");
            assert_eq!(column(&client, &sql).await, [email]);
        }
        for (city, ids) in [("Lund", &["1", "3"][..]), ("Paris", &["2"]), ("it''s", &[])] {
            let sql = format!("SELECT id FROM people WHERE city = '{city}' ORDER BY 1");
            assert_eq!(column(&client, &sql).await, ids);
        }
        for (constant, value) in [
            ("'it''s'", "it's"),
            (r"'a\b'", r"a\b"),
            (r"E'a\\b''\x41'", r"a\b'A"),
            ("$$'; --$$", "'; --"),
            ("'a'\n'b'", "ab"),
            ("U&'\\0061'", "a"),
        ] {
            let sql = format!("SELECT {constant} || city FROM people WHERE id = 1");
            assert_eq!(column(&client, &sql).await, [format!("{value}Lund")]);
        }
    }
}

#[tokio::test]
async fn a_plan_is_no_wider_than_what_it_was_made_from() {
    let (client, _task) = connect("support").await;
    for _ in 0..2 {
        let by = |n: usize| format!("SELECT id, city FROM people ORDER BY {n}, 1");
        assert_eq!(column(&client, &by(1)).await, ["1", "2", "3"]);
        assert_eq!(column(&client, &by(2)).await, ["1", "3", "2"]);
        let error = client.simple_query(&by(3)).await.unwrap_err();
        assert_eq!(code(&error), "42P10");
        let class = |name: &str| format!("SELECT '{name}'::regclass::text");
        let people = column(&client, &class("people")).await;
        assert_eq!(people, ["people"]);
        let error = client.simple_query(&class("pg_catalog.nothing")).await;
        assert_eq!(code(&error.unwrap_err()), "42P01");
        // An int8 where there was an int4.
        for number in ["2147483647", "2147483648", "9223372036854775808", "1.50"] {
            let sql = format!("SELECT {number} + 0");
            assert_eq!(column(&client, &sql).await, [number]);
        }
    }
}

/// A prepared statement reads what its names mean when it runs, with the masks of that.
#[tokio::test]
async fn a_statement_outlives_the_sessions_own_table() {
    let (client, _task) = connect("support").await;
    let made =
        "CREATE TEMP TABLE people (id int, email text); INSERT INTO people VALUES (1, 'own')";
    let read = "SELECT email::text FROM people WHERE id = 1";
    client.simple_query(made).await.unwrap();
    client
        .simple_query(&format!("PREPARE p AS {read}"))
        .await
        .unwrap();
    let prepared = client.prepare(read).await.unwrap();
    for (stored, then) in [
        ("own", "DROP TABLE people"),
        ("a**@example.com", made),
        ("a**@example.com", "SELECT"),
    ] {
        assert_eq!(column(&client, "EXECUTE p").await, [stored]);
        let row = client.query_one(&prepared, &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), stored);
        client.simple_query(then).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_the_sessions_own_comes_first() {
    let (client, _task) = connect("support").await;
    let (other, _task) = connect("support").await;
    let read = "SELECT id FROM still";
    for _ in 0..2 {
        assert!(column(&client, read).await.is_empty());
        let made = "CREATE TEMP TABLE still (id int); INSERT INTO still VALUES (7)";
        client.simple_query(made).await.unwrap();
        assert_eq!(column(&client, read).await, ["7"]);
        assert_eq!(
            client.query(read, &[]).await.unwrap()[0].get::<_, i32>(0),
            7
        );
        assert!(column(&other, read).await.is_empty());
        assert!(other.query(read, &[]).await.unwrap().is_empty());
        client.simple_query("DROP TABLE still").await.unwrap();
        assert!(client.query(read, &[]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_search_path_is_not_another_sessions() {
    let (client, _task) = connect("support").await;
    let (other, _task) = connect("support").await;
    let read = "SELECT city FROM people WHERE id = 2";
    for _ in 0..2 {
        assert_eq!(column(&client, read).await, ["Paris"]);
        client
            .simple_query("SET search_path = pg_catalog")
            .await
            .unwrap();
        let error = client.simple_query(read).await.unwrap_err();
        assert_eq!(code(&error), "42P01");
        let error = client.query(read, &[]).await.unwrap_err();
        assert_eq!(code(&error), "42P01");
        assert_eq!(column(&other, read).await, ["Paris"]);
        client.simple_query("RESET search_path").await.unwrap();
        assert_eq!(
            client.query(read, &[]).await.unwrap()[0].get::<_, &str>(0),
            "Paris"
        );
    }
}

#[tokio::test]
async fn transactions_begin_and_end_as_often_as_they_are_told_to() {
    let (client, _task) = connect("support").await;
    let count = "SELECT count(*) FROM sink WHERE note = 'again'";
    for n in 0..3 {
        client.simple_query("BEGIN").await.unwrap();
        let insert = format!("INSERT INTO sink VALUES ({n}, 'again')");
        client.simple_query(&insert).await.unwrap();
        assert_eq!(column(&client, count).await, ["1"]);
        let error = client
            .simple_query("SELECT 1 / (id - id) FROM people")
            .await;
        assert_eq!(code(&error.unwrap_err()), "22012");
        assert_eq!(
            code(&client.simple_query(count).await.unwrap_err()),
            "25P02"
        );
        client.simple_query("ROLLBACK").await.unwrap();
        assert_eq!(column(&client, count).await, ["0"]);
    }
    for _ in 0..2 {
        // Settings of a transaction that was begun again are undone with it.
        client.simple_query("BEGIN").await.unwrap();
        client
            .simple_query("SET search_path = nowhere")
            .await
            .unwrap();
        client.simple_query("ROLLBACK").await.unwrap();
        assert_eq!(
            column(&client, "SELECT id FROM people WHERE id = 1").await,
            ["1"]
        );
    }
}
