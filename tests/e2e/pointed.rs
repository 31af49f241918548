//! Where PostgreSQL's own errors point: at the same character of the client's text as if the proxy were not
//! there, whatever is sent in its place.

use crate::support::client::Client;
use crate::support::stage::Role;

/// Mistakes that PostgreSQL finds, by what it points at.
const MISTAKES: &[&str] = &[
    // a column
    "SELECT city, name FROM patients GROUP BY city",
    "SELECT * FROM visits HAVING fee > 5",
    "SELECT v.* FROM visits v GROUP BY v.fee",
    "SELECT 1 FROM visits WHERE fee",
    "SELECT 1 FROM visits WHERE NOT fee",
    "SELECT CASE WHEN fee THEN 1 END FROM visits",
    "SELECT COALESCE(fee, city) FROM visits, patients",
    "SELECT GREATEST(fee, seen_on) FROM visits",
    "SELECT ARRAY[1, fee, city] FROM visits, patients",
    "SELECT 1 UNION SELECT city FROM patients",
    "SELECT count(*) FILTER (WHERE fee) FROM visits",
    "SELECT city IS TRUE FROM patients",
    "SELECT grouping(city) FROM patients",
    "SELECT city FROM patients GROUP BY GROUPING SETS ((name))",
    "SELECT DISTINCT ON (name) city FROM patients ORDER BY city",
    "SELECT DISTINCT city FROM patients ORDER BY name",
    "SELECT * FROM patients p JOIN visits v ON p.id",
    "SELECT city[1] FROM patients",
    // an operator
    "SELECT id FROM patients WHERE city = 5",
    "SELECT id FROM patients WHERE id = city",
    "SELECT id + city FROM patients",
    "SELECT - city FROM patients",
    "SELECT seen_on > 5, fee - seen_on FROM visits",
    "SELECT (1, 2) > 3",
    "SELECT EXISTS (SELECT 1) + 1",
    "SELECT id FROM patients WHERE email LIKE 5",
    "SELECT id FROM patients WHERE email NOT LIKE 5 AND city LIKE 'a'",
    "SELECT id FROM patients WHERE email NOT ILIKE 5",
    "SELECT id FROM patients WHERE city LIKE 'a' AND email ILIKE 5",
    "SELECT id FROM patients WHERE email = ANY (5)",
    "SELECT id FROM patients WHERE email OPERATOR(pg_catalog.=) 5",
    "SELECT fee IS NOT DISTINCT FROM city FROM visits, patients",
    "SELECT NULLIF(fee, city) FROM visits, patients",
    "SELECT id FROM patients WHERE city BETWEEN 5 AND 'x'",
    "SELECT id FROM patients WHERE city NOT BETWEEN 5 AND 'x'",
    "SELECT id FROM patients WHERE city IN (5, 6)",
    "SELECT id FROM patients WHERE (id, city) = (1, 2)",
    "SELECT born -> 'a' -> 5 FROM patients",
    // a constant
    "SELECT id FROM patients WHERE born = 'nonsense'",
    "SELECT id FROM patients WHERE id = 'CANARY'",
    "SELECT id FROM patients WHERE id IN (1, 'CANARY')",
    "SELECT id FROM patients WHERE id = ANY ('{CANARY}')",
    "SELECT id FROM patients WHERE id BETWEEN 'CANARY' AND 5",
    "SELECT round(fee, 'x') FROM visits",
    "SELECT CASE WHEN fee > 5 THEN 1 ELSE 'b' END FROM visits",
    "SELECT 1 UNION SELECT 'a'",
    "SELECT city FROM patients LIMIT 'x'",
    "SELECT city FROM patients ORDER BY 5",
    "SELECT city FROM patients GROUP BY 3",
    "SELECT 1, 2 UNION SELECT 3",
    "SELECT 1 FROM (VALUES (1, 2), (3)) v",
    "SELECT 'x'::integer",
    "SELECT '{a:1}'::jsonb",
    "SELECT CAST('2020-13-01' AS date)",
    "SELECT date '2020-13-01'",
    "SELECT now() + '1 nosuch'",
    "SELECT * FROM generate_series(1, 'x')",
    // a function
    "SELECT city, count(*) FROM patients WHERE count(*) > 1 GROUP BY city",
    "SELECT substring(id, 1, 2) FROM patients",
    "SELECT sum(city) FROM patients",
    "SELECT avg(city) OVER (PARTITION BY city) FROM patients",
    "SELECT row_number() FROM patients",
    "SELECT city FROM patients WHERE row_number() OVER () = 1",
    "SELECT sum(sum(fee)) FROM visits",
    "SELECT string_agg(fee, ',') FROM visits",
    "SELECT count() FROM visits",
    "SELECT lower(email, 1) FROM patients",
    "SELECT extract(year FROM city) FROM patients",
    "SELECT overlay(city PLACING 5 FROM 2) FROM patients",
    "SELECT trim(5) FROM patients",
    "SELECT seen_on AT TIME ZONE 5 FROM visits",
    "SELECT date_trunc(seen_on, 'month') FROM visits",
    "SELECT * FROM generate_series('a'::text, 'b')",
    // a cast, a collation, a window, a name
    "SELECT fee::date FROM visits",
    "SELECT CAST(fee AS date) FROM visits",
    "SELECT CAST(id::text AS text)::date::int FROM visits",
    "SELECT 1 FROM visits WHERE fee::int",
    "SELECT 1 FROM visits WHERE CAST(fee AS int)",
    "SELECT fee COLLATE \"C\" FROM visits",
    "SELECT city COLLATE \"C\" < name COLLATE \"POSIX\" FROM patients",
    "SELECT rank() OVER w FROM visits",
    "SELECT $1",
    "SELECT id FROM patients WHERE id = $2 OR id = $1",
    // nothing is wrong
    "SELECT 1",
];

