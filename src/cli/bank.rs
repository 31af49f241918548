//! The sample bank of `pgveil demo`, the same in every run: 2,400 customers with their accounts and
//! orders, as one script for `psql`.
//!
//! Deliberately absent: protection. What its roles may see is said in `policies/`, nowhere else.

mod numbers;
mod words;

use std::fmt::Write as _;

use numbers::{Date, Dice};
use words::{FAMILY, FAMILY_PINYIN, GIVEN, LATIN_FAMILY, LATIN_GIVEN, PLACES};

/// Customers in the bank.
pub const CUSTOMERS: u64 = 2_400;

/// 1945-01-01 and 2006-12-31, in days from 1970-01-01: birth dates of adults.
const BIRTHS: (i64, i64) = (-9_131, 13_513);

/// 2019-01-01 and 2026-03-31: the bank's life so far.
const HISTORY: (i64, i64) = (17_897, 20_543);

/// Tables, view and indexes. Customers' rows come before their accounts', so the foreign keys hold
/// during COPY.
const SCHEMA: &str = "\
CREATE SCHEMA bank;
CREATE TABLE bank.customers (
  id bigint PRIMARY KEY,
  name text NOT NULL,
  id_number varchar(18),
  mobile varchar(20),
  email varchar(160),
  birth_date date,
  address text,
  city text,
  segment text NOT NULL,
  created_at timestamptz NOT NULL,
  notes text
);
CREATE TABLE bank.accounts (
  id bigint PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES bank.customers,
  card_no varchar(19) NOT NULL,
  balance numeric(14,2) NOT NULL,
  currency char(3) NOT NULL,
  opened_on date NOT NULL,
  status text NOT NULL
);
CREATE TABLE bank.orders (
  id bigint PRIMARY KEY,
  customer_id bigint NOT NULL REFERENCES bank.customers,
  account_id bigint NOT NULL REFERENCES bank.accounts,
  placed_at timestamptz NOT NULL,
  amount numeric(12,2) NOT NULL,
  channel text NOT NULL,
  status text NOT NULL,
  recipient_name text,
  recipient_mobile varchar(20)
);
";

const VIEWS: &str = "\
CREATE INDEX ON bank.customers (city);
CREATE INDEX ON bank.customers (mobile);
CREATE INDEX ON bank.accounts (customer_id);
CREATE INDEX ON bank.orders (customer_id);
CREATE INDEX ON bank.orders (placed_at);
CREATE VIEW bank.customer_contacts AS
  SELECT id, name, mobile, email, city FROM bank.customers;
CREATE VIEW bank.spend_by_city AS
  SELECT c.city, count(DISTINCT c.id) AS customers, sum(o.amount) AS total
  FROM bank.customers c JOIN bank.orders o ON o.customer_id = c.id
  GROUP BY c.city;
ANALYZE bank.customers, bank.accounts, bank.orders;
";

/// The whole bank as a script for `psql`: schema, rows by COPY, indexes, views.
pub fn script() -> String {
    let tables = Tables::deal();
    let mut script = String::with_capacity(4 * 1024 * 1024);
    script.push_str("BEGIN;\n");
    script.push_str(SCHEMA);
    for (table, rows) in [
        ("customers", &tables.customers),
        ("accounts", &tables.accounts),
        ("orders", &tables.orders),
    ] {
        writeln!(script, "COPY bank.{table} FROM stdin;").unwrap_or_default();
        script.push_str(rows);
        script.push_str("\\.\n");
    }
    script.push_str(VIEWS);
    script.push_str("COMMIT;\n");
    script
}

/// The login the proxy uses, as SQL: it may read and write the rows, and owns nothing.
pub fn login(password: &str) -> String {
    let quoted = password.replace('\'', "''");
    format!(
        "CREATE ROLE pgveil LOGIN PASSWORD '{quoted}';\n\
         GRANT USAGE ON SCHEMA bank TO pgveil;\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bank TO pgveil;\n"
    )
}

/// Rows in COPY's text format. No word of the bank holds a tab, a newline or a backslash.
struct Tables {
    customers: String,
    accounts: String,
    orders: String,
}

