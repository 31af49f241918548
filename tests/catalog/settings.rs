//! Settings that are kept and not obeyed: those of the server, and its reading of their values.

use std::fmt::Write as _;

use super::*;

const USERS: &str = "FROM pg_settings WHERE context = 'user'";

#[test]
fn every_planner_setting_of_the_server_has_been_considered() {
    let planner = lines(&format!(
        "SELECT name {USERS} AND category LIKE 'Query Tuning%' OR name LIKE 'jit%' AND context = 'user'"
    ));
    assert!(planner.len() > 40);
    let unknown: Vec<_> = (planner.iter())
        .filter(|name| allow::unheeded(name).is_none())
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// The bounds of the list are the server's.
#[test]
fn a_setting_is_what_the_server_says() {
    let version: u32 = lines("SHOW server_version_num")[0].parse().unwrap();
    let server: std::collections::HashMap<String, String> = lines(&format!(
        "SELECT name || '|' || vartype || '|' || coalesce(unit, '') || '|' || coalesce(min_val, '') \
         || '|' || coalesce(max_val, '') || '|' || coalesce(array_to_string(enumvals, ','), '') {USERS}"
    ))
    .into_iter()
    .map(|line| line.split_once('|').map(|(n, r)| (n.into(), r.into())).unwrap())
    .collect();
    for setting in allow::all_unheeded() {
        assert_eq!(
            setting.is_known(version),
            server.contains_key(setting.name),
            "{}",
            setting.name
        );
        let Some(said) = server.get(setting.name) else {
            continue;
        };
        let ours = match setting.kind {
            Kind::Bool => "bool||||".to_owned(),
            Kind::Enum(names, _) => format!("enum||||{}", names.join(",")),
            Kind::Integer(from, to) => format!("integer||{from}|{to}|"),
            // The least was lowered in 17; the list keeps the greater one.
            Kind::Memory(_, to, unit) if setting.name == "maintenance_work_mem" => {
                assert_eq!(unit, 1024);
                format!(
                    "integer|kB|{}|{to}|",
                    if version < 170_000 { 1024 } else { 64 }
                )
            }
            Kind::Memory(from, to, unit) => {
                format!("integer|{}kB|{from}|{to}|", unit / 1024).replace("|1kB", "|kB")
            }
            Kind::Real(from, to) => {
                let shown = |n: f64| {
                    Kind::Real(f64::MIN, f64::MAX)
                        .shown(&format!("{n:e}"))
                        .unwrap()
                };
                format!("real||{}|{}|", shown(from), shown(to))
            }
        };
        assert_eq!(*said, ours, "{}", setting.name);
    }
}

/// What PostgreSQL makes of a value, the proxy makes of it.
#[test]
fn values_are_read_as_the_server_reads_them() {
    const VALUES: [&str; 62] = [
        "0",
        "1",
        "-1",
        "+1",
        " 2 ",
        "007",
        "08",
        "0x10",
        "0X1F",
        "0x",
        "64",
        "63",
        "100",
        "1024",
        "1023",
        "65536",
        "65535",
        "99999999999",
        "2147483647",
        "2147483648",
        "1.5",
        "1.4999",
        "2.5",
        "0.5",
        ".5",
        "5.",
        "1e3",
        "1e",
        "1e+2",
        "1e-3",
        "1e400",
        "0.0025",
        "123456.789",
        "1234567.5",
        "64MB",
        "64 MB",
        "64mb",
        "1.5GB",
        "30.1GB",
        "1TB",
        "8kB",
        "12kB",
        "4097kB",
        "512B",
        "1000000B",
        "64MBx",
        "64 M B",
        "10s",
        "on",
        "ON",
        "o",
        "of",
        "off",
        "t",
        "tr",
        "yes",
        "n",
        "FALSE",
        "remote_apply",
        "force_generic_plan",
        "partition",
        "",
    ];
    let version: u32 = lines("SHOW server_version_num")[0].parse().unwrap();
    let mut script = String::from(
        "CREATE TEMP TABLE said (setting text, given text, shown text);\n\
         CREATE FUNCTION pg_temp.try(s text, v text) RETURNS text LANGUAGE plpgsql AS $$ \
         BEGIN RETURN set_config(s, v, false); \
         EXCEPTION WHEN OTHERS THEN DECLARE h text; BEGIN \
         GET STACKED DIAGNOSTICS h = PG_EXCEPTION_HINT; \
         RETURN SQLSTATE || ' ' || SQLERRM || ' ' || h; END; END $$;\n",
    );
    let mut asked = Vec::new();
    for setting in allow::all_unheeded().filter(|s| s.is_known(version)) {
        for value in VALUES {
            writeln!(script, "SELECT pg_temp.try('{}', '{value}');", setting.name).unwrap();
            asked.push((setting, value));
        }
    }
    let said: Vec<String> = lines(&script)
        .into_iter()
        .filter(|line| !line.starts_with("CREATE"))
        .collect();
    assert_eq!(said.len(), asked.len());
    // Newer servers name the unit in the range, too.
    let short = |text: &str| {
        let cut = text.split_once(" (").filter(|_| version >= 170_000);
        cut.map_or(text, |(before, _)| before).trim_end().to_owned()
    };
    for ((setting, value), said) in asked.into_iter().zip(said) {
        let ours = setting.shown(value).unwrap_or_else(|refusal| {
            let hint = refusal.hint.unwrap_or_default();
            format!("{} {} {hint}", refusal.sqlstate, refusal.message)
        });
        let (ours, said) = (short(&ours), short(&said));
        // Less than 1 MB, which 17 would take: see the test above.
        if setting.name == "maintenance_work_mem" && version >= 170_000 && said.ends_with("kB") {
            assert!(
                ours == said || ours.starts_with("22023 "),
                "{value}: {ours}"
            );
            continue;
        }
        assert_eq!(ours, said, "{} = '{value}'", setting.name);
    }
}