/// The same of writes, to a temporary table: the role may write to no other.
const WRITES: &[&str] = &[
    "INSERT INTO mine (fee) SELECT city FROM patients",
    "INSERT INTO mine (fee) VALUES ('x')",
    "INSERT INTO mine (fee) VALUES (1), (true)",
    "INSERT INTO mine (fee) VALUES (1, 2)",
    "INSERT INTO mine (fee, seen_on) VALUES (1)",
    "UPDATE mine SET fee = true",
    "UPDATE mine SET fee = 1, seen_on = 'x' WHERE id = 1",
    "DELETE FROM mine WHERE seen_on = 'x'",
    "UPDATE mine SET fee = now()",
    "UPDATE mine SET seen_on = (fee + 1)::int",
    "INSERT INTO mine (fee, fee) VALUES (1, 2)",
];

const MINE: &str = "CREATE TEMP TABLE mine (id int, fee numeric, seen_on date)";

/// SQLSTATE and where it points; empty where there is no error.
fn pointed(client: &mut Client) -> [String; 2] {
    let messages = client.until_ready();
    let Some(error) = messages.iter().find(|m| m.kind == b'E') else {
        return [String::new(), String::new()];
    };
    let mut found = error.error();
    found[1].clear();
    for field in error.body.split(|byte| *byte == 0) {
        if let Some((b'P', text)) = field.split_first() {
            found[1] = String::from_utf8(text.to_vec()).unwrap();
        }
    }
    found
}

fn ask(client: &mut Client, sql: &str) -> [[String; 2]; 2] {
    client.send(b'Q', format!("{sql}\0").as_bytes());
    let simple = pointed(client);
    client.send(b'P', format!("\0{sql}\0\0\0").as_bytes());
    client.send(b'S', b"");
    [simple, pointed(client)]
}

/// Wherever a mistake is made, and however the text around it is written.
fn settings(mistake: &str) -> Vec<String> {
    let mut all = vec![
        mistake.to_owned(),
        format!(
            "  /* '\" é */ {}",
            mistake.replace(' ', "\n\t -- it's \"(\n ")
        ),
        format!("SELECT 1 AS c; {mistake}; SELECT 2"),
    ];
    if mistake.starts_with("SELECT") {
        all.extend([
            format!("SELECT p.*, 'é' FROM patients p WHERE EXISTS ({mistake}) AND city = 'x'"),
            format!("WITH w AS (SELECT email FROM patients WHERE email LIKE 'a%'), z AS ({mistake}) SELECT * FROM w"),
            format!("SELECT 'it''s' || E'\\n', (SELECT max(n) FROM ({mistake}) y (n)) FROM staff ORDER BY salary::int"),
            mistake.replacen("SELECT", "SELECT CASE WHEN 1 = 1 THEN 2 END, COALESCE(1::int, 2)::text,", 1),
        ]);
    }
    all
}

#[test]
fn errors_point_at_the_clients_text() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Support);
    let mut direct = stage.direct(Role::Support.masked_copy().unwrap());
    let mut told = 0_usize;
    for (mistakes, before) in [(MISTAKES, ""), (WRITES, MINE)] {
        assert_eq!(client.simple(before), direct.simple(before));
        for sql in mistakes.iter().flat_map(|mistake| settings(mistake)) {
            let (mine, theirs) = (ask(&mut client, &sql), ask(&mut direct, &sql));
            assert_eq!(mine, theirs, "{sql}");
            told += (theirs.iter().filter(|[_, place]| !place.is_empty())).count();
            stage.assert_silent(Role::Support, &mut client, &sql);
        }
    }
    assert!(told > 1000, "PostgreSQL pointed at {told}");
}

/// Plans are shared by texts that differ in their constants, and so in where everything stands.
#[test]
fn errors_point_at_the_text_that_was_sent_last() {
    let stage = super::clinic();
    let mut client = stage.connect(Role::Support);
    let mut direct = stage.direct(Role::Support.masked_copy().unwrap());
    for constant in ["a", "bbbbbbbb", "c'' /* é */ ''é", ""] {
        for sql in [
            format!(
                "SELECT id FROM patients WHERE city = '{constant}' AND name = '{constant}x' AND id = city"
            ),
            format!("SELECT id FROM patients WHERE city = '{constant}' AND born = '{constant}'"),
            format!("SELECT '{constant}', id FROM patients /* {constant} */ WHERE city = 5"),
        ] {
            assert_eq!(ask(&mut client, &sql), ask(&mut direct, &sql), "{sql}");
        }
    }
}