/// What an order needs to know of a customer.
struct Person {
    name: String,
    mail_name: String,
}

impl Tables {
    fn deal() -> Self {
        let mut dice = Dice::new(0x7067_7665_696c);
        let mut tables = Self {
            customers: String::new(),
            accounts: String::new(),
            orders: String::new(),
        };
        let (mut account, mut order) = (100_000, 1);
        for id in 1..=CUSTOMERS {
            let since = tables.customer(id, &mut dice);
            for _ in 0..dice.between(1, 2) {
                account += 1;
                tables.account(account, id, since, &mut dice);
                for _ in 0..dice.between(0, 6) {
                    tables.order(order, id, account, since, &mut dice);
                    order += 1;
                }
            }
        }
        tables
    }

    /// Adds a customer; gives the day of the first contact.
    fn customer(&mut self, id: u64, dice: &mut Dice) -> i64 {
        let person = Person::new(dice);
        let place = dice.pick(&PLACES, PLACES[0]);
        let birth = day_between(BIRTHS, dice);
        let id_number = numbers::id_number(place.region, birth.1, dice.between(1, 999));
        let mobile = or_null(95, mobile(dice), dice);
        let email = format!(
            "{}{}@{}",
            person.mail_name,
            id,
            dice.pick(&words::MAIL, "example.com")
        );
        let email = or_null(92, email, dice);
        let street = dice.pick(&words::STREETS, "人民路");
        let address = format!(
            "{}{street}{}号{}室",
            place.address,
            dice.between(1, 388),
            dice.between(101, 2_604)
        );
        let segment = dice.pick(
            &["retail", "retail", "retail", "premium", "private"],
            "retail",
        );
        let since = day_between(HISTORY, dice);
        let notes = or_null(20, dice.pick(&words::NOTES, "").to_owned(), dice);
        writeln!(
            self.customers,
            "{id}\t{}\t{id_number}\t{mobile}\t{email}\t{}\t{address}\t{}\t{segment}\t{}\t{notes}",
            person.name,
            birth.1.iso(),
            place.city,
            moment(since.1, dice),
        )
        .unwrap_or_default();
        since.0
    }

    fn account(&mut self, id: u64, customer: u64, since: i64, dice: &mut Dice) {
        let card = numbers::card_no(dice.pick(&words::CARD, "621700"), &dice.digits(12));
        let opened = day_between((since, HISTORY.1), dice).1.iso();
        let (low, high) = dice.pick(&[(0, 90_000), (10_000, 2_000_000), (0, 60_000_000)], (0, 0));
        let currency = dice.pick(&["CNY", "CNY", "CNY", "CNY", "USD", "EUR"], "CNY");
        let status = dice.pick(
            &["active", "active", "active", "active", "frozen", "closed"],
            "active",
        );
        writeln!(
            self.accounts,
            "{id}\t{customer}\t{card}\t{}\t{currency}\t{opened}\t{status}",
            cents(dice.between(low, high)),
        )
        .unwrap_or_default();
    }

    fn order(&mut self, id: u64, customer: u64, account: u64, since: i64, dice: &mut Dice) {
        let placed = moment(day_between((since, HISTORY.1), dice).1, dice);
        let amount = cents(dice.between(99, 900_000));
        let channel = dice.pick(&["app", "app", "branch", "web", "atm"], "app");
        let status = dice.pick(
            &["settled", "settled", "settled", "pending", "reversed"],
            "settled",
        );
        let recipient = Person::new(dice).name;
        let mobile = or_null(85, mobile(dice), dice);
        writeln!(
            self.orders,
            "{id}\t{customer}\t{account}\t{placed}\t{amount}\t{channel}\t{status}\t{recipient}\t{mobile}",
        )
        .unwrap_or_default();
    }
}

impl Person {
    /// Four of five customers have a Chinese name.
    fn new(dice: &mut Dice) -> Self {
        if dice.chance(80) {
            let families: Vec<(&str, &str)> = FAMILY.into_iter().zip(FAMILY_PINYIN).collect();
            let (family, pinyin) = dice.pick(&families, ("王", "wang"));
            let mut name = format!("{family}{}", dice.pick(&GIVEN, "伟"));
            if dice.chance(60) {
                name.push_str(dice.pick(&GIVEN, "伟"));
            }
            let mail_name = pinyin.to_owned();
            return Self { name, mail_name };
        }
        let (given, family) = (
            dice.pick(&LATIN_GIVEN, "Ada"),
            dice.pick(&LATIN_FAMILY, "Wirth"),
        );
        Self {
            name: format!("{given} {family}"),
            mail_name: given
                .chars()
                .filter(char::is_ascii)
                .collect::<String>()
                .to_ascii_lowercase(),
        }
    }
}

fn day_between((first, last): (i64, i64), dice: &mut Dice) -> (i64, Date) {
    let span = u64::try_from(last - first).unwrap_or(0);
    let day = first + i64::try_from(dice.between(0, span)).unwrap_or(0);
    (day, Date::from_days(day))
}

fn moment(day: Date, dice: &mut Dice) -> String {
    let second = dice.between(8 * 3_600, 22 * 3_600);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{} {hour:02}:{minute:02}:{:02}+08", day.iso(), second % 60)
}

fn cents(amount: u64) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}

fn mobile(dice: &mut Dice) -> String {
    format!("{}{}", dice.pick(&words::MOBILE, "138"), dice.digits(8))
}

/// The value `percent` times in a hundred, else COPY's NULL.
fn or_null(percent: u64, value: String, dice: &mut Dice) -> String {
    if dice.chance(percent) {
        value
    } else {
        "\\N".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{BIRTHS, CUSTOMERS, HISTORY, PLACES, Tables, script};
    use crate::cli::bank::numbers::Date;
    use crate::cli::cluster::{Cluster, ClusterOptions};

    #[test]
    fn the_bank_is_the_same_every_time() {
        assert!(script() == script());
    }

    #[test]
    fn the_first_and_last_days_are_what_their_comments_say() {
        let days = [BIRTHS.0, BIRTHS.1, HISTORY.0, HISTORY.1].map(|day| Date::from_days(day).iso());
        assert_eq!(
            days,
            ["1945-01-01", "2006-12-31", "2019-01-01", "2026-03-31"]
        );
    }

    #[test]
    fn id_numbers_agree_with_birth_dates() {
        for row in Tables::deal().customers.lines() {
            let fields: Vec<&str> = row.split('\t').collect();
            assert_eq!(fields.len(), 11);
            assert_eq!(fields[2].get(6..14).unwrap(), fields[5].replace('-', ""));
            assert_eq!(fields[2].len(), 18);
        }
    }

    #[test]
    fn rows_have_their_columns_and_text_needs_no_escapes() {
        let tables = Tables::deal();
        for (rows, columns) in [(&tables.accounts, 7), (&tables.orders, 9)] {
            assert!(rows.lines().count() >= 2_000);
            assert!(rows.lines().all(|row| row.split('\t').count() == columns));
        }
        for rows in [&tables.customers, &tables.accounts, &tables.orders] {
            assert!(!rows.replace("\\N", "").contains('\\'));
        }
    }

    #[test]
    fn postgresql_accepts_the_bank() {
        let cluster = Cluster::start(&ClusterOptions::default()).unwrap();
        cluster.run("postgres", &script()).unwrap();
        let counts = "SELECT (SELECT count(*) FROM bank.customers), \
                      (SELECT count(*) > 2000 FROM bank.accounts), \
                      (SELECT count(*) > 2000 FROM bank.orders), \
                      (SELECT count(*) FROM bank.customer_contacts), \
                      (SELECT count(*) FROM bank.spend_by_city)";
        let cities = PLACES
            .iter()
            .map(|place| place.city)
            .collect::<HashSet<_>>()
            .len();
        let expected = format!("{CUSTOMERS}|t|t|{CUSTOMERS}|{cities}\n");
        assert_eq!(cluster.run("postgres", counts).unwrap(), expected);
    }
}
